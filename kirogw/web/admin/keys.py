"""/api/keys: clients' named keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kirogw.errors import BadRequest, NotFound
from kirogw.logins.named import NO_LIMITS, OVERLAP, Record, Register, Terms, WrongTerms
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.schemas import NAME, TERMS
from kirogw.web.admin.shape import many, named, number, record
from kirogw.web.state import state
from kirogw.wire import Json

KEYS: Final = "/api/keys"
KEY: Final = "/api/keys/<name>"


def _register() -> Register:
    return Register(state().store)


def _found(name: str) -> Record:
    try:
        return _register().find(name)
    except WrongTerms as error:
        raise NotFound(str(error)) from None


def _terms(given: Json, before: Terms) -> Json:
    """The members of Terms that are given. Limits that are not named stay."""
    found: Json = {name: tuple(value) if isinstance(value, list) else value
                   for name, value in given.items() if name in TERMS}  # fmt: skip
    if "limits" in found:
        found["limits"] = replace(before.limits, **found["limits"])
    return found


def listed(asked: Asked) -> Json:
    now = state().desk.now()
    return {"keys": [one.described(now) for one in _register().all()]}


def shown(asked: Asked) -> Json:
    return _described(_found(asked.place["name"]))


def added(asked: Asked) -> Json:
    terms = Terms(**_terms(asked.body, Terms(limits=NO_LIMITS)))
    key, made = _refused_as_bad(_register().add, asked.body["name"], terms)
    state().desk.note("key added", key=made.name)
    return {"key": key, "record": _described(made)}


def changed(asked: Asked) -> Json:
    before = _found(asked.place["name"])
    made = _refused_as_bad(_register().change, before.name, **_terms(asked.body, before.terms))
    state().desk.note("key changed", key=made.name)
    return _described(made)


def rotated(asked: Asked) -> Json:
    before = _found(asked.place["name"])
    key, made = _refused_as_bad(_register().rotate, before.name, asked.body.get("overlap_seconds", OVERLAP))
    state().desk.note("key rotated", key=made.name)
    return {"key": key, "record": _described(made)}


def revoked(asked: Asked) -> Json:
    made = _register().revoke(_found(asked.place["name"]).name)
    state().desk.note("key revoked", key=made.name)
    return _described(made)


def _described(made: Record) -> Json:
    return made.described(state().desk.now())


def _refused_as_bad(act: Any, *args: Any, **named_: Any) -> Any:
    try:
        return act(*args, **named_)
    except WrongTerms as error:
        raise BadRequest(str(error)) from None


ROUTES: Final = (
    Route("GET", KEYS, "All named keys", listed, record({"keys": many(named("Key"))}), "keys"),
    Route("POST", KEYS, "A new key; it is shown this once", added, named("NewKey"), "keys",
          body=record({"name": NAME}, TERMS), status=201, errors=(409,)),
    Route("GET", KEY, "One key", shown, named("Key"), "keys"),
    Route("PATCH", KEY, "Change a key's terms", changed, named("Key"), "keys", body=record({}, TERMS), errors=(409,)),
    Route("DELETE", KEY, "Revoke a key", revoked, named("Key"), "keys", errors=(409,)),
    Route("POST", f"{KEY}/rotate", "Another secret for a key", rotated, named("NewKey"), "keys", errors=(409,),
          body=record({}, {"overlap_seconds": number("the old one works so long", minimum=0, maximum=1e9)})),
)  # fmt: skip

