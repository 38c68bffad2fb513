"""A clock that is set back by an hour keeps no account out of rotation for that hour."""

import pytest

from kirogw.dialects.quota import Bucket, Quota
from kirogw.pool import Account, Place, Pool, Want
from kirogw.pool.schedule import LONGEST_GAP
from kirogw.pool.shared import Shared
from kirogw.settings import Settings
from kirogw.store import Doc
from tests.pool.test_pool import LACKING, LACKS, LOCKED, SIGN_IN, SLOW, USED_UP, pool, states, turn

THEN = 1_000_000.0
NOW = THEN - 3600
RESTS = {"slow": (SLOW, 8.0), "locked": (LOCKED, 80.0), "sign in": (SIGN_IN, 300.0), "used up": (USED_UP, 300.0)}


@pytest.mark.parametrize("name", RESTS)
def test_a_rest_is_as_long_as_it_was_meant_to_be(name):
    verdict, rest = RESTS[name]
    two = pool("one", "two")
    two.failed("one", verdict, "m", THEN, THEN)
    assert turn(two, NOW) == "two"
    assert turn(two, NOW + rest + 1) == "one"


def test_what_an_account_lacks():
    two = pool("one", "two")
    two.failed("one", LACKING, "m", THEN)
    assert turn(two, NOW) == "two"
    assert turn(two, NOW + LACKS + 1) == "one"


def test_a_reset_that_was_told_is_when_it_is():
    two = pool("one", "two")
    two.quota("one", Quota(THEN, (Bucket("plan", 50.0, 50.0, THEN + 600),), resets_at=THEN + 600), THEN)
    two.failed("one", USED_UP, "m", THEN)
    assert turn(two, NOW + 3600) == "two"
    assert turn(two, THEN + 601) == "one"


def test_a_success_ends_what_failed_before_the_clock_was_set_back():
    one = pool("one")
    one.failed("one", SLOW, "m", THEN, THEN)
    place = one.take(Want("m"), NOW)
    one.served("one", "m", NOW + 2, NOW)
    one.leave(place, NOW + 2)
    assert states(one, NOW + 2) == {"one": "ready"}


def test_failures_go_on_to_count():
    one = pool("one")
    one.failed("one", LOCKED, "m", THEN, THEN)
    one.failed("one", LOCKED, "m", NOW + 100, NOW + 100)
    assert one.find("one").health.failures == 2


def test_the_pace_goes_on():
    one = pool("one")
    one.failed("one", SLOW, "m", THEN, THEN)
    one.served("one", "m", THEN + 9, THEN + 8)
    assert one.find("one").gap
    assert turn(one, NOW) == "one"
    assert turn(one, NOW + LONGEST_GAP) == "one"
    assert turn(one, NOW + 100) == "one" and not one.find("one").gap


def test_a_locked_account_is_looked_at_again():
    one = pool("one")
    one.failed("one", LOCKED, "m", THEN, THEN)
    assert one.probe_due(THEN + 30) == ["one"] and one.probe_due(THEN + 31) == []
    one.take(Want("m"), NOW)
    assert one.probe_due(NOW + 30) == ["one"]


class Nothing:
    """A store where nothing goes."""

    def put(self, *given, **more): ...


def test_places_that_others_have_left_are_free_again():
    """Nobody would hear for an hour that the others' answers have ended."""
    two = Pool([Account("one")], Settings(account_concurrency=4))
    shared, schedule = Shared(Nothing(), Nothing(), lambda: "here|x|1|1"), two._schedule

    def hear(flight, now):
        shared.hear_processes(schedule, {"there|x|1|1|pool": Doc({"in_flight": flight}, 1, now)}, now)

    hear({"one": 4}, THEN)
    hear({"one": 4}, NOW)
    assert shared.listen_due(THEN) and not isinstance(two.take(Want("m"), NOW), Place)
    hear({}, NOW + 0.1)
    hear({}, NOW + 1.2)
    assert isinstance(two.take(Want("m"), NOW + 1.3), Place)


def test_the_clock_of_another_machine_does_not_matter():
    """It is a minute behind, and still its answers count: the store says what has ended."""
    two = Pool([Account("one")], Settings(account_concurrency=4))
    shared = Shared(Nothing(), Nothing(), lambda: "here|x|1|1")
    said = {"at": NOW - 60, "in_flight": {"one": 4}, "moved": {}}
    shared.hear_processes(two._schedule, {"there|x|1|1|pool": Doc(said, 1, NOW)}, NOW)
    assert not isinstance(two.take(Want("m"), NOW), Place)


def test_what_was_cleared_before_the_clock_was_set_back_hides_nothing_that_comes_later():
    two = pool("one", "two")
    two.clear("one", now=THEN)
    two.clear("one", "m", now=THEN)
    assert turn(two, NOW) == "one"
    shared = Shared(Nothing(), Nothing(), lambda: "here|x|1|1")
    mark = {"state": "cooling", "kind": "lacks", "at": NOW + 5, "until": NOW + 605}
    assert shared.hear_health(two._schedule, {"one|m": Doc({**mark, "at": NOW - 5}, 1, NOW)}, NOW + 1) is False
    assert shared.hear_health(two._schedule, {"one|m": Doc(mark, 2, NOW + 5)}, NOW + 6) is True
    assert turn(two, NOW + 7) == "two"
