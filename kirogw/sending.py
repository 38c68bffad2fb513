"""One try: the request is sent to an account, and its answer read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kirogw import log, observed, search, tokens, truncation
from kirogw.answer import BEAT
from kirogw.catalog import Catalog
from kirogw.conversation import Conversation
from kirogw.convert import Providers
from kirogw.cuts import Cuts
from kirogw.dialects import ids, seals
from kirogw.dialects.efforts import wished
from kirogw.dialects.provider import Login, Prepared, Provider, Reader, Reading, Refused, Target, Terms
from kirogw.dialects.quota import Quota
from kirogw.pool import Account, Place, Pool
from kirogw.router import Router
from kirogw.routing import Route
from kirogw.settings import Settings
from kirogw.stream import Relay, Source
from kirogw.transport import Exchange, Lost, Transport
from kirogw.tries import Tries

SETTLING: Final = 0.2  # seconds that an upstream gets for the end of its bytes, when all has been said


class Sending:
    """What all tries of this process share. `told` hears of what an answer's head says that the account has left."""

    def __init__(self, settings: Settings, providers: Providers, transport: Transport, pool: Pool, catalog: Catalog,
                 router: Router, secret: bytes, told: Callable[[str, Quota], None]) -> None:  # fmt: skip
        self._settings, self._transport, self._secret = settings, transport, secret
        self._providers, self._pool, self._catalog, self._router = providers, pool, catalog, router
        self._told, self._cuts = told, Cuts()
        self._marks: dict[str, str] = {}
        self.running: set[Exchange] = set()

    def abort(self) -> None:
        """Whoever reads an answer finds its end."""
        for exchange in list(self.running):
            exchange.abort()

    def answer(self, place: Place, login: Login, tries: Tries) -> Source:
        """Send, wait for the head, and give the events: what comes first is shown. Raises Refused, Lost or Silence."""
        account, entry, provider = place.account, tries.entry, self._providers.of(login.kind)
        models = self._catalog.models(account.id, lambda: login, account.kind)
        assert tries.route  # noqa: S101
        target = self._router.target(tries.route, account, models)
        entry.model = target.model.id
        mark = self._mark(account.id)
        exchange, sent = self._sent(provider, login, target, tries, mark)
        self.running.add(exchange)
        reader: Reader | None = None
        try:
            yield from self._head(provider, exchange, target.model.id, account, entry)
            reading = Reading(target.model, tokens.count, tries.estimate, account.learned, mark)
            reader = provider.reader(sent, reading)
            relay = Relay(
                observed.taped(exchange, entry), exchange.ended, reader,
                beat=self._settings.heartbeat, limit=self._settings.streaming_read_timeout,
            )  # fmt: skip
            served = False
            while not relay.done:
                batch = relay.next()
                if reader.visible and not served:  # that it answers is known now, however long the answer is
                    served = True
                    self._pool.served(account.id, tries.model, time.time(), tries.began)
                    tries.show()
                yield batch
                del batch
            exchange.settle(SETTLING)
            if not served:  # it ended without a word, and as it should
                self._pool.served(account.id, tries.model, time.time(), tries.began)
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
        """The request on its way, and what it was made of but for its body, which may be large."""
        prepared = self._prepared(provider, login, target, tries, mark)
        hosts = provider.hosts(login)
        tries.hosts = len(hosts)
        outgoing = provider.request(
            prepared, login, hosts[tries.host], session=tries.session, invocation=tries.invocation,
            attempt=tries.entry.tries,
        )  # fmt: skip
        observed.record(tries.entry, outgoing, prepared.notes)
        return self._transport.open(outgoing, fresh=tries.fresh), Prepared(b"", prepared.state)

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
        exchange.headers.clear()  # they have been heard, and an answer may take long

    def _prepared(self, provider: Provider, login: Login, target: Target, tries: Tries, mark: str) -> Prepared:
        """The payload. Each try writes it anew from the conversation: kept until the answer begins, it would take as
        much memory again.
        """
        conversation = tries.conversation
        assert conversation  # noqa: S101
        conversation = truncation.fitting(_suited(conversation, tries.route, provider), target.model.window)
        terms = Terms(
            login.kind, mark, tries.session, ids.turn_id(self._secret, conversation),
            self._cuts.known(conversation) if self._settings.truncation_recovery else frozenset(),
            tries.unsealed, tries.plain,
        )  # fmt: skip
        return provider.prepare(conversation, target, terms)


def _suited(conversation: Conversation, route: Route | None, provider: Provider) -> Conversation:
    """What the model's name asked for is in the conversation; a provider that can not search is not asked to."""
    if route and (route.effort or route.thinking):
        conversation = replace(conversation, thinking=wished(conversation.thinking, route.effort, route.thinking))
    return search.without(conversation) if conversation.search and not provider.searches else conversation
