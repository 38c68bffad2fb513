"""The six ways to choose among accounts that can serve alike. Pure.

Each keeps one number per account, its rank, and the smallest is next; so who is full or rests for a while costs nobody
else anything, and who comes back is not sent all that it has missed.

What is left is compared in credits as long as all accounts count those; beside windows of time, which tell a percentage
and no more, all are compared by the part of it that is left.
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
OF_A_WINDOW: Final = 0.2  # percent of a window that a request is taken to cost; heads of answers tell the truth soon

_rank: Final = attrgetter("rank")
_passed: Final = attrgetter("passed")
_used: Final = attrgetter("used")

RANKS: Final[dict[str, Callable[[Account, float, float], float]]] = {
    # account, what a request counts now, what an account has left that nobody has looked at -> rank
    "round-robin": lambda account, scale, usual: account.turn,
    "fill-first": lambda account, scale, usual: account.order,
    "least-used": lambda account, scale, usual: account.used + (account.in_flight + account.elsewhere) * scale,
    "most-quota-left": lambda account, scale, usual: account.spent / account.whole - _left(account, usual),
    "weighted": lambda account, scale, usual: account.passed,
    "random": lambda account, scale, usual: 0.0,
}


def _left(account: Account, usual: float) -> float:
    left = account.quota.left if account.quota else None
    return usual if left is None else left / account.whole


def _limit(account: Account) -> float:
    """All that its plan has, in credits or percent; that of an account that nobody has looked at does not count."""
    quota = account.quota
    if quota is None or not quota.buckets:
        return 0.0
    return 100.0 if quota.windows else sum(bucket.limit for bucket in quota.buckets)


class Turns:
    def __init__(self, mode: str, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to 1, without 1."""
        self._mode, self._rank, self._chance = mode, RANKS[mode], chance
        self._count = 0
        self._passed = 0.0  # of the one that was chosen last
        self._scale, self._since = 1.0, 0.0  # what a request counts for least-used, from when on
        self._usual = 0.0  # what an account has left, where nobody has looked
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
            account.spent += self._price(account)
        self.weigh(account)

    def _price(self, account: Account) -> float:
        """What a request will cost there, as far as anybody knows."""
        return OF_A_WINDOW if account.quota and account.quota.windows else self._cost

    def left(self, account: Account, credits: float | None) -> None:
        """A request has ended, and has cost `credits` (None or 0: nobody knows)."""
        if credits and self._mode == "most-quota-left" and not (account.quota and account.quota.windows):
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
        if self._mode != "most-quota-left":
            return
        parts = any(a.quota.windows for a in self.accounts if a.quota)
        known = [a for a in self.accounts if a.quota and a.quota.left is not None]
        usual = sum(map(_limit, known)) / len(known) if known else 0.0
        for account in self.accounts:
            account.whole = (_limit(account) or usual or 1.0) if parts else 1.0
        self._usual = sum(_left(a, 0.0) for a in known) / len(known) if known else 0.0
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
