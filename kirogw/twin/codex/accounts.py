"""Who may call: accounts of both doors, their tokens, and what becomes of a refresh token once it is redeemed.

The rotations are those of Kiro's twin (strict, grace, none). Access and ID tokens are real JWTs; a token counts as
known only if it was issued here, whatever its signature says.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.twin.chains import Access, Grant, Refresh, barred, confirm
from kirogw.twin.codex import jwt
from kirogw.twin.codex.state import Options
from kirogw.wire import Json

KINDS: Final = ("codex", "siwc")
CODEX_CLIENT: Final = "app_EMoamEEZ73f0CkXaXp7hrann"
OPENAI: Final = "https://api.openai.com"
DIRECT: Final = "chatgpt.tokens.use.direct"
SCOPES: Final = {
    "codex": "openid profile email offline_access",
    "siwc": f"openid profile email offline_access resource.invoke {DIRECT}",
}
HOURS: Final = 18_000
WEEK: Final = 604_800


@dataclass
class Account:
    """One login. The three tokens are the newest that were issued.

    A window is `{"used": percent, "seconds": its length, "resets_at": epoch seconds}`, {} for none; which of the two
    slots holds which length is nobody's promise.
    """

    name: str
    kind: str = "codex"
    plan: str = "plus"
    workspace: str = ""  # chatgpt_account_id
    user: str = ""  # chatgpt_user_id
    email: str = ""
    subject: str = ""  # sub
    client_id: str = CODEX_CLIENT
    scope: str = ""
    access_token: str = ""
    refresh_token: str = ""
    id_token: str = ""
    models: tuple[str, ...] = ()  # slugs it may use; empty: all
    primary: Json = field(default_factory=lambda: {"used": 12.0, "seconds": HOURS})
    secondary: Json = field(default_factory=lambda: {"used": 30.0, "seconds": WEEK})
    more_limits: list[Json] = field(default_factory=list)  # name, feature, primary, secondary
    credits: Json = field(default_factory=lambda: {"has_credits": False, "unlimited": False, "balance": "0"})
    reached: str = ""  # rate_limit_reached_type where a window is full
    fedramp: bool = False
    suspended: str = ""  # what it hears on every call: account_deactivated, deactivated_workspace, not_eligible, ...
    banned: bool = False  # its refresh tokens are taken no more
    claims: Json = field(default_factory=dict)  # further members of the auth claim

    @property
    def identity(self) -> str:
        """What encrypted reasoning is bound to."""
        return f"{self.workspace}/{self.user}"


def _id(prefix: str, name: str) -> str:
    return prefix + hashlib.sha256(f"{prefix}{name}".encode()).hexdigest()[:24]


class Accounts:
    """All accounts and tokens. Safe for many threads. `issuer` is the address of the twin."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.issuer = ""
        self.all: dict[str, Account] = {}
        self._access: dict[str, Access[Account]] = {}
        self._refresh: dict[str, Refresh[Account]] = {}
        self._lock = threading.RLock()

    def add(self, kind: str = "codex", name: str = "", **members: Any) -> Account:
        """A new account with a first set of tokens."""
        if kind not in KINDS:
            raise ValueError(f"no such kind of account: {kind}; there are {', '.join(KINDS)}")
        with self._lock:
            account = Account(name or f"{kind}-{len(self.all) + 1}", kind, **members)
            self.all[account.name] = account
            label = account.name
            account.workspace = account.workspace or str(uuid.uuid5(uuid.NAMESPACE_DNS, label))
            account.user = account.user or _id("user-", label)
            account.email = account.email or f"{label}@localhost"
            account.subject = account.subject or _id("auth0|", account.user)
            account.scope = account.scope or SCOPES[kind]
            if kind == "siwc" and account.client_id == CODEX_CLIENT:
                account.client_id = _id("oaiapp_", label)
            for window in (account.primary, account.secondary):
                if window:
                    window.setdefault("resets_at", time.time() + window["seconds"])
            self.issue(account, None)
            return account

    def issue(self, account: Account, parent: Refresh[Account] | None, nonce: str = "") -> Grant[Account]:
        """New tokens, `parent` being the refresh token that was redeemed for them."""
        with self._lock:
            generation = parent.generation + 1 if parent else 0
            refresh = Refresh(f"rt_{secrets.token_urlsafe(64)}", account, generation, parent)
            if parent:
                parent.children.append(refresh)
            self._refresh[refresh.token] = refresh
            access = self._new_access(account, refresh)
            account.refresh_token = refresh.token
            account.id_token = self._id_token(account, nonce)
            return Grant("ok", generation, account, access, refresh)

    def life(self, account: Account) -> float:
        return self.options.siwc_life if account.kind == "siwc" else self.options.access_life

    def _new_access(self, account: Account, beside: Refresh[Account]) -> Access[Account]:
        now = time.time()
        claims = {
            "iss": self.issuer, "aud": [f"{OPENAI}/v1"], "client_id": account.client_id, "sub": account.subject,
            "iat": int(now), "nbf": int(now), "exp": int(now + self.life(account)), "jti": secrets.token_hex(16),
            "scp": account.scope.split(), f"{OPENAI}/auth": self._auth_claim(account),
            f"{OPENAI}/profile": {"email": account.email, "email_verified": True},
        }  # fmt: skip
        access = Access(jwt.signed(claims), account, now + self.life(account), beside)
        self._access[access.token] = access
        account.access_token = access.token
        return access

    def _id_token(self, account: Account, nonce: str) -> str:
        now = int(time.time())
        claims: Json = {
            "iss": self.issuer, "aud": account.client_id if account.kind == "siwc" else [account.client_id],
            "sub": account.subject, "iat": now, "exp": now + int(self.options.id_life), "auth_time": now,
            "email": account.email, "email_verified": True, "name": account.name,
            "jti": secrets.token_hex(16), f"{OPENAI}/auth": self._auth_claim(account),
        }  # fmt: skip
        return jwt.signed({**claims, "nonce": nonce} if nonce else claims)

    def _auth_claim(self, account: Account) -> Json:
        organization = {"id": _id("org-", account.workspace), "is_default": True, "role": "owner", "title": "Personal"}
        return {
            "chatgpt_account_id": account.workspace, "chatgpt_plan_type": account.plan,
            "chatgpt_user_id": account.user, "user_id": account.user, "organizations": [organization], "groups": [],
            "chatgpt_account_is_fedramp": account.fedramp, **account.claims,
        }  # fmt: skip

    def redeem(self, token: str, kind: str, client: str) -> Grant[Account]:
        """Redeem at the door of accounts of `kind`, for the client that asks. Decides and issues in one step."""
        with self._lock:
            old = self._refresh.get(token)
            if old is None or old.account.kind != kind:
                return Grant("unknown", -1)
            if client != old.account.client_id:
                return Grant("foreign client", old.generation, old.account)
            if old.account.banned:
                return Grant("revoked", old.generation, old.account)
            if reason := barred(old, self.options.rotation):
                return Grant(reason, old.generation, old.account)
            return self._give(old)

    def _give(self, old: Refresh[Account]) -> Grant[Account]:
        if self.options.rotation == "none":
            access = self._new_access(old.account, old)
            old.account.id_token = self._id_token(old.account, "")
            return Grant("ok", old.generation, old.account, access, old)
        if "refresh" not in self.options.refresh_gives.split():  # nothing new is told, so the old one must go on
            return Grant("ok", old.generation, old.account, self._new_access(old.account, old), old)
        confirm(old)
        outcome = "again" if old.children else "ok"
        new = self.issue(old.account, old)
        return Grant(outcome, old.generation, old.account, new.access, new.refresh)

    def bearer(self, token: str) -> tuple[Account, bool] | None:
        """Whose token it is and whether it still lives; None for one that was never issued. Counts as a use."""
        with self._lock:
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

    def expire(self, name: str = "") -> None:
        """All access tokens of the account (of every account) are taken no more, whatever their `exp` says."""
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

    def withdraw(self, token: str) -> bool:
        """One refresh token and the access tokens beside it are taken no more. Whether it was known."""
        with self._lock:
            refresh = self._refresh.get(token)
            if refresh is None:
                return False
            refresh.dead = "revoked"
            for access in self._access.values():
                if access.beside is refresh:
                    access.expires = 0.0
            return True

    def living(self, name: str) -> list[str]:
        """The refresh tokens of the account that would still be taken."""
        with self._lock:
            return [refresh.token for refresh in self._refresh.values()
                    if refresh.account.name == name and not barred(refresh, self.options.rotation)]  # fmt: skip


def as_codex_file(account: Account, last_refresh: str) -> Json:
    """The account as Codex CLI keeps it in auth.json; `last_refresh` is an ISO time."""
    tokens = {"id_token": account.id_token, "access_token": account.access_token,
              "refresh_token": account.refresh_token, "account_id": account.workspace}  # fmt: skip
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": last_refresh}
