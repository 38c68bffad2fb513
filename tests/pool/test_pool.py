"""Whose turn it is, and what stays remembered of an account."""

import threading
import time

import pytest

from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.errors import Busy, Forbidden, NeedsLogin, Overloaded, QuotaUsed, UnknownModel, UpstreamFailed
from kirogw.pool import Account, Full, Nobody, Place, Pool, Want
from kirogw.pool.health import ASKED_FOR, PROBED
from kirogw.pool.schedule import PATIENCE
from kirogw.settings import Settings

LACKING = Verdict(UnknownModel("no such model"), "model", elsewhere=True, fate="lacks")
SLOW = Verdict(Busy("slow down", wait=8.0), "rate", elsewhere=True, fate="slow")
USED_UP = Verdict(QuotaUsed("used up"), "quota", elsewhere=True, fate="exhausted")
LOCKED = Verdict(Forbidden("locked"), "suspended", elsewhere=True, fate="suspended")
SIGN_IN = Verdict(NeedsLogin("sign in again"), "needs-login", elsewhere=True, fate="login")
NO_RENEWAL = Verdict(UpstreamFailed("can not be renewed", wait=2.0), "refresh-failed", elsewhere=True)
SHORT = Verdict(Overloaded("no capacity"), "capacity")
BROKEN = Verdict(UpstreamFailed("failed"), "server", elsewhere=True)
LACKS = 600.0


def pool(*names, mode="fill-first", accounts=(), **settings):
    rows = accounts or [Account(name) for name in names]
    return Pool(rows, Settings(scheduling_mode=mode, **settings), chance=lambda: 0.5)


def asked(seconds):
    return Verdict(Busy("slow down", wait=seconds), "rate", elsewhere=True, fate="slow", hint=seconds)


def turn(pool, now, model="m", **more):
    """Who would serve, or why nobody does; the place is given back."""
    place = pool.take(Want(model, **more), now)
    if not isinstance(place, Place):
        return type(place)
    pool.leave(place, now)
    return place.account.id


def states(pool, now):
    return {row["id"]: row["state"] for row in pool.status(now)}


def left(credits, at, resets_at=None):
    return Quota(at, (Bucket("plan", 50.0 - credits, 50.0, resets_at),), resets_at=resets_at)


def test_the_first_that_is_ready_serves():
    two = pool("one", "two")
    assert turn(two, 0.0) == "one"
    two.failed("one", asked(50.0), "m", 0.0)
    assert turn(two, 1.0) == "two"
    assert turn(two, 51.0) == "one"
    two.failed("one", SLOW, "m", 60.0)
    assert turn(two, 61.0) == "two"
    assert turn(two, 61.0, tried={"two"}) == "one"  # a rate limit is no reason not to try
    two.served("one", "m", 61.5)
    assert turn(two, 65.0) == "one"


def test_an_account_is_left_alone_for_as_long_as_the_upstream_asked():
    one = pool("one")
    one.failed("one", asked(50.0), "m", 0.0)
    assert (turn(one, 49.0), turn(one, 50.0)) == (Nobody, "one")
    one.failed("one", asked(5.0), "m", 100.0)  # the second time our own rest is longer, and that is a guess
    assert (turn(one, 104.0), turn(one, 106.0)) == (Nobody, "one")
    one.failed("one", asked(50.0), "m", 200.0)
    one.served("one", "m", 201.0)
    assert turn(one, 205.0) == "one"


def test_a_long_hint_is_believed_for_a_while():
    one = pool("one")
    one.failed("one", asked(86_400.0), "m", 0.0)
    assert (turn(one, ASKED_FOR - 1), turn(one, ASKED_FOR)) == (Nobody, "one")


def test_the_time_that_is_told_is_when_an_account_is_asked_again():
    one = pool("one")
    for now in (0.0, 10.0):
        one.failed("one", asked(7.0), "m", now)
    nobody = one.take(Want("m"), 11.0)
    assert (nobody.until, nobody.error.wait, one.status(11.0)[0]["until"]) == (17.0, 6.0, 40.0)
    assert turn(one, 17.0) == "one"


def test_what_passes_by_itself_is_told_first():
    three = pool("one", "two", "three")
    three.failed("one", USED_UP, "m", 0.0)
    three.failed("two", LOCKED, "m", 0.0)
    three.failed("three", asked(50.0), "m", 0.0)
    nobody = three.take(Want("m"), 1.0)
    assert (str(nobody.error), nobody.error.wait, nobody.until) == ("slow down", 49.0, 20.0)
    assert nobody.reasons == {"one": ("exhausted", "quota", 300.0), "two": ("suspended", "suspended", 20.0), "three": ("cooling", "rate", 50.0)}


def test_who_has_failed_on_this_request_is_not_asked_again():
    two = pool("one", "two")
    nobody = two.take(Want("m", tried={"one", "two"}), 1.0)
    assert nobody == Nobody(None, {"one": ("ready", "tried", 0.0), "two": ("ready", "tried", 0.0)}, None)


def test_an_account_that_lacks_a_model_is_asked_last_for_it():
    two = pool("one", "two")
    two.failed("one", LACKING, "m", 0.0)
    assert turn(two, 1.0) == "two"
    assert turn(two, 1.0, model="other") == "one"
    assert turn(two, 1.0, tried={"two"}) == "one"
    assert turn(two, LACKS) == "one"
    two.failed("two", USED_UP, "m", LACKS)
    two.failed("one", LACKING, "m", LACKS)
    nobody = two.take(Want("m"), LACKS + 1)  # the plan is the news, not the model
    assert nobody.reasons == {"one": ("ready", "model", 0.0), "two": ("exhausted", "quota", LACKS + 300)}
    assert str(nobody.error) == "used up"


def test_models_that_are_made_up_do_not_fill_the_memory():
    one = pool("one")
    for n in range(1000):
        one.failed("one", LACKING, f"m{n}", n * 60.0)
    [account] = one.all()
    assert len(account.marks) <= LACKS / 60 + 1
    for n in range(1000):
        one.failed("one", LACKING, f"m{n}", 1000 * 60.0)
    assert len(account.marks) <= 200


def test_a_model_without_capacity_moves_nobody_who_is_there():
    two = pool("one", "two")
    assert turn(two, 0.0, session="s") == "one"
    two.failed("one", SHORT, "m", 0.0)
    assert turn(two, 1.0, session="s") == "one"
    assert turn(two, 1.0) == "two"
    assert turn(two, 1.0, model="other") == "one"
    assert states(two, 1.0) == {"one": "ready", "two": "ready"}
    two.served("one", "m", 2.0)
    assert turn(two, 2.0) == "one"


def test_what_is_no_fault_of_an_account_changes_nothing():
    two = pool("one", "two")
    before = two.status(0.0)
    two.failed("one", BROKEN, "m", 0.0)
    two.failed("one", Verdict(Busy("no such account")," "), "m", 0.0)
    two.failed("none", SLOW, "m", 0.0)
    two.served("none", "m", 0.0)
    assert two.status(0.0) == before


def test_one_request_finds_out_whether_an_account_works_again():
    two = pool("one", "two")
    two.failed("one", SLOW, "m", 0.0)
    probe = two.take(Want("m"), 9.0)
    assert (probe.account.id, probe.probe) == ("one", True)
    assert turn(two, 9.5) == "two"
    two.leave(probe, 10.0)  # its client left: nobody knows more than before
    assert turn(two, 10.0) == "one"
    probe = two.take(Want("m"), 11.0)
    two.failed("one", SLOW, "m", 12.0, began=11.0)
    two.leave(probe, 12.0)
    assert (turn(two, 41.0), turn(two, 42.0)) == ("two", "one")  # 30 s now
    two.served("one", "m", 42.0)
    assert states(two, 42.0) == {"one": "ready", "two": "ready"}


def test_while_nobody_else_can_serve_the_probe_is_not_waited_for():
    one = pool("one")
    one.failed("one", SLOW, "m", 0.0)
    assert [one.take(Want("m"), 20.0 + n).account.id for n in range(2)] == ["one", "one"]


def test_requests_that_fail_together_are_one_failure():
    two = pool("one", "two")
    for _ in range(4):
        two.failed("one", SLOW, "m", 10.0, began=9.0)
    two.failed("one", SLOW, "m", 14.0, began=9.5)
    assert two.status(14.0)[0]["failures"] == 1
    assert (turn(two, 21.0), turn(two, 22.0)) == ("two", "one")


def test_an_answer_older_than_a_failure_heals_nothing():
    two = pool("one", "two")
    two.failed("one", LOCKED, "m", 10.0)
    for began in (5.0, -1000.0):  # however long it took
        two.served("one", "m", 11.0, began=began)
    assert states(two, 11.0)["one"] == "suspended"
    two.failed("one", SLOW, "m", 12.0, began=5.0)  # nor does a failure that is less grave
    assert states(two, 12.0)["one"] == "suspended"
    two.served("one", "m", 13.0, began=12.0)
    assert states(two, 13.0)["one"] == "ready"


def test_starts_keep_a_distance_after_a_rate_limit():
    one = pool("one")
    one.failed("one", SLOW, "m", 0.0)
    one.served("one", "m", 8.5)
    assert turn(one, 9.0) == "one"
    full = one.take(Want("m"), 9.05)
    assert isinstance(full, Full) and full.wait == pytest.approx(0.15)
    assert turn(one, 9.2) == "one"
    for n in range(6):
        one.failed("one", SLOW, "m", 10.0 + 2 * n)
    assert one.status(20.0)[0]["pace"] == 4.0
    one.failed("one", SLOW, "m", 20.5)  # the same burst
    assert [one.status(20.0 + 30 * n)[0]["pace"] for n in range(6)] == [4.0, 2.0, 1.0, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(("pace", "wait"), [(0.0, 0.0), (0.5, 2.0), (1.0, 4.0), (10.0, 4.0)])
def test_the_distance_has_a_factor_and_is_never_longer_than_the_longest(pace, wait):
    one = pool("one", retry_pace=pace)
    for n in range(6):
        one.failed("one", SLOW, "m", 2.0 * n)
    assert one.find("one").next_start - 10.0 == wait
    one.served("one", "m", 14.0)
    assert (turn(one, 15.0), one.find("one").next_start - 15.0) == ("one", wait)


def test_an_account_has_so_many_places():
    two = pool(accounts=[Account("one", limit=2), Account("two")], account_concurrency=3)
    places = [two.take(Want("m"), float(n)) for n in range(5)]
    assert [place.account.id for place in places] == ["one", "one", "two", "two", "two"]
    full = two.take(Want("m"), 6.0)
    assert isinstance(full, Full)
    two.leave(places[0], 6.0)
    two.leave(places[0], 6.0)  # twice is once
    assert [two.take(Want("m"), 7.0).account.id, type(two.take(Want("m"), 7.0))] == ["one", Full]


def test_who_waits_hears_that_a_place_is_free():
    one = pool("one", account_concurrency=1)
    place = one.take(Want("m"), 0.0)
    full = one.take(Want("m"), 0.0)
    threading.Timer(0.05, one.leave, (place, 1.0)).start()
    began = time.monotonic()
    one.wait(60.0, full.seen)
    assert turn(one, 1.0) == "one"
    one.wait(60.0, full.seen)  # there was one since
    assert time.monotonic() - began < 30


def test_a_session_stays_until_it_must_move():
    three = pool("one", "two", "three", mode="round-robin")
    assert [turn(three, n, session="s") for n in range(3)] == ["one"] * 3
    assert [turn(three, n, session="t") for n in range(3, 6)] == ["two"] * 3
    three.failed("one", LOCKED, "m", 6.0)
    place = three.take(Want("m", session="s"), 7.0)
    assert (place.account.id, place.moved_from) == ("three", "one")
    three.clear("one", now=8.0)
    assert turn(three, 8.0, session="s") == "three"
    assert turn(three, 9.0, session="s", tried={"three"}) == "one"
    assert turn(three, 10.0, session="s") == "one"
    assert turn(three, 20_000.0, session="s") == "two"  # forgotten meanwhile


def test_a_session_waits_a_moment_for_its_account():
    two = pool("one", "two", account_concurrency=1)
    assert turn(two, 0.0, session="s") == "one"
    place = two.take(Want("m"), 0.0)
    assert isinstance(two.take(Want("m", session="s"), 0.0), Full)
    moved = two.take(Want("m", session="s", waited=PATIENCE), 2.0)
    assert (moved.account.id, moved.moved_from) == ("two", "one")
    for one in (place, moved):
        two.leave(one, 3.0)
    assert turn(two, 3.0, session="s") == "two"


def test_what_a_session_asks_beside_itself_is_a_guest_elsewhere():
    two = pool("one", "two", account_concurrency=1)
    place = two.take(Want("m", session="s"), 0.0)
    guest = two.take(Want("m", session="s", waited=PATIENCE), 2.0)
    assert (guest.account.id, guest.moved_from) == ("two", "")
    for one in (place, guest):
        two.leave(one, 3.0)
    assert turn(two, 3.0, session="s") == "one"


def test_a_session_that_begins_is_no_old_one():
    three = pool("one", "two", "three", mode="round-robin")
    assert [turn(three, n, session="s", begins=True) for n in range(3)] == ["one", "two", "three"]
    assert turn(three, 3.0, session="s") == "three"


def test_sessions_can_be_let_go():
    two = pool("one", "two", mode="round-robin", sticky_sessions=False)
    assert [turn(two, n, session="s") for n in range(3)] == ["one", "two", "one"]


def test_a_pinned_request_goes_nowhere_else():
    three = pool("one", "two", "three")
    assert turn(three, 0.0, only={"two"}) == "two"
    three.failed("two", LOCKED, "m", 0.0)
    nobody = three.take(Want("m", only={"two"}), 1.0)
    assert (list(nobody.reasons), nobody.until) == (["two"], 20.0)
    assert turn(three, 0.0, only=set()) is Nobody


def test_a_disabled_account_serves_nobody():
    two = pool(accounts=[Account("one", enabled=False), Account("two")])
    assert turn(two, 0.0) == "two"
    two.served("one", "m", 1.0)  # what it had on its way changes nothing
    assert turn(two, 1.0, tried={"two"}) is Nobody
    assert states(two, 1.0) == {"one": "disabled", "two": "ready"}


def test_accounts_come_and_go():
    two = pool("one", "two")
    two.failed("one", LOCKED, "m", 0.0)
    place = two.take(Want("m"), 1.0)
    two.replace([Account("one", label="mine"), Account("three")])
    two.leave(place, 2.0)
    assert states(two, 2.0) == {"one": "suspended", "three": "ready"}
    assert (two.find("mine").id, two.find("three").id, two.find("two")) == ("one", "three", None)
    assert turn(two, 2.0) == "three"


def test_a_used_up_plan_waits_for_its_reset():
    two = pool("one", "two")
    two.failed("one", USED_UP, "m", 0.0)
    assert two.status(0.0)[0]["until"] == 300.0
    assert two.probe_due(1.0) == ["one"]
    two.quota("one", left(0.0, 1.0, resets_at=90_000.0), 1.0)
    assert two.probe_due(100.0) == []
    assert two.probe_due(6 * 3600.0 + 1) == ["one"]  # somebody may have bought more
    assert (two.status(1.0)[0]["until"], turn(two, 89_000.0), turn(two, 90_000.0)) == (90_000.0, "two", "one")
    nobody = two.take(Want("m", only={"one"}), 80_000.0)
    assert nobody.error.wait == 10_000.0


def test_a_plan_that_looks_used_up_serves_if_nobody_else_can():
    one = pool("one")
    one.quota("one", left(0.0, 1.0, resets_at=90_000.0), 1.0)
    assert states(one, 2.0) == {"one": "exhausted"}
    assert turn(one, 2.0) == "one"
    one.failed("one", USED_UP, "m", 3.0)
    assert turn(one, 4.0) is Nobody


def test_a_fresh_quota_ends_a_rest_but_is_not_believed_twice():
    two = pool("one", "two")
    two.failed("one", USED_UP, "m", 0.0)
    two.quota("one", left(10.0, 5.0), 5.0)
    assert turn(two, 5.0) == "one"
    two.failed("one", USED_UP, "m", 6.0)
    two.quota("one", left(10.0, 7.0), 7.0)
    assert (turn(two, 1805.0), turn(two, 1806.0)) == ("two", "one")
    two.served("one", "m", 1806.0)
    two.failed("one", USED_UP, "m", 2000.0)
    two.quota("one", left(10.0, 2001.0), 2001.0)
    assert states(two, 2001.0)["one"] == "ready"


def test_a_look_from_before_says_nothing():
    two = pool("one", "two")
    two.failed("one", USED_UP, "m", 10.0)
    two.quota("one", left(10.0, 9.0), 11.0)
    assert states(two, 11.0)["one"] == "exhausted"
    two.quota("two", left(0.0, 9.0, resets_at=10.0), 11.0)  # its reset was meanwhile
    assert states(two, 11.0)["two"] == "ready"


def test_a_look_at_a_locked_account_that_is_used_up_too():
    two = pool("one", "two")
    two.failed("one", LOCKED, "m", 10.0)
    two.quota("one", left(0.0, 11.0, resets_at=5000.0), 11.0)
    assert states(two, 11.0)["one"] == "suspended"
    two.quota("two", left(0.0, 11.0, resets_at=5000.0), 11.0)
    before = two.all()[1].health
    two.quota("two", left(0.0, 12.0, resets_at=5000.0), 12.0)
    assert two.all()[1].health is before  # that is no news


@pytest.mark.parametrize("mode", ["round-robin", "weighted", "least-used"])
def test_who_comes_back_does_not_get_what_it_has_missed(mode):
    two = pool("one", "two", mode=mode)
    two.failed("one", LOCKED, "m", 0.0)
    assert {turn(two, 1.0) for _ in range(50)} == {"two"}
    two.clear("one", now=2.0)
    assert sorted(turn(two, 2.0) for _ in range(10)) == ["one"] * 5 + ["two"] * 5


def test_who_was_full_does_not_get_what_it_has_missed():
    two = pool(accounts=[Account("one", limit=1), Account("two", limit=0)], mode="weighted")
    place = two.take(Want("m"), 0.0)
    assert {turn(two, 1.0) for _ in range(50)} == {"two"}
    two.leave(place, 2.0)
    assert [turn(two, 2.0) for _ in range(10)].count("one") in (5, 6)


def test_a_request_on_its_way_counts_twice():
    two = pool("one", "two", mode="least-used")
    two.take(Want("m"), 0.0)
    assert [turn(two, 0.0) for _ in range(3)] == ["two", "two", "one"]


def test_the_most_quota_left_is_by_what_requests_have_cost():
    three = pool("one", "two", "unknown", mode="most-quota-left")
    three.quota("one", left(30.0, 0.0), 0.0)
    three.quota("two", left(20.0, 0.0), 0.0)
    assert [turn(three, 0.0), turn(three, 0.0, tried={"one"}), turn(three, 0.0, tried={"one", "unknown"})] == ["one", "unknown", "two"]
    place = three.take(Want("m"), 0.0)
    three.leave(place, 0.0, credits=8.0)
    assert (place.account.id, turn(three, 0.0)) == ("one", "unknown")  # 22 and 25, the mean


def test_of_failures_together_the_longest_rest_counts():
    one = pool("one")
    one.failed("one", asked(50.0), "m", 10.0, began=9.0)
    one.failed("one", SLOW, "m", 11.0, began=9.0)
    assert (turn(one, 59.0), turn(one, 60.0)) == (Nobody, "one")


def test_a_process_takes_its_part_of_the_free_places_and_then_waits():
    one = pool("one")
    one._schedule.processes, [account] = 3, one.all()
    one._schedule.count(account, 0)
    for again, places in ((None, 2), (False, 0), (True, 1), (False, 0), (True, 1), (True, 0)):
        if again is not None:
            one._schedule.count(account, 0, again)
        taken = [one.take(Want("m"), 1.0) for _ in range(4)]
        assert sum(isinstance(place, Place) for place in taken) == places


def test_a_locked_account_is_looked_at_before_a_request_tries_it():
    two = pool("one", "two")
    two.failed("one", LOCKED, "m", 0.0)
    assert (two.probe_due(19.0), two.probe_due(20.0), two.probe_due(21.0)) == ([], ["one"], [])
    assert turn(two, 21.0) == "two"
    assert turn(two, 21.0, tried={"two"}) == "one"
    two.failed("one", LOCKED, "m", 22.0)
    assert (turn(two, 322.0 + PROBED - 1), turn(two, 322.0 + PROBED)) == ("two", "one")
    two.quota("one", left(10.0, 400.0), 400.0)
    assert states(two, 400.0)["one"] == "ready"


def test_a_login_that_came_back_serves_at_once():
    two = pool("one", "two")
    two.failed("one", SIGN_IN, "m", 0.0)
    assert states(two, 0.0)["one"] == "login"
    two.renewed("one", 1.0)
    two.failed("two", NO_RENEWAL, "m", 1.0)
    assert (states(two, 1.0), turn(two, 1.0)) == ({"one": "ready", "two": "cooling"}, "one")
    two.failed("one", LOCKED, "m", 1.0)
    two.renewed("one", 2.0)
    assert states(two, 2.0)["one"] == "suspended"


def test_a_login_that_is_seen_to_be_well_again_is_tried():
    two = pool("one", "two")
    two.failed("one", NO_RENEWAL, "m", 0.0)
    two.replace([Account("one"), Account("two")])
    now = time.time()
    assert states(two, now)["one"] == "ready"
    two.failed("one", NO_RENEWAL, "m", now + 10)
    assert two.status(now)[0]["until"] == now + 10 + 1800


def test_everything_has_a_reason_a_time_and_evidence():
    one = pool("one")
    one.failed("one", LOCKED, "m", 100.0)
    one.failed("one", LACKING, "x", 100.0)
    [row] = one.status(110.0)
    wrong = {"state": "suspended", "reason": "suspended", "since": 100.0, "until": 120.0, "seconds": 10, "evidence": "locked", "upstream_request": "", "failures": 1}
    assert {name: row[name] for name in wrong} == wrong
    assert row["models"] == [{"model": "x", "state": "cooling", "reason": "model", "since": 100.0, "until": 700.0, "seconds": 590, "evidence": "no such model", "upstream_request": "", "failures": 1}]
    one.failed("one", SLOW, "m", 130.0)
    one.clear("one", now=131.0)
    [row] = one.status(131.0)
    assert (row["state"], row["reason"], row["until"], row["models"], row["pace"]) == ("ready", "", None, [], 0)
    assert [one.take(Want("m"), 131.0).account.id for _ in range(2)] == ["one", "one"]
