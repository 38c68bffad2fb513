"""A store of each engine, empty. Redis is a real server that these tests start."""

from __future__ import annotations

import pytest

from kirogw.settings import Settings
from kirogw.store import open_store
from tests.store.servers import redis_server


@pytest.fixture(scope="session")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def settings(request, tmp_path):
    home = str(tmp_path / "home")
    if request.param == "sqlite":
        return Settings(kirogw_home=home)
    server = request.getfixturevalue("server")
    server.command("FLUSHALL")
    return Settings(kirogw_home=home, state_url=server.url)


@pytest.fixture
def store(settings):
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def another(settings, server, tmp_path):
    """An empty one, of the other engine."""
    url = "" if settings.state_url else server.url
    if url:
        server.command("FLUSHALL")
    store = open_store(Settings(kirogw_home=str(tmp_path / "another"), state_url=url))
    yield store
    store.close()


@pytest.fixture
def another_of(settings):
    """One more connection to the same state, as of another process."""
    opened = []

    def make(_store=None):
        opened.append(open_store(settings))
        return opened[-1]

    yield make
    for store in opened:
        store.close()

