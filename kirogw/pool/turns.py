"""The six ways to choose among accounts that can serve alike. Pure.

Each keeps one number per account, its rank, and the smallest is next; so who is full or rests for a while costs nobody
else anything, and who comes back is not sent all that it has missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Final

from kirogw.pool.account import Account

HALF_LIFE: Final = 600.0  # seconds after which a request counts half for least-used
LEAST_WEIGHT: Final = 0.001
LARGE: Final = 64.0  # half-lives after which the figures are made small again
A_REQUEST: Final = 0.3  # credits that a request is taken to cost before one has told its own cost

_rank: Final = attrgetter("rank")
_passed: Final = attrgetter("passed")
_used: Final = attrgetter("used")

RANKS: Final[dict[str, Callable[[Account, float, float], float]]] = {
    # account, what a request counts now, credits of an account that nobody has looked at -> rank
    "round-robin": lambda account, scale, usual: account.turn,
    "fill-first": lambda account, scale, usual: account.order,
    "least-used": lambda account, scale, usual: account.used + (account.in_flight + account.elsewhere) * scale,
    "most-quota-left": lambda account, scale, usual: account.spent - _left(account, usual),
    "weighted": lambda account, scale, usual: account.passed,
    "random": lambda account, scale, usual: 0.0,
}


def _left(account: Account, usual: float) -> float:
    left = account.quota.left if account.quota else None
    return usual if left is None else left


class Turns:
    def __init__(self, mode: str, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to 1, without 1."""
        self._mode, self._rank, self._chance = mode, RANKS[mode], chance
        self._count = 0
        self._passed = 0.0  # of the one that was chosen last
        self._scale, self._since = 1.0, 0.0  # what a request counts for least-used, from when on
        self._usual = 0.0  # credits that an account has left, where nobody has looked
        self._cost = A_REQUEST
        self.accounts: Collection[Account] = ()

    def choose(self, free: list[Account]) -> Account:
        """One of `free`, which are in the order of the settings and at least one."""
        if self._mode == "random":
            return free[int(self._chance() * len(free))]
        return min(free, key=_rank)

    def took(self, account: Account, now: float) -> None:
        """A request starts."""
        self._count += 1
        account.turn = self._count
        if self._mode == "weighted":
            account.passed = self._passed = max(account.passed, self._passed)
            account.passed += 1.0 / max(account.weight, LEAST_WEIGHT)
        elif self._mode == "least-used":
            self._age(now)
            account.used += self._scale
        elif self._mode == "most-quota-left":
            account.spent += self._cost
        self.weigh(account)

    def left(self, account: Account, credits: float | None) -> None:
        """A request has ended, and has cost `credits` (None: nobody knows)."""
        if credits is not None and self._mode == "most-quota-left":
            account.spent += credits - self._cost
            self._cost += (credits - self._cost) / 10
        self.weigh(account)

    def weigh(self, account: Account) -> None:
        account.rank = self._rank(account, self._scale, self._usual)

    def join(self, account: Account, others: Collection[Account]) -> None:
        """It can serve again, or for the first time: it begins where those are that have had the least."""
        if others:
            account.passed = max(account.passed, min(map(_passed, others)))
            account.used = max(account.used, min(map(_used, others)))
        self.weigh(account)

    def looked(self) -> None:
        """A quota is known anew. An account that nobody has looked at counts as one of the mean."""
        known = [left for a in self.accounts if a.quota and (left := a.quota.left) is not None]
        self._usual = sum(known) / len(known) if known else 0.0
        for account in self.accounts:
            self.weigh(account)

    def _age(self, now: float) -> None:
        """A request counts the more the later it is, which is the same as old ones counting less, and cheaper."""
        self._since = self._since or now
        lives = max(0.0, now - self._since) / HALF_LIFE
        if lives > LARGE:
            for account in self.accounts:
                account.used *= 2.0 ** -min(lives, 1000.0)
                self.weigh(account)
            self._since, lives = now, 0.0
        self._scale = 2.0**lives
