"""An answer as the Responses API streams it: server-sent events, the last of which has the whole response object.

Order: response.created, response.in_progress; for each item response.output_item.added, its deltas, what they come to,
response.output_item.done; response.completed, .incomplete or .failed, with all items. Several calls may be open at
once. Every event has its `sequence_number`, every item its place in `output` and an id that is made of the answer's.

A delta costs one orjson call on its text; all else of its event is put together once for its item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kirogw.answer import (
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
from kirogw.conversation import Tool
from kirogw.dialects.face import Ask, Heading
from kirogw.dialects.quoted import line, quoted
from kirogw.dialects.responses import tools
from kirogw.dialects.responses.calls import FORMS, Call
from kirogw.dialects.responses.chain import PREFIXES, shown_item
from kirogw.dialects.responses.errors import failure
from kirogw.errors import BrokenAnswer, GatewayError
from kirogw.flow.tally import fold
from kirogw.wire import Json

INCOMPLETE: Final = {"max_tokens": "max_output_tokens", "window": "max_output_tokens", "refusal": "content_filter"}
"""The reasons for which an answer is not whole, in OpenAI's words. All others are an end."""
CUT: Final = "a tool call broke off before it was whole; try again in a moment, or ask for it in smaller pieces"
"""Of an answer whose client set no limit: a failure, for at an incomplete answer Codex gives up, and it need not."""
TAIL: Final = b',"sequence_number":%d}\n\n'


class _Text:
    """A message that is being written."""

    def __init__(self, index: int, id_: str, phase: str) -> None:
        self.index, self.id, self.phase = index, id_, phase
        self.pieces: list[str] = []
        self.annotations: list[Json] = []
        self.where = {"item_id": id_, "output_index": index, "content_index": 0}
        self.head = _head("response.output_text.delta", id_, index, b'"content_index":0,"logprobs":[],"delta":')

    def part(self, text: str = "") -> Json:
        return {"type": "output_text", "text": text, "annotations": self.annotations, "logprobs": []}

    def item(self, status: str, content: list[Json]) -> Json:
        item = {"type": "message", "id": self.id, "status": status, "role": "assistant", "content": content}
        return {**item, "phase": self.phase} if self.phase else item


class _Thought:
    """A reasoning item that is being written."""

    def __init__(self, index: int, id_: str) -> None:
        self.index, self.id, self.seal = index, id_, ""
        self.pieces: list[str] = []
        self.where = {"item_id": id_, "output_index": index, "summary_index": 0}
        self.head = _head("response.reasoning_summary_text.delta", id_, index, b'"summary_index":0,"delta":')

    def item(self, text: str) -> Json:
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"type": "reasoning", "id": self.id, "summary": summary, "encrypted_content": self.seal or None}


class AnswerWriter:
    """Writes one streamed answer (see face.Writer)."""

    __slots__ = (
        "_calls", "_count", "_done", "_found", "_heading", "_limited", "_next", "_part", "_phase", "_repeated",
        "_response", "_seals", "_searches", "_sources", "_state", "_stop", "_text", "_thought", "_tools", "_usage",
    )  # fmt: skip

    def __init__(self, heading: Heading, ask: Ask) -> None:
        echo = ask.echo
        self._heading = heading
        self._seals, self._sources = bool(echo.get("seals")), bool(echo.get("sources"))
        self._tools: dict[str, Tool] = echo.get("tools", {})
        self._limited = echo.get("response", {}).get("max_output_tokens") is not None
        self._response = {
            "id": "resp_" + heading.id, "object": "response", "created_at": heading.created, "model": heading.model,
            **echo.get("response", {}),
        }  # fmt: skip
        self._repeated = line(self._response)[:-1]  # open: the rest follows
        self._state: Json = _state("in_progress")
        self._count = 0  # of events
        self._next = 0  # the place of the next item
        self._done: dict[int, Json] = {}  # items by their places, with their seals
        self._part = -1  # the text or thought that is open
        self._text: _Text | None = None
        self._thought: _Thought | None = None
        self._phase = ""
        self._calls: dict[int, Call] = {}  # those that are open, by their parts
        self._searches: dict[str, tuple[int, Json]] = {}
        self._found: list[Json] = []  # pages that no text has named yet
        self._stop: Stop | None = None
        self._usage = Usage(input=heading.input)

    def response(self) -> Json:
        """The response object as it stands, with the seals whether or not the client asked for them."""
        output = [item for _, item in sorted(self._done.items())]
        return {**self._response, **self._state, "output": output}

    # the protocol of writers

    def begin(self) -> bytes:
        return self._lifecycle("response.created") + self._lifecycle("response.in_progress")

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            WRITE[type(event)](self, event, out)
        if self._text:
            fold(self._text.pieces)
        if self._thought:
            fold(self._thought.pieces)
        return b"".join(out)

    def beat(self) -> bytes:
        """An event, for Codex does not count comments as life."""
        return self._event("keepalive")

    def end(self) -> bytes:
        if self._stop is None:  # never a clean finish for an answer that is none
            return self.fail(BrokenAnswer("the answer ended without a reason; try again in a moment"))
        out: list[bytes] = []
        reason, used = INCOMPLETE.get(self._stop.reason), usage(self._usage)
        cut = bool(reason) and not self._limited and not all(call.whole() for call in self._calls.values())
        self._close(out, every=True, last="incomplete" if reason else "completed")
        if self._stop.reason == "refusal" and self._stop.detail:
            self._refusal(self._stop.detail, out)
        status = "failed" if cut else "incomplete" if reason else "completed"
        if cut:
            self._state = _state(status, usage=used, error=failure(BrokenAnswer(CUT)))
        else:
            self._state = _state(status, usage=used, reason=reason)
        out.append(self._lifecycle("response." + status))
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        self._state = _state("failed", error=failure(error))
        return self._lifecycle("response.failed")

    # items

    def _write_text(self, event: TextDelta, out: list[bytes]) -> None:
        text = self._text
        if text is None or event.part != self._part:
            text = self._open_text(event.part, out)
        text.pieces.append(event.text)
        number, self._count = self._count, self._count + 1
        out += (text.head, quoted(event.text), TAIL % number)

    def _write_phase(self, event: TextPhase, out: list[bytes]) -> None:
        """The message begins with its first word, so that one without any is none."""
        self._close(out)
        self._phase, self._part = event.phase, -1

    def _open_text(self, part: int, out: list[bytes]) -> _Text:
        index, id_ = self._place("msg", out)
        text = self._text = _Text(index, id_, self._phase)
        self._part, self._phase = part, ""
        self._added(index, text.item("in_progress", []), out)
        out.append(self._event("response.content_part.added", **text.where, part=text.part()))
        return text

    def _close_text(self, text: _Text, status: str, out: list[bytes]) -> None:
        for found in self._found:
            self._annotate(text, found, out)
        self._found = []
        part = text.part("".join(text.pieces))
        out += (
            self._event("response.output_text.done", **text.where, text=part["text"], logprobs=[]),
            self._event("response.content_part.done", **text.where, part=part),
        )
        self._finish(text.index, text.item(status, [part]), out)

    def _cite(self, event: Citation, out: list[bytes]) -> None:
        text = self._text
        if text is None or event.part != self._part:
            return
        cited = {"type": "url_citation", "url": event.url, "title": event.title, "start_index": event.start,
                 "end_index": event.end}  # fmt: skip
        self._annotate(text, cited, out)

    def _annotate(self, text: _Text, annotation: Json, out: list[bytes]) -> None:
        place = len(text.annotations)
        text.annotations.append(annotation)
        out.append(self._event("response.output_text.annotation.added", **text.where, annotation_index=place,
                               annotation=annotation))  # fmt: skip

    def _refusal(self, words: str, out: list[bytes]) -> None:
        index, id_ = self._place("msg", out)
        part, where = {"type": "refusal", "refusal": words}, {"item_id": id_, "output_index": index, "content_index": 0}
        message = {"type": "message", "id": id_, "status": "in_progress", "role": "assistant", "content": []}
        self._added(index, message, out)
        out += (
            self._event("response.content_part.added", **where, part={**part, "refusal": ""}),
            self._event("response.refusal.delta", **where, delta=words),
            self._event("response.refusal.done", **where, refusal=words),
            self._event("response.content_part.done", **where, part=part),
        )
        self._finish(index, {**message, "status": "completed", "content": [part]}, out)

    def _think(self, event: ThoughtDelta, out: list[bytes]) -> None:
        thought = self._thinking(event.part, out)
        if not thought.pieces:
            part = {"type": "summary_text", "text": ""}
            out.append(self._event("response.reasoning_summary_part.added", **thought.where, part=part))
        thought.pieces.append(event.text)
        out += (thought.head, quoted(event.text), self._tail())

    def _seal(self, event: ThoughtSeal, out: list[bytes]) -> None:
        self._thinking(event.part, out).seal = event.seal

    def _hide(self, event: HiddenThought, out: list[bytes]) -> None:
        self._thinking(event.part, out).seal = event.seal

    def _thinking(self, part: int, out: list[bytes]) -> _Thought:
        if (thought := self._thought) is not None and part == self._part:
            return thought
        index, id_ = self._place("rs", out)
        thought = self._thought = _Thought(index, id_)
        self._part = part
        self._added(index, thought.item(""), out)
        return thought

    def _close_thought(self, thought: _Thought, out: list[bytes]) -> None:
        text = "".join(thought.pieces)
        if thought.pieces:
            part = {"type": "summary_text", "text": text}
            out += (
                self._event("response.reasoning_summary_text.done", **thought.where, text=text),
                self._event("response.reasoning_summary_part.done", **thought.where, part=part),
            )
        self._finish(thought.index, thought.item(text), out)

    def _call(self, event: CallStart, out: list[bytes]) -> None:
        tool = self._tools.get(event.name)
        form = FORMS[tools.form(tool) if tool else "function"]
        index, id_ = self._place(form.prefix, out)
        head = _head(form.delta, id_, index, b'"delta":') if form.delta else b""
        call = self._calls[event.part] = Call(form, tool, event, index, id_, head)
        self._added(index, call.item("in_progress", ""), out)

    def _arguments(self, event: CallDelta, out: list[bytes]) -> None:
        call = self._calls.get(event.part)
        if call is None:  # its arguments were whole before
            return
        text = call.receive(event.json)
        if text and call.head:
            out += (call.head, quoted(text), self._tail())

    def _close_call(self, call: Call, out: list[bytes]) -> None:
        if (rest := call.close()) and call.head:
            out += (call.head, quoted(rest), self._tail())
        if call.form.done:
            out.append(self._event(call.form.done, item_id=call.id, output_index=call.index, **call.said()))
        self._finish(call.index, call.item("completed", call.text()), out)

    def _search(self, event: SearchCall, out: list[bytes]) -> None:
        index, id_ = self._place("ws", out)
        action = {"type": "search", "query": event.query, "queries": [event.query]}
        item = {"type": "web_search_call", "id": id_, "status": "in_progress", "action": action}
        self._searches[event.id] = index, item
        self._added(index, item, out)
        where = {"item_id": id_, "output_index": index}
        out += (
            self._event("response.web_search_call.in_progress", **where),
            self._event("response.web_search_call.searching", **where),
        )

    def _results(self, event: SearchResult, out: list[bytes]) -> None:
        if event.id not in self._searches:
            return
        index, item = self._searches.pop(event.id)
        self._found += map(_annotation, event.results)
        sources = [{"type": "url", "url": found.get("url", "")} for found in event.results]
        action = {**item["action"], "sources": sources} if self._sources else item["action"]
        out.append(self._event("response.web_search_call.completed", item_id=item["id"], output_index=index))
        self._finish(index, {**item, "action": action, "status": "failed" if event.error else "completed"}, out)

    def _native(self, event: NativeItem, out: list[bytes]) -> None:
        """As it came, but for its id: that of an item of ours names the answer, so that clients can refer to it."""
        index, id_ = self._place(PREFIXES.get(str(event.item.get("type")), "it"), out)
        item = {**event.item, "id": id_}
        self._added(index, item, out)
        self._finish(index, item, out)

    def _stopping(self, event: Stop, out: list[bytes]) -> None:
        self._stop = event

    def _used(self, event: Usage, out: list[bytes]) -> None:
        self._usage = event

    # their beginning and end

    def _place(self, prefix: str, out: list[bytes]) -> tuple[int, str]:
        """The place and id of the next item; what can not grow any more is closed."""
        self._close(out)
        index, self._next = self._next, self._next + 1
        return index, f"{prefix}_{self._heading.id}{index}"

    def _close(self, out: list[bytes], every: bool = False, last: str = "completed") -> None:
        """Close the open text or thought, and the calls whose arguments are whole. At the end `every` one, where those
        that break off are `last`: no event says of such a call that it is done, for Codex would run half a program.
        """
        if (text := self._text) is not None:
            self._text = None
            self._close_text(text, last, out)
        if (thought := self._thought) is not None:
            self._thought = None
            self._close_thought(thought, out)
        for part, call in list(self._calls.items()):
            if call.whole() or (every and last == "completed"):
                del self._calls[part]
                self._close_call(call, out)
        if every:
            for call in self._calls.values():
                call.close()
                self._done[call.index] = call.item(last, call.text())
            for index, item in self._searches.values():
                self._finish(index, {**item, "status": "failed"}, out)

    def _added(self, index: int, item: Json, out: list[bytes]) -> None:
        out.append(self._event("response.output_item.added", output_index=index, item=item))

    def _finish(self, index: int, item: Json, out: list[bytes]) -> None:
        self._done[index] = item
        out.append(self._event("response.output_item.done", output_index=index, item=self._shown(item)))

    def _shown(self, item: Json) -> Json:
        return item if self._seals else shown_item(item, ())

    # events

    def _lifecycle(self, kind: str) -> bytes:
        output = [self._shown(item) for _, item in sorted(self._done.items())]
        rest = line({**self._state, "output": output})[1:]
        return b'event: %b\ndata: {"type":"%b","response":%b,%b%b' % (
            kind.encode(), kind.encode(), self._repeated, rest, self._tail())  # fmt: skip

    def _event(self, kind: str, /, **members: Any) -> bytes:
        data = line({"type": kind, **members})[:-1]
        return b"event: %b\ndata: %b%b" % (kind.encode(), data, self._tail())

    def _tail(self) -> bytes:
        number, self._count = self._count, self._count + 1
        return TAIL % number


WRITE: Final[dict[type, Callable[[AnswerWriter, Any, list[bytes]], None]]] = {
    TextDelta: AnswerWriter._write_text, TextPhase: AnswerWriter._write_phase, Citation: AnswerWriter._cite,
    ThoughtDelta: AnswerWriter._think, ThoughtSeal: AnswerWriter._seal, HiddenThought: AnswerWriter._hide,
    CallStart: AnswerWriter._call, CallDelta: AnswerWriter._arguments, SearchCall: AnswerWriter._search,
    SearchResult: AnswerWriter._results, NativeItem: AnswerWriter._native, Stop: AnswerWriter._stopping,
    Usage: AnswerWriter._used,
}  # fmt: skip


def _state(status: str, *, usage: Json | None = None, error: Json | None = None, reason: str | None = None) -> Json:
    """What of a response object changes with its state."""
    return {"status": status, "error": error, "incomplete_details": {"reason": reason} if reason else None,
            "usage": usage}  # fmt: skip


def _annotation(found: Json) -> Json:
    """A source of the answer. Which words of it rest on which source is not known, so it spans none."""
    return {"type": "url_citation", "url": found.get("url", ""), "title": found.get("title", ""), "start_index": 0,
            "end_index": 0}  # fmt: skip


def usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": usage.input + usage.output,
    }


def _head(kind: str, item_id: str, index: int, more: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b","item_id":"%b","output_index":%d,%b' % (
        kind.encode(), kind.encode(), item_id.encode(), index, more)  # fmt: skip
