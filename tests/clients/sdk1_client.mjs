// Driver for the TypeScript SDK 1.x. It knows the legacy era only, whatever `--mode` says.
// A URL that ends in `/sse` is spoken to over HTTP+SSE, as revision 2024-11-05 has it.

import { ANSWERS, hear, load, main, versionOf } from "./plan.mjs";

const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const types = load("@modelcontextprotocol/sdk/types.js");
const { SSEClientTransport } = load("@modelcontextprotocol/sdk/client/sse.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const version = versionOf("@modelcontextprotocol/sdk");
const REQUESTS = {
  "roots/list": types.ListRootsRequestSchema,
  "elicitation/create": types.ElicitRequestSchema,
  "sampling/createMessage": types.CreateMessageRequestSchema,
};

await main(async ({ url, stdio }) => {
  const capabilities = { sampling: {}, elicitation: {}, roots: {} };
  const client = new Client({ name: "typescript-sdk-1", version }, { capabilities });
  for (const [method, result] of Object.entries(ANSWERS)) {
    client.setRequestHandler(REQUESTS[method], async () => result);
  }
  hear(client);
  const transport = url
    ? new (url.endsWith("/sse") ? SSEClientTransport : StreamableHTTPClientTransport)(new URL(url))
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1), stderr: "inherit" });
  await client.connect(transport);
  client.toolCall = (params, options) => client.callTool(params, undefined, options);
  client.logLevel = (level) => client.setLoggingLevel(level);
  // It hears of changes of the list unasked.
  client.listenTo = (uri) => client.subscribeResource({ uri });
  const facts = {
    client: `@modelcontextprotocol/sdk ${version}`,
    protocol_version: transport.protocolVersion ?? transport._protocolVersion ?? null,
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
  };
  return { client, facts };
});
