"""Our errors in OpenAI's words: one table from class to type, code and status, and what single clients need else."""

from __future__ import annotations

import math
import re
from typing import Final

from kirogw.dialects.clients import hints, row
from kirogw.dialects.face import Client, ErrorReply
from kirogw.errors import (
    BadRequest,
    BodyTooLarge,
    BrokenAnswer,
    Busy,
    Cancelled,
    Forbidden,
    GatewayError,
    NeedsLogin,
    NotAllowed,
    NotFound,
    NotKept,
    Overloaded,
    QuotaUsed,
    ShuttingDown,
    StoreAway,
    TimedOut,
    TooLong,
    UnknownModel,
    UpstreamFailed,
    WrongKey,
    WrongMethod,
)
from kirogw.wire import Json

TYPES: Final[dict[type[GatewayError], tuple[str, str | None, int]]] = {
    BadRequest: ("invalid_request_error", None, 400),
    TooLong: ("invalid_request_error", "context_length_exceeded", 400),  # OpenCode compacts and tries again
    NotKept: ("invalid_request_error", "previous_response_not_found", 400),
    BodyTooLarge: ("invalid_request_error", "request_too_large", 413),
    WrongKey: ("invalid_request_error", "invalid_api_key", 401),
    NotAllowed: ("permission_error", "not_allowed", 403),
    NotFound: ("invalid_request_error", "not_found", 404),
    UnknownModel: ("invalid_request_error", "model_not_found", 404),
    WrongMethod: ("invalid_request_error", "method_not_allowed", 405),
    Busy: ("requests", "rate_limit_exceeded", 429),
    QuotaUsed: ("insufficient_quota", "insufficient_quota", 429),
    Overloaded: ("server_error", "slow_down", 503),
    NeedsLogin: ("permission_error", "login_required", 403),  # not 401: the client's own key is right
    Forbidden: ("permission_error", "account_refused", 403),
    UpstreamFailed: ("server_error", "upstream_failed", 502),
    BrokenAnswer: ("server_error", "broken_answer", 502),
    TimedOut: ("server_error", "upstream_timeout", 504),
    Cancelled: ("invalid_request_error", "cancelled", 409),
    StoreAway: ("server_error", "store_failed", 503),
    ShuttingDown: ("server_error", "shutting_down", 503),
    GatewayError: ("server_error", "internal_error", 500),
}

EXCEPTIONS: Final[dict[tuple[type[GatewayError], Client], tuple[str, str | None, int]]] = {
    # On 401, 403 and 404 Codex asks 30 times; a 400 ends its turn at once, and it shows our words.
    (Forbidden, "codex"): ("permission_error", "account_refused", 400),
    (NeedsLogin, "codex"): ("permission_error", "login_required", 400),
    (NotAllowed, "codex"): ("permission_error", "not_allowed", 400),
    (UnknownModel, "codex"): ("invalid_request_error", "model_not_found", 400),
    # Codex then stops with its own words; OpenCode asks a 429 for ever, and shows our words on a 403.
    (QuotaUsed, "codex"): ("usage_limit_reached", "usage_limit_reached", 429),
    (QuotaUsed, "opencode"): ("permission_error", "insufficient_quota", 403),
}


def error(error: GatewayError, client: Client, request_id: str, whole: str = "messages") -> ErrorReply:
    """`whole`: the member of the request that holds the conversation."""
    _, _, status = row(error, client, TYPES, EXCEPTIONS)
    return ErrorReply(status, error_body(error, client, whole), hints(error, client, status))


def error_body(error: GatewayError, client: Client = "other", whole: str = "messages") -> Json:
    type_, code, _ = row(error, client, TYPES, EXCEPTIONS)
    said: Json = {"message": message(error), "type": type_, "param": param(error, whole) or None, "code": code}
    if type_ == "usage_limit_reached" and error.wait is not None:
        said["resets_in_seconds"] = math.ceil(error.wait)
    return {"error": said}


def message(error: GatewayError) -> str:
    """In overflow, the words by which clients know it, beside the code."""
    if isinstance(error, TooLong):
        if error.tokens is not None and error.limit is not None:
            return (f"This model's maximum context length is {error.limit} tokens. However, your messages resulted in "
                    f"{error.tokens} tokens. Please reduce the length of the messages.")  # fmt: skip
        return f"Your input exceeds the context window of this model: {error}"
    return f"'{param(error)}': {error}" if error.param else str(error)


def param(error: GatewayError, whole: str = "") -> str:
    """OpenAI writes `messages[0].content` for our `messages.0.content`."""
    return whole if isinstance(error, TooLong) else re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", error.param)
