"""When no account can serve: what the client hears, which is when one can, and of each account why it can not now.

The class of the error, and so its status, is that of the account that can serve first: 429 where it is limited or its
plan is used up, 503 where it is locked, 403 where only a person can help.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Final

from kirogw.dialects.provider import Verdict
from kirogw.errors import (
    Busy,
    Forbidden,
    GatewayError,
    NeedsLogin,
    Overloaded,
    QuotaUsed,
    ShuttingDown,
    UnknownModel,
)
from kirogw.pool import Nobody
from kirogw.routing import Route

NONE: Final = (
    "no account is set up: run `kirogw.py login kiro` or `kirogw.py login chatgpt`, or sign in with the Kiro IDE,"
    " kiro-cli or Codex CLI"
)
SHOWN: Final = 5  # accounts that are named
OWN: Final = (Busy, QuotaUsed, NeedsLogin, Forbidden)  # what is an account's own trouble; all else is everybody's

# No word here may be one of clients.ASKED_AGAIN: they also stand in errors that do not pass.
WORDS: Final = {
    # reason (a row of the provider's faults), else state: what is said of the account
    "rate": "is limited", "credit rate": "spends credits too fast", "model": "lacks this model",
    "version": "lacks this model", "unknown model": "lacks this model",
    "capacity": "is short of this model", "unavailable": "is short of this model", "edge": "was refused by an edge",
    "refresh-failed": "could not renew its login", "renew-failed": "could not renew its login",
    "cooling": "was refused", "exhausted": "has used up its plan", "suspended": "is locked by its provider",
    "login": "needs a login", "disabled": "is switched off", "tried": "has just failed", "ready": "has just failed",
}  # fmt: skip
PASSING: Final = frozenset({"rate", "credit rate", "capacity", "unavailable", "refresh-failed", "renew-failed"})
"""Reasons to rest that end by themselves. Others need somebody who looks at the account."""
BY_STATE: Final[dict[str, type[GatewayError]]] = {
    "cooling": Busy, "exhausted": QuotaUsed, "suspended": Overloaded,
}
ADVICE: Final[dict[type[GatewayError], str]] = {
    Busy: "Try again in {span}", Overloaded: "Try again in {span}", NeedsLogin: "Somebody must sign in",
    QuotaUsed: "Wait for that, raise the plan's limit or add an account",
    Forbidden: "The owner of the gateway must look at it",
}  # fmt: skip
SPANS: Final = ((172_800.0, 86_400.0, "days"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))


def nobody(found: Nobody, tried: Mapping[str, GatewayError], names: Mapping[str, str], now: float) -> GatewayError:
    """`tried`: accounts that have failed this request, in order, with how; `names`: of all accounts, for people."""
    if not tried and not found.reasons:
        return NeedsLogin(NONE)
    rest = {id: reason for id, reason in found.reasons.items() if id not in tried}
    last: GatewayError | None = list(tried.values())[-1] if tried else None
    if last and not rest and (len(tried) == 1 or not all(isinstance(error, OWN) for error in tried.values())):
        return last
    if last and not isinstance(last, OWN):  # it would not have helped to have more accounts
        return last
    if not tried and len(rest) == 1 and found.error and next(iter(rest.values()))[0] != "suspended":
        return copy.copy(found.error)
    return _told(found, names, now)


def _told(found: Nobody, names: Mapping[str, str], now: float) -> GatewayError:
    """By the account that can serve first; those that no time heals come after all others."""
    coming = [(until, BY_STATE[state]) for state, reason, until in found.reasons.values()
              if _comes(state, reason, until, now)]
    if coming:
        until, error = min(coming, key=lambda pair: pair[0])
        wait: float | None = max(1.0, until - now)
    else:
        states = {state for state, _, _ in found.reasons.values()}
        wait, error = None, NeedsLogin if "login" in states else Forbidden
    said = [_account(names.get(id, id), *reason, now) for id, reason in found.reasons.items()]
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    advice = ADVICE[error].format(span=span(wait or 0.0))
    return error(f"No account can serve this just now: {', '.join([*said[:SHOWN], *more])}. {advice}.", wait=wait)


def _comes(state: str, reason: str, until: float, now: float) -> bool:
    """Whether time heals it, and not a person."""
    return until > now and (state in ("exhausted", "suspended") or (state == "cooling" and reason in PASSING))


def _account(name: str, state: str, reason: str, until: float, now: float) -> str:
    words = WORDS.get(reason) or WORDS[state]
    return f"{name} {words}" + (f" (for {span(until - now)})" if _comes(state, reason, until, now) else "")


def span(seconds: float) -> str:
    """In words for people, rounded up."""
    _, unit, name = next(row for row in SPANS if seconds >= row[0])
    return f"{max(1, math.ceil(seconds / unit))} {name}"


# Others who can not serve


def no_token(error: GatewayError, rule: str) -> Verdict:
    """No login could be had: somebody must sign in, or (`rule`) it may work later. Another account may do."""
    if isinstance(error, NeedsLogin):
        return Verdict(error, "needs-login", elsewhere=True, fate="login")
    return Verdict(error, rule, elsewhere=True)


def stopped() -> ShuttingDown:
    return ShuttingDown("the gateway is being stopped or restarted; try again in a moment", wait=1.0)


def not_offered(route: Route) -> GatewayError:
    whose = " or ".join(sorted(route.providers))
    return UnknownModel(f"no account that may serve this request offers the model {route.model[:100]!r}"
                        f" ({whose} would); name another one, or add an account")  # fmt: skip


def crowded(last: GatewayError | None) -> GatewayError:
    """There was no place in time. `last`: what the account said that was tried last."""
    if last and last.passes:
        return last
    return Busy(
        "All accounts that could serve are busy with as many answers as they may give at once. Try again in a moment,"
        " add an account or raise ACCOUNT_CONCURRENCY.", wait=5.0,
    )  # fmt: skip
