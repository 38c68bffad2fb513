"""What the real service is known to refuse in a Responses request: one table, walked by one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin.ask import obj, text
from kirogw.twin.codex.accounts import Account
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.state import Options
from kirogw.twin.state import Incoming
from kirogw.wire import Json


@dataclass(frozen=True)
class Case:
    """All that the rows look at. `read`: the body is JSON."""

    ask: Ask
    account: Account
    incoming: Incoming
    options: Options
    read: bool = True


@dataclass(frozen=True)
class Row:
    name: str
    refuses: Callable[[Case], Any]  # a text is put into the message where it says {}
    why: str
    body: Json
    status: int = 400


def _detail(message: str) -> Json:
    return {"detail": message}


ROWS: Final = (
    Row("not_json", lambda c: not c.read or not c.ask.payload, "5.2", _detail("Invalid JSON body")),
    Row("no_model", lambda c: not c.ask.model and (c.ask.model_id or "null"), "9.1",
        _detail("The '{}' model is not supported when using Codex with a ChatGPT account.")),
    Row("no_stream", lambda c: c.ask.payload.get("stream") is not True, "5.2", _detail("Stream must be set to true")),
    Row("store", lambda c: c.ask.payload.get("store") is not False, "5.2", _detail("Store must be set to false")),
)  # fmt: skip


def refused(case: Case) -> tuple[str, int, Json] | None:
    """Name, status and body of the first row that refuses, None when all let it pass."""
    for row in ROWS:
        if verdict := row.refuses(case):
            return row.name, row.status, _told(row.body, verdict)
    return None


def _told(body: Any, verdict: Any) -> Any:
    """The body with what was found put where it says {}."""
    if isinstance(body, dict):
        return {name: _told(value, verdict) for name, value in body.items()}
    return body.replace("{}", str(verdict)) if isinstance(body, str) else body


def message_of(body: Json) -> str:
    return text(body.get("detail")) or text(obj(body.get("error")).get("message")) or str(body.get("detail"))
