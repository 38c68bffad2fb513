"""What the views of clients have in common."""

from __future__ import annotations

import json
from collections.abc import Callable

import orjson
from flask import Response, g, request

from kirogw.errors import NotAllowed, WrongKey
from kirogw.logins.named import Caller
from kirogw.web import guard
from kirogw.wire import Json


def let_in() -> Caller:
    """Who calls, by the key. The body is read before a refusal is answered too. Raises WrongKey or NotAllowed."""
    try:
        g.caller = caller = guard.caller()
    except (WrongKey, NotAllowed):
        guard.drain()
        raise
    g.entry.key = caller.name
    return caller


def behind_key(view: Callable[..., Response]) -> Callable[..., Response]:
    """`view` behind the key. The body is read before anything is answered."""

    def behind(**values: str) -> Response:
        let_in()
        return view(guard.body(), **values)

    return behind


def client_headers() -> dict[str, str]:
    """The client's own headers, their names in lower case."""
    return {
        name[5:].lower().replace("_", "-"): value for name, value in request.environ.items() if name[:5] == "HTTP_"
    }  # fmt: skip


def as_json(body: Json, status: int = 200) -> Response:
    try:
        data = orjson.dumps(body)
    except TypeError:  # halves of surrogate pairs, which a client's tool may have in its name
        data = json.dumps(body).encode()
    return Response(data, status, mimetype="application/json")
