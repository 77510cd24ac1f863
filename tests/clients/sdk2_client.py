"""Driver for the Python SDK 2.x: `--mode legacy`, `auto`, or a modern version."""

import contextlib
from importlib.metadata import version

import plan
from mcp import Client, StdioServerParameters


@contextlib.asynccontextmanager
async def open_adapter(options):
    target = options.url
    if target is None:
        command, *arguments = options.stdio
        target = StdioServerParameters(command=command, args=arguments)
    async with Client(target, mode=options.mode) as client:
        yield Adapter(client)


class Adapter:
    def __init__(self, client):
        self.client = client

    def facts(self):
        server = self.client.server_info
        return {
            "client": f"mcp {version('mcp')}",
            "protocol_version": self.client.protocol_version,
            "server": plan.wire(server) if server else None,
            "capabilities": plan.wire(self.client.server_capabilities),
        }

    async def list(self, what, cursor):
        method = {
            "tools": self.client.list_tools,
            "resources": self.client.list_resources,
            "templates": self.client.list_resource_templates,
            "prompts": self.client.list_prompts,
        }[what]
        return plan.wire(await method(cursor=cursor))

    async def call(self, name, arguments, on_progress):
        return plan.wire(await self.client.call_tool(name, arguments, progress_callback=on_progress))

    async def read(self, uri):
        return plan.wire(await self.client.read_resource(uri))

    async def prompt(self, name, arguments):
        return plan.wire(await self.client.get_prompt(name, arguments))

    async def cancel(self, running):
        running.cancel()


if __name__ == "__main__":
    plan.main(open_adapter)
