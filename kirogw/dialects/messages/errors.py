"""Our errors in Anthropic's words: one table from class to type and status, and what single clients need else."""

from __future__ import annotations

from typing import Final

from kirogw.dialects.clients import hints, row
from kirogw.dialects.face import Client, ErrorReply
from kirogw.errors import (
    BadRequest,
    BodyTooLarge,
    Busy,
    Forbidden,
    GatewayError,
    NeedsLogin,
    NotAllowed,
    NotFound,
    Overloaded,
    QuotaUsed,
    ShuttingDown,
    StoreAway,
    TimedOut,
    TooLong,
    UnsupportedThread,
    UpstreamFailed,
    WrongKey,
    WrongMethod,
)
from kirogw.wire import Json

TYPES: Final[dict[type[GatewayError], tuple[str, int]]] = {
    BadRequest: ("invalid_request_error", 400),
    BodyTooLarge: ("request_too_large", 413),
    WrongKey: ("authentication_error", 401),
    NotAllowed: ("permission_error", 403),
    NotFound: ("not_found_error", 404),
    WrongMethod: ("invalid_request_error", 405),
    Busy: ("rate_limit_error", 429),
    QuotaUsed: ("rate_limit_error", 429),
    Overloaded: ("overloaded_error", 529),
    NeedsLogin: ("permission_error", 403),  # 401 would make Claude Code ask for a login of its own
    Forbidden: ("permission_error", 403),
    UpstreamFailed: ("api_error", 502),
    TimedOut: ("timeout_error", 504),
    StoreAway: ("overloaded_error", 529),
    ShuttingDown: ("overloaded_error", 529),
    GatewayError: ("api_error", 500),
}

EXCEPTIONS: Final[dict[tuple[type[GatewayError], Client], tuple[str, int]]] = {
    (QuotaUsed, "opencode"): ("permission_error", 403),  # on 429 it asks for ever; on 403 it stops and shows our words
}


def error(error: GatewayError, client: Client, request_id: str) -> ErrorReply:
    _, status = row(error, client, TYPES, EXCEPTIONS)
    return ErrorReply(status, error_body(error, client, request_id), hints(error, client, status))


def error_body(error: GatewayError, client: Client = "other", request_id: str = "") -> Json:
    type_, _ = row(error, client, TYPES, EXCEPTIONS)
    said: Json = {"type": type_, "message": message(error)}
    if isinstance(error, UnsupportedThread):  # the SDKs' tool runner then sends everything again without a thread
        said["details"] = {"error_code": "thread_unsupported_request", "unsupported": list(error.unsupported)}
    body: Json = {"type": "error", "error": said}
    return {**body, "request_id": request_id} if request_id else body


def message(error: GatewayError) -> str:
    """Claude Code compacts on "prompt is too long", and reads the two numbers after it."""
    if isinstance(error, TooLong):
        if error.tokens is not None and error.limit is not None:
            return f"prompt is too long: {error.tokens} tokens > {error.limit} maximum"
        return f"prompt is too long: {error}"
    return f"{error.param}: {error}" if error.param else str(error)
