"""Which account a conversation is on."""

from kirogw.pool.sessions import MOST, Sessions


def test_the_oldest_are_forgotten_when_there_are_too_many():
    sessions = Sessions(3600.0)
    for n in range(MOST + 2):
        sessions.bind(f"s{n}", "one", 0.0)
        sessions.bind("s0", "one", 0.0)  # always in use
    assert [sessions.known(name) for name in ("s0", "s1", "s2", "s3", f"s{MOST + 1}")] == [True, False, False, True, True]


def test_others_hear_of_it_when_there_is_something_to_hear():
    sessions = Sessions(400.0)

    def told(account, now):
        sessions.bind("s", account, now)
        return [(session, bound.account, moved) for session, bound, moved in sessions.news()]

    assert [told("one", now) for now in (1000.0, 1050.0, 1099.0)] == [[("s", "one", False)], [], []]
    assert told("one", 1100.0) == [("s", "one", False)]  # so that the store does not forget it
    assert told("two", 1101.0) == [("s", "two", True)]


def test_the_later_move_counts():
    sessions = Sessions(400.0)
    sessions.hear("s", "one", 5.0, 10.0)
    assert sessions.find("s", 10.0).account == "one"
    sessions.hear("s", "two", 4.0, 11.0)
    assert sessions.find("s", 11.0).account == "one"
    sessions.hear("s", "two", 6.0, 12.0)
    assert sessions.find("s", 12.0).account == "two"
    assert sessions.find("s", 412.0) is None
