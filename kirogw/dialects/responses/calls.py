"""Calls of tools on their way out: what each kind of tool's calls look like as items, and what their deltas carry.

The arguments come as the JSON of an object, whatever the kind; here they become what the client's tool expects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from kirogw.answer import CallStart
from kirogw.conversation import Tool
from kirogw.dialects.custom import Unwrapped
from kirogw.dialects.responses import items
from kirogw.flow.tally import fold
from kirogw.wire import Json


@dataclass(frozen=True, slots=True)
class Form:
    """`prefix` of the item's id; `item(named, text)` its own members, where `named` is the call's id and the tool's
    name and namespace; `delta` and `done` its events, if any, the latter with the text in the member `member`.
    """

    prefix: str
    item: Callable[[Json, str], Json]
    delta: str = ""
    done: str = ""
    member: str = ""


class Call:
    """A call whose item may still grow: calls may interleave."""

    __slots__ = ("_event", "_free", "_pieces", "_tool", "form", "head", "id", "index")

    def __init__(self, form: Form, tool: Tool | None, event: CallStart, index: int, id_: str, head: bytes) -> None:
        self.form, self.index, self.id, self.head = form, index, id_, head
        self._tool, self._event = tool, event
        self._pieces: list[str] = []  # of the arguments; of a custom tool, of its text
        self._free = Unwrapped() if form is FORMS["custom"] else None

    def receive(self, json: str) -> str:
        text = json if self._free is None else self._free.receive(json)
        self._pieces.append(text)
        fold(self._pieces)
        return text

    def close(self) -> str:
        """The last of its text, where something was held back."""
        rest = "" if self._free is None else self._free.close()
        if rest:
            self._pieces.append(rest)
        return rest

    def whole(self) -> bool:
        """True once its arguments are JSON, and so nothing can follow."""
        if self._free is not None:
            return self._free.done
        try:
            orjson.loads("".join(self._pieces))
        except orjson.JSONDecodeError:
            return False
        return True

    def text(self) -> str:
        """Clients parse the arguments, so a call without any has `{}`."""
        return "".join(self._pieces) or ("{}" if self._free is None else "")

    def said(self) -> Json:
        return {self.form.member: self.text(), "name": self._name()}

    def item(self, status: str, text: str) -> Json:
        named = {"call_id": self._event.id, "name": self._name()}
        if self._tool is not None and self._tool.namespace:
            named["namespace"] = self._tool.namespace
        return {"id": self.id, "status": status, **self.form.item(named, text)}

    def _name(self) -> str:
        return self._tool.bare if self._tool is not None else self._event.name


def _function(named: Json, text: str) -> Json:
    return {"type": "function_call", **named, "arguments": text}


def _custom(named: Json, text: str) -> Json:
    return {"type": "custom_tool_call", **named, "input": text}


def _shell(named: Json, text: str) -> Json:
    return {"type": "local_shell_call", "call_id": named["call_id"], "action": items.action(_object(text))}


def _search(named: Json, text: str) -> Json:
    return {"type": "tool_search_call", "call_id": named["call_id"], "execution": "client", "arguments": _object(text)}


def _commands(named: Json, text: str) -> Json:
    given = _object(text)
    commands = given.get("commands")
    action = {
        "commands": [commands] if commands.__class__ is str else items.words(commands),
        "timeout_ms": given.get("timeout_ms"), "max_output_length": given.get("max_output_length"),
    }  # fmt: skip
    return {"type": "shell_call", "call_id": named["call_id"], "action": action, "environment": {"type": "local"}}


def _patch(named: Json, text: str) -> Json:
    operation = {"type": "update_file", "path": "", **_object(text)}
    if operation["type"] != "delete_file":
        operation.setdefault("diff", "")
    return {"type": "apply_patch_call", "call_id": named["call_id"], "operation": operation}


def _object(text: str) -> Json:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


FORMS: Final[dict[str, Form]] = {
    # by tools.form
    "function": Form("fc", _function, "response.function_call_arguments.delta",
                     "response.function_call_arguments.done", "arguments"),
    "custom": Form("ctc", _custom, "response.custom_tool_call_input.delta", "response.custom_tool_call_input.done",
                   "input"),
    "local_shell": Form("lsh", _shell),
    "tool_search": Form("tsc", _search),
    "shell": Form("sh", _commands),
    "apply_patch": Form("apc", _patch),
}  # fmt: skip
