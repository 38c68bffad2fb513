"""A generation request as the twin sees it: the payload, and what the tables and the scripts ask of it.

Reads any JSON without raising, so that a predicate may look before the shape has been proved: a member of a wrong type
reads as absent.
"""

from __future__ import annotations

import json
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


class Ask:
    """The whole request. `model` is the row of the catalogue, {} when the id is unknown."""

    def __init__(self, payload: Any, raw: bytes, model: Json | None = None) -> None:
        self.raw = raw
        self.payload = obj(payload)
        self.state = obj(self.payload.get("conversationState"))
        self.current = Turn(self.state.get("currentMessage"))
        self.history = [Turn(entry) for entry in rows(self.state.get("history"))]
        self.fields = self.payload.get("additionalModelRequestFields")
        self.model_id = text(self.current.message.get("modelId")) or "auto"
        self.model = model or {}

    @property
    def turns(self) -> list[Turn]:
        return [*self.history, self.current]

    @cached_property
    def tools(self) -> list[Json]:
        """The tool specifications that are declared, in order."""
        declared = rows(self.current.context.get("tools"))
        return [obj(obj(tool).get("toolSpecification")) for tool in declared if "toolSpecification" in obj(tool)]

    def tool(self, name: str) -> Json | None:
        return next((tool for tool in self.tools if tool.get("name") == name), None)

    @property
    def window(self) -> int:
        return int(obj(self.model.get("tokenLimits")).get("maxInputTokens") or 200_000)

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

    @cached_property
    def tokens(self) -> int:
        """An estimate: a token for four characters of all that the model reads."""
        return estimate(sum(len(part) for part in self._read())) + IMAGE_TOKENS * sum(len(t.images) for t in self.turns)

    def _read(self) -> Iterator[str]:
        for turn in self.turns:
            yield turn.content
            yield turn.result_text
            yield from (dumped(use.get("input")) for use in turn.uses)
        yield from (dumped(tool) for tool in self.tools)


def result_text(result: Json) -> str:
    """The text of one tool result: its texts, and its JSON as text."""
    parts = [obj(part) for part in rows(result.get("content"))]
    return "\n".join(text(part.get("text")) if "text" in part else dumped(part.get("json")) for part in parts)


def dumped(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def estimate(characters: int) -> int:
    return (characters + 3) // 4
