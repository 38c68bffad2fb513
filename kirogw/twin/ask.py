"""A generation request as a twin sees it: the payload, and what the tables and the scripts ask of it.

Reads any JSON without raising, so that a predicate may look before the shape has been proved: a member of a wrong type
reads as absent.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, NoReturn

from kirogw.wire import Json

IMAGE_TOKENS: Final = 1600
UNREAD: Final = object()  # a body that is no JSON


def parse(body: bytes) -> Any:
    """The body as JSON, UNREAD when it is none. NaN and the infinities are none."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return UNREAD


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def obj(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


class Turn:
    """One entry of the history, or the current message."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self.is_user = "userInputMessage" in obj(entry)
        self.message = obj(obj(entry).get("userInputMessage" if self.is_user else "assistantResponseMessage"))
        self.content = text(self.message.get("content"))
        self.context = obj(self.message.get("userInputMessageContext"))
        self.results = [obj(item) for item in rows(self.context.get("toolResults"))]
        self.uses = [obj(item) for item in rows(self.message.get("toolUses"))]
        self.images = [obj(item) for item in rows(self.message.get("images"))]
        self.documents = [obj(item) for item in rows(self.message.get("documents"))]

    @cached_property
    def result_text(self) -> str:
        return "\n".join(result_text(result) for result in self.results)


class Ask(ABC):
    """The whole request, in Kiro's words whosever it is, so that scripts and the demo serve both.

    `turns`: oldest first, at last the current one. `model`: the row of the catalogue, {} when the caller may not use
    it. `fields` are those that set the thinking.
    """

    model_id: str
    fields: Any

    def __init__(self, payload: Json, raw: bytes, turns: list[Turn], model: Json | None) -> None:
        self.payload = payload
        self.raw = raw
        self.turns = turns
        self.history, self.current = turns[:-1], turns[-1]
        self.model = model or {}

    @property
    @abstractmethod
    def tools(self) -> list[Json]:
        """All that can be called, in order: name, description, inputSchema."""

    @abstractmethod
    def tool(self, name: str) -> Json | None: ...

    @cached_property
    def asked(self) -> Turn:
        """The last user message without tool results: what the loop so far is about."""
        users = [turn for turn in self.turns if turn.is_user]
        return next((turn for turn in reversed(users) if not turn.results), users[0] if users else self.current)

    @cached_property
    def rounds(self) -> int:
        """How many messages with tool results came since `asked`: where an agent's loop stands."""
        count = 0
        for turn in reversed(self.turns):
            if turn.is_user and not turn.results:
                break
            count += turn.is_user
        return count

    @cached_property
    def loop_results(self) -> str:
        """The text of all tool results since `asked`, oldest first."""
        users = [turn for turn in self.turns if turn.is_user]
        return "\n".join(turn.result_text for turn in users[len(users) - self.rounds :])

    def read(self) -> Iterator[str]:
        """What the model reads of the turns."""
        for turn in self.turns:
            yield turn.content
            yield turn.result_text
            yield from (dumped(use.get("input")) for use in turn.uses)


def result_text(result: Json) -> str:
    """The text of one tool result: its texts, and its JSON as text."""
    parts = [obj(part) for part in rows(result.get("content"))]
    return "\n".join(text(part.get("text")) if "text" in part else dumped(part.get("json")) for part in parts)


def dumped(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def estimate(characters: int) -> int:
    return (characters + 3) // 4
