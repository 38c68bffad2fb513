"""The items of ChatGPT's answer while they come: what all kinds of them share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from kirogw.answer import Event
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


def object_of(fields: Json, name: str) -> Json:
    value = fields.get(name)
    return value if value.__class__ is dict else {}


def number(fields: Json, name: str) -> int:
    """A whole number of zero or more; 0 for what is none."""
    value: Any = fields.get(name)
    return value if value.__class__ is int and value > 0 else 0


def string(fields: Any, name: str) -> str:
    value = fields.get(name) if fields.__class__ is dict else None
    return value if value.__class__ is str else ""


def objects(fields: Any, name: str) -> list[Any]:
    value = fields.get(name) if fields.__class__ is dict else None
    return value if value.__class__ is list else []


def rest_of(given: list[str], whole: str) -> str | None:
    """What is missing of `whole` behind its pieces; None when these are no beginning of it."""
    said = "".join(given)
    return whole[len(said) :] if whole.startswith(said) else None
