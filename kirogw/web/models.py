"""GET /v1/models: what the caller's key may use, in the shape that the caller reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Response, g, request

from kirogw.dialects.catalogue import catalogue
from kirogw.dialects.chat.models import openai_model, openai_models
from kirogw.dialects.clients import client_of
from kirogw.dialects.listing import Listed
from kirogw.dialects.messages.models import anthropic_model, anthropic_models
from kirogw.errors import UnknownModel
from kirogw.web import guard
from kirogw.web.state import state
from kirogw.web.views import as_json

SHOWN: Final = ("claude", "anthropic")


def listed(data: bytes) -> Response:
    if "client_version" in request.args:  # Codex, which knows each model by one name
        return as_json(catalogue(_allowed(spellings=False)))
    if _anthropic():
        return as_json(anthropic_models(_rows(), request.args))
    return as_json(openai_models(_rows()))


def one(data: bytes, name: str) -> Response:
    """By any name that works."""
    row = next((row for row in _rows() if row.model.id == name), None) or _meant(name)
    return as_json(anthropic_model(row) if _anthropic() else openai_model(row))


def _meant(name: str) -> Listed:
    first = state().gateway.router.routes(name, g.caller.rules)[0]
    if first.known and guard.may_use(g.caller, first):
        for row in state().gateway.router.listed(g.caller.rules, every=True):
            if row.model.id == first.model:
                return row
    raise UnknownModel(f"there is no model {name!r}; GET /v1/models lists those that work")


def _rows() -> list[Listed]:
    """Claude Code's picker shows only names with `claude` or `anthropic` in them, so whatever else there is has one for
    it.
    """
    rows = _allowed()
    if client_of(request.headers.get("User-Agent", "")) == "claude":
        others = [row for row in rows if not any(word in row.model.id.lower() for word in SHOWN)]
        rows += [row._replace(model=replace(row.model, id=f"anthropic/{row.model.id}")) for row in others]
    return rows


def _allowed(*, spellings: bool = True) -> list[Listed]:
    """What the caller's key may use."""
    caller, gateway = g.caller, state().gateway
    rows = gateway.models(caller.rules, spellings=spellings)
    if not caller.models and not caller.accounts:
        return rows
    only, router = gateway.pinned("", caller.accounts or ()), gateway.router
    meant = ((row, router.routes(row.model.id, caller.rules)[0]) for row in rows)
    return [row for row, route in meant if guard.may_use(caller, route) and router.only(route, only) != frozenset()]


def _anthropic() -> bool:
    return "anthropic-version" in request.headers
