"""All that lies in Redis: read as of one moment, replaced in one transaction, brought from one version to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kirogw import __version__
from kirogw.store import scripts, snapshots
from kirogw.store.contract import Conflict
from kirogw.store.scripts import PREFIX, VERSION
from kirogw.wire import Json

Names = tuple[list[str], list[str], list[str]]  # kinds, buckets of counters, logs
MARKS: Final = f"{PREFIX}marks"
LOGS: Final = f"{PREFIX}logs"
COUNTS: Final = f"{PREFIX}counts"


def bucket(name: str) -> str:
    """The hash in which a counter lies: the first two parts of its name."""
    return "|".join(name.split("|", 2)[:2])


def buckets(client: Any, prefix: str) -> list[str]:
    """Where the counters are whose names begin so."""
    if prefix.count("|") > 1:
        return [bucket(prefix)]
    first = prefix.encode()
    return _texts(client.zrangebylex(COUNTS, b"[" + first, b"(" + first + b"\xff"))


def number(id: bytes) -> int:
    """Of an entry of a log."""
    return int(id.partition(b"-")[0])


def _texts(found: list[bytes]) -> list[str]:
    return [text.decode() for text in found]


def _names(client: Any) -> Names:
    return sorted(_texts(client.hkeys(MARKS))), buckets(client, ""), sorted(_texts(client.hkeys(LOGS)))


def read(client: Any) -> Json:
    """Everything but what has a ttl."""
    while True:
        names = _names(client)
        found = _read(client, names)
        if _names(client) == names:  # else there is a new kind, bucket or log
            return found


def _read(client: Any, names: Names) -> Json:
    kinds, places, logs = names
    pipe = client.pipeline(transaction=True)
    for key in [f"doc:{kind}" for kind in kinds] + [f"count:{place}" for place in places]:
        pipe.hgetall(PREFIX + key)
    pipe.hgetall(LOGS)
    for log in logs:
        pipe.xrange(f"{PREFIX}log:{log}")
    found = iter(pipe.execute())
    docs = {kind: _kept(next(found)) for kind in kinds}
    counters = {name.decode(): float(amount) for _ in places for name, amount in next(found).items()}
    lasts = next(found)
    lines = {log: {"last": int(lasts[log.encode()]), "entries": [_entry(*row) for row in next(found)]} for log in logs}
    return snapshots.make({kind: found for kind, found in docs.items() if found}, counters, lines)


def _entry(id: bytes, fields: dict[bytes, bytes]) -> list[Any]:
    return [number(id), float(fields[b"at"]), orjson.loads(fields[b"v"])]


def _kept(raws: dict[bytes, bytes]) -> Json:
    """Documents without a ttl."""
    parts = ((id.decode(), raw.split(b"|", 3)) for id, raw in raws.items())
    return {id: {"value": orjson.loads(value), "at": float(at)} for id, (_, at, ends, value) in parts if not ends}


def restore(client: Any, snapshot: Json, if_marks: Mapping[str, int]) -> None:
    """Begins anew when a document, a log or a bucket changes meanwhile."""
    client.transaction(lambda pipe: _restore(pipe, snapshot, if_marks), MARKS, LOGS, COUNTS)


def _restore(pipe: Any, snapshot: Json, if_marks: Mapping[str, int]) -> None:
    marks, lasts, places = pipe.hgetall(MARKS), pipe.hgetall(LOGS), buckets(pipe, "")
    if any(int(marks.get(kind.encode(), 0)) != mark for kind, mark in if_marks.items()):
        raise Conflict("the state has been changed by somebody else")
    old = {kind: _kept(pipe.hgetall(f"{PREFIX}doc:{kind}")) for kind in _texts(list(marks))}
    pipe.multi()
    for kind in {kind for kind, docs in old.items() if docs} | set(snapshot["docs"]):
        _restore_kind(pipe, kind, list(old.get(kind, ())), int(marks.get(kind.encode(), 0)) + 1, snapshot["docs"])
    pipe.delete(COUNTS, *(f"{PREFIX}count:{place}" for place in places))
    for name, amount in snapshot["counters"].items():
        pipe.hset(f"{PREFIX}count:{bucket(name)}", name, repr(float(amount)))
        pipe.zadd(COUNTS, {bucket(name): 0})
    for log in {*_texts(list(lasts)), *snapshot["logs"]}:
        _restore_log(pipe, log, int(lasts.get(log.encode(), 0)), snapshot["logs"])


def _restore_kind(pipe: Any, kind: str, old: list[str], version: int, docs: Json) -> None:
    if old:
        pipe.hdel(f"{PREFIX}doc:{kind}", *old)
    pipe.hset(MARKS, kind, version)
    for id, doc in docs.get(kind, {}).items():
        head = f"{version}|{float(doc['at'])!r}||".encode()
        pipe.hset(f"{PREFIX}doc:{kind}", id, head + orjson.dumps(doc["value"]))
        pipe.zrem(f"{PREFIX}ends", f"{kind}\0{id}")


def _restore_log(pipe: Any, log: str, last: int, logs: Json) -> None:
    found = logs.get(log, {"last": 0, "entries": []})
    pipe.delete(f"{PREFIX}log:{log}")
    pipe.hset(LOGS, log, max(found["last"], last))
    for n, at, value in found["entries"]:
        pipe.xadd(f"{PREFIX}log:{log}", {"at": repr(float(at)), "v": orjson.dumps(value)}, id=f"{n}-0")


def migrate(client: Any, back_up: Callable[[Json, int], object]) -> int:
    """The version afterwards: ours, or a newer one. `back_up` gets an older state and its version, before all."""
    found = int(client.get(f"{PREFIX}version") or 0)
    if 0 < found < VERSION:
        back_up(_read(client, _names_of_old(client)), found)
    return int(client.eval(scripts.MIGRATE, 0, VERSION, __version__))


def _names_of_old(client: Any) -> Names:
    """Version 1 had no list of its buckets."""
    kinds, _, logs = _names(client)
    head = f"{PREFIX}count:"
    return kinds, sorted(key[len(head) :] for key in _texts(list(client.scan_iter(f"{head}*", 1000)))), logs


def writer(client: Any) -> str:
    """The version of kirogw that brought the keys to where they are."""
    return (client.hget(f"{PREFIX}about", "kirogw") or b"").decode()
