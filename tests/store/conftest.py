"""A store of each engine, empty."""

from __future__ import annotations

import pytest

from kirogw.settings import Settings
from kirogw.store import open_store


@pytest.fixture(params=["sqlite"])
def settings(request, tmp_path):
    return Settings(kirogw_home=str(tmp_path / "home"))


@pytest.fixture
def store(settings):
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def another(tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path / "another")))
    yield store
    store.close()


@pytest.fixture
def another_of(settings):
    """One more connection to the same state, as of another process."""
    opened = []

    def make(_store):
        opened.append(open_store(settings))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
