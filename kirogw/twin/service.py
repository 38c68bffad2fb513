"""One request in, one answer out: what is noted of it, and what goes wrong with it. Each upstream does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from kirogw.twin import script
from kirogw.twin.book import Book
from kirogw.twin.faults import Faults, after, before
from kirogw.twin.issuer import Issuer
from kirogw.twin.server import Answer
from kirogw.twin.state import Common, Incoming, Journal, Seen
from kirogw.wire import Json, Reply


class Service(ABC):
    """The state of one twin and the way of a request through it."""

    accounts: Book[Any]
    auth: Issuer[Any, Any]
    open: Mapping[str, Callable[[Incoming, Seen], Reply]]  # by operation, those that need no bearer: tokens, pages

    def __init__(self, options: Common, faults: Faults, catalogue: list[Json]) -> None:
        self.options = options
        self.faults = faults
        self.catalogue = catalogue  # the models that are listed; may be changed in place
        self.journal = Journal(options.keep)
        self.script: script.Script | None = None

    def play(self, source: Any) -> None:
        """Play a script: JSON, the path of a file, or the name of a built-in one; None for the demo."""
        self.script = None if source is None else script.load(source)

    def reset(self) -> None:
        """Forget what was seen, the faults and the script; accounts and tokens stay."""
        self.journal.clear()
        self.faults.clear()
        self.script = None

    def answer(self, incoming: Incoming, seen: Seen) -> tuple[Answer, float]:
        """The answer and the seconds before its headers leave."""
        operation = self.operation_of(incoming)
        self.journal.count(seen, operation or "unknown")
        known = None if operation in self.open else self.accounts.bearer(incoming.bearer)
        seen.account = known[0].name if known else ""
        fault = self.faults.take(incoming, operation, seen.account)
        if fault is None:
            return self._done(incoming, operation, seen), 0.0
        seen.fault = fault.name or "fault"
        return before(fault) or after(fault, self._done(incoming, operation, seen)), fault.slow

    def _done(self, incoming: Incoming, operation: str, seen: Seen) -> Answer:
        if operation in self.open:
            return self.open[operation](incoming, seen)
        return self.serve(incoming, operation, seen)

    @abstractmethod
    def operation_of(self, incoming: Incoming) -> str:
        """Its name, "" where there is none such."""

    @abstractmethod
    def serve(self, incoming: Incoming, operation: str, seen: Seen) -> Answer:
        """An operation that needs a bearer, or none that is known."""
