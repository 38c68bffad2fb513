"""All that a store holds as one JSON object, the same for every engine. Pure.

{"format": "kirogw state", "version": 1, "docs": {kind: {id: {"value", "at"}}}, "counters": {name: amount},
"logs": {name: {"last": number given last, "entries": [[number, at, value], ...]}}}
"""

from __future__ import annotations

from typing import Any, Final

from kirogw.wire import Json

FORMAT: Final = "kirogw state"
VERSION: Final = 1


def make(docs: Json, counters: dict[str, float], logs: Json) -> Json:
    return {"format": FORMAT, "version": VERSION, "docs": docs, "counters": counters, "logs": logs}


def check(snapshot: Json) -> Json:
    """`snapshot` itself. Raises ValueError with what is wrong."""
    if not isinstance(snapshot, dict) or snapshot.get("format") != FORMAT:
        raise ValueError("this is no snapshot of a kirogw store")
    if snapshot.get("version") != VERSION:
        raise ValueError(f"the snapshot has version {snapshot.get('version')!r}, and this kirogw knows {VERSION}")
    _need(all(isinstance(snapshot.get(part), dict) for part in ("docs", "counters", "logs")), "a part")
    for kind, docs in snapshot["docs"].items():
        _need(isinstance(docs, dict) and all(map(_doc, docs.values())), f"docs.{kind}")
    _need(all(map(_number, snapshot["counters"].values())), "a counter")
    for name, log in snapshot["logs"].items():
        _need(_log(log), f"logs.{name}")
    return snapshot


def _need(good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"the snapshot is damaged: {what} has not the right form")


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _doc(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("value"), dict) and _number(value.get("at"))


def _log(log: Any) -> bool:
    """Numbers go upwards, to `last` at most."""
    if not isinstance(log, dict) or type(log.get("last")) is not int or not isinstance(log.get("entries"), list):
        return False
    last = 0
    for entry in log["entries"]:
        if not (isinstance(entry, list | tuple) and len(entry) == 3 and type(entry[0]) is int and entry[0] > last):
            return False
        if not (_number(entry[1]) and isinstance(entry[2], dict)):
            return False
        last = entry[0]
    return bool(last <= log["last"])
