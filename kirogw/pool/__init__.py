"""Accounts: how well each is, and whose turn it is.

What makes an account rest, and what ends it: `health.py`, a table. Who is next: `schedule.py`, with `turns.py` and
`sessions.py`. These are pure; here are the lock around them, the waiting for a place, and what other processes hear.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from kirogw import log
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Quota
from kirogw.pool import status
from kirogw.pool.account import PROBE_AGAIN, Account, Full, Nobody, Place, Row, Want
from kirogw.pool.schedule import Schedule
from kirogw.pool.shared import EVERY, Reads, Shared, Writes
from kirogw.settings import Settings
from kirogw.store import Doc, StoreFailed, owner
from kirogw.wire import Json

SOME: Final = 16  # who is woken for one place: not all of them can use it, and whoever is not looks again by himself
EVERYBODY: Final = sys.maxsize

__all__ = ["Account", "Full", "Nobody", "Place", "Pool", "Row", "Want"]


class Pool:
    """All accounts of this process. Decides under its lock, and nothing else happens there.

    Times are epoch seconds and come from the caller. With a store and its `sync`, the pools of all processes on it know
    the same within a second or so; one that can not be reached is missed by nobody.
    """

    def __init__(self, accounts: Iterable[Row] = (), settings: Settings | None = None, *, store: Reads | None = None,
                 sync: Writes | None = None, chance: Callable[[], float] = random.random) -> None:  # fmt: skip
        settings = settings or Settings()
        self._seconds = settings.session_seconds
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._waiting = 0
        self._seen = 0  # how often a place may have become free
        self._schedule = Schedule(settings, chance)
        self._schedule.replace(accounts)
        self._store, self._sync = store, sync
        self._shared: Shared | None = None
        self.version = 0  # another one whenever the accounts are others

    def start(self) -> None:
        """From now on other processes are told and heard. Cheap when called again."""
        store, sync = self._store, self._sync
        if self._shared is not None or store is None or sync is None:
            return
        with self._lock:
            if self._shared is not None:
                return
            self._shared = Shared(store, sync, owner)
        self._hear_health()
        sync.watch("health", self._hear_health)
        sync.watch("process", self._hear_processes)
        sync.every(EVERY, self._tell)

    # accounts

    def all(self) -> list[Account]:
        return list(self._schedule.accounts.values())

    def replace(self, rows: Iterable[Row]) -> None:
        """The accounts of now; what is known of those that stay is kept."""
        rows, now = list(rows), time.time()
        with self._lock:
            gone = self._schedule.replace(rows, now)
            self.version += 1
            changes = self._schedule.changes()
            self._wake(EVERYBODY)
        if self._shared:
            for account in gone:
                self._shared.forget(account)
            self._hear_health()
        for changed, model in changes:
            self._told(changed, model, now)

    def find(self, name: str) -> Account | None:
        """The account with this id, or the only one with this label."""
        accounts = self._schedule.accounts
        labelled = [account for account in accounts.values() if account.label == name and name]
        return accounts.get(name) or (labelled[0] if len(labelled) == 1 else None)

    def status(self, now: float) -> list[Json]:
        """A row for people per account, without a secret: see status.row."""
        with self._lock:
            return [status.row(account, now) for account in self._schedule.accounts.values()]

    # a request

    def take(self, want: Want, now: float) -> Place | Full | Nobody:
        """A place for one try. Who gets one gives it back with `leave`, whatever becomes of the request."""
        bound = self._look_up(want) if self._shared and want.session else None
        with self._lock:
            if bound:
                self._schedule.sessions.hear(want.session, *bound, now)
            place = self._schedule.take(want, now)
            if type(place) is Full:
                return Full(place.wait, self._seen)
            for session, news, moved in self._schedule.sessions.news() if want.session else ():
                if self._shared:
                    self._shared.tell_session(session, news, moved, self._seconds)
        return place

    def _look_up(self, want: Want) -> tuple[str, float] | None:
        if self._shared is None or want.begins or self._schedule.sessions.known(want.session):
            return None
        return self._shared.look_up(want.session)

    def wait(self, seconds: float, seen: int | None = None) -> None:
        """Until a place may be free, at most `seconds`; at once if one was since the Full with this `seen`."""
        with self._freed:
            if seen is None or seen == self._seen:
                self._waiting += 1
                try:
                    self._freed.wait(seconds)
                finally:
                    self._waiting -= 1

    def leave(self, place: Place, now: float, credits: float | None = None) -> None:
        """The place is free again. `credits`: what the request has cost, where that is known."""
        with self._lock:
            self._schedule.leave(place, now, credits)
            self._wake(SOME)

    def _wake(self, most: int) -> None:
        """Those who wait longest look again."""
        self._seen += 1
        if self._waiting:
            self._freed.notify(most)

    # what became of it

    def served(self, account: str, model: str, now: float, began: float | None = None) -> None:
        """A try was answered: that heals. `began` is when it was sent: an answer older than a failure heals nothing."""
        self._change(account, now, lambda one: self._schedule.served(one, model, now, began))

    def failed(self, account: str, verdict: Verdict, model: str, now: float, began: float | None = None) -> None:
        """A try failed. To be told of each, also when the same account is asked again. `began` is when it was sent:
        tries that were on their way when the account began to rest count as one failure.
        """
        self._change(account, now, lambda one: self._schedule.failed(one, verdict, model, now, began))

    def quota(self, account: str, quota: Quota, now: float) -> None:
        """What a look at the account's plan has shown."""
        self._change(account, now, lambda one: self._schedule.looked(one, quota, now))

    def renewed(self, account: str, now: float) -> None:
        """It has a new login: what was held against the old one is over."""
        self._change(account, now, lambda one: self._schedule.renewed(one, now))

    def clear(self, account: str, model: str | None = None, now: float | None = None) -> None:
        """Its owner says that it works again, whatever was known of it before, here or in another process."""
        at = time.time() if now is None else now
        self._change(account, at, lambda one: self._schedule.clear(one, model, at))
        if self._shared and (cleared := self._schedule.accounts.get(account)):
            self._shared.put_health(cleared, model or "", at)

    def probe_due(self, now: float) -> list[str]:
        """Accounts that somebody should look at now, with a call that costs nothing: tell what it says by `quota` or
        `failed`. Each is named once in a while only.
        """
        with self._lock:
            due = [account for account in self._schedule.accounts.values() if account.look_due(now)]
            for account in due:
                account.looked_for = now + PROBE_AGAIN
        return [account.id for account in due]

    def _change(self, id: str, now: float, change: Callable[[Account], None]) -> None:
        with self._lock:
            account = self._schedule.accounts.get(id)
            if account is None:
                return
            change(account)
            changes = self._schedule.changes()
            if changes:
                self._wake(EVERYBODY)
        for changed, model in changes:
            self._told(changed, model, now)

    def _told(self, account: Account, model: str, now: float) -> None:
        state = account.marks.get(model, account.health) if model else account.health
        log.logger.info("account %s is %s%s", account.name or account.id, state.state, _because(state.reason, model))
        if self._shared:
            self._shared.tell_health(account, model, now)

    # other processes; in the thread of `sync`

    def _hear_health(self) -> None:
        docs = self._docs("health")
        with self._lock:
            if self._shared and docs and self._shared.hear_health(self._schedule, docs, time.time()):
                self._wake(EVERYBODY)

    def _hear_processes(self) -> None:
        docs = self._docs("process")
        with self._lock:
            if self._shared and docs is not None and self._shared.hear_processes(self._schedule, docs, time.time()):
                self._wake(EVERYBODY)

    def _docs(self, kind: str) -> dict[str, Doc] | None:
        try:
            return self._store.all(kind) if self._store else None
        except StoreFailed as error:
            log.logger.debug("the %s of other processes can not be read: %s", kind, error)
            return None

    def _tell(self) -> None:
        if self._shared and self._sync:
            now = time.time()
            with self._lock:
                told = self._shared.tell_process(self._schedule.accounts, now)
                due = self._shared.listen_due(now)
            if told:
                self._sync.flush()  # now: who hears it late takes what is taken
            if due:
                self._hear_processes()


def _because(reason: str, model: str) -> str:
    return (f" for {model[:80]}" if model else "") + (f" ({reason})" if reason else "")
