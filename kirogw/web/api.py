"""The routes that clients call. One view serves all faces."""

from __future__ import annotations

import contextlib
import functools
import secrets
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import orjson
from flask import Flask, Response, current_app, g, request

from kirogw import __version__, log, pins
from kirogw.answer import BEAT, collect
from kirogw.convert import FACES
from kirogw.debug import Record
from kirogw.dialects.chat.models import openai_model, openai_models
from kirogw.dialects.dialect import Ask, Face, Heading, Model
from kirogw.dialects.kiro import models as kiro_models
from kirogw.dialects.messages.models import anthropic_model, anthropic_models, token_count
from kirogw.errors import GatewayError, NotAllowed, UnknownModel, WrongKey
from kirogw.settings import Settings
from kirogw.stream import Source, events, written
from kirogw.usage import UsageRecord
from kirogw.web import guard
from kirogw.web.cork import Cork
from kirogw.web.failures import face_of_request, unexpected
from kirogw.web.state import State, state
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
        ("/v1/models", models, ["GET"]),
        ("/v1/models/<path:name>", model, ["GET"]),
        ("/v1/messages", functools.partial(generate, here, FACES["messages"]), ["POST"]),
        ("/v1/messages/count_tokens", count_tokens, ["POST"]),
        ("/v1/chat/completions", functools.partial(generate, here, FACES["chat"]), ["POST"]),
    ):
        behind = _public(view) if path in PUBLIC else _kept(view)
        app.add_url_rule(path, path, behind, methods=methods, provide_automatic_options=False)


PUBLIC: Final = {"/", "/health", "/ready"}


def _begin(here: State) -> None:
    g.request_id = id_ = "req_" + identifier()
    if request.path not in PUBLIC:
        here.start()
        g.entry = log.Entry(id_, face_of_request().name, time.monotonic())


def _end(here: State, response: Response) -> Response:
    response.headers["x-request-id"] = response.headers["request-id"] = g.request_id
    entry = g.get("entry")
    if entry:
        if entry.shown:
            response.headers[pins.HEADER] = entry.shown
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
    return secrets.token_bytes(24).translate(LETTERS).decode()


def _public(view: Callable[..., Response]) -> Callable[..., Response]:
    return view


def _used(entry: log.Entry, now: float) -> UsageRecord:
    usage = entry.usage
    return UsageRecord(
        time.time(), entry.id, entry.key, entry.account_id, entry.model, entry.face, entry.outcome, entry.stream,
        usage.get("in", 0), usage.get("out", 0), entry.cached, usage.get("credits") or None,
        usage.get("figures", "estimated"), (now - entry.began) * 1000,
        None if entry.first is None else (entry.first - entry.began) * 1000, entry.provider,
    )  # fmt: skip


def _kept(view: Callable[..., Response]) -> Callable[..., Response]:
    """`view` behind the key. The body is read before anything is answered, a refusal too."""

    def behind(**values: str) -> Response:
        try:
            g.caller = guard.caller()
        except (WrongKey, NotAllowed):
            guard.drain()
            raise
        g.entry.key = g.caller.name
        return view(guard.body(), **values)

    return behind


def generate(here: State, face: Face, data: bytes) -> Response:
    """A request for an answer, streamed or not, in any face."""
    entry, headers = g.entry, _headers()
    entry.record, entry.generates = _record(here.settings, data), True
    ask = face.read(guard.parsed(data), headers)
    entry.model, entry.stream = ask.conversation.model, ask.stream
    source, estimate = _opened(here, ask, entry, headers.get(pins.HEADER, ""))
    heading = Heading(identifier(), ask.conversation.model, int(time.time()), estimate)
    if ask.stream:
        return _streamed(here, face, ask, heading, source, entry)
    answer = collect(events(_watched(source, here.settings.heartbeat)))
    response = _json(face.whole(answer, heading, ask))
    response.headers[FIGURES] = answer.usage.source
    return response


def _opened(here: State, ask: Ask, entry: log.Entry, account: str) -> tuple[Source, int]:
    """The answer as it comes, within what the caller's key allows, and the estimate of its input. `account`: the one
    that the client names, or "".
    """
    caller = g.caller
    guard.check_model(caller, ask.conversation.model)
    only = here.gateway.pinned(account, caller.accounts or ())
    source, estimate = here.gateway.open(ask, entry, only)
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


def _streamed(here: State, face: Face, ask: Ask, heading: Heading, source: Source, entry: log.Entry) -> Response:
    """The first event or the first beat decides the status; what fails before has one of its own."""
    writer, beat, since = face.writer(heading, ask), here.settings.heartbeat, time.monotonic()
    first = next(source, BEAT)
    while not first:  # what comes may be held back, and the client should hear that we live
        first = next(source, BEAT) if time.monotonic() - since < beat else BEAT
    chunks = written(source, first, writer, beat=beat, clock=time.monotonic, lost=_told(entry))
    cork = Cork(request.environ.get("gunicorn.socket"))
    body = _logged(_packed(chunks, entry, cork), entry, here)
    response = Response(body, mimetype="text/event-stream", headers=STREAM_HEADERS)
    response.call_on_close(source.close)
    response.call_on_close(functools.partial(_ended, entry, here))  # a body that nobody has read has no end
    response.call_on_close(cork.release)
    return response


def _packed(chunks: Iterator[bytes], entry: log.Entry, cork: Cork) -> Iterator[bytes]:
    """The head leaves with the first chunk, and the end with the last; all others at once."""
    cork.hold()
    for chunk in chunks:
        if entry.outcome:
            cork.hold()
        yield chunk
        if not entry.outcome:
            cork.release()


def _told(entry: log.Entry) -> Callable[[Exception], GatewayError]:
    def told(error: Exception) -> GatewayError:
        entry.outcome, entry.failed = f"{type(error).__name__} in-band", True
        return unexpected(error, entry.id)

    return told


def _logged(chunks: Iterator[bytes], entry: log.Entry, here: State) -> Iterator[bytes]:
    """The chunks, and at their end the log's line."""
    try:
        if entry.record is None:
            yield from chunks
        else:
            for chunk in chunks:
                entry.record.add("answer.txt", chunk)
                yield chunk
    finally:
        _ended(entry, here)


def _ended(entry: log.Entry, here: State) -> None:
    entry.outcome = entry.outcome or "client left"
    _done(here, entry)


def count_tokens(data: bytes) -> Response:
    ask = FACES["messages"].read(guard.parsed(data), _headers())
    response = _json(token_count(state().gateway.count(ask.conversation)))
    response.headers[FIGURES] = "estimated"
    return response


def models(data: bytes) -> Response:
    listed = _listed()
    if "anthropic-version" in request.headers:
        return _json(anthropic_models(listed, request.args))
    return _json(openai_models(listed))


def model(data: bytes, name: str) -> Response:
    anthropic = "anthropic-version" in request.headers
    for one in _listed():
        if one.id == name:
            return _json(anthropic_model(one) if anthropic else openai_model(one))
    target = state().gateway.catalog.resolve(name, state().gateway.catalog.known())
    if not target.known or not g.caller.may_use(target.model.id):
        raise UnknownModel(f"there is no model {name!r}; GET /v1/models lists those that work")
    return _json(anthropic_model(target.model) if anthropic else openai_model(target.model))


def _listed() -> list[Model]:
    """Those that the caller's key may use."""
    models = [model for model in state().gateway.models() if g.caller.may_use(model.id)]
    return list(kiro_models.listed(models, state().settings.hidden_models))


def home() -> Response:
    return _json({
        "name": "kirogw", "version": __version__, "demo": state().demo,
        "endpoints": sorted({rule.rule for rule in current_app.url_map.iter_rules()}),
    })  # fmt: skip


def health() -> Response:
    """Liveness with detail, open to all: so numbers and states, and no name of an account."""
    now = time.time()
    accounts = state().gateway.pool.all()
    return _json({
        "status": "ok", "version": __version__, "demo": state().demo, "uptime_seconds": round(now - state().began),
        "worker": state().pid, "answers_running": state().gateway.busy(),
        "accounts": [{"kind": a.kind, "state": a.state, "ready": a.ready(now)} for a in accounts],
    })  # fmt: skip


def ready() -> Response:
    able = any(account.ready(time.time()) for account in state().gateway.pool.all())
    return _json({"status": "ready" if able else "no account is ready"}, 200 if able else 503)


def _headers() -> dict[str, str]:
    """The client's own headers, their names in lower case."""
    return {
        name[5:].lower().replace("_", "-"): value for name, value in request.environ.items() if name[:5] == "HTTP_"
    }  # fmt: skip


def _json(body: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, mimetype="application/json")
