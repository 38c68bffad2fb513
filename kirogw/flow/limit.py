"""Limits that Kiro does not keep: so many tokens of answer, and one tool call at a time."""

from __future__ import annotations

from typing import Final

import orjson

from kirogw.answer import CallDelta, CallStart, Event, Stop, TextDelta, ThoughtDelta, Usage
from kirogw.flow.tally import Count, Tally, fold

NONE: Final[frozenset[int]] = frozenset()
STUMP: Final = "{"
"""The least that is left of a call's arguments: with none at all they would count as `{}`, and be run."""


class Limit:
    """Lets `max_tokens` tokens through: text, thinking and the arguments of calls together, by our own count.

    A token has at least one byte, so nothing is counted while the bytes since the last count are fewer than the tokens
    left; how much is left after a count, and so the way to the next one, shrinks but slowly. `done`: the limit was
    reached and there was more; the events given so far end with Usage (estimated) and Stop.
    """

    __slots__ = ("_bare", "_bytes", "_count", "_estimate", "_left", "_since", "_spent", "_thoughts", "done")

    def __init__(self, max_tokens: int, count: Count, estimate: int) -> None:
        self.done = False
        self._count = count
        self._estimate = estimate
        self._spent = 0  # at the last count
        self._left = max_tokens  # then
        self._since: list[str] = []  # what was given after it
        self._bytes = 0
        self._bare = NONE  # calls without arguments so far
        self._thoughts: list[str] = []

    def feed(self, events: list[Event]) -> list[Event]:
        given: list[Event] = []
        for event in events:
            if self.done:
                break
            if type(event) is TextDelta and self._surely_fits(event.text):  # nearly all
                given.append(event)
                continue
            kept = self._kept(event)
            if kept is not None:
                given.append(kept)
            if type(kept) is ThoughtDelta:
                self._thoughts.append(kept.text)
            if kept is not event:
                given += self._ending()
                self.done = True
        fold(self._since)
        fold(self._thoughts)
        return given

    def _ending(self) -> list[Event]:
        """All of an answer is counted here already, so it need not be kept whole for its usage."""
        output = self._spent + (self._count("".join(self._since)) if self._since else 0)
        thinking = self._count("".join(self._thoughts)) if self._thoughts else 0
        return [Usage(self._estimate, output, thinking=min(thinking, output)), Stop("max_tokens")]

    def _kept(self, event: Event) -> Event | None:
        """What the limit leaves of the event: all of it, as the same object; a part; or nothing."""
        if type(event) is TextDelta or type(event) is ThoughtDelta:
            room = self._room(event.text)
            return event if room is None else type(event)(event.part, event.text[:room]) if room else None
        if type(event) is CallDelta:
            room = self._room(event.json)
            if room is None:
                if event.json:
                    self._bare -= {event.part}
                return event
            text = event.json[:room]
            if not text and event.part in self._bare:
                text = STUMP
                self._since.append(STUMP)
            return CallDelta(event.part, text) if text else None
        if type(event) is CallStart:
            if self._full():
                return None
            self._bare |= {event.part}
        return event

    def _surely_fits(self, text: str) -> bool:
        """Whether `text` fits by its length alone; then it counts as given."""
        size = self._bytes + len(text)
        if size > self._left or not text.isascii():
            return False
        self._bytes = size
        self._since.append(text)
        return True

    def _room(self, text: str) -> int | None:
        """How many characters of `text` fit; None: all."""
        self._bytes += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self._since.append(text)
        if self._bytes <= self._left or self._recount():
            return None
        self._since.pop()
        before = "".join(self._since)
        fits, too_many = 0, len(text)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self._count(before + text[:middle]) <= self._left:
                fits = middle
            else:
                too_many = middle
        self._since.append(text[:fits])
        return fits

    def _recount(self) -> bool:
        """Whether all that was given fits; then the next count begins here."""
        tokens = self._count("".join(self._since))
        if tokens > self._left:
            return False
        self._left -= tokens
        self._spent += tokens
        self._since.clear()
        self._bytes = 0
        return True

    def _full(self) -> bool:
        return self._bytes >= self._left and self._recount() and not self._left


class OneCall:
    """`parallel_tool_calls: false`, which Kiro does not know: ends the answer where a second call begins.

    If the first call is not whole by then (they may interleave) or has no arguments yet, so that nobody can tell, the
    others are left out, and the answer goes on. `done`: the events given so far end with Usage (estimated) and Stop.
    """

    def __init__(self, count: Count, estimate: int) -> None:
        self.done = False
        self._first: int | None = None
        self._arguments: list[str] = []
        self._others: set[int] = set()
        self._tally = Tally(count, estimate)

    def feed(self, events: list[Event]) -> list[Event]:
        given: list[Event] = []
        for event in events:
            if self.done:
                break
            if not self._is_of_another(event):
                self._tally.add(event)
                given.append(self._ended(event) if type(event) is Stop else event)
            elif self._whole():
                given += self._tally.ending("calls")
                self.done = True
        self._tally.fold()
        return given

    def _is_of_another(self, event: Event) -> bool:
        if type(event) is CallStart:
            if self._first is None:
                self._first = event.part
            elif event.part != self._first:
                self._others.add(event.part)
                return True
        elif type(event) is CallDelta:
            if event.part in self._others:
                return True
            self._arguments.append(event.json)
        return False

    def _whole(self) -> bool:
        try:
            return isinstance(orjson.loads("".join(self._arguments)), dict)
        except orjson.JSONDecodeError:
            return False

    def _ended(self, stop: Stop) -> Stop:
        """A limit that cut only a call that was left out has cut nothing."""
        return Stop("calls") if stop.reason == "max_tokens" and self._others and self._whole() else stop
