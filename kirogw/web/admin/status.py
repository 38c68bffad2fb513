"""How it all stands: for any key the states and sums, for the owner the settings, events, and backups."""

from __future__ import annotations

from typing import Any, Final

import orjson
from flask import g

from kirogw.desk import Desk
from kirogw.metrics import TYPE as METRICS
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.shape import many, named, record, text, truth, whole
from kirogw.web.state import state
from kirogw.wire import Json

DAYS: Final = whole("today included; 30 unless told otherwise", minimum=1, maximum=400)
PAGE: Final = whole(minimum=1, maximum=1000)
LAST: Final = 1 << 53
NUMBER: Final = whole("a number from the page before", minimum=1, maximum=LAST)
PHRASE: Final = text("encrypts the file; without one it holds all secrets as they are", minLength=8, maxLength=1000)


def desk() -> Desk:
    return state().desk


def accounts(asked: Asked) -> Json:
    return desk().status(only=g.caller.accounts)


def stats(asked: Asked) -> Json:
    """A named key is told of its own requests only."""
    return desk().stats(asked.query.get("days", 30), g.caller.name if g.caller.id else None)


def metrics(asked: Asked) -> str:
    return desk().metrics()


def whole_state(asked: Asked) -> Json:
    return desk().everything()


def requests(asked: Asked) -> Json:
    return {"requests": desk().usage.requests(asked.query.get("limit", 100), asked.query.get("before"))}


def settings(asked: Asked) -> Json:
    return {"settings": desk().settings_in_force()}


def events(asked: Asked) -> Json:
    found = desk().events(asked.query.get("limit", 100), asked.query.get("after", 0), asked.query.get("before"))
    return {"events": [{"number": number, "event": event} for number, event in found]}


def backup(asked: Asked) -> Any:
    return orjson.Fragment(desk().backup(asked.body.get("passphrase", "")))


def restore(asked: Asked) -> Json:
    given = asked.body["backup"]
    phrase, dry = asked.body.get("passphrase", ""), asked.body.get("dry_run", False)
    return desk().restore(orjson.dumps(given), phrase, dry_run=dry)


ROUTES: Final = (
    Route("GET", "/v1/accounts/status", "All accounts: state, reason, quota, load", accounts, named("Status"), "state",
          scope=""),
    Route("GET", "/v1/stats", "What was used, by day, account, key and model", stats, named("Stats"), "state",
          query=record({}, {"days": DAYS}), scope=""),
    Route("GET", "/metrics", "The same for Prometheus", metrics, {"type": "string"}, "state", scope="",
          media=METRICS),
    Route("GET", "/api/state", "Processes, who leads, the store", whole_state, named("State"), "state"),
    Route("GET", "/api/requests", "Single requests, the newest first", requests,
          record({"requests": many({"type": "object"})}), "state",
          query=record({}, {"limit": PAGE, "before": NUMBER})),
    Route("GET", "/api/settings", "The settings in force; of a secret only whether it is set", settings,
          record({"settings": many(named("Setting"))}), "state"),
    Route("GET", "/api/events", "What happened to accounts and keys, the newest first", events,
          record({"events": many(named("Event"))}), "state",
          query=record({}, {"limit": PAGE, "after": whole(minimum=0, maximum=LAST), "before": NUMBER})),
    Route("POST", "/api/backup", "Everything in one file", backup, named("Backup"), "backup",
          body=record({}, {"passphrase": PHRASE}), errors=(409,), file="kirogw-backup.json"),
    Route("POST", "/api/restore", "Put a backup in the place of everything", restore, named("Restored"), "backup",
          body=record({"backup": {"type": "object"}}, {"passphrase": text(maxLength=1000), "dry_run": truth()}),
          errors=(409,)),
)  # fmt: skip
