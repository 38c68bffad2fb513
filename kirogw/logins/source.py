"""What a place of a login is, whoever put it there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from kirogw.dialects.credential import Credential


class Changed(Exception):
    """Somebody else has put another login there: it was not written over."""


class Source(Protocol):
    """One login's place. `place` and `mend` are for people: where it is, and what to do when it needs a new login."""

    @property
    def id(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def mend(self) -> str: ...

    @property
    def private(self) -> bool:
        """Whether renewed tokens of it lie nowhere in the clear."""

    def stamp(self) -> object:
        """Another value once `read` may give something new."""

    def read(self) -> Credential:
        """Raises Missing (nobody is signed in) or Unreadable."""

    def save(self, credential: Credential, before: str) -> bool:
        """Put renewed tokens in the place of those with refresh token `before`; on the disk when this returns.

        False: this source keeps none. Raises Changed, Unreadable or OSError.
        """


def stamp_of(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)
