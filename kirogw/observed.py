"""What is noted of an answer while it passes: for the log's line, the record of usage, the recordings of DEBUG_MODE."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kirogw import log, tokens
from kirogw.answer import Event, Stop, Usage
from kirogw.transport import Exchange
from kirogw.wire import Request


class Observer:
    """A filter that changes nothing: what passes is noted in `entry`. What the answer says of its input is learned for
    `model` ("": it says nothing about the estimate).
    """

    __slots__ = ("_entry", "_estimate", "_model", "done")

    def __init__(self, entry: log.Entry, model: str, estimate: int) -> None:
        self._entry, self._model, self._estimate, self.done = entry, model, estimate, False

    def feed(self, events: list[Event]) -> list[Event]:
        if events:
            entry = self._entry
            entry.events += len(events)
            entry.first = entry.first or time.monotonic()
            _note(entry, events, self._model, self._estimate)
        return events


def _note(entry: log.Entry, batch: Sequence[object], model: str, estimate: int) -> None:
    for event in batch[-2:]:  # Usage and Stop come last
        if type(event) is Usage:
            if model and event.source != "estimated" and not entry.links:  # another model counts in its own way
                tokens.learn(model, estimate, event.input)
            note_usage(entry, event)
        elif type(event) is Stop:
            entry.outcome = event.reason


def note_usage(entry: log.Entry, usage: Usage) -> None:
    entry.usage = {"in": usage.input, "out": usage.output, "credits": usage.credits, "figures": usage.source}
    entry.cached = usage.cache_read


def record(entry: log.Entry, outgoing: Request, rules: Sequence[str]) -> None:
    """For DEBUG_MODE: what is sent, and the names of the rules that had something to change in it."""
    if entry.record:
        name = f"upstream-{entry.tries}-request.txt"
        entry.record.add_head(name, f"{outgoing.method} {outgoing.url}", outgoing.headers)
        entry.record.add(name, outgoing.body)
        entry.record.add(f"upstream-{entry.tries}-rules.txt", "".join(f"{rule}\n" for rule in rules).encode())


def record_head(entry: log.Entry, exchange: Exchange) -> None:
    if entry.record:
        entry.record.add_head(f"upstream-{entry.tries}-answer-head.txt", f"HTTP {exchange.status}", exchange.headers)


def taped(exchange: Exchange, entry: log.Entry) -> Callable[[float], bytes | None]:
    name = f"upstream-{entry.tries}-answer.bin"
    return entry.record.taped(name, exchange.read) if entry.record else exchange.read
