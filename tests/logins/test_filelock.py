import os
import signal
import stat

import pytest

from kirogw.logins.filelock import FileLock, NoLock
from tests.logins.holders import another_process


@pytest.fixture
def holder(tmp_path):
    with another_process(FileLock, tmp_path / "locks" / "a.lock") as held:
        yield held


def test_one_at_a_time(tmp_path, holder):
    _, pipe = holder
    lock = FileLock(tmp_path / "locks" / "a.lock")
    assert lock.take() is False
    pipe.send("drop it")
    assert pipe.recv() == "dropped"
    assert lock.take() is True
    lock.drop()


def test_a_holder_that_is_killed_holds_nothing(tmp_path, holder):
    process, _ = holder
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with FileLock(tmp_path / "locks" / "a.lock").held(0) as mine:
        assert mine


def test_waiting_is_done_by_asking_again(tmp_path, holder):
    _, pipe = holder
    steps = []

    def sleep(seconds):
        steps.append(seconds)
        if len(steps) == 3:
            pipe.send("drop it")
            assert pipe.recv() == "dropped"

    with FileLock(tmp_path / "locks" / "a.lock").held(1, sleep) as mine:
        assert mine and len(steps) == 3
    steps.clear()
    with FileLock(tmp_path / "locks" / "a.lock").held(0, sleep) as mine:
        assert mine and not steps, "it was given back"


def test_waiting_ends(tmp_path, holder):
    steps = []
    with FileLock(tmp_path / "locks" / "a.lock").held(0.1, steps.append) as mine:
        assert not mine
    assert sum(steps) == pytest.approx(0.1, abs=0.03)


def test_within_a_process_too(tmp_path):
    with FileLock(tmp_path / "a.lock").held(0) as mine, FileLock(tmp_path / "a.lock").held(0) as another:
        assert (mine, another) == (True, False)


def test_the_file_is_private_and_stays(tmp_path):
    path = tmp_path / "locks" / "a.lock"
    with FileLock(path).held(0):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_place_that_takes_no_lock_file(tmp_path):
    (tmp_path / "locks").write_text("not a folder")
    with pytest.raises(NoLock, match="can not be made: File exists"):
        FileLock(tmp_path / "locks" / "a.lock").take()


def test_dropping_nothing_is_harmless(tmp_path):
    FileLock(tmp_path / "a.lock").drop()
