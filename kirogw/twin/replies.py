"""Whole replies in the service's own shapes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from kirogw.wire import Json, Reply

NAMESPACE = "com.amazon.kiro.runtimeservice"


def plain(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """JSON as it is."""
    body = json.dumps(value, ensure_ascii=True).encode()
    return Reply(status, {"content-type": "application/json", **(headers or {})}, body)


def served(value: Json, target: bool) -> Reply:
    """An answer of the API; `target`: the request came in the AWS-JSON form."""
    kind = "application/x-amz-json-1.0" if target else "application/json"
    return plain(200, value, {"content-type": kind, "x-amzn-requestid": secrets.token_hex(16)})


def fault(status: int, kind: str, message: str, reason: str | None = None, more: Mapping[str, Any] | None = None,
          headers: Mapping[str, str] | None = None) -> Reply:  # fmt: skip
    """An error of the API: its type in the header and in `__type`, its reason in `reason` (null where it has none)."""
    body = {"__type": f"{NAMESPACE}#{kind}", "message": message, "reason": reason, **(more or {})}
    named = {"x-amzn-errortype": kind, "x-amzn-requestid": secrets.token_hex(16), **(headers or {})}
    return plain(status, body, named)


def text(status: int, body: str, kind: str = "text/plain; charset=utf-8") -> Reply:
    return Reply(status, {"content-type": kind}, body.encode())
