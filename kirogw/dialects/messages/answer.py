"""An answer as the Messages API writes it: server-sent events, or the same collected into one JSON body.

Order: message_start; for each block content_block_start, deltas, content_block_stop; message_delta; message_stop. The
indices of the blocks are contiguous from 0. Clients break on anything else, and on missing usage.

A delta costs one orjson call on its text; all else of its event is put together once for its block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from kirogw.answer import (
    Answer,
    Block,
    CallDelta,
    CallStart,
    Citation,
    Event,
    HiddenThought,
    NativeItem,
    SearchCall,
    SearchResult,
    Stop,
    TextDelta,
    TextPhase,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
)
from kirogw.dialects.face import Ask, Heading
from kirogw.dialects.messages.blocks import STUMP, sealed_snippet
from kirogw.dialects.messages.errors import error_body
from kirogw.dialects.quoted import line, quoted
from kirogw.errors import BrokenAnswer, GatewayError
from kirogw.flow.tally import fold
from kirogw.wire import Json

STOPS: Final = {
    "end": "end_turn", "calls": "tool_use", "stop_sequence": "stop_sequence", "max_tokens": "max_tokens",
    "window": "model_context_window_exceeded", "refusal": "refusal", "pause": "pause_turn",
}  # fmt: skip

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
END: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
TAIL: Final = b"}}\n\n"

TEXT: Final = b'"text_delta","text":'
THINKING: Final = b'"thinking_delta","thinking":'
SIGNATURE: Final = b'"signature_delta","signature":'
ARGUMENTS: Final = b'"input_json_delta","partial_json":'


class _Call:
    """A call whose block may still grow: upstream calls can interleave."""

    __slots__ = ("head", "index", "pieces")

    def __init__(self, index: int) -> None:
        self.index = index
        self.head = _delta_head(index, ARGUMENTS)
        self.pieces: list[str] = []

    def whole(self) -> bool:
        """True once its arguments are JSON, and so nothing can follow."""
        try:
            orjson.loads("".join(self.pieces))
        except orjson.JSONDecodeError:
            return False
        return True


class AnswerWriter:
    """Writes one streamed answer (see face.Writer)."""

    __slots__ = ("_calls", "_head", "_heading", "_index", "_next", "_part", "_stop", "_usage")

    def __init__(self, heading: Heading, ask: Ask) -> None:
        self._heading = heading
        self._next = 0  # the index of the next block
        self._part = -1  # the text or thought whose block is open, by its part, index and first bytes of a delta
        self._index = -1
        self._head = b""
        self._calls: dict[int, _Call] = {}  # those whose blocks are open
        self._stop: Stop | None = None
        self._usage = Usage(input=heading.input)

    def begin(self) -> bytes:
        message = {**_message(self._heading), "content": [], "stop_reason": None, "stop_sequence": None,
                   "usage": _usage(Usage(input=self._heading.input))}  # fmt: skip
        return b"event: message_start\ndata: " + line({"type": "message_start", "message": message}) + b"\n\n"

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            WRITE[type(event)](self, event, out)
        return b"".join(out)

    def beat(self) -> bytes:
        return PING

    def end(self) -> bytes:
        if self._stop is None:  # never a clean finish for an answer that is none
            return self.fail(BrokenAnswer("the answer ended without a reason; try again in a moment"))
        out: list[bytes] = []
        self._close(out, every=True)
        delta = {"type": "message_delta", "delta": _stop(self._stop), "usage": _usage(self._usage)}
        out += (b"event: message_delta\ndata: ", line(delta), b"\n\n", END)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + line(error_body(error)) + b"\n\n"

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.part != self._part:
            self._open(event.part, {"type": "text", "text": ""}, TEXT, out)
        out += (self._head, quoted(event.text), TAIL)

    def _thought(self, event: ThoughtDelta, out: list[bytes]) -> None:
        if event.part != self._part:
            self._open(event.part, {"type": "thinking", "thinking": "", "signature": ""}, THINKING, out)
        out += (self._head, quoted(event.text), TAIL)

    def _seal(self, event: ThoughtSeal, out: list[bytes]) -> None:
        if event.part != self._part:
            self._open(event.part, {"type": "thinking", "thinking": "", "signature": ""}, THINKING, out)
        out += (_delta_head(self._index, SIGNATURE), quoted(event.seal), TAIL)

    def _hidden(self, event: HiddenThought, out: list[bytes]) -> None:
        self._whole({"type": "redacted_thinking", "data": event.seal}, out)

    def _call(self, event: CallStart, out: list[bytes]) -> None:
        index = self._start({"type": "tool_use", "id": event.id, "name": event.name, "input": {}}, out)
        self._calls[event.part] = _Call(index)

    def _arguments(self, event: CallDelta, out: list[bytes]) -> None:
        call = self._calls.get(event.part)
        if call is None:  # its arguments were whole before
            return
        call.pieces.append(event.json)
        fold(call.pieces)
        out += (call.head, quoted(event.json), TAIL)

    def _search(self, event: SearchCall, out: list[bytes]) -> None:
        index = self._start({"type": "server_tool_use", "id": event.id, "name": "web_search", "input": {}}, out)
        query = line({"query": event.query}).decode()
        out += (_delta_head(index, ARGUMENTS), quoted(query), TAIL, _stopped(index))

    def _found(self, event: SearchResult, out: list[bytes]) -> None:
        self._whole(_results(event.id, event.results, event.error), out)

    def _nothing(self, event: Event, out: list[bytes]) -> None:
        """This API has no words for it: what only the Responses API has, and citations without encrypted indices."""

    def _stopping(self, event: Stop, out: list[bytes]) -> None:
        self._stop = event

    def _used(self, event: Usage, out: list[bytes]) -> None:
        self._usage = event

    def _open(self, part: int, block: Json, kind: bytes, out: list[bytes]) -> None:
        self._index = self._start(block, out)
        self._part = part
        self._head = _delta_head(self._index, kind)

    def _whole(self, block: Json, out: list[bytes]) -> None:
        out.append(_stopped(self._start(block, out)))

    def _start(self, block: Json, out: list[bytes]) -> int:
        self._close(out)
        index, self._next = self._next, self._next + 1
        out += (b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":' % index,
                line(block), b"}\n\n")  # fmt: skip
        if index == 0:
            out.append(PING)  # where Anthropic has it
        return index

    def _close(self, out: list[bytes], every: bool = False) -> None:
        """Stop the blocks that can not grow any more: all but calls whose arguments are not whole yet."""
        if self._part >= 0:
            out.append(_stopped(self._index))
            self._part = -1
        for part, call in list(self._calls.items()):
            if every or call.whole():
                out.append(_stopped(call.index))
                del self._calls[part]


WRITE: Final[dict[type, Callable[[AnswerWriter, Any, list[bytes]], None]]] = {
    TextDelta: AnswerWriter._text, ThoughtDelta: AnswerWriter._thought, ThoughtSeal: AnswerWriter._seal,
    HiddenThought: AnswerWriter._hidden, CallStart: AnswerWriter._call, CallDelta: AnswerWriter._arguments,
    SearchCall: AnswerWriter._search, SearchResult: AnswerWriter._found, Stop: AnswerWriter._stopping,
    Usage: AnswerWriter._used, TextPhase: AnswerWriter._nothing, Citation: AnswerWriter._nothing,
    NativeItem: AnswerWriter._nothing,
}  # fmt: skip


def whole(answer: Answer, heading: Heading, ask: Ask) -> Json:
    """The answer that is not streamed: what the SDKs collect from the stream."""
    content = [BLOCKS[block.kind](block) for block in answer.blocks if block.kind in BLOCKS]
    return {**_message(heading), "content": content, **_stop(answer.stop), "usage": _usage(answer.usage)}


def _call_block(block: Block) -> Json:
    """Arguments that broke off stay what they are, in Claude Code's own words for it: `{}` or a repair would be run."""
    try:
        given = orjson.loads(block.text) if block.text else {}
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        given = {STUMP: {"raw": block.text, "len": len(block.text)}}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": given}


BLOCKS: Final[dict[str, Callable[[Block], Json]]] = {
    "text": lambda block: {"type": "text", "text": block.text},
    "thought": lambda block: {"type": "thinking", "thinking": block.text, "signature": block.seal},
    "hidden": lambda block: {"type": "redacted_thinking", "data": block.seal},
    "call": _call_block,
    "search": lambda block: {
        "type": "server_tool_use", "id": block.id, "name": "web_search", "input": {"query": block.text},
    },
    "results": lambda block: _results(block.id, block.results, block.error),
}  # fmt: skip


def _message(heading: Heading) -> Json:
    return {"id": "msg_" + heading.id, "type": "message", "role": "assistant", "model": heading.model}


def _results(id_: str, results: list[Json], error: str) -> Json:
    """The snippets travel in `encrypted_content`, so that they are there again when the client sends the block back."""
    content: Any = [
        {"type": "web_search_result", "url": found.get("url", ""), "title": found.get("title", ""),
         "encrypted_content": sealed_snippet(found.get("snippet") or ""), "page_age": found.get("page_age")}
        for found in results
    ]  # fmt: skip
    if error:
        content = {"type": "web_search_tool_result_error", "error_code": error}
    return {"type": "web_search_tool_result", "tool_use_id": id_, "content": content}


def _stop(stop: Stop) -> Json:
    delta: Json = {"stop_reason": STOPS[stop.reason], "stop_sequence": stop.sequence or None}
    if stop.reason == "refusal":
        delta["stop_details"] = {"type": "refusal", "category": None, "explanation": stop.detail or None}
    return delta


def _usage(usage: Usage) -> Json:
    """Anthropic's `input_tokens` are those that no cache served."""
    figures: Json = {
        "input_tokens": max(0, usage.input - usage.cache_read - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.thinking:
        figures["output_tokens_details"] = {"thinking_tokens": usage.thinking}
    if usage.searches:
        figures["server_tool_use"] = {"web_search_requests": usage.searches, "web_fetch_requests": 0}
    return figures


def _delta_head(index: int, kind: bytes) -> bytes:
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":' % index
    return head + kind


def _stopped(index: int) -> bytes:
    return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index
