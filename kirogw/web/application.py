"""Flask, but for what no route here needs: coroutines, sessions, and a search for the view of a path without variables.

That is a fifth of what Flask costs a short request. (docs/performance.md)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, cast

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from werkzeug.datastructures import Headers
from werkzeug.routing import MapAdapter, Rule


class _NoSessions(SessionInterface):
    """One session for all, which can not be written."""

    _none: Final = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        return self._none


class _Found:
    """In place of a URL adapter, for a path whose rule is known."""

    __slots__ = ("_rule",)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def match(self, *, return_rule: bool) -> tuple[Rule, dict[str, Any]]:
        return self._rule, {}


class Application(Flask):
    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is not None:
            found = self._fixed.get((request.environ["REQUEST_METHOD"], request.environ.get("PATH_INFO")))
            if found:
                return cast(MapAdapter, found)
        return super().create_url_adapter(request)

    @functools.cached_property
    def _fixed(self) -> dict[tuple[str, str | None], _Found]:
        """By method and path. Made by the first request: all routes are there then."""
        return {(method, rule.rule): _Found(rule) for rule in self.url_map.iter_rules()
                if not rule.arguments and not rule.websocket for method in rule.methods or ()}  # fmt: skip


class Streamed(Response):
    """An answer that comes in pieces: nothing in its headers depends on the request, or on its body."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        return self.headers
