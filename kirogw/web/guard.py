"""Who may come in, and the body: read whole, or refused, before anything is answered."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

import orjson
from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from kirogw.errors import BadRequest, WrongKey
from kirogw.web.state import state
from kirogw.wire import Json

PIECE: Final = 65536
SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket", "kirogw.socket")  # the last is serve's own, for pywsgi
DEEPEST: Final = 1000  # levels of JSON; orjson reads 1,024, and what is read must be written again


def caller() -> str:
    """The name of the key that the caller holds. Raises WrongKey."""
    given = request.headers.get("x-api-key", ""), _bearer(request.headers.get("Authorization", ""))
    if any(key and state().key.fits(key) for key in given):
        return "main"
    if any(given):
        raise WrongKey("this API key is not the gateway's; `python kirogw.py key` prints the right one")
    raise WrongKey("an API key is needed: send it as `Authorization: Bearer KEY` or as `x-api-key: KEY`")


def _bearer(header: str) -> str:
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def body() -> bytes:
    """The whole request body. Raises RequestEntityTooLarge."""
    data = request.get_data(cache=False)
    if request.content_length is None and len(data) >= (request.max_content_length or len(data) + 1):
        raise RequestEntityTooLarge  # werkzeug cuts a chunked body there, without a word
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
