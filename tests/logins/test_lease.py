import os
import threading
import time

import pytest

from kirogw.logins.lease import Lease, NoLease
from kirogw.settings import Settings
from kirogw.store import StoreFailed, open_store
from tests.logins.holders import another_process
from tests.store.servers import redis_server

ELSEWHERE = "another-machine|boot|1|2|3"
BUSY = (2.0, 8.0, 24.0)  # seconds of a lease: longer ones where the machine was too busy for the first


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def settings(request, tmp_path):
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    return Settings(kirogw_home=str(tmp_path), state_url=url)


@pytest.fixture
def store(settings):
    made = open_store(settings)
    yield made
    made.release("a", ELSEWHERE)
    made.close()


def lease_in(settings):
    return Lease(open_store(settings), "a")


@pytest.fixture
def holder(settings, store):
    with another_process(lease_in, settings) as held:
        yield held


def test_one_at_a_time(store, holder):
    _, pipe = holder
    lease = Lease(store, "a")
    assert lease.take() is False
    pipe.send("drop it")
    assert pipe.recv() == "dropped"
    assert lease.take() is True
    lease.drop()


def test_a_holder_that_is_killed_holds_nothing(store, holder):
    process, _ = holder
    os.kill(process.pid, 9)
    process.join()
    with Lease(store, "a").held(0) as mine:
        assert mine


def test_a_holder_elsewhere_that_says_nothing_is_replaced_after_its_time(store):
    for seconds in BUSY:
        assert store.lease("a", ELSEWHERE, 0.3 * seconds)
        lease = Lease(store, "a")
        if not (taken := lease.take()):
            break
        lease.drop()
    assert not taken
    with Lease(store, "a").held(60) as mine:
        assert mine


def test_it_is_extended_while_it_is_held(store):
    """Longer than it would last."""
    before = threading.active_count()
    for seconds in BUSY:
        with Lease(store, "a", seconds).held(0) as mine:
            assert mine
            until, lost = time.monotonic() + 1.3 * seconds, False
            while not lost and time.monotonic() < until:
                time.sleep(0.1)
                lost = store.lease("a", ELSEWHERE, 1.0)
        if not lost:
            break
        store.release("a", ELSEWHERE)
    assert not lost
    assert store.lease("a", ELSEWHERE, 1.0) and threading.active_count() <= before + 1


def test_who_was_stopped_for_long_knows_that_it_has_lost_it(store):
    lease = Lease(store, "a", 0.2)
    assert not lease.still() and lease.take()
    time.sleep(0.4)
    assert not lease.still(), "somebody may have had it, although nobody has it now"
    assert store.lease("a", ELSEWHERE, 30.0) and not lease.take()
    lease.drop()
    assert store.holder("a") == ELSEWHERE, "what is another's is not given back"


def test_it_is_ours_while_it_can_not_have_ended(store):
    with Lease(store, "a").held(0):
        pass
    lease = Lease(store, "a")
    assert lease.take() and lease.still()
    lease.drop()


def test_it_is_not_taken_again_after_it_was_given_back(store):
    """The thread that extends it is at it just then."""
    inside, end = threading.Event(), threading.Event()

    class Slow:
        def lease(self, *words):
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                end.wait(60)
            return store.lease(*words)

        def release(self, *words):
            store.release(*words)

    for seconds in BUSY:
        lease = Lease(Slow(), "a", seconds)
        with lease.held(0) as mine:
            assert mine
            if inside.wait(seconds):
                threading.Timer(0.1, end.set).start()
        if inside.is_set():
            break
    assert inside.is_set() and store.holder("a") == "" and lease._timer is None


def test_waiting_is_done_by_asking_again(store, holder):
    _, pipe = holder
    steps = []

    def sleep(seconds):
        steps.append(seconds)
        if len(steps) == 3:
            pipe.send("drop it")
            assert pipe.recv() == "dropped"

    with Lease(store, "a").held(1, sleep) as mine:
        assert mine and len(steps) == 3
    steps.clear()
    with Lease(store, "a").held(0, sleep) as mine:
        assert mine and not steps, "it was given back"


def test_waiting_ends(store, holder):
    steps = []
    with Lease(store, "a").held(0.5, steps.append) as mine:
        assert not mine
    assert sum(steps) == pytest.approx(0.5, abs=0.11)


def test_within_a_process_too(store):
    with Lease(store, "a").held(0) as mine, Lease(store, "a").held(0) as another, Lease(store, "b").held(0) as third:
        assert (mine, another, third) == (True, False, True)


def test_a_store_that_fails(store):
    class Away:
        def lease(self, name, owner, seconds):
            raise StoreFailed("the store is away; try again")

    with pytest.raises(NoLease, match="the store is away"):
        Lease(Away(), "a").take()
