"""What the views share: one per application. Who makes it: `web/__init__.py`."""

from __future__ import annotations

import atexit
import os
import threading
import time
from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from kirogw.auth import Logins
from kirogw.background import Background
from kirogw.budgets import Budgets
from kirogw.desk import Desk
from kirogw.gateway import Gateway
from kirogw.kept import Kept
from kirogw.logins.flows import Flows
from kirogw.logins.named import Keys
from kirogw.pool import Pool
from kirogw.quotas import Quotas
from kirogw.settings import Settings
from kirogw.store import Store
from kirogw.store.sync import Sync
from kirogw.underway import Underway
from kirogw.usage import Usage


@dataclass(slots=True)
class State:
    """In the order in which they are made: each knows only those before it."""

    settings: Settings
    store: Store
    sync: Sync
    logins: Logins
    pool: Pool
    quotas: Quotas
    gateway: Gateway
    usage: Usage
    background: Background
    flows: Flows
    keys: Keys
    budgets: Budgets
    kept: Kept
    underway: Underway
    desk: Desk
    demo: bool
    pid: int
    began: float = field(default_factory=time.time)
    _runs_in: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """What goes on beside the requests. Called with each of them: a server may fork after it made the application,
        and its threads stay behind.
        """
        if self._runs_in == os.getpid():
            return
        with self._lock:
            if self._runs_in == os.getpid():
                return
            self._runs_in = os.getpid()
            self.pool.start()
            self.sync.start()
            self.kept.start()
            self.background.start()
            atexit.register(self.close)

    def stop(self, grace: float) -> None:
        """The process is to end: running answers have `grace` seconds, and the rest are told."""
        self.gateway.stop(grace)

    def close(self) -> None:
        """The end: leases are given back, and what is still in memory is written. Does nothing where nothing runs."""
        with self._lock:
            if self._runs_in != os.getpid():
                return
            self._runs_in = 0
            atexit.unregister(self.close)
            self.flows.close()
            self.background.stop()
            self.budgets.close()
            self.kept.close()
            self.sync.close()
            self.store.close()


def state() -> State:
    return cast(State, current_app.extensions["kirogw"])
