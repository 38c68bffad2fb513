"""The steps of one request, in order. What to do about a failure is the verdict's to say; here it is only done."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from kirogw import attachments, log, search, tokens
from kirogw.answer import BEAT, Beat, Stop, Usage
from kirogw.auth import Logins
from kirogw.catalog import Catalog
from kirogw.conversation import Choice, Conversation, Text
from kirogw.cuts import Cuts
from kirogw.dialects.dialect import Ask, Fate, Login, Model, Refused, Verdict
from kirogw.dialects.kiro import faults, request
from kirogw.dialects.kiro import search as kiro_search
from kirogw.dialects.kiro.answer import Reader
from kirogw.errors import Forbidden, GatewayError, NeedsLogin, QuotaUsed, ShuttingDown, UpstreamFailed
from kirogw.fetch import Fetcher
from kirogw.flow.limit import Limit, OneCall
from kirogw.flow.stops import Stops
from kirogw.pool import Account, Pool
from kirogw.settings import Settings
from kirogw.stream import Filter, Silence, Source, filtered, relayed
from kirogw.transport import Exchange, Lost, Transport
from kirogw.tries import Tries
from kirogw.wire import Reply, Request

FORMATS: Final = {"chat": "response_format.json_schema.schema", "messages": "output_config.format.schema"}
EVENTS: Final = "application/vnd.amazon.eventstream"
SEARCH_TOOL: Final = "web_search"


class Gateway:
    """All that requests share in one process."""

    def __init__(self, settings: Settings, transport: Transport, logins: Logins, secret: bytes) -> None:
        self._settings, self._transport, self._logins, self._secret = settings, transport, logins, secret
        self._shape = request.Shape.of(settings)
        self._fetcher = Fetcher(settings)
        self._cuts = Cuts()
        self._running: set[Exchange] = set()
        self._stopping = threading.Event()
        self.catalog = Catalog(settings, transport.call)
        self.pool = Pool(Account(a.id, a.kind, a.name) for a in logins.accounts())

    def open(self, ask: Ask, entry: log.Entry) -> tuple[Source, int]:
        """The answer as it comes, and the estimate of its input tokens. Both may raise GatewayError."""
        conversation = attachments.resolve(ask.conversation, self._fetcher)
        if conversation.search and not self._settings.web_search:
            conversation = _without_search(conversation)
        estimate = tokens.count_conversation(conversation)
        model: Callable[[Conversation], Source] = functools.partial(
            self._answer, estimate=estimate, entry=entry, hold=not ask.stream or conversation.format is not None
        )
        ask_model = model
        if conversation.format:
            ask_model = functools.partial(_structured, stream=model, param=FORMATS[entry.face])
        if conversation.search:
            beat = self._settings.heartbeat
            source = search.searching(conversation, ask_model, self._searcher(entry), beat=beat)
        else:
            source = ask_model(conversation)
        if filters := self._filters(conversation, estimate):
            source = filtered(source, filters)
        plain = not (conversation.format or conversation.search)  # one question, one answer
        return self._observed(source, entry, conversation.model if plain else "", estimate), estimate

    def count(self, conversation: Conversation) -> int:
        """The estimate of the input's tokens, as an answer's first event would tell it."""
        return tokens.count_conversation(conversation)

    def models(self) -> list[Model]:
        """All models of all accounts, asked for where they are not known yet."""
        for account in self.pool.all():
            self.catalog.models(account.id, functools.partial(self._logins.fresh, account.id))
        return self.catalog.known()

    def stop(self, grace: float) -> None:
        """From now on answers have `grace` seconds to end; then the rest are told that the gateway stops."""
        timer = threading.Timer(grace, self._cut)
        timer.daemon = True
        timer.start()

    def busy(self) -> int:
        """How many answers are on their way."""
        return len(self._running)

    def _cut(self) -> None:
        self._stopping.set()
        for exchange in list(self._running):
            exchange.abort()

    def _filters(self, conversation: Conversation, estimate: int) -> list[Filter]:
        filters: list[Filter] = []
        if conversation.stops:
            filters.append(Stops(conversation.stops, tokens.count, estimate))
        if not conversation.choice.parallel:
            filters.append(OneCall(tokens.count, estimate))
        if conversation.max_tokens is not None:
            filters.append(Limit(conversation.max_tokens, tokens.count, estimate))
        return filters

    def _observed(self, source: Source, entry: log.Entry, model: str, estimate: int) -> Source:
        """`source` as it is, with what the log wants to know of it, and what the counting of tokens can learn."""
        with contextlib.closing(source):
            for batch in source:
                if batch and not isinstance(batch, Beat):
                    entry.events += len(batch)
                    entry.first = entry.first or time.monotonic()
                    _note(entry, batch, model, estimate)
                yield batch

    def _answer(self, conversation: Conversation, *, estimate: int, entry: log.Entry, hold: bool) -> Source:
        """One answer of the upstream, with as many tries as the verdicts allow and the client sees none of."""
        limit, hosts = entry.began + self._settings.retry_budget, len(self._settings.kiro_runtime_urls)
        tries = Tries(entry, conversation, limit, hosts, self._settings.retry_pace, hold)
        del conversation  # `tries` lets it go as soon as it may
        while True:
            if self._stopping.is_set():
                raise _stopped()
            account = tries.account = tries.account or self._pick(tries)
            entry.account, entry.tries = account.name or account.id, entry.tries + 1
            login: Login | None = None
            try:
                login = self._login(account)
                yield from _shown(self._once(account, login, tries, estimate), tries)
                return
            except (Refused, Lost, Silence) as failure:
                verdict = self._verdict(failure, tries)
            pause = self._after(verdict, account, login, tries)
            yield from self._beats(pause)

    def _after(self, verdict: Verdict, account: Account, login: Login | None, tries: Tries) -> float:
        """Note what a failure says of the account, and prepare the next try. Raises when there is none."""
        tries.entry.upstream = verdict.error.upstream_id or tries.entry.upstream
        log.logger.debug("a try failed", extra={"fields": {"request": tries.entry.id, "rule": verdict.rule}})
        if self._stopping.is_set():
            raise _stopped()
        if tries.shown:
            self.pool.failed(account, verdict, "", time.time())
            raise verdict.error
        if verdict.again == "profile" and login and not self._other_login("profile", account, login):
            verdict = replace(verdict, again="")  # what was refused is all there is
        given_up = True
        try:
            pause = tries.next(verdict, time.monotonic())
            given_up = tries.account is not account
        finally:
            if given_up:
                self.pool.failed(account, verdict, tries.model, time.time())
        if tries.again == "refresh" and login:
            self._renew(account, login, tries)
        return pause

    def _other_login(self, again: str, account: Account, login: Login) -> Login | None:
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
        if isinstance(failure, Silence):
            return faults.lost("idle")
        kind = failure.kind if isinstance(failure, Lost) else "reset"
        verdict = faults.lost(kind)
        if kind == "stale":
            tries.fresh = True  # one more try over a new connection, at no cost to those of the verdict
            return replace(verdict, again="same", tries=1, waits=(0.0, 0.0), rule="stale")
        return verdict

    def _beats(self, pause: float) -> Source:
        """Wait, and let the client hear that we do."""
        beat = self._settings.heartbeat
        while pause > 0 and not self._stopping.is_set():
            time.sleep(min(pause, beat))
            pause -= beat
            if pause > 0:
                yield BEAT

    def _pick(self, tries: Tries) -> Account:
        account = self.pool.pick(tries.tried, tries.model, time.time())
        if account:
            return account
        resting = self.pool.soonest(time.time())
        rests_for = resting.error if resting else None
        if tries.error and (tries.error.passes or not (rests_for and rests_for.passes)):
            raise tries.error
        if resting is None:
            raise NeedsLogin(
                "no Kiro account is set up: sign in with the Kiro IDE or kiro-cli or set KIRO_API_KEY, then start again"
            )
        error = copy.copy(rests_for) or Forbidden("no account can serve just now; look at its state in /health")
        if not isinstance(error, QuotaUsed):  # when a plan is reset, Kiro knows; our rest only ends with a look
            error.wait = max(1.0, resting.until - time.time())
        raise error

    def _login(self, account: Account) -> Login:
        """A fresh login. A failure becomes a verdict: another account may do."""
        try:
            return self._logins.fresh(account.id)
        except NeedsLogin as error:
            raise Refused(Verdict(error, "needs-login", elsewhere=True, fate="login")) from error
        except UpstreamFailed as error:
            raise Refused(Verdict(error, "refresh-failed", elsewhere=True)) from error

    def _renew(self, account: Account, login: Login, tries: Tries) -> None:
        """Another token for the next try; another account where there is none."""
        try:
            self._logins.renew(account.id, login.token)
        except GatewayError as error:
            fate: Fate = "login" if isinstance(error, NeedsLogin) else ""
            failed = Verdict(error, "renew-failed", elsewhere=True, fate=fate)
            self.pool.failed(account, failed, "", time.time())
            tries.next(failed, time.monotonic())

    def _once(self, account: Account, login: Login, tries: Tries, estimate: int) -> Source:
        """One try: send, wait for the head, and give the events. Raises Refused, Lost or Silence."""
        target = self.catalog.resolve(tries.model, self.catalog.models(account.id, lambda: login))
        tries.entry.model = target.model.id
        exchange, emulation = self._sent(login, target, tries)
        self._running.add(exchange)
        try:
            yield from self._head(exchange, target.model.id, tries.entry)
            reader = Reader(
                target.model, names=emulation.names, thinking_tags=emulation.thinking_tags,
                handling=self._settings.fake_reasoning_handling, count=tokens.count, estimate=estimate,
                learned=account.learned,
            )  # fmt: skip
            yield from relayed(
                _taped(exchange, tries.entry), exchange.ended, reader,
                beat=self._settings.heartbeat, limit=self._settings.streaming_read_timeout,
            )  # fmt: skip
            self.pool.served(account)
            account.learned = account.learned or reader.saw_metadata
            if self._settings.truncation_recovery and (reader.cut_calls or reader.cut_text):
                self._cuts.remember(reader.cut_calls, reader.cut_text)
        finally:
            self._running.discard(exchange)
            exchange.close()

    def _sent(self, login: Login, target: request.Target, tries: Tries) -> tuple[Exchange, request.Emulation]:
        """The request on its way. The payload ends here: it may be large, and a stream may be long."""
        prepared = self._prepared(target, tries)
        tries.entry.rules = prepared.notes
        base = self._settings.kiro_runtime_urls[tries.host].format(region=login.region)
        outgoing = request.address(
            prepared.body, login, base, self._shape, invocation_id=tries.invocation, attempt=tries.entry.tries
        )
        _record(tries.entry, outgoing)
        return self._transport.open(outgoing, fresh=tries.fresh), prepared.emulation

    def _head(self, exchange: Exchange, model: str, entry: log.Entry) -> Source:
        """Beats until the answer's head is here. Raises Refused when it is no event stream."""
        waited, beat = 0.0, self._settings.heartbeat
        try:
            while not exchange.head(min(beat, self._settings.first_token_timeout)):
                waited += beat
                if waited >= self._settings.first_token_timeout:
                    raise Lost("first_token")
                yield BEAT
            _record_head(entry, exchange)
            if exchange.status != 200:
                body = exchange.whole(self._settings.connect_timeout)
                if entry.record:
                    entry.record.add(f"upstream-{entry.tries}-answer.bin", body)
                raise Refused(faults.judge(exchange.status, exchange.headers, body, model=model))
        except Lost as lost:
            if exchange.reused and not exchange.answered and lost.kind == "reset":
                raise Lost("stale") from lost
            raise
        if not exchange.headers.get("content-type", "").startswith(EVENTS):
            raise Lost("damaged", "the answer is no event stream")

    def _prepared(self, target: request.Target, tries: Tries) -> request.Prepared:
        """The payload; made once for all tries that differ only in account or host."""
        key = (target.model.id, tries.unsealed, tries.plain)
        conversation = tries.conversation
        if conversation and key not in tries.prepared:
            first = _first_text(conversation)
            tries.prepared[key] = request.prepare(
                conversation, target, self._shape,
                conversation_id=request.conversation_id(self._secret, conversation.session, first),
                continuation_id=request.continuation_id(self._secret, conversation),
                cut=self._cuts.known(conversation) if self._settings.truncation_recovery else frozenset(),
                unsealed=tries.unsealed, plain=tries.plain,
            )  # fmt: skip
        return tries.prepared[key]

    def _searcher(self, entry: log.Entry) -> search.Find:
        """The upstream's own web search, on the account that would serve."""

        def find(query: str) -> kiro_search.Found:
            account = self._pick(Tries(entry, None, 0.0, 1))
            login = self._logins.fresh(account.id)
            reply = self._search(query, login)
            if reply.status != 200:
                again = faults.judge(reply.status, reply.headers, reply.body).again
                if other := self._other_login(again, account, login):
                    reply = self._search(query, other)
            return kiro_search.read(reply)

        return find

    def _search(self, query: str, login: Login) -> Reply:
        base = self._settings.kiro_runtime_urls[0].format(region=login.region)
        outgoing = kiro_search.request(query, login, base, self._shape, str(uuid.uuid4()))
        return self.call(outgoing, kiro_search.SECONDS)

    def call(self, outgoing: Request, seconds: float) -> Reply:
        """A whole call, its failures in our words."""
        try:
            return self._transport.call(outgoing, seconds)
        except Lost as error:
            raise faults.lost(error.kind).error from error


def _without_search(conversation: Conversation) -> Conversation:
    """WEB_SEARCH is off: the server tool is left out, the model is told so, and need not use it."""
    choice = conversation.choice
    if choice.mode == "named" and all(tool.name != choice.name for tool in conversation.tools):
        choice = Choice(parallel=choice.parallel)
    left_out = (*conversation.left_out, SEARCH_TOOL)
    return replace(conversation, search=None, choice=choice, left_out=left_out)


def _stopped() -> ShuttingDown:
    return ShuttingDown("the gateway is being stopped or restarted; try again in a moment", wait=1.0)


def _structured(conversation: Conversation, *, stream: Callable[[Conversation], Source], param: str) -> Source:
    """`flow.structured`, loaded by the first request that needs it: jsonschema takes 4 MB of each worker."""
    source: Source = importlib.import_module("kirogw.flow.structured").structured(conversation, stream, param=param)
    return source


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


def _record(entry: log.Entry, outgoing: Request) -> None:
    """For DEBUG_MODE: what is sent."""
    if entry.record:
        name = f"upstream-{entry.tries}-request.txt"
        entry.record.add_head(name, f"{outgoing.method} {outgoing.url}", outgoing.headers)
        entry.record.add(name, outgoing.body)


def _record_head(entry: log.Entry, exchange: Exchange) -> None:
    if entry.record:
        entry.record.add_head(f"upstream-{entry.tries}-answer-head.txt", f"HTTP {exchange.status}", exchange.headers)


def _taped(exchange: Exchange, entry: log.Entry) -> Callable[[float], bytes | None]:
    name = f"upstream-{entry.tries}-answer.bin"
    return entry.record.taped(name, exchange.read) if entry.record else exchange.read


def _note(entry: log.Entry, batch: Sequence[object], model: str, estimate: int) -> None:
    for event in batch[-2:]:  # Usage and Stop come last
        if type(event) is Usage:
            if model and event.source != "estimated":
                tokens.learn(model, estimate, event.input)
            entry.usage = {"in": event.input, "out": event.output, "credits": event.credits, "figures": event.source}
        elif type(event) is Stop:
            entry.outcome = event.reason


def _first_text(conversation: Conversation) -> str:
    """What stays the same through a session: the first text of the first turn."""
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                return part.text
    return ""
