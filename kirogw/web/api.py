"""The routes that clients call. One view serves all faces."""

from __future__ import annotations

import contextlib
import functools
import os
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flask import Flask, Response, current_app, g, request

from kirogw import __version__, log, pins, routing
from kirogw.answer import BEAT, collect
from kirogw.convert import FACES
from kirogw.debug import Record
from kirogw.dialects.face import Ask, Face, Heading
from kirogw.dialects.messages.models import token_count
from kirogw.errors import Cancelled, GatewayError
from kirogw.framing import HOLD
from kirogw.settings import Settings
from kirogw.stream import Chunks, Source, events, written
from kirogw.usage import UsageRecord
from kirogw.web import guard, models
from kirogw.web.application import Streamed
from kirogw.web.failures import face_of_request, unexpected
from kirogw.web.keeping import KINDS, Passing
from kirogw.web.state import State, state
from kirogw.web.views import as_json, behind_key, client_headers, let_in
from kirogw.wire import Json

_ALPHABET: Final = (string.ascii_letters + string.digits).encode()
LETTERS: Final = bytes(_ALPHABET[n % len(_ALPHABET)] for n in range(256))  # what each random byte becomes
FIGURES: Final = "x-kirogw-usage-source"
"""Where an answer's figures come from. A stream's head leaves before Kiro has told any: those in it are estimated."""
STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", FIGURES: "estimated"}


def add_routes(app: Flask) -> None:
    here: State = app.extensions["kirogw"]
    app.before_request(functools.partial(_begin, here))
    app.after_request(functools.partial(_end, here))
    for path, view, methods in (
        ("/", home, ["GET"]),
        ("/health", health, ["GET"]),
        ("/ready", ready, ["GET"]),
        ("/v1/models", models.listed, ["GET"]),
        ("/v1/models/<path:name>", models.one, ["GET"]),
        ("/v1/messages/count_tokens", count_tokens, ["POST"]),
    ):
        view = view if path in PUBLIC else behind_key(view)
        app.add_url_rule(path, path, view, methods=methods, provide_automatic_options=False)
    for path, name in GENERATES.items():
        view = functools.partial(generate, here, FACES[name])
        app.add_url_rule(path, path, view, methods=["POST"], provide_automatic_options=False)


PUBLIC: Final = {"/", "/health", "/ready"}
GENERATES: Final = {
    "/v1/messages": "messages", "/v1/chat/completions": "chat", "/v1/responses": "responses",
    "/v1/completions": "completions",
}  # fmt: skip


def _begin(here: State) -> None:
    g.request_id = id_ = "req_" + identifier()
    if request.path not in PUBLIC:
        here.start()
        g.entry = log.Entry(id_, face_of_request().name, time.monotonic())


def _end(here: State, response: Response) -> Response:
    entry, id_ = g.get("entry"), g.request_id
    response.headers.add("x-request-id", id_)
    response.headers.add("request-id", id_)
    if entry:
        if entry.shown:
            response.headers[pins.HEADER] = entry.shown
        if entry.first and (serves := routing.another(entry.asked, entry.model)):  # else another one may serve yet
            response.headers[routing.HEADER] = serves
        if not response.is_streamed:
            entry.outcome = entry.outcome or str(response.status_code)
            _done(here, entry, response.get_data())
    return response


def _done(here: State, entry: log.Entry, answer: bytes = b"") -> None:
    """A request's end, however it came, once: its line in the log, its record of usage, its folder in DEBUG_MODE."""
    if entry.done:
        return
    entry.done = True
    now = time.monotonic()
    log.request(entry, now)
    if entry.generates:
        here.usage.record(_used(entry, now))
    if entry.record:
        entry.record.add("answer.txt", answer)
        entry.record.close(failed=entry.failed)


def _record(settings: Settings, data: bytes) -> Record | None:
    if settings.debug_mode == "off":
        return None
    record = Record(Path(settings.kirogw_home).expanduser(), g.request_id, settings.debug_mode)
    record.add_head("request.txt", f"{request.method} {request.full_path}", dict(request.headers))
    record.add("request.txt", data)
    return record


def identifier() -> str:
    """24 letters and digits, as both APIs have in their ids."""
    return os.urandom(24).translate(LETTERS).decode()


def _used(entry: log.Entry, now: float) -> UsageRecord:
    usage = entry.usage
    return UsageRecord(
        time.time(), entry.id, entry.key, entry.account_id, entry.model, entry.face, entry.outcome, entry.stream,
        usage.get("in", 0), usage.get("out", 0), entry.cached, usage.get("credits") or None,
        usage.get("figures", "estimated"), (now - entry.began) * 1000,
        None if entry.first is None else (entry.first - entry.began) * 1000, entry.provider,
    )  # fmt: skip


def generate(here: State, face: Face) -> Response:
    """A request for an answer, streamed or not, in any face."""
    caller, entry, headers, id_ = let_in(), g.entry, client_headers(), identifier()
    keeping = KINDS.get(face.name, Passing)(here, caller, _asked(here, entry), id_)
    with keeping.placed():
        ask = face.read(keeping.body(), headers)
        entry.model = entry.asked = ask.conversation.model
        entry.stream = ask.stream
        source, estimate = _opened(here, ask, entry, headers.get(pins.HEADER, ""))
    heading = Heading(id_, ask.conversation.model, int(time.time()), estimate)
    if ask.stream:
        return _streamed(here, face, ask, heading, keeping.watched(source), entry, keeping)
    answer = collect(events(_watched(source, here.settings.heartbeat)))
    response = as_json(keeping.whole(face, answer, heading, ask))
    response.headers[FIGURES] = answer.usage.source
    return response


def _asked(here: State, entry: log.Entry) -> Json:
    """The body as JSON. Its bytes are let go at once: they may be many, and the answer takes long."""
    data = guard.body()
    entry.record, entry.generates = _record(here.settings, data), True
    return guard.parsed(data)


def _opened(here: State, ask: Ask, entry: log.Entry, account: str) -> tuple[Source, int]:
    """The answer as it comes, within what the caller's key allows, and the estimate of its input. `account`: the one
    that the client names, or "".
    """
    caller = g.caller
    routes = guard.routes(caller, ask.conversation.model)
    only = here.gateway.pinned(account, caller.accounts or ())
    source, estimate = here.gateway.open(ask, entry, only, routes)
    return here.budgets.metered(source, caller, estimate, ask.conversation, lambda: entry.usage), estimate


def _watched(source: Source, beat: float) -> Source:
    """`source`, until the client leaves: nothing is written to it before the end, so no write can tell."""
    with contextlib.closing(source):
        seen = time.monotonic()
        for batch in source:
            if time.monotonic() - seen >= beat / 2:
                seen = time.monotonic()
                guard.still_there()
            yield batch


def _streamed(here: State, face: Face, ask: Ask, heading: Heading, source: Source, entry: log.Entry,
              keeping: Passing) -> Response:  # fmt: skip
    """The first event or the first beat decides the status; what fails before has one of its own."""
    beat, since = here.settings.heartbeat, time.monotonic()
    first = next(source, BEAT)
    while not first:  # what comes may be held back, and the client should hear that we live
        first = next(source, BEAT) if time.monotonic() - since < beat else BEAT
    writer = keeping.writer(face.writer(heading, ask))
    chunks = written(source, first, writer, beat=beat, clock=time.monotonic, lost=functools.partial(_lost, entry),
                     last=request.environ.get(HOLD, _nothing))  # fmt: skip
    body = _Body(_recorded(chunks, entry.record) if entry.record else chunks, source, keeping, entry, here)
    return Streamed(body, mimetype="text/event-stream", headers=STREAM_HEADERS, direct_passthrough=True)


class _Body:
    """A streamed answer's chunks. Whoever has them closes it, read or not, and then all behind it has its end."""

    __slots__ = ("_chunks", "_entry", "_here", "_keeping", "_source")

    def __init__(self, chunks: Chunks, source: Source, keeping: Passing, entry: log.Entry, here: State) -> None:
        self._chunks, self._source, self._keeping, self._entry, self._here = chunks, source, keeping, entry, here

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        try:
            self._chunks.close()
            self._source.close()
            self._keeping.left()
        finally:
            self._entry.outcome = self._entry.outcome or "client left"
            _done(self._here, self._entry)


def _nothing() -> None:
    """Where the server sends each piece as it gets it, the end too."""


def _lost(entry: log.Entry, error: Exception) -> GatewayError:
    """What a client hears in the middle of its answer."""
    entry.outcome, entry.failed = f"{type(error).__name__} in-band", True
    if isinstance(error, Cancelled):
        entry.outcome, entry.failed = "client left", False
    return unexpected(error, entry.id)


def _recorded(chunks: Chunks, record: Record) -> Chunks:
    with contextlib.closing(chunks):
        for chunk in chunks:
            record.add("answer.txt", chunk)
            yield chunk


def count_tokens(data: bytes) -> Response:
    ask = FACES["messages"].read(guard.parsed(data), client_headers())
    response = as_json(token_count(state().gateway.count(ask.conversation)))
    response.headers[FIGURES] = "estimated"
    return response


def home() -> Response:
    return as_json({
        "name": "kirogw", "version": __version__, "demo": state().demo,
        "endpoints": sorted({rule.rule for rule in current_app.url_map.iter_rules()}),
    })  # fmt: skip


def health() -> Response:
    """Liveness with detail, open to all: so numbers and states, and no name of an account."""
    now = time.time()
    accounts = state().gateway.pool.all()
    return as_json({
        "status": "ok", "version": __version__, "demo": state().demo, "uptime_seconds": round(now - state().began),
        "worker": state().pid, "answers_running": state().gateway.busy(),
        "accounts": [{"kind": a.kind, "state": a.state, "ready": a.ready(now)} for a in accounts],
    })  # fmt: skip


def ready() -> Response:
    able = any(account.ready(time.time()) for account in state().gateway.pool.all())
    return as_json({"status": "ready" if able else "no account is ready"}, 200 if able else 503)
