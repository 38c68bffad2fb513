"""/api/logins: sign-ins on their way. Any worker can go on with one that another has begun."""

from __future__ import annotations

from typing import Final

from kirogw.logins.walk import KINDS
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.schemas import LABEL
from kirogw.web.admin.shape import named, record, text
from kirogw.web.state import state
from kirogw.wire import Json

SIGNINS: Final = "/api/logins"
SIGNIN: Final = "/api/logins/<id>"
START: Final = record(
    {"kind": text("chatgpt: Sign in with ChatGPT; codex: the Codex client; the others: Kiro", enum=list(KINDS))},
    {
        "start_url": text("of the organisation, for idc", maxLength=500), "region": text("for idc", maxLength=50),
        "provider": text("for social", enum=["google", "github"]),
        "how": text("with a code (the default of social), by a browser on this machine (social, and the default of "
                    "codex), or by a link to paste back (social)", enum=["device", "browser", "link"]),
        "label": LABEL, "account": text("the account that is to get this login, by its id", maxLength=100),
    },
)  # fmt: skip


def started(asked: Asked) -> Json:
    params = dict(asked.body)
    shown = state().flows.start(params.pop("kind"), params)
    state().desk.note("sign-in begun", kind=shown["kind"])
    return shown


def stood(asked: Asked) -> Json:
    return state().flows.state(asked.place["id"])


def pasted(asked: Asked) -> Json:
    return state().flows.paste(asked.place["id"], asked.body["url"])


def cancelled(asked: Asked) -> Json:
    return state().flows.cancel(asked.place["id"])


ROUTES: Final = (
    Route("POST", SIGNINS, "Begin a sign-in", started, named("SignIn"), "logins", body=START, status=201,
          errors=(429, 502)),
    Route("GET", SIGNIN, "How a sign-in stands; does its next step", stood, named("SignIn"), "logins"),
    Route("POST", f"{SIGNIN}/paste", "The address that the browser ended at", pasted, named("SignIn"), "logins",
          body=record({"url": text(minLength=1, maxLength=10_000)})),
    Route("DELETE", SIGNIN, "Cancel a sign-in", cancelled, named("SignIn"), "logins"),
)  # fmt: skip
