"""`/_twin/*`: the twin told and asked over HTTP, for tests that run it in another process.

GET state, accounts; POST faults, script, config, accounts, account, polls, expire, revoke, reset.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from kirogw.twin import replies
from kirogw.twin.service import Service
from kirogw.twin.state import Incoming
from kirogw.wire import Reply

PREFIX: Final = "/_twin/"


def answer(service: Service, incoming: Incoming) -> Reply:
    """A wrong body gets a 400 that says what is wrong."""
    act = ACTS.get((incoming.method, incoming.path.removeprefix(PREFIX).rstrip("/")))
    if act is None:
        return replies.plain(404, {"message": f"there is {', '.join(f'{m} {PREFIX}{p}' for m, p in ACTS)}"})
    try:
        body = json.loads(incoming.body) if incoming.body else None
        return replies.plain(200, act(service, body))
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        return replies.plain(400, {"message": str(error)})


def _state(service: Service, body: Any) -> Any:
    played = [{"name": fault.name, "operation": fault.operation, "played": fault.played}
              for fault in service.faults.played]  # fmt: skip
    return {**service.journal.as_json(), "faults": played, "options": vars(service.options)}


def _faults(service: Service, body: Any) -> Any:
    for fault in body if isinstance(body, list) else [body]:
        service.faults.add(**fault)
    return {"waiting": len(service.faults.waiting)}


def _script(service: Service, body: Any) -> Any:
    """A script, the name of a built-in one, or null for the demo."""
    service.play(body)
    return {"answers": len(service.script.answers) if service.script else 0}


def _config(service: Service, body: Any) -> Any:
    service.options.change(body)
    return vars(service.options)


def _accounts(service: Service, body: Any) -> Any:
    return [vars(account) for account in service.accounts.all.values()]


def _add_account(service: Service, body: Any) -> Any:
    return vars(service.accounts.add(**(body or {})))


def _change_account(service: Service, body: Any) -> Any:
    """`{"name": ..., member: value}`: other credits, suspended, ..."""
    account = service.accounts.all[body["name"]]
    for name, value in body.items():
        if not hasattr(account, name):
            raise ValueError(f"an account has no {name}")
        setattr(account, name, value)
    return vars(account)


def _expire(service: Service, body: Any) -> Any:
    """`{"name": ...}`, or nothing for all accounts."""
    service.accounts.expire((body or {}).get("name", ""))
    return {}


def _revoke(service: Service, body: Any) -> Any:
    service.accounts.revoke(body["name"])
    return {}


def _polls(service: Service, body: Any) -> Any:
    """A list: what the next polls of devices hear."""
    service.auth.polls.extend(str(word) for word in body)
    return {"waiting": list(service.auth.polls)}


def _reset(service: Service, body: Any) -> Any:
    """Forget requests, refusals, ledger, faults and script; accounts and their tokens stay."""
    service.reset()
    return {}


ACTS: Final[dict[tuple[str, str], Callable[[Service, Any], Any]]] = {
    ("GET", "state"): _state,
    ("GET", "accounts"): _accounts,
    ("GET", "faults"): lambda service, body: service.faults.named,
    ("POST", "faults"): _faults,
    ("POST", "script"): _script,
    ("POST", "config"): _config,
    ("POST", "accounts"): _add_account,
    ("POST", "account"): _change_account,
    ("POST", "expire"): _expire,
    ("POST", "revoke"): _revoke,
    ("POST", "polls"): _polls,
    ("POST", "reset"): _reset,
}
