"""The fault table: each fault that the twin can play, both APIs, streamed and not, once and for ever: what the client
got. `python -m tests.system.faults` prints it as docs/faults.md.
"""

import contextlib
import itertools
import json
import sys

from kirogw.twin import Twin
from kirogw.twin.faults import NAMED
from tests.system.running import running

TEXT = "one two three four five six seven eight nine ten"
SCRIPT = [{"steps": [{"text": TEXT, "pieces": 4}], "repeat": True}]
STUMP = [{"steps": [{"text": "Writing."}, {"tool": "write", "input": '{"path": "a.txt", "content": "half', "finished": False},
                    {"stop": "MAX_TOKENS"}], "repeat": True}]  # fmt: skip
FACES = ("messages", "chat")
QUICK = {"slow_headers": {"slow": 0.7}, "stall": {"stall": 0.7}}
SKIPPED = {name for name, fault in NAMED.items() if fault.get("operation") == "auth"}  # tests/logins has these
SETTINGS = {"HEARTBEAT": "0.3", "RETRY_PACE": "0.002", "RETRY_BUDGET": "20", "SERVER_WORKERS": "1"}
TOOLS = {
    "messages": [{"name": "write", "description": "Write a file", "input_schema": {"type": "object", "properties": {}}}],
    "chat": [{"type": "function", "function": {"name": "write", "description": "Write a file", "parameters": {"type": "object", "properties": {}}}}],
}  # fmt: skip
HEAD = """# Faults

What a client got, for each fault of the upstream: the answer (and after how many tries), an error with its status, or an
error inside the stream. `once`: the fault came once; `always`: each time. Printed by `make faults` from a running gateway
before the simulator of the upstream; pauses between tries are cut short there, waits told to the client are not.

A cell reads: **whole** (the answer came, and nobody saw the fault), **status type** (an HTTP error), **in-band type**
(an error event in a stream that had begun), **ends X** (the answer ended early, and says so by its stop reason).
"""


def ask(gateway, face, stream, tools=False):
    body = {"model": "claude-sonnet-4.6", "max_tokens": 1000, "stream": stream, "messages": [{"role": "user", "content": "Count."}]}
    if tools:
        body["tools"] = TOOLS[face]
    path = "/v1/messages" if face == "messages" else "/v1/chat/completions"
    with gateway.post(path, body, stream=stream) as reply:
        return got(face, reply, reply.content)


def got(face, reply, content):
    """What the client sees: {"status", "type", "wait", "text", "stop", "error", "beats"}."""
    seen = {"status": reply.status_code, "type": "", "wait": reply.headers.get("Retry-After", ""), "text": "", "stop": "",
            "error": "", "beats": 0, "arguments": ""}  # fmt: skip
    if reply.status_code != 200:
        error = json.loads(content)["error"]
        return {**seen, "type": error.get("type") or "", "code": error.get("code") or "", "error": error["message"]}
    if reply.headers["Content-Type"].startswith("text/event-stream"):
        return {**seen, **STREAMS[face](content.decode())}
    return {**seen, **WHOLES[face](json.loads(content))}


def _data(text):
    for block in text.split("\n\n"):
        lines = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
        if lines and lines[0] != "[DONE]":
            yield json.loads("\n".join(lines))


def messages_stream(text):
    seen = {"text": "", "stop": "", "type": "", "error": "", "beats": 0, "arguments": ""}
    finished = False
    for event in _data(text):
        delta = event.get("delta", {})
        seen["text"] += delta.get("text", "")
        seen["arguments"] += delta.get("partial_json", "")
        seen["stop"] = delta.get("stop_reason") or seen["stop"]
        seen["beats"] += event["type"] == "ping"
        finished |= event["type"] == "message_stop"
        if event["type"] == "error":
            seen["type"], seen["error"] = event["error"]["type"], event["error"]["message"]
    assert finished != bool(seen["type"]), "a stream ends with message_stop or an error, and never with both"
    return seen


def chat_stream(text):
    seen = {"text": "", "stop": "", "type": "", "error": "", "beats": text.count("\n: ") + text.startswith(": "), "arguments": ""}
    for chunk in _data(text):
        if "error" in chunk:
            seen["type"], seen["error"] = chunk["error"]["type"], chunk["error"]["message"]
            continue
        for choice in chunk["choices"]:
            seen["text"] += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls", ()):
                seen["arguments"] += call["function"].get("arguments") or ""
            seen["stop"] = choice.get("finish_reason") or seen["stop"]
    assert text.endswith("data: [DONE]\n\n") != bool(seen["type"]), "a stream ends with [DONE] or an error"
    return seen


def messages_whole(body):
    calls = [block["input"] for block in body["content"] if block["type"] == "tool_use"]
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    return {"text": "".join(texts), "stop": body["stop_reason"], "arguments": json.dumps(calls) if calls else ""}


def chat_whole(body):
    choice = body["choices"][0]
    calls = [call["function"]["arguments"] for call in choice["message"].get("tool_calls") or ()]
    return {"text": choice["message"]["content"] or "", "stop": choice["finish_reason"], "arguments": "".join(calls)}


STREAMS = {"messages": messages_stream, "chat": chat_stream}
WHOLES = {"messages": messages_whole, "chat": chat_whole}
CLEAN = {"end_turn", "stop"}


def cell(seen, tries):
    """One result in a few words."""
    if seen["status"] != 200:
        wait = f", wait {seen['wait']} s" if seen["wait"] else ""
        return f"{seen['status']} {seen.get('code') or seen['type']}{wait}"
    beats = ", beats" if seen["beats"] else ""
    if seen["type"]:
        return f"in-band {seen['type']}{beats}"
    if seen["stop"] in CLEAN and seen["text"] == TEXT:
        return f"whole{f', {tries} tries' if tries > 1 else ''}{beats}"
    return f"ends {seen['stop']}"


class Stand:
    """A gateway before the twin; a fresh one as soon as the account rests, so that no row changes the next."""

    def __init__(self, twin, stack):
        self.twin, self.stack = twin, stack
        self.gateway = stack.enter_context(running(twin, **SETTINGS))

    def rested(self):
        accounts = self.gateway.get("/health").json()["accounts"]
        if not all(account["ready"] and account["state"] == "ready" for account in accounts):
            self.stack.close()
            self.gateway = self.stack.enter_context(running(self.twin, **SETTINGS))
        return self.gateway


def row(stand, name, count):
    """(face, stream) -> (what was seen, tries)."""
    cells = {}
    for face, stream in itertools.product(FACES, (True, False)):
        gateway = stand.rested()
        stand.twin.reset()
        stand.twin.script(SCRIPT)
        stand.twin.faults.add(name, count=count, **QUICK.get(name, {}))
        cells[face, stream] = (ask(gateway, face, stream), len(stand.twin.seen("generate")))
    return cells


def stump(stand):
    cells = {}
    for face, stream in itertools.product(FACES, (True, False)):
        stand.twin.reset()
        stand.twin.script(STUMP)
        cells[face, stream] = (ask(stand.rested(), face, stream, tools=True), 1)
    return cells


def table(names=None):
    """name -> {"once": row, "always": row}."""
    rows = {}
    with Twin(accounts=["api_key"]) as twin, contextlib.ExitStack() as stack:
        stand = Stand(twin, stack)
        for name in names or [name for name in NAMED if name not in SKIPPED]:
            rows[name] = {when: row(stand, name, count) for when, count in (("once", 1), ("always", None))}
        rows["a call that is cut"] = {"always": stump(stand)}
    return rows


def markdown(rows):
    lines = [HEAD, "| fault | when | Messages, streamed | Messages, whole | Chat, streamed | Chat, whole |", "|---|---|---|---|---|---|"]
    for name, whens in rows.items():
        for when, cells in whens.items():
            shown = [cell(*cells[face, stream]) for face, stream in itertools.product(FACES, (True, False))]
            lines.append(f"| {name} | {when} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown(table()))
