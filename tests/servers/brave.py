"""A search server with the names of agent-mcp-gateway's own example, on fastmcp. It searches nothing."""

from fastmcp import FastMCP

server = FastMCP("brave-search")


@server.tool
def brave_web_search(query: str) -> str:
    """Search the web using Brave Search"""
    return f"Search results: {query}"


@server.tool
def brave_local_search(query: str) -> str:
    """Search for places nearby"""
    return f"Places: {query}"


if __name__ == "__main__":
    server.run(show_banner=False)
