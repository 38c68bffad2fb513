"""What a failed call to Kiro means: one table, from what the failure looks like to what is done about it.

The status lies: throttling comes as 400, a used-up plan as 403 or 429, an overloaded model as 500 (kiro 5.1). So a row
is looked for by reason first, then by words of the message, then by the type of the exception, and by the status only
when nothing else is known. Within each of these the first row wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kirogw.dialects.kiro.said import read
from kirogw.dialects.provider import Verdict
from kirogw.dialects.verdicts import OWNER, REPORT, SOON, Row, Sign, Table, losses
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

TABLE: Final[tuple[Row, ...]] = (
    Row("overflow", (
        Sign(reasons=("CONTENT_LENGTH_*", "PROMPT_TOO_LONG", "CONVERSATION_LIMIT_*")),
        Sign(words=("input is too long", "input content length exceeds", "content length exceeds threshold",
                    "prompt is too long", "exceed context limit", "length limit exceeded")),
        Sign(types=("ContentLengthExceededException",)),
        Sign(status=(413,)),
    ), TooLong, "The conversation does not fit the model's window", "Compact it or start a new one"),
    Row("signature", (
        Sign(reasons=("THINKING_SIGNATURE_INVALID",)),
        Sign(words=("bound to a different conversation", "invalid `signature`", "invalid signature")),
    ), BadRequest, "Kiro does not believe the thinking of an earlier turn", "Start a new session",
        again="unsealed", tries=1),
    Row("fields", (
        Sign(words=("additionalmodelrequestfields is not supported", "is not defined in the schema")),
    ), BadRequest, "The model takes none of the given settings for thinking or effort", "Leave them out",
        again="plain", tries=1),
    Row("tool use format", (
        Sign(words=("invalid tool use format",)),
    ), BadRequest, "Kiro refused the form of a tool or of a tool call", REPORT, again="same", tries=1),
    Row("profile", (
        Sign(words=("profilearn is required", "invalid profilearn")),
    ), Forbidden, "Kiro wants another profile for this account",
        "Check PROFILE_ARN and the account's region, or sign in again",
        again="profile", tries=1, elsewhere=True, fate="attention"),
    Row("suspended", (
        Sign(reasons=("TEMPORARILY_SUSPENDED",)),
        Sign(words=("temporarily is suspended", "is temporarily suspended", "locked your account")),
        Sign(status=(423,)),
    ), Forbidden, "Kiro has locked this account", "Its owner can ask at https://support.aws.amazon.com/#/contacts/kiro",
        elsewhere=True, fate="suspended"),
    Row("quota", (
        Sign(reasons=("HOURLY_REQUEST_COUNT", "DAILY_REQUEST_COUNT", "WEEKLY_REQUEST_COUNT", "MONTHLY_REQUEST_COUNT",
                      "OVERAGE_REQUEST_LIMIT_EXCEEDED", "USAGE_LIMIT_REACHED")),
        Sign(words=("you have reached the limit", "maximum request reached for this month", "usage limit reached")),
        Sign(types=("ServiceQuotaExceededException",)),
        Sign(status=(402,)),
    ), QuotaUsed, "The account's plan is used up",
        "Wait for its reset, raise the limit at app.kiro.dev or add an account", elsewhere=True, fate="exhausted"),
    Row("capacity", (
        Sign(reasons=("INSUFFICIENT_MODEL_CAPACITY", "INSUFFICIENT_THROUGHPUT", "MODEL_TEMPORARILY_UNAVAILABLE",
                      "SERVICE_REQUEST_RATE_EXCEEDED")),
        Sign(words=("high traffic", "unexpectedly high load")),
        Sign(types=("modelTemporarilyUnavailableEvent", "modelUnavailableEvent")),
    ), Overloaded, "Kiro has no capacity for this model just now", "Try again later, or with another model",
        again="same", tries=2, waits=(2.0, 5.0)),
    Row("credit rate", (
        Sign(reasons=("CREDIT_CONSUMPTION_RATE_EXCEEDED",)),
    ), Busy, "The account spends credits faster than Kiro allows", "Try again in some minutes",
        elsewhere=True, fate="slow", wait=300.0),
    Row("rate", (
        Sign(reasons=("USER_REQUEST_RATE_EXCEEDED",)),
        Sign(words=("too many requests",)),
        Sign(types=("ThrottlingException",)),
        Sign(status=(429,)),
    ), Busy, "Kiro limits the requests of this account", SOON,
        again="same", tries=1, waits=(8.0, 8.0), elsewhere=True, fate="slow", wait=8.0),
    Row("edge", (
        Sign(page=True, status=(403,)),
    ), Forbidden, "An edge in front of Kiro refused this machine's address", "Try another network, or VPN_PROXY_URL",
        host=True, elsewhere=True),
    Row("token", (
        Sign(words=("bearer token included in the request is invalid", "security token included in the request",
                    "token expired", "token has expired")),
        Sign(words=("invalid token",), status=(401, 403)),
        Sign(types=("ExpiredTokenException", "UnrecognizedClientException")),
        Sign(status=(401,)),
    ), NeedsLogin, "Kiro does not accept the account's token", "Sign in to Kiro again, and check the account's region",
        again="refresh", tries=1, elsewhere=True, fate="attention"),
    Row("not activated", (
        Sign(reasons=("FEATURE_NOT_SUPPORTED",)),
        Sign(types=("ResourceNotFoundException",)),
    ), Forbidden, "Kiro does not serve this profile in this region", "Check PROFILE_ARN and KIRO_REGION",
        again="profile", tries=1, elsewhere=True, fate="attention"),
    Row("plan", (
        Sign(words=("does not support this application",)),
    ), Forbidden, "The account's plan does not allow this kind of client", "Use an account with another plan",
        elsewhere=True, fate="attention"),
    Row("not authorized", (
        Sign(words=("not authorized to make this call",)),
    ), Forbidden, "Kiro refused the profile, the region or the client's version",
        "Check PROFILE_ARN, KIRO_REGION and KIRO_USER_AGENT",
        again="profile", tries=1, elsewhere=True, fate="attention"),
    Row("model", (
        Sign(reasons=("INVALID_MODEL_ID",)),
        Sign(words=("invalid model", "invalid_model_id"), status=(400, 404)),
    ), UnknownModel, "Kiro does not know the model {model}, or the account may not use it",
        "GET /v1/models lists those that work", elsewhere=True, fate="lacks"),
    Row("image", (
        Sign(reasons=("IMAGE_*",)),
    ), BadRequest, "Kiro refused an image", "Send fewer or smaller ones, as PNG, JPEG, GIF or WebP"),
    Row("document", (
        Sign(reasons=("DOCUMENT_*",)),
    ), BadRequest, "Kiro refused a document", "Send fewer or smaller ones, without a password, or their text"),
    Row("tools", (
        Sign(reasons=("TOOL_*",)),
    ), BadRequest, "Kiro refused the tools or the calls in the conversation", REPORT),
    Row("encryption", (
        Sign(reasons=("CUSTOMER_KMS_*", "MISMATCHED_KMS_KEY", "INVALID_KMS_GRANT")),
    ), BadRequest, "The encryption key of the account's organisation does not work",
        "Its administrator must look at it"),
    Row("malformed", (
        Sign(words=("improperly formed request",)),
    ), BadRequest, "Kiro could not read the request", REPORT),
    Row("wrong host", (
        Sign(types=("UnknownOperationException",)),
        Sign(status=(404, 405)),
    ), UpstreamFailed, "This address of Kiro does not know the call",
        "Check KIRO_RUNTIME_URLS and KIRO_WIRE, then try again later",
        host=True),
    Row("forbidden", (
        Sign(types=("AccessDeniedException",)),
        Sign(status=(403,)),
    ), Forbidden, "Kiro refused this account", OWNER, elsewhere=True, fate="attention"),
    Row("invalid", (
        Sign(types=("ValidationException", "ConflictException")),
        Sign(status=(400, 409, 422)),
    ), BadRequest, "Kiro refused the request", "Change what it names; the same request will be refused again"),
    Row("unavailable", (
        Sign(types=("ServiceUnavailableException",)),
        Sign(status=(503,)),
    ), Overloaded, "Kiro is overloaded or down", "Try again later",
        again="same", tries=2, waits=(2.0, 5.0), host=True, elsewhere=True),
    Row("gateway", (
        Sign(status=(502, 504)),
    ), UpstreamFailed, "A server in front of Kiro had no answer", SOON,
        again="same", tries=3, waits=(1.0, 4.0), host=True, elsewhere=True),
    Row("server", (
        Sign(types=("InternalServerException", "invalidStateEvent")),
        Sign(status=(408, *range(500, 600))),
    ), UpstreamFailed, "Kiro failed", SOON, again="same", tries=3, waits=(1.0, 4.0), elsewhere=True),
)  # fmt: skip

STRANGE: Final = Row(
    "strange", (), UpstreamFailed, "Kiro answered something that is no answer",
    "Try again in a moment, and check KIRO_RUNTIME_URLS",
    host=True, elsewhere=True,
)  # fmt: skip

LOST: Final = losses("Kiro")
_ALL: Final = Table("Kiro", TABLE, STRANGE, LOST)


def judge(status: int, headers: Mapping[str, str], body: bytes, *, model: str = "") -> Verdict:
    """A reply that is no answer. Header names are lower case; `model` is Kiro's name of the model that was asked."""
    return _ALL.verdict(read(status, headers, body), model)


def judge_exception(type: str, payload: bytes, *, model: str = "") -> Verdict:
    """An exception, an error or a failure event inside the stream. `payload` may also be the bare message."""
    return _ALL.verdict(read(0, {"x-amzn-errortype": type}, payload), model)


def lost(kind: str) -> Verdict:
    """A call without a whole answer (see verdicts.Table.lost)."""
    return _ALL.lost(kind)
