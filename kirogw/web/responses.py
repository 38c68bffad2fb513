"""The routes of the Responses API beside the one that generates, and what Codex CLI asks of its base URL."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from typing import Final

from flask import Flask, Response, g, request

from kirogw.convert import FACES
from kirogw.dialects.clients import client_of
from kirogw.dialects.responses import chain, usage
from kirogw.errors import BadRequest, NotFound, StoreAway
from kirogw.store import StoreFailed
from kirogw.web import guard
from kirogw.web.failures import CODEX_USAGE
from kirogw.web.keeping import Keeping, owner_of
from kirogw.web.state import State, state
from kirogw.web.views import as_json, behind_key, client_headers
from kirogw.wire import Json

ORDERS: Final = ("asc", "desc")
CANCELLED: Final = 4.0  # seconds in which the process where an answer runs hears of it, and writes what there is
WHOLE: Final = re.compile(r"[0-9]{1,6}")


def add_routes(app: Flask) -> None:
    here: State = app.extensions["kirogw"]
    one = "/v1/responses/<id>"
    for method, path, view in (
        ("POST", "/v1/responses/input_tokens", behind_key(count)),
        ("GET", one, behind_key(retrieve)),
        ("DELETE", one, behind_key(delete)),
        ("GET", f"{one}/input_items", behind_key(input_items)),
        ("POST", f"{one}/cancel", behind_key(cancel)),
        *(("GET", path, behind_key(left)) for path in CODEX_USAGE),
    ):
        app.add_url_rule(path, f"{method} {path}", view, methods=[method], provide_automatic_options=False)
    app.add_url_rule("/v1/responses", "upgrade", upgrade, methods=["GET"], websocket=True,
                     provide_automatic_options=False)  # fmt: skip
    app.after_request(functools.partial(_limits, here))


# what is kept

def retrieve(data: bytes, id: str) -> Response:
    if request.args.get("stream", "").lower() == "true":
        raise BadRequest("only responses that run in the background can be streamed again, and there are none here",
                         param="stream")  # fmt: skip
    owner = owner_of(g.caller)
    if run := state().underway.find(owner, id):
        return as_json(chain.shown(run.response(), _include()))
    return as_json(chain.shown(state().kept.get(owner, id).response, _include()))


def delete(data: bytes, id: str) -> Response:
    state().kept.delete(owner_of(g.caller), id)
    return as_json({"id": id, "object": "response", "deleted": True})


def input_items(data: bytes, id: str) -> Response:
    """What the answer was made from: the items that came with its request, and all before them."""
    order, limit = request.args.get("order", "desc"), request.args.get("limit", str(chain.PAGE))
    if order not in ORDERS:
        raise BadRequest(f"must be one of {', '.join(ORDERS)}", param="order")
    if not WHOLE.fullmatch(limit) or not 1 <= int(limit) <= chain.LONGEST_PAGE:
        raise BadRequest(f"must be a whole number from 1 to {chain.LONGEST_PAGE}", param="limit")
    kept, owner = state().kept, owner_of(g.caller)
    turn = kept.get(owner, id)
    before = kept.context(owner, kept.chain(owner, turn.before) if turn.before else ())
    own = chain.resolved(turn.input, kept.items(owner, chain.references(turn.input), before))
    page = chain.page([*before, *own], request.args.get("after", ""), int(limit), order)
    return as_json({**page, "data": [chain.shown_item(item, _include()) for item in page["data"]]})


def cancel(data: bytes, id: str) -> Response:
    """An answer that is still on its way, in whichever process. Those that have ended can not be cancelled."""
    kept, underway, owner = state().kept, state().underway, owner_of(g.caller)
    if not chain.ID.fullmatch(id):
        raise NotFound(f"Response with id '{id[:80]}' not found.")
    with contextlib.suppress(NotFound):
        if not underway.find(owner, id):
            return as_json(_was_cancelled(kept.get(owner, id, 0.0).response))
    try:
        underway.cancel(owner, id)
    except StoreFailed as error:
        raise StoreAway("the gateway's store can not be used just now, so no other process hears of this; try again",
                        wait=2.0) from error  # fmt: skip
    return as_json(_was_cancelled(kept.get(owner, id, CANCELLED).response))


def _was_cancelled(response: Json) -> Json:
    if response.get("status") != "cancelled":
        raise BadRequest("Cannot cancel a synchronous response that has ended.")
    return chain.shown(response, _include())


def _include() -> list[str]:
    return [*request.args.getlist("include"), *request.args.getlist("include[]")]


# counting

def count(data: bytes) -> Response:
    """As an answer's first event would tell it. All fields are optional, the model too, which does not matter."""
    keeping = Keeping(state(), g.caller, guard.parsed(data), "")
    with keeping.placed():
        ask = FACES["responses"].read({**keeping.body(), "stream": False}, client_headers())
    return as_json({"object": "response.input_tokens", "input_tokens": state().gateway.count(ask.conversation)})


# what Codex CLI asks

def upgrade() -> Response:
    """A WebSocket is not to be had. 426 makes Codex go on with POST at once; after any other status it tries seven
    times. No key is needed for being told so.
    """
    error = BadRequest("there is no WebSocket here: ask by POST")
    said = FACES["responses"].error(error, client_of(request.headers.get("User-Agent", "")), g.request_id)
    return as_json(said.body, 426)


def left(data: bytes) -> Response:
    """What the accounts that the key may use have left, all together. Who was never asked is asked now."""
    here, now = state(), time.time()
    only = here.gateway.pinned("", g.caller.accounts or ())
    accounts = [one for one in here.gateway.pool.all() if one.enabled and (only is None or one.id in only)]
    for account in accounts:
        if not here.quotas.snapshot(account.id).tried:
            here.quotas.attempt(account.id)
    providers = here.gateway.providers
    rows = [usage.Held(providers.of(account.kind).title, account.ready(now), here.quotas.of(account.id))
            for account in accounts]  # fmt: skip
    return as_json(usage.usage(rows, now))


def _limits(here: State, response: Response) -> Response:
    """Codex shows what is left from the heads of answers, too."""
    entry = g.get("entry")
    told = entry and entry.generates and entry.account_id and entry.face == "responses"
    if told and client_of(request.headers.get("User-Agent", "")) == "codex":
        response.headers.update(usage.headers(here.quotas.of(entry.account_id), time.time()))
    return response
