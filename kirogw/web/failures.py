"""Errors on their way out: in the shape of the API that was called, whatever went wrong. No traceback leaves."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed, RequestEntityTooLarge

from kirogw import log
from kirogw.convert import FACES
from kirogw.dialects.clients import client_of
from kirogw.dialects.face import Face
from kirogw.errors import BadRequest, BodyTooLarge, GatewayError, NotFound, WrongMethod
from kirogw.web import guard
from kirogw.web.admin import fault
from kirogw.web.views import as_json
from kirogw.wire import Json


def add_handlers(app: Flask) -> None:
    app.register_error_handler(GatewayError, gateway_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, any_error)


CODEX_USAGE: Final = ("/api/codex/usage", "/v1/api/codex/usage", "/backend-api/wham/usage", "/backend-api/codex/usage")
"""Where Codex CLI asks what is left, by its base URL."""
PLACES: Final = (
    # what a path begins with, the face that is spoken there
    *((path, "responses") for path in ("/v1/responses", *CODEX_USAGE)),
    ("/v1/messages", "messages"),
    ("/v1/completions", "completions"),
)


def face_of_request() -> Face:
    """The face whose words the caller understands: by path, and by header where a path serves both."""
    path = request.path
    for begin, face in PLACES:
        if path.startswith(begin):
            return FACES[face]
    return FACES["messages" if "anthropic-version" in request.headers else "chat"]


def gateway_error(error: GatewayError) -> Response:
    admin = request.path.startswith("/api/") and request.path not in CODEX_USAGE
    response = fault.reply(error, g.request_id) if admin else _in_the_words_of_a_face(error)
    if entry := g.get("entry"):
        entry.outcome, entry.failed = f"{type(error).__name__} {response.status_code}", True
    return response


def _in_the_words_of_a_face(error: GatewayError) -> Response:
    reply = face_of_request().error(error, client_of(request.headers.get("User-Agent", "")), g.request_id)
    _date(reply.body["error"])
    response = as_json(reply.body, reply.status)
    response.headers.update(reply.headers)
    return response


def _date(said: Json) -> None:
    """When a limit is over, by the clock, which faces do not know: of all that is said Codex reads only this."""
    if "resets_in_seconds" in said:
        said["resets_at"] = int(time.time()) + said["resets_in_seconds"]


def http_error(error: HTTPException) -> Response:
    """What Flask itself refuses. The body is read first: whoever still sends it does not listen."""
    with contextlib.suppress(HTTPException):
        guard.drain()
    response = gateway_error(_ours(error))
    if isinstance(error, ClientDisconnected) and (entry := g.get("entry")):
        entry.outcome, entry.failed = "client left", False
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _ours(error: HTTPException) -> GatewayError:
    if isinstance(error, RequestEntityTooLarge):
        return BodyTooLarge("the request body is larger than MAX_BODY_BYTES allows; send less, or raise the setting")
    if error.code == 404:
        return NotFound(f"there is no {request.method} {request.path} here; docs/compatibility.md lists what is")
    if error.code == 405:
        return WrongMethod(f"{request.path} does not take {request.method}")
    return BadRequest(f"the request can not be read: {error.description}")


def any_error(error: Exception) -> Response:
    """A fault of our own: the log gets the traceback, the client a sentence."""
    return gateway_error(unexpected(error, g.get("request_id", "")))


def unexpected(error: Exception, request_id: str) -> GatewayError:
    """What the client hears of any exception; our own faults are logged here. A stream has no context of Flask."""
    if isinstance(error, GatewayError):
        return error
    log.logger.error("a fault of the gateway itself, request %s", request_id, exc_info=error)
    return GatewayError("the gateway itself failed; the log has the details under this request id")
