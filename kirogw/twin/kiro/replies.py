"""Whole replies in the shapes of Kiro's API."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from kirogw.twin.replies import plain
from kirogw.twin.state import Incoming
from kirogw.wire import Json, Reply

NAMESPACE: Final = "com.amazon.kiro.runtimeservice"


def served(value: Json, incoming: Incoming) -> Reply:
    """An answer, in the form that the request came in: REST, or AWS JSON, which names a target."""
    kind = "application/x-amz-json-1.0" if "x-amz-target" in incoming.headers else "application/json"
    return plain(200, value, {"content-type": kind, "x-amzn-requestid": secrets.token_hex(16)})


def fault(status: int, kind: str, message: str, reason: str | None = None, more: Mapping[str, Any] | None = None,
          headers: Mapping[str, str] | None = None) -> Reply:  # fmt: skip
    """An error: its type in the header and in `__type`, its reason in `reason` (null where it has none)."""
    body = {"__type": f"{NAMESPACE}#{kind}", "message": message, "reason": reason, **(more or {})}
    named = {"x-amzn-errortype": kind, "x-amzn-requestid": secrets.token_hex(16), **(headers or {})}
    return plain(status, body, named)
