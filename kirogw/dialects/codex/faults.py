"""What a failed call to ChatGPT means: one table for both doors, for replies and for failures inside an answer.

Codes stand in `error.code`, `error.type`, `detail.code`, or in the header `x-error-json`; they go before words, words
before the status. A message alone never makes a quota of a bad request: only whole sentences of ChatGPT's count.
Source: codex 2.6, 3, 6 and 10.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from kirogw.dialects.provider import Verdict
from kirogw.dialects.said import Fault, is_page, seconds, until
from kirogw.dialects.verdicts import OWNER, REPORT, SOON, Row, Sign, Table, losses, named
from kirogw.errors import (
    BadRequest,
    Busy,
    Forbidden,
    NeedsLogin,
    Overloaded,
    QuotaUsed,
    TooLong,
    UnknownModel,
    UpstreamFailed,
)
from kirogw.wire import Json

SIGN_IN: Final = "Sign in to ChatGPT again"
HOUR: Final = 3600.0

TABLE: Final[tuple[Row, ...]] = (
    Row("sealed", (
        Sign(reasons=("invalid_encrypted_content",)),
        Sign(words=("encrypted content could not be verified", "could not be decrypted or parsed",
                    "was provided without its required", "missing its required reasoning item")),
    ), BadRequest, "ChatGPT does not believe the thinking of an earlier turn", "Start a new session",
        again="unsealed", tries=1),
    Row("form", (
        Sign(words=("codex-responses-lite", "requires parallel_tool_calls to be false", "client-executed tool search",
                    "all_turns", "reasoning.context", "web_search_call.action.sources")),
        Sign(reasons=("subscription_sharing_unsupported_capability",)),
    ), BadRequest, "ChatGPT wants requests for this model in another form", REPORT, again="plain", tries=1),
    Row("overflow", (
        Sign(reasons=("context_length_exceeded", "string_above_max_length", "request_too_large")),
        Sign(words=("exceeds the context window", "maximum context length")),
        Sign(status=(413,)),
    ), TooLong, "The conversation does not fit the model's window", "Compact it or start a new one"),
    Row("suspended", (
        Sign(reasons=("account_deactivated", "account_suspended", "account_disabled", "account_banned",
                      "account_terminated", "user_deactivated", "user_disabled", "user_suspended",
                      "deactivated_workspace", "organization_deactivated", "org_deactivated")),
        Sign(words=("account has been deactivated", "account has been suspended", "workspace is deactivated")),
    ), Forbidden, "OpenAI has closed this account or its workspace", "Its owner can ask at https://help.openai.com",
        elsewhere=True, fate="suspended"),
    Row("quota", (
        Sign(reasons=("usage_limit_reached", "subscription_sharing_usage_limit_exceeded", "insufficient_quota",
                      "workspace_owner_credits_depleted", "workspace_member_credits_depleted",
                      "workspace_owner_usage_limit_reached", "workspace_member_usage_limit_reached")),
    ), QuotaUsed, "The account's plan is used up",
        "Wait for its reset, see chatgpt.com/settings/usage, or add an account",
        elsewhere=True, fate="exhausted", wait=HOUR),
    Row("plan", (
        Sign(reasons=("usage_not_included", "subscription_sharing_user_not_eligible")),
    ), Forbidden, "The account's plan or its workspace does not include this use",
        "Use an account with another plan", elsewhere=True, fate="attention"),
    Row("consent", (
        Sign(reasons=("chatpass_v2_*", "subscription_sharing_invalid_user", "invalid_workspace_selected")),
        Sign(words=("missing scopes",), status=(401, 403)),
    ), NeedsLogin, "The account's login does not cover this use, or names another workspace", SIGN_IN,
        elsewhere=True, fate="login"),
    Row("token", (
        Sign(reasons=("token_expired", "token_invalidated", "invalid_token", "token_revoked", "invalid_api_key")),
        Sign(words=("authentication token",), status=(401,)),
        Sign(status=(401,)),
    ), NeedsLogin, "ChatGPT does not accept the account's token", SIGN_IN,
        again="refresh", tries=1, elsewhere=True, fate="login"),
    Row("capacity", (
        Sign(reasons=("model_at_capacity",)),
        Sign(words=("selected model is at capacity", "model is at capacity")),
    ), Overloaded, "ChatGPT has no capacity for this model just now", "Try again later, or with another model",
        again="same", tries=1, waits=(2.0, 5.0), elsewhere=True),
    Row("overloaded", (
        Sign(reasons=("server_is_overloaded", "slow_down", "overloaded_error", "subscription_sharing_usage_unavailable",
                      "subscription_sharing_user_unavailable")),
    ), Overloaded, "ChatGPT is overloaded", "Try again later",
        again="same", tries=2, waits=(2.0, 5.0), elsewhere=True),
    Row("rate", (
        Sign(reasons=("rate_limit_exceeded", "rate_limit_reached", "too_many_requests")),
        Sign(types=("rate_limit_error",)),
        Sign(status=(429,)),
    ), Busy, "ChatGPT limits the requests of this account", SOON,
        again="same", tries=1, waits=(8.0, 8.0), elsewhere=True, fate="slow", wait=8.0),
    Row("model", (
        Sign(reasons=("model_not_available", "model_not_supported")),
        Sign(words=("model is not supported when using codex with a chatgpt account",)),
    ), UnknownModel, "The account may not use the model {model}", "GET /v1/models lists those that work",
        elsewhere=True, fate="lacks"),
    Row("version", (
        Sign(words=("requires a newer version of codex", "newer version of codex")),
    ), UnknownModel, "The model {model} wants a newer version of the Codex protocol", "Raise CODEX_VERSION",
        elsewhere=True, fate="lacks"),
    Row("unknown model", (
        Sign(reasons=("model_not_found",)),
        Sign(words=("model not found", "does not exist or you do not have access"), status=(400, 403, 404)),
    ), UnknownModel, "ChatGPT does not know the model {model}", "GET /v1/models lists those that work",
        elsewhere=True),
    Row("route", (
        Sign(reasons=("subscription_sharing_route_not_supported",)),
    ), BadRequest, "ChatGPT does not serve this address to the account's login", REPORT),
    Row("image", (
        Sign(reasons=("invalid_image*", "image_*", "unsupported_image*", "empty_image*", "failed_to_download_image")),
        Sign(words=("does not represent a valid image", "unsupported image"), status=(400,)),
    ), BadRequest, "ChatGPT refused an image", "Send fewer or smaller ones, as PNG, JPEG, GIF or WebP"),
    Row("content", (
        Sign(reasons=("invalid_prompt", "cyber_policy", "content_policy*", "policy_violation", "bio_policy")),
    ), BadRequest, "ChatGPT refused what the conversation is about", "Change it; the same will be refused again"),
    Row("parameter", (
        Sign(reasons=("unsupported_parameter", "unknown_parameter")),
        Sign(words=("unsupported parameter", "unknown parameter", "must be set to true", "must be set to false",
                    "instructions are required", "instructions are not valid")),
    ), BadRequest, "ChatGPT does not take a part of the request", REPORT),
    Row("edge", (
        Sign(reasons=("cf_challenge",)),
        Sign(page=True, status=(403, 429, 503)),
    ), Forbidden, "An edge in front of ChatGPT refused this machine's address", "Try another network, or VPN_PROXY_URL",
        host=True, elsewhere=True),
    Row("invalid", (
        Sign(types=("invalid_value", "invalid_type", "unsupported_value", "invalid_function_parameters",
                    "missing_required_parameter", "invalid_json_schema")),
        Sign(types=("invalid_request_error",), status=(400, 409, 422)),
        Sign(status=(400, 409, 422)),
    ), BadRequest, "ChatGPT refused the request", "Change what it names; the same request will be refused again"),
    Row("wrong host", (
        Sign(status=(404, 405)),
    ), UpstreamFailed, "This address of ChatGPT does not know the call",
        "Check CODEX_API_URL and OPENAI_API_URL, then try again later", host=True, elsewhere=True),
    Row("forbidden", (
        Sign(status=(402, 403)),
    ), Forbidden, "ChatGPT refused this account", OWNER, elsewhere=True, fate="attention"),
    Row("unavailable", (
        Sign(status=(503, 529)),
    ), Overloaded, "ChatGPT is overloaded or down", "Try again later",
        again="same", tries=2, waits=(2.0, 5.0), host=True, elsewhere=True),
    Row("server", (
        Sign(types=("server_error", "internal_error", "internal_server_error", "timeout")),
        Sign(status=(408, *range(500, 600))),
    ), UpstreamFailed, "ChatGPT failed", SOON, again="same", tries=3, waits=(1.0, 4.0), elsewhere=True),
)  # fmt: skip

STRANGE: Final = Row(
    "strange", (), UpstreamFailed, "ChatGPT answered something that is no answer",
    "Try again in a moment, and check CODEX_API_URL and OPENAI_API_URL", again="same", tries=1, waits=(1.0, 4.0),
    host=True, elsewhere=True,
)  # fmt: skip

LOST: Final = losses("ChatGPT")
_ALL: Final = Table("ChatGPT", TABLE, STRANGE, LOST)


def judge(status: int, headers: Mapping[str, str], body: bytes, *, model: str = "") -> Verdict:
    """A reply that is no answer. Header names are lower case."""
    return _ALL.verdict(read(status, headers, body), model)


def judge_event(event: Json, *, model: str = "") -> Verdict:
    """`response.failed` or `error` inside an answer, which may name a status."""
    status = event.get("status")
    inner = event.get("response")
    said = inner if inner.__class__ is dict and inner.get("error") else event
    return _ALL.verdict(_fault(status if status.__class__ is int else 0, {}, said), model)


def lost(kind: str) -> Verdict:
    """A call without a whole answer (see verdicts.Table.lost)."""
    return _ALL.lost(kind)


# What ChatGPT said


def read(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Takes any bytes."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return _fault(status, headers, found)
    page = is_page(headers, body)
    message = "" if page else body[:4000].decode("utf-8", "replace").strip()
    return _fault(status, headers, {"message": message}, page)


def _fault(status: int, headers: Mapping[str, str], said: Json, page: bool = False) -> Fault:
    boxes = [*_boxes(said), *_boxes(_told_by(headers))]
    codes = [code for box in boxes for name in ("code", "type") if (code := _word(box.get(name)))]
    if headers.get("cf-mitigated"):
        codes, page = ["cf_challenge"], True
    message = next((text for box in boxes for name in ("message", "detail") if (text := _word(box.get(name)))), "")
    return Fault(
        status, next((code for code in codes if code in _TYPES), ""), next(filter(_is_reason, codes), ""), message,
        message.lower(), page, _hint(headers, boxes, message),
        headers.get("x-request-id") or headers.get("x-oai-request-id") or headers.get("cf-ray", ""),
    )  # fmt: skip


_REASONS: Final = [reason for row in TABLE for sign in row.signs for reason in sign.reasons]
_TYPES: Final = frozenset(type for row in TABLE for sign in row.signs for type in sign.types)


def _is_reason(code: str) -> bool:
    return any(named(code, reason) for reason in _REASONS)


def _boxes(said: Any) -> Iterator[Json]:
    """The objects that may hold a code, the inner ones first: they say more."""
    if not isinstance(said, dict):
        return
    for name in ("error", "detail"):
        inner = said.get(name)
        if isinstance(inner, dict):
            yield from _boxes(inner)
        elif isinstance(inner, str):
            yield {"message": inner, "code": inner if re.fullmatch(r"[a-z0-9_]{3,64}", inner) else ""}
    yield said


def _told_by(headers: Mapping[str, str]) -> Any:
    """What `x-error-json` holds: base64 of JSON."""
    try:
        return orjson.loads(base64.b64decode(headers.get("x-error-json", ""), validate=True))
    except ValueError:
        return None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _hint(headers: Mapping[str, str], boxes: list[Json], message: str) -> float | None:
    """Seconds to wait: until the limit is reset, else `Retry-After`, else as the message says."""
    for box in boxes:
        if (found := seconds(box.get("resets_in_seconds"))) is not None:
            return found
        if (found := _until_reset(box.get("resets_at"), headers)) is not None:
            return found
    given = (seconds(headers.get("retry-after")), seconds(headers.get("retry-after-ms"), 1000.0),
             until(headers.get("retry-after", ""), headers.get("date", "")), _asked(message))  # fmt: skip
    return next((found for found in (*given, _window(headers)) if found is not None), None)


def _until_reset(value: Any, headers: Mapping[str, str]) -> float | None:
    """`resets_at` is in epoch seconds; the server's own clock says how long that is."""
    try:
        return seconds(value - parsedate_to_datetime(headers["date"]).timestamp())
    except (TypeError, ValueError, KeyError, OverflowError):
        return None


_ASKED: Final = re.compile(
    r"try again in (\d{1,6}(?:\.\d{1,6})?) ?(ms|s|m|h|(?:millisecond|second|minute|hour)s?)\b", re.I
)
_UNITS: Final = {"ms": 0.001, "mil": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hou": 3600.0}


def _asked(message: str) -> float | None:
    """"Please try again in 1.5s." """
    found = _ASKED.search(message)
    return seconds(float(found[1]) * _UNITS[found[2][:3].lower()]) if found else None


def _window(headers: Mapping[str, str]) -> float | None:
    """Until the last of the windows that are used up begins anew."""
    ends = [
        seconds(headers.get(f"x-codex-{slot}-reset-after-seconds")) for slot in ("primary", "secondary")
        if (seconds(headers.get(f"x-codex-{slot}-used-percent")) or 0.0) >= 100.0
    ]  # fmt: skip
    return max((end for end in ends if end is not None), default=None)
