"""A short form of `python -m tests.logins.races`, which has 200 rounds of each."""

import pytest

from tests.logins import races

PLACES = ["file", "database", "token"]


@pytest.mark.parametrize("where", PLACES)
def test_one_redemption_a_round(where):
    figures = races.race(200 if where == "file" else 20, where)
    print(figures.line())
    assert figures.faults == []
    assert (figures.redeemed, figures.lost) == (figures.rounds, 0)


@pytest.mark.parametrize("where", PLACES)
def test_kills_where_the_service_gives_grace(where):
    figures = races.kills("grace", 40 if where == "file" else 15, where, seed=1)
    print(figures.line())
    assert figures.faults == []
    assert (figures.lost, figures.in_flight) == (0, 0) and figures.killed > figures.rounds / 4


@pytest.mark.parametrize("where", PLACES)
def test_kills_where_a_token_works_once(where):
    """Lost is only what was in flight, and it says so."""
    figures = races.kills("strict", 40 if where == "file" else 15, where, seed=2)
    print(figures.line())
    assert figures.faults == []
    assert figures.lost == 0 and figures.in_flight == figures.told and figures.killed > figures.rounds / 4
