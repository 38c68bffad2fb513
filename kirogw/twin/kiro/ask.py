"""Kiro's GenerateAssistantResponse as the twin sees it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from kirogw.twin import ask
from kirogw.twin.ask import IMAGE_TOKENS, Turn, dumped, estimate, obj, rows, text
from kirogw.wire import Json


class Ask(ask.Ask):
    def __init__(self, payload: Any, raw: bytes, model: Json | None = None) -> None:
        self.state = obj(obj(payload).get("conversationState"))
        entries = [*rows(self.state.get("history")), self.state.get("currentMessage")]
        super().__init__(obj(payload), raw, list(map(Turn, entries)), model)
        self.fields = self.payload.get("additionalModelRequestFields")
        self.model_id = text(self.current.message.get("modelId")) or "auto"

    @cached_property
    def tools(self) -> list[Json]:
        """The tool specifications that are declared."""
        declared = rows(self.current.context.get("tools"))
        return [obj(obj(tool).get("toolSpecification")) for tool in declared if "toolSpecification" in obj(tool)]

    def tool(self, name: str) -> Json | None:
        return next((tool for tool in self.tools if tool.get("name") == name), None)

    @property
    def window(self) -> int:
        return int(obj(self.model.get("tokenLimits")).get("maxInputTokens") or 200_000)

    @cached_property
    def tokens(self) -> int:
        """An estimate: a token for four characters of all that the model reads."""
        read = sum(map(len, (*self.read(), *map(dumped, self.tools))))
        return estimate(read) + IMAGE_TOKENS * sum(len(turn.images) for turn in self.turns)
