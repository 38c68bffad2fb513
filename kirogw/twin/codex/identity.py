"""Who calls, and whether the service lets them. DENIALS is the table: the first row that holds answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin.codex import mishaps
from kirogw.twin.codex.accounts import Account, Accounts
from kirogw.twin.codex.state import Options
from kirogw.twin.state import Incoming
from kirogw.wire import Json


@dataclass(frozen=True)
class Caller:
    """All that the rows look at."""

    incoming: Incoming
    door: str  # codex, siwc
    operation: str
    options: Options
    account: Account | None
    alive: bool  # the token has not run out

    @property
    def own(self) -> Account:
        """The account, once the row that asks for one has passed."""
        if self.account is None:
            raise LookupError("nobody")
        return self.account

    def header(self, name: str) -> str:
        return self.incoming.headers.get(name, "")


@dataclass(frozen=True)
class Denial:
    name: str
    holds: Callable[[Caller], bool]
    status: int
    body: Json


def _error(code: str, message: str, kind: str = "invalid_request_error") -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _of(name: str) -> tuple[int, Json]:
    """Status and body of a fault by its name."""
    fault = mishaps.NAMED[name]
    return fault["status"], _error(fault["code"], fault["message"], fault["type"])


DENIALS: Final = (
    Denial("no_bearer", lambda c: not c.incoming.bearer, 401, {"detail": "Unauthorized"}),
    Denial("unknown_bearer", lambda c: c.account is None, 401,
           _error("token_invalidated", "Your authentication token has been invalidated. Please try signing in again.")),
    Denial("foreign_door", lambda c: c.own.kind != c.door, 401,
           _error("", "You have insufficient permissions for this operation. Missing scopes: api.responses.write.")),
    Denial("expired", lambda c: not c.alive, *_of("token_expired")),
)  # fmt: skip


def identify(incoming: Incoming, door: str, operation: str, accounts: Accounts) -> tuple[Any, Denial | None]:
    """The account and the row that denies it, if one does; without such a row there is an account."""
    known = accounts.bearer(incoming.bearer)
    account, alive = known or (None, False)
    if accounts.options.open and account is None:
        return next(one for one in accounts.all.values() if one.kind == door), None
    caller = Caller(incoming, door, operation, accounts.options, account, alive)
    return account, next((row for row in DENIALS if row.holds(caller)), None)
