"""A short form of `python -m tests.logins.races`, which has 200 rounds of each."""

import pytest

from tests.logins import races
from tests.store.servers import redis_server

WHERE = [
    # engine, where the login lies, rounds of a race, kills
    pytest.param("sqlite", "file", 40, 15, id="sqlite-file"),
    pytest.param("sqlite", "database", 10, 8, id="sqlite-database"),
    pytest.param("sqlite", "token", 10, 8, id="sqlite-token"),
    pytest.param("sqlite", "stored", 20, 10, id="sqlite-stored"),
    pytest.param("sqlite", "codex", 20, 10, id="sqlite-codex"),
    pytest.param("sqlite", "siwc", 10, 8, id="sqlite-siwc"),
    pytest.param("redis", "file", 10, 8, id="redis-file"),
    pytest.param("redis", "codex", 10, 8, id="redis-codex"),
    pytest.param("redis", "stored", 20, 10, id="redis-stored"),
]


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture
def url(request):
    """Of the store, for the engine that the test is called with."""
    if request.node.callspec.params["engine"] == "sqlite":
        return ""
    return races.emptied(request.getfixturevalue("redis"))


@pytest.mark.parametrize(("engine", "where", "rounds", "kills"), WHERE)
def test_one_redemption_a_round(url, engine, where, rounds, kills):
    figures = races.race(rounds, where, url)
    print(figures.line())
    assert figures.faults == []
    assert (figures.redeemed, figures.lost) == (figures.rounds, 0)


@pytest.mark.parametrize(("engine", "where", "rounds", "kills"), WHERE)
def test_kills_where_the_service_gives_grace(url, engine, where, rounds, kills):
    figures = races.kills("grace", kills, where, 1, url)
    print(figures.line())
    assert figures.faults == []
    assert (figures.lost, figures.in_flight) == (0, 0) and figures.killed > figures.rounds / 4


@pytest.mark.parametrize(("engine", "where", "rounds", "kills"), WHERE)
def test_kills_where_a_token_works_once(url, engine, where, rounds, kills):
    """Lost is only what was in flight, and it says so."""
    figures = races.kills("strict", kills, where, 2, url)
    print(figures.line())
    assert figures.faults == []
    assert figures.lost == 0 and figures.in_flight == figures.told and figures.killed > figures.rounds / 4
