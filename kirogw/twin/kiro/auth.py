"""The services that issue tokens: Kiro's own (social), AWS SSO OIDC, an external IdP. They keep the ledger."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.twin import replies
from kirogw.twin.ask import text
from kirogw.twin.chains import Grant
from kirogw.twin.kiro.accounts import CLIENT_LIFE, Account, Accounts
from kirogw.twin.kiro.identity import region_of
from kirogw.twin.state import Incoming, Journal, Redemption, Seen
from kirogw.wire import Json, Reply

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_LIFE: Final = 600
BUILDER_START: Final = "https://view.awsapps.com/start"


POLLS: Final = {"pending": "authorization_pending", "denied": "access_denied", "expired": "expired_token"}
STRANGE: Final = {
    "429": replies.plain(429, {"message": "Too many requests"}, {"retry-after": "7"}),
    "500": replies.plain(500, {"message": "Internal error"}), "503": replies.plain(503, {"message": "Unavailable"}),
    "html": replies.text(403, "<html><body><h1>403 ERROR</h1>Request blocked.</body></html>", "text/html"),
    "empty": replies.plain(200, {}), "400": replies.text(400, "Bad Request"),
}  # fmt: skip


@dataclass
class Device:
    """A login that waits for its user. `answer`: "", or what the user did: approved, denied, expired."""

    code: str
    user_code: str
    kind: str
    region: str
    client_id: str = ""
    client_secret: str = ""
    start_url: str = ""
    provider: str = ""  # of a social login
    polls: int = 0
    answer: str = ""


@dataclass
class Auth:
    """All three services. `polls`: what the next polls of devices hear, whatever their users did; keys of POLLS, or the
    name of an AWS exception, or a status. `url`: where the pages are on which a user approves.
    """

    accounts: Accounts
    journal: Journal
    devices: dict[str, Device] = field(default_factory=dict)
    polls: deque[str] = field(default_factory=deque)
    url: str = ""

    # Kiro's own service

    def refresh(self, incoming: Incoming, seen: Seen) -> Reply:
        """Social refresh, JSON with camelCase."""
        token = incoming.members.get("refreshToken")
        if not isinstance(token, str) or not _is_json(incoming):
            return replies.plain(400, {"message": "Bad Request"})
        grant = self._redeem(token, ("social",), "", seen)
        if grant.outcome == "revoked":
            return replies.plain(401, {"message": "Unauthorized"})
        if grant.access is None or grant.account is None:
            return replies.plain(400, {"error": "invalid_grant", "message": "Invalid refresh token provided"})
        return replies.plain(200, {**_camel(grant, self.accounts), "profileArn": grant.account.profile_arn})

    def social_device(self, incoming: Incoming, seen: Seen) -> Reply:
        if incoming.members.get("loginProvider") not in ("Google", "Github"):
            return replies.plain(400, {"message": "Bad Request"})
        device = self._new_device("social", "us-east-1")
        device.provider = incoming.members["loginProvider"]
        page = f"{self.url}/device"
        return replies.plain(200, {
            "deviceCode": device.code, "userCode": device.user_code, "verificationUri": page,
            "verificationUriComplete": f"{page}?user_code={device.user_code}",
            "intervalInMilliseconds": 1000 * self.accounts.options.interval, "expiresInMilliseconds": 300_000,
        })  # fmt: skip

    def social_poll(self, incoming: Incoming, seen: Seen) -> Reply:
        device = self.devices.get(text(incoming.members.get("deviceCode")))
        if device is None or device.kind != "social":
            return replies.plain(400, {"error": "invalid_grant"})
        if error := self._pending(device):
            return error if isinstance(error, Reply) else replies.plain(200, {"status": error})
        account = self.signed_in("social")
        account.provider = device.provider
        return replies.plain(200, {
            "accessToken": account.access_token, "refreshToken": account.refresh_token,
            "profileArn": account.profile_arn, "identityProvider": device.provider,
        })  # fmt: skip

    # AWS SSO OIDC

    def register(self, incoming: Incoming, seen: Seen) -> Reply:
        asked = incoming.members
        if not asked.get("clientName") or asked.get("clientType") != "public":
            return _oauth("invalid_request", "clientName and clientType are required")
        client = self.accounts.register(region_of(incoming.host) or "us-east-1")
        issued = int(client.expires - CLIENT_LIFE)
        return replies.plain(200, {
            "clientId": client.id, "clientSecret": client.secret, "clientIdIssuedAt": issued,
            "clientSecretExpiresAt": int(client.expires), "authorizationEndpoint": None, "tokenEndpoint": None,
        })  # fmt: skip

    def device(self, incoming: Incoming, seen: Seen) -> Reply:
        asked = incoming.members
        client = self.accounts.client(text(asked.get("clientId")), text(asked.get("clientSecret")))
        if client is None:
            return _oauth("invalid_client", "Invalid client provided", 401)
        if not asked.get("startUrl"):
            return _oauth("invalid_request", "startUrl is required")
        kind = "builder" if asked["startUrl"] == BUILDER_START else "idc"
        device = self._new_device(kind, client.region)
        device.client_id, device.client_secret, device.start_url = client.id, client.secret, asked["startUrl"]
        page = f"{self.url}/device"
        return replies.plain(200, {
            "deviceCode": device.code, "userCode": device.user_code, "verificationUri": page,
            "verificationUriComplete": f"{page}?user_code={device.user_code}", "expiresIn": DEVICE_LIFE,
            "interval": self.accounts.options.interval,
        })  # fmt: skip

    def token(self, incoming: Incoming, seen: Seen) -> Reply:
        """JSON with camelCase keys, never a form."""
        asked = incoming.members
        if not asked or not _is_json(incoming):
            return _oauth("invalid_request", "The request is not valid JSON")
        if self.accounts.client(text(asked.get("clientId")), text(asked.get("clientSecret"))) is None:
            return _oauth("invalid_client", "Invalid client provided", 401)
        if asked.get("grantType") == DEVICE_GRANT:
            return self._device_token(asked)
        if asked.get("grantType") != "refresh_token":
            return _oauth("unsupported_grant_type", "Grant type not supported")
        return self._oidc_refresh(asked, region_of(incoming.host), seen)

    def _oidc_refresh(self, asked: Json, region: str, seen: Seen) -> Reply:
        token, client = text(asked.get("refreshToken")), text(asked.get("clientId"))
        grant = self._redeem(token, ("idc", "builder"), region, seen, client)
        if grant.outcome == "wrong region":
            return _oauth("invalid_request", "Invalid token provided")
        if grant.access is None:
            return replies.plain(400, {"error": "invalid_grant", "error_description": "Invalid refresh token provided"})
        return replies.plain(200, {**_camel(grant, self.accounts), "tokenType": "Bearer"})

    def _device_token(self, asked: Json) -> Reply:
        device = self.devices.get(text(asked.get("deviceCode")))
        if device is None or device.client_id != asked.get("clientId"):
            return _oauth("invalid_grant", "Invalid device code")
        if error := self._pending(device):
            return error if isinstance(error, Reply) else _oauth(error)
        account = self.signed_in(device.kind, sso_region=device.region, start_url=device.start_url)
        account.client_id, account.client_secret = device.client_id, device.client_secret
        life = int(self.accounts.options.access_life)
        return replies.plain(200, {"accessToken": account.access_token, "refreshToken": account.refresh_token,
                                   "expiresIn": life, "tokenType": "Bearer"})  # fmt: skip

    # external IdP

    def idp(self, incoming: Incoming, seen: Seen) -> Reply:
        """Form encoded, snake_case both ways."""
        asked = incoming.form()
        if not incoming.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _oauth("invalid_request", "The request must be form encoded")
        if asked.get("grant_type") != "refresh_token":
            return _oauth("unsupported_grant_type")
        grant = self._redeem(asked.get("refresh_token", ""), ("external",), "", seen, asked.get("client_id", ""))
        if grant.access is None or grant.account is None:
            return _oauth("invalid_grant", "The refresh token is invalid or has been used")
        answer = {"access_token": grant.access.token, "expires_in": int(self.accounts.options.access_life),
                  "token_type": "Bearer", "scope": asked.get("scope", "")}  # fmt: skip
        if grant.refresh and grant.refresh.generation > grant.generation:
            answer["refresh_token"] = grant.refresh.token
        return replies.plain(200, answer)

    # shared

    def _redeem(self, token: str, kinds: tuple[str, ...], region: str, seen: Seen,
                client: str | None = None) -> Grant[Account]:  # fmt: skip
        """Redeem and write it down. `client`: the client id that asks, where the service minds."""
        with self.journal.lock:
            owner = self.accounts.owner(token)
            if owner and client is not None and client != owner.client_id:
                grant: Grant[Account] = Grant("foreign client", -1, owner)
            else:
                grant = self.accounts.redeem(token, kinds, region)
            name = grant.account.name if grant.account else ""
            seen.account = name
            self.journal.ledger.append(Redemption(time.time(), name, grant.generation, grant.outcome, seen.number))
        return grant

    def _new_device(self, kind: str, region: str) -> Device:
        code = secrets.token_hex(2).upper(), secrets.token_hex(2).upper()
        device = Device(secrets.token_urlsafe(32), "-".join(code), kind, region)
        self.devices[device.code] = device
        return device

    def _pending(self, device: Device) -> str | Reply:
        """The error that a poll hears, by its name or as a whole answer; "" when the user has approved."""
        device.polls += 1
        if self.polls:
            return self._told(self.polls.popleft(), device)
        if not device.answer and device.polls > self.accounts.options.device_polls:
            device.answer = "approved"
        return self._told(device.answer or "pending", device)

    def _told(self, word: str, device: Device) -> str | Reply:
        if word == "approved":
            del self.devices[device.code]
            return ""
        if word in STRANGE:
            return STRANGE[word]
        if word.endswith("Exception"):
            return replies.plain(400, {"__type": f"com.amazonaws.ssooidc#{word}", "message": "No."})
        return POLLS.get(word, word)

    def signed_in(self, kind: str, **members: Any) -> Account:
        """The account of whoever signs in: a new one, or the one that the options name, with new tokens."""
        name = self.accounts.options.signs_in
        known = self.accounts.all.get(name)
        if known is None or known.kind != kind:
            return self.accounts.add(kind, "" if known else name, **members)
        self.accounts.issue(known, None)
        for member, value in members.items():
            setattr(known, member, value)
        return known


def _camel(grant: Grant[Account], accounts: Accounts) -> Json:
    """The tokens of a grant that was given; a refresh token only where there is a new one."""
    pair: Json = {"expiresIn": int(accounts.options.access_life)}
    if grant.access:
        pair["accessToken"] = grant.access.token
    if grant.refresh and grant.refresh.generation > grant.generation:
        pair["refreshToken"] = grant.refresh.token
    return pair


def _oauth(error: str, description: str | None = None, status: int = 400) -> Reply:
    return replies.plain(status, {"error": error, "error_description": description})


def _is_json(incoming: Incoming) -> bool:
    return incoming.headers.get("content-type", "").startswith("application/json")


def described(account: Account) -> Json:
    """The account with its newest tokens, for `GET /_twin/accounts`."""
    return dict(vars(account))
