"""The crash test, short: see tests/system/crash.py for what is done, and for the long one."""

import contextlib

import pytest

from tests.store.servers import redis_server
from tests.system.crash import run

pytestmark = pytest.mark.timeout(1200)
SECONDS = 8


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_nothing_is_lost_and_no_request_fails_but_with_its_process(engine):
    with redis_server() if engine == "redis" else contextlib.nullcontext() as server:
        figures = run(SECONDS, server.url if server else "", seed=7)
    assert figures.faults == []
    assert (figures.double, figures.lost) == (0, 0)
    assert figures.killed and figures.whole and figures.redeemed
