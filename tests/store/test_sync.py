"""The thread between memory and store: nothing waits, nothing is lost while the store fails, others are heard."""

from __future__ import annotations

import os
import time

import pytest

from kirogw.store import StoreFailed
from kirogw.store import sync as sync_module
from kirogw.store.sync import PIECE, Sync


@pytest.fixture
def sync(store):
    sync = Sync(store, pace=0.02)
    yield sync
    sync.close()


def test_what_is_given_is_written(store, sync):
    sync.put("k", "a", {"n": 1})
    sync.put("k", "a", {"n": 2})
    sync.put("k", "b", {"n": 1})
    sync.delete("k", "b")
    sync.add({"c": 1})
    sync.add({"c": 1.5, "d": 1})
    sync.append("l", {"n": 1})
    sync.append("l", {"n": 2})
    sync.start()
    wait_until(lambda: store.totals("") == {"c": 2.5, "d": 1})
    assert {id: doc.value for id, doc in store.all("k").items()} == {"a": {"n": 2}}
    assert store.entries("l") == [(1, {"n": 1}), (2, {"n": 2})]


def test_much_is_written_in_pieces_and_whole(store, sync):
    count = PIECE * 3 + 7
    for n in range(count):
        sync.put("k", str(n), {"n": n})
        sync.append("l", {"n": n})
        sync.add({f"c{n}": 1, "all": 1})
    sync.flush()
    assert {id: doc.value for id, doc in store.all("k").items()} == {str(n): {"n": n} for n in range(count)}
    assert [value["n"] for _, value in store.entries("l", limit=count + 1)] == list(range(count))
    assert store.totals("all") == {"all": count} and len(store.totals("c")) == count


def test_a_ttl_is_carried(store, sync):
    sync.put("session", "a", {}, ttl=0.3)
    sync.put("session", "b", {}, ttl=600)
    sync.flush()
    assert store.get("session", "b")
    wait_until(lambda: store.get("session", "a") is None)


def test_watchers_hear_of_changes_here_and_elsewhere(store, another_of, sync):
    heard = []
    sync.watch("k", lambda: heard.append(sorted(store.all("k"))))
    sync.start()
    wait_until(lambda: heard == [[]])
    elsewhere = another_of()
    elsewhere.put("k", "a", {})
    wait_until(lambda: heard == [[], ["a"]])
    elsewhere.put("other", "a", {})
    elsewhere.delete("k", "a")
    wait_until(lambda: heard == [[], ["a"], []])
    sync.put("k", "b", {})
    wait_until(lambda: heard == [[], ["a"], [], ["b"]])


def test_jobs_run_again_and_again_and_one_that_fails_harms_nothing(store, sync, caplog):
    ran = []

    def bad():
        raise RuntimeError("no")

    sync.every(0.02, bad)
    sync.every(0.02, lambda: ran.append(1))
    sync.watch("k", bad)
    sync.start()
    wait_until(lambda: len(ran) > 3)
    assert "bad failed" in caplog.text


class Ill:
    """A store that fails as long as it is told to; else the real one."""

    def __init__(self, store):
        self.store, self.ill = store, False

    def __getattr__(self, name):
        if self.ill:
            raise StoreFailed("the disk is full")
        return getattr(self.store, name)


def test_a_store_that_fails_is_tried_again(store, caplog):
    ill = Ill(store)
    sync = Sync(ill, pace=0.01)
    heard = []
    sync.watch("k", lambda: heard.append(len(store.all("k"))))
    ill.ill = True
    sync.start()
    for n in range(5):
        sync.put("k", str(n), {})
        sync.append("l", {"n": n})
        sync.add({"c": 1})
        time.sleep(0.03)
    assert not sync.flush() and store.all("k") == {}
    ill.ill = False
    wait_until(lambda: heard and heard[-1] == 5)
    assert [value["n"] for _, value in store.entries("l")] == list(range(5)) and store.totals("") == {"c": 5}
    sync.close()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the disk is full. Until then the gateway goes on with what it has in memory",
                    "the store works again; 0 changes were lost meanwhile"]  # fmt: skip


def test_whether_the_store_can_be_read_is_known_without_asking_it(store):
    ill = Ill(store)
    sync = Sync(ill, pace=0.01)
    sync.watch("k", lambda: None)
    sync.start()
    assert not sync.deaf
    ill.ill = True
    wait_until(lambda: sync.deaf)
    ill.ill = False
    wait_until(lambda: not sync.deaf)
    sync.close()


def test_what_fails_in_several_places_is_said_once(store, caplog):
    """Reading works, writing does not; and then the other way round."""
    half, rounds, failing = Half(store), [], Half(store)
    sync = Sync(half, pace=0.01)
    sync.watch("k", lambda: None)
    sync.every(0.0, lambda: failing.apply())
    sync.every(0.0, lambda: rounds.append(1))
    half.bad = failing.bad = "apply"
    sync.put("k", "a", {})
    sync.start()
    wait_until(lambda: len(rounds) > 5)
    assert len(caplog.records) == 1
    half.bad = "mark"
    wait_until(lambda: store.get("k", "a"))
    begun = len(rounds)
    wait_until(lambda: len(rounds) > begun + 5)
    assert len(caplog.records) == 1
    half.bad = ""
    wait_until(lambda: len(rounds) > begun + 10)
    assert len(caplog.records) == 1
    failing.bad = ""
    wait_until(lambda: len(caplog.records) == 2)
    assert caplog.records[1].getMessage() == "the store works again; 0 changes were lost meanwhile"
    sync.close()


class Half:
    """A store that fails in one of its methods."""

    def __init__(self, store):
        self.store, self.bad = store, ""

    def __getattr__(self, name):
        if name == self.bad:
            raise StoreFailed("the disk is full")
        return getattr(self.store, name)


def test_what_waits_is_bounded(store, caplog, monkeypatch):
    monkeypatch.setattr(sync_module, "MOST", 1000)
    ill = Ill(store)
    ill.ill = True
    sync = Sync(ill)
    sync.put("k", "first", {})
    for n in range(sync_module.MOST + 10):
        sync.put("k", str(n), {})
        sync.add({str(n): 1})
        sync.append("l", {})
    assert not sync.flush()
    sync.append("l", {"late": True})
    assert not sync.flush()
    ill.ill = False
    assert sync.flush()
    assert len(store.all("k")) == sync_module.MOST and len(store.totals("")) == sync_module.MOST
    assert len(store.entries("l", limit=sync_module.MOST * 2)) == sync_module.MOST + 1
    assert "31 changes were lost" in caplog.text


def test_another_word_on_the_same_takes_nobodys_room(store, monkeypatch):
    monkeypatch.setattr(sync_module, "MOST", 2)
    sync = Sync(store)
    for id, n in (("a", 1), ("b", 1), ("b", 2), ("b", 3)):
        sync.put("k", id, {"n": n})
    assert sync.flush()
    assert {id: doc.value for id, doc in store.all("k").items()} == {"a": {"n": 1}, "b": {"n": 3}}


def test_what_can_not_be_written_is_dropped(store, sync, caplog):
    sync.put("k", "a", {"x": object()})
    assert sync.flush()
    sync.put("k", "b", {})
    assert sync.flush()
    assert set(store.all("k")) == {"b"} and "dropped" in caplog.text


def test_a_fork_neither_writes_twice_nor_stays_without_a_thread(store, sync):
    sync.start()
    sync.close()
    sync.add({"c": 1})
    pid = os.fork()
    if not pid:
        sync.add({"child": 1})
        sync.start()
        wait_until(lambda: store.totals("child"))
        sync.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    sync.flush()
    assert store.totals("") == {"c": 1, "child": 1}


def test_the_end_writes_the_rest(store):
    sync = Sync(store, pace=60)
    sync.start()
    sync.start()
    time.sleep(0.1)
    sync.put("k", "a", {})
    sync.close()
    assert set(store.all("k")) == {"a"}


def wait_until(true, limit=60.0):
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
