"""What each account has left: asked for in time, kept in the store for all processes, never lost by a failure.

One process asks on a schedule (background.py): each account every four to five minutes, and when its plan is reset. Any
process asks when a request was refused because a plan is used up, and whenever somebody wants to know now.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from kirogw import log
from kirogw.dialects.dialect import Bucket, Login, Quota, Verdict
from kirogw.dialects.kiro import faults
from kirogw.dialects.kiro import quota as kiro
from kirogw.errors import GatewayError
from kirogw.settings import Settings
from kirogw.store import Store, owner
from kirogw.store.sync import Sync
from kirogw.transport import Lost
from kirogw.wire import Json, Reply, Request

KIND: Final = "quota"
LIMIT: Final = 15.0  # seconds of silence from a control host
JITTER: Final = (0.8, 1.0)  # parts of the interval
AGAIN: Final = 30.0  # seconds after a question that brought nothing, doubling up to the interval
EXHAUSTED: Final = 3600.0  # with nothing left an account is looked at this seldom: its owner may buy more any time
AFTER_RESET: Final = (2.0, 30.0)
SPACING: Final = 15.0  # seconds between two questions because of refused requests, of all processes together
ABREAST: Final = 4
RESTING: Final = frozenset({"disabled", "suspended", "login"})  # states in which asking is of no use (see probes)
SKEW: Final = 60.0  # seconds by which clocks of several machines may differ
POINTS: Final = 64
EACH: Final = 3 * 3600.0  # seconds between two points of the history
GONE: Final = 30 * 86400.0  # what nobody asked for so long belongs to an account that is no more


class Keys(Protocol):
    """What is needed of auth.Logins."""

    def fresh(self, account: str) -> Login: ...

    def renew(self, account: str, spent: str) -> Login: ...

    def profile(self, account: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`quota`: the last that was told, None before the first. `tried`: when it was last asked for; `error` says why
    that brought nothing, `failures` how often in a row. `points`: time and credits used since the plan's last reset.
    """

    quota: Quota | None = None
    tried: float = 0.0
    error: str = ""
    failures: int = 0
    points: tuple[tuple[float, float], ...] = ()


class Quotas:
    """All accounts' quotas, as this process knows them. Safe for all threads.

    `call` sends a request and raises Lost. `states` gives all accounts with their states in the pool. `told` hears of
    each new quota, whichever process asked; `locked` of an account that the provider has locked. Both are called in
    threads of the background.
    """

    def __init__(self, settings: Settings, call: Callable[[Request, float], Reply], logins: Keys, store: Store,
                 sync: Sync, *, states: Callable[[], Mapping[str, str]], told: Callable[[str, Quota], None],
                 locked: Callable[[str, Verdict], None], now: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._settings, self._call, self._logins, self._store, self._sync = settings, call, logins, store, sync
        self._states, self._told, self._locked, self._now = states, told, locked, now
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
        return self._kept.get(account, Snapshot())

    def view(self, account: str, now: float) -> Json | None:
        """For people and programs, without the user's id; None when it was never asked for."""
        kept = self._kept.get(account)
        return viewed(kept, now) if kept else None

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

    # Asking

    def refresh(self, account: str) -> Quota:
        """Ask now. Threads that want it at the same time share one answer. Raises GatewayError; then what was known
        before stays.
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
        if not quota.buckets and known.quota and known.quota.buckets:
            strange = "Kiro told its figures in a form that is not known, so older ones are shown"
            self._share(account, replace(known, tried=now, error=strange, failures=known.failures + 1))
            self._told(account, quota)
        else:
            self._share(account, Snapshot(quota, now, points=_points(known.points, quota)))
        return quota

    def _share(self, account: str, new: Snapshot) -> None:
        self._keep(account, new, mine=True)
        self._sync.put(KIND, account, dumped(new))

    def _ask(self, account: str, now: float) -> Quota:
        login = self._logins.fresh(account)
        found = self._answer(account, login, now)
        if isinstance(found, Verdict) and found.again == "refresh":
            found = self._answer(account, self._logins.renew(account, login.token), now)
        if isinstance(found, Quota):
            return found
        if found.fate == "suspended":
            self._locked(account, found)
        raise found.error

    def _answer(self, account: str, login: Login, now: float) -> Quota | Verdict:
        """From the first host that knows something of the account."""
        profile = self._profile(account, login)
        failure: Verdict | None = None
        for base in self._settings.kiro_control_urls:
            try:
                found = kiro.read(self._call(kiro.request(login, base, self._settings, profile), LIMIT), now)
            except Lost as lost:
                found = faults.lost(lost.kind)
            if isinstance(found, Quota) or found.fate:
                return found
            failure = failure or found
        return failure or faults.lost("connect")

    def _profile(self, account: str, login: Login) -> str:
        """This call wants one from everybody, also from those who send none with a request."""
        if login.kind == "key":
            return self._logins.profile(account)
        return login.profile or (self._settings.kiro_placeholder_arn if login.kind == "builder" else "")

    def refresh_all(self, force: bool = False) -> dict[str, Quota | GatewayError]:
        """Ask for all accounts; without `force` for those where that can tell anything new."""
        now = self._now()
        chosen = [id for id, state in self._states().items() if force or self._useful(id, state, now)]
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
        parked = quota is not None and quota.exhausted and (quota.resets_at or 0.0) > now
        return state not in RESTING and not parked

    def due(self, now: float) -> list[str]:
        """The accounts whose time has come, those first that were not asked for longest. Raises StoreFailed."""
        if not self._settings.quota_interval:
            return []
        if not self._looked:  # a process that leads from its first moment on
            self.look()
        ready = [id for id, state in self._states().items() if state not in RESTING and now >= self._time(id, now)]
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
            if kept.quota and kept.quota.asked_at > since:
                self._wanted.pop(account, None)
            elif now - kept.tried >= SPACING and self._store.lease(f"quota:{account}", owner(), SPACING):
                self._wanted.pop(account, None)
                self.attempt(account)

    def prune(self, now: float) -> None:
        """Forget accounts that are gone for long."""
        there = self._states()
        for account, kept in list(self._kept.items()):
            if account not in there and now - kept.tried > GONE:
                del self._kept[account]
                self._sync.delete(KIND, account)


def outdated(quota: Quota, now: float) -> bool:
    """A part of it was reset since: what it says of being used up is not true any more."""
    return any(quota.asked_at < reset <= now for reset in _resets(quota))


def _resets(quota: Quota) -> Iterator[float]:
    return (reset for reset in (quota.resets_at, *(bucket.resets_at for bucket in quota.buckets)) if reset)


def next_time(kept: Snapshot, interval: float, chance: Callable[[], float]) -> float:
    """After an answer an interval, a little less by chance; after a failure sooner; and when a part is full again."""
    quota = kept.quota
    wait = min(interval, AGAIN * 2.0 ** min(kept.failures - 1, 10)) if kept.failures else interval
    if quota and quota.exhausted and not kept.failures:
        wait = max(wait, EXHAUSTED)
    when = kept.tried + wait * _between(JITTER, chance)
    soonest = min((reset for reset in _resets(quota) if reset > kept.tried), default=None) if quota else None
    return when if soonest is None else min(when, soonest + _between(AFTER_RESET, chance))


def _between(ends: tuple[float, float], chance: Callable[[], float]) -> float:
    return ends[0] + (ends[1] - ends[0]) * chance()


def _points(known: tuple[tuple[float, float], ...], quota: Quota) -> tuple[tuple[float, float], ...]:
    """The history with one more point, begun anew after a reset. The last point always is the newest."""
    if not quota.buckets:
        return known
    used = sum(bucket.used for bucket in quota.buckets)
    kept = known if not known or used >= known[-1][1] else ()
    if len(kept) > 1 and kept[-1][0] - kept[-2][0] < EACH:
        kept = kept[:-1]
    return (*kept, (quota.asked_at, used))[-POINTS:]


# As the store keeps it: all but whose account it is


def dumped(kept: Snapshot) -> Json:
    value: Json = {"tried": kept.tried, "error": kept.error, "failures": kept.failures, "points": list(kept.points)}
    if (quota := kept.quota) is not None:
        value["quota"] = {
            "asked_at": quota.asked_at, "buckets": [[b.name, b.used, b.limit, b.resets_at] for b in quota.buckets],
            "plan": quota.plan, "overage": quota.overage, "overage_cap": quota.overage_cap,
            "overage_used": quota.overage_used, "resets_at": quota.resets_at,
        }  # fmt: skip
    return value


def loaded(value: Json) -> Snapshot:
    """Back from the store; what another version has written otherwise counts as never asked for."""
    try:
        quota = _quota(value["quota"]) if "quota" in value else None
        points = tuple((float(at), float(used)) for at, used in value["points"])
        return Snapshot(quota, float(value["tried"]), str(value["error"]), int(value["failures"]), points)
    except (TypeError, ValueError, KeyError):
        return Snapshot()


def _quota(value: Json) -> Quota:
    return Quota(
        float(value["asked_at"]), tuple(_bucket(*row) for row in value["buckets"]), str(value["plan"]),
        bool(value["overage"]), _maybe(value["overage_cap"]), float(value["overage_used"]), _maybe(value["resets_at"]),
    )  # fmt: skip


def _bucket(name: Any, used: Any, limit: Any, resets_at: Any) -> Bucket:
    return Bucket(str(name), float(used), float(limit), _maybe(resets_at))


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)


def viewed(kept: Snapshot, now: float) -> Json:
    """`source`: all figures are the provider's own."""
    quota, asked = kept.quota, {"tried_at": kept.tried, "error": kept.error}
    if quota is None:
        return {"known": False, **asked}
    rows = [{"name": b.name, "used": round(b.used, 4), "limit": b.limit, "left": round(b.left, 4),
             "resets_at": b.resets_at} for b in quota.buckets]  # fmt: skip
    left = quota.left
    return {
        "known": left is not None, "source": "measured", "asked_at": quota.asked_at,
        "age_seconds": round(max(0.0, now - quota.asked_at)), **asked, "plan": quota.plan,
        "left": None if left is None else round(left, 4), "used": round(sum(b.used for b in quota.buckets), 4),
        "limit": sum(b.limit for b in quota.buckets), "buckets": rows, "resets_at": quota.resets_at,
        "exhausted": quota.exhausted and not outdated(quota, now),
        "overage": {"enabled": quota.overage, "cap": quota.overage_cap, "used": quota.overage_used},
    }  # fmt: skip
