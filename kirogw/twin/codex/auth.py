"""OpenAI's sign-in service for both doors: pages and codes, tokens, the device flow, refresh and revocation.

PKCE, the state, the redirect URI and the client are minded, since a client that gets them wrong is refused by the real
one. A redemption of a refresh token is decided at once and written into the ledger.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.twin import replies
from kirogw.twin.ask import text
from kirogw.twin.chains import Grant
from kirogw.twin.codex import jwt
from kirogw.twin.codex.accounts import CODEX_CLIENT, OPENAI, Account, Accounts
from kirogw.twin.codex.mishaps import CHALLENGE
from kirogw.twin.state import Incoming, Journal, Redemption, Seen
from kirogw.wire import Json, Reply

DEVICE_CALLBACK: Final = "/deviceauth/callback"
DEVICE_LIFE: Final = 900.0
RESOURCE: Final = f"{OPENAI}/v1"

# outcome of a redemption: the code and the message of the Codex door
DENIED: Final = {
    "unknown": ("refresh_token_invalidated", "Could not validate your refresh token. Please try signing in again."),
    "foreign client": ("invalid_grant", "The refresh token was issued to another client."),
    "reused": ("refresh_token_reused", "Your refresh token has already been used to generate a new access token. "
                                       "Please try signing in again."),
    "superseded": ("refresh_token_reused", "Your refresh token has already been used to generate a new access token. "
                                           "Please try signing in again."),
    "revoked": ("refresh_token_invalidated", "Your refresh token has been revoked. Please try signing in again."),
}  # fmt: skip
PENDING: Final = {
    "pending": replies.plain(403, {"error": {"message": "Device authorization is unknown. Please try again.",
                                             "code": "deviceauth_authorization_unknown"}}),
    "404": replies.plain(404, {"error": {"message": "Not found", "code": None}}),
    "denied": replies.plain(400, {"error": {"message": "The request was denied.", "code": "access_denied"}}),
    "expired": replies.plain(400, {"error": {"message": "The code has expired.", "code": "expired_token"}}),
    "429": replies.plain(429, {"error": {"message": "Too many requests"}}, {"retry-after": "7"}),
    "500": replies.plain(500, {"error": {"message": "Internal error"}}),
    "html": replies.text(403, CHALLENGE, "text/html"),
}  # fmt: skip


@dataclass
class Code:
    """An authorisation that waits to be exchanged, once."""

    challenge: str
    uri: str
    kind: str
    ends: float
    account: Account | None = None  # who signed in, where that is settled already
    nonce: str = ""


@dataclass
class Device:
    """A login that waits for its user. `answer`: "", or what the user did: approved, denied, expired."""

    id: str
    user_code: str
    ends: float
    polls: int = 0
    answer: str = ""


@dataclass
class Auth:
    """`polls`: what the next polls of devices hear, whatever their users did; keys of PENDING, or "approved"."""

    accounts: Accounts
    journal: Journal
    codes: dict[str, Code] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    polls: deque[str] = field(default_factory=deque)
    url: str = ""

    def code(self, asked: Mapping[str, str], kind: str, account: Account | None = None) -> str:
        code = f"ac_{secrets.token_urlsafe(32)}"
        self.codes[code] = Code(asked["code_challenge"], asked["redirect_uri"], kind, time.time() + 300, account,
                                asked.get("nonce", ""))  # fmt: skip
        return code

    # the Codex door

    def token(self, incoming: Incoming, seen: Seen) -> Reply:
        """A form, or JSON for a refresh."""
        asked = _asked(incoming)
        if asked.get("client_id") != CODEX_CLIENT:
            return _error(401, "invalid_client", "The client is not known.")
        if asked.get("grant_type") == "refresh_token":
            return self._refresh(asked, seen)
        if asked.get("grant_type") == "authorization_code" and not _is_json(incoming):
            return self._exchange(asked, "codex", seen)
        return _error(400, "unsupported_grant_type", "The grant type is not supported.")

    def _refresh(self, asked: Mapping[str, str], seen: Seen) -> Reply:
        grant = self._redeem(asked.get("refresh_token", ""), "codex", asked["client_id"], seen)
        if grant.account is None or grant.access is None:
            return self.refused(401, *DENIED[grant.outcome])
        return replies.plain(200, self._told(grant.account, self.accounts.options.refresh_gives))

    def refused(self, status: int, code: str, message: str) -> Reply:
        """In the shape that the options ask for: the code has been met in three places."""
        shapes: dict[str, Json] = {
            "nested": {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}},
            "string": {"error": code, "error_description": message},
            "top": {"code": code, "message": message},
        }
        return replies.plain(status, shapes[self.accounts.options.auth_errors])

    def usercode(self, incoming: Incoming, seen: Seen) -> Reply:
        if not self.accounts.options.device_login:
            return replies.plain(404, {"error": {"message": "Not found"}})
        if incoming.members.get("client_id") != CODEX_CLIENT:
            return _error(400, "invalid_client", "The client is not known.")
        user_code = f"{secrets.token_hex(2)}-{secrets.token_hex(3)}".upper()
        device = Device(f"deviceauth_{secrets.token_hex(16)}", user_code, time.time() + DEVICE_LIFE)
        self.devices[device.id] = device
        interval = self.accounts.options.interval
        return replies.plain(200, {"device_auth_id": device.id, "user_code": user_code, "interval": str(interval),
                                   "expires_at": int(device.ends)})  # fmt: skip

    def device_token(self, incoming: Incoming, seen: Seen) -> Reply:
        """A poll. Gives a code and the verifier that belongs to it: the service made both."""
        device = self.devices.get(text(incoming.members.get("device_auth_id")))
        if device is None or device.user_code != incoming.members.get("user_code"):
            return PENDING["404"]
        if (word := self._poll(device)) != "approved":
            return PENDING.get(word) or replies.plain(int(word), {"error": {"message": "No."}})
        del self.devices[device.id]
        verifier = secrets.token_urlsafe(48)
        challenge = challenge_of(verifier)
        asked = {"code_challenge": challenge, "redirect_uri": self.url + DEVICE_CALLBACK}
        return replies.plain(200, {"authorization_code": self.code(asked, "codex"), "code_challenge": challenge,
                                   "code_verifier": verifier})  # fmt: skip

    def _poll(self, device: Device) -> str:
        device.polls += 1
        if self.polls:
            return self.polls.popleft()
        if device.ends < time.time():
            return "expired"
        if not device.answer and device.polls > self.accounts.options.device_polls:
            device.answer = "approved"
        return device.answer or "pending"

    def revoke(self, incoming: Incoming, seen: Seen) -> Reply:
        """RFC 7009: a token that is not known is no error."""
        asked = _asked(incoming)
        owner = self.accounts.owner(asked.get("token", ""))
        if owner is not None and asked.get("client_id") not in (None, owner.client_id):
            return _error(400, "invalid_client", "The token was issued to another client.")
        seen.account = owner.name if owner else ""
        self.accounts.withdraw(asked.get("token", ""))
        return replies.plain(200, {})

    # Sign in with ChatGPT

    def siwc_token(self, incoming: Incoming, seen: Seen) -> Reply:
        """Form encoded only. `resource` belongs to every grant."""
        if not incoming.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _oauth("invalid_request", "The request must be form encoded")
        asked = incoming.form()
        if asked.get("resource") != RESOURCE:
            return _oauth("invalid_target", "resource is missing or not allowed")
        if asked.get("grant_type") == "authorization_code":
            return self._exchange(asked, "siwc", seen)
        if asked.get("grant_type") != "refresh_token":
            return _oauth("unsupported_grant_type", "The grant type is not supported")
        grant = self._redeem(asked.get("refresh_token", ""), "siwc", asked.get("client_id", ""), seen)
        if grant.account is None or grant.access is None:
            return _oauth("invalid_grant", "The refresh token is invalid, expired or revoked")
        return replies.plain(200, self._told(grant.account, self.accounts.options.refresh_gives))

    def discovery(self, incoming: Incoming, seen: Seen) -> Reply:
        door = f"{self.url}/api/accounts"
        return replies.plain(200, {
            "issuer": self.url, "authorization_endpoint": f"{door}/authorize", "token_endpoint": f"{door}/oauth/token",
            "revocation_endpoint": f"{door}/oauth/revoke", "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
        })  # fmt: skip

    def keys(self, incoming: Incoming, seen: Seen) -> Reply:
        return replies.plain(200, jwt.key_set())

    # shared

    def _exchange(self, asked: Mapping[str, str], kind: str, seen: Seen) -> Reply:
        """A code is used up by the first try, whether that is right or wrong."""
        code = self.codes.pop(asked.get("code", ""), None)
        if code is None or code.kind != kind or code.ends < time.time():
            return _oauth("invalid_grant", "the code is unknown, was used, or has run out")
        if asked.get("redirect_uri") != code.uri:
            return _oauth("invalid_grant", "redirect_uri is not the one of the authorization")
        if challenge_of(asked.get("code_verifier", "")) != code.challenge:
            return _oauth("invalid_grant", "code_verifier does not fit the challenge")
        if code.account and asked.get("client_id") != code.account.client_id:
            return _oauth("invalid_client", "the code was issued to another client")
        account = code.account or self.signed_in(kind)
        seen.account = account.name
        if code.account:
            self.accounts.issue(account, None, code.nonce)
        return replies.plain(200, self._told(account, "id access refresh"))

    def _told(self, account: Account, words: str) -> Json:
        """The newest tokens of the account, those that the words name."""
        options = self.accounts.options
        told: Json = {f"{word}_token": getattr(account, f"{word}_token") for word in words.split()}
        if options.expires_in:
            told |= {"expires_in": int(self.accounts.life(account)), "token_type": "Bearer"}
        return {**told, "scope": account.scope} if options.expires_in or account.kind == "siwc" else told

    def _redeem(self, token: str, kind: str, client: str, seen: Seen) -> Grant[Account]:
        with self.journal.lock:
            grant = self.accounts.redeem(token, kind, client)
            name = grant.account.name if grant.account else ""
            seen.account = name
            self.journal.ledger.append(Redemption(time.time(), name, grant.generation, grant.outcome, seen.number))
        return grant

    def signed_in(self, kind: str, **members: Any) -> Account:
        """The account of whoever signs in: a new one, or the one that the options name, with new tokens."""
        name = self.accounts.options.signs_in
        known = self.accounts.all.get(name)
        if known is None or known.kind != kind:
            return self.accounts.add(kind, "" if known else name, **members)
        self.accounts.issue(known, None)
        return known


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _asked(incoming: Incoming) -> dict[str, str]:
    """The members of a form or of a JSON body."""
    if _is_json(incoming):
        return {name: value for name, value in incoming.members.items() if isinstance(value, str)}
    return incoming.form()


def _is_json(incoming: Incoming) -> bool:
    return incoming.headers.get("content-type", "").startswith("application/json")


def _error(status: int, code: str, message: str) -> Reply:
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return replies.plain(status, {"error": body})


def _oauth(error: str, description: str, status: int = 400) -> Reply:
    return replies.plain(status, {"error": error, "error_description": description})
