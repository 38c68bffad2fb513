"""ChatGPT's answer: the bytes of its server-sent events to events (codex 7, 8.1).

What an event is says its `type`. Items come in the order of their `output_index` and may be open at the same time; what
`output_item.done` says counts, deltas may be missing. Until the first of them that gives something nothing is lost, so
the request can still be served elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kirogw.answer import Event, Reason, Stop, Usage
from kirogw.dialects.codex import faults
from kirogw.dialects.codex.called import CustomCall, FunctionCall, OneCall, Other, ToolSearch, WebSearch
from kirogw.dialects.codex.heard import Flow, Item, Out, number, object_of, string
from kirogw.dialects.codex.spoken import Message, Reasoning
from kirogw.dialects.provider import Reading, Refused, Verdict
from kirogw.flow.sse import DamagedStream, Decoder
from kirogw.flow.tally import fold
from kirogw.wire import Json

INCOMPLETE: Final[dict[str, Reason]] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


class Reader:
    """Reads one answer (see provider.Reader). `names`: of a tool in the request, by its namespace and its name there,
    to the client's.

    A failure before anything was given is raised at once; later what came before it is given first, and the next call
    raises.
    """

    def __init__(self, names: Mapping[tuple[str, str], str], given: Reading) -> None:
        self.visible = False  # an event has been given
        self.whole = False  # the event has come that ends an answer
        self.learned = False  # every answer tells how it ended
        self.cut_calls: list[str] = []
        self.cut_text = ""
        self._given = given
        self._decoder = Decoder()
        self._failure: Verdict | None = None
        self._out = Out(names, given.model.id, given.mark)
        self._items: dict[int, Item] = {}  # that are open
        self._closed: set[int] = set()
        self._flow: Flow | None = None
        self._stop: Stop | None = None
        self._tokens: Json = {}

    def receive(self, data: bytes) -> list[Event]:
        if self._failure:
            raise Refused(self._failure)
        failure: Verdict | None = None
        try:
            self._read(self._decoder.receive(data))
            fold(self._out.texts)
            fold(self._out.thoughts)
            if self._flow:
                fold(self._flow.given)
        except (DamagedStream, orjson.JSONDecodeError, orjson.JSONEncodeError):
            failure = faults.lost("damaged")
        except Refused as refused:
            failure = refused.verdict
        out = self._out.taken()
        if failure:
            self._failure = failure
            if not (self.visible and out):
                raise Refused(failure)
        if out:
            self.visible = True
        return out

    def close(self) -> list[Event]:
        if self._failure:
            raise Refused(self._failure)
        try:
            if not self.whole:
                self._read(self._decoder.close())
        except (DamagedStream, orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
            raise Refused(faults.lost("cut")) from error
        if self._stop is None:
            raise Refused(faults.lost("cut"))
        return [*self._out.taken(), self.usage(), self._stop]

    def usage(self) -> Usage:
        """ChatGPT's own figures; before they have come, our own. May be asked at any time."""
        given, said = self._tokens, self._out
        if "input_tokens" in given and "output_tokens" in given:
            cached, spent = object_of(given, "input_tokens_details"), object_of(given, "output_tokens_details")
            return Usage(
                number(given, "input_tokens"), number(given, "output_tokens"), number(cached, "cached_tokens"),
                number(cached, "cache_write_tokens"), number(spent, "reasoning_tokens"), searches=said.searches,
                source="measured",
            )  # fmt: skip
        thinking = self._given.count("".join(said.thoughts)) if said.thoughts else 0
        output = self._given.count("".join(said.texts)) + thinking
        return Usage(self._given.estimate, output, thinking=thinking, searches=said.searches)

    # ---- events

    def _read(self, events: list[bytes]) -> None:
        for data in events:
            if self.whole:
                return
            event = orjson.loads(data) if data[:1] == b"{" else {}  # [DONE] comes from gateways in between
            kind, flow = event.get("type"), self._flow
            if flow is not None and kind == flow.kind and event.get("output_index") == flow.index \
                    and event.get(flow.name) == flow.inner:  # fmt: skip
                delta = event.get("delta")
                if delta.__class__ is str and delta:
                    flow.given.append(delta)
                    flow.said.append(delta)
                    self._out.events.append(flow.make(flow.part, delta))
            elif kind.__class__ is str and (act := EVENTS.get(kind)):
                self._flow = None
                act(self, event)
                self.whole = self._stop is not None

    def _added(self, event: Json) -> None:
        item = event.get("item")
        if item.__class__ is dict:
            self._items[number(event, "output_index")] = _opened(item, self._out)

    def _item(self, event: Json) -> Item:
        """The item that an event belongs to. One that was not announced is what the event makes of it."""
        place = number(event, "output_index")
        item = self._items.get(place)
        if place in self._closed:
            return Item({}, self._out)  # it has been heard
        if item is None:
            kind = next((kind for start, kind in UNANNOUNCED if event["type"].startswith(start)), "message")
            item = self._items[place] = _opened({"type": kind}, self._out)
        return item

    def _delta(self, event: Json) -> None:
        delta = event.get("delta")
        if delta.__class__ is str and delta:
            item = self._item(event)
            item.delta(event, delta)
            self._flow = item.flow(event)

    def _annotated(self, event: Json) -> None:
        self._item(event).cited(number(event, "content_index"), event.get("annotation"))

    def _whole(self, event: Json) -> None:
        """All of a text or of the arguments, which may be more than was given of it."""
        for name in ("text", "arguments", "input", "refusal"):
            if event.get(name).__class__ is str:
                self._item(event).whole(event, event[name])

    def _done(self, event: Json) -> None:
        item = event.get("item")
        if item.__class__ is dict:
            place = number(event, "output_index")
            self._closed.add(place)
            known = self._items.pop(place, None)
            (known or _opened(item, self._out)).done(item)

    # ---- the end

    def _completed(self, event: Json) -> None:
        response = object_of(event, "response")
        self._take(response)
        for item in self._items.values():
            item.ended()
        self._items.clear()
        if not self._out.spoke:
            raise Refused(faults.lost("empty"))
        refusal = "".join(self._out.refusals)
        reason: Reason = "refusal" if refusal else "calls" if self._out.calls else "end"
        self._stop = Stop(reason, detail=refusal)

    def _incomplete(self, event: Json) -> None:
        """What is open has been cut off. An answer that was interrupted is none."""
        response = object_of(event, "response")
        self._take(response)
        told = object_of(response, "incomplete_details").get("reason")
        if told == "interrupted":
            raise Refused(faults.lost("cut"))
        reason: Reason = INCOMPLETE.get(told, "max_tokens") if told.__class__ is str else "max_tokens"
        self.cut_calls = [item.open_call for item in self._items.values() if item.open_call]
        if reason == "max_tokens" and self._out.calls and not self.cut_calls:
            reason = "calls"
        if reason == "max_tokens" and not self.cut_calls:
            self.cut_text = "".join(self._out.texts)
        self._stop = Stop(reason, detail="".join(self._out.refusals))

    def _take(self, response: Json) -> None:
        """The figures; and the items, where they came nowhere else."""
        self._tokens = object_of(response, "usage")
        output = response.get("output")
        if not (self._items or self._closed) and output.__class__ is list:
            for index, item in enumerate(output):
                self._done({"output_index": index, "item": item})

    def _failed(self, event: Json) -> None:
        raise Refused(faults.judge_event(event, model=self._given.model.id))


KINDS: Final[dict[Any, Callable[[Json, Out], Item]]] = {
    "message": Message, "reasoning": Reasoning, "function_call": FunctionCall, "custom_tool_call": CustomCall,
    "local_shell_call": OneCall, "tool_search_call": ToolSearch, "web_search_call": WebSearch,
}  # fmt: skip


def _opened(item: Json, out: Out) -> Item:
    return KINDS.get(string(item, "type"), Other)(item, out)


UNANNOUNCED: Final = (
    ("response.reasoning", "reasoning"), ("response.function_call", "function_call"),
    ("response.custom_tool_call", "custom_tool_call"),
)  # fmt: skip

EVENTS: Final[dict[Any, Callable[[Reader, Json], None]]] = {
    "response.output_item.added": Reader._added, "response.output_item.done": Reader._done,
    "response.output_text.delta": Reader._delta, "response.refusal.delta": Reader._delta,
    "response.reasoning_summary_text.delta": Reader._delta, "response.reasoning_text.delta": Reader._delta,
    "response.function_call_arguments.delta": Reader._delta, "response.custom_tool_call_input.delta": Reader._delta,
    "response.output_text.done": Reader._whole, "response.refusal.done": Reader._whole,
    "response.reasoning_summary_text.done": Reader._whole, "response.reasoning_text.done": Reader._whole,
    "response.function_call_arguments.done": Reader._whole, "response.custom_tool_call_input.done": Reader._whole,
    "response.output_text.annotation.added": Reader._annotated,
    "response.completed": Reader._completed, "response.done": Reader._completed,
    "response.incomplete": Reader._incomplete, "response.failed": Reader._failed, "error": Reader._failed,
}  # fmt: skip
