"""The tables of the SQLite store, and the steps from one version of them to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

TABLES: Final = """
CREATE TABLE docs (kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,
    at REAL NOT NULL, ends REAL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX docs_ends ON docs (ends) WHERE ends IS NOT NULL;
CREATE TABLE marks (kind TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, ends REAL NOT NULL, boot TEXT NOT NULL,
    ticks REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, amount REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE logs (log TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (log TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (log, n)) WITHOUT ROWID;
"""


def _first(db: sqlite3.Connection) -> None:
    for statement in TABLES.split(";"):
        db.execute(statement)  # executescript would commit


STEPS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_first,)
"""Step n leads from version n to n + 1. What has been released once is never changed; a new step comes after it."""

VERSION: Final = len(STEPS)


def version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Inside a transaction of the caller's."""
    for step in STEPS[version(db) :]:
        step(db)
    db.execute(f"PRAGMA user_version = {VERSION}")
