"""Driver for the Python SDK 1.x. It knows the legacy era only, whatever `--mode` says.

A URL that ends in `/sse` is spoken to over HTTP+SSE, as revision 2024-11-05 has it.
"""

import contextlib
from importlib.metadata import version

import mcp.types as types
import plan
from answers import CALLBACKS
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


@contextlib.asynccontextmanager
async def open_adapter(options):
    async with contextlib.AsyncExitStack() as stack:
        if options.url:
            client = sse_client if options.url.endswith("/sse") else streamable_http_client
            streams = await stack.enter_async_context(client(options.url))
        else:
            command, *arguments = options.stdio
            parameters = StdioServerParameters(command=command, args=arguments)
            streams = await stack.enter_async_context(stdio_client(parameters))
        session = ClientSession(
            streams[0],
            streams[1],
            message_handler=hear,
            **CALLBACKS,
        )
        session = await stack.enter_async_context(session)
        yield Adapter(session, await session.initialize())


async def hear(message):
    if isinstance(message, types.ServerNotification):
        notification = message.root
        plan.heard(notification.method, plan.wire(notification.params) if notification.params else {})


class Adapter:
    def __init__(self, session, initialized):
        self.session, self.initialized = session, initialized

    def facts(self):
        return {
            "client": f"mcp {version('mcp')}",
            "protocol_version": self.initialized.protocolVersion,
            "server": plan.wire(self.initialized.serverInfo),
            "capabilities": plan.wire(self.initialized.capabilities),
        }

    async def list(self, what, cursor):
        method = {
            "tools": self.session.list_tools,
            "resources": self.session.list_resources,
            "templates": self.session.list_resource_templates,
            "prompts": self.session.list_prompts,
        }[what]
        return plan.wire(await method(params=types.PaginatedRequestParams(cursor=cursor)))

    async def call(self, name, arguments, on_progress):
        return plan.wire(await self.session.call_tool(name, arguments, progress_callback=on_progress))

    async def read(self, uri):
        return plan.wire(await self.session.read_resource(uri))

    async def prompt(self, name, arguments):
        return plan.wire(await self.session.get_prompt(name, arguments))

    async def cancel(self, running):
        # This SDK tells the server nothing when a call is given up, and keeps the ids of its requests to itself.
        request_id = self.session._request_id - 1
        cancelled = types.CancelledNotification(params=types.CancelledNotificationParams(requestId=request_id))
        await self.session.send_notification(types.ClientNotification(cancelled))
        running.cancel()

    async def log_level(self, level):
        await self.session.set_logging_level(level)

    async def listen(self, uri):
        # It hears of changes of the list unasked.
        await self.session.subscribe_resource(uri)


if __name__ == "__main__":
    plan.main(open_adapter)
