"""Who calls, and whether the service lets them. DENIALS is the table: the first row that holds answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kirogw.twin.codex import mishaps
from kirogw.twin.codex.accounts import DIRECT, Account, Accounts
from kirogw.twin.state import Incoming
from kirogw.wire import Json


@dataclass(frozen=True)
class Caller:
    """All that the rows look at."""

    incoming: Incoming
    door: str  # codex, siwc
    account: Account | None
    alive: bool  # the token has not run out

    @property
    def own(self) -> Account:
        """The account, once the row that asks for one has passed."""
        if self.account is None:
            raise LookupError("nobody")
        return self.account


@dataclass(frozen=True)
class Denial:
    name: str
    holds: Callable[[Caller], bool]
    status: int
    body: Json


def body_of(name: str) -> tuple[int, Json]:
    """Status and body of a fault by its name."""
    fault = mishaps.NAMED[name]
    if "detail" in fault:
        return fault["status"], {"detail": fault["detail"]}
    error = {"message": fault["message"], "type": fault["type"], "param": None, "code": fault["code"]}
    return fault["status"], {"error": {**error, **fault.get("more", {})}}


def _suspended(name: str) -> Denial:
    return Denial(name, lambda caller: caller.own.suspended == name, *body_of(name))


def _foreign_workspace(caller: Caller) -> bool:
    return caller.door == "codex" and caller.incoming.headers.get("chatgpt-account-id") != caller.own.workspace


def _no_consent(caller: Caller) -> bool:
    return caller.door == "siwc" and DIRECT not in caller.own.scope.split()


DENIALS: Final = (
    Denial("no_bearer", lambda c: not c.incoming.bearer, *body_of("unauthorized")),
    Denial("unknown_bearer", lambda c: c.account is None, *body_of("token_invalidated")),
    Denial("expired", lambda c: not c.alive, *body_of("token_expired")),
    Denial("codex_at_siwc", lambda c: c.door == "siwc" and c.own.kind == "codex", *body_of("missing_scopes")),
    Denial("siwc_at_codex", lambda c: c.door == "codex" and c.own.kind == "siwc", *body_of("route_not_supported")),
    Denial("no_consent", _no_consent, *body_of("scope_not_authorized")),
    *map(_suspended, ("account_deactivated", "deactivated_workspace", "usage_not_included", "not_eligible",
                      "invalid_user", "admission")),
    Denial("foreign_workspace", _foreign_workspace, *body_of("invalid_workspace")),
)  # fmt: skip


def identify(incoming: Incoming, door: str, accounts: Accounts) -> Account | Denial:
    """The account that calls, or the row that holds against it."""
    account, alive = accounts.bearer(incoming.bearer) or (None, False)
    if accounts.options.open:
        return account or next(one for one in accounts.all.values() if one.kind == door)
    caller = Caller(incoming, door, account, alive)
    return next((row for row in DENIALS if row.holds(caller)), None) or caller.own
