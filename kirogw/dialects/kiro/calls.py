"""Tool calls, put together from Kiro's toolUseEvents (kiro 4.3).

A call comes as `{"toolUseId","name"}`, then frames with a fragment of the arguments in `input`, then one with
`"stop":true`. Met as well: the whole arguments as an object, frames without the id, an id that comes after the first
fragment, calls that interleave, and a whole call once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from kirogw.answer import CallDelta, CallStart, Event
from kirogw.flow.tally import fold
from kirogw.wire import Json


class BrokenCall(Exception):
    """The frames are no tool call: nobody can say what is to be run."""


class Call:
    """`part` is -1 until its start was given, which needs id and name. `whole`: all of it came, and it can be run."""

    __slots__ = ("done", "id", "name", "part", "pieces", "whole")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.part = -1
        self.pieces: list[str] = []
        self.done = False
        self.whole = False

    def is_stump(self) -> bool:
        """Its arguments broke off, and no client can take what there is for a call (`{}` stands for none at all)."""
        return self.part >= 0 and bool(self.pieces) and _parsed("".join(self.pieces)) is UNREADABLE


class Calls:
    """`names`: Kiro's name of a tool to the client's, where they differ. `parts` gives the numbers of new parts.

    `arguments` are all fragments of all calls, to be counted.
    """

    __slots__ = ("_all", "_by_id", "_names", "_open", "_parts", "arguments")

    def __init__(self, names: Mapping[str, str], parts: Iterator[int]) -> None:
        self.arguments: list[str] = []
        self._names = names
        self._parts = parts
        self._all: list[Call] = []
        self._by_id: dict[str, Call] = {}
        self._open: Call | None = None  # where a frame without an id belongs

    def __bool__(self) -> bool:
        return bool(self._all)

    def receive(self, fields: Json, out: list[Event]) -> bool:
        """One toolUseEvent; whether it began a part. Raises BrokenCall."""
        id_, name, stops = _string(fields, "toolUseId"), _string(fields, "name"), _stops(fields)
        if not (id_ or name or self._open or fields.get("input")):
            return False  # the end of a call that has ended
        call = self._find(id_)
        if call.done:
            return False  # the same call once more
        if name and name != call.name:
            if call.name:
                raise BrokenCall("a call changed its name")
            call.name = name
        fragment = _fragment(fields.get("input"), call.pieces)
        if fragment:
            call.pieces.append(fragment)
            self.arguments.append(fragment)
            fold(call.pieces)
            fold(self.arguments)
        began = self._give(call, fragment, out)
        if stops:
            self._finish(call)
        return began

    def any_whole(self) -> bool:
        return any(call.whole for call in self._all)

    def cut(self) -> list[Call]:
        """Those that can not be run; stumps, or worse (see Call.is_stump)."""
        return [call for call in self._all if not call.whole]

    def _find(self, id_: str) -> Call:
        call = self._by_id.get(id_) if id_ else self._open
        if call is None and id_ and self._open and not self._open.id:
            call = self._open  # its id comes after its first fragments
        if call is None:
            call = Call()
            self._all.append(call)
        if id_ and not call.id:
            call.id = id_
            self._by_id[id_] = call
        if not call.done:
            self._open = call
        return call

    def _give(self, call: Call, fragment: str, out: list[Event]) -> bool:
        if call.part >= 0:
            if fragment:
                out.append(CallDelta(call.part, fragment))
            return False
        if not (call.id and call.name):
            return False
        call.part = next(self._parts)
        out.append(CallStart(call.part, call.id, self._names.get(call.name, call.name)))
        if call.pieces:
            out.append(CallDelta(call.part, "".join(call.pieces)))
        return True

    def _finish(self, call: Call) -> None:
        if call.part < 0:
            raise BrokenCall("a call has no id or no name")
        call.done = True
        parsed = _parsed("".join(call.pieces)) if call.pieces else {}
        call.whole = isinstance(parsed, dict)
        if not (call.whole or parsed is UNREADABLE):
            raise BrokenCall("a call's arguments are no object")
        self._open = next((other for other in reversed(self._all) if not other.done), None)


def _fragment(value: object, pieces: list[str]) -> str:
    """The new piece of the arguments' text. White space before the first is none, so that no arguments stay none."""
    if isinstance(value, str):
        return value if pieces or not value.isspace() else ""
    if not value and (value is None or isinstance(value, dict)):
        return ""
    if not isinstance(value, dict):
        raise BrokenCall("a call's arguments are neither text nor an object")
    text = orjson.dumps(value).decode()
    return "" if text == "".join(pieces) else text


def _stops(fields: Json) -> bool:
    stop = fields.get("stop")
    if stop is not None and not isinstance(stop, bool):
        raise BrokenCall("a call's end mark is neither true nor false")  # the text "false" must not end it
    return bool(stop)


def _string(fields: Json, name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BrokenCall(f"a call's {name} is no text")
    return value or ""


UNREADABLE: Final = object()


def _parsed(text: str) -> object:
    """As the most lenient client reads it, which takes NaN and lone surrogates as the standard library does."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE
