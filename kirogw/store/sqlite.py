"""The state in one SQLite file, for all processes of a machine.

In the write-ahead log readers never wait, and a process that is killed leaves nothing half done. SQLite's own waiting
would stop every greenlet, so its time-out is 0 and we sleep between tries, outside of any transaction. Who uses the
store at once, as threads do, takes a connection each.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sqlite3
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import orjson

from kirogw.store import backups, schema, snapshots, statements
from kirogw.store.contract import Change, Conflict, Doc, Put, StoreFailed, finite, written
from kirogw.store.owner import alive, boot
from kirogw.store.statements import Db, Numbers
from kirogw.wire import Json

PATIENCE: Final = 10.0  # seconds for others to end their transactions, which take milliseconds
STEP: Final = 0.004  # seconds, about, between two tries
IDLE: Final = 4  # connections that are kept for the next call
PURGE: Final = 30.0  # seconds between two looks for what a ttl has ended
PURGED: Final = 20  # documents that go at once: they may be large, and all greenlets wait
LOG: Final = 8 * 1024 * 1024  # bytes: to what the write-ahead log is cut after it was longer
CACHE: Final = 256  # KiB of pages that a connection holds, of 2,000 that it would: the system keeps the rest at hand
PIECE: Final = 500  # entries to remove at once
LAST: Final = chr(0x10FFFF)
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700

T = TypeVar("T")
_stores: Final[weakref.WeakSet[SqliteStore]] = weakref.WeakSet()
_abandoned: Final[list[Db]] = []  # connections that were in use at a fork: to close them in the child would do harm


def commit_aside(apply: Callable[[Callable[..., object], tuple[str, ...]], object] | None) -> None:
    """From now on commits, which may wait for the disk, go through `apply(function, arguments)`: it is to run them in a
    thread of the system's while other greenlets go on. Not the rest of a transaction: what needs Python's lock would
    hold the write lock for as long as the loop is busy. None: as at first, where they are called.
    """
    global _aside  # one for the process, like the loop
    _aside = apply or _here


def _here(function: Callable[..., object], arguments: tuple[str, ...]) -> object:
    return function(*arguments)


_aside: Callable[[Callable[..., object], tuple[str, ...]], object] = _here


class SqliteStore:
    """`ticks` is a clock that goes on while nobody changes it and stands still while the machine sleeps: a lease does
    not end because the time of day was set, or a lid closed over a renewal.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time,
                 ticks: Callable[[], float] | None = None) -> None:  # fmt: skip
        self.place = str(path)
        self._path, self._now = path, now
        self._ticks = ticks or (time.monotonic if now is time.time else now)
        self._idle: list[Db] = []
        self._pid = os.getpid()
        self._purged = 0.0
        _stores.add(self)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    # documents

    def get(self, kind: str, id: str) -> Doc | None:
        sql = "SELECT value, version, at FROM docs WHERE kind = ? AND id = ? AND (ends IS NULL OR ends > ?)"
        row = self._read(lambda db: db.execute(sql, (kind, id, self._now())).fetchone())
        return Doc(orjson.loads(row[0]), row[1], row[2]) if row else None

    def all(self, kind: str) -> dict[str, Doc]:
        sql = "SELECT id, value, version, at FROM docs WHERE kind = ? AND (ends IS NULL OR ends > ?)"
        rows = self._read(lambda db: db.execute(sql, (kind, self._now())).fetchall())
        return {id: Doc(orjson.loads(value), version, at) for id, value, version, at in rows}

    def put(self, kind: str, id: str, value: Json, *, if_version: int | None = None, ttl: float | None = None) -> int:
        change, data = Put(kind, id, value, if_version, ttl), orjson.dumps(value)
        return self._write(lambda db: statements.put(db, change, data, self._now(), Numbers(db)), durable=True)

    def delete(self, kind: str, id: str) -> bool:
        return self._write(lambda db: statements.delete(db, kind, id, self._now(), Numbers(db)), durable=True)

    def apply(self, changes: Sequence[Change] = (), *, durable: bool = True,
              amounts: Mapping[str, float] | None = None, logs: Mapping[str, Sequence[Json]] | None = None,
              once: str = "") -> None:  # fmt: skip
        """`once` is for engines that may have written when they say that they failed. This one never has."""
        sums = finite(amounts)
        ready = [(change, written(change.value) if isinstance(change, Put) else b"") for change in changes]
        lines = {log: [written(entry) for entry in entries] for log, entries in (logs or {}).items()}

        def work(db: Db) -> None:
            now, numbers = self._now(), Numbers(db)
            for change, data in ready:
                if isinstance(change, Put):
                    statements.put(db, change, data, now, numbers)
                else:
                    statements.delete(db, change.kind, change.id, now, numbers)
            statements.add(db, sums)
            for log, entries in lines.items():
                statements.append(db, log, entries, now)
            self._purge(db, now)

        if ready or sums or lines:
            self._write(work, durable)

    def mark(self, kinds: Sequence[str]) -> tuple[int, ...]:
        found = self._read(lambda db: statements.marks(db, kinds))
        return tuple(found.get(kind, 0) for kind in kinds)

    # leases

    def lease(self, name: str, owner: str, seconds: float) -> bool:
        held = self._lease(name)
        if held and held[0] != owner and self._valid(*held):
            return False
        was = held[:2] if held else ("", 0.0)
        sql = """INSERT INTO leases VALUES (:name, :owner, :ends, :boot, :ticks) ON CONFLICT (name) DO UPDATE SET
            owner = :owner, ends = :ends, boot = :boot, ticks = :ticks
            WHERE owner = :owner OR (owner = :was AND ends = :then)"""
        row = {"name": name, "owner": owner, "ends": self._now() + seconds, "boot": boot(),
               "ticks": self._ticks() + seconds, "was": was[0], "then": was[1]}  # fmt: skip
        return self._write(lambda db: db.execute(sql, row).rowcount > 0)

    def release(self, name: str, owner: str) -> None:
        self._write(lambda db: db.execute("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner)))

    def holder(self, name: str) -> str:
        held = self._lease(name)
        return held[0] if held and self._valid(*held) else ""

    def _lease(self, name: str) -> tuple[str, float, str, float] | None:
        sql = "SELECT owner, ends, boot, ticks FROM leases WHERE name = ?"
        row: tuple[str, float, str, float] | None = self._read(lambda db: db.execute(sql, (name,)).fetchone())
        return row

    def _valid(self, owner: str, ends: float, since: str, ticks: float) -> bool:
        known = boot()  # ticks begin anew with each start of the machine
        left = ticks - self._ticks() if known and since == known else ends - self._now()
        return left > 0 and alive(owner)

    # counters

    def add(self, amounts: Mapping[str, float]) -> None:
        self.apply(amounts=amounts, durable=False)

    def totals(self, prefix: str) -> dict[str, float]:
        sql = "SELECT name, amount FROM counters WHERE name >= ? AND name < ?"
        return dict(self._read(lambda db: db.execute(sql, (prefix, prefix + LAST)).fetchall()))

    def forget(self, prefix: str) -> None:
        sql = "DELETE FROM counters WHERE name >= ? AND name < ?"
        self._write(lambda db: db.execute(sql, (prefix, prefix + LAST)))

    # logs

    def append(self, log: str, entries: Sequence[Json]) -> None:
        self.apply(logs={log: entries}, durable=False)

    def entries(self, log: str, *, after: int = 0, before: int | None = None, limit: int = 1000,
                newest: bool = False) -> list[tuple[int, Json]]:  # fmt: skip
        sql = f"""SELECT n, value FROM entries WHERE log = ? AND n > ? AND n < ?
            ORDER BY n {"DESC" if newest else "ASC"} LIMIT ?"""  # noqa: S608 no value in it
        row = (log, after, 2**62 if before is None else before, limit)
        return [(n, orjson.loads(value)) for n, value in self._read(lambda db: db.execute(sql, row).fetchall())]

    def prune(self, log: str, *, older_than: float | None = None, keep: int | None = None) -> int:
        """In pieces, so that nobody waits for long."""
        upto = self._read(lambda db: statements.last_to_go(db, log, older_than, keep))
        sql = "DELETE FROM entries WHERE log = ? AND n <= ? AND n < (SELECT min(n) FROM entries WHERE log = ?) + ?"
        gone = 0
        while piece := self._write(lambda db: db.execute(sql, (log, upto, log, PIECE)).rowcount):
            gone += piece
            time.sleep(0)
        return gone

    # everything

    def snapshot(self) -> Json:
        def work(db: Db) -> Json:
            db.execute("BEGIN")
            try:
                return statements.snapshot(db)
            finally:
                db.execute("COMMIT")

        return self._read(work)

    def restore(self, snapshot: Json, *, if_marks: Mapping[str, int] | None = None) -> None:
        snapshots.check(snapshot)
        self._write(lambda db: statements.restore(db, snapshot, if_marks or {}), durable=True)

    def close(self) -> None:
        with contextlib.suppress(IndexError):  # others may take one meanwhile
            while True:
                self._idle.pop().close()

    # transactions

    def _read(self, work: Callable[[Db], T]) -> T:
        return self._patiently(work)

    def _write(self, work: Callable[[Db], T], durable: bool = False, checked: bool = True) -> T:
        def transaction(db: Db) -> T:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                if checked:
                    self._need_version(db)
                done = work(db)
                _aside(db.execute, ("COMMIT",))
            except Exception:  # whoever is stopped while a commit is under way leaves it alone
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return done

        return self._patiently(transaction)

    def _patiently(self, work: Callable[[Db], T]) -> T:
        """Try again while others write. A connection that has failed otherwise is not used any more."""
        patience = time.monotonic() + PATIENCE
        while True:
            db = None
            try:
                db = self._take()
                done = work(db)
            except sqlite3.Error as error:
                if not _busy(error) or time.monotonic() > patience:
                    _drop(db)
                    raise StoreFailed(_words(error, self.place)) from error
            except (Conflict, StoreFailed):
                self._give(db)
                raise
            except Exception:
                _drop(db)
                raise
            else:
                self._give(db)
                return done
            self._give(db)
            time.sleep(STEP * (0.5 + random.random()))

    def _take(self) -> Db:
        if self._pid != os.getpid():
            _abandoned.extend(self._idle)
            self._idle, self._pid = [], os.getpid()
        if self._file != _identity(self._path):  # taken away under our feet: nothing may be written to what is gone
            self.close()
            self._prepare()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _give(self, db: Db | None) -> None:
        if db and len(self._idle) < IDLE:
            self._idle.append(db)
        else:
            _drop(db)

    def _open(self) -> Db:
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA journal_size_limit = {LOG}")
            db.execute(f"PRAGMA cache_size = -{CACHE}")
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        """The file as this version needs it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            _make(self._path)
            if os.name == "posix" and self._path.stat().st_mode & 0o077:  # put here by somebody's hand
                with contextlib.suppress(PermissionError):
                    self._path.chmod(PRIVATE_FILE)
        except OSError as error:
            raise StoreFailed(f"the state file {self.place} can not be opened: {error.strerror}") from error
        self._file = _identity(self._path)
        if self._read(schema.version) < schema.VERSION:
            self._write(self._migrate, durable=True, checked=False)
        self._read(self._need_version)

    def _migrate(self, db: Db) -> None:
        """Nobody else can write meanwhile, nor read what is half done."""
        if 0 < (found := schema.version(db)) < schema.VERSION:
            backups.of_file(self._path, found, self._now())
        if found < schema.VERSION:
            schema.migrate(db)

    def _need_version(self, db: Db) -> None:
        """Others may be newer than this process and have migrated the file meanwhile."""
        if (found := schema.version(db)) != schema.VERSION:
            by = f"kirogw {made}" if (made := schema.writer(db)) else "a newer kirogw"
            raise StoreFailed(f"the state file {self.place} belongs to {by} (its version is {found}, this one knows"
                              f" {schema.VERSION}): start that one, or put a backup in its place")  # fmt: skip

    def _purge(self, db: Db, now: float) -> None:
        if abs(now - self._purged) > PURGE:
            sql = "DELETE FROM docs WHERE (kind, id) IN (SELECT kind, id FROM docs WHERE ends <= ? LIMIT ?)"
            if db.execute(sql, (now, PURGED)).rowcount < PURGED:  # else more of them with the next transaction
                self._purged = now


def _make(path: Path) -> None:
    """A private file, if there is none. One that is there is not opened, for closing it again would drop all locks that
    SQLite has on it in this process: others would take themselves for the last and remove the write-ahead log.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _before_fork() -> None:
    """SQLite takes a file that is open for locked by this process, and so it would in the child, which has no lock."""
    for store in list(_stores):
        store.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


def _drop(db: Db | None) -> None:
    if db:
        db.close()


def _busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


FAULTS: Final = {
    sqlite3.SQLITE_BUSY: "is held by another program for long; end that one",
    sqlite3.SQLITE_LOCKED: "is held by another program for long; end that one",
    sqlite3.SQLITE_FULL: "can not be written, because the disk is full; make room",
    sqlite3.SQLITE_READONLY: "can not be written; give the gateway's user the right to write it and its folder",
    sqlite3.SQLITE_PERM: "can not be opened; give the gateway's user the right to read and write it and its folder",
    sqlite3.SQLITE_CANTOPEN: "can not be opened; the gateway's user must be able to write it and its folder",
    sqlite3.SQLITE_CORRUPT: "is damaged; put a backup in its place, or move it away to begin anew",
    sqlite3.SQLITE_NOTADB: "is no SQLite file; put a backup in its place, or move it away to begin anew",
    sqlite3.SQLITE_IOERR: "can not be read or written (the disk reports an error, or is full)",
}


def _words(error: sqlite3.Error, place: str) -> str:
    return f"the state file {place} {FAULTS.get(_code(error), f'can not be used: {error}')}"
