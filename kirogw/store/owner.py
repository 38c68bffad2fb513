"""Who holds a lease: a name for this process from which others on the same machine can tell whether it still lives."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def owner() -> str:
    """host|boot|pid|start of this process. `boot` is another one after a restart of the machine, and in another
    container: process ids mean something only inside both.
    """
    return _owner(os.getpid())


@functools.lru_cache(1)  # another one after a fork
def _owner(pid: int) -> str:
    return f"{socket.gethostname().replace('|', '-')}|{_inside()}|{pid}|{_started(pid)[1]}"


@functools.lru_cache(1)
def boot() -> str:
    """A name of this start of the machine, "" where the system has none."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _inside() -> str:
    """This start of the machine, and this container."""
    try:
        return f"{boot()}.{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return boot()


def alive(name: str) -> bool:
    """Whether the process may still live: False only for one of this machine that is known to be gone."""
    mine, (host, inside, pid, start) = owner().split("|"), (name.split("|") + [""] * 4)[:4]
    if host != mine[0] or os.name != "posix" or not pid.isdigit():
        return True
    if inside != mine[1]:  # another container may live; what was before the last start of the machine can not
        return inside.partition(".")[0] == mine[1].partition(".")[0] or not inside or not mine[1]
    state, began = _started(int(pid))  # first: what ends meanwhile is then found to be gone
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return state not in ("Z", "X") and (began == start or not began or not start)


def _started(pid: int) -> tuple[str, str]:
    """State and start time (in ticks since boot) of a process, "" where the system does not tell."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
