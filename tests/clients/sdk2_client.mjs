// Driver for the TypeScript SDK 2.x: `--mode legacy`, `auto`, or a modern version.

import { load, main, versionOf } from "./plan.mjs";

const { Client, StreamableHTTPClientTransport } = load("@modelcontextprotocol/client");
const { StdioClientTransport } = load("@modelcontextprotocol/client/stdio");
const version = versionOf("@modelcontextprotocol/client");

await main(async ({ mode, url, stdio }) => {
  const negotiation = ["legacy", "auto"].includes(mode) ? mode : { pin: mode };
  const client = new Client({ name: "typescript-sdk-2", version }, { versionNegotiation: { mode: negotiation } });
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1), stderr: "inherit" });
  await client.connect(transport);
  client.toolCall = (params, options) => client.callTool(params, options);
  const facts = {
    client: `@modelcontextprotocol/client ${version}`,
    protocol_version: client.getNegotiatedProtocolVersion() ?? null,
    server: client.getServerVersion() ?? null,
    capabilities: client.getServerCapabilities(),
  };
  return { client, facts };
});
