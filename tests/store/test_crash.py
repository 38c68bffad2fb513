"""A short run of `tests.store.crash`: nothing that was confirmed is lost, whoever is killed."""

from __future__ import annotations

from kirogw.settings import Settings
from tests.store import crash
from tests.store.servers import redis_server

KILLS = 30


def test_sqlite(tmp_path):
    done = crash.run(Settings(kirogw_home=str(tmp_path / "home")), tmp_path, KILLS)
    assert done["confirmed"] > KILLS


def test_redis(tmp_path):
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        done = crash.run(Settings(kirogw_home=str(tmp_path), state_url=server.url), tmp_path, KILLS, server)
    assert done["confirmed"] > KILLS
