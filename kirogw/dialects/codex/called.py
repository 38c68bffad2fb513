"""What the model calls, item by item: functions, custom tools, the shell, searches; and items without another word."""

from __future__ import annotations

from typing import ClassVar

import orjson

from kirogw.answer import CallDelta, CallStart, NativeItem, SearchCall, SearchResult
from kirogw.dialects.codex import faults
from kirogw.dialects.codex.heard import Flow, Item, Out, object_of, objects, rest_of, string
from kirogw.dialects.custom import Wrapped
from kirogw.dialects.provider import Refused
from kirogw.dialects.responses.tools import flat
from kirogw.wire import Json


class FunctionCall(Item):
    """A call: begun as soon as its id and its name are known. Its arguments come in pieces, or at the end."""

    def __init__(self, item: Json, out: Out) -> None:
        super().__init__(item, out)
        self._part = -1
        self._given: list[str] = []
        self._id = ""
        self._begin(item)

    @property
    def open_call(self) -> str:  # type: ignore[override]
        return self._id if self._part >= 0 else ""

    def _begin(self, item: Json) -> None:
        self._id = self._id or string(item, "call_id")
        name, namespace = string(item, "name"), string(item, "namespace")
        if self._part < 0 and self._id and name:
            known = self.out.names.get((namespace, name)) or flat(namespace, name)
            self._part = self.out.take()
            self.out.calls += 1
            self.out.events.append(CallStart(self._part, self._id, known))
            for text in self._given:
                self._pass_on(text)

    def flow(self, event: Json) -> Flow | None:
        return Flow(event, "", self._part, CallDelta, self._given, self.out.texts) if self._part >= 0 else None

    def delta(self, event: Json, text: str) -> None:
        self._given.append(text)
        if self._part >= 0:
            self._pass_on(text)

    def whole(self, event: Json, text: str) -> None:
        rest = rest_of(self._given, text)
        if rest is None:  # a client would run what it got before
            raise Refused(faults.lost("damaged"))
        if rest:
            self.delta(event, rest)

    def _pass_on(self, text: str) -> None:
        self.out.texts.append(text)
        self.out.events.append(CallDelta(self._part, text))

    def done(self, item: Json) -> None:
        self._begin(item)
        if self._part < 0:  # no id or no name: nobody could answer it
            raise Refused(faults.lost("damaged"))
        if text := self._arguments(item):
            self.whole(item, text)
        self.ended()

    def _arguments(self, item: Json) -> str:
        return string(item, "arguments")


class CustomCall(FunctionCall):
    """A call with free text, which becomes the arguments `{"input": TEXT}`."""

    def __init__(self, item: Json, out: Out) -> None:
        self._wrapped = Wrapped()
        super().__init__(item, out)

    def flow(self, event: Json) -> Flow | None:
        return None  # each piece has to be wrapped

    def _pass_on(self, text: str) -> None:
        self.out.texts.append(text)
        self.out.events.append(CallDelta(self._part, self._wrapped.receive(text)))

    def ended(self) -> None:
        if self._part >= 0:
            self.out.events.append(CallDelta(self._part, self._wrapped.close()))

    def _arguments(self, item: Json) -> str:
        return string(item, "input")


class OneCall(Item):
    """A call without pieces, of a tool that has no name of its own: its arguments are one member of the item."""

    name: ClassVar = "local_shell"
    member: ClassVar = "action"

    def done(self, item: Json) -> None:
        id_ = string(item, "call_id") or string(item, "id")
        value = item.get(self.member)
        if not id_:
            raise Refused(faults.lost("damaged"))
        part, text = self.out.take(), value if value.__class__ is str else orjson.dumps(value or {}).decode()
        self.out.calls += 1
        self.out.texts.append(text)
        self.out.events += (CallStart(part, id_, self.out.names.get(("", self.name), self.name)), CallDelta(part, text))


class ToolSearch(OneCall):
    """A search for tools: a call where the client is to search; else it has been made, and is told as it is."""

    name = "tool_search"
    member = "arguments"

    def done(self, item: Json) -> None:
        if item.get("execution") == "client":
            super().done(item)
        else:
            self.out.events.append(NativeItem(self.out.take(), item))


class WebSearch(Item):
    """ChatGPT's own search. What was looked for is known at the end; what was found is told by citations, if at all."""

    def done(self, item: Json) -> None:
        action = object_of(item, "action")
        if action.get("type", "search") != "search":  # a page that it opened, or looked through
            self.out.events.append(NativeItem(self.out.take(), item))
            return
        queries = [query for query in objects(action, "queries") if query.__class__ is str]
        query = string(action, "query") or ", ".join(queries)
        sources = [source for source in objects(action, "sources") if source.__class__ is dict]
        found = [{"title": string(source, "title") or string(source, "url"), "url": string(source, "url")}
                 for source in sources if string(source, "url")]  # fmt: skip
        id_, error = string(item, "id"), "unavailable" if item.get("status") == "failed" else ""
        self.out.searches += 1
        self.out.events.append(SearchCall(self.out.take(), id_, query))
        self.out.events.append(SearchResult(self.out.take(), id_, found, error))


class Other(Item):
    """An item that only the Responses API has a word for."""

    def done(self, item: Json) -> None:
        self.out.events.append(NativeItem(self.out.take(), item))
