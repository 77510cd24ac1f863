// Sends batches through the TypeScript SDK's 1.x transports, which take arrays though its client makes none.
// Reads `--url URL --version V --batches JSON`; sends each batch in turn, waits until each of its requests is answered,
// and prints `[{messages, asked}]`: what came until then, and the methods that the server asked. Nothing is judged here.

import { ANSWERS, load } from "./plan.mjs";

const { SSEClientTransport } = load("@modelcontextprotocol/sdk/client/sse.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const chosen = {};
for (let words = process.argv.slice(2); words.length > 0; ) {
  chosen[words.shift().replace(/^--/, "")] = words.shift();
}

const url = new URL(chosen.url);
const transport = new (url.pathname.endsWith("/sse") ? SSEClientTransport : StreamableHTTPClientTransport)(url);
let messages = [];
let asked = [];
let noticed = () => {};

transport.onerror = (error) => console.error(error);
transport.onmessage = (message) => {
  if (message.method !== undefined && message.id !== undefined) {
    asked.push(message.method);
    transport.send({ jsonrpc: "2.0", id: message.id, result: ANSWERS[message.method] ?? {} });
  } else {
    messages.push(message);
    noticed();
  }
};

/** Sends a message or a batch and waits until its requests are answered. */
async function exchange(sent) {
  messages = [];
  asked = [];
  const ids = [sent].flat().filter((message) => message.id !== undefined).map((message) => JSON.stringify(message.id));
  const isDone = () => ids.every((id) => messages.some((message) => JSON.stringify(message.id) === id));
  const done = new Promise((resolve) => { noticed = () => isDone() && resolve(); });
  await transport.send(sent);
  if (ids.length > 0) await done;
  return { messages, asked };
}

await transport.start();
const params = {
  protocolVersion: chosen.version,
  capabilities: { sampling: {}, elicitation: {}, roots: {} },
  clientInfo: { name: "typescript-sdk-1-batches", version: "1" },
};
await exchange({ jsonrpc: "2.0", id: "open", method: "initialize", params });
transport.setProtocolVersion(chosen.version);
await exchange({ jsonrpc: "2.0", method: "notifications/initialized" });
const seen = [];
for (const batch of JSON.parse(chosen.batches)) seen.push(await exchange(batch));
await transport.close();
console.log(JSON.stringify(seen));
