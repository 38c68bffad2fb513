"""An answer as the Chat Completions API writes it: chunks and `[DONE]`, or the same collected into one JSON body.

Order: a chunk with the role; deltas; a chunk with the finish reason; the usage, if asked for; `[DONE]`.

A delta costs one orjson call on its text; all else of its chunk is put together once for the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

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
from kirogw.dialects.custom import Unwrapped, unwrapped
from kirogw.dialects.face import Ask, Heading
from kirogw.dialects.openai import error_body
from kirogw.dialects.quoted import line, quoted
from kirogw.errors import BrokenAnswer, GatewayError
from kirogw.wire import Json

STOPS: Final = {
    "end": "stop", "calls": "tool_calls", "stop_sequence": "stop", "max_tokens": "length", "window": "length",
    "refusal": "content_filter", "pause": "stop",
}  # fmt: skip

PING: Final = b": ping\n\n"  # any byte counts as life for the clients of this API, and a comment disturbs none of them
DONE: Final = b"data: [DONE]\n\n"


class _Call:
    __slots__ = ("bare", "head", "tail", "text")

    def __init__(self, head: bytes, tail: bytes, text: Unwrapped | None) -> None:
        self.head = head
        self.tail = tail
        self.text = text  # for a custom tool
        self.bare = True  # nothing of its arguments went out yet


class AnswerWriter:
    """Writes one streamed answer (see face.Writer)."""

    __slots__ = (
        "_asked", "_calls", "_custom", "_head", "_heading", "_legacy", "_part", "_said", "_since", "_sources",
        "_stop", "_tail", "_text_head", "_text_tail", "_thought_head", "_usage",
    )  # fmt: skip

    def __init__(self, heading: Heading, ask: Ask) -> None:
        self._heading = heading
        self._asked = ask.usage
        self._legacy = bool(ask.echo.get("functions"))
        self._custom: frozenset[str] = ask.echo.get("custom", frozenset())
        self._calls: dict[int, _Call] = {}
        self._sources: list[Json] = []
        self._part = -1  # the text that is being told,
        self._since = 0  # after so many characters
        self._said = 0
        self._stop: Stop | None = None
        self._usage = Usage(input=heading.input)
        chunk = line(self._chunk([]))[:-1]  # {...,"choices":[]} or {...,"choices":[],"usage":null}, open
        head, tail = chunk.split(b'"choices":[]')
        self._head = b"data: " + head + b'"choices":[{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]' + tail + b"}\n\n"
        self._text_head, self._text_tail = self._head + b'{"content":', b"}" + self._tail
        self._thought_head = self._head + b'{"reasoning_content":'

    def begin(self) -> bytes:
        return self._delta({"role": "assistant", "content": "", "refusal": None})

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
        for call in self._calls.values():
            self._finish(call, out)
        if self._sources:
            out.append(self._delta({"annotations": self._sources}))
        if self._stop.detail and self._stop.reason == "refusal":
            out.append(self._delta({"refusal": self._stop.detail}))
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _finish(self._stop, self._legacy)}
        out.append(_event(self._chunk([choice])))
        if self._asked:
            out.append(_event({**self._chunk([]), "usage": _usage(self._usage)}))
        out.append(DONE)
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        return _event(error_body(error))

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.part != self._part:
            self._another(event.part, out)
        self._said += len(event.text)
        out += (self._text_head, quoted(event.text), self._text_tail)

    def _another(self, part: int, out: list[bytes]) -> None:
        """One text more, where this API has one for all: a blank line between them."""
        if self._said:
            out += (self._text_head, b'"\\n\\n"', self._text_tail)
            self._said += 2
        self._part, self._since = part, self._said

    def _thought(self, event: ThoughtDelta, out: list[bytes]) -> None:
        out += (self._thought_head, quoted(event.text), self._text_tail)

    def _call(self, event: CallStart, out: list[bytes]) -> None:
        if self._legacy:
            self._function_call(event, out)
            return
        index, custom = len(self._calls), event.name in self._custom
        kind, member = ("custom", "input") if custom else ("function", "arguments")
        out.append(self._delta({"tool_calls": [
            {"index": index, "id": event.id, "type": kind, kind: {"name": event.name, member: ""}}
        ]}))  # fmt: skip
        head = self._head + b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (index, kind.encode(), member.encode())
        self._calls[event.part] = _Call(head, b"}}]}" + self._tail, Unwrapped() if custom else None)

    def _function_call(self, event: CallStart, out: list[bytes]) -> None:
        """The legacy form, which holds one call: the conversation was asked for no more (request.read_choice)."""
        if not self._calls:
            out.append(self._delta({"function_call": {"name": event.name, "arguments": ""}}))
            self._calls[event.part] = _Call(self._head + b'{"function_call":{"arguments":', b"}}" + self._tail, None)

    def _arguments(self, event: CallDelta, out: list[bytes]) -> None:
        call = self._calls.get(event.part)
        if call is None:  # a second call in the legacy form
            return
        text = event.json if call.text is None else call.text.receive(event.json)
        if text:
            call.bare = False
            out += (call.head, quoted(text), call.tail)

    def _finish(self, call: _Call, out: list[bytes]) -> None:
        """Clients parse the arguments, so a call without any has `{}`."""
        rest = call.text.close() if call.text is not None else "{}" if call.bare else ""
        if rest:
            out += (call.head, quoted(rest), call.tail)

    def _found(self, event: SearchResult, out: list[bytes]) -> None:
        self._sources += _annotations(event.results)

    def _cited(self, event: Citation, out: list[bytes]) -> None:
        self._sources.append(_citation(event, self._since))

    def _stopping(self, event: Stop, out: list[bytes]) -> None:
        self._stop = event

    def _used(self, event: Usage, out: list[bytes]) -> None:
        self._usage = event

    def _nothing(self, event: Event, out: list[bytes]) -> None:
        """This API has no words for it: seals of thoughts, that a search began, items of the Responses API."""

    def _delta(self, delta: Json) -> bytes:
        return self._head + line(delta) + self._tail

    def _chunk(self, choices: list[Json]) -> Json:
        chunk = {**_completion(self._heading, "chat.completion.chunk"), "choices": choices}
        return {**chunk, "usage": None} if self._asked else chunk


WRITE: Final[dict[type, Callable[[AnswerWriter, Any, list[bytes]], None]]] = {
    TextDelta: AnswerWriter._text, ThoughtDelta: AnswerWriter._thought, CallStart: AnswerWriter._call,
    CallDelta: AnswerWriter._arguments, SearchResult: AnswerWriter._found, Stop: AnswerWriter._stopping,
    Usage: AnswerWriter._used, ThoughtSeal: AnswerWriter._nothing, HiddenThought: AnswerWriter._nothing,
    SearchCall: AnswerWriter._nothing, NativeItem: AnswerWriter._nothing, TextPhase: AnswerWriter._nothing,
    Citation: AnswerWriter._cited,
}  # fmt: skip


def whole(answer: Answer, heading: Heading, ask: Ask) -> Json:
    """The answer that is not streamed: what the SDKs collect from the stream."""
    legacy = bool(ask.echo.get("functions"))
    choice = {"index": 0, "message": _message(answer, ask, legacy), "logprobs": None,
              "finish_reason": _finish(answer.stop, legacy)}  # fmt: skip
    return {**_completion(heading, "chat.completion"), "choices": [choice], "usage": _usage(answer.usage)}


def _message(answer: Answer, ask: Ask, legacy: bool) -> Json:
    text, sources = _content(answer.blocks)
    thought = "".join(block.text for block in answer.blocks if block.kind == "thought")
    calls = [block for block in answer.blocks if block.kind == "call"]
    refusal = answer.stop.detail if answer.stop.reason == "refusal" else ""
    message: Json = {"role": "assistant", "content": text if text or not calls else None, "refusal": refusal or None}
    if thought:
        message["reasoning_content"] = thought
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].text or "{}"}
    elif calls:
        message["tool_calls"] = [_call_block(call, ask.echo.get("custom", ())) for call in calls]
    if sources:
        message["annotations"] = sources
    return message


def _call_block(call: Block, custom: frozenset[str]) -> Json:
    if call.name in custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": unwrapped(call.text)}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text or "{}"}}


def _completion(heading: Heading, kind: str) -> Json:
    return {"id": "chatcmpl-" + heading.id, "object": kind, "created": heading.created, "model": heading.model,
            "system_fingerprint": None}  # fmt: skip


def _finish(stop: Stop, legacy: bool) -> str:
    return "function_call" if legacy and stop.reason == "calls" else STOPS[stop.reason]


def _content(blocks: list[Block]) -> tuple[str, list[Json]]:
    """One text of them all, as it is streamed, with a blank line between two; and its sources, in the same order."""
    text, sources = "", []
    for block in blocks:
        if block.kind == "text":
            text += "\n\n" if text and block.text else ""
            sources += [_citation(cited, len(text)) for cited in block.citations]
            text += block.text
        sources += _annotations(block.results)
    return text, sources


def _citation(cited: Citation, since: int) -> Json:
    span = {"start_index": since + cited.start, "end_index": since + cited.end}
    return {"type": "url_citation", "url_citation": {**span, "title": cited.title, "url": cited.url}}


def _annotations(results: list[Json]) -> list[Json]:
    """Sources of the answer. Which words of it rest on which source is not known, so they span none."""
    return [
        {"type": "url_citation", "url_citation": {
            "start_index": 0, "end_index": 0, "title": found.get("title", ""), "url": found.get("url", ""),
        }}
        for found in results
    ]  # fmt: skip


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking},
    }


def _event(data: Json) -> bytes:
    return b"data: " + line(data) + b"\n\n"
