// The part that both TypeScript drivers share: read a plan, walk its steps, print what was seen as one JSON object.
// The steps and the shape of the output are those of plan.py. Nothing is judged here; the test that started us does that.
// A client that `open` answers has the SDK's methods, and `toolCall(params, options)`, `logLevel(level)` and `listenTo(uri)`.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// The longest wait for the event that a step waits for; the test has its own, longer limit.
const EVENT_MS = 20_000;
// The longest that a step may take in all, so that one that hangs does not hide the others.
const STEP_MS = 25_000;
const METHODS = {
  tools: ["listTools", "tools"],
  resources: ["listResources", "resources"],
  templates: ["listResourceTemplates", "resourceTemplates"],
  prompts: ["listPrompts", "prompts"],
};

/** What a client answers when a server asks it. */
export const ANSWERS = {
  "roots/list": { roots: [{ uri: "file:///rooted", name: "rooted" }] },
  "elicitation/create": { action: "accept", content: { answer: "elicited" } },
  "sampling/createMessage": { role: "assistant", content: { type: "text", text: "sampled" }, model: "none" },
};

const HOME = join(process.env.TOOLGATE_TEST_ENV, "node");

let news = [];

/** Keeps every notification for the step that waits for it. */
export function hear(client) {
  client.fallbackNotificationHandler = async ({ method, params }) => news.push({ method, params: params ?? {} });
}

/** Loads a module of the test environment; this folder has none of its own. */
export const load = createRequire(join(HOME, "package.json"));

/** Returns the version of an installed package. */
export const versionOf = (name) => JSON.parse(readFileSync(join(HOME, "node_modules", name, "package.json"))).version;

/** Reads `--mode M --plan JSON (--url URL | --stdio COMMAND ARGUMENTS...)`. */
function options() {
  const words = process.argv.slice(2);
  const chosen = { mode: "auto" };
  while (words.length > 0) {
    const name = words.shift().replace(/^--/, "");
    chosen[name] = name === "stdio" ? words.splice(0) : words.shift();
  }
  return chosen;
}

/** Runs the plan over the client and the facts that `open(options)` answers. */
export async function main(open) {
  const chosen = options();
  const { client, facts } = await open(chosen);
  const steps = [];
  for (const step of JSON.parse(chosen.plan)) {
    steps.push(await walk(client, step));
  }
  await client.close();
  console.log(JSON.stringify({ ...facts, steps }));
}

async function walk(client, step) {
  const progress = [];
  const seen = { do: step.do, progress };
  try {
    seen.result = await within(STEP_MS, actions[step.do](client, step, progress));
  } catch (error) {
    if (error.code === undefined) console.error(JSON.stringify(step), error);
    seen.error = { code: error.code ?? null, message: String(error.message ?? error) };
  }
  seen.finished_after = progress.length;
  return seen;
}

function within(limit, running) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not done in ${limit} ms`)), limit); });
  return Promise.race([running, late]).finally(() => clearTimeout(timer));
}

async function list(client, step) {
  const [method, member] = METHODS[step.what];
  const items = [];
  let cursor;
  do {
    const page = await client[method](cursor === undefined ? undefined : { cursor });
    items.push(...page[member]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { [member]: items };
}

function call(client, step, progress, signal) {
  const onprogress = step.progress ? (event) => progress.push(event) : undefined;
  return client.toolCall({ name: step.name, arguments: step.arguments ?? {} }, { onprogress, signal });
}

/** Starts a call, waits until it is certainly running, gives it up, and says how it ended here. */
async function cancel(client, step, progress) {
  const control = new AbortController();
  const running = call(client, { ...step, progress: true }, progress, control.signal);
  const ended = running.then((late) => ({ cancelled: false, late }), (error) => ({ cancelled: true, said: String(error) }));
  await until(() => progress.length > 0 || (step.once_file !== undefined && existsSync(step.once_file)));
  control.abort("no longer wanted");
  return ended;
}

async function awaitFile(_client, step) {
  await until(() => existsSync(step.path));
  return {};
}

/** Waits for notifications of one method, and takes them. */
async function hearOf(_client, step) {
  const told = () => news.filter(({ method }) => method === step.method);
  await until(() => told().length >= step.count);
  const taken = told();
  news = news.filter((kept) => !taken.includes(kept));
  return { news: taken.map(({ params }) => params) };
}

/** Lists whenever a notification of one method has come, until an item with a name is there. */
async function find(client, step) {
  for (;;) {
    await hearOf(client, step);
    const listed = await list(client, step);
    if (Object.values(listed)[0].some(({ name }) => name === step.name)) return listed;
  }
}

/** Calls a tool until it answers with a text. */
async function repeat(client, step) {
  const deadline = Date.now() + EVENT_MS;
  while (Date.now() < deadline) {
    const result = await client.toolCall({ name: step.name, arguments: {} }, {});
    if (result.content[0].text === step.text) return result;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${step.name} did not answer ${step.text}`);
}

async function logLevel(client, step) {
  await client.logLevel(step.level);
  return {};
}

async function listen(client, step) {
  await client.listenTo(step.uri);
  return {};
}

async function until(happened) {
  const deadline = Date.now() + EVENT_MS;
  while (!happened()) {
    if (Date.now() > deadline) throw new Error("what was waited for did not happen");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const read = (client, step) => client.readResource({ uri: step.uri });
const prompt = (client, step) => client.getPrompt({ name: step.name, arguments: step.arguments ?? {} });

const actions = { list, call, cancel, await_file: awaitFile, log_level: logLevel, listen, hear: hearOf, find, repeat, read, prompt };
