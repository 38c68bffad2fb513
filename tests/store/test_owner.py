"""Whether the holder of a lease lives: it is called dead only when that is known."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kirogw.store import alive, owner

HOST, INSIDE, PID, START = owner().split("|")
BOOT, SPACE = INSIDE.split(".")


@pytest.fixture(scope="module")
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_one_lives():
    assert int(PID) == os.getpid() and START and BOOT and alive(owner())


def test_a_child_has_a_name_of_its_own():
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        os.write(writing, owner().encode())
        os._exit(0)
    name = os.read(reading, 1000).decode()
    assert name.split("|")[2] == str(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not alive(name), "it has ended, though nobody has asked how"
    os.waitpid(pid, 0)
    assert not alive(name)
    os.close(reading)
    os.close(writing)


ROWS = [
    # host, boot and container, start; the process has ended
    pytest.param(f"{HOST}|{INSIDE}|{{gone}}|5", False, id="gone"),
    pytest.param(f"elsewhere|{INSIDE}|{{gone}}|5", True, id="another machine"),
    pytest.param(f"{HOST}|{BOOT}.1|{{gone}}|5", True, id="another container"),
    pytest.param(f"{HOST}|0000.{SPACE}|{{gone}}|5", False, id="before the machine was started"),
    pytest.param(f"{HOST}||{{gone}}|5", True, id="a system that does not tell"),
    pytest.param(f"{HOST}|{INSIDE}|{PID}|1", False, id="a new process with the old number"),
    pytest.param(f"{HOST}|{INSIDE}|1|", True, id="a system that does not tell the start"),
    pytest.param(f"{HOST}|{INSIDE}|{10**30}|5", False, id="no number of a process"),
    pytest.param("me", True, id="a name"),
    pytest.param("", True, id="none"),
    pytest.param(f"{owner()}|thread 5", True, id="one of several in this process"),
]


@pytest.mark.parametrize(("name", "lives"), ROWS)
def test_alive(name, lives, gone):
    assert alive(name.format(gone=gone)) is lives
