"""Between the memory of a process and the store: one thread, so that no request ever waits for a disk or a network.

What is given is kept in memory and written twice a second, in one transaction; what others have changed is told to
whoever watches. While the store fails everything is kept, up to a bound, and tried again: requests never notice.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kirogw.log import logger
from kirogw.store.contract import Change, Delete, Put, Store, StoreFailed
from kirogw.wire import Json

PACE: Final = 0.5  # seconds between two rounds
MOST: Final = 50_000  # documents, counters and entries, each, that wait for a store which fails
PIECE: Final = 200  # changes or entries in a transaction: a commit stops all greenlets of the process
LEAVE: Final = 5.0  # seconds for the last round

Value = tuple[Json, float | None] | None


@dataclass(slots=True)
class _Batch:
    """`docs`: value and ttl, None to delete."""

    docs: dict[tuple[str, str], Value] = field(default_factory=dict)
    amounts: dict[str, float] = field(default_factory=dict)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    lines: int = 0
    once: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def __bool__(self) -> bool:
        return bool(self.docs or self.amounts or self.logs)

    def changes(self) -> list[Change]:
        return [Delete(*key) if value is None else Put(*key, value[0], None, value[1])
                for key, value in self.docs.items()]  # fmt: skip

    def pieces(self) -> list[_Batch]:
        """The same as several batches of which each is written fast."""
        if max(len(self.docs), len(self.amounts), self.lines) <= PIECE:
            return [self]
        docs, amounts = list(self.docs.items()), list(self.amounts.items())
        lines = [(log, entry) for log, entries in self.logs.items() for entry in entries]
        count = -(-max(len(docs), len(amounts), len(lines)) // PIECE)
        cuts = [slice(n * PIECE, (n + 1) * PIECE) for n in range(count)]
        return [_Batch(dict(docs[cut]), dict(amounts[cut]), _by_log(lines[cut])) for cut in cuts]


def _by_log(lines: list[tuple[str, Json]]) -> dict[str, list[Json]]:
    logs: dict[str, list[Json]] = {}
    for log, entry in lines:
        logs.setdefault(log, []).append(entry)
    return logs


@dataclass(slots=True)
class _Watch:
    kind: str
    callback: Callable[[], None]
    seen: int = -1


@dataclass(slots=True)
class _Job:
    seconds: float
    work: Callable[[], None]
    due: float


class Sync:
    """Values that are given must not be changed afterwards. A callback that raises is told in the log."""

    def __init__(self, store: Store, pace: float = PACE) -> None:
        self.store = store
        self._pace = pace
        self._watches: list[_Watch] = []
        self._jobs: list[_Job] = []
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=functools.partial(_begin_anew, weakref.ref(self)))

    def _begin(self) -> None:
        """Also in the child of a fork: what waits in the parent is the parent's to write, its thread is not here."""
        self._lock = threading.Lock()  # for the queue: held for microseconds
        self._writing = threading.Lock()  # for the order of batches
        self._queue = _Batch()
        self._unwritten: list[_Batch] = []
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._failing: set[object] = set()  # what has met a store that fails, and has not worked since
        self._dropped = 0
        for watch in self._watches:
            watch.seen = -1

    # from any thread, without waiting

    def put(self, kind: str, id: str, value: Json, ttl: float | None = None) -> None:
        """The last one wins."""
        with self._lock:
            self._change(kind, id, (value, ttl))

    def delete(self, kind: str, id: str) -> None:
        with self._lock:
            self._change(kind, id, None)

    def add(self, amounts: Mapping[str, float]) -> None:
        with self._lock:
            mine = self._queue.amounts
            for name, amount in amounts.items():
                if len(mine) < MOST or name in mine:
                    mine[name] = mine.get(name, 0.0) + amount
                else:
                    self._dropped += 1

    def append(self, log: str, entry: Json) -> None:
        with self._lock:
            if self._queue.lines < MOST:
                self._queue.lines += 1
                self._queue.logs.setdefault(log, []).append(entry)
            else:
                self._dropped += 1

    def _change(self, kind: str, id: str, value: Value) -> None:
        docs = self._queue.docs
        if len(docs) >= MOST and (kind, id) not in docs:
            del docs[next(iter(docs))]
            self._dropped += 1
        docs[kind, id] = value

    def watch(self, kind: str, callback: Callable[[], None]) -> None:
        """`callback` is called in the thread of this, once at its start and then after each change of `kind`, those
        from here included."""
        self._watches.append(_Watch(kind, callback))

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """`work` is called in the thread of this, first after `seconds`. It must be quick: all else waits for it."""
        self._jobs.append(_Job(seconds, work, time.monotonic() + seconds))

    # the thread

    def start(self) -> None:
        """Cheap when it runs already."""
        if (thread := self._thread) and thread.is_alive():
            return
        with self._lock:
            if self._thread and self._thread.is_alive():
                return
            self._end.clear()
            self._thread = threading.Thread(target=self._run, name="kirogw-sync", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            self.flush()
            self._look()
            self._work()
            self._end.wait(self._pace)

    def flush(self) -> bool:
        """Write what waits; for tests and the end, since the thread does it by itself. Whether nothing waits now."""
        with self._writing:
            if not self._write():  # what came later stays in the queue, which is bounded
                return False
            with self._lock:
                batch, self._queue = self._queue, _Batch()
            self._unwritten = batch.pieces() if batch else []
            return self._write()

    def _write(self) -> bool:
        while self._unwritten:
            batch = self._unwritten[0]
            try:
                self.store.apply(batch.changes(), durable=False, amounts=batch.amounts, logs=batch.logs,
                                 once=batch.once)  # fmt: skip
            except StoreFailed as error:
                self._fails(self._write, error)
                return False
            except Exception:
                logger.exception("what can not be written was dropped: %d changes", len(batch.docs))
            self._unwritten.pop(0)
            self._works(self._write)
            time.sleep(0)
        return True

    def _fails(self, work: object, error: StoreFailed) -> None:
        """Said once, however often and wherever it is met."""
        if not self._failing:
            logger.error("%s. Until then the gateway goes on with what it has in memory", error)
        self._failing.add(work)

    @property
    def deaf(self) -> bool:
        """Whether the store could not even be read when that was tried last: who need not ask it should not."""
        return self._look in self._failing

    def _works(self, work: object) -> None:
        if work in self._failing:
            self._failing.remove(work)
            if not self._failing:
                logger.warning("the store works again; %d changes were lost meanwhile", self._dropped)
                self._dropped = 0

    def _look(self) -> None:
        """Tell who watches what has changed."""
        watches = list(self._watches)
        if not watches:
            return
        try:
            marks = self.store.mark([watch.kind for watch in watches])
        except StoreFailed as error:
            self._fails(self._look, error)
            return
        self._works(self._look)
        for watch, mark in zip(watches, marks, strict=True):
            if mark != watch.seen and self._safely(watch.callback):
                watch.seen = mark

    def _work(self) -> None:
        for job in list(self._jobs):
            if (now := time.monotonic()) >= job.due:
                job.due = now + job.seconds
                self._safely(job.work)

    def _safely(self, work: Callable[[], None]) -> bool:
        """Whether it is done; what has met a store that fails is tried again."""
        try:
            work()
        except StoreFailed as error:
            self._fails(work, error)
            return False
        except Exception:
            logger.exception("in the background, %s failed", getattr(work, "__qualname__", work))
        self._works(work)
        return True

    def close(self) -> None:
        """Write what waits and end the thread. Whatever is given afterwards waits for `flush` or `start`."""
        self._end.set()
        if (thread := self._thread) and thread is not threading.current_thread():
            thread.join(LEAVE)
        self._thread = None
        self.flush()


def _begin_anew(sync: weakref.ref[Sync]) -> None:
    if found := sync():
        found._begin()
