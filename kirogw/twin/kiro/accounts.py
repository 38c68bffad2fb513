"""Who may call: accounts of every kind, their tokens, keys and registrations."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from kirogw.twin import book
from kirogw.twin.kiro.state import Options
from kirogw.wire import Json

SOCIAL_ARN: Final = "arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK"
PLACEHOLDER_ARN: Final = "arn:aws:codewhisperer:us-east-1:638616132270:profile/AAAACCCCXXXX"
KINDS: Final = ("social", "idc", "builder", "external", "api_key")
TOKEN_TYPES: Final = {"api_key": "API_KEY", "external": "EXTERNAL_IDP", "idc": "SSO_OIDC", "builder": "SSO_OIDC"}
CLIENT_LIFE: Final = 90 * 86400.0


@dataclass
class Account(book.Account):
    """One login."""

    kind: str = "social"
    region: str = "us-east-1"  # of the API
    sso_region: str = "us-east-1"
    profile_arn: str = ""  # what it must send; "" for an API key
    api_key: str = ""  # one that is `banned` was revoked
    client_secret: str = ""
    start_url: str = "https://view.awsapps.com/start"
    token_endpoint: str = ""  # of an external IdP
    provider: str = ""  # of a social login that came by a flow: google, github
    used: float = 0.0  # credits
    limit: float = 1000.0
    overage: bool = False
    overage_cap: float = 10_000.0
    trial: Json = field(default_factory=dict)  # used, limit, status, expires_at (epoch seconds); {} for none
    bonuses: list[Json] = field(default_factory=list)  # the same, and code
    usage: Json = field(default_factory=dict)  # how GetUsageLimits tells it: members of credits.Telling
    suspended: bool = False

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


class Accounts(book.Book[Account]):
    """Those of all services, and the clients that are registered at SSO OIDC."""

    kinds = KINDS
    options: Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.clients: dict[str, Client] = {}

    def opened(self, name: str, kind: str, members: Json) -> Account:
        account = Account(name, kind=kind, **members)
        if kind == "api_key":
            account.api_key = account.api_key or f"ksk_{secrets.token_urlsafe(32)}"
            return account
        account.profile_arn = account.profile_arn or account.own_arn
        if kind in ("idc", "builder"):
            client = self.register(account.sso_region)
            account.client_id, account.client_secret = client.id, client.secret
        elif kind == "external":
            account.client_id = account.client_id or secrets.token_hex(8)
            account.token_endpoint = account.token_endpoint or f"{self.url}/idp/token"
        self.issue(account, None)
        return account

    def refresh_text(self) -> str:
        return f"aor{secrets.token_urlsafe(120)}"

    def access_text(self, account: Account) -> str:
        return f"aoa{secrets.token_urlsafe(60)}"

    def register(self, region: str) -> Client:
        client = Client(secrets.token_urlsafe(16), secrets.token_urlsafe(64), region, time.time() + CLIENT_LIFE)
        self.clients[client.id] = client
        return client

    def client(self, name: str, secret: str) -> Client | None:
        """The registration if the secret is right and it has not run out."""
        client = self.clients.get(name)
        return client if client and client.secret == secret and client.expires > time.time() else None

    def bearer(self, token: str) -> tuple[Account, bool] | None:
        """An API key has no end."""
        with self._lock:
            keyed = next((account for account in self.all.values() if token and account.api_key == token), None)
        return (keyed, True) if keyed else super().bearer(token)


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
