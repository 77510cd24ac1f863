"""Driver for fastmcp's client: 3.x on SDK 1.x (legacy era only), 4.x on SDK 2.x (`--mode` as there)."""

import contextlib
from importlib.metadata import version

import plan
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

# fastmcp 3.x neither takes a mode nor cancels on the wire by itself.
OLD = version("fastmcp").startswith("3.")


@contextlib.asynccontextmanager
async def open_adapter(options):
    if options.url:
        transport = StreamableHttpTransport(options.url)
    else:
        command, *arguments = options.stdio
        transport = StdioTransport(command, arguments, keep_alive=False)
    async with Client(transport, **({} if OLD else {"mode": options.mode})) as client:
        yield Adapter(client)


class Adapter:
    def __init__(self, client):
        self.client = client

    def facts(self):
        client = self.client
        if OLD:
            initialized = client.initialize_result
            protocol_version, server = initialized.protocolVersion, initialized.serverInfo
            capabilities = initialized.capabilities
        else:
            protocol_version, server = client.protocol_version, client.server_info
            capabilities = client.server_capabilities
        return {
            "client": f"fastmcp {version('fastmcp')}",
            "protocol_version": protocol_version,
            "server": plan.wire(server) if server else None,
            "capabilities": plan.wire(capabilities) if capabilities else None,
        }

    async def list(self, what, cursor):
        method = {
            "tools": self.client.list_tools_mcp,
            "resources": self.client.list_resources_mcp,
            "templates": self.client.list_resource_templates_mcp,
            "prompts": self.client.list_prompts_mcp,
        }[what]
        return plan.wire(await method(cursor=cursor))

    async def call(self, name, arguments, on_progress):
        return plan.wire(await self.client.call_tool_mcp(name, arguments, progress_handler=on_progress))

    async def read(self, uri):
        return plan.wire(await self.client.read_resource_mcp(uri))

    async def prompt(self, name, arguments):
        return plan.wire(await self.client.get_prompt_mcp(name, arguments))

    async def cancel(self, running):
        if OLD:
            await self.client.cancel(self.client.session._request_id - 1)
        running.cancel()


if __name__ == "__main__":
    plan.main(open_adapter)
