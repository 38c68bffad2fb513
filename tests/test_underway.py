"""Answers that are on their way: cancelled here, or where they run."""

import pytest

from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.underway import KIND, Underway


class Run:
    def __init__(self, owner):
        self.owner, self.cancelled = owner, 0

    def response(self):
        return {"status": "in_progress"}

    def cancel(self):
        self.cancelled += 1


@pytest.fixture
def stores(tmp_path):
    found = [open_store(Settings(kirogw_home=str(tmp_path))) for _ in range(2)]
    yield found
    for store in found:
        store.close()


@pytest.fixture
def processes(stores):
    return [Underway(Sync(store)) for store in stores]


def test_one_that_runs_here(processes, stores):
    here, _ = processes
    run = Run("k")
    here.begin("resp_1", run)
    assert here.find("k", "resp_1") is run and here.find("other", "resp_1") is None and here.find("k", "resp_2") is None
    assert here.cancel("k", "resp_1") and run.cancelled == 1
    assert stores[0].all(KIND) == {}
    here.end("resp_1")
    assert here.find("k", "resp_1") is None
    here.end("resp_1")


def test_one_that_runs_elsewhere(processes):
    here, there = processes
    run, other = Run("k"), Run("k")
    there.begin("resp_1", run)
    there.begin("resp_2", other)
    assert not here.cancel("k", "resp_1")
    there.look()
    assert (run.cancelled, other.cancelled) == (1, 0)


def test_nobody_cancels_what_is_not_theirs(processes):
    here, there = processes
    run = Run("k")
    there.begin("resp_1", run)
    assert not there.cancel("thief", "resp_1") and not here.cancel("thief", "resp_1")
    there.look()
    assert run.cancelled == 0
