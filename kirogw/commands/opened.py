"""The owner's desk without a gateway: the same parts on the same store, for as long as a command takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kirogw import log
from kirogw.auth import Logins
from kirogw.desk import Desk, quotas_of
from kirogw.pool import Pool
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.transport import Transport
from kirogw.usage import Usage

HEARD: Final = 10.0  # seconds until what other processes know must have been heard


@contextmanager
def opened(settings: Settings) -> Iterator[Desk]:
    """What running gateways know of the accounts is known here, and what is changed here they hear of within a second
    or two. Raises StoreFailed.
    """
    log.set_up("warning", settings.log_format)
    transport, store = Transport(settings), open_store(settings)
    sync = Sync(store)
    try:
        logins = Logins(settings, transport.post, store)
        pool = Pool(logins.accounts(), settings, store=store, sync=sync)
        quotas = quotas_of(settings, transport.call, logins, pool, sync)
        _hear(pool, sync)
        yield Desk(settings, store, sync, logins, pool, quotas, Usage(sync, store))
    finally:
        sync.close()
        store.close()


def _hear(pool: Pool, sync: Sync) -> None:
    """Wait until this process knows what the others have written."""
    heard = threading.Event()
    pool.start()
    sync.watch("process", heard.set)  # called after those of the pool
    sync.start()
    heard.wait(HEARD)
