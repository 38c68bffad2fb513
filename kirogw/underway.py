"""Answers that are on their way here and can be cancelled, by whichever process their client asks.

A process that is asked for an answer which does not run in it leaves word in the store, of which all hear within a
second.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

from kirogw.store.sync import Sync
from kirogw.wire import Json

KIND: Final = "cancel"
LIFE: Final = 60.0  # seconds for which such a word lies there


class Run(Protocol):
    """`owner` tells whose it is. `cancel` is called in any thread, and does nothing when the answer has ended."""

    owner: str

    def response(self) -> Json:
        """As it stands."""

    def cancel(self) -> None: ...


class Underway:
    """Safe for all threads."""

    def __init__(self, sync: Sync) -> None:
        self._store = sync.store
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        sync.watch(KIND, self.look)

    def begin(self, id: str, run: Run) -> None:
        with self._lock:
            self._runs[id] = run

    def end(self, id: str) -> None:
        with self._lock:
            self._runs.pop(id, None)

    def find(self, owner: str, id: str) -> Run | None:
        run = self._runs.get(id)
        return run if run and run.owner == owner else None

    def cancel(self, owner: str, id: str) -> bool:
        """Whether it runs here, and is cancelled. Else the others are told. Raises StoreFailed."""
        if self._cancelled(owner, id):
            return True
        self._store.put(KIND, id, {"owner": owner}, ttl=LIFE)
        return False

    def look(self) -> None:
        """What others were asked for. Raises StoreFailed."""
        if self._runs:
            for id, doc in self._store.all(KIND).items():
                self._cancelled(str(doc.value.get("owner")), id)

    def _cancelled(self, owner: str, id: str) -> bool:
        if run := self.find(owner, id):
            run.cancel()
        return run is not None

