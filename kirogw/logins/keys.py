"""The gateway's own secrets: the key that its clients hold, and one that only it knows."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Final

from kirogw.logins import files
from kirogw.logins.lease import Lease

KEY_FILE: Final = "key"
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


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def read(home: Path) -> str:
    """The gateway's key, made at the first call: KIROGW_HOME/key, 0600. Safe when several workers start at once."""
    return _once(home, KEY_FILE, PREFIX)


def made(home: Path) -> bool:
    """Whether there is a key already; asked before `read`, it tells whether to show the key."""
    return (home / KEY_FILE).is_file()


def secret(home: Path) -> bytes:
    """A secret of this gateway, the same in all its processes and runs: to derive ids that nobody can guess."""
    return _once(home, SECRET_FILE, "").encode()


def _once(home: Path, name: str, prefix: str) -> str:
    path = files.folder(home) / name
    if not (found := _read(path)):
        with Lease(home / "locks" / f"{name}.lock").held(WAIT):
            if not (found := _read(path)):
                found = prefix + secrets.token_urlsafe(32)
                files.replace(path, f"{found}\n".encode())
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
