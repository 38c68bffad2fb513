"""A copy of the state before it is migrated, in KIROGW_HOME/backups: for the way back."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from kirogw.log import logger
from kirogw.store.contract import StoreFailed
from kirogw.wire import Json

FOLDER: Final = "backups"
PRIVATE_FOLDER: Final = 0o700


def of_file(source: Path, version: int, now: float) -> Path:
    """A copy of an SQLite file as of now, also while it is in use."""

    def write(target: Path) -> None:
        with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(target)) as new:
            old.backup(new)

    return _keep(source.parent / FOLDER, version, now, ".sqlite3", write)


def of_snapshot(home: Path, snapshot: Json, version: int, now: float) -> Path:
    return _keep(home / FOLDER, version, now, ".json", lambda target: _put(target, orjson.dumps(snapshot)))


def _put(target: Path, data: bytes) -> None:
    target.write_bytes(data)


def _keep(folder: Path, version: int, now: float, ending: str, write: Callable[[Path], None]) -> Path:
    """Whole and on the disk, or not at all."""
    name = time.strftime(f"state-version{version}-%Y%m%d-%H%M%S", time.gmtime(now))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        handle, text = tempfile.mkstemp(prefix=f".{name}.", dir=folder)  # mode 0600
        made = Path(text)
        try:
            write(made)
            os.fsync(handle)
            made.replace(kept := folder / f"{name}{ending}")
        finally:
            os.close(handle)
            made.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreFailed(f"the state is to be migrated, but no backup can be written to {folder}: {error}") from error
    logger.warning("the state is migrated from version %d; as it was it lies in %s", version, kept)
    return kept
