"""Renewing a ChatGPT login, by either door: what to send, and what the answer means. Does no I/O.

A refresh token works once; the answer may leave out any of the three tokens, and what it leaves out stays as it was.
When the access token ends it says itself (`exp`); the ID token ends within an hour and tells nothing about that.

Source: codex 2.5-2.7, 3.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from kirogw import __version__
from kirogw.dialects.codex.claims import claims, ends, fits_header, with_owner
from kirogw.dialects.credential import Credential, moment
from kirogw.dialects.provider import Cause, Login, Refusal
from kirogw.dialects.renewal import ALONE, must_be_renewable, refusal
from kirogw.dialects.replied import json_object, text_of
from kirogw.dialects.said import seconds
from kirogw.errors import NeedsLogin
from kirogw.settings import Settings
from kirogw.wire import Json, Reply, Request

RESOURCE: Final = "https://api.openai.com/v1"  # what a login by Sign in with ChatGPT is for, wherever it is sent
LONGEST_LIFE: Final = 366 * 86400.0  # seconds
LONGEST_CODE: Final = 80  # characters of an error code that are repeated


# What to send


def refresh_requests(credential: Credential, settings: Settings) -> tuple[Request, ...]:
    """The one request that may renew it. Raises NeedsLogin when there is none."""
    must_be_renewable(credential)
    if credential.kind == "siwc":
        return (_siwc(credential, settings),)
    body = {
        "client_id": credential.client_id or settings.codex_client_id, "grant_type": "refresh_token",
        "refresh_token": credential.refresh,
    }  # fmt: skip
    return (json_request(settings, f"{base(settings)}/oauth/token", body),)


def _siwc(credential: Credential, settings: Settings) -> Request:
    if not credential.client_id:
        raise NeedsLogin("the login has lost the client that it was made for, without which it can not be renewed")
    return form_request(settings, siwc_token_url(settings), {
        "grant_type": "refresh_token", "client_id": credential.client_id, "refresh_token": credential.refresh,
        "resource": RESOURCE,
    })  # fmt: skip


def base(settings: Settings) -> str:
    return settings.codex_auth_url.rstrip("/")


def siwc_token_url(settings: Settings) -> str:
    return f"{base(settings)}/api/accounts/oauth/token"


def json_request(settings: Settings, url: str, body: Mapping[str, Any]) -> Request:
    headers = {"Content-Type": "application/json", **_headers(settings)}
    return Request("POST", url, headers, json.dumps(body, separators=(",", ":")).encode())


def form_request(settings: Settings, url: str, form: Mapping[str, str]) -> Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded", **_headers(settings)}
    return Request("POST", url, headers, urlencode(form).encode())


def page_request(settings: Settings, url: str) -> Request:
    """For what is public: the service's description of itself, and its keys."""
    return Request("GET", url, _headers(settings))


def _headers(settings: Settings) -> dict[str, str]:
    """We say who we are."""
    return {"Accept": "application/json", "User-Agent": agent(settings), **ALONE}


def agent(settings: Settings) -> str:
    return settings.codex_user_agent.replace("{gateway}", __version__)


# What came back


def read_refresh(credential: Credential, reply: Reply, now: float) -> Credential | Refusal:
    """The renewed login, or why there is none. An answer that brings only another refresh token is kept, too: the old
    one is spent by then.
    """
    body = json_object(reply.body)
    if reply.status == 200 and any(token(body, name) for name in TOKENS):
        return with_tokens(credential, body, now)
    return _refusal(reply, body)


TOKENS: Final = ("access_token", "refresh_token", "id_token")


def with_tokens(credential: Credential, body: Json, now: float) -> Credential:
    access = token(body, "access_token")
    renewed = replace(
        credential, access=access or credential.access, refresh=token(body, "refresh_token") or credential.refresh,
        id_token=token(body, "id_token") or credential.id_token,
    )  # fmt: skip
    if access:
        renewed = replace(renewed, issued_at=now, expires_at=_end(access, body, now))
    return with_owner(renewed)


def _end(access: str, body: Json, now: float) -> float | None:
    """When a token ends that has just been made: as it says itself, else as the answer does. One that should have ended
    already shows that our clock is wrong; then only the span counts.
    """
    ends_at, begun = ends(access), moment(claims(access).get("iat"))
    span = ends_at - begun if ends_at and begun and ends_at > begun else life_of(body.get("expires_in"))
    if ends_at and (ends_at > now or not span):
        return ends_at
    return now + span if span else None


def life_of(value: Any) -> float | None:
    """Seconds."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return life if math.isfinite(life) and 0 < life < LONGEST_LIFE else None


CAUSES: Final[Mapping[str, tuple[Cause, str]]] = {
    "refresh_token_expired": ("dead", "it has not been used for too long"),
    "refresh_token_reused": ("dead", "somebody else has used it already"),
    "refresh_token_invalidated": ("dead", "it was withdrawn"),
    "refresh_token_invalid": ("dead", "it is not known"),
    "invalid_grant": ("dead", "it was withdrawn or is not known"),
    "token_revoked": ("dead", "it was withdrawn"),
    "token_invalidated": ("dead", "the session was ended"),
    "token_expired": ("dead", "it has run out"),
    "access_denied": ("dead", "the service refuses this login"),
    "invalid_client": ("client", "the service does not know the client"),
    "unauthorized_client": ("client", "the service does not take the client"),
    "app_session_terminated": ("dead", "the session was ended"),
    "account_deactivated": ("dead", "the account is deactivated"),
    "account_disabled": ("dead", "the account is disabled"),
    "account_suspended": ("dead", "the account is suspended"),
    "account_banned": ("dead", "the account is banned"),
    "account_terminated": ("dead", "the account is closed"),
    "user_deactivated": ("dead", "the account is deactivated"),
    "user_disabled": ("dead", "the account is disabled"),
    "deactivated_workspace": ("dead", "the workspace is deactivated"),
    "organization_deactivated": ("dead", "the organisation is deactivated"),
    "org_deactivated": ("dead", "the organisation is deactivated"),
    "slow_down": ("later", ""), "rate_limit_exceeded": ("later", ""), "temporarily_unavailable": ("later", ""),
    "server_error": ("later", ""),
}  # fmt: skip


def _refusal(reply: Reply, body: Json) -> Refusal:
    """The code counts before the status."""
    if reply.status == 200:
        return Refusal("later", "HTTP 200, an answer without tokens")
    code = error_code(body)
    known, why = CAUSES.get(code, (None, ""))
    return refusal(reply, known, ": ".join(filter(None, (code, why))), asked_pause(reply))


def error_code(body: Json) -> str:
    """`error.code`, `error` as text, `code`, `detail.code`: all of them were met. "" when it is not said."""
    for holder in (body.get("error"), body, body.get("detail")):
        if isinstance(holder, str) and holder:
            return _code(holder)
        if isinstance(holder, dict):
            names = ("code",) if holder is body else ("code", "type")
            if code := next(filter(None, (text(holder, name) for name in names)), ""):
                return _code(code)
    return ""


def _code(said: str) -> str:
    """What looks like a code: the rest could be anything."""
    return said.lower() if len(said) <= LONGEST_CODE and said.replace("_", "").replace("-", "").isalnum() else ""


def asked_pause(reply: Reply) -> float | None:
    """Seconds, from the header."""
    return seconds(reply.headers.get("retry-after"))


def text(members: Mapping[str, Any], name: str) -> str:
    return text_of(members.get(name)).strip()


def token(members: Mapping[str, Any], name: str) -> str:
    """As a header can hold it; "" for what can be none."""
    value = text(members, name)
    return value if fits_header(value) else ""


# What a call may know


def login(credential: Credential, machine: str) -> Login:
    return Login(credential.kind, credential.access, machine=machine, workspace=credential.workspace)
