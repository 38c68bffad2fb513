"""What every engine of the store does, and the values it speaks in. Import it from `kirogw.store`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from kirogw.wire import Json


class Conflict(Exception):
    """The document is not the version that was expected: somebody else has changed it. Nothing was written."""


class StoreFailed(Exception):
    """The store can not be used just now. One line for people, without a password: what happened, then what to do."""


@dataclass(frozen=True, slots=True)
class Doc:
    """`version`: higher after each change, also after a deletion. `at`: epoch seconds of the last change."""

    value: Json
    version: int
    at: float


@dataclass(frozen=True, slots=True)
class Put:
    """`if_version`: only if that is the version now; 0: only if there is none. `ttl`: seconds until it is gone."""

    kind: str
    id: str
    value: Json
    if_version: int | None = None
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    kind: str
    id: str


Change = Put | Delete


def finite(amounts: Mapping[str, float] | None) -> dict[str, float]:
    """`amounts`, checked: a counter to which an infinity was added would never be right again."""
    found = {name: float(amount) for name, amount in (amounts or {}).items()}
    if not all(map(math.isfinite, found.values())):
        raise ValueError("an amount is infinite, or no number")
    return found


def written(value: Json) -> bytes:
    """`value` as JSON, in its own size: what orjson itself gives has room for 4 KB, and a batch may hold hundreds."""
    return memoryview(orjson.dumps(value)).tobytes()


class Store(Protocol):
    """Shared by threads, processes and, with Redis, machines; a fork may carry it over. Whatever fails raises
    StoreFailed. Under gevent SQLite stops the loop for as long as a call takes, so nothing of it belongs on the way
    of a request but a seldom read: `Sync` is for the rest.
    """

    place: str
    """For people; without a password."""

    def get(self, kind: str, id: str) -> Doc | None: ...

    def all(self, kind: str) -> dict[str, Doc]: ...

    def put(self, kind: str, id: str, value: Json, *, if_version: int | None = None, ttl: float | None = None) -> int:
        """The new version; it is on the disk. Raises Conflict."""

    def delete(self, kind: str, id: str) -> bool:
        """Whether there was one; that it is gone is on the disk."""

    def apply(
        self, changes: Sequence[Change] = (), *, durable: bool = True, amounts: Mapping[str, float] | None = None,
        logs: Mapping[str, Sequence[Json]] | None = None, once: str = "",
    ) -> None:  # fmt: skip
        """All or nothing, what `add` and `append` do (`logs`: by name of the log) included. Raises Conflict.

        `durable=False` for what a crash of the machine may take back. Two calls with the same name in `once` count
        as one for ten minutes: so a batch of which nobody knows whether it has arrived can be sent again. Raises
        ValueError for an amount that is no number, and TypeError for a value that is no JSON.
        """

    def mark(self, kinds: Sequence[str]) -> tuple[int, ...]:
        """For each kind a number, another one after each change to it; the end of a ttl is no change. Cheap."""

    def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take it, or extend one's own: whether `owner` has it now, for `seconds`. What a dead process of this
        machine holds is free at once (see `owner()`), everything else after its time.
        """

    def release(self, name: str, owner: str) -> None:
        """Give it back, if it is still one's own."""

    def holder(self, name: str) -> str:
        """The living owner, "" for none."""

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add to counters, all or none; what is missing is 0. A name's first two parts (`use|2026-11-22|...`) should
        be what is asked for and forgotten together.
        """

    def totals(self, prefix: str) -> dict[str, float]:
        """The counters whose names begin so."""

    def forget(self, prefix: str) -> None:
        """Remove the counters whose names begin so."""

    def append(self, log: str, entries: Sequence[Json]) -> None:
        """At the end of the log; numbers from 1 on are given in order, and none ever again."""

    def entries(
        self, log: str, *, after: int = 0, before: int | None = None, limit: int = 1000, newest: bool = False,
    ) -> list[tuple[int, Json]]:  # fmt: skip
        """At most `limit` entries with `after` < number < `before`: the first ones, upwards; with `newest` the last
        ones, downwards.
        """

    def prune(self, log: str, *, older_than: float | None = None, keep: int | None = None) -> int:
        """How many entries went: those written before `older_than` (epoch seconds), and all but the last `keep`."""

    def snapshot(self) -> Json:
        """Everything but leases and what has a ttl, as of one moment; no matter of which engine."""

    def restore(self, snapshot: Json, *, if_marks: Mapping[str, int] | None = None) -> None:
        """Put `snapshot` in the place of all that one holds, in one transaction. Before anything is touched it raises
        ValueError for what is no snapshot, and Conflict if a kind is no longer at its mark in `if_marks`: so nothing
        is lost that was written since one has looked.
        """

    def close(self) -> None: ...
