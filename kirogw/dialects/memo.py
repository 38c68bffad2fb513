"""What was worked out for a tool, kept for the next request: schemas are no dictionary keys, so equality decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import orjson

from kirogw.conversation import Tool
from kirogw.dialects import clean

T = TypeVar("T")

NAMES: Final = 256
VARIANTS: Final = 2  # of one name: two clients with a tool called Read
LARGEST: Final = 32_768  # bytes of a tool that is kept; with the above at most 16 MiB


class ToolMemo(Generic[T]):
    """Keeps the last few hundred. Needs no lock: what it holds is replaced, never changed; at worst some are lost."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Tool, T], ...]] = {}

    def get(self, tool: Tool) -> T | None:
        for known, value in self._kept.get(tool.name, ()):
            if known.description == tool.description and (known.schema is tool.schema or known.schema == tool.schema) \
                    and (known.native, known.strict, known.namespace, known.kind) \
                    == (tool.native, tool.strict, tool.namespace, tool.kind):  # fmt: skip
                return value
        return None

    def keep(self, tool: Tool, value: T) -> T:
        if len(tool.description) + len(orjson.dumps(clean.json([tool.schema, tool.native]))) <= LARGEST:
            others = self._kept.pop(tool.name, ())
            self._kept[tool.name] = ((tool, value), *others[: VARIANTS - 1])
            if len(self._kept) > NAMES:
                self._kept = dict(list(self._kept.items())[NAMES // 2 :])
        return value


class Changed:
    """A change of tools that is worked out once for each: clients send the same tools with every request."""

    def __init__(self, change: Callable[[Tool], Tool]) -> None:
        self._change = change
        self._known: ToolMemo[tuple[Tool, ...]] = ToolMemo()  # what takes its place, nothing where it is good as it is

    def __call__(self, tool: Tool) -> Tool:
        known = self._known.get(tool)
        if known is None:
            new = self._change(tool)
            known = self._known.keep(tool, () if new is tool else (new,))
        return known[0] if known else tool
