"""Errors of /api/, all in one shape: what kind, what happened and what to do, and which field is meant."""

from __future__ import annotations

import math
from typing import Final

import orjson
from flask import Response

from kirogw.errors import (
    BadRequest,
    BodyTooLarge,
    Busy,
    Forbidden,
    GatewayError,
    NeedsLogin,
    NotAllowed,
    NotFound,
    QuotaUsed,
    UpstreamFailed,
    WrongKey,
    WrongMethod,
)
from kirogw.wire import Json


class NotJson(BadRequest):
    """No page of another site can send this content type without asking first, and so none can do anything here."""

    status = 415


class InTheWay(GatewayError):
    """It can not be done as things are."""

    status = 409


class StoreDown(GatewayError):
    status = 503


KINDS: Final[dict[type[GatewayError], tuple[str, int]]] = {
    NotJson: ("not_json", 415),
    BadRequest: ("invalid_request", 400),
    WrongKey: ("wrong_key", 401),
    NotAllowed: ("not_allowed", 403),
    Forbidden: ("forbidden", 403),
    NotFound: ("not_found", 404),
    WrongMethod: ("wrong_method", 405),
    InTheWay: ("conflict", 409),
    NeedsLogin: ("needs_login", 409),  # an account's; 401 is about the caller's own key
    BodyTooLarge: ("too_large", 413),
    Busy: ("rate_limited", 429),
    QuotaUsed: ("quota_used", 429),
    UpstreamFailed: ("upstream_failed", 502),
    StoreDown: ("store_failed", 503),
    GatewayError: ("internal", 500),
}


def reply(error: GatewayError, request_id: str) -> Response:
    kind, status = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    body: Json = {"type": kind, "message": str(error), "request_id": request_id}
    if error.param:
        body["field"] = error.param
    headers = {}
    if error.wait is not None:
        body["retry_after"] = max(1, math.ceil(error.wait))
        headers["Retry-After"] = str(body["retry_after"])
    return Response(orjson.dumps({"error": body}), status, headers, mimetype="application/json")
