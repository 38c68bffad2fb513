import multiprocessing
import os
import signal
import stat

import pytest

from kirogw.logins.lease import Lease, NoLease

FORK = multiprocessing.get_context("forkserver")


def hold(path, pipe):
    lease = Lease(path)
    pipe.send(lease.take())
    pipe.recv()
    lease.drop()
    pipe.send("dropped")
    pipe.recv()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease; whatever is sent makes it give it back, and then end."""
    mine, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, args=(tmp_path / "locks" / "a.lock", theirs))
    process.start()
    theirs.close()
    assert mine.recv() is True
    yield process, mine
    process.kill()
    process.join()


def test_one_at_a_time(tmp_path, holder):
    _, pipe = holder
    lease = Lease(tmp_path / "locks" / "a.lock")
    assert lease.take() is False
    pipe.send("drop it")
    assert pipe.recv() == "dropped"
    assert lease.take() is True
    lease.drop()


def test_a_holder_that_is_killed_holds_nothing(tmp_path, holder):
    process, _ = holder
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Lease(tmp_path / "locks" / "a.lock").held(0) as mine:
        assert mine


def test_waiting_is_done_by_asking_again(tmp_path, holder):
    _, pipe = holder
    steps = []

    def sleep(seconds):
        steps.append(seconds)
        if len(steps) == 3:
            pipe.send("drop it")
            assert pipe.recv() == "dropped"

    with Lease(tmp_path / "locks" / "a.lock").held(1, sleep) as mine:
        assert mine and len(steps) == 3
    steps.clear()
    with Lease(tmp_path / "locks" / "a.lock").held(0, sleep) as mine:
        assert mine and not steps, "it was given back"


def test_waiting_ends(tmp_path, holder):
    steps = []
    with Lease(tmp_path / "locks" / "a.lock").held(0.1, steps.append) as mine:
        assert not mine
    assert sum(steps) == pytest.approx(0.1, abs=0.03)


def test_within_a_process_too(tmp_path):
    with Lease(tmp_path / "a.lock").held(0) as mine, Lease(tmp_path / "a.lock").held(0) as another:
        assert (mine, another) == (True, False)


def test_the_file_is_private_and_stays(tmp_path):
    path = tmp_path / "locks" / "a.lock"
    with Lease(path).held(0):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_place_that_takes_no_lock_file(tmp_path):
    (tmp_path / "locks").write_text("not a folder")
    with pytest.raises(NoLease, match="can not be made: File exists"):
        Lease(tmp_path / "locks" / "a.lock").take()


def test_dropping_nothing_is_harmless(tmp_path):
    Lease(tmp_path / "a.lock").drop()
