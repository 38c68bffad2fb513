"""The gateway's own secrets: the key that its clients hold, the one for administration, and one that only it knows."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kirogw.logins import files
from kirogw.logins.filelock import FileLock

KEY_FILE: Final = "key"
ADMIN_FILE: Final = "admin-key"
SECRET_FILE: Final = "secret"
PREFIX: Final = "kgw_"
WAIT: Final = 10.0  # seconds for another process that is making the same file


class Key:
    """A key that clients must hold. Never shown by repr, and compared in constant time."""

    __slots__ = ("_bytes",)

    def __init__(self, key: str) -> None:
        if not key:
            raise ValueError("an empty key would let everybody in")
        self._bytes = _encoded(key)

    def fits(self, given: str) -> bool:
        """`given` as typed, or as WSGI hands a header down: its bytes as if they were Latin-1."""
        as_typed = hmac.compare_digest(self._bytes, _encoded(given))
        return hmac.compare_digest(self._bytes, given.encode("latin-1", "replace")) or as_typed

    @property
    def digest(self) -> bytes:
        """Its SHA-256."""
        return hashlib.sha256(self._bytes).digest()


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def read(home: Path) -> str:
    """The gateway's key, made at the first call: KIROGW_HOME/key, 0600. Safe when several workers start at once."""
    return once(home, KEY_FILE, lambda: PREFIX + secrets.token_urlsafe(32))


def read_admin(home: Path) -> str:
    """The key for administration, made and kept like the other."""
    return once(home, ADMIN_FILE, lambda: PREFIX + secrets.token_urlsafe(32))


def made(home: Path) -> bool:
    """Whether there is a key already; asked before `read`, it tells whether to show the key."""
    return (home / KEY_FILE).is_file()


def secret(home: Path) -> bytes:
    """A secret of this gateway, the same in all its processes and runs: to derive ids that nobody can guess."""
    return once(home, SECRET_FILE, lambda: secrets.token_urlsafe(32)).encode()


def once(home: Path, name: str, make: Callable[[], str]) -> str:
    """What the file `name` holds; made, 0600, where there is none. Safe when several processes ask at once."""
    path = files.folder(home) / name
    if not (found := _read(path)):
        with FileLock(home / "locks" / f"{name}.lock").held(WAIT):
            if not (found := _read(path)):
                found = make()
                files.replace(path, f"{found}\n".encode())
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
