"""Our errors in the words of the Responses API: as the body of a refusal, and in an answer that fails on its way."""

from __future__ import annotations

import math
from typing import Final

from kirogw.dialects import openai
from kirogw.dialects.clients import CAP, WAITS
from kirogw.dialects.face import Client, ErrorReply
from kirogw.errors import (
    BadRequest,
    Busy,
    FormatMissed,
    GatewayError,
    Overloaded,
    QuotaUsed,
    ShuttingDown,
    StoreAway,
    TooLong,
    UpstreamFailed,
)
from kirogw.wire import Json

CODES: Final[dict[type[GatewayError], str]] = {
    # what Codex makes of it (0.169): stops, compacts, or asks again
    GatewayError: "invalid_prompt",  # stops, and shows our words
    BadRequest: "invalid_prompt",
    TooLong: "context_length_exceeded",  # compacts
    QuotaUsed: "insufficient_quota",  # stops
    Busy: "rate_limit_exceeded",  # waits as long as the words say, and asks again
    Overloaded: "slow_down",  # asks again
    UpstreamFailed: "server_error",  # asks again
    StoreAway: "server_error",
    ShuttingDown: "server_error",
    FormatMissed: "invalid_prompt",  # it was asked twice already
}


def error(error: GatewayError, client: Client, request_id: str) -> ErrorReply:
    return openai.error(error, client, request_id, "input")


def failure(error: GatewayError) -> Json:
    """The member `error` of a response that failed."""
    code = next(CODES[cls] for cls in type(error).__mro__ if cls in CODES)
    words = openai.message(error)
    if code == "rate_limit_exceeded":
        wait = error.wait if error.wait is not None else WAITS[Busy]
        words = f"{words.rstrip('. ')}. Please try again in {min(CAP, max(1, math.ceil(wait)))}s."
    return {"code": code, "message": words}
