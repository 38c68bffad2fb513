"""What pools of several processes know of each other, on each engine of the store."""

import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.provider import Verdict
from kirogw.errors import Busy, Forbidden, UnknownModel
from kirogw.pool import Account, Full, Nobody, Place, Want
from kirogw.pool.shared import Shared
from kirogw.store import StoreFailed
from tests.pool.conftest import until

LOCKED = Verdict(Forbidden("locked", request_id="r1"), "suspended", elsewhere=True, fate="suspended")
SLOW = Verdict(Busy("slow down", wait=8.0), "rate", elsewhere=True, fate="slow")
LACKING = Verdict(UnknownModel("no such model"), "model", elsewhere=True, fate="lacks")


def row(process, name):
    [row] = [row for row in process.pool.status(time.time()) if row["id"] == name]
    return row


def turn(process, **more):
    place = process.pool.take(Want("m", **more), time.time())
    if not isinstance(place, Place):
        return type(place)
    process.pool.leave(place, time.time())
    return place.account.id


def taken(places, process):
    """Whether there was a place at the first account, which is kept."""
    place = process.pool.take(Want("m", only={"one"}), time.time())
    places += [place] if isinstance(place, Place) else []
    return isinstance(place, Place)


def test_what_one_has_met_all_know(process):
    here, there = process(), process()
    now = time.time()
    here.pool.failed("one", LOCKED, "m", now)
    until(lambda: row(there, "one")["state"] == "suspended")
    shared = ("state", "reason", "since", "until", "evidence", "upstream_request", "failures")
    assert [row(there, "one")[name] for name in shared] == [row(here, "one")[name] for name in shared]
    nobody = there.pool.take(Want("m", only={"one"}), now)
    assert (type(nobody), type(nobody.error), str(nobody.error)) == (Nobody, Forbidden, "locked")
    there.pool.served("one", "m", time.time())
    until(lambda: row(here, "one")["state"] == "ready")


def test_the_newest_word_counts(process):
    here, there = process(), process()
    here.pool.failed("one", LOCKED, "m", 1000.0)
    there.pool.failed("one", SLOW, "m", 999.0)
    until(lambda: row(there, "one")["state"] == "suspended")
    assert row(here, "one")["state"] == "suspended"


def test_a_model_that_an_account_lacks_is_known_to_all(process):
    here, there = process(), process()
    now = time.time()
    here.pool.failed("one", LACKING, "m", now)
    until(lambda: turn(there) == "two")
    there.pool.clear("one", "m", now=now + 1)
    until(lambda: turn(here) == "one")


ENDS = {
    "cleared": lambda pool, now: pool.clear("one", now=now),
    "cleared for the model": lambda pool, now: pool.clear("one", "m", now=now),
    "served": lambda pool, now: pool.served("one", "m", now),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("verdict", [LACKING, LOCKED], ids=["lacks", "locked"])
def test_what_has_ended_while_the_store_was_read_does_not_come_back(process, verdict, end):
    """The words on it were read before that it has ended was written, and are heard after it has."""
    here, now = process(), time.time()
    here.sync.close()
    here.pool.failed("one", verdict, "m", now)
    assert here.sync.flush() and turn(here) == "two"
    read = here.store.all

    def slow(kind):
        docs = read(kind)
        ENDS[end](here.pool, now + 1)
        return docs

    here.store.all = slow
    here.pool._hear_health()
    assert turn(here) == ("two" if verdict is LOCKED and "model" in end else "one")


@pytest.mark.parametrize("model", [None, "m"])
@pytest.mark.parametrize("verdict", [LACKING, LOCKED], ids=["lacks", "locked"])
def test_what_was_cleared_stays_so_although_nobody_there_knew_of_it(process, verdict, model):
    here, there = process(), process()
    now = time.time()
    for one in (here, there):
        one.sync.close()
    here.pool.failed("one", verdict, "m", now)
    there.pool.clear("one", model, now=now + 1)
    for one in (there, here):  # what is older is written last
        one.sync.flush()
    for one in (there, here, here, there):
        one.pool._hear_health()
        one.sync.flush()
    held = "two" if verdict is LOCKED and model else "one"
    assert [turn(one) for one in (here, there, process())] == [held] * 3


def test_what_comes_after_it_was_cleared_counts(process):
    here, there = process(), process()
    now = time.time()
    there.pool.clear("one", now=now)
    there.pool.clear("one", "m", now=now)
    here.pool.failed("one", LACKING, "m", now + 1)
    until(lambda: turn(there) == "two")


def test_a_rate_limit_slows_all_down(process):
    here, there = process(), process()
    here.pool.failed("one", SLOW, "m", time.time())
    until(lambda: row(there, "one")["pace"] == 0.2)


def test_a_restart_forgets_nothing_and_is_no_cure(process):
    here = process()
    here.pool.failed("one", LOCKED, "m", time.time())
    assert turn(here, session="s") == "two"
    here.stop()
    again = process()
    until(lambda: row(again, "one")["state"] == "suspended")
    assert turn(again, session="s") == "two"


def test_an_account_that_comes_later_is_known_already(process):
    here, there = process(), process("two")
    here.pool.failed("one", LOCKED, "m", time.time())
    here.sync.flush()
    there.pool.replace([Account("one"), Account("two")])
    assert row(there, "one")["state"] == "suspended"


def test_who_is_gone_is_forgotten(process):
    here = process()
    here.pool.failed("one", LOCKED, "m", time.time())
    until(lambda: here.store.get("health", "one") is not None)
    here.pool.replace([Account("two")])
    until(lambda: here.store.get("health", "one") is None)


def test_a_session_is_on_one_account_in_all_processes(process):
    here, there = process(), process()
    assert turn(here, session="s", only={"two"}) == "two"
    here.sync.flush()
    assert turn(there, session="s") == "two"
    assert turn(here, session="s", tried={"two"}) == "one"  # it moves, and whoever knew it hears that
    until(lambda: turn(there, session="s") == "one")


def test_the_store_is_asked_once_for_a_session(process, monkeypatch):
    here, asked = process("one"), []
    get = here.store.get
    monkeypatch.setattr(here.store, "get", lambda *names: asked.append(names) or get(*names))
    places = [here.pool.take(Want("m"), time.time()) for _ in range(4)]
    assert [turn(here, session="s") for _ in range(3)] == [Full] * 3
    here.pool.leave(places[0], time.time())
    assert [turn(here, session="s") for _ in range(3)] == ["one"] * 3
    assert asked == [("session", "s")]


def test_many_threads_may_look_for_sessions_at_once():
    shared = Shared(NeverHeard(), NeverHeard(), lambda: "here|x|1|1")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as many:
            found = many.map(lambda n: {shared.look_up(f"{n} {m}") for m in range(5000)}, range(8))
            assert list(found) == [{None}] * 8
    finally:
        sys.setswitchinterval(before)


class NeverHeard:
    """A store that knows no session."""

    deaf = False

    def get(self, kind, id):
        return None


def test_places_count_in_all_processes(process):
    here, there = process(), process()
    now = time.time()
    places = []
    for _ in range(3):
        until(lambda: taken(places, here))
    until(lambda: row(there, "one")["in_flight"] == 3)
    assert taken(places, there) and not taken(places, there)
    here.pool.leave(places[0], now)
    until(lambda: turn(there, only={"one"}) == "one")


def test_all_together_take_little_more_than_there_is(process):
    """What others take at the same moment can not be known, so each takes only its part of what is free."""
    three, places = [process() for _ in range(3)], []
    until(lambda: all(one.pool._schedule.processes == 3 for one in three))
    for one in three:
        while taken(places, one):
            pass
    assert 4 <= len(places) <= 6
    until(lambda: all(row(one, "one")["in_flight"] == len(places) for one in three))
    assert not any(taken(places, one) for one in three)


def test_the_places_of_a_dead_process_are_free(process, monkeypatch):
    monkeypatch.setattr("kirogw.pool.shared.ALIVE", 3600.0)
    here, there = process(), process()
    places = []
    for _ in range(4):
        until(lambda: taken(places, here))
    until(lambda: turn(there, only={"one"}) is Full)
    here.stop()
    monkeypatch.setattr("kirogw.pool.shared.alive", lambda owner: owner != here.name)
    until(lambda: turn(there, only={"one"}) == "one")


def test_in_the_end_all_know_the_same(process):
    """Whatever each has met, and in whichever order they hear of it."""
    three, numbers = [process() for _ in range(3)], itertools.count()
    for one in three:
        one.sync.close()  # from here on news go when they are told to

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from((LOCKED, SLOW, LACKING, None, "clear", "tell", "hear")), st.floats(0.0, 20.0)), max_size=20))
    def law(steps):
        name, now, cleared = f"account {next(numbers)}", time.time() - 500, 0.0
        for one in three:
            one.pool.replace([Account(name)])
        for who, what, seconds in steps:
            now += seconds
            cleared = now if what == "clear" else cleared
            tell(three[who], name, what, now)
        for one in three * 5:
            tell(one, name, "tell", now)
            tell(one, name, "hear", now)
        first, *others = [one.pool.status(now)[0] for one in three]
        known = ("state", "reason", "since", "until", "failures", "models")
        assert [[other[part] for part in known] for other in others] == [[first[part] for part in known]] * 2
        account = three[0].pool.find(name)
        assert all(held.at >= cleared for held in (account.health, *account.marks.values())), "it came back"

    law()


def tell(process, name, what, now):
    if what == "tell":
        process.sync.flush()
    elif what == "hear":
        process.pool._hear_health()
    elif what == "clear":
        process.pool.clear(name, now=now)
    elif what is None:
        process.pool.served(name, "m", now)
    else:
        process.pool.failed(name, what, "m", now)


def test_a_store_that_fails_is_missed_by_nobody(process, monkeypatch):
    here = process()

    def fail(*_, **__):
        raise StoreFailed("the disk is gone")

    for name in ("get", "all", "mark", "apply"):
        monkeypatch.setattr(here.store, name, fail)
    here.pool.failed("one", LOCKED, "m", time.time())
    assert turn(here, session="s") == "two"
    here.pool.replace([Account("one"), Account("two"), Account("three")])
    assert turn(here, tried={"two"}) == "three"


def test_what_another_version_has_written_does_no_harm(process):
    here = process()
    for n, value in enumerate([{}, {"state": "odd", "at": 1e12}, {"at": "x", "kind": 5}, {"kind": "new", "state": "cooling", "at": 1e12}]):
        here.store.put("health", "one" if n % 2 else "one|m", value)
        here.store.put("process", f"x{n}|boot|1|1|pool", {"in_flight": n, "moved": value, "at": 1e12})
    here.store.put("session", "s", {"account": 5})
    until(lambda: turn(here, session="s") == "one")
    here.pool.failed("two", LOCKED, "m", time.time())
    until(lambda: here.store.get("health", "two") is not None)
    assert row(here, "one")["state"] == "ready"


def test_a_store_that_can_not_be_read_is_not_asked_on_the_way_of_a_request(process):
    """A Redis that hangs would hold the request for seconds."""
    here, there = process(), process()
    assert turn(here, session="s") == "one"
    until(lambda: there.store.get("session", "s"))
    there.store.mark = there.store.get = there.store.all = unreadable
    until(lambda: there.sync.deaf)
    there.store.get = None
    assert turn(there, session="s") and turn(there, session="t")


def unreadable(*given):
    raise StoreFailed("it hangs")
