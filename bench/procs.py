"""Processes: started, measured by the kernel's own accounts, and stopped by their ids."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

_PR_SET_PDEATHSIG: Final = 1
_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_LIBC: Final = ctypes.CDLL(None)
GRACE: Final = 6.0


def raise_limit() -> int:
    """As many open files as we may have: 2,000 held streams take a gateway 4,000."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A port that nobody listened on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _tied() -> None:
    """In the child: end when the parent does, however it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(command, text=True, preexec_fn=_tied, **options)


def stop(process: subprocess.Popen[str]) -> None:
    """Asks the process to end, and ends what is left of its tree after GRACE seconds."""
    pids = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    for pid in (pid for pid in pids if (Path("/proc") / str(pid)).exists() and _ours(pid, pids)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _ours(pid: int, pids: dict[int, int]) -> bool:
    """Is it still the process that we saw, and not another that has its number now?"""
    return _started(pid) == pids[pid]


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The process while the block runs; what it says goes to `log`."""
    with log.open("a") as out:
        process = start(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
        try:
            yield process
        finally:
            stop(process)


@contextlib.contextmanager
def talking(script: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """One of our own programs, by its standard input and output."""
    process = start([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        stop(process)


def wait_for(port: int, process: subprocess.Popen[str], seconds: float = 20) -> None:
    """Until somebody listens there. Raises RuntimeError if the process ends first or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start to listen; its words are in bench/out/")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, ppid, ... (proc(5) counts from 1, so field n is at n - 3)."""
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _started(pid: int) -> int:
    try:
        return int(_stat(pid)[19])
    except (OSError, IndexError):
        return 0


def tree(pid: int) -> dict[int, int]:
    """The process and all that descend from it, with the time that each started."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    found, todo = {}, [pid]
    while todo:
        one = todo.pop()
        found[one] = _started(one)
        todo += children.get(one, [])
    return found


def _process_clock(pid: int) -> int:
    """The id of another process's CPU clock: all its threads, also those that have ended. (clock_getcpuclockid(3))"""
    return (~pid << 3) | 2


def cpu(pid: int) -> int:
    """CPU time of the whole tree so far, nanoseconds: each process's clock, and what it had of children now gone."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime_ns(_process_clock(one))
            total += sum(map(int, _stat(one)[13:15])) * _TICK
    return total


def pss(pid: int) -> int:
    """Memory of the whole tree, bytes: pages shared with others count by the share."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in (Path("/proc") / str(one) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class Peak:
    """Samples a tree's memory in a thread while the block runs; `bytes` is the most that was seen."""

    def __init__(self, pid: int | None, every: float) -> None:
        self.bytes = 0
        self._pid = pid
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while self._pid is not None:
            self.bytes = max(self.bytes, pss(self._pid))
            if self._over.wait(self._every):
                return

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
