"""A gateway whose state can not be used does not start, and says why in one line."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time

import pytest

from kirogw.settings import Settings
from kirogw.store import FILE, open_store, schema
from kirogw.twin import Twin
from tests.store.servers import redis_server
from tests.system.running import GUNICORN, TOP, running

COMMANDS = [
    pytest.param((sys.executable, str(TOP / "kirogw.py")), id="kirogw.py"),
    pytest.param((*GUNICORN[:3], "-b", "127.0.0.1:{port}"), id="gunicorn"),
]


def said(tmp_path, command, **settings):
    """What it says, but for gunicorn's own lines and where it listens."""
    with running(command=command, wait=False, home=tmp_path, KIRO_API_KEY="ksk_none", **settings) as gateway:
        assert gateway.process.wait(100) != 0
        lines = gateway.log.read_text().splitlines()
    return [line for line in lines if not line.startswith(("[", "kirogw listens"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_state(tmp_path, command):
    home = tmp_path / ".kirogw"
    open_store(Settings(kirogw_home=str(home))).close()
    db = sqlite3.connect(home / FILE)
    db.execute("UPDATE about SET value = '7.1'")
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.commit()
    db.close()
    (line,) = said(tmp_path, command)
    assert line.startswith(f"kirogw: the state file {home / FILE} belongs to kirogw 7.1 ")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_machine_without_the_key_of_the_others(tmp_path, command):
    with redis_server("--appendonly", "yes") as server:
        store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
        store.put("setting", "seal", {"mark": "970b0138", "place": "elsewhere"})
        store.close()
        (line,) = said(tmp_path, command, STATE_URL=server.url)
    assert line.startswith("kirogw: the store's secrets are sealed with the key 970b0138, which is not here; it was in")


def test_a_worker_that_replaces_another_waits_for_the_store_and_the_others_go_on():
    """Else gunicorn would stop them all, since an application that can not be loaded stops the start."""
    with (Twin(accounts=["api_key"]) as twin, redis_server("--appendonly", "yes") as server,
          running(twin, SERVER_WORKERS=2, STATE_URL=server.url) as gateway):  # fmt: skip
        begun = set()  # both, before the store goes away
        until(lambda: begun.add(gateway.get("/health").json()["worker"]) or len(begun) == 2)
        server.stop(kill=True)
        killed, left = begun
        os.kill(killed, signal.SIGKILL)
        until(lambda: "a new worker waits: Redis at" in gateway.log.read_text())
        until(lambda: answered(gateway) and answered(gateway))
        server.start()
        until(lambda: gateway.get("/health").json()["worker"] not in (killed, left))
        until(lambda: answered(gateway))


def test_workers_are_not_replaced_while_the_store_is_away():
    """gunicorn ends the old ones at once, and the new ones could not begin."""
    with (Twin(accounts=["api_key"]) as twin, redis_server("--appendonly", "yes") as server,
          running(twin, SERVER_WORKERS=1, STATE_URL=server.url) as gateway):  # fmt: skip
        before = gateway.workers()
        server.stop(kill=True)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "the workers stay as they are" in gateway.log.read_text())
        assert gateway.workers() == before and answered(gateway)
        server.start()
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.workers() and not set(gateway.workers()) & set(before))
        until(lambda: answered(gateway))


def answered(gateway):
    body = {"model": "claude-sonnet-4.6", "max_tokens": 50, "messages": [{"role": "user", "content": "Go."}]}
    return gateway.post("/v1/messages", body).status_code == 200


def until(true, seconds=100):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
