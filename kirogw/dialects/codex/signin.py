"""Signing in to ChatGPT: what to send, where to send the user, and what the answers mean. Does no I/O.

Two doors. Sign in with ChatGPT (`siwc`): the page in the browser comes back to any port of this machine, and brings the
client id that it has issued for this installation and workspace; the ID token must be proven, and the plan may be used
only if the answer's scope says so. The Codex client login (`codex`): the page comes back to one of two ports; or a code
that the user types on another machine.

Source: codex 2.1-2.4, 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from kirogw.dialects.codex.login import (
    RESOURCE,
    asked_pause,
    base,
    error_code,
    form_request,
    json_request,
    page_request,
    siwc_token_url,
    text,
    token,
    with_tokens,
)
from kirogw.dialects.credential import Credential
from kirogw.dialects.replied import is_html, json_object
from kirogw.dialects.said import seconds
from kirogw.dialects.signin import (
    CODE,
    NO_ADDRESS,
    NO_CODE,
    NO_STATE,
    PASSING,
    Callback,
    Device,
    NotACallback,
    Outcome,
    Unable,
    challenge,
    parameters,
    same,
    unable,
    words,
)
from kirogw.settings import Settings
from kirogw.wire import Json, Reply, Request

PATH: Final = "/auth/callback"
DEVICE_PATH: Final = "/deviceauth/callback"
GRANT: Final = "chatgpt.tokens.use.direct"  # without it in the answer's scope, the plan may not be used
INTERVAL: Final = 5.0  # seconds between two polls, where the service names none
DEVICE_LIFE: Final = 900.0  # seconds
LONGEST_INTERVAL: Final = 60.0
SHORTEST: Final = 16  # characters of a bare code: what is shorter was typed by mistake
LEEWAY: Final = 60.0  # seconds by which clocks may differ
CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


# the pages


def codex_url(settings: Settings, state: str, verifier: str, port: int) -> str:
    """The Codex client's page."""
    query = {
        "response_type": "code", "client_id": settings.codex_client_id, "redirect_uri": codex_uri(port),
        "scope": settings.codex_scope, "code_challenge": challenge(verifier), "code_challenge_method": "S256",
        "state": state, "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true",
        "originator": settings.codex_originator,
    }  # fmt: skip
    return f"{base(settings)}/oauth/authorize?{urlencode(query)}"


def codex_uri(port: int) -> str:
    """Where it comes back to: by this name, though only the address 127.0.0.1 listens."""
    return f"http://localhost:{port}{PATH}"


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a login that is to be renewed by signing in again: its client, its `sub`, its mail address."""

    client: str = ""
    sub: str = ""
    email: str = ""


def siwc_url(settings: Settings, state: str, nonce: str, verifier: str, port: int, host: str,
             before: Before = Before()) -> str:  # fmt: skip
    """The page of Sign in with ChatGPT. `host`: the URN of this installation."""
    query = {
        "response_type": "code", "client_id": before.client or settings.siwc_client_id, "redirect_uri": siwc_uri(port),
        "scope": settings.siwc_scope, "resource": RESOURCE, "code_challenge": challenge(verifier),
        "code_challenge_method": "S256", "state": state, "nonce": nonce, "ext_agent_host_id": host,
    }  # fmt: skip
    query |= {} if before.client else {"agent_name_hint": settings.codex_originator}
    query |= {"login_hint": before.email} if before.email else {}
    return f"{base(settings)}/api/accounts/authorize?{urlencode(query)}"


def siwc_uri(port: int) -> str:
    """Where it comes back to: by this address, any port."""
    return f"http://127.0.0.1:{port}{PATH}"


# coming back


def read_callback(said: str) -> Callback:
    """The address that the browser ended at, as it asked for it (path and query, with its state), or as somebody pasted
    it: whole, only the query, `code#state`, or the bare code. Raises NotACallback.
    """
    line = said.strip().strip("\"'<>")
    if not re.search(r"(^|[?&])(code|error|state)=", line):
        return _bare(line)
    query = parameters(_query(line))
    state = query.get("state", "")
    if not state and line.startswith("/"):
        raise NotACallback(NO_STATE)
    if error := query.get("error"):
        return Callback(state, error=words(error))
    client = query.get("client_id", "")
    if client and not CLIENT.fullmatch(client):
        raise NotACallback("the address names a client that can not be one; start the login again")
    return Callback(state, code=_code(query.get("code", "")), client=client)


def _query(line: str) -> str:
    try:
        return urlsplit(line).query if "?" in line else line.partition("#")[0]
    except ValueError:
        raise NotACallback(NO_ADDRESS) from None


def _bare(line: str) -> Callback:
    """`code#state`, or the code alone."""
    code, _, state = line.partition("#")
    if len(code) < SHORTEST or "/" in code or ":" in code or any(letter.isspace() for letter in line):
        raise NotACallback("that is neither an address nor a code; paste the whole address that the browser ended at")
    return Callback(state, code=_code(code))


def _code(code: str) -> str:
    if not 0 < len(code) <= CODE or not code.isprintable():
        raise NotACallback(NO_CODE)
    return code


# exchanging


def codex_exchange(settings: Settings, code: str, verifier: str, uri: str) -> Request:
    """`uri`: the one of the page, to the letter."""
    return form_request(settings, f"{base(settings)}/oauth/token", {
        "grant_type": "authorization_code", "client_id": settings.codex_client_id, "code": code,
        "code_verifier": verifier, "redirect_uri": uri,
    })  # fmt: skip


def siwc_exchange(settings: Settings, client: str, code: str, verifier: str, uri: str) -> Request:
    """As the client that was issued, never as the dynamic one."""
    return form_request(settings, siwc_token_url(settings), {
        "grant_type": "authorization_code", "client_id": client, "code": code, "code_verifier": verifier,
        "redirect_uri": uri, "resource": RESOURCE,
    })  # fmt: skip


def codex_credential(reply: Reply, now: float) -> Credential | Unable:
    body = json_object(reply.body)
    if reply.status != 200 or not token(body, "access_token"):
        return _unable(reply, body)
    return with_tokens(Credential("codex"), body, now)


def siwc_credential(client: str, reply: Reply, now: float) -> Credential | Unable:
    """What the exchange brought; its ID token is still to be proven (`wrong_claims`)."""
    body = json_object(reply.body)
    if reply.status != 200 or not token(body, "access_token"):
        return _unable(reply, body)
    if GRANT not in text(body, "scope").split():
        return Unable("failed", "ChatGPT signed you in, but did not grant the use of the plan; start the login again"
                      " and agree to it, or ask whoever administers the workspace")  # fmt: skip
    if not text(body, "id_token"):
        return Unable("failed", "the answer holds no ID token, so nobody knows whose login it is")
    return with_tokens(Credential("siwc", client_id=client), body, now)


# proving who it is


@dataclass(frozen=True, slots=True)
class Service:
    """What the sign-in service says of itself. All of it is of the origin that the settings name."""

    issuer: str
    keys: str
    revocation: str


def service_request(settings: Settings) -> Request:
    return page_request(settings, f"{base(settings)}/.well-known/openid-configuration")


def read_service(settings: Settings, reply: Reply) -> Service | Unable:
    """What it leaves out, or names elsewhere, is where it is known to be."""
    if reply.status in PASSING or reply.status >= 500:
        return _unable(reply, json_object(reply.body))
    body, home = json_object(reply.body) if reply.status == 200 else {}, base(settings)

    def named(name: str, default: str) -> str:
        url = text(body, name)
        return url if _origin(url) == _origin(home) != "" else f"{home}{default}"

    return Service(named("issuer", "").rstrip("/"), named("jwks_uri", "/.well-known/jwks.json"),
                   named("revocation_endpoint", "/oauth/revoke"))  # fmt: skip


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}" if parts.hostname else ""
    except ValueError:
        return ""


def keys_request(settings: Settings, service: Service) -> Request:
    return page_request(settings, service.keys)


def read_keys(reply: Reply) -> list[Json] | Unable:
    body = json_object(reply.body)
    keys = body.get("keys")
    if reply.status != 200 or not isinstance(keys, list):
        return _unable(reply, body)
    return [key for key in keys if isinstance(key, dict)]


def wrong_claims(claims: Mapping[str, Any], issuer: str, client: str, nonce: str, now: float, sub: str = "") -> str:
    """Why an ID token whose signature is good does not prove this login, "" when it does. `sub`: whose it must be, ""
    for anybody's.
    """
    audience, ends, whose = claims.get("aud"), claims.get("exp"), text(claims, "sub")
    named = audience if isinstance(audience, list) else [audience]
    if text(claims, "iss").rstrip("/") != issuer:
        return "another service made it"
    if client not in named or (len(named) > 1 and claims.get("azp") != client):
        return "it was made for another program"
    if not isinstance(ends, int | float) or isinstance(ends, bool) or now > ends + LEEWAY:
        return "it has run out; is the clock of this machine right?"
    if not same(text(claims, "nonce"), nonce):
        return "it belongs to another login"
    if not whose:
        return "it does not say whose it is"
    return "somebody else has signed in" if sub and whose != sub else ""


# signing out


def revoke_request(settings: Settings, service: Service, credential: Credential) -> Request:
    return form_request(settings, service.revocation, {
        "token": credential.refresh, "token_type_hint": "refresh_token", "client_id": credential.client_id,
    })  # fmt: skip


# by a code


def device_request(settings: Settings) -> Request:
    return json_request(settings, f"{base(settings)}/api/accounts/deviceauth/usercode",
                        {"client_id": settings.codex_client_id})  # fmt: skip


def read_device(settings: Settings, reply: Reply) -> Device | Unable:
    body = json_object(reply.body)
    if reply.status == 404:
        return Unable("failed", "this account or organisation has the sign-in by a code switched off; it can be"
                      " switched on in ChatGPT's security settings, or take the way by the browser")  # fmt: skip
    code, shown = text(body, "device_auth_id"), text(body, "user_code") or text(body, "usercode")
    if not 200 <= reply.status < 300 or not code:
        return _unable(reply, body)
    if not (shown and shown.isprintable() and len(shown) < 64):
        return Unable("failed", "the service named no code that can be shown")
    page = f"{base(settings)}/codex/device"
    return Device(code, shown, page, page, _interval(body.get("interval")), DEVICE_LIFE)


def _interval(value: Any) -> float:
    """Seconds, as a number or as text."""
    interval = seconds(value) or 0.0
    return min(interval, LONGEST_INTERVAL) if interval >= 1 else INTERVAL


def poll_request(settings: Settings, device: str, code: str) -> Request:
    return json_request(settings, f"{base(settings)}/api/accounts/deviceauth/token",
                        {"device_auth_id": device, "user_code": code})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreed:
    """The user has agreed: what is to be exchanged, with the verifier that the service made itself."""

    code: str
    verifier: str


def read_poll(reply: Reply) -> Agreed | Unable:
    body = json_object(reply.body)
    code, verifier = text(body, "authorization_code"), text(body, "code_verifier")
    if 200 <= reply.status < 300 and code and verifier:
        return Agreed(code, verifier)
    if reply.status in (403, 404) and not is_html(reply) and error_code(body) not in TOLD:
        return Unable(*CODES["authorization_pending"], asked_pause(reply))
    return _unable(reply, body)


def device_uri(settings: Settings) -> str:
    return f"{base(settings)}{DEVICE_PATH}"


# why not

CODES: Final[Mapping[str, tuple[Outcome, str]]] = {
    "authorization_pending": ("pending", "the sign-in page still waits for its user"),
    "slow_down": ("slower", "the service wants to be asked less often"),
    "expired_token": ("expired", "the code ran out before anybody approved it; start the login again"),
    "access_denied": ("denied", "the login was refused on the sign-in page"),
    "invalid_grant": ("failed", "the service does not know this code, or it was used already; start the login again"),
    "invalid_client": ("failed", "the service does not know the client"),
    "unauthorized_client": ("failed", "the service does not take the client"),
    "invalid_scope": ("failed", "the service does not grant what a ChatGPT login needs"),
    "invalid_request": ("failed", "the service did not take the request; start the login again"),
    "invalid_target": ("failed", "the service does not grant the use of the API"),
    "account_deactivated": ("failed", "the account is deactivated"),
    "deactivated_workspace": ("failed", "the workspace is deactivated; sign in and choose another"),
    "rate_limit_exceeded": ("later", "the service is asked too often"),
    "server_error": ("later", "the service failed"), "temporarily_unavailable": ("later", "the service failed"),
}  # fmt: skip
TOLD: Final = frozenset({"expired_token", "access_denied", "invalid_grant", "account_deactivated", "slow_down"})
"""By these a poll that is refused means something else than that the user has not decided."""


def _unable(reply: Reply, body: Json) -> Unable:
    return unable(reply, error_code(body), CODES, asked_pause(reply))
