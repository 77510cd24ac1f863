"""The server behind the recorded answers of agent-mcp-gateway (`amg_probe.json`), on the low level of the Python SDK 1.x,
so that its schemas are the recorded ones whatever a framework adds to them."""

import asyncio

import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

server = Server("probe")

INTEGER = {"type": "integer"}
TOOLS = [
    types.Tool(
        name="add",
        description="Add numbers",
        inputSchema={
            "properties": {"a": INTEGER, "b": {"default": 2, "type": "integer"}},
            "required": ["a"],
            "type": "object",
        },
    ),
    types.Tool(name="boom", description="Fails", inputSchema={"properties": {}, "type": "object"}),
    types.Tool(
        name="get_é",
        description="Résumé",
        inputSchema={"properties": {"x": {"default": "é", "type": "string"}}, "type": "object"},
    ),
]


@server.list_tools()
async def list_tools():
    return TOOLS


@server.call_tool()
async def call_tool(name, arguments):
    if name == "add":
        # Longer than the shortest limit that a caller can give, one millisecond.
        await asyncio.sleep(0.02)
        result = arguments["a"] + arguments.get("b", 2)
        return [types.TextContent(type="text", text=str(result))], {"result": result}
    if name == "boom":
        raise ValueError("kaput")
    return [types.TextContent(type="text", text=arguments.get("x", "é"))]


async def main():
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


asyncio.run(main())
