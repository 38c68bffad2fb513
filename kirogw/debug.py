"""DEBUG_MODE: one folder per request in KIROGW_HOME/debug, with what came, what was sent and what was answered.

Secrets are removed before anything is written. A piece is cut at LIMIT bytes, and only the newest KEPT folders stay.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kirogw.redact import clean

LIMIT: Final = 8 * 1024 * 1024
KEPT: Final = 200
SECRET_HEADERS: Final = frozenset({
    "authorization", "x-api-key", "cookie", "set-cookie", "proxy-authorization",
    "chatgpt-account-id", "x-codex-turn-state",  # whose account of ChatGPT's it is, and where its turn goes on
})  # fmt: skip


class Record:
    """What one request leaves behind. Kept in memory until `close`, which writes it if it is wanted."""

    def __init__(self, home: Path, name: str, mode: str) -> None:
        self._folder = home / "debug" / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
        self._mode = mode
        self._pieces: dict[str, bytearray] = {}

    def add(self, name: str, data: bytes) -> None:
        """Append to the file `name` of the folder."""
        piece = self._pieces.setdefault(name, bytearray())
        piece += data[: max(0, LIMIT - len(piece))]

    def add_head(self, name: str, first: str, headers: Mapping[str, str]) -> None:
        """A request or status line with headers, the secret ones without their values."""
        lines = [f"{key}: {'***' if key.lower() in SECRET_HEADERS else value}" for key, value in headers.items()]
        self.add(name, "\n".join([first, *lines, "", ""]).encode())

    def taped(self, name: str, read: Callable[[float], bytes | None]) -> Callable[[float], bytes | None]:
        """`read`, and what it reads is kept."""

        def taping(seconds: float) -> bytes | None:
            data = read(seconds)
            self.add(name, data or b"")
            return data

        return taping

    def close(self, *, failed: bool) -> None:
        """Write the folder: always in mode `all`, after a failure in mode `errors`. A full disk stops no answer."""
        if self._mode == "all" or failed:
            with contextlib.suppress(OSError):
                self._write()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._folder.parent.chmod(0o700)
        for name, data in self._pieces.items():
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(_without_secrets(bytes(data)))
        folders = sorted(path for path in self._folder.parent.iterdir() if path.is_dir())
        for old in folders[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _without_secrets(data: bytes) -> bytes:
    """Text is cleaned as the log is. latin-1 keeps every byte of what is no text, such as event-stream frames."""
    return clean(data.decode("latin-1")).encode("latin-1")
