"""/api/accounts: the logins, what is set for them, how they are, what they have left."""

from __future__ import annotations

from typing import Final

from kirogw.desk import Desk
from kirogw.logins import imports
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.schemas import HEAVIEST, LABEL
from kirogw.web.admin.shape import by_name, many, maybe, named, number, record, text, truth, whole
from kirogw.web.state import state
from kirogw.wire import Json

ALL: Final = "/api/accounts"
ONE: Final = "/api/accounts/<id>"
TAG: Final = "accounts"
CHANGES: Final = record(
    {},
    {
        "label": LABEL, "enabled": truth(),
        "weight": number("for SCHEDULING_MODE=weighted", minimum=0, maximum=HEAVIEST),
        "limit": maybe(whole("answers at once; 0: no limit; null: as the settings say", minimum=0, maximum=100_000)),
    },
)  # fmt: skip
IMPORT: Final = record(
    {"text": text("a refresh token, an API key, or the content of a file that holds logins", minLength=1)},
    {"label": LABEL, "dry_run": truth("only say what is in it")},
)


def desk() -> Desk:
    return state().desk


def listed(asked: Asked) -> Json:
    return {"accounts": desk().accounts()}


def shown(asked: Asked) -> Json:
    return desk().account(asked.place["id"])


def added(asked: Asked) -> Json:
    rows = imports.read(asked.body["text"])
    return desk().add(rows, asked.body.get("label", ""), dry_run=asked.body.get("dry_run", False))


def changed(asked: Asked) -> Json:
    id = desk().find(asked.place["id"])  # a label may be what changes
    desk().change(id, asked.body)
    return desk().account(id)


def removed(asked: Asked) -> Json:
    desk().remove(asked.place["id"])
    return {"done": True}


def refreshed(asked: Asked) -> Json:
    desk().refresh(asked.place["id"])
    return desk().account(asked.place["id"])


def tested(asked: Asked) -> Json:
    return desk().test(asked.place["id"])


def cleared(asked: Asked) -> Json:
    desk().clear(asked.place["id"], asked.body.get("model"))
    return desk().account(asked.place["id"])


def exported(asked: Asked) -> Json:
    return desk().export(asked.body.get("accounts"))


def quota(asked: Asked) -> Json:
    desk().ask_quota(asked.place["id"])
    return desk().account(asked.place["id"])


def quotas(asked: Asked) -> Json:
    return {"quotas": desk().all_quotas()}


def quotas_asked(asked: Asked) -> Json:
    return desk().ask_quotas(force=asked.body.get("force", False))


ROUTES: Final = (
    Route("GET", ALL, "All accounts", listed, named("Accounts"), TAG),
    Route("POST", ALL, "Bring in accounts", added, named("Added"), TAG, body=IMPORT, status=201),
    Route("POST", f"{ALL}/export", "Logins with their secrets, for another installation", exported, named("Export"),
          TAG, body=record({}, {"accounts": many(text(), "ids; without it: all")}), errors=(404,),
          file="kirogw-accounts.json"),
    Route("GET", ONE, "One account", shown, named("Account"), TAG),
    Route("PATCH", ONE, "Change what is set for an account", changed, named("Account"), TAG, body=CHANGES),
    Route("DELETE", ONE, "Remove an account", removed, named("Done"), TAG),
    Route("POST", f"{ONE}/refresh", "Renew its token now", refreshed, named("Account"), TAG, errors=(409, 502)),
    Route("POST", f"{ONE}/test", "Ask the upstream whether it works; costs nothing", tested, named("Tested"), TAG),
    Route("POST", f"{ONE}/clear", "End its rests, or those for one model", cleared, named("Account"), TAG,
          body=record({}, {"model": text(minLength=1)})),
    Route("POST", f"{ONE}/quota", "Ask what it has left now", quota, named("Account"), TAG, errors=(409, 429, 502)),
    Route("GET", "/api/quotas", "What all accounts have left, as last told", quotas,
          record({"quotas": by_name(named("Quota"), "by account")}), "quotas"),
    Route("POST", "/api/quotas/refresh", "Ask what all accounts have left", quotas_asked, named("Asked"), "quotas",
          body=record({}, {"force": truth("also those where it can tell nothing new")})),
)  # fmt: skip
