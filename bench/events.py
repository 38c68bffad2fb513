"""The bench's answer as ChatGPT's Codex backend says it: server-sent events of the Responses API, encoded beforehand.

The same scripts and marks as script.py: a text frame is a `response.output_text.delta`, a tool part the start of a
function call, a `response.function_call_arguments.delta` or its end. As the service does, what was said in pieces is
said again whole when an item is done, and `response.completed` has an empty output. (codex 7)
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias

import script as scripts
from script import MARK, Script, chunk

Json: TypeAlias = dict[str, Any]

STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: bench\r\nx-codex-primary-used-percent: 1.0\r\nx-codex-primary-window-minutes: 300\r\n"
    b"x-codex-primary-reset-after-seconds: 9000\r\n\r\n"
)
_RESPONSE: Final[Json] = {
    "id": "resp_bench0000000000000000000000", "object": "response", "created_at": 1_795_000_000, "model": scripts.MODEL,
    "status": "in_progress", "error": None, "incomplete_details": None, "instructions": None, "output": [],
    "max_output_tokens": None, "parallel_tool_calls": True, "previous_response_id": None, "store": False,
    "reasoning": {"effort": None, "summary": None}, "temperature": 1.0, "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": None, "user": None,
    "metadata": {},
}
_MESSAGE: Final[Json] = {"id": "msg_bench", "type": "message", "status": "in_progress", "role": "assistant"}
_USAGE: Final[Json] = {
    "input_tokens": 400, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 490,
}


def event(kind: str, number: int, members: Json) -> bytes:
    body = {"type": kind, "sequence_number": number, **members}
    return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()


class Ready:
    """An event in its HTTP chunk, encoded but for the time of its mark."""

    __slots__ = ("_after", "_before", "_whole")

    def __init__(self, data: bytes) -> None:
        self._whole = chunk(data)
        mark = MARK.search(self._whole)
        self._before, self._after = (self._whole[: mark.start(2)], self._whole[mark.end(2) :]) if mark else (b"", b"")

    def at(self, now: int) -> bytes:
        """The chunk as sent at `now`, nanoseconds; 0 is 'not said'."""
        return b"%b%019d%b" % (self._before, now, self._after) if now and self._before else self._whole


def _parts(script: Script) -> Iterator[tuple[tuple[str, Json], ...]]:
    """One group of events for each text frame and tool part; what opens or closes an item goes with its neighbour."""
    yield from _text(script)
    for call in range(script.tools // scripts.PARTS_PER_CALL):
        yield from _call(call, script)


def _text(script: Script) -> Iterator[tuple[tuple[str, Json], ...]]:
    at = {"item_id": _MESSAGE["id"], "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opening = (
        ("response.output_item.added", {"output_index": 0, "item": {**_MESSAGE, "content": []}}),
        ("response.content_part.added", {**at, "part": empty}),
    )
    whole = {**empty, "text": scripts.text(script)}
    closing = (
        ("response.output_text.done", {**at, "text": whole["text"], "logprobs": []}),
        ("response.content_part.done", {**at, "part": whole}),
        ("response.output_item.done",
         {"output_index": 0, "item": {**_MESSAGE, "status": "completed", "content": [whole]}}),
    )
    for number in range(script.frames):
        delta = ("response.output_text.delta", {**at, "delta": scripts.marked(number), "logprobs": []})
        first, last = number == 0, number == script.frames - 1
        yield (*(opening if first else ()), delta, *(closing if last else ()))


def _call(call: int, script: Script) -> Iterator[tuple[tuple[str, Json], ...]]:
    index = call + 1
    pieces = scripts.pieces(call, script)
    item = {"id": f"fc_bench{call:04d}", "type": "function_call", "status": "in_progress", "arguments": "",
            "call_id": f"call_bench{call:04d}", "name": "write_file"}  # fmt: skip
    at = {"item_id": item["id"], "output_index": index}
    yield (("response.output_item.added", {"output_index": index, "item": item}),)
    for piece in pieces:
        yield (("response.function_call_arguments.delta", {**at, "delta": piece}),)
    whole = "".join(pieces)
    done = {**item, "status": "completed", "arguments": whole}
    yield (
        ("response.function_call_arguments.done", {**at, "arguments": whole}),
        ("response.output_item.done", {"output_index": index, "item": done}),
    )


@lru_cache(maxsize=64)
def _numbered(script: Script) -> tuple[bytes, tuple[Ready, ...], bytes]:
    """The head, what each frame and part says, and the tail."""
    numbers = itertools.count()
    head = b"".join(event(kind, next(numbers), {"response": _RESPONSE})
                    for kind in ("response.created", "response.in_progress"))  # fmt: skip
    middle = tuple(Ready(b"".join(event(kind, next(numbers), members) for kind, members in group))
                   for group in _parts(script))  # fmt: skip
    completed = {**_RESPONSE, "status": "completed", "usage": _USAGE}
    tail = chunk(event("response.completed", next(numbers), {"response": completed})) + b"0\r\n\r\n"
    return chunk(head), middle, tail


def head(script: Script) -> bytes:
    return _numbered(script)[0]


def ready(script: Script) -> tuple[Ready, ...]:
    return _numbered(script)[1]


def tail(script: Script) -> bytes:
    return _numbered(script)[2]


@lru_cache(maxsize=64)
def at_once(script: Script) -> bytes:
    """The whole body of an answer without pauses."""
    return head(script) + b"".join(one.at(0) for one in ready(script)) + tail(script)
