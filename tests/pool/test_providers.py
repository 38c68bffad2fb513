"""A pool of several providers' accounts: credits beside windows, and logins that are each for their owner alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.convert import Providers
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.errors import Busy, QuotaUsed, UnknownModel
from kirogw.pool import Account, Full, Nobody, Place, Pool, Want
from kirogw.pool.health import ASKED_FOR, LADDER
from kirogw.pool.turns import OF_A_WINDOW, RANKS
from kirogw.settings import Settings

HOUR = 3600.0
NOW = 1.8e9
SLOW = Verdict(Busy("slow down", wait=8.0), "rate", elsewhere=True, fate="slow")
USED_UP = Verdict(QuotaUsed("used up"), "quota", elsewhere=True, fate="exhausted")
LACKING = Verdict(UnknownModel("not on this plan"), "model", elsewhere=True, fate="lacks")
KINDS = {"k": "social", "c": "codex", "s": "siwc"}


def pool(*names, mode="fill-first", **more):
    """The first letter of a name says what kind of login it is."""
    return Pool([Account(name, kind=KINDS[name[0]]) for name in names], Settings(scheduling_mode=mode, **more), chance=lambda: 0.5)


def turn(pool, now=NOW, model="m", **more):
    place = pool.take(Want(model, **more), now)
    if not isinstance(place, Place):
        return type(place)
    pool.leave(place, now)
    return place.account.id


def used_up(seconds):
    return Verdict(QuotaUsed("used up", wait=seconds), "quota", elsewhere=True, fate="exhausted", hint=seconds)


def credits(left, limit):
    return Quota(NOW, (Bucket("plan", limit - left, limit),))


def windows(**left):
    """Percent by the window's name; each is full again an hour later for each letter of it."""
    return Quota(NOW, tuple(Bucket(name, 100.0 - one, 100.0, NOW + len(name) * HOUR, 60.0) for name, one in left.items()), windows=True)


def test_each_account_is_known_by_its_provider():
    providers = Providers(Settings())
    assert [row["provider"] for row in pool("k1", "c1", "s1").status(NOW)] == [providers.of(kind).name for kind in KINDS.values()]


# What is left


SHARES = [
    # what each has left, who comes first, second...
    pytest.param({"k1": credits(40, 100), "k2": credits(30, 50)}, ["k1", "k2"], id="credits are counted"),
    pytest.param({"k1": credits(40, 100), "k2": credits(30, 50), "c1": windows(day=50)}, ["k2", "c1", "k1"], id="beside windows, parts are"),
    pytest.param({"k1": credits(40, 100), "c1": windows(day=90, week=10)}, ["k1", "c1"], id="the least window counts"),
    pytest.param({"c1": windows(day=20), "c2": windows(day=70)}, ["c2", "c1"], id="windows alone"),
    pytest.param({"k1": credits(10, 100), "s1": None, "c1": windows(day=50)}, ["c1", "s1", "k1"], id="who is not known is one of the mean"),
    pytest.param({"k1": credits(0, 0), "c1": windows(day=50)}, ["c1", "k1"], id="a plan of nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("quotas", "order"), SHARES)
def test_the_most_quota_left(quotas, order):
    some, tried = pool(*quotas, mode="most-quota-left"), set()
    for name, quota in quotas.items():
        if quota:
            some.quota(name, quota, NOW)
    for name in order:
        assert turn(some, tried=frozenset(tried)) == name
        tried.add(name)


def test_what_a_request_takes_of_a_window_is_a_guess_until_it_is_told():
    two = pool("c1", "c2", mode="most-quota-left")
    two.quota("c1", windows(day=50), NOW)
    two.quota("c2", windows(day=50 - 1.5 * OF_A_WINDOW), NOW)
    served = [turn(two) for _ in range(3)]
    assert served == ["c1", "c1", "c2"]
    for account in two.all():
        two._schedule._turns.left(account, 5.0)  # credits say nothing of windows
    assert turn(two) == "c1"


# Windows


def test_an_exhausted_window_heals_at_its_own_reset():
    two = pool("c1", "k1")
    two.quota("c1", windows(day=0, week=60), NOW)
    assert [row["state"] for row in two.status(NOW)] == ["exhausted", "ready"]
    [row] = [row for row in two.status(NOW) if row["id"] == "c1"]
    assert (row["until"], row["quota"]["resets_at"]) == (NOW + 3 * HOUR, NOW + 3 * HOUR)
    assert row["evidence"] == "The account's plan is used up: all of day. Wait for its reset, raise its limit or add an account."
    assert [turn(two, NOW + 3 * HOUR - 1), turn(two, NOW + 3 * HOUR)] == ["k1", "c1"]


def test_of_several_windows_that_are_used_up_the_last_reset_counts():
    one = pool("c1")
    one.quota("c1", windows(day=0, week=0), NOW)
    assert one.status(NOW)[0]["until"] == NOW + 4 * HOUR


def test_a_used_up_plan_rests_until_the_time_that_was_told():
    """429 usage_limit_reached with its resets_at: not ten minutes only, as other hints are believed."""
    one, two = pool("c1"), pool("c1", "k1")
    for some in (one, two):
        some.failed("c1", used_up(5 * HOUR), "m", NOW)
        assert (some.status(NOW)[0]["state"], some.status(NOW)[0]["until"]) == ("exhausted", NOW + 5 * HOUR)
    nobody = one.take(Want("m"), NOW + 1)
    assert isinstance(nobody, Nobody)
    assert (nobody.until, nobody.error.wait, type(nobody.error)) == (NOW + 5 * HOUR, 5 * HOUR - 1, QuotaUsed)
    assert [turn(two, NOW + 5 * HOUR - 1), turn(two, NOW + 5 * HOUR)] == ["k1", "c1"]
    one.failed("c1", USED_UP, "m", NOW + 5 * HOUR)  # no time was told
    assert one.status(NOW + 5 * HOUR)[0]["until"] == NOW + 5 * HOUR + LADDER[1]


def test_what_the_refusal_says_of_the_reset_counts_more_than_the_last_look():
    one = pool("c1")
    one.quota("c1", windows(day=0), NOW)
    one.failed("c1", used_up(60.0), "m", NOW)
    assert one.status(NOW)[0]["until"] == NOW + 60


def test_a_burst_rests_for_moments():
    one = pool("c1", "k1")
    one.failed("c1", Verdict(Busy("too many", wait=2.0), "burst", elsewhere=True, fate="slow", hint=2.0), "m", NOW)
    assert one.status(NOW)[0]["state"] == "cooling"
    assert one.status(NOW)[0]["until"] <= NOW + ASKED_FOR
    assert turn(one, NOW + 1) == "k1"


def test_a_model_that_a_plan_has_not_is_asked_for_elsewhere():
    two = pool("c1", "k1")
    two.failed("c1", LACKING, "m", NOW)
    assert (turn(two, model="m"), turn(two, model="n")) == ("k1", "c1")


# Logins that are each for their owner alone


ALONE = [
    # names, what became of them, what is wanted, who serves
    pytest.param("s1 s2", [], {}, "s1", id="the first"),
    pytest.param("s1 s2", [("s1", SLOW)], {}, "s2", id="the first that can"),
    pytest.param("s1 s2", [("s1", USED_UP), ("s2", SLOW)], {}, "s2", id="a guess is made of those that may be asked"),
    pytest.param("s1 s2", [("s1", SLOW), ("s2", SLOW)], {}, "s1", id="all are a guess"),
    pytest.param("s1 s2", [("s1", LACKING)], {}, "s2", id="the first that has the model"),
    pytest.param("s1 s2", [], {"only": {"s2"}}, "s2", id="named"),
    pytest.param("s1 s2 s3", [], {"only": {"s2", "s3"}}, "s2", id="the first that is named"),
    pytest.param("s1 s2", [], {"tried": {"s1"}}, "s2", id="the first has failed this request"),
    pytest.param("s1 k1", [], {"tried": {"s1"}}, "k1", id="others are beside it"),
    pytest.param("k1 s1 s2", [], {"tried": {"k1"}}, "s1", id="behind others"),
]  # fmt: skip


@pytest.mark.parametrize("mode", sorted(RANKS))
@pytest.mark.parametrize(("names", "became", "wanted", "who"), ALONE)
def test_of_those_that_are_alone_the_first_serves(mode, names, became, wanted, who):
    some = pool(*names.split(), mode=mode, retry_pace=0.001)  # no distances
    for name, verdict in became:
        some.failed(name, verdict, "m", NOW)
    wanted = {name: frozenset(value) for name, value in wanted.items()}
    others = {name for name in names.split() if name[0] != "s"} - {who}
    served = {turn(some, NOW + 1 + n / 100, **wanted) for n in range(6)} - others
    assert served == {who}


def test_a_full_one_is_waited_for():
    two = pool("s1", "s2", account_concurrency=1)
    assert isinstance(two.take(Want("m"), NOW), Place)
    assert isinstance(two.take(Want("m"), NOW), Full)
    assert isinstance(two.take(Want("m", waited=60.0), NOW), Full)


def test_a_conversation_goes_back_to_the_first():
    """It was elsewhere only because it had to be."""
    two = pool("s1", "s2")
    two.failed("s1", SLOW, "m", NOW)
    assert turn(two, NOW + 1, session="a") == "s2"
    two.served("s1", "m", NOW + 9)
    assert turn(two, NOW + 10, session="a") == "s1"


def test_rotation_is_the_owners_choice():
    two = pool("s1", "s2", mode="round-robin", chatgpt_rotation=True)
    assert [turn(two) for _ in range(4)] == ["s1", "s2", "s1", "s2"]


def test_client_logins_take_turns():
    two = pool("c1", "c2", mode="round-robin")
    assert [turn(two) for _ in range(4)] == ["c1", "c2", "c1", "c2"]


NAMES = ("s1", "k1", "s2", "c1", "s3")
SOME = st.frozensets(st.sampled_from(NAMES), max_size=4)


@settings(max_examples=150, deadline=None)
@given(mode=st.sampled_from(sorted(RANKS)), disabled=SOME, data=st.data())
def test_never_one_of_them_while_one_before_it_can_serve(mode, disabled, data):
    """By the pool's own word on who can serve, whatever has happened to whom, and whoever is asked for."""
    some = Pool([Account(name, kind=KINDS[name[0]], enabled=name not in disabled) for name in NAMES],
                Settings(scheduling_mode=mode, account_concurrency=2), chance=lambda: 0.4)
    now, places = NOW, []
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.sampled_from((0.1, 5.0, 400.0)))
        match data.draw(st.sampled_from(("take", "take", "fail", "leave"))):
            case "take":
                only, tried = data.draw(st.none() | SOME), data.draw(SOME)
                session = data.draw(st.sampled_from(("", "a", "b")))
                can = {row["id"] for row in some.status(now) if row["state"] == "ready" and not row["models"]}
                place = some.take(Want("m", session, only, tried), now)
                if not isinstance(place, Place):
                    continue
                places.append(place)
                chosen = place.account.id
                before = {name for name in NAMES[: NAMES.index(chosen)] if name[0] == "s" and name in can - tried}
                assert chosen[0] != "s" or not (before if only is None else before & only)
            case "fail":
                some.failed(data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from((SLOW, USED_UP, LACKING))), "m", now)
            case "leave" if places:
                some.leave(places.pop(), now)
