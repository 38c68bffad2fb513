"""Reads one answer whole, the way a client of its API does, and compares all of it with the script.

The load client only counts marks and looks for endings; a contender that passes here may be measured by that.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import bodies
import script as scripts
from script import Script

# What was said: the text, each call's arguments, the reason for the end.
Said: TypeAlias = tuple[str, list[dict[str, Any]], str]

_TIME: Final = re.compile(r":\d{19};")


class WrongAnswer(Exception):
    """The answer is not what the script says."""


def ask(port: int, face: str, size: str, script: Script) -> bytes:
    """The whole body of one answer. Raises OSError or WrongAnswer."""
    path, headers, _ = bodies.FACES[face]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        fields = {"Content-Type": "application/json", **headers}
        connection.request("POST", path, bodies.body(face, size, script), fields)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswer(f"{face}: status {answer.status}: {data[:300]!r}")
    return data


def check(port: int, face: str, size: str, script: Script) -> None:
    """Raises WrongAnswer unless the answer says what the script says, and properly ends."""
    said = READERS[face](ask(port, face, size, script))
    reason = {"messages": ("end_turn", "tool_use"), "chat": ("stop", "tool_calls"), "kiro": ("END_TURN", "TOOL_USE"),
              "responses": ("completed", "completed")}  # fmt: skip
    wanted = (scripts.text(script), scripts.calls(script), reason[face][bool(script.tools)])
    for what, got, want in zip(("text", "calls", "end"), said, wanted, strict=True):
        if got != want:
            raise WrongAnswer(f"{face}, {script}: {what} is {str(got)[:300]!r}, not {str(want)[:300]!r}")


def _unsent(text: str) -> str:
    return _TIME.sub(f":{scripts.UNSENT};", text)


def _events(body: bytes) -> Iterator[str]:
    """The data of each server-sent event."""
    if not body.endswith(b"\n\n"):
        raise WrongAnswer("the last event is cut")
    for event in body.decode().split("\n\n"):
        data = "\n".join(line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:"))
        if data:
            yield data


def _messages(body: bytes) -> Said:
    events = [json.loads(data) for data in _events(body)]
    if (events[0]["type"], events[-1]["type"]) != ("message_start", "message_stop"):
        raise WrongAnswer(f"from {events[0]} to {events[-1]}")
    blocks: dict[int, str] = {}
    kinds = []
    end = ""
    for event in events:
        if event["type"] == "content_block_start":
            kinds.append(event["content_block"]["type"])
            blocks[event["index"]] = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            blocks[event["index"]] += delta["text"] if delta["type"] == "text_delta" else delta["partial_json"]
        elif event["type"] == "message_delta":
            end = event["delta"]["stop_reason"]
    if list(blocks) != list(range(len(kinds))):
        raise WrongAnswer(f"blocks {list(blocks)}")
    texts = [_unsent(text) for text in blocks.values()]
    spoken = "".join(text for kind, text in zip(kinds, texts, strict=True) if kind == "text")
    return spoken, [json.loads(t) for kind, t in zip(kinds, texts, strict=True) if kind == "tool_use"], end


def _chat(body: bytes) -> Said:
    *events, done = _events(body)
    if done != "[DONE]":
        raise WrongAnswer(f"ends with {done}")
    text, end = "", ""
    calls: dict[int, str] = {}
    for choice in (choice for data in events for choice in json.loads(data)["choices"]):
        text += choice["delta"].get("content") or ""
        end = choice.get("finish_reason") or end
        for call in choice["delta"].get("tool_calls") or ():
            calls[call["index"]] = calls.get(call["index"], "") + (call["function"].get("arguments") or "")
    return _unsent(text), [json.loads(_unsent(call)) for call in calls.values()], end


def _responses(body: bytes) -> Said:
    """By its pieces, which must come to what the items say when they are done."""
    events = [json.loads(data) for data in _events(body)]
    if [event["sequence_number"] for event in events] != list(range(len(events))):
        raise WrongAnswer("the events are not numbered in order")
    pieces: dict[str, str] = {}
    done: dict[str, Any] = {}
    for event in events:
        if event["type"] in ("response.output_text.delta", "response.function_call_arguments.delta"):
            pieces[event["item_id"]] = pieces.get(event["item_id"], "") + event["delta"]
        elif event["type"] == "response.output_item.done":
            done[event["item"]["id"]] = event["item"]
    whole = {item: one["arguments"] if "arguments" in one else one["content"][0]["text"] for item, one in done.items()}
    if pieces != whole or events[-1]["response"]["output"] != list(done.values()):
        raise WrongAnswer(f"the pieces come to {str(pieces)[:300]}, the items to {str(whole)[:300]}")
    calls = [json.loads(_unsent(one["arguments"])) for one in done.values() if one["type"] == "function_call"]
    spoken = "".join(whole[item] for item, one in done.items() if one["type"] == "message")
    return _unsent(spoken), calls, events[-1]["response"]["status"]


def _kiro(body: bytes) -> Said:
    text, end = "", ""
    calls: dict[str, str] = {}
    while body:
        total, size = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        event = json.loads(body[12 + size : total - 4])
        body = body[total:]
        text += event.get("content", "")
        end = event.get("stopReason", end)
        if "toolUseId" in event:
            calls[event["toolUseId"]] = calls.get(event["toolUseId"], "") + event.get("input", "")
    return _unsent(text), [json.loads(_unsent(call)) for call in calls.values()], end


READERS: Final = {"messages": _messages, "chat": _chat, "responses": _responses, "kiro": _kiro}
