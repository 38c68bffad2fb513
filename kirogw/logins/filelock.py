"""A lock on a file, for what several processes of one machine would make at once. The system takes it back from one
that dies. Never waits: a wait inside flock stops every greenlet of a gevent worker. Whoever wants to wait asks again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from kirogw.logins import files

STEP: Final = 0.02  # seconds between two tries

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def pause(seconds: float) -> None:
    """time.sleep, looked up late: gunicorn's arbiter imports this before its workers are patched."""
    time.sleep(seconds)


class NoLock(Exception):
    """The lock file can not be made, or the file system knows no locks. The message is one line and names it."""


class FileLock:
    """Not for several threads at once. The file stays when the lock is given back: two could otherwise lock two."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether it is ours now. Raises NoLock."""
        try:
            files.folder(self.path.parent)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, files.PRIVATE_FILE)
        except OSError as error:
            raise NoLock(f"{self.path} can not be made: {error.strerror}") from None
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError):  # flock's word for "taken", and that of Windows
            os.close(handle)
            return False
        except OSError as error:
            os.close(handle)
            raise NoLock(f"{self.path} can not be locked: {error.strerror}") from None
        self._handle = handle
        return True

    @contextlib.contextmanager
    def held(self, seconds: float, sleep: Callable[[float], None] = pause) -> Iterator[bool]:
        """Whether it could be had within about `seconds`; inside, it is ours if so. Raises NoLock."""
        left = seconds
        while not (mine := self.take()) and left > 0:
            sleep(STEP)
            left -= STEP
        try:
            yield mine
        finally:
            self.drop()

    def drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
