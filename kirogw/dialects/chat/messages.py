"""OpenAI's messages to our turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kirogw.conversation import Call, Document, Part, Result, Text, Thought, Turn
from kirogw.dialects.contents import Readers, content, picture, text_part
from kirogw.dialects.fields import arguments, may, need, objects, pick
from kirogw.dialects.openai_parts import audio_part, document, refusal_part
from kirogw.errors import BadRequest
from kirogw.wire import Json

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
    system = [part.text for n in range(first) for part in content(messages[n], "content", f"messages.{n}.", TEXTS)
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
    return Turn("system", content(message, "content", at, TEXTS))


def _user(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """`name` tells the people of one conversation apart, so the model gets it."""
    found = content(message, "content", at, CONTENT)
    name = may(message, "name", str, "", at)
    return Turn("user", (Text(f"{name} says:"), *found) if name else found)


def _model(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """Thinking, as clients send it back that were shown `reasoning_content`, then text, then calls."""
    found: list[Part] = []
    if thought := may(message, "reasoning_content", str, "", at) or may(message, "reasoning", str, "", at):
        found.append(Thought(thought))
    found += content(message, "content", at, TEXTS)
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
    return Turn("user", (Result(need(message, "tool_call_id", str, at), content(message, "content", at, CONTENT)),))


def _function_result(message: Json, at: str, functions: dict[str, str]) -> Turn:
    """Answers the last call of its function; where the client has cut the call away, one that is not there."""
    name = need(message, "name", str, at)
    return Turn("user", (Result(functions.get(name, f"call_of_{name}"), content(message, "content", at, CONTENT)),))


ROLES: Final[dict[str, Callable[[Json, str, dict[str, str]], Turn]]] = {
    "user": _user, "assistant": _model, "system": _instruction, "developer": _instruction,
    "tool": _tool_result, "function": _function_result,
}  # fmt: skip


def _image(part: Json, at: str) -> tuple[Part, ...]:
    """`image_url` is an object with `url`; some clients send the bare string."""
    if part.get("image_url").__class__ is str:
        url, detail = part["image_url"], ""
    else:
        box, inside = need(part, "image_url", dict, at), at + "image_url."
        url, detail = need(box, "url", str, inside), may(box, "detail", str, "", inside)
    return (picture(url, at, detail),)


def _file(part: Json, at: str) -> tuple[Part, ...]:
    """Some clients put the address of a file where its content belongs."""
    file, inside = need(part, "file", dict, at), at + "file."
    if file.get("file_data") is None and file.get("file_id") is not None:
        raise BadRequest("names an uploaded file, which this gateway can not read; send file_data",
                         param=inside + "file_id")  # fmt: skip
    data, name = need(file, "file_data", str, inside), may(file, "filename", str, "", inside) or "document"
    if data[:6].lower().startswith(("http:", "https:")):
        return (Document(name, url=data, at=at[:-1]),)
    return (document(name, data, at),)


TEXTS: Final[Readers] = {"text": text_part, "refusal": refusal_part}
CONTENT: Final[Readers] = {**TEXTS, "image_url": _image, "file": _file, "input_audio": audio_part}
