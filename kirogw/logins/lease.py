"""The right to renew a login, held by one process of one machine at a time: a name in the store, with an end.

Whoever holds it extends it for as long as it is needed; who dies, loses it: at once on the same machine, elsewhere
after its time. Nobody waits inside the store: whoever wants to wait asks again.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from kirogw.store import Store, StoreFailed, owner

SECONDS: Final = 30.0  # how long it stays with one who no longer says anything
STEP: Final = 0.02  # seconds between two tries, at first
LONGEST_STEP: Final = 0.1
_numbers = itertools.count(1)


def pause(seconds: float) -> None:
    """time.sleep, looked up late: gunicorn's arbiter imports this before its workers are patched."""
    time.sleep(seconds)


class NoLease(Exception):
    """The store can not be asked. The message is one line for people."""


class Lease:
    """Of one name; each object is a holder of its own, also within a process. To be taken and dropped by one thread."""

    def __init__(self, store: Store, name: str, seconds: float = SECONDS) -> None:
        self.name = name
        self._store, self._seconds, self._number = store, seconds, next(_numbers)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._since = (0.0, 0.0)  # when it was last sure to be ours, by both clocks: one stands still in a sleep

    def _owner(self) -> str:
        return f"{owner()}|{self._number}"  # asked for each time: after a fork it is another one

    def take(self) -> bool:
        """Whether it is ours now, for its time from now on. Raises NoLease."""
        now = time.monotonic(), time.time()
        try:
            mine = self._store.lease(self.name, self._owner(), self._seconds)
        except StoreFailed as error:
            raise NoLease(str(error)) from None
        self._since = now if mine else (0.0, 0.0)
        return mine

    def still(self) -> bool:
        """Whether nobody else can have had it since it was taken: a process that was stopped for long has lost it."""
        past = max(time.monotonic() - self._since[0], abs(time.time() - self._since[1]))
        try:
            return past < self._seconds / 2 or (past < self._seconds and self.take())
        except NoLease:
            return False

    @contextlib.contextmanager
    def held(self, seconds: float, sleep: Callable[[float], None] = pause) -> Iterator[bool]:
        """Whether it could be had within about `seconds`; inside, it is ours if so. Raises NoLease."""
        left, step = seconds, STEP
        while not (mine := self.take()) and left > 0:
            sleep(step)
            left, step = left - step, min(step * 1.5, LONGEST_STEP)
        try:
            if mine:
                self._begin_timer()
            yield mine
        finally:
            if mine:
                self.drop()

    def _begin_timer(self) -> None:
        self._timer = threading.Timer(self._seconds / 3, self._extend)
        self._timer.daemon = True
        self._timer.start()

    def _extend(self) -> None:
        """In a thread of its own, for as long as the holder takes. A store that is away may be back the next time."""
        with self._lock:  # so that it is never taken again after it was dropped
            if not self._timer:
                return
            with contextlib.suppress(NoLease):
                if self.still():
                    self.take()
            self._begin_timer()

    def drop(self) -> None:
        """A store that can not be told forgets it by itself."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer:
            timer.cancel()
        with contextlib.suppress(StoreFailed):
            self._store.release(self.name, self._owner())
