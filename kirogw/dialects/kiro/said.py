"""What Kiro said when it failed, read from any reply or exception: type, reason, message, how long to wait."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from kirogw.redact import clean


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure as it was read. `said` is the message in lower case, `hint` seconds to wait as Kiro asked for."""

    status: int = 0
    type: str = ""
    reason: str = ""
    message: str = ""
    said: str = ""
    page: bool = False
    hint: float | None = None
    request_id: str = ""


def read(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Takes any bytes. Header names are lower case."""
    members = dict(_members(body))
    message = _first(members, "message", "Message", "errorMessage", "error_description")
    page = _is_page(headers, body)
    if not members and not page:
        message = body[:4000].decode("utf-8", "replace").strip()
    type = headers.get("x-amzn-errortype") or _first(members, "__type", "type", "code")
    return Fault(
        status, type.partition("#")[2].partition(":")[0] if "#" in type else type.partition(":")[0],
        _spelled(_first(members, "reason")), message, message.lower(), page, _hint(headers, members),
        headers.get("x-amzn-requestid", ""),
    )  # fmt: skip


def _members(body: bytes) -> Iterator[tuple[str, Any]]:
    """Those of the JSON object; those of an `error` object in it count as its own, and a bare one is the message."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if isinstance(found, dict):
        inner = found.get("error")
        yield from inner.items() if isinstance(inner, dict) else [("message", inner)]
        yield from found.items()


def _first(members: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := members.get(name), str) and value), "")


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body[:200].lstrip()[:1] == b"<"


def _spelled(reason: str) -> str:
    """`TemporarilySuspended` is met beside TEMPORARILY_SUSPENDED."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason).upper()


LONGEST_HINT: Final = 31 * 86400.0


def _hint(headers: Mapping[str, str], members: Mapping[str, Any]) -> float | None:
    """Seconds to wait: `Retry-After`, which may be a date, and `retryAfterMilliseconds` of the body; the longer one."""
    given = [_seconds(headers.get("retry-after"), 1.0), _seconds(members.get("retryAfterMilliseconds"), 1000.0),
             _until(headers.get("retry-after", ""), headers.get("date", ""))]  # fmt: skip
    return max((seconds for seconds in given if seconds is not None), default=None)


def _seconds(value: Any, unit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value) / unit
    except (ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_HINT) if math.isfinite(seconds) and seconds >= 0 else None


def _until(then: str, now: str) -> float | None:
    """From the server's own `Date` to the date that it names, so that nobody's clock matters."""
    try:
        return _seconds((parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds(), 1.0)
    except (ValueError, TypeError, OverflowError):
        return None


_PRIVATE: Final = re.compile(
    r"(?i:(?<=user id )\([^)]*\))"
    r"|arn:[\w:/.*-]+|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|(?=[\w+/=.:~-]*\d)[\w+/=.:~-]{32,}",  # a long word with a digit: an id, a key, a piece of one
    re.ASCII,
)


def quoted(fault: Fault) -> str:
    """Kiro's own words, as far as they may be shown: one line, short, without ids and anything like a secret."""
    words = " ".join(_PRIVATE.sub("...", clean(fault.message[:2000])).split()).replace('"', "'").rstrip(".")
    return words if len(words) <= 200 else f"{words[:197]}..."


_FIGURES: Final = (
    re.compile(r"(\d{1,12}) tokens? > (\d{1,12})"),
    re.compile(r"(\d{1,12}) \+ (\d{1,12}) > (\d{1,12})"),  # input and max_tokens together
)


def figures(message: str) -> tuple[int | None, int | None]:
    """How many tokens there are, and how many there may be."""
    for pattern in _FIGURES:
        if match := pattern.search(message.replace(",", "")):
            *tokens, limit = map(int, match.groups())
            return sum(tokens), limit
    return None, None
