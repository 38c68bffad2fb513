"""What was cut off lately, so that the model can be told when the client sends it back (kiro 7.4).

Kept in this process only, as ids and hashes: another worker, or the same one after a restart, does not know it, and the
model then goes on without the notice. What is asked for stays as long as it is asked for, since a notice that vanished
again would change the beginning of the conversation, which is cached.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from kirogw.conversation import Conversation
from kirogw.dialects import cuts

MOST: Final = 4096  # about 1 MB
SECONDS: Final = 6 * 3600.0  # since it was last seen


class Cuts:
    """Safe for many threads. `clock` gives seconds that never go back."""

    def __init__(self, most: int = MOST, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._seen: OrderedDict[str, float] = OrderedDict()  # by when it was last seen, the longest ago first
        self._lock = threading.Lock()

    def remember(self, calls: Iterable[str], text: str = "") -> None:
        """Calls by the ids that the client got, and the whole text of an answer if that broke off."""
        fresh = [*calls, *([cuts.key(text)] if text else [])]
        with self._lock:
            self._see(fresh)
            while len(self._seen) > self._most:
                self._seen.popitem(last=False)

    def known(self, conversation: Conversation) -> frozenset[str]:
        """Those ids and text keys of the conversation that were cut off: what `Terms.cut` takes."""
        if not self._seen:
            return frozenset()
        keys = set(cuts.keys(conversation))
        with self._lock:
            self._drop_old()
            found = [key for key in keys if key in self._seen]
            self._see(found)
        return frozenset(found)

    def _see(self, keys: Iterable[str]) -> None:
        now = self._clock()
        for key in keys:
            self._seen[key] = now
            self._seen.move_to_end(key)

    def _drop_old(self) -> None:
        limit = self._clock() - self._seconds
        while self._seen and next(iter(self._seen.values())) < limit:
            self._seen.popitem(last=False)
