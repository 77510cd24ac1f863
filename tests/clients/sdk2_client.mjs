// Driver for the TypeScript SDK 2.x: `--mode legacy`, `auto`, or a modern version.

import { ANSWERS, hear, load, main, versionOf } from "./plan.mjs";

const { Client, StreamableHTTPClientTransport } = load("@modelcontextprotocol/client");
const { StdioClientTransport } = load("@modelcontextprotocol/client/stdio");
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const version = versionOf("@modelcontextprotocol/client");

await main(async ({ mode, url, stdio }) => {
  const negotiation = ["legacy", "auto"].includes(mode) ? mode : { pin: mode };
  const options = {
    versionNegotiation: { mode: negotiation },
    capabilities: { sampling: {}, elicitation: {}, roots: {} },
  };
  const client = new Client({ name: "typescript-sdk-2", version }, options);
  for (const [method, result] of Object.entries(ANSWERS)) client.setRequestHandler(method, async () => result);
  hear(client);
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1), stderr: "inherit" });
  await client.connect(transport);
  const isModern = client.getNegotiatedProtocolVersion() >= "2026-07-28";
  // Modern clients ask for log messages with each request, and for all news at once.
  let meta;
  client.toolCall = (params, options) => client.callTool(meta ? { ...params, _meta: meta } : params, options);
  client.logLevel = async (level) => {
    if (isModern) meta = { [LOG_LEVEL]: level };
    else await client.setLoggingLevel(level);
  };
  client.listenTo = (uri) =>
    isModern
      ? client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] })
      : client.subscribeResource({ uri });
  const facts = {
    client: `@modelcontextprotocol/client ${version}`,
    protocol_version: client.getNegotiatedProtocolVersion() ?? null,
    server: client.getServerVersion() ?? null,
    capabilities: client.getServerCapabilities(),
  };
  return { client, facts };
});
