"""A Responses request as the twin sees it, told in Kiro's words.

Items between two of the assistant's are one turn of the user's; outputs of tools are its results. Reads any JSON
without raising: a member of a wrong type reads as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from typing import Any, Final, NamedTuple

from kirogw.twin import ask
from kirogw.twin.ask import IMAGE_TOKENS, Turn, dumped, estimate, obj, rows, text
from kirogw.wire import Json

CALLS: Final = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call", "web_search_call")
OUTPUTS: Final = (*(call + "_output" for call in CALLS), "tool_search_output")
FREEFORM: Final = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
SHELL: Final = {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"]}  # fmt: skip


class Declared(NamedTuple):
    """A definition of a tool, where it stands, and the type of the item that holds it ("" for the body's own)."""

    at: str
    holder: str
    tool: Json


class Ask(ask.Ask):
    def __init__(self, payload: Any, raw: bytes, model: Json | None = None) -> None:
        self.input = [obj(item) for item in rows(obj(payload).get("input"))]
        turns = [Turn(entry) for entry in _entries(self.input)]
        if not turns or not turns[-1].is_user:
            turns.append(Turn({"userInputMessage": {}}))
        super().__init__(obj(payload), raw, turns, model)
        self.reasoning = obj(self.payload.get("reasoning"))
        self.fields = {"reasoning": self.reasoning}
        self.model_id = text(self.payload.get("model"))

    @cached_property
    def tools(self) -> list[Json]:
        """All that the client can be called with, each `{name, description, inputSchema, kind, namespace}`."""
        return [tool for given in self.declared for tool in _flat(given.tool, "")]

    @cached_property
    def declared(self) -> list[Declared]:
        """The definitions as they came."""
        found = [Declared(f"tools[{n}]", "", obj(tool)) for n, tool in enumerate(rows(self.payload.get("tools")))]
        for n, item in enumerate(self.input):
            if (kind := item.get("type")) in ("additional_tools", "tool_search_output"):
                found += [Declared(f"input[{n}].tools[{k}]", kind, obj(tool))
                          for k, tool in enumerate(rows(item.get("tools")))]  # fmt: skip
        return found

    def tool(self, name: str) -> Json | None:
        """By its bare name, or with its namespace before it."""
        names = ((tool, (tool["name"], f"{tool['namespace']}__{tool['name']}", f"{tool['namespace']}.{tool['name']}"))
                 for tool in self.tools)  # fmt: skip
        return next((tool for tool, known in names if name in known), None)

    @property
    def window(self) -> int:
        return int(self.model.get("max_context_window") or self.model.get("context_window") or 272_000)

    @property
    def lite(self) -> bool:
        return any(item.get("type") == "additional_tools" for item in self.input)

    @cached_property
    def system(self) -> str:
        """The instructions and all that a developer said."""
        said = [_content(item) for item in self.input if item.get("role") in ("developer", "system")]
        return "\n\n".join([text(self.payload.get("instructions")), *said])

    def wants(self, name: str) -> bool:
        return name in rows(self.payload.get("include"))

    @cached_property
    def tokens(self) -> int:
        parts = [obj(part) for item in self.input for part in (*rows(item.get("content")), *rows(item.get("output")))]
        images = [part for part in parts if part.get("type") == "input_image"]
        read = sum(map(len, (self.system, *self.read(), *(dumped(given.tool) for given in self.declared))))
        return estimate(read) + IMAGE_TOKENS * len(images)


def kind_of(item: Json) -> str:
    """An item without a type that has a role is a message."""
    return text(item.get("type")) or ("message" if "role" in item else "")


def _entries(items: list[Json]) -> Iterator[Json]:
    """The items as turns of Kiro's."""
    told = (item for item in items if item.get("role") not in ("developer", "system"))
    for by_user, group in groupby(told, _by_user):
        said = list(group)
        content = "\n\n".join(filter(None, map(_content, said)))
        if by_user:
            results = [{"toolUseId": item.get("call_id"), "content": [{"text": output_text(item)}]}
                       for item in said if kind_of(item) in OUTPUTS]  # fmt: skip
            images = [part for item in said for part in map(obj, rows(item.get("content")))
                      if part.get("type") == "input_image"]  # fmt: skip
            context = {"toolResults": results}
            yield {"userInputMessage": {"content": content, "userInputMessageContext": context, "images": images}}
        else:
            uses = [{"toolUseId": item.get("call_id"), "name": item.get("name"), "input": _given(item)}
                    for item in said if kind_of(item) in CALLS]  # fmt: skip
            yield {"assistantResponseMessage": {"content": content, "toolUses": uses}}


def _by_user(item: Json) -> bool:
    kind = kind_of(item)
    return item.get("role") == "user" if kind == "message" else kind in OUTPUTS


def _given(item: Json) -> Any:
    return next((item[name] for name in ("arguments", "input", "action") if name in item), None)


def _content(item: Json) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(text(obj(part).get("text")) for part in rows(content))


def output_text(item: Json) -> str:
    """The text of what a tool gave back."""
    output = item.get("output")
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return "\n".join(text(obj(part).get("text")) for part in output)
    return dumped(item.get("tools")) or dumped(output)


def _flat(tool: Json, namespace: str) -> Iterator[Json]:
    kind = text(tool.get("type"))
    if kind == "namespace":
        for inner in rows(tool.get("tools")):
            yield from _flat(obj(inner), text(tool.get("name")))
        return
    schemas = {"custom": FREEFORM, "local_shell": SHELL}
    if kind in ("function", "custom", "local_shell", "tool_search"):
        schema = schemas.get(kind) or obj(tool.get("parameters"))
        yield {"name": text(tool.get("name")) or kind, "description": text(tool.get("description")), "kind": kind,
               "namespace": namespace, "inputSchema": {"json": schema}}  # fmt: skip
