"""Who may call: accounts of both doors and their tokens.

Access and ID tokens are real JWTs; a token counts as known only if it was issued here, whatever its signature says.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

from kirogw.twin import book
from kirogw.twin.chains import Access, Grant, Refresh
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
class Account(book.Account):
    """One login. `id_token` is the newest, too.

    A window is `{"used": percent, "seconds": its length, "resets_at": epoch seconds}`, {} for none; which of the two
    slots holds which length is nobody's promise.
    """

    kind: str = "codex"
    plan: str = "plus"
    workspace: str = ""  # chatgpt_account_id
    user: str = ""  # chatgpt_user_id
    email: str = ""
    subject: str = ""  # sub
    client_id: str = CODEX_CLIENT
    scope: str = ""
    id_token: str = ""
    primary: Json = field(default_factory=lambda: {"used": 12.0, "seconds": HOURS})
    secondary: Json = field(default_factory=lambda: {"used": 30.0, "seconds": WEEK})
    more_limits: list[Json] = field(default_factory=list)  # name, feature, primary, secondary
    credits: Json = field(default_factory=lambda: {"has_credits": False, "unlimited": False, "balance": "0"})
    reached: str = ""  # rate_limit_reached_type where a window is full
    fedramp: bool = False
    suspended: str = ""  # what it hears on every call: account_deactivated, deactivated_workspace, not_eligible, ...
    claims: Json = field(default_factory=dict)  # further members of the auth claim

    @property
    def identity(self) -> str:
        """What encrypted reasoning is bound to."""
        return f"{self.workspace}/{self.user}"


def _id(prefix: str, name: str) -> str:
    return prefix + hashlib.sha256(f"{prefix}{name}".encode()).hexdigest()[:24]


class Accounts(book.Book[Account]):
    """Those of both doors."""

    kinds = KINDS
    options: Options

    def opened(self, name: str, kind: str, members: Json) -> Account:
        account = Account(name, kind=kind, **members)
        account.workspace = account.workspace or str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        account.user = account.user or _id("user-", name)
        account.email = account.email or f"{name}@localhost"
        account.subject = account.subject or _id("auth0|", account.user)
        account.scope = account.scope or SCOPES[kind]
        if kind == "siwc" and account.client_id == CODEX_CLIENT:
            account.client_id = _id("oaiapp_", name)
        for window in (account.primary, account.secondary):
            if window:
                window.setdefault("resets_at", time.time() + window["seconds"])
        self.issue(account, None)
        return account

    def issue(self, account: Account, parent: Refresh[Account] | None, nonce: str = "") -> Grant[Account]:
        with self._lock:
            grant = super().issue(account, parent)
            account.id_token = self._id_token(account, nonce) if nonce else account.id_token
            return grant

    def _new_access(self, account: Account, beside: Refresh[Account]) -> Access[Account]:
        account.id_token = self._id_token(account, "")
        return super()._new_access(account, beside)

    def refresh_text(self) -> str:
        return f"rt_{secrets.token_urlsafe(64)}"

    def access_text(self, account: Account) -> str:
        now = time.time()
        return jwt.signed({
            "iss": self.url, "aud": [f"{OPENAI}/v1"], "client_id": account.client_id, "sub": account.subject,
            "iat": int(now), "nbf": int(now), "exp": int(now + self.life(account)), "jti": secrets.token_hex(16),
            "scp": account.scope.split(), f"{OPENAI}/auth": self._auth_claim(account),
            f"{OPENAI}/profile": {"email": account.email, "email_verified": True},
        })  # fmt: skip

    def life(self, account: Account) -> float:
        return self.options.siwc_life if account.kind == "siwc" else self.options.access_life

    def _id_token(self, account: Account, nonce: str) -> str:
        now = int(time.time())
        claims: Json = {
            "iss": self.url, "aud": account.client_id if account.kind == "siwc" else [account.client_id],
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

    def stays(self) -> bool:
        """It goes on, too, where nobody is told a new one."""
        return super().stays() or "refresh" not in self.options.refresh_gives.split()


def as_codex_file(account: Account, last_refresh: str) -> Json:
    """The account as Codex CLI keeps it in auth.json; `last_refresh` is an ISO time."""
    tokens = {"id_token": account.id_token, "access_token": account.access_token,
              "refresh_token": account.refresh_token, "account_id": account.workspace}  # fmt: skip
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": last_refresh}
