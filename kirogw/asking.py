"""Asking the upstream: one answer, with as many tries as the verdicts allow and the client sees none of.

What to do about a failure is the verdict's to say, and whose turn it is the pool's; here it is only done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Set
from dataclasses import replace
from typing import Final, NamedTuple

from kirogw import log, observed, search, tokens, truncation
from kirogw.answer import BEAT, Beat
from kirogw.auth import Logins
from kirogw.catalog import Catalog
from kirogw.conversation import Conversation
from kirogw.convert import Providers
from kirogw.cuts import Cuts
from kirogw.dialects import ids, seals
from kirogw.dialects.efforts import wished
from kirogw.dialects.provider import Login, Prepared, Provider, Reader, Reading, Refused, Target, Terms, Verdict
from kirogw.dialects.quota import Quota
from kirogw.errors import BrokenAnswer, GatewayError, NeedsLogin, UpstreamFailed
from kirogw.nobody import crowded, no_token, nobody, not_offered, stopped
from kirogw.pins import shown
from kirogw.pool import Account, Full, Nobody, Place, Pool
from kirogw.router import Router
from kirogw.routing import Route
from kirogw.settings import Settings
from kirogw.stream import Batch, Silence, Source, relayed
from kirogw.transport import Exchange, Lost, Transport
from kirogw.tries import Tries

SETTLING: Final = 0.2  # seconds that an upstream gets for the end of its bytes, when all has been said
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
        self._settings, self._transport, self._logins, self._secret = settings, transport, logins, secret
        self._providers, self._pool, self._catalog, self._exhausted = providers, pool, catalog, exhausted
        self._told = told
        self._router, self._cuts = router, Cuts()
        self._marks: dict[str, str] = {}
        self.running: set[Exchange] = set()
        self.stopping = threading.Event()

    def answer(self, conversation: Conversation, errand: Errand) -> Source:
        tries = self.tries(conversation, errand)
        del conversation  # `tries` lets it go as soon as it may
        try:
            while True:
                place = tries.place or (yield from self.placed(tries))
                login: Login | None = None
                began, errand.entry.tries = time.time(), errand.entry.tries + 1
                try:
                    login = self._login(place.account)
                    yield from _shown(self._once(place, login, tries, errand.estimate, began), tries)
                    return
                except (Refused, Lost, Silence) as failure:
                    verdict = self._verdict(failure, tries)
                pause = self._after(verdict, login, tries, began)
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
            settings.retry_pace, errand.hold, allowed=errand.only, only=errand.only,
        )  # fmt: skip
        self._routed(tries)
        if conversation:
            tries.session = ids.session_id(self._secret, conversation.session, ids.first_text(conversation))
            tries.begins = not conversation.session and all(turn.role != "model" for turn in conversation.turns)
        return tries

    def stop(self) -> None:
        """No more tries; whoever reads an answer finds its end."""
        self.stopping.set()
        for exchange in list(self.running):
            exchange.abort()

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

    def _after(self, verdict: Verdict, login: Login | None, tries: Tries, began: float) -> float:
        """Note what a failure says of the account, and prepare the next try: seconds until then. Raises when there is
        none.
        """
        assert tries.place  # noqa: S101
        place, account = tries.place, tries.place.account
        tries.entry.upstream = verdict.error.upstream_id or tries.entry.upstream
        log.logger.debug("a try failed", extra={"fields": {"request": tries.entry.id, "rule": verdict.rule}})
        if self.stopping.is_set():
            raise stopped()
        if verdict.again == "profile" and login and not self.other_login("profile", account, login):
            verdict = replace(verdict, again="")  # what was refused is all there is
        told = tries.shown or verdict.again not in UNTOLD
        if told:
            self._tell(verdict, tries, began)
        if tries.shown:
            raise self._broken_off(verdict, tries, place)
        if verdict.fate == "slow" and verdict.elsewhere and (other := self._other(tries, place)):
            tries.give_up(verdict.error)  # who can serve at once is better than a pause
            self.leave(tries)
            self._taken(other, tries)
            return 0.0
        pause, last = 0.0, None
        try:
            pause = tries.next(verdict, time.monotonic())
        except GatewayError as error:
            last = error
        if not told and (last or not tries.again):
            self._tell(verdict, tries, began)
        if last:
            if not last.passes or time.monotonic() >= tries.deadline:  # it is the request's own fault, or too late
                raise tries.told(last)
            self._follow(last, tries)  # the model is short, or its provider is down: another one may serve
            self.leave(tries)
        elif tries.again == "refresh" and login:
            self._renew(account, login, tries, began)
        if account.id in tries.failed:
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

    def _tell(self, verdict: Verdict, tries: Tries, began: float) -> None:
        account = tries.entry.account_id
        self._pool.failed(account, verdict, tries.model, time.time(), began)
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

    def _renew(self, account: Account, login: Login, tries: Tries, began: float) -> None:
        """Another token for the next try; another account where there is none."""
        try:
            self._logins.renew(account.id, login.token)
        except GatewayError as error:
            failed = no_token(error, "renew-failed")
            self._tell(failed, tries, began)
            try:
                tries.next(failed, time.monotonic())
            except GatewayError as last:
                raise tries.told(last) from error

    def _provider(self, tries: Tries) -> Provider:
        return self._providers.of(tries.place.account.kind if tries.place else "")

    # one try

    def _once(self, place: Place, login: Login, tries: Tries, estimate: int, began: float) -> Source:
        """Send, wait for the head, and give the events. Raises Refused, Lost or Silence."""
        account, entry, provider = place.account, tries.entry, self._providers.of(login.kind)
        models = self._catalog.models(account.id, lambda: login, account.kind)
        assert tries.route  # noqa: S101
        target = self._router.target(tries.route, account, models)
        entry.model = target.model.id
        mark = self._mark(account.id)
        exchange, prepared = self._sent(provider, login, target, tries, mark)
        self.running.add(exchange)
        reader: Reader | None = None
        try:
            yield from self._head(provider, exchange, target.model.id, account, entry)
            reading = Reading(target.model, tokens.count, estimate, account.learned, mark)
            reader = provider.reader(prepared, reading)
            del prepared  # its body may be large
            source = relayed(
                observed.taped(exchange, entry), exchange.ended, reader,
                beat=self._settings.heartbeat, limit=self._settings.streaming_read_timeout,
            )  # fmt: skip
            for batch in source:
                if reader.visible:  # that it answers is known now, however long the answer is
                    self._pool.served(account.id, tries.model, time.time(), began)
                yield batch
                if reader.visible:
                    break
            yield from source
            exchange.settle(SETTLING)
            if not reader.visible:  # it ended without a word, and as it should
                self._pool.served(account.id, tries.model, time.time(), began)
            account.learned = account.learned or reader.learned
            if self._settings.truncation_recovery and (reader.cut_calls or reader.cut_text):
                self._cuts.remember(reader.cut_calls, reader.cut_text)
        except GeneratorExit:  # whoever asked has had enough, or has left
            if reader and reader.visible and not entry.usage:
                observed.note_usage(entry, reader.usage())
            raise
        finally:
            self.running.discard(exchange)
            exchange.close()

    def _mark(self, account: str) -> str:
        if not (mark := self._marks.get(account)):
            mark = self._marks[account] = seals.mark(self._secret, account)
        return mark

    def _sent(self, provider: Provider, login: Login, target: Target, tries: Tries,
              mark: str) -> tuple[Exchange, Prepared]:  # fmt: skip
        """The request on its way."""
        prepared = self._prepared(provider, login, target, tries, mark)
        tries.entry.rules, hosts = prepared.notes, provider.hosts(login)
        tries.hosts = len(hosts)
        outgoing = provider.request(
            prepared, login, hosts[tries.host], session=tries.session, invocation=tries.invocation,
            attempt=tries.entry.tries,
        )  # fmt: skip
        observed.record(tries.entry, outgoing)
        return self._transport.open(outgoing, fresh=tries.fresh), prepared

    def _head(self, provider: Provider, exchange: Exchange, model: str, account: Account, entry: log.Entry) -> Source:
        """Beats until the answer's head is here. Raises Refused when it is no stream of the provider's."""
        waited, beat = 0.0, self._settings.heartbeat
        try:
            while not exchange.head(min(beat, self._settings.first_token_timeout)):
                waited += beat
                if waited >= self._settings.first_token_timeout:
                    raise Lost("first_token")
                yield BEAT
            observed.record_head(entry, exchange)
            if quota := provider.told_quota(exchange.headers, time.time()):
                self._told(account.id, quota)
            if exchange.status != 200:
                body = exchange.whole(self._settings.connect_timeout)
                if entry.record:
                    entry.record.add(f"upstream-{entry.tries}-answer.bin", body)
                raise Refused(provider.judge(exchange.status, exchange.headers, body, model))
        except Lost as lost:
            if exchange.reused and not exchange.answered and lost.kind == "reset":
                raise Lost("stale") from lost
            raise
        if not exchange.headers.get("content-type", "").startswith(provider.stream):
            raise Lost("damaged", "the answer is no event stream")

    def _prepared(self, provider: Provider, login: Login, target: Target, tries: Tries, mark: str) -> Prepared:
        """The payload; made once for all tries that differ only in host."""
        key = (tries.at, target.model.id, mark, tries.unsealed, tries.plain)
        conversation = tries.conversation
        if tries.prepared and (tries.prepared[0] == key or conversation is None):
            return tries.prepared[1]
        assert conversation  # noqa: S101
        conversation = truncation.fitting(_suited(conversation, tries.route, provider), target.model.window)
        terms = Terms(
            login.kind, mark, tries.session, ids.turn_id(self._secret, conversation),
            self._cuts.known(conversation) if self._settings.truncation_recovery else frozenset(),
            tries.unsealed, tries.plain,
        )  # fmt: skip
        prepared = provider.prepare(conversation, target, terms)
        tries.prepared = key, prepared
        return prepared


def _shown(source: Source, tries: Tries) -> Source:
    """What the client gets of one try: each batch as it comes, or all of them at the end of an answer that is held."""
    held = []
    for batch in source:
        if not batch or isinstance(batch, Beat):
            yield batch
        elif tries.hold:
            held.append(batch)
            yield []  # whoever waits may look at the clock
        else:
            if not tries.shown:
                tries.show()
            yield batch
    yield from held


def _suited(conversation: Conversation, route: Route | None, provider: Provider) -> Conversation:
    """What the model's name asked for is in the conversation; a provider that can not search is not asked to."""
    if route and (route.effort or route.thinking):
        conversation = replace(conversation, thinking=wished(conversation.thinking, route.effort, route.thinking))
    return search.without(conversation) if conversation.search and not provider.searches else conversation
