"""A server on fastmcp (3.x or 4.x): the tools, the resource and the prompt that the gateway's tests ask for.

`fixture.py` speaks stdio; `fixture.py --http` listens on a free port and prints its address as the first line on stdout,
and so does `fixture.py --sse`, for the transport of 2024-11-05.
"""

import asyncio
import pathlib
import sys

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from listening import serve

# Longer than any test waits: a call to `hang` ends by being cancelled or not at all.
HANG_SECONDS = 600
# Between progress events, so that a client sees them one by one and not in one breath with the result.
STEP_SECONDS = 0.05

server = FastMCP("fixture")


@server.tool
def echo(text: str) -> str:
    """Returns the text."""
    return text


@server.tool
def add(a: int, b: int) -> int:
    """Returns the sum."""
    return a + b


@server.tool
def fail(reason: str) -> str:
    """Fails with the reason."""
    raise ToolError(reason)


@server.tool
async def countdown(steps: int, context: Context) -> str:
    """Reports one progress event per step."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await asyncio.sleep(STEP_SECONDS)
    return f"counted {steps}"


@server.tool
async def hang(folder: str, context: Context) -> str:
    """Writes the file `started` into the folder, and `cancelled` once the call is cancelled."""
    place = pathlib.Path(folder)
    (place / "started").touch()
    try:
        await context.report_progress(1, None, "started")
        await asyncio.sleep(HANG_SECONDS)
    except asyncio.CancelledError:
        (place / "cancelled").touch()
        raise
    return "never"


@server.resource("fixture://greeting", mime_type="text/plain")
def greeting() -> str:
    """A greeting."""
    return "hello from the fixture"


@server.resource("fixture://greeting/{name}", mime_type="text/plain")
def greeting_to(name: str) -> str:
    """A greeting to somebody."""
    return f"hello {name}"


@server.prompt
def greet(name: str) -> str:
    """Asks for a greeting."""
    return f"Please greet {name}."


if __name__ == "__main__":
    if "--http" in sys.argv:
        serve(server.http_app(), "/mcp")
    elif "--sse" in sys.argv:
        serve(server.http_app(transport="sse"), "/sse")
    else:
        server.run(transport="stdio", show_banner=False)
