"""Asking the upstream: one answer, with as many tries as the verdicts allow and the client sees none of.

What to do about a failure is the verdict's to say, and whose turn it is the pool's; here it is only done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Set
from dataclasses import replace
from typing import Final, NamedTuple

from kirogw import log
from kirogw.answer import BEAT, Beat
from kirogw.auth import Logins
from kirogw.catalog import Catalog
from kirogw.conversation import Conversation
from kirogw.convert import Providers
from kirogw.dialects import ids
from kirogw.dialects.provider import Login, Provider, Refused, Verdict
from kirogw.dialects.quota import Quota
from kirogw.errors import BrokenAnswer, GatewayError, NeedsLogin, UpstreamFailed
from kirogw.nobody import crowded, no_token, nobody, not_offered, stopped
from kirogw.pins import shown
from kirogw.pool import Account, Full, Nobody, Place, Pool
from kirogw.router import Router
from kirogw.routing import Route
from kirogw.sending import Sending
from kirogw.settings import Settings
from kirogw.stream import Batch, Silence, Source
from kirogw.transport import Lost, Transport
from kirogw.tries import Tries

UNTOLD: Final = frozenset({"refresh", "profile", "unsealed", "plain"})
"""Ways to ask again that are likely to help: what comes of it says more of the account than that it was needed."""


class Errand(NamedTuple):
    """What belongs to a request beside its conversation. `routes`: what its model's name means, and what is asked after
    it. `hold`: nothing is shown before the answer is whole; `only`: ids of the accounts that may serve, None for all.
    """

    entry: log.Entry
    routes: tuple[Route, ...] = ()
    estimate: int = 0
    hold: bool = False
    only: Set[str] | None = None


class Asking:
    """What all answers of this process share. `exhausted` hears of an account whose plan is used up, `told` of what an
    answer's head says that it has left; neither may wait.
    """

    def __init__(self, settings: Settings, providers: Providers, transport: Transport, logins: Logins, pool: Pool,
                 catalog: Catalog, router: Router, secret: bytes, exhausted: Callable[[str], None],
                 told: Callable[[str, Quota], None]) -> None:  # fmt: skip
        self._settings, self._providers, self._logins, self._pool = settings, providers, logins, pool
        self._router, self._secret, self._exhausted = router, secret, exhausted
        self._sending = Sending(settings, providers, transport, pool, catalog, router, secret, told)
        self.running = self._sending.running
        self.stopping = threading.Event()

    def answer(self, conversation: Conversation, errand: Errand) -> Source:
        tries = self.tries(conversation, errand)
        del conversation  # `tries` lets it go as soon as it may
        try:
            while True:
                place = tries.place or (yield from self.placed(tries))
                tries.begin(time.time())
                try:
                    tries.login = login = self._login(place.account)
                    answer = self._sending.answer(place, login, tries)
                    yield from _held(answer) if tries.hold else answer
                    return
                except (Refused, Lost, Silence) as failure:
                    verdict = self._verdict(failure, tries)
                pause = self._after(verdict, tries)
                yield from self._beats(pause)
                if self.stopping.is_set():
                    raise stopped()
        finally:
            self.leave(tries)

    def tries(self, conversation: Conversation | None, errand: Errand) -> Tries:
        """`conversation` None: something else is asked for, and any account will do."""
        entry, settings = errand.entry, self._settings
        tries = Tries(
            entry, conversation, errand.routes if conversation else (), entry.began + settings.retry_budget,
            settings.retry_pace, errand.hold, allowed=errand.only, only=errand.only, estimate=errand.estimate,
        )  # fmt: skip
        self._routed(tries)
        if conversation:
            tries.session = ids.session_id(self._secret, conversation.session, ids.first_text(conversation))
            tries.begins = not conversation.session and all(turn.role != "model" for turn in conversation.turns)
        return tries

    def stop(self) -> None:
        """No more tries; whoever reads an answer finds its end."""
        self.stopping.set()
        self._sending.abort()

    # whose turn it is

    def placed(self, tries: Tries) -> Generator[Batch, None, Place]:
        """A place at an account that fits; while all are taken, the client hears that we wait. Raises GatewayError."""
        waited, silent = 0.0, 0.0
        while not self.stopping.is_set():
            found = self._pool.take(tries.want(waited), time.time())
            if isinstance(found, Place):
                return self._taken(found, tries)
            if not isinstance(found, Full):
                self._follow(self._nobody(found, tries), tries)
                continue
            seconds = min(found.wait, self._settings.heartbeat - silent, tries.deadline - time.monotonic())
            if seconds <= 0:
                raise tries.told(crowded(tries.error))
            began = time.monotonic()
            self._pool.wait(seconds, found.seen)
            passed = time.monotonic() - began
            waited, silent = waited + passed, silent + passed
            if beat := silent >= self._settings.heartbeat:
                silent = 0.0
            yield BEAT if beat else []  # whoever waits may see whether the client is still there
        raise stopped()

    def _routed(self, tries: Tries) -> None:
        """The accounts that may serve the route."""
        if tries.route:
            tries.only = self._router.only(tries.route, tries.allowed)

    def _nobody(self, found: Nobody, tries: Tries) -> GatewayError:
        if tries.route and tries.only is not None and not tries.only:
            return not_offered(tries.route)
        names = {account.id: account.label or account.id for account in self._pool.all()}
        return nobody(found, tries.failed, names, time.time())

    def _follow(self, error: GatewayError, tries: Tries) -> None:
        """The route can not be served: the next link of the chain is tried. Raises what the client hears when there is
        none.
        """
        if not tries.follow(error):
            raise tries.told(error)
        self._routed(tries)

    def _taken(self, place: Place, tries: Tries) -> Place:
        tries.place, account, entry = place, place.account, tries.entry
        entry.account, entry.account_id = account.label or account.id, account.id
        entry.shown, entry.provider = shown(account), account.provider
        return place

    def leave(self, tries: Tries) -> None:
        """Others may have the place."""
        if place := tries.place:
            tries.place = None
            self._pool.leave(place, time.time(), tries.entry.usage.get("credits"))

    def _other(self, tries: Tries, place: Place) -> Place | None:
        """A place at another account, if there is one at once."""
        want = tries.want(0.0)
        found = self._pool.take(want._replace(tried={*want.tried, place.account.id}), time.time())
        return found if isinstance(found, Place) else None

    # after a failure

    def _after(self, verdict: Verdict, tries: Tries) -> float:
        """Note what a failure says of the account, and prepare the next try: seconds until then. Raises when there is
        none.
        """
        assert tries.place  # noqa: S101
        place, login = tries.place, tries.login
        tries.entry.upstream = verdict.error.upstream_id or tries.entry.upstream
        log.logger.debug("a try failed", extra={"fields": {"request": tries.entry.id, "rule": verdict.rule}})
        if self.stopping.is_set():
            raise stopped()
        if verdict.again == "profile" and login and not self.other_login("profile", place.account, login):
            verdict = replace(verdict, again="")  # what was refused is all there is
        told = tries.shown or verdict.again not in UNTOLD
        if told:
            self._tell(verdict, tries)
        if tries.shown:
            raise self._broken_off(verdict, tries, place)
        if verdict.fate == "slow" and verdict.elsewhere and (other := self._other(tries, place)):
            tries.give_up(verdict.error)  # who can serve at once is better than a pause
            self.leave(tries)
            self._taken(other, tries)
            return 0.0
        return self._next(verdict, tries, told)

    def _next(self, verdict: Verdict, tries: Tries, told: bool) -> float:
        """`told`: the account's state says already what the verdict does."""
        account = tries.entry.account_id
        pause, last = 0.0, None
        try:
            pause = tries.next(verdict, time.monotonic())
        except GatewayError as error:
            last = error
        if not told and (last or not tries.again):
            self._tell(verdict, tries)
        if last:
            if not last.passes or time.monotonic() >= tries.deadline:  # it is the request's own fault, or too late
                raise tries.told(last)
            self._follow(last, tries)  # the model is short, or its provider is down: another one may serve
            self.leave(tries)
        elif tries.again == "refresh" and tries.login:
            self._renew(tries.login, tries)
        if account in tries.failed:
            self.leave(tries)
        return pause

    def _broken_off(self, verdict: Verdict, tries: Tries, place: Place) -> GatewayError:
        """What a client hears in the middle of its answer. Where the account has come to its end, and another one can
        serve, it may ask again at once: for the account's own reason clients stop.
        """
        if verdict.error.passes or not verdict.fate or not (other := self._other(tries, place)):
            return verdict.error
        self._pool.leave(other, time.time())
        return BrokenAnswer(f"{str(verdict.error).rstrip('.')}. Another account can serve: try again.")

    def _tell(self, verdict: Verdict, tries: Tries) -> None:
        account = tries.entry.account_id
        self._pool.failed(account, verdict, tries.model, time.time(), tries.began)
        if verdict.fate == "exhausted":
            self._exhausted(account)

    def other_login(self, again: str, account: Account, login: Login) -> Login | None:
        """What to ask with when `login` was refused: renewed, or with another profile. None when there is no other."""
        new: Login | None = None
        if again == "refresh":
            new = self._logins.renew(account.id, login.token)
        elif again == "profile":
            new = self._logins.next_rung(account.id, login.profile) or self._logins.fresh(account.id)
        return new if new != login else None

    def _verdict(self, failure: Exception, tries: Tries) -> Verdict:
        if isinstance(failure, Refused):
            return failure.verdict
        provider = self._provider(tries)
        if isinstance(failure, Silence):
            return provider.lost("idle")
        kind = failure.kind if isinstance(failure, Lost) else "reset"
        verdict = provider.lost(kind)
        if kind == "stale":
            tries.fresh = True  # one more try over a new connection, at no cost to those of the verdict
            return replace(verdict, again="same", tries=1, waits=(0.0, 0.0), rule="stale")
        return verdict

    def _beats(self, pause: float) -> Source:
        """Wait, and let the client hear that we do."""
        beat = self._settings.heartbeat
        while pause > 0 and not self.stopping.is_set():
            time.sleep(min(pause, beat))
            pause -= beat
            if pause > 0:
                yield BEAT

    def _login(self, account: Account) -> Login:
        """A fresh login. A failure becomes a verdict: another account may do."""
        try:
            return self._logins.fresh(account.id)
        except (NeedsLogin, UpstreamFailed) as error:
            raise Refused(no_token(error, "refresh-failed")) from error

    def _renew(self, login: Login, tries: Tries) -> None:
        """Another token for the next try; another account where there is none."""
        try:
            self._logins.renew(tries.entry.account_id, login.token)
        except GatewayError as error:
            failed = no_token(error, "renew-failed")
            self._tell(failed, tries)
            try:
                tries.next(failed, time.monotonic())
            except GatewayError as last:
                raise tries.told(last) from error

    def _provider(self, tries: Tries) -> Provider:
        return self._providers.of(tries.place.account.kind if tries.place else "")


def _held(source: Source) -> Source:
    """All of an answer at its end, so that a try that fails has shown nothing."""
    held = []
    for batch in source:
        if batch and not isinstance(batch, Beat):
            held.append(batch)
            batch = []  # whoever waits may look at the clock
        yield batch
    yield from held
