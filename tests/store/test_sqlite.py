"""What only the SQLite store has: leases that no change of the clock ends, and connections that survive forks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from kirogw.store import Put
from kirogw.store.sqlite import IDLE, SqliteStore


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clocks():
    return Clock(1_800_000_000.0), Clock(5000.0)


@pytest.fixture
def store(tmp_path, clocks):
    store = SqliteStore(tmp_path / "state", *clocks)
    yield store
    store.close()


def test_a_lease_does_not_end_when_the_time_of_day_is_set(store, clocks):
    assert store.lease("l", "me", 30)
    for clocks[0].now in (1_900_000_000.0, 1_700_000_000.0):
        assert store.holder("l") == "me" and not store.lease("l", "you", 30)
    clocks[1].now += 31
    assert store.holder("l") == "" and store.lease("l", "you", 30)


def test_after_a_new_start_of_the_machine_the_time_of_day_counts(store, clocks, tmp_path):
    assert store.lease("l", "me", 30)
    db = sqlite3.connect(tmp_path / "state")
    db.execute("UPDATE leases SET boot = 'another', ticks = 1e9")
    db.commit()
    db.close()
    assert store.holder("l") == "me"
    clocks[0].now += 31
    assert store.holder("l") == "" and store.lease("l", "you", 30)


def test_what_another_has_extended_in_the_meantime_is_not_taken(store, clocks, tmp_path, monkeypatch):
    """Between the look at a lease that has ended and the taking of it."""
    assert store.lease("l", "me", 30)
    clocks[1].now += 31
    other = SqliteStore(tmp_path / "state", *clocks)
    seen = store._lease

    def slow(name):
        row = seen(name)
        clocks[0].now += 1
        assert other.lease("l", "me", 30)
        return row

    monkeypatch.setattr(store, "_lease", slow)
    assert not store.lease("l", "you", 30)
    assert other.holder("l") == "me"
    other.close()


def test_threads_have_connections_of_their_own_and_few_stay(store):
    together = threading.Barrier(3 * IDLE)

    def work():
        def meet(db):
            together.wait()
            return db.execute("SELECT 1").fetchone()

        assert store._read(meet) == (1,)

    threads = [threading.Thread(target=work) for _ in range(3 * IDLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store._idle) == IDLE


def test_a_fork_takes_no_open_file_along(store, tmp_path):
    """SQLite would think in the child that it holds the parent's locks."""
    store.put("k", "a", {"n": 1})
    assert opened(tmp_path)
    if not (pid := os.fork()):
        code = 1 if opened(tmp_path) else 0
        store.put("k", "a", {"n": 2})
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.get("k", "a").value == {"n": 2}


def opened(folder):
    """Files in `folder` that this process has open."""
    links = (f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd"))
    return [name for name in map(real, links) if name.startswith(str(folder))]


def real(link):
    try:
        return os.readlink(link)
    except OSError:  # that of the listing itself
        return ""


def test_a_second_store_in_a_process_leaves_the_first_its_locks(tmp_path):
    """Whoever closes a file drops all locks of its process on it. Without them another process, when it ends, takes
    itself for the last one and removes the write-ahead log under the feet of the first, which then reads garbage.
    """
    path = tmp_path / "state"
    first = SqliteStore(path)
    first.put("kind", "id", {"n": 1})
    second = SqliteStore(path)
    script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM docs').fetchall(); db.close()"
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)
    assert path.with_name("state-wal").exists(), "the other process took itself for the last"
    assert first.get("kind", "id").value == {"n": 1}
    second.close()
    first.close()


def test_what_has_ended_goes_in_pieces(tmp_path):
    """After a long sleep there may be thousands of large ones, and nobody waits for all of them."""
    clock = [1000.0]
    path = tmp_path / "state.sqlite3"
    store = SqliteStore(path, now=lambda: clock[0])
    store.apply([Put("short", str(n), {"n": n}, ttl=5.0) for n in range(45)] + [Put("long", "1", {})])
    clock[0] += 100.0
    left = []
    for n in range(4):
        store.apply([Put("long", "1", {"n": n})], durable=False)
        with contextlib.closing(sqlite3.connect(path)) as db:
            left.append(db.execute("SELECT count(*) FROM docs WHERE kind = 'short'").fetchone()[0])
    store.close()
    assert left == [25, 5, 0, 0]
