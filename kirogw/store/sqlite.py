"""The state in one SQLite file, for all processes of a machine.

In the write-ahead log readers never wait, and a process that is killed leaves nothing half done. SQLite's own waiting
would stop every greenlet, so its time-out is 0 and we sleep between tries, outside of any transaction. A transaction
never gives control away while it lasts, so under gevent one connection is enough; threads take one each.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import orjson

from kirogw.store import schema, snapshots
from kirogw.store.contract import Change, Conflict, Doc, Put, StoreFailed
from kirogw.store.owner import alive, boot
from kirogw.wire import Json

PATIENCE: Final = 10.0  # seconds for others to end their transactions, which take milliseconds
STEP: Final = 0.004  # seconds, about, between two tries
IDLE: Final = 4  # connections that are kept for the next call
PURGE: Final = 30.0  # seconds between two looks for what a ttl has ended
PIECE: Final = 500  # entries to remove at once
LAST: Final = chr(0x10FFFF)
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700

T = TypeVar("T")
Db = sqlite3.Connection
_abandoned: Final[list[Db]] = []  # connections of the process before a fork: to close them here would harm it


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
        self._prepare()

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
        return self._write(lambda db: _put(db, change, data, self._now()), durable=True)

    def delete(self, kind: str, id: str) -> bool:
        return self._write(lambda db: _delete(db, kind, id, self._now()), durable=True)

    def apply(self, changes: Sequence[Change] = (), *, durable: bool = True,
              amounts: Mapping[str, float] | None = None, logs: Mapping[str, Sequence[Json]] | None = None,
              once: str = "") -> None:  # fmt: skip
        """`once` is for engines that may have written when they say that they failed. This one never has."""
        ready = [(change, orjson.dumps(change.value) if isinstance(change, Put) else b"") for change in changes]
        lines = {log: [orjson.dumps(entry) for entry in entries] for log, entries in (logs or {}).items()}

        def work(db: Db) -> None:
            now = self._now()
            for change, data in ready:
                if isinstance(change, Put):
                    _put(db, change, data, now)
                else:
                    _delete(db, change.kind, change.id, now)
            if amounts:
                _add(db, amounts)
            for log, entries in lines.items():
                _append(db, log, entries, now)
            self._purge(db, now)

        self._write(work, durable)

    def mark(self, kinds: Sequence[str]) -> tuple[int, ...]:
        sql = f"SELECT kind, n FROM marks WHERE kind IN ({', '.join('?' * len(kinds))})"  # noqa: S608 no value in it
        found = dict(self._read(lambda db: db.execute(sql, tuple(kinds)).fetchall()))
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
        upto = self._read(lambda db: _last_to_go(db, log, older_than, keep))
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
                return _snapshot(db)
            finally:
                db.execute("COMMIT")

        return self._read(work)

    def restore(self, snapshot: Json) -> None:
        snapshots.check(snapshot)
        self._write(lambda db: _restore(db, snapshot), durable=True)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    # transactions

    def _read(self, work: Callable[[Db], T]) -> T:
        return self._patiently(work)

    def _write(self, work: Callable[[Db], T], durable: bool = False) -> T:
        def transaction(db: Db) -> T:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                self._need_version(db)
                done = work(db)
                db.execute("COMMIT")
            except BaseException:
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
                    if db:
                        db.close()
                    raise StoreFailed(_words(error, self.place)) from error
            except (Conflict, StoreFailed):
                self._give(db)
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
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _give(self, db: Db | None) -> None:
        if db and len(self._idle) < IDLE:
            self._idle.append(db)
        elif db:
            db.close()

    def _open(self) -> Db:
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        """The file as this version needs it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        except OSError as error:
            raise StoreFailed(f"the state file {self.place} can not be opened: {error.strerror}") from error
        if self._read(schema.version) < schema.VERSION:
            self._patiently(_migrate)
        self._read(self._need_version)

    def _need_version(self, db: Db) -> None:
        if (found := schema.version(db)) != schema.VERSION:
            raise StoreFailed(
                f"the state file {self.place} belongs to a newer kirogw (its version is {found}, this one knows"
                f" {schema.VERSION}): start that one, or put a backup in its place"
            )

    def _purge(self, db: Db, now: float) -> None:
        if abs(now - self._purged) > PURGE:
            self._purged = now
            db.execute("DELETE FROM docs WHERE ends <= ?", (now,))


def _migrate(db: Db) -> None:
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


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


# inside a transaction


def _bump(db: Db, kind: str) -> int:
    db.execute("INSERT INTO marks VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET n = n + 1", (kind,))
    return int(db.execute("SELECT n FROM marks WHERE kind = ?", (kind,)).fetchone()[0])


def _put(db: Db, change: Put, data: bytes, now: float) -> int:
    key = (change.kind, change.id)
    if change.if_version is not None and _version(db, *key, now) != change.if_version:
        raise Conflict(f"{change.kind} {change.id} has been changed by somebody else")
    version, ends = _bump(db, change.kind), None if change.ttl is None else now + change.ttl
    db.execute("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?, ?, ?)", (*key, data, version, now, ends))
    return version


def _version(db: Db, kind: str, id: str, now: float) -> int:
    sql = "SELECT version FROM docs WHERE kind = ? AND id = ? AND (ends IS NULL OR ends > ?)"
    row = db.execute(sql, (kind, id, now)).fetchone()
    return row[0] if row else 0


def _delete(db: Db, kind: str, id: str, now: float) -> bool:
    there = _version(db, kind, id, now) > 0
    if there:
        db.execute("DELETE FROM docs WHERE kind = ? AND id = ?", (kind, id))
        _bump(db, kind)
    return there


def _add(db: Db, amounts: Mapping[str, float]) -> None:
    sql = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET amount = amount + excluded.amount"
    db.executemany(sql, amounts.items())


def _append(db: Db, log: str, entries: Sequence[bytes], now: float) -> None:
    last = db.execute("SELECT last FROM logs WHERE log = ?", (log,)).fetchone()
    first = (last[0] if last else 0) + 1
    rows = ((log, n, now, entry) for n, entry in enumerate(entries, first))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
    db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (log, first + len(entries) - 1))


def _last_to_go(db: Db, log: str, older_than: float | None, keep: int | None) -> int:
    """The number up to which entries go. They lie in the order of time."""
    row = db.execute("SELECT last FROM logs WHERE log = ?", (log,)).fetchone()
    end, upto = row[0] if row else 0, 0
    if older_than is not None:
        sql = "SELECT n FROM entries WHERE log = ? AND at >= ? ORDER BY n LIMIT 1"
        young = db.execute(sql, (log, older_than)).fetchone()
        upto = young[0] - 1 if young else end
    if keep is not None:
        sql = "SELECT n FROM entries WHERE log = ? ORDER BY n DESC LIMIT 1 OFFSET ?"
        row = db.execute(sql, (log, keep)).fetchone()
        upto = max(upto, row[0] if row else 0)
    return upto


def _snapshot(db: Db) -> Json:
    docs: dict[str, Json] = {}
    for kind, id, value, at in db.execute("SELECT kind, id, value, at FROM docs WHERE ends IS NULL"):
        docs.setdefault(kind, {})[id] = {"value": orjson.loads(value), "at": at}
    logs: Json = {log: {"last": last, "entries": []} for log, last in db.execute("SELECT log, last FROM logs")}
    for log, n, at, value in db.execute("SELECT log, n, at, value FROM entries ORDER BY log, n"):
        logs[log]["entries"].append([n, at, orjson.loads(value)])
    return snapshots.make(docs, dict(db.execute("SELECT name, amount FROM counters")), logs)


def _restore(db: Db, snapshot: Json) -> None:
    kinds = {kind for (kind,) in db.execute("SELECT DISTINCT kind FROM docs WHERE ends IS NULL")}
    lasts = dict(db.execute("SELECT log, last FROM logs"))
    for statement in ("DELETE FROM docs WHERE ends IS NULL", "DELETE FROM counters", "DELETE FROM entries"):
        db.execute(statement)
    for kind in kinds | set(snapshot["docs"]):
        version = _bump(db, kind)
        rows = [(kind, id, orjson.dumps(doc["value"]), version, doc["at"], None)
                for id, doc in snapshot["docs"].get(kind, {}).items()]  # fmt: skip
        db.executemany("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO counters VALUES (?, ?)", snapshot["counters"].items())
    for name, log in snapshot["logs"].items():
        db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (name, max(log["last"], lasts.get(name, 0))))
        lines = ((name, n, at, orjson.dumps(value)) for n, at, value in log["entries"])
        db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", lines)
