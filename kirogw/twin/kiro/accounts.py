"""Who may call: accounts of every kind, their tokens, and what becomes of a refresh token once it is redeemed.

strict: it is dead at once. grace: it is honoured until the access token made by its successor has been used, or the
successor itself redeemed. none: it stays, and no new one is given.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.twin.chains import Access, Grant, Refresh, barred, confirm
from kirogw.twin.state import Options
from kirogw.wire import Json

SOCIAL_ARN: Final = "arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK"
PLACEHOLDER_ARN: Final = "arn:aws:codewhisperer:us-east-1:638616132270:profile/AAAACCCCXXXX"
KINDS: Final = ("social", "idc", "builder", "external", "api_key")
TOKEN_TYPES: Final = {"api_key": "API_KEY", "external": "EXTERNAL_IDP", "idc": "SSO_OIDC", "builder": "SSO_OIDC"}
CLIENT_LIFE: Final = 90 * 86400.0


@dataclass
class Account:
    """One login. `access_token` and `refresh_token` are the newest that were issued, ready for a credential file."""

    name: str
    kind: str = "social"
    region: str = "us-east-1"  # of the API
    sso_region: str = "us-east-1"
    profile_arn: str = ""  # what it must send; "" for an API key
    access_token: str = ""
    refresh_token: str = ""
    api_key: str = ""
    client_id: str = ""
    client_secret: str = ""
    start_url: str = "https://view.awsapps.com/start"
    token_endpoint: str = ""  # of an external IdP
    provider: str = ""  # of a social login that came by a flow: google, github
    models: tuple[str, ...] = ()  # modelIds it may use; empty: all
    used: float = 0.0  # credits
    limit: float = 1000.0
    overage: bool = False
    overage_cap: float = 10_000.0
    trial: Json = field(default_factory=dict)  # used, limit, status, expires_at (epoch seconds); {} for none
    bonuses: list[Json] = field(default_factory=list)  # the same, and code
    usage: Json = field(default_factory=dict)  # how GetUsageLimits tells it: members of credits.Telling
    suspended: bool = False
    banned: bool = False  # an API key that was revoked, a login that was withdrawn

    @property
    def own_arn(self) -> str:
        """The profile that the control plane tells; Builder ID and social have only the shared ones."""
        shared = {"social": SOCIAL_ARN, "builder": PLACEHOLDER_ARN}
        return shared.get(self.kind) or own_arn(self.name, self.region)

    @property
    def token_type(self) -> str:
        """The TokenType header that belongs to it, "" for none."""
        return TOKEN_TYPES.get(self.kind, "")


@dataclass
class Client:
    """One registration at the SSO OIDC service."""

    id: str
    secret: str
    region: str
    expires: float


class Accounts:
    """All accounts and tokens. Safe for many threads."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.token_endpoint = ""  # of the external IdP, for accounts that name none
        self.all: dict[str, Account] = {}
        self.clients: dict[str, Client] = {}
        self._access: dict[str, Access[Account]] = {}
        self._refresh: dict[str, Refresh[Account]] = {}
        self._lock = threading.RLock()

    def add(self, kind: str = "social", name: str = "", **members: Any) -> Account:
        """A new account with a first pair of tokens, or with a key."""
        if kind not in KINDS:
            raise ValueError(f"no such kind of account: {kind}; there are {', '.join(KINDS)}")
        with self._lock:
            account = Account(name or f"{kind}-{len(self.all) + 1}", kind, **members)
            self.all[account.name] = account
            if kind == "api_key":
                account.api_key = account.api_key or f"ksk_{secrets.token_urlsafe(32)}"
                return account
            account.profile_arn = account.profile_arn or account.own_arn
            if kind in ("idc", "builder"):
                client = self.register(account.sso_region)
                account.client_id, account.client_secret = client.id, client.secret
            elif kind == "external":
                account.client_id = account.client_id or secrets.token_hex(8)
                account.token_endpoint = account.token_endpoint or self.token_endpoint
            self.issue(account, None)
            return account

    def register(self, region: str) -> Client:
        with self._lock:
            client = Client(secrets.token_urlsafe(16), secrets.token_urlsafe(64), region, time.time() + CLIENT_LIFE)
            self.clients[client.id] = client
            return client

    def issue(self, account: Account, parent: Refresh[Account] | None) -> tuple[Access[Account], Refresh[Account]]:
        """A new pair, `parent` being the refresh token that was redeemed for it."""
        with self._lock:
            generation = parent.generation + 1 if parent else 0
            refresh = Refresh(f"aor{secrets.token_urlsafe(120)}", account, generation, parent)
            if parent:
                parent.children.append(refresh)
            self._refresh[refresh.token] = refresh
            access = self._new_access(account, refresh)
            account.refresh_token = refresh.token
            return access, refresh

    def _new_access(self, account: Account, beside: Refresh[Account] | None) -> Access[Account]:
        expires = time.time() + self.options.access_life
        access = Access(f"aoa{secrets.token_urlsafe(60)}", account, expires, beside)
        self._access[access.token] = access
        account.access_token = access.token
        return access

    def redeem(self, token: str, kinds: tuple[str, ...], region: str = "") -> Grant[Account]:
        """Redeem at a service that knows accounts of `kinds`, in `region` ("": any). Decides and issues in one step."""
        with self._lock:
            old = self._refresh.get(token)
            if old is None or old.account.kind not in kinds:
                return Grant("unknown", -1)
            if region and region != old.account.sso_region:
                return Grant("wrong region", old.generation, old.account)
            if old.account.banned:
                return Grant("revoked", old.generation, old.account)
            if reason := barred(old, self.options.rotation):
                return Grant(reason, old.generation, old.account)
            return self._give(old)

    def _give(self, old: Refresh[Account]) -> Grant[Account]:
        if self.options.rotation == "none":
            return Grant("ok", old.generation, old.account, self._new_access(old.account, old), old)
        confirm(old)
        outcome = "again" if old.children else "ok"
        access, refresh = self.issue(old.account, old)
        return Grant(outcome, old.generation, old.account, access, refresh)

    def bearer(self, token: str) -> tuple[Account, bool] | None:
        """Whose token or key it is and whether it still lives; None for one that was never issued. Counts as a use."""
        with self._lock:
            for account in self.all.values():
                if token and account.api_key == token:
                    return account, True
            access = self._access.get(token)
            if access is None:
                return None
            lives = access.expires > time.time()
            if lives and access.beside is not None:
                confirm(access.beside)
            return access.account, lives

    def owner(self, token: str) -> Account | None:
        """Whose refresh token it is or was."""
        refresh = self._refresh.get(token)
        return refresh.account if refresh else None

    def client(self, name: str, secret: str) -> Client | None:
        """The registration if the secret is right and it has not run out."""
        client = self.clients.get(name)
        return client if client and client.secret == secret and client.expires > time.time() else None

    def expire(self, name: str = "") -> None:
        """All access tokens of the account (of every account) run out now."""
        with self._lock:
            for access in self._access.values():
                if name in ("", access.account.name):
                    access.expires = 0.0

    def revoke(self, name: str) -> None:
        """The account's refresh tokens are withdrawn: it needs a login."""
        with self._lock:
            for refresh in self._refresh.values():
                if refresh.account.name == name:
                    refresh.dead = "revoked"

    def living(self, name: str) -> list[str]:
        """The refresh tokens of the account that would still be taken."""
        with self._lock:
            return [refresh.token for refresh in self._refresh.values()
                    if refresh.account.name == name and not barred(refresh, self.options.rotation)]  # fmt: skip


def own_arn(name: str, region: str) -> str:
    """A profile of the account's own, the same in every run."""
    letters = hashlib.sha256(name.encode()).hexdigest()[:12].upper()
    return f"arn:aws:codewhisperer:{region}:111122223333:profile/{letters}"


def as_ide_file(account: Account, expires_at: str) -> Json:
    """The account as the Kiro IDE keeps it in kiro-auth-token.json; `expires_at` is an ISO time."""
    base: Json = {"accessToken": account.access_token, "refreshToken": account.refresh_token, "expiresAt": expires_at}
    match account.kind:
        case "social":
            return {**base, "authMethod": "social", "provider": "Google", "profileArn": account.profile_arn}
        case "external":
            return {**base, "authMethod": "external_idp", "provider": "ExternalIdp", "clientId": account.client_id,
                    "tokenEndpoint": account.token_endpoint, "issuerUrl": account.token_endpoint,
                    "scopes": "codewhisperer:conversations", "profileArn": account.profile_arn}  # fmt: skip
        case "idc" | "builder":
            provider = "BuilderId" if account.kind == "builder" else "Enterprise"
            return {**base, "authMethod": "IdC", "provider": provider, "region": account.sso_region,
                    "clientIdHash": hashlib.sha1(account.start_url.encode(), usedforsecurity=False).hexdigest()}
    raise ValueError("an API key has no file")
