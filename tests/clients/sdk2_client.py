"""Driver for the Python SDK 2.x: `--mode legacy`, `auto`, or a modern version."""

import contextlib
from importlib.metadata import version

import plan
from answers import CALLBACKS
from mcp import Client, StdioServerParameters


@contextlib.asynccontextmanager
async def open_adapter(options):
    target = options.url
    if target is None:
        command, *arguments = options.stdio
        target = StdioServerParameters(command=command, args=arguments)
    async with contextlib.AsyncExitStack() as stack:
        client = Client(
            target,
            mode=options.mode,
            message_handler=hear,
            **CALLBACKS,
        )
        yield Adapter(await stack.enter_async_context(client), stack)


async def hear(message):
    if not isinstance(message, Exception):
        plan.heard(message.method, plan.wire(message.params) if message.params else {})


class Adapter:
    def __init__(self, client, stack):
        self.client, self.stack, self.meta = client, stack, None

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
        result = await self.client.call_tool(name, arguments, progress_callback=on_progress, meta=self.meta)
        return plan.wire(result)

    async def read(self, uri):
        return plan.wire(await self.client.read_resource(uri))

    async def prompt(self, name, arguments):
        return plan.wire(await self.client.get_prompt(name, arguments))

    async def cancel(self, running):
        running.cancel()

    async def log_level(self, level):
        if self.is_modern():
            # Modern clients ask with each request.
            self.meta = {"io.modelcontextprotocol/logLevel": level}
        else:
            await self.client.set_logging_level(level)

    async def listen(self, uri):
        if self.is_modern():
            filters = {"tools_list_changed": True, "resource_subscriptions": [uri]}
            await self.stack.enter_async_context(self.client.listen(**filters))
        else:
            await self.client.subscribe_resource(uri)

    def is_modern(self):
        return self.client.protocol_version >= "2026-07-28"


if __name__ == "__main__":
    plan.main(open_adapter)
