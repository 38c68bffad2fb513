"""Who may come in, and the body: read whole, or refused, before anything is answered."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any, Final

import orjson
from flask import request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from kirogw import routing
from kirogw.errors import BadRequest, NotAllowed, WrongKey
from kirogw.logins.named import Caller
from kirogw.redact import clean
from kirogw.routing import Route
from kirogw.web.state import state
from kirogw.wire import Json

PIECE: Final = 65536
SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket", "kirogw.socket")  # the last is serve's own, for pywsgi
DEEPEST: Final = 1000  # levels of JSON; orjson reads 1,024, and what is read must be written again


WANTED: Final = {
    "api": "it is for administration; `python kirogw.py key` prints one for the APIs",
    "admin": "it is not for administration; `python kirogw.py key --admin` prints the one that is",
}


def caller(scope: str = "api") -> Caller:
    """Who calls, by the key sent. `scope`: api, admin, or "" for any. Raises WrongKey, or NotAllowed without it."""
    environ, keys, refused = request.environ, state().keys, None
    given = environ.get("HTTP_X_API_KEY", ""), _bearer(environ.get("HTTP_AUTHORIZATION", ""))
    for key in given:
        found = keys.caller(key) if key else None
        if found and (not scope or scope in found.scopes):
            return found
        refused = refused or found
    if refused:
        raise NotAllowed(f"the key {refused.name!r} is a good one, but {WANTED[scope]}")
    if any(given):
        why = next(filter(None, map(keys.why, given)), "")
        raise WrongKey(f"this API key {why}; ask whoever runs the gateway for another one" if why else
                       "this API key is not the gateway's; `python kirogw.py key` prints the right one")  # fmt: skip
    raise WrongKey("an API key is needed: send it as `Authorization: Bearer KEY` or as `x-api-key: KEY`")


def routes(who: Caller, name: str) -> tuple[Route, ...]:
    """What the name means to `who`, and after it those links of its chain that the key may use. Raises NotAllowed,
    which names the models that it may.
    """
    found = state().gateway.router.routes(name, who.rules)
    if not who.models:
        return found
    if not may_use(who, found[0]):
        allowed, model = ", ".join(who.models), routing.another(name, found[0].model)
        said = f"{clean(name)!r}" + (f", which means {clean(model)!r}" if model else "")
        raise NotAllowed(f"the key {who.name!r} may not use {said}; it may use: {allowed}", param="model")
    return tuple(route for route in found if may_use(who, route))


def may_use(who: Caller, route: Route) -> bool:
    """Whether the key covers the model, whichever provider serves it."""
    return all(map(who.may_use, route.ids))


def _bearer(header: str) -> str:
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def body() -> bytes:
    """The whole request body. Raises RequestEntityTooLarge, and ClientDisconnected when it ends too early."""
    length, most = request.content_length, request.max_content_length or sys.maxsize
    if length is None:
        return _unmeasured(most)
    if length > most:
        raise RequestEntityTooLarge
    stream, data = request.environ["wsgi.input"], b""
    try:
        while len(data) < length and (piece := stream.read(length - len(data))):
            data += piece
    except (OSError, ValueError) as error:
        raise ClientDisconnected from error
    if len(data) < length:
        raise ClientDisconnected
    return data


def _unmeasured(most: int) -> bytes:
    """A body that comes in chunks. werkzeug cuts it at the limit, without a word."""
    try:
        data = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # each server has its own
        raise BadRequest("the request body can not be read: its chunks are malformed") from error
    if len(data) >= most:
        raise RequestEntityTooLarge
    return data


def drain() -> None:
    """Read the request body and keep nothing of it: whoever still sends does not listen."""
    while request.stream.read(PIECE):
        pass


def still_there() -> None:
    """Raises ClientDisconnected when the client has closed its connection, where the server lets us see that."""
    connection = next((request.environ[name] for name in SOCKETS if name in request.environ), None)
    if connection is None:
        return
    before = connection.gettimeout()
    try:
        connection.settimeout(0.0)
        left = not connection.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ValueError):  # nothing to be read, so it is there; or a TLS socket, which has no peek
        return
    except OSError:
        left = True
    finally:
        connection.settimeout(before)
    if left:
        raise ClientDisconnected


def parsed(data: bytes) -> Json:
    """The body's JSON object. Raises BadRequest."""
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = _lenient(data)
    if not isinstance(value, dict):
        raise BadRequest("the request body must be a JSON object")
    return value


def _lenient(data: bytes) -> Any:
    """JSON that holds halves of surrogate pairs: clients cut texts between the two, and a rule takes them out."""
    try:
        value = json.loads(data, parse_int=_number)
    except ValueError as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from None
    except RecursionError:
        value = None
    if value is None or (isinstance(value, dict | list) and _deep(value)):
        raise BadRequest("the request body is nested too deeply")
    return value


def _deep(value: Any) -> bool:
    """Deeper than orjson reads. Python's own reader has other limits with each version."""
    level = [value]
    for _ in range(DEEPEST):
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)
                 if isinstance(child, dict | list)]  # fmt: skip
        if not level:
            return False
    return True


def _number(text: str) -> int | float:
    """As orjson has it: what takes more than 64 bits is no integer, which nothing could write again."""
    value = int(text) if len(text) <= 20 else float(text)
    return value if -(1 << 63) <= value < 1 << 64 else float(value)
