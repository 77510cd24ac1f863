"""The part that all Python drivers share: read a plan, walk its steps, print what was seen as one JSON object.

A driver opens its SDK's client and hands over an adapter whose methods answer dicts in wire form:
`facts()`, `list(what, cursor)`, `call(name, arguments, on_progress)`, `read(uri)`, `prompt(name, arguments)`,
and `cancel(task)` where ending the task is not enough. Those that hear of changes have `log_level(level)` and
`listen(uri)`, for a resource and the list of tools, and hand every notification to `heard`. What all of them answer
when a server asks stands in `ANSWERS`. Nothing is judged here; the test that started us does that.
"""

import argparse
import asyncio
import json
import os
import sys

# The longest wait for the event that a step waits for; the test has its own, longer limit.
EVENT_SECONDS = 20
# The longest that a step may take in all, so that one that hangs does not hide the others.
STEP_SECONDS = 25
LISTS = {"tools": "tools", "resources": "resources", "templates": "resourceTemplates", "prompts": "prompts"}
# What a client answers when a server asks it.
ANSWERS = {
    "roots/list": {"roots": [{"uri": "file:///rooted", "name": "rooted"}]},
    "elicitation/create": {"action": "accept", "content": {"answer": "elicited"}},
    "sampling/createMessage": {
        "role": "assistant",
        "content": {"type": "text", "text": "sampled"},
        "model": "none",
    },
}

_news = []


def heard(method, params):
    """Keeps a notification for the step that waits for it."""
    _news.append({"method": method, "params": params})


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="auto", help="legacy, auto, or a modern version")
    parser.add_argument("--plan", required=True, help="JSON list of steps")
    parser.add_argument("--url")
    parser.add_argument("--stdio", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main(open_adapter):
    """Runs the plan over `open_adapter(options)`, an async context manager that yields an adapter."""
    print(json.dumps(asyncio.run(_run(open_adapter, options()))))


async def _run(open_adapter, chosen):
    steps = []
    async with open_adapter(chosen) as adapter:
        facts = adapter.facts()
        for step in json.loads(chosen.plan):
            steps.append(await _step(adapter, step))
    return {**facts, "steps": steps}


async def _step(adapter, step):
    events = []
    seen = {"do": step["do"], "progress": events}
    try:
        async with asyncio.timeout(STEP_SECONDS):
            seen["result"] = await _ACTIONS[step["do"]](adapter, step, events)
    except Exception as error:
        detail = getattr(error, "error", None)
        if not hasattr(detail, "code"):
            print(f"{step}: {error!r}", file=sys.stderr)
        seen["error"] = {"code": getattr(detail, "code", None), "message": str(error)}
    seen["finished_after"] = len(events)
    return seen


async def _list(adapter, step, _events):
    what, items, cursor = LISTS[step["what"]], [], None
    while True:
        page = await adapter.list(step["what"], cursor)
        items += page[what]
        cursor = page.get("nextCursor")
        if cursor is None:
            return {what: items}


async def _call(adapter, step, events):
    async def on_progress(progress, total, message):
        events.append({"progress": progress, "total": total, "message": message})

    observer = on_progress if step.get("progress") else None
    return await adapter.call(step["name"], step.get("arguments", {}), observer)


async def _cancel(adapter, step, events):
    """Starts a call, waits until it is certainly running, gives it up, and says how it ended here."""
    running = asyncio.ensure_future(_call(adapter, {**step, "progress": True}, events))
    await _until(lambda: events or running.done() or os.path.exists(step.get("once_file", "")))
    if running.done():
        raise RuntimeError(f"the call ended before it could be cancelled: {running.result()}")
    await adapter.cancel(running)
    try:
        return {"cancelled": False, "late": await running}
    except asyncio.CancelledError:
        return {"cancelled": True}


async def _await_file(_adapter, step, _events):
    await _until(lambda: os.path.exists(step["path"]))
    return {}


async def _until(happened):
    async with asyncio.timeout(EVENT_SECONDS):
        while not happened():
            await asyncio.sleep(0.01)


async def _log_level(adapter, step, _events):
    await adapter.log_level(step["level"])
    return {}


async def _listen(adapter, step, _events):
    await adapter.listen(step["uri"])
    return {}


async def _hear(_adapter, step, _events):
    """Waits for notifications of one method, and takes them."""

    def told():
        return [news for news in _news if news["method"] == step["method"]]

    await _until(lambda: len(told()) >= step["count"])
    taken = told()
    _news[:] = [news for news in _news if news not in taken]
    return {"news": [news["params"] for news in taken]}


async def _find(adapter, step, events):
    """Lists whenever a notification of one method has come, until an item with a name is there."""
    while True:
        await _hear(adapter, step, events)
        listed = await _list(adapter, step, events)
        if any(item["name"] == step["name"] for item in listed[LISTS[step["what"]]]):
            return listed


async def _repeat(adapter, step, _events):
    """Calls a tool until it answers with a text."""
    async with asyncio.timeout(EVENT_SECONDS):
        while True:
            result = await adapter.call(step["name"], {}, None)
            if result["content"][0]["text"] == step["text"]:
                return result
            await asyncio.sleep(0.02)


async def _read(adapter, step, _events):
    return await adapter.read(step["uri"])


async def _prompt(adapter, step, _events):
    return await adapter.prompt(step["name"], step.get("arguments", {}))


_ACTIONS = {
    "list": _list,
    "call": _call,
    "cancel": _cancel,
    "await_file": _await_file,
    "log_level": _log_level,
    "listen": _listen,
    "hear": _hear,
    "find": _find,
    "repeat": _repeat,
    "read": _read,
    "prompt": _prompt,
}


def wire(model):
    """Returns a result of the SDK as it stood on the wire."""
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)
