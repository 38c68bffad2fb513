"""Faults on demand: what goes wrong, with which request, how often.

A fault is added by name (a key of NAMED), by its members, or both: `add("html_403", operation="models")`,
`add(status=429, reason="USER_REQUEST_RATE_EXCEEDED", count=2)`, `add(cut=40, end="reset")`. Over HTTP the same members
stand in a JSON object, the name under `name`.
"""

from __future__ import annotations

import secrets
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from kirogw.twin import frames, replies
from kirogw.twin.ask import text
from kirogw.twin.server import Answer, End, Hangup, Piece, Streamed
from kirogw.twin.state import Incoming
from kirogw.wire import Json, Reply

ENDS: Final = ("clean", "open", "reset")
GROUPS: Final = {"auth": ("refresh", "token", "idp"), "control": ("models", "profiles", "profile", "usage")}


@dataclass
class Fault:
    """The first six members choose the requests, the others say what happens to them.

    A frame is named by its number in the stream, from 0, or by its event type (the first of that type is meant).
    """

    name: str = ""
    operation: str = "generate"  # generate, mcp, models, profiles, profile, usage, refresh, token, idp...; a group; *
    match: str = ""  # text in the request's body
    token: str = ""  # the bearer
    host: str = ""  # part of the host that was meant
    account: str = ""  # by name
    count: int | None = 1  # so many requests; None: all
    after: int = 0  # let so many pass before
    probability: float = 1.0

    status: int = 0  # answer with this instead; the operation is not done
    type: str = ""
    reason: str | None = None
    message: str = "Encountered an unexpected error when processing the request, please try again."
    more: Json = field(default_factory=dict)  # further members of the error's body, such as retryAfterMilliseconds
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # instead of the API's error body
    content_type: str = ""

    hangup: str = ""  # open, reset: no answer at all
    late: bool = False  # hang up after the operation was done: its answer is lost
    slow: float = 0.0  # seconds before the headers
    empty: bool = False  # a stream without any frame
    cut: int | None = None  # after so many bytes of the body
    cut_frame: int | str | None = None  # before this frame
    end: str = "open"  # how a cut body ends: clean, open, reset
    stall: float = 0.0  # seconds before the frame `frame`
    corrupt: str = ""  # a bit of the frame `frame` is wrong: prelude, length, header, payload, message
    exception: Json | None = None  # a modelled failure in place of the frame `frame`; the stream ends with it
    error: Json | None = None  # an unmodelled one
    frame: int | str = 2
    drop: tuple[str, ...] = ()  # event types that are left out
    slice: int = 0  # the body comes in chunks of so many bytes

    played: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        if self.end not in ENDS or self.hangup not in ("", *ENDS[1:]):
            raise ValueError(f"end is one of {', '.join(ENDS)}; hangup open or reset")
        if self.corrupt not in ("", *frames.PLACES):
            raise ValueError(f"corrupt is one of {', '.join(frames.PLACES)}")

    def meets(self, incoming: Incoming, operation: str, account: str) -> bool:
        return (
            self.operation in ("*", operation)
            or operation in GROUPS.get(self.operation, ())
        ) and (
            self.match.encode() in incoming.body
            and self.token in ("", incoming.bearer)
            and self.host in incoming.host
            and self.account in ("", account)
        )  # fmt: skip


MEMBERS: Final = frozenset(member.name for member in fields(Fault)) - {"played", "passed"}


class Faults:
    """The faults that wait to be played, in order; the first that meets a request is played."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.played: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, name: str = "", **members: Any) -> Fault:
        """Raises ValueError for what is no fault. `retryAfterMilliseconds` may stand beside the other members."""
        if name and name not in NAMED:
            raise ValueError(f"no such fault: {name}")
        wait = members.pop("retryAfterMilliseconds", None)
        whole = {**NAMED.get(name, {}), **members, "name": name or text(members.get("reason"))}
        if strange := sorted(set(whole) - MEMBERS):
            raise ValueError(f"a fault has no {', '.join(strange)}; it may have {', '.join(sorted(MEMBERS))}")
        if wait is not None:
            whole["more"] = {**whole.get("more", {}), "retryAfterMilliseconds": wait}
        fault = Fault(**whole)
        with self._lock:
            self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.waiting.clear()
            self.played.clear()

    def take(self, incoming: Incoming, operation: str, account: str) -> Fault | None:
        """The fault for this request, counted."""
        with self._lock:
            for fault in self.waiting:
                if fault.meets(incoming, operation, account) and self._due(fault):
                    fault.played += 1
                    if fault.count is not None and fault.played >= fault.count:
                        self.waiting.remove(fault)
                    if fault.played == 1:
                        self.played.append(fault)
                    return fault
        return None

    def _due(self, fault: Fault) -> bool:
        if fault.passed < fault.after:
            fault.passed += 1
            return False
        return fault.probability >= 1.0 or secrets.randbelow(1_000_000) < fault.probability * 1_000_000


def before(fault: Fault) -> Answer | None:
    """What is answered instead of doing the operation."""
    if fault.hangup and not fault.late:
        return Hangup(fault.hangup)
    if not fault.status:
        return None
    if fault.body is not None:
        kind = {"content-type": fault.content_type or "application/json", **fault.headers}
        return Reply(fault.status, kind, fault.body.encode())
    return replies.fault(fault.status, fault.type or TYPES.get(fault.status, "InternalServerException"), fault.message,
                         fault.reason, fault.more, fault.headers)  # fmt: skip


def after(fault: Fault, answer: Answer) -> Answer:
    """The operation's answer as the fault lets it through."""
    if fault.hangup:
        return Hangup(fault.hangup)
    if isinstance(answer, Reply):
        if fault.cut is None and not fault.slice:
            return answer
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        answer = Streamed(headers, [Piece(answer.body)], answer.status)
    if isinstance(answer, Streamed):
        headers = {**answer.headers, **fault.headers}
        if fault.content_type:
            headers["content-type"] = fault.content_type
        return Streamed(headers, damaged(answer.pieces, fault), answer.status)
    return answer


def damaged(pieces: Iterable[Piece | End], fault: Fault) -> Iterator[Piece | End]:
    """The pieces, each a frame, with all of the fault's effects."""
    if fault.body is not None:
        pieces = [Piece(fault.body.encode())]
    if fault.empty:
        pieces = []
    stream = _on_frames(pieces, fault)
    if fault.cut is not None:
        stream = _cut(stream, fault.cut, fault.end)
    return _sliced(stream, fault.slice) if fault.slice else stream


def _on_frames(pieces: Iterable[Piece | End], fault: Fault) -> Iterator[Piece | End]:
    number, met = 0, False
    for piece in pieces:
        if isinstance(piece, End) or not piece.frames:
            yield piece
            continue
        if any(_is_kind(piece.data, kind) for kind in fault.drop):
            continue
        if _is_frame(piece.data, number, fault.cut_frame):
            yield End(fault.end)
            return
        here = not met and _is_frame(piece.data, number, fault.frame)
        met = met or here
        if here and (failure := _failure(fault)):
            yield Piece(failure, piece.wait)
            return
        if here and fault.corrupt:
            piece = Piece(frames.flip(piece.data, fault.corrupt), piece.wait)
        yield Piece(piece.data, piece.wait + fault.stall) if here else piece
        number += 1


def _is_frame(data: bytes, number: int, wanted: int | str | None) -> bool:
    return wanted is not None and (wanted == number if isinstance(wanted, int) else _is_kind(data, wanted))


def _is_kind(data: bytes, kind: str) -> bool:
    return b":event-type\x07" + struct.pack(">H", len(kind)) + kind.encode() in data


def _failure(fault: Fault) -> bytes:
    if fault.exception is not None:
        body = {name: value for name, value in fault.exception.items() if name != "type"}
        return frames.exception(text(fault.exception.get("type")) or "InternalServerException", body)
    if fault.error is not None:
        return frames.error(text(fault.error.get("code")) or "InternalError", text(fault.error.get("message")))
    return b""


def _cut(pieces: Iterable[Piece | End], limit: int, end: str) -> Iterator[Piece | End]:
    for piece in pieces:
        if isinstance(piece, Piece) and len(piece.data) >= limit:
            yield Piece(piece.data[:limit], piece.wait, int(len(piece.data) == limit))
            yield End(end)
            return
        yield piece
        limit -= len(piece.data) if isinstance(piece, Piece) else 0


def _sliced(pieces: Iterable[Piece | End], size: int) -> Iterator[Piece | End]:
    """Chunks that know nothing of frames; what is left over goes before an end or a wait."""
    kept = b""
    for piece in pieces:
        if kept and (isinstance(piece, End) or piece.wait):
            yield Piece(kept, 0.0, 0)
            kept = b""
        if isinstance(piece, End):
            yield piece
            return
        wait, kept, done = piece.wait, kept + piece.data, piece.frames
        while len(kept) >= size:
            yield Piece(kept[:size], wait, done)
            kept, wait, done = kept[size:], 0.0, 0
    if kept:
        yield Piece(kept, 0.0, 0)


TYPES: Final = {
    400: "ValidationException", 401: "UnauthorizedException", 402: "ServiceQuotaExceededException",
    403: "AccessDeniedException", 404: "ResourceNotFoundException", 409: "ConflictException", 429: "ThrottlingException",
    500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip
BUSY: Final = "Too many requests, please wait before trying again."
LIMIT: Final = "You have reached the limit."
IMPROPER: Final = "Improperly formed request."
HTML: Final = ("<!DOCTYPE HTML><HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR"
               "</H1>Request blocked. Generated by cloudfront (CloudFront)</BODY></HTML>")  # fmt: skip


def _reasons(status: int, message: str, reasons: str) -> dict[str, Json]:
    return {reason: {"status": status, "message": message, "reason": reason} for reason in reasons.split()}


def _said(status: int, message: str, **more: Any) -> Json:
    return {"status": status, "message": message, **more}


NAMED: Final[dict[str, Json]] = {
    # each reason that the service's models know (kiro 5.2)
    **_reasons(403, "User is not authorized to access this feature.", """FEATURE_NOT_SUPPORTED
        UNAUTHORIZED_CUSTOMIZATION_RESOURCE_ACCESS UNAUTHORIZED_WORKSPACE_CONTEXT_FEATURE_ACCESS"""),
    **_reasons(403, "Your User ID is temporarily suspended. We've locked your account as a security precaution.",
               "TEMPORARILY_SUSPENDED"),
    **_reasons(409, "The key can not be used.",
               "CUSTOMER_KMS_KEY_DISABLED CUSTOMER_KMS_KEY_INVALID_KEY_POLICY MISMATCHED_KMS_KEY"),
    **_reasons(500, "The model is temporarily unavailable.", "MODEL_TEMPORARILY_UNAVAILABLE"),
    **_reasons(402, LIMIT, "CONVERSATION_LIMIT_EXCEEDED MONTHLY_REQUEST_COUNT OVERAGE_REQUEST_LIMIT_EXCEEDED"),
    **_reasons(429, BUSY, "DAILY_REQUEST_COUNT HOURLY_REQUEST_COUNT WEEKLY_REQUEST_COUNT USAGE_LIMIT_REACHED "
                          "USER_REQUEST_RATE_EXCEEDED SERVICE_REQUEST_RATE_EXCEEDED"),
    **_reasons(429, "I am experiencing high traffic, please try again shortly.",
               "INSUFFICIENT_MODEL_CAPACITY INSUFFICIENT_THROUGHPUT"),
    "CREDIT_CONSUMPTION_RATE_EXCEEDED": _said(429, BUSY, reason="CREDIT_CONSUMPTION_RATE_EXCEEDED",
                                              more={"retryAfterMilliseconds": 300_000}),
    **_reasons(400, "Input is too long.", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
    **_reasons(400, "Prompt is too long", "PROMPT_TOO_LONG"),
    **_reasons(400, IMPROPER, """INVALID_CONVERSATION_ID INVALID_KMS_GRANT REQUEST_BODY_INVALID TOOL_CONFIG_MISSING
        TOOL_DUPLICATE TOOL_SCHEMA_INVALID TOOL_USE_RESULT_MISMATCH DOCUMENT_COUNT_EXCEEDED DOCUMENT_DUPLICATE_NAME
        DOCUMENT_MAXIMUM_PAGES_EXCEEDED DOCUMENT_MODEL_NOT_SUPPORTED DOCUMENT_PASSWORD_PROTECTED DOCUMENT_SIZE_EXCEEDED
        IMAGE_COUNT_EXCEEDED IMAGE_DIMENSION_EXCEEDED IMAGE_FORMAT_UNSUPPORTED IMAGE_MIME_MISMATCH
        IMAGE_SIZE_EXCEEDED"""),
    **_reasons(400, "The request body is not valid JSON.", "REQUEST_BODY_INVALID_JSON"),
    **_reasons(400, "Invalid model. Please select a different model to continue.", "INVALID_MODEL_ID"),
    **_reasons(400, "Invalid signature in thinking block", "THINKING_SIGNATURE_INVALID"),
    # what is told by words alone, or by a status that lies (kiro 5.1, 5.3)
    "improper": _said(400, IMPROPER),
    "tool_format": _said(400, "Invalid tool use format.", reason="REQUEST_BODY_INVALID"),
    "threshold": _said(400, "Input content length exceeds threshold"),
    "profile_required": _said(400, "profileArn is required for this request."),
    "invalid_profile": _said(400, "Invalid profileArn."),
    "fields_not_supported": _said(400, "additionalModelRequestFields is not supported for this model"),
    "field_undefined": _said(400, "property 'thinking' is not defined in the schema"),
    "bedrock": _said(400, "Bedrock error message: messages.98: `tool_use` ids were found without `tool_result` blocks"),
    "throttling_as_400": _said(400, "I am experiencing high traffic, please try again shortly.",
                               type="ThrottlingException", reason="INSUFFICIENT_MODEL_CAPACITY"),
    "monthly_as_400": _said(400, "Maximum Request reached for this month.", reason="MONTHLY_REQUEST_COUNT"),
    "monthly_as_403": _said(403, "Maximum Request reached for this month.", reason="MONTHLY_REQUEST_COUNT"),
    "monthly_as_429": _said(429, BUSY, reason="MONTHLY_REQUEST_COUNT"),
    "key_dead": _said(401, "The API key is not valid."),
    "quota": _said(402, "Maximum Request reached for this month."),
    "bearer_invalid": _said(403, "The bearer token included in the request is invalid."),
    "token_expired": _said(403, "Token expired"),
    "invalid_token": _said(403, "Invalid token"),
    "not_authorized": _said(403, "User is not authorized to make this call."),
    "subscription": _said(403, "Your subscription does not support this application. "
                               "Please contact your administrator."),
    "suspended": _said(403, "Your User ID (d-9067) temporarily is suspended. We've locked your account as a security "
                            "precaution."),
    "unknown_operation": _said(404, "The requested operation is not recognized by the service.",
                               type="UnknownOperationException"),
    "too_large": _said(413, "", body='{"error":{"code":"validation_error","message":"Failed to buffer the request body: '
                                     'length limit exceeded","param":null,"type":"invalid_request_error"}}'),
    "locked": _said(423, "Your account is locked."),
    "throttled": _said(429, BUSY),
    "retry_after": _said(429, BUSY, reason="USER_REQUEST_RATE_EXCEEDED", headers={"retry-after": "7"}),
    "unexpected": _said(500, "Encountered an unexpected error when processing the request, please try again."),
    "high_load": _said(500, "Encountered unexpectedly high load when processing the request, please try again."),
    "unavailable_as_500": _said(500, "Service unavailable", type="ServiceUnavailableException"),
    "bad_gateway": _said(502, "", body="<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html"),
    "unavailable": _said(503, "Service unavailable"),
    "gateway_timeout": _said(504, "", body="", content_type="text/plain"),
    "html_403": _said(403, "", body=HTML, content_type="text/html"),
    "not_json": _said(400, "", body="Bad Request", content_type="text/plain"),
    # on the way (kiro 4.7)
    "hangup": {"hangup": "open"},
    "reset": {"hangup": "reset"},
    "slow_headers": {"slow": 3.0},
    "json_for_stream": {"body": '{"message":"hello"}', "content_type": "application/json"},
    "html_for_stream": {"body": HTML, "content_type": "text/html"},
    "empty": {"empty": True},
    "no_metadata": {"drop": ("metadataEvent",)},
    "no_end": {"drop": ("metadataEvent", "contextUsageEvent", "meteringEvent")},
    "cut_open": {"cut": 300, "end": "open"},
    "cut_clean": {"cut": 300, "end": "clean"},
    "cut_reset": {"cut": 300, "end": "reset"},
    "ends_early": {"cut_frame": 2, "end": "clean"},
    "stall": {"stall": 3.0},
    "bad_prelude": {"corrupt": "prelude"},
    "bad_length": {"corrupt": "length"},
    "bad_header": {"corrupt": "header"},
    "bad_payload": {"corrupt": "payload"},
    "bad_message": {"corrupt": "message"},
    "exception_frame": {"exception": {"type": "ThrottlingException", "message": BUSY}},
    "length_frame": {"exception": {"type": "ContentLengthExceededException", "message": "Output is too long."}},
    "error_frame": {"error": {"code": "InternalServerException", "message": "The stream broke."}},
    "sliced": {"slice": 7},
    # at the services that issue tokens
    "invalid_grant": {"operation": "auth", **_said(400, "", body='{"error":"invalid_grant","message":"Invalid refresh '
                                                                 'token provided"}')},
    "refresh_unauthorized": {"operation": "auth", **_said(401, "", body='{"message":"Unauthorized"}')},
    "refresh_blocked": {"operation": "auth", **_said(403, "", body=HTML, content_type="text/html")},
    "refresh_busy": {"operation": "auth", **_said(429, "", body='{"message":"Too many requests"}')},
    "refresh_broken": {"operation": "auth", **_said(500, "", body='{"message":"Internal error"}')},
    "refresh_lost": {"operation": "auth", "hangup": "open", "late": True},
}  # fmt: skip

