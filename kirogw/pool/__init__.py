"""Accounts: whose turn it is, and what is known of their health.

In order of the settings: the first that is ready serves. An account rests for a while after a failure that was its own;
when all rest, one whose rest is a guess of ours (a rate limit, a refused login) is tried all the same. How long the
upstream itself asked to be left alone is no guess.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from kirogw.dialects.dialect import Fate, Verdict
from kirogw.errors import GatewayError

RESTS: Final[dict[Fate, tuple[float, ...]]] = {
    # seconds of rest after the first, second... failure of the kind in a row; a hint of the upstream counts if longer
    "slow": (8.0, 30.0, 120.0),
    "exhausted": (300.0, 1800.0, 7200.0),
    "suspended": (20.0, 300.0, 1800.0, 21600.0),
    "login": (30.0, 300.0, 1800.0),
    "attention": (30.0, 300.0, 1800.0),
}
LONGEST: Final = 6 * 3600.0
ASKED_FOR: Final = 600.0  # seconds for which the upstream's own word is taken; after that one try tells more
LACKS: Final = 600.0  # seconds for which an account is not asked first for a model that it did not have
SOFT: Final = frozenset({"slow", "attention", "login"})


@dataclass(slots=True)
class Account:
    """What the gateway knows of an account beside its keys. In epoch seconds: `until`, the end of its rest, and
    `barred`, the end of that part of it that the upstream asked for.
    """

    id: str
    kind: str = ""
    name: str = ""
    until: float = 0.0
    barred: float = 0.0
    fate: Fate = ""
    error: GatewayError | None = None  # what the client heard when it began to rest
    failures: int = 0
    learned: bool = False  # has sent a metadataEvent once, so its absence means a cut
    lacks: dict[str, float] = field(default_factory=dict)  # model -> until

    def ready(self, now: float) -> bool:
        return now >= self.until

    def has(self, model: str, now: float) -> bool:
        return now >= self.lacks.get(model, 0.0)


class Pool:
    """All accounts of this process. Decides under its lock, and nothing else happens there."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._lock = threading.Lock()
        self._accounts = {account.id: account for account in accounts}

    def all(self) -> list[Account]:
        return list(self._accounts.values())

    def replace(self, accounts: Iterable[Account]) -> None:
        """The accounts of now; what was known of those that stay is kept."""
        with self._lock:
            self._accounts = {new.id: self._accounts.get(new.id, new) for new in accounts}

    def pick(self, tried: Collection[str], model: str, now: float) -> Account | None:
        """The account for the next try, none of those in `tried`; None when there is none left that may be asked."""
        with self._lock:
            left = [a for a in self._accounts.values() if a.id not in tried]
            left = [a for a in left if a.has(model, now)] or left
            ready = [a for a in left if a.ready(now)]
            resting = sorted((a for a in left if a.fate in SOFT and now >= a.barred), key=lambda a: a.until)
        return next(iter(ready or resting), None)

    def soonest(self, now: float) -> Account | None:
        """Of the accounts that rest, the one that is ready first; best one whose trouble passes by itself."""
        with self._lock:
            resting = [a for a in self._accounts.values() if not a.ready(now)]
        return min(resting, key=lambda a: (not (a.error and a.error.passes), a.until), default=None)

    def served(self, account: Account) -> None:
        """A success heals."""
        with self._lock:
            account.until, account.barred, account.fate, account.error, account.failures = 0.0, 0.0, "", None, 0

    def failed(self, account: Account, verdict: Verdict, model: str, now: float) -> None:
        with self._lock:
            if verdict.fate == "lacks":
                account.lacks = {name: until for name, until in account.lacks.items() if until > now}
                account.lacks[model] = now + LACKS
            elif verdict.fate:
                rests = RESTS[verdict.fate]
                account.failures = account.failures + 1 if account.fate == verdict.fate else 1
                rest = max(rests[min(account.failures, len(rests)) - 1], verdict.error.wait or 0.0)
                account.until = now + min(rest, LONGEST)
                account.barred = now + min(verdict.hint, ASKED_FOR)
                account.fate, account.error = verdict.fate, verdict.error
