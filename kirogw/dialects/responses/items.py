"""The items of the Responses API and our turns, in both directions.

Items are a flat list. What the model said stands in one turn until somebody else speaks; results of tools that follow
each other are one turn; each message of the user or of a developer is one. An item that nothing here has a word for is
carried as it came (conversation.Native).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from kirogw.conversation import Call, Document, Image, Kind, Native, Part, Result, Role, Text, Thought, Tool, Turn
from kirogw.dialects import seals
from kirogw.dialects.fields import arguments, compact, data_url, may, need, objects, pick
from kirogw.dialects.responses import tools
from kirogw.errors import BadRequest
from kirogw.wire import Json

Readers: TypeAlias = dict[str, Callable[[Json, str], Part | None]]

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
        parts = _content(item, "content", at, known)
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
        self._said(_call(item, at, "function", *arguments(may(item, "arguments", str, "", at))))

    def _custom_call(self, item: Json, at: str) -> None:
        self._said(_call(item, at, "custom", {"input": need(item, "input", str, at)}))

    def _shell_call(self, item: Json, at: str) -> None:
        action = need(item, "action", dict, at)
        given = {name: value for name, value in action.items() if name != "type" and value not in (None, {})}
        id_ = may(item, "call_id", str, "", at) or need(item, "id", str, at)
        self._shells[may(item, "id", str, "", at) or id_] = id_
        self._said(Call(id_, "local_shell", given, kind="shell"))

    def _search_call(self, item: Json, at: str) -> None:
        if item.get("call_id") is None:  # OpenAI ran it
            self._said(Native(item))
            return
        given = item.get("arguments")
        said, raw = arguments(given) if given.__class__ is str else (may(item, "arguments", dict, {}, at), None)
        self._said(Call(need(item, "call_id", str, at), "tool_search", said, raw, kind="search"))

    def _output(self, item: Json, at: str) -> None:
        self._result(Result(need(item, "call_id", str, at), _content(item, "output", at, CONTENT)))

    def _shell_output(self, item: Json, at: str) -> None:
        id_ = may(item, "call_id", str, "", at) or need(item, "id", str, at)
        self._result(Result(self._shells.get(id_, id_), _content(item, "output", at, CONTENT)))

    def _search_output(self, item: Json, at: str) -> None:
        """The tools in it are offered from now on (tools.read_tools); the result names them."""
        if item.get("call_id") is None:
            self._add("user", "", (Native(item),))
            return
        names = list(tools.names(item.get("tools")))
        said = "\n".join((FOUND, *names)) if names else NONE_FOUND
        self._result(Result(need(item, "call_id", str, at), (Text(said),)))

    def _tools(self, item: Json, at: str) -> None:
        """Read by tools.read_tools."""

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
    "tool_search_output": Reader._search_output, "additional_tools": Reader._tools,
    "item_reference": Reader._reference,
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


def _call(item: Json, at: str, kind: Kind, given: Json, raw: str | None = None) -> Call:
    namespace = may(item, "namespace", str, "", at)
    name = tools.flat(namespace, need(item, "name", str, at))
    return Call(need(item, "call_id", str, at), name, given, raw, namespace, kind)


def _content(box: Json, name: str, at: str, known: Readers) -> tuple[Part, ...]:
    """The parts of a member that is a string, null, or a list of content parts."""
    content = box.get(name)
    if content.__class__ is str:
        return (Text(content),) if content else ()
    found = []
    for n, part in enumerate(objects(box, name, at)):
        inside = f"{at}{name}.{n}."
        if (value := pick(part, "type", known, inside)(part, inside)) is not None:
            found.append(value)
    return tuple(found)


def _text(part: Json, at: str) -> Part | None:
    text = need(part, "text", str, at)
    return Text(text) if text else None


def _refusal(part: Json, at: str) -> Part | None:
    refusal = need(part, "refusal", str, at)
    return Text(refusal) if refusal else None


def _image(part: Json, at: str) -> Part | None:
    """`image_url` is a string; some clients send an object as in Chat Completions."""
    if part.get("image_url") is None and part.get("file_id") is not None:
        raise _no_files(at)
    if part.get("image_url").__class__ is dict:
        url = need(part["image_url"], "url", str, at + "image_url.")
    else:
        url = need(part, "image_url", str, at)
    if (inline := data_url(url)) is not None:
        return Image(inline[1], inline[0], at=at[:-1])
    return Image(url=url, at=at[:-1])


def _file(part: Json, at: str) -> Part | None:
    """`file_data` is a data URL, or bare base64."""
    name = may(part, "filename", str, "", at) or "document"
    if url := may(part, "file_url", str, "", at):
        return Document(name, url=url, at=at[:-1])
    if part.get("file_data") is None and part.get("file_id") is not None:
        raise _no_files(at)
    data = need(part, "file_data", str, at)
    if (inline := data_url(data)) is not None:
        return Document(name, inline[0], data=inline[1], at=at[:-1])
    return Document(name, data=data, at=at[:-1])


def _no_files(at: str) -> BadRequest:
    return BadRequest("names an uploaded file, which this gateway can not read; send its content", param=at + "file_id")


def _audio(part: Json, at: str) -> Part | None:
    raise BadRequest("is audio, which no model here can hear; send text", param=at + "input_audio")


TEXTS: Final[Readers] = {
    "input_text": _text, "output_text": _text, "text": _text, "refusal": _refusal, "summary_text": _text,
}  # fmt: skip
CONTENT: Final[Readers] = {
    **TEXTS, "input_image": _image, "computer_screenshot": _image, "input_file": _file, "input_audio": _audio,
}  # fmt: skip


# the other way

def written(turns: Iterable[Turn], offered: Sequence[Tool] = ()) -> list[Json]:
    """The turns as items without ids. Seals stand as they are. `offered`: the tools that a search may have found."""
    out: list[Json] = []
    kinds: dict[str, Kind] = {}
    known = {tool.name: tool for tool in offered}
    for turn in turns:
        if turn.role == "model":
            out += _model(turn, kinds)
        else:
            out += _others(turn, kinds, known)
    return out


def _model(turn: Turn, kinds: dict[str, Kind]) -> Iterator[Json]:
    said: list[Json] = []  # texts of one message
    phase = ""
    for part in turn.parts:
        if said and (type(part) is not Text or part.phase != phase):
            yield _said(said, phase)
            said = []
        if type(part) is Text:
            said.append({"type": "output_text", "text": part.text})
            phase = part.phase
        elif type(part) is Call:
            kinds[part.id] = part.kind
            yield CALLS[part.kind](part)
        elif type(part) is Thought:
            yield thought(part)
        elif type(part) is Native:
            yield part.item
        elif type(part) is Result:
            yield _result(part, kinds, {})
        else:  # the model's messages have no room for pictures and files
            yield _heard("user", [_part(part)])
    if said:
        yield _said(said, phase)


def _others(turn: Turn, kinds: dict[str, Kind], known: dict[str, Tool]) -> Iterator[Json]:
    role, heard = "user" if turn.role == "user" else "developer", []
    for part in turn.parts:
        if isinstance(part, Text | Image | Document):
            heard.append(_part(part))
            continue
        if heard:
            yield _heard(role, heard)
            heard = []
        if isinstance(part, Result):
            yield _result(part, kinds, known)
        elif isinstance(part, Native):
            yield part.item
        elif isinstance(part, Call):
            kinds[part.id] = part.kind
            yield CALLS[part.kind](part)
        else:
            yield thought(part)
    if heard or not turn.parts:
        yield _heard(role, heard)


def _said(texts: list[Json], phase: str) -> Json:
    item: Json = {"type": "message", "role": "assistant", "content": texts}
    return {**item, "phase": phase} if phase else item


def _heard(role: str, parts: list[Json]) -> Json:
    return {"type": "message", "role": role, "content": parts}


def thought(part: Thought) -> Json:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": part.seal or None}


def _function_item(call: Call) -> Json:
    return {**_named("function_call", call), "arguments": compact(call.input) if call.raw is None else call.raw}


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
    if command.__class__ is str:
        command = ["bash", "-lc", command]
    elif command.__class__ is not list:
        command = []
    return {"type": "exec", "env": {}, **given, "command": [word if word.__class__ is str else compact(word)
                                                            for word in command]}  # fmt: skip


def _result(result: Result, kinds: dict[str, Kind], known: dict[str, Tool]) -> Json:
    kind = kinds.get(result.call, "function")
    if kind == "search" and (found := _found(result)) is not None:
        definitions = tools.written(known[name] for name in found if name in known)
        return {"type": "tool_search_output", "call_id": result.call, "execution": "client", "status": "completed",
                "tools": definitions}  # fmt: skip
    item = "custom_tool_call_output" if kind == "custom" else "function_call_output"
    return {"type": item, "call_id": result.call, "output": _output(result)}


def _output(result: Result) -> Any:
    """A string where it is but text. Nothing in it says that a tool failed, so its words do."""
    parts = (Text("Error:"), *result.parts) if result.failed else result.parts
    if not parts:
        return ""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    return [_part(part) for part in parts]


def found(turns: Iterable[Turn]) -> set[str]:
    """The flat names of the tools that searches have found: items carry them, so the request need not."""
    searches = {part.id for turn in turns for part in turn.parts if type(part) is Call and part.kind == "search"}
    results = (part for turn in turns for part in turn.parts if type(part) is Result and part.call in searches)
    return {name for result in results for name in _found(result) or ()}


def _found(result: Result) -> list[str] | None:
    """The names in the result of a search for tools, None where it is something else."""
    if len(result.parts) != 1 or type(text := result.parts[0]) is not Text:
        return None
    head, *names = text.text.split("\n")
    if head == FOUND:
        return names
    return [] if text.text == NONE_FOUND else None


def _part(part: Part) -> Json:
    return PARTS[type(part)](part)


def _written_image(image: Image) -> Json:
    url = f"data:{image.media or media_of(image.data)};base64,{image.data}" if image.data else image.url
    return {"type": "input_image", "image_url": url}


def _written_document(document: Document) -> Json:
    if document.data:
        media = document.media or media_of(document.data)
        return {"type": "input_file", "filename": document.name,
                "file_data": f"data:{media};base64,{document.data}"}  # fmt: skip
    if document.url and not document.text:
        return {"type": "input_file", "filename": document.name, "file_url": document.url}
    return {"type": "input_text", "text": f"Document: {document.name}\n\n{document.text}"}


PARTS: Final[dict[type[Part], Callable[[Any], Json]]] = {
    Text: lambda part: {"type": "input_text", "text": part.text}, Image: _written_image, Document: _written_document,
}  # fmt: skip

MAGIC: Final = (
    (b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"),
    (b"%PDF", "application/pdf"),
)  # fmt: skip


def media_of(data: str) -> str:
    """What base64 is of, by its first bytes."""
    try:
        head = base64.b64decode(data[:12])
    except (binascii.Error, ValueError):
        head = b""
    return next((media for magic, media in MAGIC if head.startswith(magic)), "application/octet-stream")
