"""The requests of the bench: one conversation, in 1 KB and in 150 KB, said to each API and as Kiro's own payload.

Made from a fixed word list by a fixed seed, so every run sends the same bytes, save the serial number that makes each
request's newest message its own: as in an agent's loop, the past is known and what was added last is not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from script import MODEL, Script

Json: TypeAlias = dict[str, Any]

SERIAL: Final = "serial00000000"  # its digits are replaced, each time it stands in a body
KEY: Final = "bench-key-0123456789abcdef"

_SAID: Final = (
    "the a of to and in is for that with this value file error return def self class import from path None if else not "
    "request response stream buffer index length count name type list dict key token header body write read open close "
    "line test result expected actual function argument parameter default option config server client connection thread"
    " lock queue event loop timeout retry limit offset cursor range match pattern string bytes integer float boolean"
)
_NAMED: Final = (
    "read_file write_file edit_file list_dir find_files grep_search run_command web_fetch todo_write ask_user "
    "git_status git_diff git_commit run_tests format_code rename_symbol find_usages open_browser take_note send_agent"
)
_WORDS: Final = _SAID.split()
_TOOLS: Final = _NAMED.split()
_HISTORY: Final = 60


class Story:
    """What is said, before any API's words for it."""

    def __init__(self, large: bool) -> None:
        self._dice = random.Random(20_26)
        self.system = self._prose(11_000 if large else 180)
        self.opening = self._prose(300)
        self.steps = [self._step(number) for number in range(_HISTORY // 2)] if large else []
        self.tools = [self._tool(name) for name in _TOOLS] if large else []
        self.question = self._prose(260 if large else 620)

    def _prose(self, size: int) -> str:
        """About `size` characters of words, with the punctuation and line ends that text has."""
        said: list[str] = []
        length = 0
        while length < size:
            word = self._dice.choice(_WORDS) + self._dice.choice(("", "", "", "", "", ",", ".", "()", ":\n    ", "\n"))
            said.append(word)
            length += len(word) + 1
        return " ".join(said)

    def _step(self, number: int) -> Json:
        """One call and its result; the last result bears the serial number."""
        serial = f"{SERIAL}\n" if number == _HISTORY // 2 - 1 else ""
        return {
            "id": f"toolu_bench{number:05d}", "name": _TOOLS[number % len(_TOOLS)], "say": self._prose(220),
            "input": {"path": f"src/part{number}.py", "content": self._prose(330)},
            "result": serial + self._prose(2_330),
        }

    def _tool(self, name: str) -> Json:
        properties = {
            f"{self._dice.choice(_WORDS)}_{n}": {"type": "string", "description": self._prose(110)} for n in range(6)
        }
        schema = {"type": "object", "properties": properties, "required": list(properties)[:2]}
        return {"name": name, "description": self._prose(900), "schema": schema}


def messages(story: Story, ask: str) -> Json:
    turns: list[Json] = [{"role": "user", "content": story.opening}] if story.steps else []
    for step in story.steps:
        call = {"type": "tool_use", "id": step["id"], "name": step["name"], "input": step["input"]}
        result = {"type": "tool_result", "tool_use_id": step["id"], "content": step["result"]}
        turns.append({"role": "assistant", "content": [{"type": "text", "text": step["say"]}, call]})
        turns.append({"role": "user", "content": [result]})
    newest = {"type": "text", "text": ask}
    if turns:
        turns[-1]["content"].append(newest)
    else:
        turns.append({"role": "user", "content": [newest]})
    tools = [{"name": t["name"], "description": t["description"], "input_schema": t["schema"]} for t in story.tools]
    body = {"model": MODEL, "max_tokens": 8192, "stream": True, "system": story.system, "messages": turns}
    return {**body, "tools": tools} if tools else body


def chat(story: Story, ask: str) -> Json:
    turns: list[Json] = [{"role": "system", "content": story.system}]
    turns += [{"role": "user", "content": story.opening}] if story.steps else []
    for step in story.steps:
        function = {"name": step["name"], "arguments": json.dumps(step["input"])}
        call = {"id": step["id"], "type": "function", "function": function}
        turns.append({"role": "assistant", "content": step["say"], "tool_calls": [call]})
        turns.append({"role": "tool", "tool_call_id": step["id"], "content": step["result"]})
    turns.append({"role": "user", "content": ask})
    body: Json = {"model": MODEL, "stream": True, "stream_options": {"include_usage": True}, "messages": turns}
    functions = [{"name": t["name"], "description": t["description"], "parameters": t["schema"]} for t in story.tools]
    return {**body, "tools": [{"type": "function", "function": f} for f in functions]} if functions else body


def _items(story: Story, ask: str) -> list[Json]:
    """The conversation as items of the Responses API, without the system prompt."""
    items: list[Json] = [{"role": "user", "content": story.opening}] if story.steps else []
    for step in story.steps:
        items.append({"role": "assistant", "content": step["say"]})
        items.append({"type": "function_call", "call_id": step["id"], "name": step["name"],
                      "arguments": json.dumps(step["input"])})  # fmt: skip
        items.append({"type": "function_call_output", "call_id": step["id"], "output": step["result"]})
    return [*items, {"role": "user", "content": ask}]


def responses(story: Story, ask: str) -> Json:
    body: Json = {"model": MODEL, "stream": True, "store": False, "instructions": story.system,
                  "input": _items(story, ask)}  # fmt: skip
    functions = [{"type": "function", "name": t["name"], "description": t["description"], "parameters": t["schema"],
                  "strict": False} for t in story.tools]  # fmt: skip
    return {**body, "tools": functions} if functions else body


def kiro(story: Story, ask: str) -> Json:
    """What a gateway would make of it, for those that only pass it on. (kiro 3.11)"""
    turns: list[Json] = []
    context: Json = {}
    said = f"{story.system}\n\n{story.opening if story.steps else ask}"
    for step in story.steps:
        turns.append({"userInputMessage": _spoken(said, context)})
        use = {"toolUseId": step["id"], "name": step["name"], "input": step["input"]}
        turns.append({"assistantResponseMessage": {"content": step["say"], "toolUses": [use]}})
        result = {"toolUseId": step["id"], "status": "success", "content": [{"text": step["result"]}]}
        said, context = "", {"toolResults": [result]}
    specs = [
        {"name": t["name"], "description": t["description"], "inputSchema": {"json": t["schema"]}} for t in story.tools
    ]
    now = {**context, "tools": [{"toolSpecification": spec} for spec in specs]} if specs else context
    state: Json = {
        "chatTriggerType": "MANUAL", "conversationId": "bench",
        "currentMessage": {"userInputMessage": _spoken(ask if story.steps else said, now)},
    }
    return {"conversationState": {**state, "history": turns} if turns else state}


def _spoken(said: str, context: Json) -> Json:
    message: Json = {"content": said, "modelId": MODEL, "origin": "AI_EDITOR"}
    return {**message, "userInputMessageContext": context} if context else message


# face -> path, headers beyond the usual ones, writer
FACES: Final[dict[str, tuple[str, dict[str, str], Callable[[Story, str], Json]]]] = {
    "messages": ("/v1/messages", {"x-api-key": KEY, "anthropic-version": "2023-06-01"}, messages),
    "chat": ("/v1/chat/completions", {"Authorization": f"Bearer {KEY}"}, chat),
    "responses": ("/v1/responses", {"Authorization": f"Bearer {KEY}"}, responses),
    "kiro": ("/generateAssistantResponse", {"Authorization": f"Bearer {KEY}"}, kiro),
}
SIZES: Final = ("small", "large")


@lru_cache(maxsize=64)
def body(face: str, size: str, script: Script) -> bytes:
    """The JSON of a request, with SERIAL where its number goes."""
    story = Story(size == "large")
    said = FACES[face][2](story, f"{SERIAL} {script} {story.question}")
    return json.dumps(said, separators=(",", ":")).encode()


def request(face: str, size: str, script: Script, serial: int) -> bytes:
    """A whole HTTP/1.1 request, ready to send."""
    path, headers, _ = FACES[face]
    data = body(face, size, script).replace(SERIAL.encode(), b"serial%08d" % serial)
    fields = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": len(data), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


if __name__ == "__main__":
    for face in FACES:
        for size in SIZES:
            print(face, size, len(body(face, size, Script(10))))
