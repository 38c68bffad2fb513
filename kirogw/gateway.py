"""The steps of one request, in order: what is attached, what it counts, who is asked (`asking`), what is made of it."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable, Collection, Iterable, Set
from typing import Final

from kirogw import attachments, log, search, tokens
from kirogw.asking import Asking, Errand
from kirogw.auth import Logins
from kirogw.catalog import Catalog
from kirogw.conversation import Conversation
from kirogw.convert import Providers
from kirogw.dialects.face import Ask
from kirogw.dialects.kiro import faults
from kirogw.dialects.kiro import search as kiro_search
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Documents, Login
from kirogw.dialects.quota import Quota
from kirogw.fetch import Fetcher
from kirogw.flow.limit import Limit, OneCall
from kirogw.flow.stops import Stops
from kirogw.observed import Observer
from kirogw.pins import pinned
from kirogw.pool import Pool
from kirogw.router import Router
from kirogw.routing import Route, Rules
from kirogw.settings import Settings
from kirogw.store.sync import Sync
from kirogw.stream import Filter, Source, filtered
from kirogw.transport import Lost, Transport
from kirogw.tries import invocation
from kirogw.wire import Reply, Request

SEARCHES: Final = "kiro"  # the provider whose search serves those that have none


def nothing(*_: object) -> None:
    """Where nobody looks at quotas."""


class Gateway:
    """All that requests share in one process. `exhausted` hears of an account whose plan is used up, `told` of what an
    answer's head says that it has left; neither may wait.
    """

    def __init__(self, settings: Settings, transport: Transport, logins: Logins, pool: Pool, sync: Sync, secret: bytes,
                 exhausted: Callable[[str], None] = nothing,
                 told: Callable[[str, Quota], None] = nothing) -> None:  # fmt: skip
        self._settings, self._transport, self._logins = settings, transport, logins
        self._shape = Shape.of(settings)
        self._fetcher = Fetcher(settings)
        self.providers = Providers(settings)
        self.catalog = Catalog(settings, self.providers, transport.call, sync)
        self.pool = pool
        self.router = Router(settings, self.providers, self.catalog, pool)
        self._asking = Asking(
            settings, self.providers, transport, logins, pool, self.catalog, self.router, secret, exhausted, told
        )

    def pinned(self, name: str, allowed: Collection[str]) -> Set[str] | None:
        """Which accounts may serve: see pins.pinned."""
        return pinned(name, allowed, self.pool.all()) if name or allowed else None

    def open(self, ask: Ask, entry: log.Entry, only: Set[str] | None = None,
             routes: tuple[Route, ...] | None = None) -> tuple[Source, int]:  # fmt: skip
        """The answer as it comes, and the estimate of its input tokens. Both may raise GatewayError. Nothing is sent
        before the first batch is asked for. `only`: ids of the accounts that may serve; `routes`: what the model's name
        means to who asks, None: to everybody.
        """
        routes = self.router.routes(ask.conversation.model) if routes is None else routes
        whose = self.router.serving(routes)
        conversation = attachments.resolve(ask.conversation, self._fetcher, _common(one.documents for one in whose))
        if conversation.search and not self._settings.web_search:
            conversation = search.without(conversation)
        searched = bool(conversation.search) and not all(one.searches for one in self.router.serving(routes[:1]))
        formed = bool(conversation.format) and not all(one.formats for one in whose)
        estimate = tokens.count_conversation(conversation)
        errand = Errand(entry, routes, estimate, not ask.stream or formed, only)
        model: Callable[[Conversation], Source] = functools.partial(self._asking.answer, errand=errand)
        ask_model = model
        if formed and conversation.format:
            ask_model = functools.partial(_structured, stream=model, param=conversation.format.param)
        if searched:
            beat = self._settings.heartbeat
            source = search.searching(conversation, ask_model, self._searcher(errand), beat=beat)
        else:
            source = ask_model(conversation)
        plain = not (formed or searched)  # one question, one answer
        observer = Observer(entry, conversation.model if plain else "", estimate)
        return filtered(source, (*self._filters(conversation, estimate), observer)), estimate

    def count(self, conversation: Conversation) -> int:
        """The estimate of the input's tokens, as an answer's first event would tell it."""
        return tokens.count_conversation(conversation)

    def models(self, own: Rules | None = None, *, spellings: bool = True) -> list[Listed]:
        """All models of all accounts, asked for where they are not known yet. `own`: the rules of the caller's key;
        `spellings`: under each name that works.
        """
        self.catalog.read_all((account.id, functools.partial(self._logins.fresh, account.id), account.kind)
                              for account in self.pool.all() if account.enabled)  # fmt: skip
        return self.router.listed(own, spellings=spellings)

    def stop(self, grace: float) -> None:
        """From now on answers have `grace` seconds to end; then the rest are told that the gateway stops."""
        timer = threading.Timer(grace, self._asking.stop)
        timer.daemon = True
        timer.start()

    def busy(self) -> int:
        """How many answers are on their way."""
        return len(self._asking.running)

    def _filters(self, conversation: Conversation, estimate: int) -> list[Filter]:
        filters: list[Filter] = []
        if conversation.stops:
            filters.append(Stops(conversation.stops, tokens.count, estimate))
        if not conversation.choice.parallel:
            filters.append(OneCall(tokens.count, estimate))
        if conversation.max_tokens is not None:
            filters.append(Limit(conversation.max_tokens, tokens.count, estimate))
        return filters

    def _searcher(self, errand: Errand) -> search.Find:
        """The upstream's own web search, on an account that may serve."""

        def find(query: str) -> kiro_search.Found:
            mine = self.router.of(SEARCHES)
            tries = self._asking.tries(None, errand._replace(only=mine if errand.only is None else mine & errand.only))
            waiting = self._asking.placed(tries)
            try:
                for _ in waiting:
                    pass
                assert tries.place  # noqa: S101
                account = tries.place.account
                login = self._logins.fresh(account.id)
                reply = self._search(query, login)
                if reply.status != 200:
                    again = faults.judge(reply.status, reply.headers, reply.body).again
                    if other := self._asking.other_login(again, account, login):
                        reply = self._search(query, other)
                return kiro_search.read(reply)
            finally:
                self._asking.leave(tries)

        return find

    def _search(self, query: str, login: Login) -> Reply:
        base = self._settings.kiro_runtime_urls[0].format(region=login.region)
        outgoing = kiro_search.request(query, login, base, self._shape, invocation())
        return self.call(outgoing, kiro_search.SECONDS)

    def call(self, outgoing: Request, seconds: float) -> Reply:
        """A whole call, its failures in our words."""
        try:
            return self._transport.call(outgoing, seconds)
        except Lost as error:
            raise faults.lost(error.kind).error from error


def _common(documents: Iterable[Documents]) -> Documents:
    """What all of them take."""
    first, *rest = documents
    for one in rest:
        first = Documents(first.media & one.media, min(first.size, one.size), min(first.count, one.count))
    return first


def _structured(conversation: Conversation, *, stream: Callable[[Conversation], Source], param: str) -> Source:
    """`flow.structured`, loaded by the first request that needs it: jsonschema takes 4 MB of each worker."""
    source: Source = importlib.import_module("kirogw.flow.structured").structured(conversation, stream, param=param)
    return source
