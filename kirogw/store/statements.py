"""What the SQLite store does inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import orjson

from kirogw.store import snapshots
from kirogw.store.contract import Conflict, Put
from kirogw.wire import Json

Db = sqlite3.Connection


def bump(db: Db, kind: str) -> int:
    db.execute("INSERT INTO marks VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET n = n + 1", (kind,))
    return int(db.execute("SELECT n FROM marks WHERE kind = ?", (kind,)).fetchone()[0])


class Numbers:
    """The versions of one transaction: a kind gets one number, however many of its documents change."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._given: dict[str, int] = {}

    def of(self, kind: str) -> int:
        if kind not in self._given:
            self._given[kind] = bump(self._db, kind)
        return self._given[kind]


def marks(db: Db, kinds: Iterable[str]) -> dict[str, int]:
    wanted = tuple(kinds)
    sql = f"SELECT kind, n FROM marks WHERE kind IN ({', '.join('?' * len(wanted))})"  # noqa: S608 no value in it
    return dict(db.execute(sql, wanted).fetchall())


def put(db: Db, change: Put, data: bytes, now: float, numbers: Numbers) -> int:
    key = (change.kind, change.id)
    if change.if_version is not None and version(db, *key, now) != change.if_version:
        raise Conflict(f"{change.kind} {change.id} has been changed by somebody else")
    new, ends = numbers.of(change.kind), None if change.ttl is None else now + change.ttl
    db.execute("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?, ?, ?)", (*key, data, new, now, ends))
    return new


def version(db: Db, kind: str, id: str, now: float) -> int:
    sql = "SELECT version FROM docs WHERE kind = ? AND id = ? AND (ends IS NULL OR ends > ?)"
    row = db.execute(sql, (kind, id, now)).fetchone()
    return row[0] if row else 0


def delete(db: Db, kind: str, id: str, now: float, numbers: Numbers) -> bool:
    there = version(db, kind, id, now) > 0
    if there:
        db.execute("DELETE FROM docs WHERE kind = ? AND id = ?", (kind, id))
        numbers.of(kind)
    return there


def add(db: Db, amounts: Mapping[str, float]) -> None:
    sql = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET amount = amount + excluded.amount"
    db.executemany(sql, amounts.items())


def append(db: Db, log: str, entries: Sequence[bytes], now: float) -> None:
    last = db.execute("SELECT last FROM logs WHERE log = ?", (log,)).fetchone()
    first = (last[0] if last else 0) + 1
    rows = ((log, n, now, entry) for n, entry in enumerate(entries, first))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
    db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (log, first + len(entries) - 1))


def last_to_go(db: Db, log: str, older_than: float | None, keep: int | None) -> int:
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


def snapshot(db: Db) -> Json:
    docs: dict[str, Json] = {}
    for kind, id, value, at in db.execute("SELECT kind, id, value, at FROM docs WHERE ends IS NULL"):
        docs.setdefault(kind, {})[id] = {"value": orjson.loads(value), "at": at}
    logs: Json = {log: {"last": last, "entries": []} for log, last in db.execute("SELECT log, last FROM logs")}
    for log, n, at, value in db.execute("SELECT log, n, at, value FROM entries ORDER BY log, n"):
        logs[log]["entries"].append([n, at, orjson.loads(value)])
    return snapshots.make(docs, dict(db.execute("SELECT name, amount FROM counters")), logs)


def restore(db: Db, snapshot: Json, if_marks: Mapping[str, int]) -> None:
    now = marks(db, if_marks)
    if any(now.get(kind, 0) != mark for kind, mark in if_marks.items()):
        raise Conflict("the state has been changed by somebody else")
    kinds = {kind for (kind,) in db.execute("SELECT DISTINCT kind FROM docs WHERE ends IS NULL")}
    lasts = dict(db.execute("SELECT log, last FROM logs"))
    for statement in ("DELETE FROM docs WHERE ends IS NULL", "DELETE FROM counters", "DELETE FROM entries"):
        db.execute(statement)
    for kind in kinds | set(snapshot["docs"]):
        new = bump(db, kind)
        rows = [(kind, id, orjson.dumps(doc["value"]), new, doc["at"], None)
                for id, doc in snapshot["docs"].get(kind, {}).items()]  # fmt: skip
        db.executemany("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO counters VALUES (?, ?)", snapshot["counters"].items())
    for name, log in snapshot["logs"].items():
        db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (name, max(log["last"], lasts.get(name, 0))))
        lines = ((name, n, at, orjson.dumps(value)) for n, at, value in log["entries"])
        db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", lines)
