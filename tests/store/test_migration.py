"""A state of the previous version is migrated, with a backup first; one of a newer version is refused, in one line."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from pathlib import Path

import pytest

from kirogw import __version__
from kirogw.settings import Settings
from kirogw.store import FILE, StoreFailed, open_store, schema, scripts
from tests.store.servers import redis_server

HERE = Path(__file__).parent
DOCS = {
    "account": {"kiro-1": {"label": "Zoë", "enabled": True, "weight": 2.5}, "kiro-2": {"label": "c"}},
    "login": {"kiro-1": {"machine": "m", "rung": 1}}, "session": {"s": {"account": "kiro-1"}},
}  # fmt: skip
TOTALS = {
    "use|2026-11-21|kiro-1|main|auto|credits": 1.25, "use|2026-11-22|kiro-1|main|auto|credits": 3.0, "plain": 7.0,
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """As the first version has written it."""
    home = tmp_path / "home"
    home.mkdir(0o700)
    db = sqlite3.connect(home / FILE)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript((HERE / "version1.sql").read_text(encoding="utf-8"))
    db.close()
    return home / FILE


@pytest.fixture
def server():
    with redis_server() as server:
        for line in (HERE / "version1.redis").read_text(encoding="utf-8").splitlines():
            server.command(*json.loads(line))
        yield server


def check(store):
    assert {kind: {id: doc.value for id, doc in store.all(kind).items()} for kind in DOCS} == DOCS
    assert store.get("account", "kiro-2").version == 3 and store.mark(["account"]) == (3,)
    assert store.totals("") == TOTALS
    assert store.totals("use|2026-11-21|") == {"use|2026-11-21|kiro-1|main|auto|credits": 1.25}
    assert store.entries("usage") == [(2, {"n": 2}), (3, {"n": 3}), (4, {"n": 4})]
    assert store.holder("background") == "elsewhere|boot|1|2"
    store.add({"use|2026-11-22|kiro-1|main|auto|credits": 1})
    store.append("usage", [{}])
    assert store.totals("use|2026-11-22|kiro-1|main|auto|credits").popitem()[1] == 4
    assert store.entries("usage", newest=True, limit=1) == [(5, {})]


def test_a_file_is_migrated(file, caplog):
    store = open_store(Settings(kirogw_home=str(file.parent)))
    check(store)
    store.close()
    (kept,) = (file.parent / "backups").iterdir()
    assert kept.name.startswith("state-version1-") and kept.suffix == ".sqlite3"
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    assert [record.getMessage() for record in caplog.records] == [
        f"the state is migrated from version 1; as it was it lies in {kept}"]  # fmt: skip
    db = sqlite3.connect(kept)
    assert schema.version(db) == 1 and db.execute("SELECT count(*) FROM entries").fetchone() == (4,)
    db.close()
    again = open_store(Settings(kirogw_home=str(file.parent)))
    assert len(list((file.parent / "backups").iterdir())) == 1
    again.close()


def test_the_backup_leads_back(file):
    open_store(Settings(kirogw_home=str(file.parent))).close()
    (kept,) = (file.parent / "backups").iterdir()
    file.unlink()
    kept.rename(file)
    store = open_store(Settings(kirogw_home=str(file.parent)))
    check(store)
    store.close()


def test_many_processes_migrate_a_file_once(file):
    settings = Settings(kirogw_home=str(file.parent))
    children = []
    for _ in range(4):
        if not (pid := os.fork()):
            logging.disable()
            code = 1
            try:
                store = open_store(settings)
                store.add({"n": 1})
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len(list((file.parent / "backups").iterdir())) == 1
    store = open_store(settings)
    assert store.totals("n") == {"n": 4}
    assert store.totals("use") == {name: amount for name, amount in TOTALS.items() if name != "plain"}
    store.close()


def test_without_a_backup_nothing_is_migrated(file):
    (file.parent / "backups").write_text("in the way")
    with pytest.raises(StoreFailed, match=r"^the state is to be migrated, but no backup can be written to") as caught:
        open_store(Settings(kirogw_home=str(file.parent)))
    assert "\n" not in str(caught.value)
    db = sqlite3.connect(file)
    assert schema.version(db) == 1 and not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").fetchone()
    db.close()


def test_a_newer_file_is_refused(tmp_path):
    settings = Settings(kirogw_home=str(tmp_path))
    store = open_store(settings)
    store.put("k", "a", {})
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("UPDATE about SET value = '7.1'")
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.commit()
    db.close()
    line = (f"the state file {tmp_path / FILE} belongs to kirogw 7.1 (its version is {schema.VERSION + 1}, this one knows"
            f" {schema.VERSION}): start that one, or put a backup in its place")  # fmt: skip
    with pytest.raises(StoreFailed) as caught:
        open_store(settings)
    assert str(caught.value) == line
    with pytest.raises(StoreFailed) as caught:  # who runs already notices before it writes
        store.put("k", "a", {"n": 1})
    assert str(caught.value) == line
    assert store.get("k", "a").value == {}
    store.close()


def test_redis_is_migrated(server, tmp_path, caplog):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    check(store)
    (kept,) = (tmp_path / "backups").iterdir()
    assert kept.name.startswith("state-version1-") and kept.suffix == ".json" and kept.stat().st_mode & 0o777 == 0o600
    assert server.command("GET", "kirogw:version") == str(scripts.VERSION)
    assert server.command("HGET", "kirogw:about", "kirogw") == __version__
    snapshot = json.loads(kept.read_bytes())
    assert snapshot["counters"] == TOTALS and list(snapshot["docs"]) == ["account", "login"]
    store.restore(snapshot)
    assert store.totals("") == TOTALS and [n for n, _ in store.entries("usage")] == [2, 3, 4]
    open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url)).close()
    assert len(list((tmp_path / "backups").iterdir())) == 1
    store.close()


def test_a_newer_redis_is_refused(server, tmp_path):
    settings = Settings(kirogw_home=str(tmp_path), state_url=server.url)
    store = open_store(settings)
    server.command("SET", "kirogw:version", str(scripts.VERSION + 1))
    server.command("HSET", "kirogw:about", "kirogw", "7.1")
    line = (f"Redis at 127.0.0.1:{server.port}/0 belongs to kirogw 7.1 (its version is {scripts.VERSION + 1}, this one"
            f" knows {scripts.VERSION}): start that one")  # fmt: skip
    for refused in (lambda: open_store(settings), lambda: store.put("k", "a", {})):
        with pytest.raises(StoreFailed) as caught:
            refused()
        assert str(caught.value) == line
    assert store.get("k", "a") is None
    store.close()
