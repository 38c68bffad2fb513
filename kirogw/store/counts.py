"""Counters that several processes add to: exact for what this one adds, within a second for what the others do.

A counter's name is `kind|period|whose|item`; `group` is all of it before the last bar. What this process has added
counts here at once, is written with the next exchange, and what is read then holds it: nothing counts twice, also when
the store fails in the middle. Amounts are whole numbers, so that what is taken back leaves nothing behind.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kirogw.store.contract import Store

Groups: TypeAlias = dict[str, dict[str, int]]
MOMENT: Final = 0.1  # seconds


@dataclass(slots=True)
class _Sending:
    groups: Groups
    once: str = field(default_factory=lambda: secrets.token_urlsafe(12))


class Counts:
    """`add`, `of` and `items` never wait; whoever decides by several of them holds a lock of its own meanwhile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._exchanging = threading.Lock()
        self._own: Groups = {}
        self._sending: _Sending | None = None
        self._told: Groups = {}

    def add(self, group: str, item: str, amount: int) -> None:
        if amount:
            with self._lock:
                mine = self._own.setdefault(group, {})
                mine[item] = mine.get(item, 0) + amount

    def of(self, group: str, item: str) -> int:
        with self._lock:
            return sum(items[item] for items in self._all(group) if item in items)

    def items(self, group: str) -> dict[str, int]:
        """All counters of a group."""
        with self._lock:
            sums: dict[str, int] = {}
            for items in self._all(group):
                for item, amount in items.items():
                    sums[item] = sums.get(item, 0) + amount
            return sums

    def _all(self, group: str) -> list[dict[str, int]]:
        sending = self._sending.groups if self._sending else {}
        return [groups[group] for groups in (self._told, sending, self._own) if group in groups]

    def waiting(self) -> bool:
        """Whether something was added here that is not written yet."""
        return bool(self._own or self._sending)

    def exchange(self, prefixes: Iterable[str]) -> None:
        """Write what was added here, and read what all have added, as far as it begins with one of `prefixes`; of all
        else this process then knows nothing any more. Raises StoreFailed; nothing is lost by that.
        """
        with self._exchanging:
            while self._take():
                self._send()
            self._read(prefixes)

    def read(self, prefixes: Iterable[str]) -> None:
        """Only hear of what the others have added. Whoever exchanges just now hears it; if that takes long, because
        the store is held by somebody, nobody waits for it.
        """
        if self._exchanging.acquire(timeout=MOMENT):
            try:
                self._read(prefixes)
            finally:
                self._exchanging.release()

    def _read(self, prefixes: Iterable[str]) -> None:
        told: Groups = {}
        for prefix in prefixes:
            for name, amount in self._store.totals(prefix).items():
                group, _, item = name.rpartition("|")
                told.setdefault(group, {})[item] = round(amount)
        with self._lock:
            self._told = told

    def _take(self) -> bool:
        """Whether there is something to send: what was sent and may not have arrived goes first, as it was."""
        with self._lock:
            if self._sending is None and self._own:
                self._sending, self._own = _Sending(self._own), {}
            return self._sending is not None

    def _send(self) -> None:
        assert self._sending  # noqa: S101
        groups = self._sending.groups
        amounts = {f"{group}|{item}": float(n) for group, items in groups.items() for item, n in items.items()}
        self._store.apply(durable=False, amounts=amounts, once=self._sending.once)
        with self._lock:
            for group, items in groups.items():
                known = self._told.setdefault(group, {})
                for item, amount in items.items():
                    known[item] = known.get(item, 0) + amount
            self._sending = None
