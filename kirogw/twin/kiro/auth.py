"""The services that issue tokens: Kiro's own (social), AWS SSO OIDC, an external IdP. They keep the ledger."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin import issuer, replies
from kirogw.twin.ask import text
from kirogw.twin.chains import Grant
from kirogw.twin.kiro.accounts import CLIENT_LIFE, Account, Accounts
from kirogw.twin.kiro.identity import region_of
from kirogw.twin.state import Incoming, Seen
from kirogw.wire import Json, Reply

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
LIVES: Final = {"social": 300, "idc": 600, "builder": 600}  # of devices, seconds
BUILDER_START: Final = "https://view.awsapps.com/start"
OIDC: Final = ("idc", "builder")

POLLS: Final = {"pending": "authorization_pending", "denied": "access_denied", "expired": "expired_token"}
STRANGE: Final = {
    "429": replies.plain(429, {"message": "Too many requests"}, {"retry-after": "7"}),
    "500": replies.plain(500, {"message": "Internal error"}), "503": replies.plain(503, {"message": "Unavailable"}),
    "html": replies.text(403, "<html><body><h1>403 ERROR</h1>Request blocked.</body></html>", "text/html"),
    "empty": replies.plain(200, {}), "400": replies.text(400, "Bad Request"),
}  # fmt: skip


@dataclass
class Device(issuer.Device):
    kind: str = "social"
    region: str = "us-east-1"
    client_id: str = ""
    client_secret: str = ""
    start_url: str = ""
    provider: str = ""  # of a social login


class Auth(issuer.Issuer[Account, Device]):
    """All three services. `polls` are keys of POLLS or of STRANGE, or names of AWS exceptions."""

    accounts: Accounts

    # Kiro's own service

    def refresh(self, incoming: Incoming, seen: Seen) -> Reply:
        """Social refresh, JSON with camelCase."""
        token = incoming.members.get("refreshToken")
        if not isinstance(token, str) or not incoming.is_json:
            return replies.plain(400, {"message": "Bad Request"})
        grant = self.redeem(seen, token, ("social",))
        if grant.outcome == "revoked":
            return replies.plain(401, {"message": "Unauthorized"})
        if grant.access is None or grant.account is None:
            return replies.plain(400, {"error": "invalid_grant", "message": "Invalid refresh token provided"})
        return replies.plain(200, {**self._camel(grant), "profileArn": grant.account.profile_arn})

    def social_device(self, incoming: Incoming, seen: Seen) -> Reply:
        if incoming.members.get("loginProvider") not in ("Google", "Github"):
            return replies.plain(400, {"message": "Bad Request"})
        device = self._new_device("social", provider=incoming.members["loginProvider"])
        page = f"{self.url}/device"
        return replies.plain(200, {
            "deviceCode": device.code, "userCode": device.user_code, "verificationUri": page,
            "verificationUriComplete": f"{page}?user_code={device.user_code}",
            "intervalInMilliseconds": 1000 * self.options.interval, "expiresInMilliseconds": 1000 * LIVES["social"],
        })  # fmt: skip

    def social_poll(self, incoming: Incoming, seen: Seen) -> Reply:
        device = self.devices.get(text(incoming.members.get("deviceCode")))
        if device is None or device.kind != "social":
            return replies.plain(400, {"error": "invalid_grant"})
        if error := self._pending(device):
            return error if isinstance(error, Reply) else replies.plain(200, {"status": error})
        account = self.accounts.signed_in("social", provider=device.provider)
        return replies.plain(200, {**newest(account), "profileArn": account.profile_arn,
                                   "identityProvider": device.provider})  # fmt: skip

    # AWS SSO OIDC

    def register(self, incoming: Incoming, seen: Seen) -> Reply:
        asked = incoming.members
        if not asked.get("clientName") or asked.get("clientType") != "public":
            return replies.oauth("invalid_request", "clientName and clientType are required")
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
            return replies.oauth("invalid_client", "Invalid client provided", 401)
        if not asked.get("startUrl"):
            return replies.oauth("invalid_request", "startUrl is required")
        kind = "builder" if asked["startUrl"] == BUILDER_START else "idc"
        device = self._new_device(kind, region=client.region, client_id=client.id, client_secret=client.secret,
                                  start_url=asked["startUrl"])  # fmt: skip
        page = f"{self.url}/device"
        return replies.plain(200, {
            "deviceCode": device.code, "userCode": device.user_code, "verificationUri": page,
            "verificationUriComplete": f"{page}?user_code={device.user_code}", "expiresIn": LIVES[kind],
            "interval": self.options.interval,
        })  # fmt: skip

    def token(self, incoming: Incoming, seen: Seen) -> Reply:
        """JSON with camelCase keys, never a form."""
        asked = incoming.members
        if not asked or not incoming.is_json:
            return replies.oauth("invalid_request", "The request is not valid JSON")
        if self.accounts.client(text(asked.get("clientId")), text(asked.get("clientSecret"))) is None:
            return replies.oauth("invalid_client", "Invalid client provided", 401)
        if asked.get("grantType") == DEVICE_GRANT:
            return self._device_token(asked)
        if asked.get("grantType") != "refresh_token":
            return replies.oauth("unsupported_grant_type", "Grant type not supported")
        return self._oidc_refresh(asked, region_of(incoming.host), seen)

    def _oidc_refresh(self, asked: Json, region: str, seen: Seen) -> Reply:
        token, client = text(asked.get("refreshToken")), text(asked.get("clientId"))
        owner = self.accounts.owner(token)
        if owner and owner.kind in OIDC and region not in ("", owner.sso_region):
            self.journal.redeemed(seen, owner.name, -1, "wrong region")
            return replies.oauth("invalid_request", "Invalid token provided")
        grant = self.redeem(seen, token, OIDC, client)
        if grant.access is None:
            return replies.oauth("invalid_grant", "Invalid refresh token provided")
        return replies.plain(200, {**self._camel(grant), "tokenType": "Bearer"})

    def _device_token(self, asked: Json) -> Reply:
        device = self.devices.get(text(asked.get("deviceCode")))
        if device is None or device.client_id != asked.get("clientId"):
            return replies.oauth("invalid_grant", "Invalid device code")
        if error := self._pending(device):
            return error if isinstance(error, Reply) else replies.oauth(error)
        account = self.accounts.signed_in(device.kind, sso_region=device.region, start_url=device.start_url)
        account.client_id, account.client_secret = device.client_id, device.client_secret
        life = int(self.options.access_life)
        return replies.plain(200, {**newest(account), "expiresIn": life, "tokenType": "Bearer"})

    # external IdP

    def idp(self, incoming: Incoming, seen: Seen) -> Reply:
        """Form encoded, snake_case both ways."""
        asked = incoming.form()
        if not incoming.is_form:
            return replies.oauth("invalid_request", "The request must be form encoded")
        if asked.get("grant_type") != "refresh_token":
            return replies.oauth("unsupported_grant_type")
        grant = self.redeem(seen, asked.get("refresh_token", ""), ("external",), asked.get("client_id", ""))
        if grant.access is None or grant.account is None:
            return replies.oauth("invalid_grant", "The refresh token is invalid or has been used")
        answer = {"access_token": grant.access.token, "expires_in": int(self.options.access_life),
                  "token_type": "Bearer", "scope": asked.get("scope", "")}  # fmt: skip
        if grant.refresh and grant.refresh.generation > grant.generation:
            answer["refresh_token"] = grant.refresh.token
        return replies.plain(200, answer)

    # shared

    def _new_device(self, kind: str, **members: Any) -> Device:
        shown = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
        device = Device(secrets.token_urlsafe(32), shown, time.time() + LIVES[kind], kind=kind, **members)
        self.devices[device.code] = device
        return device

    def _pending(self, device: Device) -> str | Reply:
        """The error that a poll hears, by its name or as a whole answer; "" when the user has approved."""
        word = self.polled(device)
        if word == "approved":
            del self.devices[device.code]
            return ""
        if word in STRANGE:
            return STRANGE[word]
        if word.endswith("Exception"):
            return replies.plain(400, {"__type": f"com.amazonaws.ssooidc#{word}", "message": "No."})
        return POLLS.get(word, word)

    def _camel(self, grant: Grant[Account]) -> Json:
        """The tokens of a grant that was given; a refresh token only where there is a new one."""
        pair: Json = {"expiresIn": int(self.options.access_life)}
        if grant.access:
            pair["accessToken"] = grant.access.token
        if grant.refresh and grant.refresh.generation > grant.generation:
            pair["refreshToken"] = grant.refresh.token
        return pair


def newest(account: Account) -> Json:
    return {"accessToken": account.access_token, "refreshToken": account.refresh_token}
