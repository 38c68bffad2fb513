"""OpenAI's sign-in service for both doors: pages and codes, tokens, the device flow, refresh and revocation.

PKCE, the state, the redirect URI and the client are minded, since a client that gets them wrong is refused by the real
one. A redemption of a refresh token is decided at once and written into the ledger.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kirogw.twin import codes, replies
from kirogw.twin.ask import text
from kirogw.twin.codex import jwt
from kirogw.twin.codex.accounts import CODEX_CLIENT, OPENAI, Account, Accounts
from kirogw.twin.codex.mishaps import CHALLENGE, REUSED
from kirogw.twin.codex.state import Options
from kirogw.twin.issuer import Device, Issuer
from kirogw.twin.state import Incoming, Journal, Seen
from kirogw.wire import Json, Reply

DEVICE_CALLBACK: Final = "/deviceauth/callback"
DEVICE_LIFE: Final = 900.0
RESOURCE: Final = f"{OPENAI}/v1"

# outcome of a redemption: the code and the message of the Codex door
DENIED: Final = {
    "unknown": ("refresh_token_invalidated", "Could not validate your refresh token. Please try signing in again."),
    "foreign client": ("invalid_grant", "The refresh token was issued to another client."),
    "reused": ("refresh_token_reused", REUSED),
    "superseded": ("refresh_token_reused", REUSED),
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


@dataclass(frozen=True)
class SignIn:
    """What a code stands for. `account`: who signed in, where that is settled already."""

    kind: str
    account: Account | None = None
    nonce: str = ""


class Auth(Issuer[Account, Device]):
    """`polls` are keys of PENDING, or other statuses."""

    accounts: Accounts
    options: Options

    def __init__(self, accounts: Accounts, journal: Journal) -> None:
        super().__init__(accounts, journal)
        self.codes: codes.Codes[SignIn] = codes.Codes()

    # the Codex door

    def token(self, incoming: Incoming, seen: Seen) -> Reply:
        """A form, or JSON for a refresh."""
        asked = _asked(incoming)
        if asked.get("client_id") != CODEX_CLIENT:
            return _error(401, "invalid_client", "The client is not known.")
        if asked.get("grant_type") == "refresh_token":
            return self._refresh(asked, seen)
        if asked.get("grant_type") == "authorization_code" and not incoming.is_json:
            return self._exchange(asked, "codex", seen)
        return _error(400, "unsupported_grant_type", "The grant type is not supported.")

    def _refresh(self, asked: Mapping[str, str], seen: Seen) -> Reply:
        grant = self.redeem(seen, asked.get("refresh_token", ""), ("codex",), asked["client_id"])
        if grant.account is None or grant.access is None:
            return self._refused(401, *DENIED[grant.outcome])
        return replies.plain(200, self._told(grant.account, self.options.refresh_gives))

    def _refused(self, status: int, code: str, message: str) -> Reply:
        """In the shape that the options ask for: the code has been met in three places."""
        shapes: dict[str, Json] = {
            "nested": {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}},
            "string": {"error": code, "error_description": message},
            "top": {"code": code, "message": message},
        }
        return replies.plain(status, shapes[self.options.auth_errors])

    def usercode(self, incoming: Incoming, seen: Seen) -> Reply:
        if not self.options.device_login:
            return replies.plain(404, {"error": {"message": "Not found"}})
        if incoming.members.get("client_id") != CODEX_CLIENT:
            return _error(400, "invalid_client", "The client is not known.")
        user_code = f"{secrets.token_hex(2)}-{secrets.token_hex(3)}".upper()
        device = Device(f"deviceauth_{secrets.token_hex(16)}", user_code, time.time() + DEVICE_LIFE)
        self.devices[device.code] = device
        return replies.plain(200, {"device_auth_id": device.code, "user_code": user_code,
                                   "interval": str(self.options.interval), "expires_at": int(device.ends)})  # fmt: skip

    def device_token(self, incoming: Incoming, seen: Seen) -> Reply:
        """A poll. Gives a code and the verifier that belongs to it: the service made both."""
        device = self.devices.get(text(incoming.members.get("device_auth_id")))
        if device is None or device.user_code != incoming.members.get("user_code"):
            return PENDING["404"]
        if (word := self.polled(device)) != "approved":
            return PENDING.get(word) or replies.plain(int(word), {"error": {"message": "No."}})
        del self.devices[device.code]
        verifier = secrets.token_urlsafe(48)
        challenge = codes.challenge_of(verifier)
        code = self.codes.new({"code_challenge": challenge}, SignIn("codex"), self.url + DEVICE_CALLBACK)
        return replies.plain(200, {"authorization_code": code, "code_challenge": challenge, "code_verifier": verifier})

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
        if not incoming.is_form:
            return replies.oauth("invalid_request", "The request must be form encoded")
        asked = incoming.form()
        if asked.get("resource") != RESOURCE:
            return replies.oauth("invalid_target", "resource is missing or not allowed")
        if asked.get("grant_type") == "authorization_code":
            return self._exchange(asked, "siwc", seen)
        if asked.get("grant_type") != "refresh_token":
            return replies.oauth("unsupported_grant_type", "The grant type is not supported")
        grant = self.redeem(seen, asked.get("refresh_token", ""), ("siwc",), asked.get("client_id", ""))
        if grant.account is None or grant.access is None:
            return replies.oauth("invalid_grant", "The refresh token is invalid, expired or revoked")
        return replies.plain(200, self._told(grant.account, self.options.refresh_gives))

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
        signed, wrong = self.codes.spend(asked)
        if signed is None or signed.kind != kind:
            return replies.oauth("invalid_grant", wrong or "the code is for another door")
        if signed.account and asked.get("client_id") != signed.account.client_id:
            return replies.oauth("invalid_client", "the code was issued to another client")
        account = signed.account or self.accounts.signed_in(kind)
        seen.account = account.name
        if signed.account:
            self.accounts.issue(account, None, signed.nonce)
        return replies.plain(200, self._told(account, "id access refresh"))

    def _told(self, account: Account, words: str) -> Json:
        """The newest tokens of the account, those that the words name."""
        told: Json = {f"{word}_token": getattr(account, f"{word}_token") for word in words.split()}
        if self.options.expires_in:
            told |= {"expires_in": int(self.accounts.life(account)), "token_type": "Bearer"}
        return {**told, "scope": account.scope} if self.options.expires_in or account.kind == "siwc" else told


def _asked(incoming: Incoming) -> dict[str, str]:
    """The members of a form or of a JSON body."""
    if incoming.is_json:
        return {name: value for name, value in incoming.members.items() if isinstance(value, str)}
    return incoming.form()


def _error(status: int, code: str, message: str) -> Reply:
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return replies.plain(status, {"error": body})
