"""The items of ChatGPT's answer while they come: what each of them gives, delta by delta or when it is whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import orjson

from kirogw.answer import (
    CallDelta,
    CallStart,
    Citation,
    Event,
    NativeItem,
    SearchCall,
    SearchResult,
    TextDelta,
    TextPhase,
    ThoughtDelta,
    ThoughtSeal,
)
from kirogw.dialects.codex import faults
from kirogw.dialects.custom import Wrapped
from kirogw.dialects.dialect import Refused
from kirogw.dialects.responses.tools import flat
from kirogw.dialects.seals import seal
from kirogw.wire import Json


class Out:
    """What all items of an answer share: the events, the numbers of parts, what was said. `model`, `mark`: for seals.
    `spoke`: there was something, visible or not.
    """

    def __init__(self, names: Mapping[tuple[str, str], str], model: str, mark: str) -> None:
        self.names, self.model, self.mark = names, model, mark
        self.events: list[Event] = []
        self.part = -1  # the one that was begun last
        self.texts: list[str] = []  # and arguments of calls
        self.thoughts: list[str] = []
        self.refusals: list[str] = []
        self.calls = 0
        self.searches = 0
        self.spoke = False
        self._parts = itertools.count()

    def take(self) -> int:
        """The number of a new part, which closes the one before it."""
        self.part, self.spoke = next(self._parts), True
        return self.part

    def taken(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class Flow:
    """A text, a thought or the arguments of a call while nothing else comes between its pieces: each needs no more than
    its event then. `kind`, `index`, `name` and `inner` tell which deltas are meant: their type, their `output_index`,
    and the value of one member more. `make` makes our event; `given` and `said` are the pieces, of it and of all.
    """

    __slots__ = ("given", "index", "inner", "kind", "make", "name", "part", "said")

    def __init__(self, event: Json, name: str, part: int, make: Callable[[int, str], Event], given: list[str],
                 said: list[str]) -> None:  # fmt: skip
        self.kind, self.index, self.name, self.inner = event["type"], event.get("output_index"), name, event.get(name)
        self.part, self.make, self.given, self.said = part, make, given, said


class Item:
    """An item that is open. What it may hear: `delta`, a piece of it; `whole`, all of one text or of the arguments;
    `cited`; at last `done`, the item itself, or `ended`, where that never came. `open_call`: its id, where a call is
    cut off now; `flow`: how what `event` belongs to goes on.
    """

    open_call = ""

    def __init__(self, item: Json, out: Out) -> None:
        self.out = out

    def delta(self, event: Json, text: str) -> None:
        pass

    def whole(self, event: Json, text: str) -> None:
        pass

    def cited(self, content: int, annotation: Any) -> None:
        pass

    def done(self, item: Json) -> None:
        pass

    def ended(self) -> None:
        pass

    def flow(self, event: Json) -> Flow | None:
        return None


class Message(Item):
    """Texts, perhaps with a phase, and refusals. Those are kept for the end: clients hear them there."""

    def __init__(self, item: Json, out: Out) -> None:
        super().__init__(item, out)
        self._phase = _string(item, "phase")
        self._texts: dict[int, tuple[int, list[str]]] = {}  # by their index: our part, and the pieces
        self._refused: dict[int, list[str]] = {}
        self._cited = False

    def flow(self, event: Json) -> Flow | None:
        part, given = self._texts.get(number(event, "content_index"), (-1, []))
        if part != self.out.part or "refusal" in event["type"]:
            return None
        return Flow(event, "content_index", part, TextDelta, given, self.out.texts)

    def delta(self, event: Json, text: str) -> None:
        content = number(event, "content_index")
        if "refusal" in event["type"]:
            self._refuse(content, text)
        else:
            self._say(content, text)

    def whole(self, event: Json, text: str) -> None:
        content = number(event, "content_index")
        if "refusal" in event["type"]:
            self._refuse(content, _rest(self._refused.get(content, []), text) or "")
            return
        _, given = self._texts.get(content, (-1, []))
        self._say(content, _rest(given, text) or "")

    def _say(self, content: int, text: str) -> None:
        if not text:
            return
        part, given = self._texts.get(content, (-1, []))
        if part < 0 or part != self.out.part:
            part = self.out.take()
            self._texts[content] = part, given
            if self._phase:
                self.out.events.append(TextPhase(part, self._phase))
        given.append(text)
        self.out.texts.append(text)
        self.out.events.append(TextDelta(part, text))

    def _refuse(self, content: int, text: str) -> None:
        if text:
            self._refused.setdefault(content, []).append(text)
            self.out.refusals.append(text)
            self.out.spoke = True

    def cited(self, content: int, annotation: Any) -> None:
        """A page. A citation of a text that is closed already has no place any more; other kinds of annotations are
        about files that nobody sees.
        """
        part, _ = self._texts.get(content, (-1, []))
        if part < 0 or part != self.out.part or annotation.__class__ is not dict:
            return
        if annotation.get("type") == "url_citation":
            self._cited = True
            start, end = number(annotation, "start_index"), number(annotation, "end_index")
            url, title = _string(annotation, "url"), _string(annotation, "title")
            self.out.events.append(Citation(part, url, title, start, end))

    def done(self, item: Json) -> None:
        self._phase = self._phase or _string(item, "phase")
        announced = self._cited
        for content, part in enumerate(_list(item, "content")):
            event = {"type": _string(part, "type"), "content_index": content}
            self.whole(event, _string(part, "refusal") or _string(part, "text"))
            for annotation in () if announced else _list(part, "annotations"):
                self.cited(content, annotation)


class Reasoning(Item):
    """A thought: its summary, or the thinking itself where that is told; then its seal."""

    def __init__(self, item: Json, out: Out) -> None:
        super().__init__(item, out)
        self._kind = ""  # summary or text: which of the two is given, the other says the same again
        self._given: dict[int, list[str]] = {}
        self._part = -1

    def flow(self, event: Json) -> Flow | None:
        place = self._place(event)
        if place is None or self._part < 0 or self._part != self.out.part:
            return None
        name = "summary_index" if place[0] == "summary" else "content_index"
        return Flow(event, name, self._part, ThoughtDelta, self._given[place[1]], self.out.thoughts)

    def delta(self, event: Json, text: str) -> None:
        if place := self._place(event):
            self._think(*place, text)

    def whole(self, event: Json, text: str) -> None:
        if place := self._place(event):
            self._think(*place, _rest(self._given.get(place[1], []), text) or "")

    def _place(self, event: Json) -> tuple[str, int] | None:
        kind = "summary" if "summary" in event["type"] else "text"
        if self._kind not in ("", kind):
            return None
        return kind, number(event, "summary_index" if kind == "summary" else "content_index")

    def _think(self, kind: str, index: int, text: str) -> None:
        if not text:
            return
        if self._given and index not in self._given:
            text, shown = f"\n\n{text}", text
        else:
            shown = text
        self._kind = kind
        self._given.setdefault(index, []).append(shown)
        part = self._mine()
        self.out.thoughts.append(text)
        self.out.events.append(ThoughtDelta(part, text))

    def _mine(self) -> int:
        if self._part < 0 or self._part != self.out.part:
            self._part = self.out.take()
        return self._part

    def done(self, item: Json) -> None:
        for kind, name, type_ in (("summary", "summary", "reasoning_summary"), ("text", "content", "reasoning_text")):
            if self._kind in ("", kind):
                for index, part in enumerate(_list(item, name)):
                    event = {"type": type_, "summary_index": index, "content_index": index}
                    self.whole(event, _string(part, "text"))
        if sealed := _string(item, "encrypted_content"):
            self.out.events.append(ThoughtSeal(self._mine(), seal("c", self.out.model, sealed, self.out.mark)))


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
        self._id = self._id or _string(item, "call_id")
        name, namespace = _string(item, "name"), _string(item, "namespace")
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
        rest = _rest(self._given, text)
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
        return _string(item, "arguments")


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
        return _string(item, "input")


class OneCall(Item):
    """A call without pieces, of a tool that has no name of its own: its arguments are one member of the item."""

    name: ClassVar = "local_shell"
    member: ClassVar = "action"

    def done(self, item: Json) -> None:
        id_ = _string(item, "call_id") or _string(item, "id")
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
        queries = [query for query in _list(action, "queries") if query.__class__ is str]
        query = _string(action, "query") or ", ".join(queries)
        sources = [source for source in _list(action, "sources") if source.__class__ is dict]
        found = [{"title": _string(source, "title") or _string(source, "url"), "url": _string(source, "url")}
                 for source in sources if _string(source, "url")]  # fmt: skip
        id_, error = _string(item, "id"), "unavailable" if item.get("status") == "failed" else ""
        self.out.searches += 1
        self.out.events.append(SearchCall(self.out.take(), id_, query))
        self.out.events.append(SearchResult(self.out.take(), id_, found, error))


class Other(Item):
    """An item that only the Responses API has a word for."""

    def done(self, item: Json) -> None:
        self.out.events.append(NativeItem(self.out.take(), item))


KINDS: Final[dict[Any, Callable[[Json, Out], Item]]] = {
    "message": Message, "reasoning": Reasoning, "function_call": FunctionCall, "custom_tool_call": CustomCall,
    "local_shell_call": OneCall, "tool_search_call": ToolSearch, "web_search_call": WebSearch,
}  # fmt: skip


def opened(item: Json, out: Out) -> Item:
    return KINDS.get(_string(item, "type"), Other)(item, out)


def object_of(fields: Json, name: str) -> Json:
    value = fields.get(name)
    return value if value.__class__ is dict else {}


def number(fields: Json, name: str) -> int:
    """A whole number of zero or more; 0 for what is none."""
    value: Any = fields.get(name)
    return value if value.__class__ is int and value > 0 else 0


def _string(fields: Any, name: str) -> str:
    value = fields.get(name) if fields.__class__ is dict else None
    return value if value.__class__ is str else ""


def _list(fields: Any, name: str) -> list[Any]:
    value = fields.get(name) if fields.__class__ is dict else None
    return value if value.__class__ is list else []


def _rest(given: list[str], whole: str) -> str | None:
    """What is missing of `whole` behind its pieces; None when these are no beginning of it."""
    said = "".join(given)
    return whole[len(said) :] if whole.startswith(said) else None
