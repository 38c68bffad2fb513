"""What a place of a login is, whoever put it there."""

from __future__ import annotations

import abc
from dataclasses import dataclass
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


@dataclass(frozen=True)
class OnDisk(abc.ABC):
    """What belongs to a program of this machine. With `write_back` renewed tokens go back there: it is read anew before
    it is written, keeps every member that is not ours to change, and is left alone when that program has changed it
    since.
    """

    id: str
    path: Path
    write_back: bool = True
    mend: str = ""

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def private(self) -> bool:
        return not self.write_back

    def stamp(self) -> object:
        return stamp_of(self.path)

    @abc.abstractmethod
    def read(self) -> Credential:
        """As in Source."""

    def save(self, credential: Credential, before: str) -> bool:
        if self.write_back:
            self._put_back(credential, before)
        return self.write_back

    @abc.abstractmethod
    def _put_back(self, credential: Credential, before: str) -> None:
        """Raises as `Source.save` does."""


def stamp_of(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)
