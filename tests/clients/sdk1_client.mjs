// Driver for the TypeScript SDK 1.x. It knows the legacy era only, whatever `--mode` says.

import { load, main, versionOf } from "./plan.mjs";

const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const version = versionOf("@modelcontextprotocol/sdk");

await main(async ({ url, stdio }) => {
  const client = new Client({ name: "typescript-sdk-1", version });
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1), stderr: "inherit" });
  await client.connect(transport);
  client.toolCall = (params, options) => client.callTool(params, undefined, options);
  const facts = {
    client: `@modelcontextprotocol/sdk ${version}`,
    protocol_version: transport.protocolVersion ?? null,
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
  };
  return { client, facts };
});
