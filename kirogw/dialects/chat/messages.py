"""OpenAI's messages to our turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kirogw.conversation import Call, Document, Image, Part, Result, Text, Thought, Turn
from kirogw.dialects.fields import arguments, data_url, may, need, objects, pick
from kirogw.errors import BadRequest
from kirogw.wire import Json

Readers: TypeAlias = dict[str, Callable[[Json, str], Part | None]]

INSTRUCTIONS: Final = ("system", "developer")
RESULTS: Final = ("tool", "function")


def read_messages(body: Json) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """(system blocks, turns). Instructions before the first other message are the system prompt; later ones are turns.

    Results of tools that follow each other are one turn, as in the Messages API.
    """
    need(body, "messages", list)
    messages = objects(body, "messages")
    if not messages:
        raise BadRequest("must hold at least one message", param="messages")
    first = next((n for n, message in enumerate(messages) if message.get("role") not in INSTRUCTIONS), 0)
    system = [part.text for n in range(first) for part in _parts(messages[n], f"messages.{n}.", TEXTS)
              if isinstance(part, Text)]  # fmt: skip
    return tuple(system), _turns(messages, first)


def _turns(messages: list[Json], first: int) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    functions: dict[str, str] = {}  # the id that we gave to the last call of each function, in the legacy form
    after = False  # the message before was a result
    for n in range(first, len(messages)):
        message, at = messages[n], f"messages.{n}."
        turn = pick(message, "role", ROLES, at)(message, at, functions)
        result = message["role"] in RESULTS
        if result and after:
            turns[-1] = Turn("user", turns[-1].parts + turn.parts)
        else:
            turns.append(turn)
        after = result
    return tuple(turns)


def _instruction(message: Json, at: str, functions: dict[str, str]) -> Turn:
    return Turn("system", _parts(message, at, TEXTS))


def _user(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """`name` tells the people of one conversation apart, so the model gets it."""
    found = _parts(message, at, CONTENT)
    name = may(message, "name", str, "", at)
    return Turn("user", (Text(f"{name} says:"), *found) if name else found)


def _model(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """Thinking, as clients send it back that were shown `reasoning_content`, then text, then calls."""
    found: list[Part] = []
    if thought := may(message, "reasoning_content", str, "", at) or may(message, "reasoning", str, "", at):
        found.append(Thought(thought))
    found += _parts(message, at, TEXTS)
    if refusal := may(message, "refusal", str, "", at):
        found.append(Text(refusal))
    if message.get("audio") is not None:
        raise BadRequest("names audio that OpenAI keeps; send its transcript as content", param=at + "audio")
    for n, call in enumerate(objects(message, "tool_calls", at)):
        found.append(_call(call, f"{at}tool_calls.{n}."))
    if legacy := may(message, "function_call", dict, {}, at):
        found.append(_function_call(legacy, at, functions))
    return Turn("model", tuple(found))


def _call(call: Json, at: str) -> Call:
    id_ = need(call, "id", str, at)
    if call.get("type") == "custom":
        custom, inside = need(call, "custom", dict, at), at + "custom."
        text = need(custom, "input", str, inside)
        return Call(id_, need(custom, "name", str, inside), {"input": text}, kind="custom")
    function, inside = need(call, "function", dict, at), at + "function."
    text = may(function, "arguments", str, "", inside)
    given, raw = arguments(text)
    return Call(id_, need(function, "name", str, inside), given, raw, text=text.strip() if raw is None else "")


def _function_call(call: Json, at: str, functions: dict[str, str]) -> Call:
    """The legacy form has no ids: one is made from the place, so it stays the same as the conversation grows."""
    inside = at + "function_call."
    name = need(call, "name", str, inside)
    functions[name] = "call_" + at.split(".")[1]
    return Call(functions[name], name, *arguments(may(call, "arguments", str, "", inside)))


def _tool_result(message: Json, at: str, functions: dict[str, str]) -> Turn:
    return Turn("user", (Result(need(message, "tool_call_id", str, at), _parts(message, at, CONTENT)),))


def _function_result(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """Answers the last call of its function; where the client has cut the call away, one that is not there."""
    name = need(message, "name", str, at)
    return Turn("user", (Result(functions.get(name, f"call_of_{name}"), _parts(message, at, CONTENT)),))


ROLES: Final[dict[str, Callable[[Json, str, dict[str, str]], Turn]]] = {
    "user": _user, "assistant": _model, "system": _instruction, "developer": _instruction,
    "tool": _tool_result, "function": _function_result,
}  # fmt: skip


def _parts(message: Json, at: str, known: Readers) -> tuple[Part, ...]:
    """The parts of `content`: a string, null, or a list of content parts."""
    content = message.get("content")
    if content.__class__ is str:
        return (Text(content),) if content else ()
    found = []
    for n, part in enumerate(objects(message, "content", at)):
        inside = f"{at}content.{n}."
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
    """`image_url` is an object with `url`; some clients send the bare string."""
    if part.get("image_url").__class__ is str:
        url, detail = part["image_url"], ""
    else:
        box, inside = need(part, "image_url", dict, at), at + "image_url."
        url, detail = need(box, "url", str, inside), may(box, "detail", str, "", inside)
    if (inline := data_url(url)) is not None:
        return Image(inline[1], inline[0], detail=detail, at=at[:-1])
    return Image(url=url, detail=detail, at=at[:-1])


def _file(part: Json, at: str) -> Part | None:
    """`file_data` is a data URL, or bare base64."""
    file, inside = need(part, "file", dict, at), at + "file."
    if file.get("file_data") is None and file.get("file_id") is not None:
        raise BadRequest("names an uploaded file, which this gateway can not read; send file_data",
                         param=inside + "file_id")  # fmt: skip
    data, name = need(file, "file_data", str, inside), may(file, "filename", str, "", inside) or "document"
    if (inline := data_url(data)) is not None:
        return Document(name, inline[0], data=inline[1], at=at[:-1])
    if data.lower().startswith(("http:", "https:")):
        return Document(name, url=data, at=at[:-1])
    return Document(name, data=data, at=at[:-1])


def _audio(part: Json, at: str) -> Part | None:
    raise BadRequest("is audio, which no model here can hear; send text", param=at + "input_audio")


TEXTS: Final[Readers] = {"text": _text, "refusal": _refusal}
CONTENT: Final[Readers] = {**TEXTS, "image_url": _image, "file": _file, "input_audio": _audio}
