"""What Kiro said when it failed, read from any reply or exception: type, reason, message, how long to wait."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from kirogw.dialects.said import Fault, is_page, seconds, until


def read(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Takes any bytes. Header names are lower case."""
    members = dict(_members(body))
    message = _first(members, "message", "Message", "errorMessage", "error_description")
    page = is_page(headers, body)
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


def _spelled(reason: str) -> str:
    """`TemporarilySuspended` is met beside TEMPORARILY_SUSPENDED."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason).upper()


def _hint(headers: Mapping[str, str], members: Mapping[str, Any]) -> float | None:
    """Seconds to wait: `Retry-After`, which may be a date, and `retryAfterMilliseconds` of the body; the longer one."""
    given = [seconds(headers.get("retry-after"), 1.0), seconds(members.get("retryAfterMilliseconds"), 1000.0),
             until(headers.get("retry-after", ""), headers.get("date", ""))]  # fmt: skip
    return max((found for found in given if found is not None), default=None)
