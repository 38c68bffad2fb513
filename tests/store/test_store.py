"""What `contract.Store` promises, on each engine."""

from __future__ import annotations

import os
import signal
import time
import traceback

import pytest

from kirogw.store import Conflict, Delete, Put, alive, open_store, owner


def test_a_document_comes_back(store):
    before = time.time()
    version = store.put("account", "a", {"x": [1, "é", None, {"y": 2.5}]})
    doc = store.get("account", "a")
    assert (doc.value, doc.version) == ({"x": [1, "é", None, {"y": 2.5}]}, version)
    assert before - 1 <= doc.at <= time.time() + 1
    assert store.get("account", "b") is None and store.get("login", "a") is None
    assert store.all("account") == {"a": doc} and store.all("login") == {}


def test_each_change_is_a_higher_version_even_after_a_deletion(store):
    first = store.put("k", "a", {"n": 1})
    second = store.put("k", "a", {"n": 2})
    assert store.delete("k", "a") is True and store.delete("k", "a") is False
    third = store.put("k", "a", {"n": 3})
    assert first < second < third


def test_a_version_that_is_not_there_any_more_is_a_conflict(store):
    version = store.put("k", "a", {"n": 1}, if_version=0)
    with pytest.raises(Conflict):
        store.put("k", "a", {"n": 2}, if_version=0)
    newer = store.put("k", "a", {"n": 3}, if_version=version)
    with pytest.raises(Conflict):
        store.put("k", "a", {"n": 4}, if_version=version)
    store.delete("k", "a")
    with pytest.raises(Conflict):
        store.put("k", "a", {"n": 5}, if_version=newer)
    assert store.get("k", "a") is None
    store.put("k", "a", {"n": 6}, if_version=0)
    assert store.get("k", "a").value == {"n": 6}


@pytest.mark.parametrize("durable", [True, False])
def test_all_or_nothing(store, durable):
    store.put("k", "a", {"n": 1})
    store.put("k", "b", {"n": 1})
    with pytest.raises(Conflict):
        store.apply([Put("k", "a", {"n": 2}), Delete("k", "b"), Put("k", "c", {}, if_version=7)], durable=durable,
                    amounts={"x": 1.0}, logs={"l": [{}]})  # fmt: skip
    assert {id: doc.value for id, doc in store.all("k").items()} == {"a": {"n": 1}, "b": {"n": 1}}
    assert store.totals("") == {} and store.entries("l") == []
    store.apply([Put("k", "a", {"n": 2}), Delete("k", "b"), Put("k", "c", {}, if_version=0), Delete("k", "none")],
                durable=durable, amounts={"x": 1.5}, logs={"l": [{"n": 1}, {"n": 2}]})  # fmt: skip
    assert {id: doc.value for id, doc in store.all("k").items()} == {"a": {"n": 2}, "c": {}}
    assert store.totals("") == {"x": 1.5} and store.entries("l") == [(1, {"n": 1}), (2, {"n": 2})]
    store.apply([])
    store.apply()


def test_what_has_a_ttl_ends(settings):
    clock = Clock()
    store = open_store(settings, clock)
    store.put("session", "a", {"n": 1}, ttl=10)
    store.put("session", "b", {"n": 1}, ttl=20)
    store.put("session", "c", {"n": 1}, ttl=10)
    store.put("session", "c", {"n": 2})  # and now without
    clock.now += 9.9
    assert store.get("session", "a").value == {"n": 1} and len(store.all("session")) == 3
    clock.now += 0.2
    assert store.get("session", "a") is None
    assert set(store.all("session")) == {"b", "c"}
    assert store.delete("session", "a") is False
    store.put("session", "a", {"n": 3}, if_version=0)
    clock.now += 1000
    assert {id: doc.value for id, doc in store.all("session").items()} == {"a": {"n": 3}, "c": {"n": 2}}
    store.close()


def test_a_ttl_goes_by_the_real_clock(store):
    store.put("session", "a", {"n": 1}, ttl=0.3)
    store.put("session", "b", {"n": 1}, ttl=600)
    wait_until(lambda: store.get("session", "a") is None)
    assert set(store.all("session")) == {"b"}


def test_what_has_ended_takes_no_room(settings):
    clock = Clock()
    store = open_store(settings, clock)
    store.apply([Put("session", str(n), {}, ttl=10) for n in range(150)])
    clock.now += 1000
    for _ in range(10):  # a few at a time
        store.add({"x": 1})
    clock.now -= 1000  # to see what is left
    assert store.all("session") == {}
    store.close()


def test_what_was_restored_over_something_with_a_ttl_stays(settings):
    clock = Clock()
    store = open_store(settings, clock)
    store.put("k", "a", {"n": 1})
    before = store.snapshot()
    store.put("k", "a", {"n": 2}, ttl=10)
    assert store.snapshot()["docs"] == {}
    store.restore(before)
    clock.now += 1000
    store.add({"x": 1})
    assert store.get("k", "a").value == {"n": 1}
    store.close()


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


def test_a_mark_moves_with_each_change_of_its_kind(store):
    marks = [store.mark(["a", "b"])]
    for change in (
        lambda: store.put("a", "x", {}), lambda: store.put("a", "x", {}), lambda: store.apply([Put("a", "y", {})]),
        lambda: store.delete("a", "x"), lambda: store.apply([Delete("a", "y")]),
    ):  # fmt: skip
        change()
        marks.append(store.mark(["a", "b"]))
    assert len(set(marks)) == 6
    assert {mark[1] for mark in marks} == {0}
    assert store.mark(["b", "a"]) == marks[-1][::-1]
    assert store.mark([]) == ()
    store.delete("a", "none")
    assert store.mark(["a", "b"]) == marks[-1]


def test_a_lease_has_one_owner(store):
    assert store.holder("l") == ""
    assert store.lease("l", "me", 60) and store.holder("l") == "me"
    assert not store.lease("l", "you", 60) and store.lease("other", "you", 60)
    assert store.lease("l", "me", 60)
    store.release("l", "you")
    assert store.holder("l") == "me"
    store.release("l", "me")
    assert store.holder("l") == "" and store.lease("l", "you", 60)


def test_a_lease_ends_after_its_time_unless_extended(store):
    assert store.lease("l", "me", 0.2)
    wait_until(lambda: store.lease("l", "you", 60))
    assert store.holder("l") == "you" and not store.lease("l", "me", 60)
    assert store.lease("m", "me", 0.2) and store.lease("m", "me", 60)
    time.sleep(0.3)
    assert store.holder("m") == "me" and not store.lease("m", "you", 60)


def test_what_a_dead_process_held_is_free_at_once(store):
    assert os.waitpid(in_child(lambda: store.lease("l", owner(), 600)), 0)[1] == 0
    assert store.holder("l") == ""
    assert store.lease("l", owner(), 60) and store.holder("l") == owner()


def test_what_a_process_elsewhere_holds_is_not(store):
    _, boot, _, start = owner().split("|")
    assert store.lease("l", f"elsewhere|{boot}|4194304|{start}", 60)
    assert not store.lease("l", owner(), 60)


def test_counters_add_up(store):
    store.add({"use|d1|a": 1, "use|d1|b": 0.25, "use|d2|a": 3})
    store.add({"use|d1|a": 2.5, "used": 1})
    store.add({})
    assert store.totals("use|d1|") == {"use|d1|a": 3.5, "use|d1|b": 0.25}
    assert store.totals("use|d1|a") == {"use|d1|a": 3.5}
    assert store.totals("use") == {"use|d1|a": 3.5, "use|d1|b": 0.25, "use|d2|a": 3, "used": 1}
    assert store.totals("") == store.totals("use") and store.totals("none") == {}
    store.forget("use|d1")
    assert store.totals("") == {"use|d2|a": 3, "used": 1}
    store.forget("use|d2|a")
    assert store.totals("") == {"used": 1}


def test_a_log_is_numbered_upwards(store):
    store.append("l", [{"n": n} for n in range(1, 6)])
    store.append("other", [{"n": 0}])
    assert store.entries("l") == [(n, {"n": n}) for n in range(1, 6)]
    assert store.entries("l", after=2, before=5) == [(3, {"n": 3}), (4, {"n": 4})]
    assert store.entries("l", limit=2) == [(1, {"n": 1}), (2, {"n": 2})]
    assert store.entries("l", limit=2, newest=True) == [(5, {"n": 5}), (4, {"n": 4})]
    assert store.entries("l", before=4, limit=1, newest=True) == [(3, {"n": 3})]
    assert store.entries("none") == [] and store.entries("l", limit=0) == []


def test_numbers_are_never_given_again(store):
    store.append("l", [{}] * 5)
    assert store.prune("l", keep=0) == 5 and store.entries("l") == []
    store.append("l", [{"x": 1}])
    assert store.entries("l") == [(6, {"x": 1})]


def test_old_entries_go(store):
    store.append("l", [{"n": 1}] * 3)
    time.sleep(0.05)
    middle = time.time()
    time.sleep(0.05)
    store.append("l", [{"n": 2}] * 3)
    assert store.prune("l") == 0 and store.prune("l", older_than=middle - 60) == 0
    assert store.prune("l", older_than=middle) == 3
    assert [n for n, _ in store.entries("l")] == [4, 5, 6]
    assert store.prune("l", keep=2) == 1 and store.prune("l", keep=2) == 0
    assert store.prune("l", older_than=time.time() + 60, keep=2) == 2
    assert store.prune("none", keep=0) == 0


def test_many_old_entries_go(store):
    store.append("l", [{"n": n} for n in range(2600)])
    assert store.prune("l", keep=100) == 2500
    assert [n for n, _ in store.entries("l")] == list(range(2501, 2601))


def test_backup_and_restore(store):
    fill(store)
    before, marks = store.snapshot(), store.mark(["k", "gone"])
    store.put("k", "b", {"n": 9})
    store.put("gone", "a", {})
    store.delete("k", "a")
    store.add({"c": 5, "d|e|f": 5})
    store.append("l", [{}])
    store.append("new", [{}])
    store.restore(before)
    assert {id: doc.value for id, doc in store.all("k").items()} == {"a": {"n": 1}, "b": {"n": 2}}
    after = store.snapshot()
    assert after["logs"]["l"]["last"] == 4 and after["logs"].pop("new") == {"last": 1, "entries": []}
    after["logs"]["l"]["last"] = 3
    assert after == before
    assert store.get("session", "a").value == {"n": 3} and store.holder("lease") == "me"
    assert all(new > old for new, old in zip(store.mark(["k", "gone"]), marks, strict=True))
    store.append("l", [{"n": 5}])
    assert store.entries("l", newest=True, limit=2) == [(5, {"n": 5}), (3, {"n": 3})]


def test_a_backup_makes_an_empty_store_the_same(store, another):
    fill(store)
    another.restore(store.snapshot())
    assert another.snapshot() == store.snapshot()


def test_what_was_written_since_one_has_looked_is_not_restored_over(store):
    fill(store)
    (mark, none), before = store.mark(["k", "none"]), store.snapshot()
    store.put("k", "a", {"n": "newer"})
    for marks in ({"k": mark}, {"k": mark + 1, "none": 1}):
        with pytest.raises(Conflict):
            store.restore(before, if_marks=marks)
    assert store.get("k", "a").value == {"n": "newer"}
    store.restore(before, if_marks={"k": mark + 1, "none": none})
    assert store.snapshot() == before


@pytest.mark.parametrize(
    "wrong",
    [{}, [], {"format": "kirogw state", "version": 2}, {"format": "kirogw state", "version": 1, "docs": {}},
     {"format": "kirogw state", "version": 1, "docs": {"k": {"a": {"at": 1}}}, "counters": {}, "logs": {}},
     {"format": "kirogw state", "version": 1, "docs": {}, "counters": {"x": "1"}, "logs": {}},
     {"format": "kirogw state", "version": 1, "docs": {}, "counters": {}, "logs": {"l": {"last": 1, "entries": [[2, 1, {}]]}}},
     {"format": "kirogw state", "version": 1, "docs": {}, "counters": {}, "logs": {"l": {"last": 3, "entries": [[2, 1, {}], [2, 1, {}]]}}}],
)  # fmt: skip
def test_what_is_no_snapshot_changes_nothing(store, wrong):
    fill(store)
    before = store.snapshot()
    with pytest.raises(ValueError, match="snapshot"):
        store.restore(wrong)
    assert store.snapshot() == before


def test_processes_count_together(store):
    """Each adds and takes versions as fast as it can; nothing is lost."""
    children = [in_child(lambda: [(store.add({"n": 1}), increase(store)) for _ in range(40)]) for _ in range(3)]
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert store.totals("n") == {"n": 120}
    assert store.get("k", "n").value == {"n": 120}


def in_child(work):
    if pid := os.fork():
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def test_a_lease_is_never_two_peoples(store, settings):
    """Processes take it, look whether they are alone, and give it back or die holding it."""
    begin = time.monotonic()

    def work():
        mine = open_store(settings)
        for n in range(1000):
            if mine.lease("race", owner(), 60):
                doc = mine.get("k", "inside")
                assert not doc or not alive(doc.value["who"])
                mine.put("k", "inside", {"who": owner()})
                mine.add({"turns": 1})
                if n % 7 == 6:
                    os.kill(os.getpid(), signal.SIGKILL)
                mine.delete("k", "inside")
                mine.release("race", owner())
            time.sleep(0.001)

    children = {in_child(work) for _ in range(3)}
    killed = 0
    while store.totals("turns").get("turns", 0) < 60 and time.monotonic() < begin + 100:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in children:
            assert status == signal.SIGKILL
            killed += 1
            children = children - {pid} | {in_child(work)}
        time.sleep(0.005)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert store.totals("turns")["turns"] >= 60 and killed


def increase(store):
    while True:
        doc = store.get("k", "n")
        try:
            return store.put("k", "n", {"n": doc.value["n"] + 1 if doc else 1}, if_version=doc.version if doc else 0)
        except Conflict:
            pass


def fill(store):
    store.put("k", "a", {"n": 1})
    store.put("k", "b", {"n": 2})
    store.put("session", "a", {"n": 3}, ttl=60)
    store.lease("lease", "me", 60)
    store.add({"c": 1.5, "use|d|x": 3})
    store.append("l", [{"n": 1}, {"n": 2}, {"n": 3}])
    store.prune("l", keep=2)


def wait_until(true, limit=60.0):
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
