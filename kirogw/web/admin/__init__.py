"""The administration: JSON under /api/, and what any key may ask of the state. `routes.ROUTES` has all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from flask import Flask, Response, g, request

from kirogw.errors import NotAllowed, WrongKey
from kirogw.logins.files import Unreadable
from kirogw.store import Conflict, StoreFailed
from kirogw.web import guard
from kirogw.web.admin import fault, shape
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.routes import ROUTES
from kirogw.wire import Json

JSON: Final = "application/json"


def add_routes(app: Flask) -> None:
    for route in ROUTES:
        app.add_url_rule(route.path, f"{route.method} {route.path}", _behind(route), methods=[route.method],
                         provide_automatic_options=False)  # fmt: skip


def _behind(route: Route) -> Callable[..., Response]:
    """The route's view behind the key, its query and body held to their shapes."""

    def behind(**place: str) -> Response:
        try:
            _let_in(route)
        except (WrongKey, NotAllowed, fault.NotJson):
            guard.drain()
            raise
        data = guard.body()
        query = shape.from_query(request.args, route.query)
        asked = Asked(place, query, {} if route.safe else _body(data, route))
        try:
            return _answered(route, route.view(asked))
        except StoreFailed as error:
            raise fault.StoreDown(str(error), wait=1.0) from error
        except Conflict as error:
            raise fault.InTheWay("somebody else has changed it at the same moment; look again and repeat") from error
        except Unreadable as error:  # a sealed text without its key, a login's file that can not be opened
            raise fault.InTheWay(str(error)) from error

    return behind


def _let_in(route: Route) -> None:
    g.entry.face = "admin"
    g.caller = guard.caller(route.scope)
    g.entry.key = g.caller.name
    if not route.safe and request.mimetype != JSON:
        raise fault.NotJson(f"{route.method} {request.path} needs `Content-Type: {JSON}`, without a body too")


def _body(data: bytes, route: Route) -> Json:
    body = guard.parsed(data) if data.strip() else {}
    shape.check(body, route.body)
    return body


def _answered(route: Route, value: Any) -> Response:
    data = orjson.dumps(value) if route.media == JSON else value
    response = Response(data, route.status, mimetype=route.media)
    response.headers["Cache-Control"] = "no-store"
    if route.file:
        response.headers["Content-Disposition"] = f'attachment; filename="{route.file}"'
    return response
