"""A server on the Python SDK 1.x whose tools ask their client: for a sample, for an answer, for its roots.

`asking.py` speaks stdio; `asking.py --http` listens on a free port and prints its address as the first line on stdout,
and so does `asking.py --sse`, for the transport of 2024-11-05.
"""

import sys

import mcp.types as types
from listening import serve
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

server = FastMCP("asking")


class Form(BaseModel):
    answer: str


@server.tool()
async def sample(context: Context) -> str:
    """Asks the client's model."""
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="?"))
    sampled = await context.session.create_message(
        messages=[question], max_tokens=10, related_request_id=context.request_id
    )
    return sampled.content.text


@server.tool()
async def elicit(context: Context) -> str:
    """Asks the person at the client."""
    elicited = await context.elicit("What?", Form)
    return elicited.data.answer


@server.tool()
async def roots(context: Context) -> str:
    """Asks for the client's roots."""
    listed = await context.session.list_roots()
    return " ".join(root.name for root in listed.roots)


if __name__ == "__main__":
    if "--http" in sys.argv:
        serve(server.streamable_http_app(), "/mcp")
    elif "--sse" in sys.argv:
        serve(server.sse_app(), "/sse")
    else:
        server.run(transport="stdio")
