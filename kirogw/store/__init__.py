"""The state that processes and machines share: documents, leases, counters, logs.

`open_store` gives the engine that the settings name: an SQLite file in KIROGW_HOME for the processes of one machine,
Redis for several machines. `contract.Store` says what both do, `sync.Sync` carries what must not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kirogw.settings import Settings
from kirogw.store.contract import Change, Conflict, Delete, Doc, Put, Store, StoreFailed
from kirogw.store.owner import alive, owner
from kirogw.store.redis import RedisStore
from kirogw.store.sqlite import SqliteStore, commit_aside

__all__ = ["FILE", "Change", "Conflict", "Delete", "Doc", "Put", "Store", "StoreFailed", "alive", "commit_aside",
           "open_store", "owner"]  # fmt: skip

FILE: Final = "state.sqlite3"


def open_store(settings: Settings, now: Callable[[], float] = time.time) -> Store:
    """Raises StoreFailed, and WrongSetting for a STATE_URL that can not be used."""
    home = Path(settings.kirogw_home).expanduser().absolute()
    if settings.state_url:
        return RedisStore(settings.state_url, home, now, settings.ca_bundle)
    return SqliteStore(home / FILE, now)
