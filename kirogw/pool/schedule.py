"""Whose turn it is. Pure: the time and chance come in as arguments, and nobody else may look meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from kirogw.convert import Providers
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Quota
from kirogw.pool import health
from kirogw.pool.account import ALONE, MOST_MARKS, Account, Full, Nobody, Place, Row, Want
from kirogw.pool.sessions import Bound, Sessions
from kirogw.pool.turns import Turns
from kirogw.settings import Settings

PATIENCE: Final = 2.0  # seconds that a session waits for a place at its own account, before it goes elsewhere
FIRST_GAP: Final = 0.2  # seconds between two starts after a rate limit; doubled by each further one
LONGEST_GAP: Final = 4.0
QUIET: Final = 30.0  # seconds without a rate limit after which the gap is halved
RECHECK: Final = 1.0  # seconds after which to look again for a place, if nobody says before that one is free
FREE, GUESS, BARRED = range(3)  # may serve; may serve if nobody else can; may not


class Schedule:
    """All accounts, in the order of the settings."""

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        self.accounts: dict[str, Account] = {}
        self.sessions = Sessions(settings.session_seconds)
        self.processes = 1  # that share these accounts, as last heard
        self._turns = Turns(settings.scheduling_mode, chance)
        self._sticky, self._limit = settings.sticky_sessions, settings.account_concurrency
        self._pace, self._rotates = settings.retry_pace, settings.chatgpt_rotation
        self._providers = Providers(settings)
        self._alone: frozenset[str] = frozenset()  # accounts of which only the first that can serve does
        self._sound: list[Account] = []  # nothing speaks against them
        self._others: list[Account] = []  # something does, or did
        self._changed: list[tuple[Account, str]] = []

    def replace(self, rows: Iterable[Row], now: float = 0.0) -> list[str]:
        """The accounts of now; what is known of those that stay is kept, but for a login that is well again. Gives the
        ids of those that are gone.
        """
        before, self.accounts = self.accounts, {}
        for row in rows:
            account = before.get(row.id) or Account(row.id)
            account.kind, account.name, account.label = row.kind, row.name, row.label
            account.provider = self._providers.of(row.kind).name
            account.enabled, account.weight, account.limit = row.enabled, row.weight, row.limit
            account.order = len(self.accounts)
            self.accounts[row.id] = account
            self.count(account, account.elsewhere)
            if row.state == "ready" and account.health.kind in health.SIGN_IN and account.health.state != "ready":
                self.heal(account, health.mended(account.health, now))
        self._turns.accounts = self.accounts.values()
        alone = [] if self._rotates else [account.id for account in self.accounts.values() if account.kind in ALONE]
        self._alone = frozenset(alone if len(alone) > 1 else ())
        self._sort()
        for account in self.accounts.values():
            if account.id not in before:
                self._turns.join(account, self._sound)
        return [gone for gone in before if gone not in self.accounts]

    def count(self, account: Account, elsewhere: int, again: bool = True) -> bool:
        """So many answers are in flight in other processes. Whether there is a place now, and was none before.

        Of the places that are free a process takes no more than its part, until it may `again`: the others may take
        theirs at the same moment.
        """
        before, account.elsewhere = account.room, elsewhere
        limit = self._limit if account.limit is None else account.limit
        free = limit - account.in_flight - elsewhere
        if not limit:
            account.room = math.inf
        elif again or self.processes == 1:
            account.room = math.ceil(free / self.processes) if free > 0 else free
        else:
            account.room = min(free, before)
        self._turns.weigh(account)
        return before <= 0 < account.room

    def changes(self) -> list[tuple[Account, str]]:
        """Accounts, and for which model ("": all), whose health is another since this was asked last."""
        changed, self._changed = self._changed, []
        return changed

    # a request

    def take(self, want: Want, now: float) -> Place | Full | Nobody:
        fit, guessed = self._sound, list[Account]()
        if want.tried or want.only is not None:
            fit = [account for account in fit if _asked(account, want)]
        if self._others:
            fit, guessed = self._judged(fit, want, now)
        if self._alone:
            fit, guessed = self._firsts(fit), self._firsts(guessed)
        if not fit:
            return self._guess(guessed, want, now)
        guest = False
        if self._sticky and want.session:
            bound = self._bound(want, now)
            home = self.accounts.get(bound.account) if bound else None
            if bound and home is not None and home in fit:
                if _starts(home, now):
                    return self._place(home, want, now)
                if want.waited < PATIENCE:
                    return Full(_wait((home,), now))
                guest = bound.running > 0
        free = [account for account in fit if _starts(account, now)]
        if not free:
            return Full(_wait(fit, now))
        if self._others:
            free = [account for account in free if want.model not in account.marks] or free
        return self._place(self._turns.choose(free), want, now, guest)

    def _firsts(self, accounts: list[Account]) -> list[Account]:
        """Without those that only serve when no one before them can, although their conversation is on them."""
        first = min((a.order for a in accounts if a.id in self._alone), default=None)
        return [a for a in accounts if a.id not in self._alone or a.order == first]

    def _bound(self, want: Want, now: float) -> Bound | None:
        """The account that the session is on."""
        return self.sessions.find(want.session, now) if want.session and self._sticky and not want.begins else None

    def _judged(self, sound: list[Account], want: Want, now: float) -> tuple[list[Account], list[Account]]:
        """Who may serve, and who may if nobody else can. Accounts that lack the model count if none can have it."""
        have: tuple[list[Account], ...] = (list(sound), [], [])
        lack: tuple[list[Account], ...] = ([], [], [])
        cured = False
        for account in self._others:
            if account.enabled and _asked(account, want):
                self.set_back(account, now)
                cured |= not self._tidied(account, now)
                mark = account.marks.get(want.model)
                lacks = mark is not None and health.STEPS[mark.kind].mark == "lacks" and mark.resting(now)
                (lack if lacks else have)[_judge(account, now)].append(account)
        if cured:
            self._sort()
        fit, guessed, _ = have if any(have) else lack
        return fit, guessed

    def _guess(self, guessed: list[Account], want: Want, now: float) -> Place | Full | Nobody:
        """All rest, but of some it is only a guess that they must: the one of the session, or that with the least of
        its rest left.
        """
        bound = self._bound(want, now)
        guessed.sort(key=lambda account: (not bound or account.id != bound.account, account.health.until))
        for account in guessed:
            if _starts(account, now):
                return self._place(account, want, now)
        return Full(_wait(guessed, now)) if guessed else self._nobody(want, now)

    def _nobody(self, want: Want, now: float) -> Nobody:
        asked = [a for a in self.accounts.values() if want.only is None or a.id in want.only]
        resting = [a for a in asked if a.enabled and a.health.resting(now)]
        reasons = {a.id: (a.state, _why(a, want), a.health.opens(now)) for a in asked}
        errors = [(not error.passes, a.health.opens(now), n, error)
                  for n, a in enumerate(resting) if (error := health.error(a.health, now))]  # fmt: skip
        until = min((a.health.opens(now) for a in resting), default=None)
        return Nobody(until, reasons, min(errors)[3] if errors else None)

    def _place(self, account: Account, want: Want, now: float, guest: bool = False) -> Place:
        account.in_flight += 1
        account.room -= 1
        account.requests += 1
        account.last_used = now
        if account.gap:
            account.next_start = now + _distance(account, now, self._pace)
        place = Place(account, want.model, want.session, now)
        if account.health.state != "ready":
            place.probe = True
            account.probing += 1
        if want.session and self._sticky and not guest:
            place.bound, before = self.sessions.bind(want.session, account.id, now)
            place.bound.running += 1
            place.moved_from = "" if want.begins else before
        self._turns.took(account, now)
        return place

    def leave(self, place: Place, now: float, credits: float | None = None) -> None:
        """Give a place back, once; whoever does it again changes nothing."""
        if place.given_back:
            return
        place.given_back, account = True, place.account
        account.in_flight -= 1
        account.room += 1
        account.last_used = now
        account.probing -= place.probe
        if place.bound:
            place.bound.running -= 1
        self._turns.left(account, credits)

    # what became of it

    def served(self, account: Account, model: str, now: float, began: float | None) -> None:
        """A success. One that began before the account's last failure says nothing of it."""
        self.set_back(account, now, now if began is None else min(began, now))
        account.successes += 1
        if account.marks and model in account.marks:
            self._cured(account, model, now)
        if account.health.kind and (began is None or began >= account.health.at):
            self.heal(account, health.served(now))

    def failed(self, account: Account, verdict: Verdict, model: str, now: float, began: float | None) -> None:
        found = health.step_of(verdict)
        if found is None:
            return
        account.failures += 1
        self.set_back(account, now)
        step = found[1]
        if step.mark:
            before = account.marks.get(model, health.READY)
            account.marks[model] = health.failed(before, verdict, now, began=began)
            self._tidied(account, now)
            self._news(account, model)
            return
        if step.pace:
            slow_down(account, now, self._pace)
        reset = account.quota.opens_at if account.quota and account.quota.exhausted else None
        self.heal(account, health.failed(account.health, verdict, now, began=began, reset=reset))

    def looked(self, account: Account, quota: Quota, now: float) -> None:
        account.quota, account.spent = quota, 0.0
        self.set_back(account, now)
        self._turns.looked()
        self.heal(account, health.looked(account.health, quota, now))

    def renewed(self, account: Account, now: float) -> None:
        """It has a new login."""
        if account.health.kind in health.LOGINS:
            self.heal(account, health.served(now))

    def clear(self, account: Account, model: str | None, now: float) -> None:
        """Forget what is held against an account, or only what is held against it for a model."""
        for name in list(account.marks) if model is None else [model]:
            self._cured(account, name, now)
        if model is None:
            account.gap, account.next_start, account.cleared = 0.0, 0.0, now
            if account.health.kind:
                self.heal(account, health.served(now))
            else:  # older news may still come
                account.health = replace(account.health, at=now)

    def _cured(self, account: Account, model: str, now: float) -> None:
        account.cure(model, now)
        if account.marks.pop(model, None):
            self._news(account, model)

    def heal(self, account: Account, new: health.Health) -> None:
        """Its health is now another one."""
        if new is not account.health:
            account.health = new
            self._news(account, "")

    def hear(self, account: Account, model: str, new: health.Health) -> None:
        """Another process has found its health, or that for a model, to be this."""
        if not model:
            account.health = new
        elif new.state == "ready":
            account.cure(model, new.at)
            account.marks.pop(model, None)
        else:
            account.marks[model] = new
        self._sort()

    def hear_cleared(self, account: Account, at: float) -> bool:
        """In another process its owner has said that it works. Whether that is news."""
        if at <= account.cleared:
            return False
        account.cleared = at
        account.marks = {model: mark for model, mark in account.marks.items() if mark.at >= at}
        self._sort()
        return True

    def set_back(self, account: Account, now: float, to: float | None = None) -> None:
        """What is known of it is not of the future, even if the clock was set back: else it would rest so much longer,
        and no success would end that. It counts as of `to`, or now.
        """
        to = now if to is None else to
        if account.health.at > now + health.JUMP:
            account.health = health.set_back(account.health, to)
        if account.marks and max(mark.at for mark in account.marks.values()) > now + health.JUMP:
            account.marks = {model: health.set_back(mark, to) for model, mark in account.marks.items()}
        if account.cleared > now + health.JUMP:
            account.cleared = to
        if account.cured and max(account.cured.values()) > now + health.JUMP:
            account.cured = {model: min(at, to) for model, at in account.cured.items()}

    def _news(self, account: Account, model: str) -> None:
        self._changed.append((account, model))
        self._sort()

    def _sort(self) -> None:
        before = set(self._sound)
        usable = [account for account in self.accounts.values() if account.enabled]
        self._sound = [a for a in usable if a.health.state == "ready" and not a.marks]
        self._others = [a for a in usable if a.health.state != "ready" or a.marks]
        for account in self._sound:
            if account not in before:
                self._turns.join(account, before)

    def _tidied(self, account: Account, now: float) -> bool:
        """Whether something still speaks against the account, after what has ended is forgotten."""
        if account.marks:
            account.marks = {model: mark for model, mark in account.marks.items() if mark.resting(now)}
            while len(account.marks) > MOST_MARKS:
                del account.marks[min(account.marks, key=lambda model: account.marks[model].until)]
        return bool(account.marks) or account.health.state != "ready"


def _starts(account: Account, now: float) -> bool:
    """Whether it takes one more request now. No gap is longer than the longest, unless the clock was set back."""
    return account.room > 0 and not now < account.next_start <= now + LONGEST_GAP


def _asked(account: Account, want: Want) -> bool:
    return account.id not in want.tried and (want.only is None or account.id in want.only)


def _why(account: Account, want: Want) -> str:
    """Why the account does not serve this request."""
    if account.id in want.tried:
        return account.health.reason or "tried"
    mark = account.marks.get(want.model)
    return account.health.reason or (mark.reason if mark else "")


def _judge(account: Account, now: float) -> int:
    """After a rest, one request tries the account, and the others wait for what it says."""
    state = account.health
    if state.state == "ready":
        return FREE
    if not state.resting(now):
        left_to_probe = state.state == "suspended" and now < state.until + health.PROBED
        return GUESS if account.probing or left_to_probe else FREE
    return GUESS if state.soft and now >= state.barred else BARRED


def _wait(accounts: Iterable[Account], now: float) -> float:
    starts = [account.next_start - now for account in accounts if account.room > 0]
    return min([RECHECK, *starts])


def slow_down(account: Account, now: float, pace: float) -> None:
    """A rate limit: its next requests start at distances, which grow with each burst of such refusals. `pace` is a
    factor for them.
    """
    if not 0.0 <= now - account.limited < health.BURST or not account.gap:
        account.gap = min(LONGEST_GAP, max(FIRST_GAP, gap(account, now) * 2))
        account.limited = now
    account.next_start = max(min(account.next_start, now + LONGEST_GAP), now + _distance(account, now, pace))


def _distance(account: Account, now: float, pace: float) -> float:
    return min(LONGEST_GAP, gap(account, now) * pace)


def gap(account: Account, now: float) -> float:
    """Seconds between two starts: halved for each QUIET time, and none once it is less than at first."""
    account.limited = min(account.limited, now)
    quiet = (now - account.limited) // QUIET
    left: float = account.gap / 2.0 ** min(quiet, 64.0) if account.gap else 0.0
    if left < FIRST_GAP:
        account.gap = left = 0.0
    return left
