"""The tables of the SQLite store, and the steps from one version of them to the next."""

from __future__ import annotations

import sqlite3
from typing import Final

from kirogw import __version__

STEPS: Final = (
    """
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
""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
)
"""Step n leads from version n to n + 1. One that has been committed is never changed: a new one comes after it.

1: the tables. 2: which kirogw has made them so, for the one that finds them too new.
"""

VERSION: Final = len(STEPS)


def version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def writer(db: sqlite3.Connection) -> str:
    """The version of kirogw that has brought the tables to where they are, "" if that is not known."""
    try:
        row = db.execute("SELECT value FROM about WHERE name = 'kirogw'").fetchone()
    except sqlite3.OperationalError:
        return ""
    return str(row[0]) if row else ""


def migrate(db: sqlite3.Connection) -> None:
    """Inside a transaction of the caller's."""
    for step in STEPS[version(db) :]:
        for statement in step.split(";"):
            db.execute(statement)  # executescript would commit
    db.execute("INSERT OR REPLACE INTO about VALUES ('kirogw', ?)", (__version__,))
    db.execute(f"PRAGMA user_version = {VERSION}")
