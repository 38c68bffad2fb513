"""The items of the Responses API and our turns, in both directions.

Items are a flat list. What the model said stands in one turn until somebody else speaks; results of tools that follow
each other are one turn; each message of the user or of a developer is one. An item that nothing here has a word for is
carried as it came (conversation.Native).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from kirogw.conversation import Call, Document, Image, Kind, Native, Part, Result, Role, Text, Thought, Tool, Turn
from kirogw.dialects import seals
from kirogw.dialects.contents import content
from kirogw.dialects.fields import arguments, compact, may, need, objects, pick
from kirogw.dialects.responses import tools
from kirogw.dialects.responses.parts import CONTENT, TEXTS, written_part
from kirogw.errors import BadRequest
from kirogw.wire import Json

INSTRUCTIONS: Final = ("system", "developer")
FOUND: Final = "These tools can be called now:"
"""Begins the result of a search for tools; the flat name of one in each line after it."""
NONE_FOUND: Final = "No tools were found."


class Reader:
    """Puts items into turns, one after the other."""

    def __init__(self) -> None:
        self.system: list[str] = []
        self.turns: list[Turn] = []
        self._open = ""  # what the last turn may still take: said, results
        self._shells: dict[str, str] = {}  # the ids of calls of the shell, by those of their items

    def read(self, item: Json, at: str) -> None:
        kind = may(item, "type", str, "", at) or _kind(item, at)
        if (reader := ITEMS.get(kind)) is not None:
            reader(self, item, at)
        elif kind.endswith(("_output", "_response")):
            self._add("user", "", (Native(item),))
        else:
            self._said(Native(item))

    def _message(self, item: Json, at: str) -> None:
        role = pick(item, "role", ROLES, at)
        known = CONTENT if role == "user" else TEXTS
        parts = content(item, "content", at, known)
        if role == "model":
            phase = may(item, "phase", str, "", at)
            self._said(*(replace(part, phase=phase) if phase and type(part) is Text else part for part in parts))
        elif role == "system" and not self.turns:
            self.system += [part.text for part in parts if type(part) is Text]
        elif parts or role == "user":
            self._add(role, "", parts)

    def _reasoning(self, item: Json, at: str) -> None:
        """`content` is the reasoning in full, which only open models show."""
        texts = [need(part, "text", str, f"{at}summary.{n}.") for n, part in enumerate(objects(item, "summary", at))]
        if not texts:
            texts = [need(part, "text", str, f"{at}content.{n}.")
                     for n, part in enumerate(objects(item, "content", at))]  # fmt: skip
        text, seal = "\n\n".join(filter(None, texts)), may(item, "encrypted_content", str, "", at)
        if text or seal:
            known = seals.unseal(seal)
            self._said(Thought(text, seal, hidden=not text and known is not None and known.kind == "r"))

    def _function_call(self, item: Json, at: str) -> None:
        text = may(item, "arguments", str, "", at)
        given, raw = arguments(text)
        self._said(_call(item, at, "function", given, raw, text.strip() if raw is None else ""))

    def _custom_call(self, item: Json, at: str) -> None:
        self._said(_call(item, at, "custom", {"input": need(item, "input", str, at)}))

    def _shell_call(self, item: Json, at: str) -> None:
        action = need(item, "action", dict, at)
        given = {name: value for name, value in action.items() if name != "type" and value not in (None, {})}
        id_ = may(item, "call_id", str, "", at) or need(item, "id", str, at)
        self._shells[may(item, "id", str, "", at) or id_] = id_
        self._said(Call(id_, "local_shell", given, kind="shell"))

    def _commands_call(self, item: Json, at: str) -> None:
        action = {name: value for name, value in need(item, "action", dict, at).items() if value is not None}
        self._said(Call(need(item, "call_id", str, at), "shell", action))

    def _patch_call(self, item: Json, at: str) -> None:
        self._said(Call(need(item, "call_id", str, at), "apply_patch", need(item, "operation", dict, at)))

    def _search_call(self, item: Json, at: str) -> None:
        if item.get("call_id") is None:  # OpenAI ran it
            self._said(Native(item))
            return
        given = item.get("arguments")
        said, raw = arguments(given) if given.__class__ is str else (may(item, "arguments", dict, {}, at), None)
        self._said(Call(need(item, "call_id", str, at), "tool_search", said, raw, kind="search"))

    def _output(self, item: Json, at: str) -> None:
        self._result(Result(need(item, "call_id", str, at), content(item, "output", at, CONTENT)))

    def _shell_output(self, item: Json, at: str) -> None:
        id_ = may(item, "call_id", str, "", at) or need(item, "id", str, at)
        self._result(Result(self._shells.get(id_, id_), content(item, "output", at, CONTENT)))

    def _commands_output(self, item: Json, at: str) -> None:
        parts = [Text(text) for n, ended in enumerate(objects(item, "output", at))
                 for text in _printed(ended, f"{at}output.{n}.")]  # fmt: skip
        self._result(Result(need(item, "call_id", str, at), tuple(parts)))

    def _patch_output(self, item: Json, at: str) -> None:
        failed = may(item, "status", str, "", at) == "failed"
        self._result(Result(need(item, "call_id", str, at), content(item, "output", at, CONTENT), failed))

    def _search_output(self, item: Json, at: str) -> None:
        """The tools in it are offered from now on (tools.read_tools); the result names them."""
        if item.get("call_id") is None:
            self._add("user", "", (Native(item),))
            return
        names = list(tools.names(item.get("tools")))
        said = "\n".join((FOUND, *names)) if names else NONE_FOUND
        self._result(Result(need(item, "call_id", str, at), (Text(said),)))

    def _elsewhere(self, item: Json, at: str) -> None:
        """Read by tools.read_tools, or by the readers of the request."""

    def _reference(self, item: Json, at: str) -> None:
        raise BadRequest("names an item that is not kept here; send the item itself", param=at + "id")

    def _said(self, *parts: Part) -> None:
        self._add("model", "said", parts)

    def _result(self, result: Result) -> None:
        self._add("user", "results", (result,))

    def _add(self, role: Role, kind: str, parts: tuple[Part, ...]) -> None:
        if kind and kind == self._open:
            self.turns[-1] = Turn(role, self.turns[-1].parts + parts)
        elif parts or role == "user":
            self.turns.append(Turn(role, parts))
            self._open = kind


ITEMS: Final[dict[str, Callable[[Reader, Json, str], None]]] = {
    "message": Reader._message, "reasoning": Reader._reasoning, "function_call": Reader._function_call,
    "function_call_output": Reader._output, "custom_tool_call": Reader._custom_call,
    "custom_tool_call_output": Reader._output, "local_shell_call": Reader._shell_call,
    "local_shell_call_output": Reader._shell_output, "tool_search_call": Reader._search_call,
    "tool_search_output": Reader._search_output, "additional_tools": Reader._elsewhere,
    "shell_call": Reader._commands_call, "shell_call_output": Reader._commands_output,
    "apply_patch_call": Reader._patch_call, "apply_patch_call_output": Reader._patch_output,
    "configuration_update": Reader._elsewhere, "item_reference": Reader._reference,
}  # fmt: skip
ROLES: Final[dict[str, Role]] = {"user": "user", "assistant": "model", "system": "system", "developer": "system"}


def read(items: list[Json], at: str = "input.") -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """(system blocks, turns). Instructions before the first other item are the system prompt; later ones are turns."""
    reader = Reader()
    for n, item in enumerate(items):
        reader.read(item, f"{at}{n}.")
    if reader.system and not reader.turns:  # nothing else was said: they are what is to be answered
        return (), tuple(Turn("system", (Text(text),)) for text in reader.system)
    return tuple(reader.system), tuple(reader.turns)


def _kind(item: Json, at: str) -> str:
    """Of an item without a type: messages and references may do without."""
    if "role" in item:
        return "message"
    if "id" in item and len(item.keys() - {"type"}) == 1:
        return "item_reference"
    raise BadRequest("is required", param=at + "type")


def _printed(ended: Json, at: str) -> Iterator[str]:
    """What a command line has printed, and how it ended."""
    outcome = may(ended, "outcome", dict, {}, at)
    for name in ("stdout", "stderr"):
        if text := may(ended, name, str, "", at):
            yield text
    if outcome.get("type") == "timeout":
        yield "It was ended, for it took too long."
    elif (code := outcome.get("exit_code")) is not None:
        yield f"Exit code: {code}"


def _call(item: Json, at: str, kind: Kind, given: Json, raw: str | None = None, text: str = "") -> Call:
    namespace = may(item, "namespace", str, "", at)
    name = tools.flat(namespace, need(item, "name", str, at))
    return Call(need(item, "call_id", str, at), name, given, raw, namespace, kind, text)


# the other way

def written(turns: Iterable[Turn], offered: Iterable[Tool] = ()) -> list[Json]:
    """The turns as items without ids. Seals stand as they are. `offered`: the tools that a search may have found."""
    writer = Writer(offered)
    for turn in turns:
        writer.write(turn)
    return writer.items


def _spoken(text: Any) -> Json:
    return {"type": "output_text", "text": text.text}


SPEAKERS: Final[dict[Role, tuple[str, frozenset[type[Part]], Callable[[Part], Json]]]] = {
    # the role of the messages; the parts that they have room for; how these are written
    "user": ("user", frozenset({Text, Image, Document}), written_part),
    "model": ("assistant", frozenset({Text}), _spoken),
    "system": ("developer", frozenset({Text, Image, Document}), written_part),
}


class Writer:
    """Makes items of turns, one after the other."""

    def __init__(self, offered: Iterable[Tool]) -> None:
        self.items: list[Json] = []
        self._offered = {tool.name: tool for tool in offered}
        self._kinds: dict[str, Kind] = {}  # of calls, by their ids

    def write(self, turn: Turn) -> None:
        """Parts that follow each other are one message, where one has room for them and their phase is the same."""
        role, held, one = SPEAKERS[turn.role]
        content: list[Json] | None = None  # of the message that is open
        last = ""
        for part in turn.parts:
            if type(part) not in held:
                content = None
                self.items.append(ALONE[type(part)](self, part))
                continue
            phase = part.phase if type(part) is Text and role == "assistant" else ""
            if content is None or phase != last:
                content, last = self._open(role, phase), phase
            content.append(one(part))
        if not turn.parts and role != "assistant":
            self._open(role)

    def _open(self, role: str, phase: str = "") -> list[Json]:
        """Begin a message; its content is yet to come."""
        content: list[Json] = []
        item: Json = {"type": "message", "role": role, "content": content}
        self.items.append({**item, "phase": phase} if phase else item)
        return content

    def _call(self, call: Call) -> Json:
        self._kinds[call.id] = call.kind
        return CALLS[call.kind](call)

    def _result(self, result: Result) -> Json:
        kind = self._kinds.get(result.call, "function")
        if kind == "search" and (names := found_in(result)) is not None:
            definitions = tools.written(self._offered[name] for name in names if name in self._offered)
            return {"type": "tool_search_output", "call_id": result.call, "execution": "client", "status": "completed",
                    "tools": definitions}  # fmt: skip
        item = "custom_tool_call_output" if kind == "custom" else "function_call_output"
        return {"type": item, "call_id": result.call, "output": _output(result)}

    def _beside(self, part: Part) -> Json:
        """A picture or file among the model's words."""
        return {"type": "message", "role": "user", "content": [written_part(part)]}

    def _thought(self, part: Thought) -> Json:
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return {"type": "reasoning", "summary": summary, "encrypted_content": part.seal or None}

    def _native(self, part: Native) -> Json:
        return part.item


ALONE: Final[dict[type[Part], Callable[[Writer, Any], Json]]] = {
    Call: Writer._call, Result: Writer._result, Thought: Writer._thought, Native: Writer._native,
    Image: Writer._beside, Document: Writer._beside,
}  # fmt: skip


def _function_item(call: Call) -> Json:
    text = call.text or compact(call.input)
    return {**_named("function_call", call), "arguments": text if call.raw is None else call.raw}


def _custom_item(call: Call) -> Json:
    text = call.input.get("input") if call.raw is None else call.raw
    return {**_named("custom_tool_call", call), "input": text if text.__class__ is str else compact(call.input)}


def _named(kind: str, call: Call) -> Json:
    item: Json = {"type": kind, "call_id": call.id, "name": tools.bare(call.namespace, call.name)}
    return {**item, "namespace": call.namespace} if call.namespace else item


def _shell_item(call: Call) -> Json:
    return {"type": "local_shell_call", "call_id": call.id, "status": "completed", "action": action(call.input)}


def _search_item(call: Call) -> Json:
    return {"type": "tool_search_call", "call_id": call.id, "execution": "client", "status": "completed",
            "arguments": call.input}  # fmt: skip


CALLS: Final[dict[Kind, Callable[[Call], Json]]] = {
    "function": _function_item, "custom": _custom_item, "shell": _shell_item, "search": _search_item,
}  # fmt: skip


def action(given: Json) -> Json:
    """The action of a call of the shell, from its arguments: `command` and `env` must be there, and fit."""
    command = given.get("command")
    command = ["bash", "-lc", command] if command.__class__ is str else words(command)
    return {"type": "exec", "env": {}, **given, "command": command}


def words(value: Any) -> list[str]:
    """A list of strings, whatever the model made of it."""
    return [word if word.__class__ is str else compact(word) for word in value] if value.__class__ is list else []


def _output(result: Result) -> Any:
    """A string where it is but text. Nothing in it says that a tool failed, so its words do."""
    parts = (Text("Error:"), *result.parts) if result.failed else result.parts
    if not parts:
        return ""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    return [written_part(part) for part in parts]


def found(turns: Iterable[Turn]) -> set[str]:
    """The flat names of the tools that searches have found: items carry them, so the request need not."""
    searches = {part.id for turn in turns for part in turn.parts if type(part) is Call and part.kind == "search"}
    results = (part for turn in turns for part in turn.parts if type(part) is Result and part.call in searches)
    return {name for result in results for name in found_in(result) or ()}


def found_in(result: Result) -> list[str] | None:
    """The names in the result of a search for tools, None where it is something else."""
    if len(result.parts) != 1 or type(text := result.parts[0]) is not Text:
        return None
    head, *names = text.text.split("\n")
    if head == FOUND:
        return names
    return [] if text.text == NONE_FOUND else None
