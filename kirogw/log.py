"""The log: one line a request, text on a terminal and JSON elsewhere.

No secret can reach it: an Entry has no place for one, and every other line passes through `clean`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TextIO

import orjson

from kirogw.debug import Record
from kirogw.redact import clean

logger: Final = logging.getLogger("kirogw")


@dataclass(slots=True)
class Entry:
    """What is known of one request, filled on its way; times are monotonic seconds."""

    id: str
    face: str
    began: float
    key: str = ""
    model: str = ""
    account: str = ""
    stream: bool = False
    first: float | None = None
    events: int = 0
    tries: int = 0
    outcome: str = ""
    upstream: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    record: Record | None = None  # DEBUG_MODE
    failed: bool = False
    account_id: str = ""
    provider: str = ""  # of that account
    shown: str = ""  # the account as clients may see it
    cached: int = 0  # tokens of the input
    generates: bool = False  # it asks for an answer
    done: bool = False  # its end has been noted
    asked: str = ""  # the model as the client named it
    links: int = 0  # of its chain, that could not serve

    def fields(self, now: float) -> dict[str, Any]:
        line: dict[str, Any] = {
            "request": self.id, "face": self.face, "key": self.key, "account": self.account,
            "provider": self.provider, "model": _clean_model(self.model), "stream": self.stream,
            "ms": round((now - self.began) * 1000, 1),
            "first_ms": None if self.first is None else round((self.first - self.began) * 1000, 1),
            "events": self.events, "tries": self.tries, "outcome": self.outcome,
        }  # fmt: skip
        if self.asked != self.model and self.asked:
            line["asked"] = _clean_model(self.asked)
        if self.upstream:
            line["upstream"] = self.upstream
        return line | self.usage


_clean_model: Final = lru_cache(1024)(clean)  # of a model's name, which most requests share


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {_said(record)}"
        if fields := getattr(record, "fields", None):
            line += " " + " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))
        return line if hasattr(record, "safe") else clean(line)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": _said(record)}
        text = orjson.dumps({**line, **(getattr(record, "fields", None) or {})}, default=str).decode()
        return text if hasattr(record, "safe") else clean(text)


class _Lines(logging.StreamHandler[TextIO]):
    """Standard error, a JSON object a line."""

    def write(self, line: dict[str, Any]) -> None:
        """As `logging` does: whoever reads no log any more, or has no room for it, stops no answer."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(orjson.dumps(line, default=str).decode() + "\n")


def _said(record: logging.LogRecord) -> str:
    said = record.getMessage()
    if record.exc_info and record.exc_info[0]:
        frames = logging.Formatter().formatException(record.exc_info)
        said = f"{said}\n{frames}"
    return said


def set_up(level: str, form: str) -> None:
    """Send the gateway's log to standard error, once; a host application that has its own handlers keeps them."""
    if logger.handlers:
        logger.setLevel(level.upper())
        return
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr) if text else _Lines(sys.stderr)
    handler.setFormatter(_Text() if text else _JsonLines())
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


def request(entry: Entry, now: float) -> None:
    """The one line of a request. What came from the client in it is clean already: looking twice costs as much as all
    the rest of the line, and so does the way through `logging`, which a handler of our own needs not."""
    if not logger.isEnabledFor(logging.INFO):
        return
    handler = logger.handlers[0] if len(logger.handlers) == 1 else None
    if isinstance(handler, _Lines):
        handler.write({"time": round(time.time(), 3), "level": "info", "message": "request", **entry.fields(now)})
    else:
        logger.info("request", extra={"fields": entry.fields(now), "safe": True})
