"""Pools of several processes on one store, of each engine."""

import contextlib
import time
from dataclasses import replace

import pytest

from kirogw.pool import Account, Pool
from kirogw.store import open_store
from kirogw.store.sync import Sync
from tests.store.conftest import server
from tests.store.conftest import settings as engine

__all__ = ["engine", "server"]


@pytest.fixture
def settings(engine):
    return replace(engine, scheduling_mode="fill-first")


@pytest.fixture
def process(settings, monkeypatch):
    """Makes what each process has: a pool with a store and a thread of its own; `.stop()` ends it as kill does."""
    with contextlib.ExitStack() as stack:
        yield lambda *names: _Process(settings, names or ("one", "two"), stack, monkeypatch)


class _Process:
    """On a machine of its own."""

    made = 0

    def __init__(self, settings, names, stack, monkeypatch):
        _Process.made += 1
        self.name = name = f"machine-{_Process.made}|boot|1|1"
        monkeypatch.setattr("kirogw.pool.owner", lambda: name)
        monkeypatch.setattr("kirogw.pool.EVERY", 0.02)
        monkeypatch.setattr("kirogw.pool.shared.LISTEN", 0.05)
        monkeypatch.setattr("kirogw.pool.shared.ALIVE", 3600.0)  # on a busy machine too
        self.store = open_store(settings)
        stack.callback(self.store.close)
        self.sync = Sync(self.store, pace=0.02)
        self.pool = Pool([Account(name) for name in names], settings, store=self.store, sync=self.sync)
        self.pool.start()
        self.sync.start()
        stack.callback(self.sync.close)

    def stop(self):
        self.sync.close()


def until(true, seconds=60.0):
    """Wait for a condition."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.01)
