"""What goes on beside the requests: by one process for all, the leader, or by each for itself.

The leader holds a lease in the store. Whoever finds it free takes it: at once when the leader was killed on the same
machine, else when its time is over. A job runs in a thread of its own, never twice at once, and asks `leads` before
each step, so that one which hangs does not go on beside its successor.
"""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from kirogw import log
from kirogw.auth import Logins
from kirogw.catalog import Catalog
from kirogw.dialects.provider import Verdict
from kirogw.errors import GatewayError, NeedsLogin, UpstreamFailed
from kirogw.kept import Kept
from kirogw.pool import Pool
from kirogw.quotas import Quotas
from kirogw.settings import Settings
from kirogw.store import Store, StoreFailed, owner
from kirogw.usage import Usage

NAME: Final = "background"
LEASE: Final = 30.0  # seconds
EXTEND: Final = 8.0  # seconds after which the leader extends it
MARGIN: Final = 5.0  # seconds before its end from which the leader counts it as lost
LOOK: Final = 2.0  # seconds between two looks whether it is free
TICK: Final = 0.5
FIRST: Final = 3.0  # the jobs of a new leader begin within so many seconds
JITTER: Final = (0.9, 1.1)
HOUR: Final = 3600.0
EVENTS_KEPT: Final = 10_000

Leads: TypeAlias = Callable[[], bool]


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is called every `seconds`, a little more or less by chance, if `wanted` is true; 0: never. It is given
    what tells whether to go on. `alone`: by the leader only.
    """

    name: str
    seconds: float
    work: Callable[[Leads], object]
    wanted: Callable[[], bool] = _always
    alone: bool = True


class Background:
    """Starts nothing before `start`. Safe for all threads."""

    def __init__(self, store: Store, jobs: Sequence[Job], *, tick: float = TICK) -> None:
        self._store, self._tick = store, tick
        self._jobs = [job for job in jobs if job.seconds > 0]
        self._lock = threading.Lock()
        self._pid = 0
        self._begin()

    def _begin(self) -> None:
        """Also in the child of a fork, where the parent's threads are not and its lease is the parent's."""
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: dict[str, threading.Thread] = {}
        self._due: dict[str, float] = {}
        self._until = self._look_at = 0.0

    def start(self) -> None:
        """Cheap when it runs already; call it again after a fork."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._begin()
            self._thread = threading.Thread(target=self._run, daemon=True, name="kirogw-background")
            self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """No further job begins; those that run have so long to end. Another process may lead at once."""
        with self._lock:
            if self._pid != os.getpid():
                return
            self._pid = 0
            self._end.set()
        ends = time.monotonic() + seconds
        for thread in (self._thread, *self._running.values()):
            if thread and thread is not threading.current_thread():
                thread.join(max(0.0, ends - time.monotonic()))
        if self._until:
            self._until = 0.0
            self._safely("giving the lead back", lambda: self._store.release(NAME, owner()))

    def leads(self) -> bool:
        """Whether this process does what one does for all. Never true in two of them."""
        return time.monotonic() < self._until - MARGIN and not self._end.is_set()

    def _run(self) -> None:
        while not self._end.wait(self._tick):
            self._safely("taking the lead", self._lead)
            for job in self._jobs:
                self._safely(job.name, functools.partial(self._offer, job))

    def _lead(self) -> None:
        """Take the lease, or extend it in good time."""
        now = time.monotonic()
        if now < self._look_at:
            return
        led = self.leads()
        self._look_at = now + LOOK * _between(JITTER)
        if self._store.lease(NAME, owner(), LEASE):
            self._until, self._look_at = now + LEASE, now + EXTEND
            if not led:
                log.logger.info("this process looks after tokens, quotas and lists of models from now on")
                self._due = {job.name: now + random.random() * min(FIRST, job.seconds) for job in self._jobs}
        else:
            self._until = 0.0

    def _offer(self, job: Job) -> None:
        """Begin it, if it is its turn."""
        now = time.monotonic()
        if now < self._due.get(job.name, 0.0) or (job.alone and not self.leads()):
            return
        if (thread := self._running.get(job.name)) and thread.is_alive():
            return
        self._due[job.name] = now + job.seconds * _between(JITTER)
        if not job.wanted():
            return
        goes_on = self.leads if job.alone else self._stays
        work = functools.partial(job.work, goes_on)
        thread = threading.Thread(target=self._safely, args=(job.name, work), daemon=True, name=f"kirogw-{job.name}")
        self._running[job.name] = thread
        thread.start()

    def _stays(self) -> bool:
        return not self._end.is_set()

    def _safely(self, name: str, work: Callable[[], object]) -> None:
        """What fails here is tried again in its time, and stops nothing else."""
        try:
            work()
        except StoreFailed as error:  # Sync has told it
            log.logger.debug("in the background, %s failed: %s", name, error)
        except GatewayError as error:
            log.logger.warning("in the background, %s failed: %s", name, error)
        except Exception:
            log.logger.exception("in the background, %s failed", name)


def _between(ends: tuple[float, float]) -> float:
    return random.uniform(*ends)


def standard(settings: Settings, store: Store, *, logins: Logins, pool: Pool, quotas: Quotas, catalog: Catalog,
             usage: Usage, kept: Kept, now: Callable[[], float] = time.time) -> list[Job]:  # fmt: skip
    """The jobs of the gateway."""

    def tokens(leads: Leads) -> None:
        logins.background()
        for account in logins.accounts():
            known = pool.find(account.id)
            unknown = account.state in ("login", "waiting") and known is not None and known.state == "ready"
            if unknown and (verdict := _without_token(logins, account.id)):
                pool.failed(account.id, verdict, "", now())

    def catalogues(leads: Leads) -> None:
        for account in pool.all():
            if leads() and account.state not in ("disabled", "suspended", "login"):
                catalog.keep_fresh(account.id, functools.partial(logins.fresh, account.id), account.kind)

    def probes(leads: Leads) -> None:
        for account in pool.probe_due(now()):
            if leads():
                quotas.attempt(account)

    def pruning(leads: Leads) -> None:
        usage.prune(now(), settings.usage_days)
        store.prune("events", keep=EVENTS_KEPT)
        quotas.prune(now())
        kept.prune(now())

    every = settings.background_refresh_interval
    return [
        Job("tokens", every, tokens),
        Job("catalogues", every, catalogues),
        Job("quotas", min(5.0, settings.quota_interval), quotas.scheduled, lambda: bool(quotas.due(now()))),
        Job("probes", 5.0, probes),
        Job("errands", 1.0, lambda leads: quotas.errands(), quotas.has_errands, alone=False),
        Job("pruning", HOUR, pruning),
    ]


def _without_token(logins: Logins, account: str) -> Verdict | None:
    """What is wrong with an account that can not serve, so that it is known before a request finds it out."""
    try:
        logins.fresh(account)
    except NeedsLogin as error:
        return Verdict(error, "needs-login", elsewhere=True, fate="login")
    except UpstreamFailed as error:
        return Verdict(error, "refresh-failed", elsewhere=True)
    return None
