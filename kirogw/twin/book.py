"""Accounts and their tokens, and what becomes of a refresh token once it is redeemed.

strict: it is dead at once. grace: it is honoured until the access token made by its successor has been used, or the
successor itself redeemed. none: it stays, and no new one is given.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from kirogw.twin.chains import Access, Grant, Refresh, barred, confirm
from kirogw.twin.state import Common


@dataclass
class Account:
    """What every login has. The tokens are the newest that were issued, ready for a credential file."""

    name: str
    kind: str = ""
    access_token: str = ""
    refresh_token: str = ""
    client_id: str = ""
    models: tuple[str, ...] = ()  # ids that it may use; empty: all
    banned: bool = False  # its refresh tokens are taken no more


A = TypeVar("A", bound=Account)


class Book(ABC, Generic[A]):
    """All accounts and tokens. Safe for many threads. `url` is the address of the twin."""

    kinds: ClassVar[tuple[str, ...]]  # the first is what an account is by itself

    def __init__(self, options: Common) -> None:
        self.options = options
        self.url = ""
        self.all: dict[str, A] = {}
        self._access: dict[str, Access[A]] = {}
        self._refresh: dict[str, Refresh[A]] = {}
        self._lock = threading.RLock()

    def add(self, kind: str = "", name: str = "", **members: Any) -> A:
        """A new account with its first tokens, or with a key. Raises ValueError for an unknown kind."""
        kind = kind or self.kinds[0]
        if kind not in self.kinds:
            raise ValueError(f"no such kind of account: {kind}; there are {', '.join(self.kinds)}")
        with self._lock:
            account = self.opened(name or f"{kind}-{len(self.all) + 1}", kind, members)
            self.all[account.name] = account
            return account

    @abstractmethod
    def opened(self, name: str, kind: str, members: dict[str, Any]) -> A:
        """A whole account: what `members` do not say is made up, and its tokens are issued."""

    def signed_in(self, kind: str, **members: Any) -> A:
        """The account of whoever signs in: a new one, or the one that the options name, with new tokens."""
        name = self.options.signs_in
        known = self.all.get(name)
        if known is None or known.kind != kind:
            return self.add(kind, "" if known else name, **members)
        self.issue(known, None)
        for member, value in members.items():
            setattr(known, member, value)
        return known

    def issue(self, account: A, parent: Refresh[A] | None) -> Grant[A]:
        """New tokens, `parent` being the refresh token that was redeemed for them."""
        with self._lock:
            generation = parent.generation + 1 if parent else 0
            refresh = Refresh(self.refresh_text(), account, generation, parent)
            if parent:
                parent.children.append(refresh)
            self._refresh[refresh.token] = refresh
            account.refresh_token = refresh.token
            return Grant("ok", generation, account, self._new_access(account, refresh), refresh)

    def _new_access(self, account: A, beside: Refresh[A]) -> Access[A]:
        access = Access(self.access_text(account), account, time.time() + self.life(account), beside)
        self._access[access.token] = access
        account.access_token = access.token
        return access

    @abstractmethod
    def refresh_text(self) -> str: ...

    @abstractmethod
    def access_text(self, account: A) -> str: ...

    def life(self, account: A) -> float:
        """Of its access tokens, in seconds."""
        return self.options.access_life

    def redeem(self, token: str, kinds: Iterable[str], client: str | None = None) -> Grant[A]:
        """Redeem at a service that knows accounts of `kinds`, for the client that asks (None: it need not say). Decides
        and issues in one step.
        """
        with self._lock:
            old = self._refresh.get(token)
            if old is None or old.account.kind not in kinds:
                return Grant("unknown", -1)
            if client not in (None, old.account.client_id):
                return Grant("foreign client", old.generation, old.account)
            if old.account.banned:
                return Grant("revoked", old.generation, old.account)
            if reason := barred(old, self.options.rotation):
                return Grant(reason, old.generation, old.account)
            return self._given(old)

    def _given(self, old: Refresh[A]) -> Grant[A]:
        if self.stays():
            return Grant("ok", old.generation, old.account, self._new_access(old.account, old), old)
        confirm(old)
        outcome = "again" if old.children else "ok"
        new = self.issue(old.account, old)
        return Grant(outcome, old.generation, old.account, new.access, new.refresh)

    def stays(self) -> bool:
        """A refresh token goes on after it was redeemed."""
        return self.options.rotation == "none"

    def bearer(self, token: str) -> tuple[A, bool] | None:
        """Whose token it is and whether it still lives; None for one that was never issued. Counts as a use."""
        with self._lock:
            access = self._access.get(token)
            if access is None:
                return None
            lives = access.expires > time.time()
            if lives:
                confirm(access.beside)
            return access.account, lives

    def owner(self, token: str) -> A | None:
        """Whose refresh token it is or was."""
        refresh = self._refresh.get(token)
        return refresh.account if refresh else None

    def expire(self, name: str = "") -> None:
        """All access tokens of the account (of every account) are taken no more, whatever they say themselves."""
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

    def withdraw(self, token: str) -> None:
        """One refresh token, if it is known, and the access tokens beside it are taken no more."""
        with self._lock:
            refresh = self._refresh.get(token)
            if refresh is None:
                return
            refresh.dead = "revoked"
            for access in self._access.values():
                if access.beside is refresh:
                    access.expires = 0.0

    def living(self, name: str) -> list[str]:
        """The refresh tokens of the account that would still be taken."""
        with self._lock:
            return [refresh.token for refresh in self._refresh.values()
                    if refresh.account.name == name and not barred(refresh, self.options.rotation)]  # fmt: skip
