"""Faults by name: what ChatGPT's backend and OpenAI's sign-in are known to answer, and what happens on the way.

A name's value holds members of `faults.Fault`; `add` may change any of them. Names that begin with `late_` are told
inside of a 200, in a stream.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from kirogw.twin.faults import ON_THE_WAY
from kirogw.wire import Json

CHALLENGE: Final = ("<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Enable JavaScript and "
                    "cookies to continue<script>window._cf_chl_opt={cvId:'3'}</script></body></html>")  # fmt: skip
BUSY: Final = "Rate limit reached for gpt-5.6-sol on requests per min. Please try again in 1.5s."
OVERLOADED: Final = "Our servers are currently overloaded. Please try again later."
CAPACITY: Final = "Selected model is at capacity. Please try a different model."
UNSUPPORTED: Final = "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."
NEWER: Final = "The 'gpt-6.1-sol' model requires a newer version of Codex. Please upgrade to the latest app or CLI."
TOO_LONG: Final = "Your input exceeds the context window of this model. Please adjust your input and try again."
UNVERIFIED: Final = "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted."
POLICY: Final = "This request has been flagged for possible cybersecurity risk."


def _error(status: int, kind: str, code: str | None, message: str, **more: Any) -> Json:
    return {"status": status, "type": kind, "code": code, "message": message, **more}


def _late(code: str, message: str, frame: int | str = "response.output_text.delta", **more: Any) -> Json:
    return {"exception": {"code": code, "message": message, **more}, "frame": frame}


LIMIT: Final[Json] = {"plan_type": "plus", "resets_in_seconds": 3600, "eligible_promo": None}
REUSED: Final = "Your refresh token has already been used to generate a new access token. Please try signing in again."

NAMED: Final[dict[str, Json]] = {
    # quota
    "usage_limit_reached": _error(429, "usage_limit_reached", None, "The usage limit has been reached", more=LIMIT),
    "usage_not_included": _error(429, "usage_not_included", None, "Codex is not included in your plan.",
                                 more={"plan_type": "free"}),
    "rate_limit_exceeded": _error(429, "rate_limit_error", "rate_limit_exceeded", BUSY),
    "retry_after": _error(429, "rate_limit_error", "rate_limit_exceeded", BUSY, headers={"retry-after": "7"}),
    "capacity": _error(429, "server_error", None, CAPACITY),
    "subscription_limit": _error(429, "usage_limit_reached", "subscription_sharing_usage_limit_exceeded",
                                 "The usage limit of the subscription has been reached."),
    # who calls
    "unauthorized": {"status": 401, "detail": "Unauthorized"},
    "token_expired": _error(401, "invalid_request_error", "token_expired", "Provided authentication token is expired."),
    "token_invalidated": _error(401, "invalid_request_error", "token_invalidated",
                                "Your authentication token has been invalidated. Please try signing in again."),
    "missing_scopes": _error(401, "invalid_request_error", None,
                             "You have insufficient permissions for this operation. Missing scopes: "
                             "api.responses.write."),
    "account_deactivated": _error(401, "invalid_request_error", "account_deactivated",
                                  "Your OpenAI account has been deactivated."),
    "deactivated_workspace": {"status": 402, "detail": {"code": "deactivated_workspace"}},
    "invalid_workspace": {"status": 403, "detail": {"code": "invalid_workspace_selected"}},
    "cloudflare": {"status": 403, "body": CHALLENGE, "content_type": "text/html; charset=UTF-8",
                   "headers": {"cf-mitigated": "challenge", "cf-ray": "99c0ffee-FRA", "server": "cloudflare"}},
    "not_eligible": _error(403, "invalid_request_error", "subscription_sharing_user_not_eligible",
                           "The user may not share this subscription."),
    "route_not_supported": _error(403, "invalid_request_error", "subscription_sharing_route_not_supported",
                                  "This route is not supported."),
    "scope_not_authorized": _error(403, "invalid_request_error", "chatpass_v2_scope_not_authorized",
                                   "The user has not agreed to the use of the plan."),
    "invalid_context": _error(403, "invalid_request_error", "chatpass_v2_invalid_authorization_context",
                              "The authorization can not be used."),
    "invalid_user": _error(401, "invalid_request_error", "subscription_sharing_invalid_user", "The user is not valid."),
    "admission": {"status": 403, "detail": "This application is not admitted at the moment."},
    # the model
    "model_not_supported": {"status": 400, "detail": UNSUPPORTED},
    "newer_version": {"status": 400, "detail": NEWER},
    "model_not_found": _error(404, "invalid_request_error", "model_not_found", "Model not found gpt-5.6-luna"),
    # the request
    "invalid_encrypted_content": _error(400, "invalid_request_error", "invalid_encrypted_content", UNVERIFIED),
    "reasoning_without_item": _error(400, "invalid_request_error", None,
                                     "Item 'rs_1' of type 'reasoning' was provided without its required following "
                                     "item."),
    "context_length_exceeded": _error(400, "invalid_request_error", "context_length_exceeded", TOO_LONG),
    "too_large": {"status": 413, "detail": "Request body is too large"},
    "invalid_image": _error(400, "invalid_request_error", "invalid_value",
                            "The image data you provided does not represent a valid image."),
    "invalid_prompt": _error(400, "invalid_request_error", "invalid_prompt", "Invalid prompt."),
    "cyber_policy": _error(400, "invalid_request_error", "cyber_policy", POLICY),
    "unsupported_parameter": {"status": 400, "detail": "Unsupported parameter: top_p"},
    "unsupported_capability": _error(400, "invalid_request_error", "subscription_sharing_unsupported_capability",
                                     "This capability is not supported.", more={"param": "tools"}),
    # transient
    "overloaded": _error(503, "service_unavailable_error", "server_is_overloaded", OVERLOADED),
    "slow_down": _error(503, "service_unavailable_error", "slow_down", "Please slow down."),
    "usage_unavailable": _error(503, "server_error", "subscription_sharing_usage_unavailable", "Try again later."),
    "server_error": _error(500, "server_error", "server_error", "An error occurred while processing your request."),
    "bad_gateway": {"status": 502, "body": "<html><body><h1>502 Bad Gateway</h1></body></html>",
                    "content_type": "text/html"},
    "unavailable": {"status": 503, "body": "upstream connect error or disconnect/reset before headers",
                    "content_type": "text/plain"},
    "gateway_timeout": {"status": 504, "body": "", "content_type": "text/plain"},
    # the code in places of its own
    "code_in_header": {"status": 401, "body": "", "content_type": "text/plain", "headers": {
        "x-error-json": base64.b64encode(b'{"error":{"code":"token_invalidated"},"status":401}').decode(),
        "x-openai-authorization-error": "token_invalidated"}},
    "code_in_type": {"status": 400, "body": '{"type":"error","status":400,"error":{"type":"invalid_request_error",'
                                            '"code":"context_length_exceeded","message":"Too long."}}'},
    # inside of a 200, before and after the first output
    "first_usage_limit": _late("usage_limit_reached", "The usage limit has been reached", 0, **LIMIT),
    "first_rate_limit": _late("rate_limit_exceeded", BUSY, 0),
    "first_overloaded": _late("server_is_overloaded", OVERLOADED, "response.in_progress"),
    "first_capacity": _late("server_error", CAPACITY, "response.in_progress"),
    "first_context_length": _late("context_length_exceeded", TOO_LONG, "response.in_progress"),
    "first_encrypted_content": _late("invalid_encrypted_content", UNVERIFIED, "response.in_progress"),
    "first_error_event": {"error": {"status": 429, "error": {"type": "usage_limit_reached", "code": None, **LIMIT,
                                                             "message": "The usage limit has been reached"}},
                          "frame": 0},
    "first_flat_error": {"error": {"code": "rate_limit_exceeded", "message": BUSY, "param": None}, "frame": 0},
    "late_subscription_limit": _late("subscription_sharing_usage_limit_exceeded", "The usage limit has been reached.",
                                     type="usage_limit_reached"),
    "late_usage_limit": _late("usage_limit_reached", "The usage limit has been reached", **LIMIT),
    "late_rate_limit": _late("rate_limit_exceeded", BUSY),
    "late_overloaded": _late("server_is_overloaded", OVERLOADED),
    "late_server_error": _late("server_error", "An error occurred while processing your request."),
    "late_policy": _late("cyber_policy", POLICY),
    "late_error_event": {"error": {"code": "server_error", "message": "The stream broke.", "param": None},
                         "frame": "response.output_text.delta"},
    # on the way
    **ON_THE_WAY,
    "html_for_stream": {"body": CHALLENGE, "content_type": "text/html"},
    "no_end": {"drop": ("response.completed", "response.incomplete")},
    "only_handshake": {"cut_frame": "response.output_item.added", "end": "open"},
    "no_handshake": {"drop": ("codex.rate_limits", "response.created", "response.in_progress")},
    "no_deltas": {"drop": ("response.output_text.delta", "response.function_call_arguments.delta")},
    "cut_open": {"cut_frame": "response.output_text.done", "end": "open"},
    "cut_clean": {"cut_frame": "response.output_text.done", "end": "clean"},
    "cut_reset": {"cut_frame": "response.output_text.done", "end": "reset"},
    "cut_bytes": {"cut": 2500, "end": "open"},
    "bad_payload": {"corrupt": "payload", "frame": "response.output_text.delta"},
    # at the sign-in
    "refresh_token_reused": {"operation": "auth",
                             **_error(401, "invalid_request_error", "refresh_token_reused", REUSED)},
    "refresh_token_expired": {"operation": "auth", **_error(401, "invalid_request_error", "refresh_token_expired",
                                                            "Your refresh token has expired. Please sign in again.")},
    "refresh_token_invalidated": {"operation": "auth",
                                  **_error(401, "invalid_request_error", "refresh_token_invalidated",
                                           "Your refresh token has been revoked. Please sign in again.")},
    "invalid_grant": {"operation": "auth", "status": 400,
                      "body": '{"error":"invalid_grant","error_description":"The refresh token is invalid"}'},
    "token_revoked": {"operation": "auth", "status": 400, "body": '{"code":"token_revoked","message":"Revoked"}'},
    "refresh_unauthorized": {"operation": "auth", "status": 401, "body": "{}"},
    "refresh_blocked": {"operation": "auth", "status": 403, "body": CHALLENGE, "content_type": "text/html",
                        "headers": {"cf-mitigated": "challenge"}},
    "refresh_busy": {"operation": "auth", "status": 429, "body": '{"error":{"message":"Too many requests"}}'},
    "refresh_broken": {"operation": "auth", "status": 500, "body": '{"error":{"message":"Internal error"}}'},
    "refresh_not_json": {"operation": "auth", "status": 200, "body": "<html></html>", "content_type": "text/html"},
    "refresh_lost": {"operation": "auth", "hangup": "open", "late": True},
}  # fmt: skip
