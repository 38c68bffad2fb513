"""What each account has left: asked for in time, kept in the store for all processes, never lost by a failure.

One process asks on a schedule (background.py): each account every four to five minutes, and when its plan is reset. Any
process asks when a request was refused because a plan is used up, and whenever somebody wants to know now. Where the
heads of answers tell, that counts too, and saves the questions. Some logins' providers tell nobody.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from kirogw import log
from kirogw.convert import Providers
from kirogw.dialects.provider import Login, Provider, Verdict
from kirogw.dialects.quota import Quota
from kirogw.errors import GatewayError
from kirogw.quotas.snapshot import NOTHING, Snapshot, dumped, loaded, merged, next_time, outdated, points, viewed
from kirogw.settings import Settings
from kirogw.store import Store, owner
from kirogw.store.sync import Sync
from kirogw.transport import Lost
from kirogw.wire import Json, Reply, Request

KIND: Final = "quota"
LIMIT: Final = 15.0  # seconds of silence from a host that is asked
SPACING: Final = 15.0  # seconds between two questions because of refused requests, of all processes together
HEARD: Final = 5.0  # seconds between two heads of an account that count, in each process
ABREAST: Final = 4
RESTING: Final = frozenset({"disabled", "suspended", "login"})  # states in which asking is of no use (see probes)
SKEW: Final = 60.0  # seconds by which clocks of several machines may differ
GONE: Final = 30 * 86400.0  # what nobody asked for so long belongs to an account that is no more

__all__ = ["Known", "Quotas", "Snapshot", "dumped", "loaded", "next_time", "outdated", "viewed"]


class Known(Protocol):
    """What is needed of an account: pool.Account is one. `state` is the pool's."""

    @property
    def kind(self) -> Any: ...
    @property
    def state(self) -> str: ...


class Keys(Protocol):
    """What is needed of auth.Logins."""

    def fresh(self, account: str) -> Login: ...

    def renew(self, account: str, spent: str) -> Login: ...

    def profile(self, account: str) -> str: ...


class Quotas:
    """All accounts' quotas, as this process knows them. Safe for all threads.

    `call` sends a request and raises Lost. `accounts` gives them all, by id. `told` hears of each new quota, whichever
    process asked; `locked` of an account that the provider has locked. Both are called in threads of the background,
    `told` in those of requests, too.
    """

    def __init__(self, settings: Settings, providers: Providers, call: Callable[[Request, float], Reply], logins: Keys,
                 store: Store, sync: Sync, *, accounts: Callable[[], Mapping[str, Known]],
                 told: Callable[[str, Quota], None], locked: Callable[[str, Verdict], None],
                 now: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._settings, self._providers, self._call, self._logins = settings, providers, call, logins
        self._store, self._sync = store, sync
        self._accounts, self._told, self._locked, self._now = accounts, told, locked, now
        self._askable: dict[str, bool] = {}  # by kind of login
        self._kept: dict[str, Snapshot] = {}
        self._times: dict[str, tuple[float, float]] = {}  # account -> (tried, when to ask next)
        self._wanted: dict[str, float] = {}
        self._asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._looked = False
        sync.watch(KIND, self.look)

    # What is known

    def of(self, account: str) -> Quota | None:
        return self.snapshot(account).quota

    def quotas(self) -> dict[str, Quota]:
        """All that are known."""
        return {account: kept.quota for account, kept in list(self._kept.items()) if kept.quota}

    def snapshot(self, account: str) -> Snapshot:
        return self._kept.get(account, NOTHING)

    def view(self, account: str, now: float) -> Json | None:
        """For people and programs, without the user's id; None when it was never asked for."""
        kept = self._kept.get(account)
        if kept is None and not self._can_ask(one := self._accounts().get(account)):
            provider = self._providers.of(one.kind if one else "")
            why = f"{provider.title} tells no program what such a login has left; see {provider.plans}"
            return viewed(Snapshot(error=why), now)
        return viewed(kept, now) if kept else None

    def _can_ask(self, account: Known | None) -> bool:
        """Whether its provider tells what such a login has left. Whose kind is not known yet may be asked."""
        kind: Any = account.kind if account else ""
        if kind and kind not in self._askable:
            self._askable[kind] = bool(self._providers.of(kind).quota_hosts(Login(kind, "")))
        return self._askable.get(kind, True)

    def look(self) -> None:
        """Take over what other processes were told. Raises StoreFailed."""
        self._looked = True
        for account, doc in self._store.all(KIND).items():
            self._keep(account, loaded(doc.value))

    def _keep(self, account: str, new: Snapshot, mine: bool = False) -> None:
        """Others' news count if they are newer by the clock, `mine` in any case."""
        with self._lock:
            old = self._kept.get(account)
            if old and old.tried >= new.tried and not mine:
                return
            self._kept[account] = new
        known = old is not None and old.quota is not None and old.quota == new.quota
        if new.quota and not known and not outdated(new.quota, self._now()):
            self._told(account, new.quota)

    def told(self, account: str, quota: Quota) -> None:
        """What the head of an answer said. It counts now and then, but at once when it says that the account is used
        up or no longer is. Never waits.
        """
        kept = self.snapshot(account)
        known = kept.quota
        soon = 0 <= quota.asked_at - kept.tried < HEARD
        if not quota.buckets or (soon and known and known.exhausted == quota.exhausted):
            return
        new = merged(known, quota)
        self._share(account, Snapshot(new, quota.asked_at, points=points(kept.points, new)))

    # Asking

    def refresh(self, account: str) -> Quota:
        """Ask now. Threads that want it at the same time share one answer. Raises GatewayError; then what was known
        before stays. Where nobody can be asked, that is all there is.
        """
        began = self._now()
        with self._asking[account]:
            known = self.snapshot(account)
            if known.quota and began < known.quota.asked_at <= self._now() and not known.error:
                return known.quota
            return self._refresh(account, known)

    def _refresh(self, account: str, known: Snapshot) -> Quota:
        now = self._now()
        try:
            quota = self._ask(account, now)
        except GatewayError as error:
            self._share(account, replace(known, tried=now, error=str(error), failures=known.failures + 1))
            raise
        if quota is None:
            return known.quota or Quota(now)
        if not quota.buckets and known.quota and known.quota.buckets:
            strange = "its figures were told in a form that is not known, so older ones are shown"
            self._share(account, replace(known, tried=now, error=strange, failures=known.failures + 1))
            self._told(account, quota)
        else:
            self._share(account, Snapshot(quota, now, points=points(known.points, quota)))
        return quota

    def _share(self, account: str, new: Snapshot) -> None:
        self._keep(account, new, mine=True)
        self._sync.put(KIND, account, dumped(new))

    def _ask(self, account: str, now: float) -> Quota | None:
        """None where nobody can be asked."""
        login = self._logins.fresh(account)
        provider = self._providers.of(login.kind)
        if not provider.quota_hosts(login):
            return None
        found = self._answer(provider, account, login, now)
        if isinstance(found, Verdict) and found.again == "refresh":
            found = self._answer(provider, account, self._logins.renew(account, login.token), now)
        if isinstance(found, Quota):
            return found
        if found.fate == "suspended":
            self._locked(account, found)
        raise found.error

    def check(self, account: str) -> None:
        """Whether the provider takes the account, as a look at its quota shows, or one at its models where nobody tells
        a quota. Raises GatewayError.
        """
        login = self._logins.fresh(account)
        provider = self._providers.of(login.kind)
        if provider.quota_hosts(login):
            self.refresh(account)
            return
        denied = self._denied(provider, login)
        if denied and denied.again == "refresh":
            denied = self._denied(provider, self._logins.renew(account, login.token))
        if denied:
            raise denied.error

    def _denied(self, provider: Provider, login: Login) -> Verdict | None:
        try:
            reply = self._call(provider.list_request(login, provider.list_hosts(login)[0]), LIMIT)
        except Lost as lost:
            return provider.lost(lost.kind)
        return None if reply.status == 200 else provider.judge(reply.status, reply.headers, reply.body)

    def _answer(self, provider: Provider, account: str, login: Login, now: float) -> Quota | Verdict:
        """From the first host that knows something of the account."""
        profile = login.profile or self._logins.profile(account)  # some need one here who send none with a request
        failure: Verdict | None = None
        for host in provider.quota_hosts(login):
            try:
                found = provider.read_quota(self._call(provider.quota_request(login, host, profile), LIMIT), now)
            except Lost as lost:
                found = provider.lost(lost.kind)
            if isinstance(found, Quota) or found.fate:
                return found
            failure = failure or found
        return failure or provider.lost("connect")

    def refresh_all(self, force: bool = False) -> dict[str, Quota | GatewayError]:
        """Ask for all accounts; without `force` for those where that can tell anything new."""
        now = self._now()
        chosen = [id for id, one in self._accounts().items()
                  if self._can_ask(one) and (force or self._useful(id, one.state, now))]  # fmt: skip
        return self._abreast(chosen)

    def _abreast(self, accounts: Iterable[str]) -> dict[str, Quota | GatewayError]:
        found: dict[str, Quota | GatewayError] = {}
        queue = iter(accounts)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    account = next(queue, None)
                if account is None:
                    return
                found[account] = self.attempt(account)

        threads = [threading.Thread(target=work, daemon=True, name="quota") for _ in range(ABREAST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def attempt(self, account: str) -> Quota | GatewayError:
        """`refresh`, with its failure as a value."""
        try:
            return self.refresh(account)
        except GatewayError as error:
            log.logger.debug("what account %s has left is not known: %s", account, error)
            return error
        except Exception:
            log.logger.exception("what account %s has left is not known", account)
            return GatewayError("the gateway failed when it asked; its log says how")

    # When

    def _useful(self, account: str, state: str, now: float) -> bool:
        quota = self.snapshot(account).quota
        parked = quota is not None and quota.exhausted and (quota.opens_at or 0.0) > now
        return state not in RESTING and not parked

    def due(self, now: float) -> list[str]:
        """The accounts whose time has come, those first that were not asked for longest. Raises StoreFailed."""
        if not self._settings.quota_interval:
            return []
        if not self._looked:  # a process that leads from its first moment on
            self.look()
        ready = [id for id, one in self._accounts().items()
                 if one.state not in RESTING and self._can_ask(one) and now >= self._time(id, now)]  # fmt: skip
        return sorted(ready, key=lambda id: self.snapshot(id).tried)

    def scheduled(self, leads: Callable[[], bool]) -> None:
        """One round of the schedule, in the process that `leads`."""
        self._abreast(itertools.takewhile(lambda _: leads(), self.due(self._now())))

    def _time(self, account: str, now: float) -> float:
        """When to ask next. Chance has its say once for each answer. A clock that was set back delays nothing."""
        kept = self.snapshot(account)
        if kept.tried > now + SKEW:
            return now
        known = self._times.get(account)
        if known is None or known[0] != kept.tried:
            known = self._times[account] = kept.tried, next_time(kept, self._settings.quota_interval, random.random)
        return known[1]

    def wanted(self, account: str) -> None:
        """A request was refused because the plan is used up: ask soon whether that is so. Never waits."""
        self._wanted[account] = self._now()

    def has_errands(self) -> bool:
        return bool(self._wanted)

    def errands(self) -> None:
        """Ask for what is wanted; in each process, in a thread of the background."""
        for account, since in list(self._wanted.items()):
            kept, now = self.snapshot(account), self._now()
            heard = kept.quota is not None and kept.quota.asked_at > since
            if heard or not self._can_ask(self._accounts().get(account)):
                self._wanted.pop(account, None)
            elif now - kept.tried >= SPACING and self._store.lease(f"quota:{account}", owner(), SPACING):
                self._wanted.pop(account, None)
                self.attempt(account)

    def prune(self, now: float) -> None:
        """Forget accounts that are gone for long."""
        there = self._accounts()
        for account, kept in list(self._kept.items()):
            if account not in there and now - kept.tried > GONE:
                del self._kept[account]
                self._sync.delete(KIND, account)
