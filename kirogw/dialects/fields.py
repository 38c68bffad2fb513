"""Reading a client's JSON, with the path of the fault: `messages.3.content.0.text`.

Unknown members pass: clients send what nobody has heard of, and a strict reader breaks them one by one. A null counts
as absent. `at` is the path of the object that is read, with its dot (`messages.3.`), or empty at the root. The words of
an error go after the path: "messages.3.role: is required".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import orjson

from kirogw.errors import BadRequest
from kirogw.wire import Json

T = TypeVar("T")

LONGEST_NAME: Final = 256  # characters, as Anthropic has it
WORDS: Final = {str: "a string", int: "an integer", bool: "true or false", list: "an array", dict: "an object"}


def need(box: Json, name: str, kind: type[T], at: str = "") -> T:
    """The member `name`, which must be there."""
    value: T = box.get(name)  # type: ignore[assignment]
    if value.__class__ is kind:  # exact: JSON knows no subclasses, and True is no integer
        return value
    raise BadRequest(f"must be {WORDS[kind]}" if name in box else "is required", param=at + name)


def may(box: Json, name: str, kind: type[T], default: T, at: str = "") -> T:
    """The member `name`, or `default` where it is absent or null."""
    value: T | None = box.get(name)
    if value.__class__ is kind:
        return value
    if value is None:
        return default
    raise BadRequest(f"must be {WORDS[kind]}", param=at + name)


def flag(box: Json, name: str, at: str = "") -> bool | None:
    """True or false, None where it is absent or null."""
    return may(box, name, bool, False, at) if box.get(name) is not None else None


def model_name(body: Json) -> str:
    """The member `model`. It stands in answers and in the log, so it is one short line."""
    name = need(body, "model", str)
    if name.strip() and len(name) <= LONGEST_NAME and name.isprintable():
        return name
    raise BadRequest(f"must be the name of a model, up to {LONGEST_NAME} characters", param="model")


def count(box: Json, name: str, at: str = "", least: int = 1) -> int | None:
    """A whole number from `least` up, or None. 3.0 is 3: some clients' JSON libraries write whole numbers so."""
    value = box.get(name)
    if value is None:
        return None
    if value.__class__ is float and value.is_integer():
        value = int(value)
    if value.__class__ is not int:
        raise BadRequest("must be an integer", param=at + name)
    if value < least:
        raise BadRequest(f"must be at least {least}", param=at + name)
    return int(value)


def choice(box: Json, name: str, known: Iterable[str], at: str = "") -> str:
    """The member `name`, which must be one of the words `known`."""
    value = need(box, name, str, at)
    if value in known:
        return value
    raise BadRequest(f"must be one of {', '.join(known)}, not {value[:40]!r}", param=at + name)


def pick(box: Json, name: str, table: Mapping[str, T], at: str = "") -> T:
    """What `table` has for the word in the member `name`."""
    value = box.get(name)
    if value.__class__ is str and value in table:
        return table[value]
    return table[choice(box, name, table, at)]  # raises


def objects(box: Json, name: str, at: str = "") -> list[Json]:
    """The list of objects `name`; empty where it is absent or null."""
    values = may(box, name, list, [], at)
    for n, value in enumerate(values):
        if value.__class__ is not dict:
            raise BadRequest("must be an object", param=f"{at}{name}.{n}")
    return values


def strings(box: Json, name: str, at: str = "") -> tuple[str, ...]:
    """The list of strings `name`; empty where it is absent or null."""
    values = may(box, name, list, [], at)
    for n, value in enumerate(values):
        if value.__class__ is not str:
            raise BadRequest("must be a string", param=f"{at}{name}.{n}")
    return tuple(values)


def stop_strings(box: Json, name: str) -> tuple[str, ...]:
    """Stop sequences. An empty one would stop every answer before its first letter."""
    stops = strings(box, name)
    for n, stop in enumerate(stops):
        if not stop:
            raise BadRequest("must not be empty", param=f"{name}.{n}")
    return stops


def data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a `data:` URL in base64, None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return head.split(";", 1)[0], data


def no_files(at: str) -> BadRequest:
    """For what is only an address into the storage of the API's own company."""
    return BadRequest("names an uploaded file, which this gateway can not read; send its content", param=at + "file_id")


def arguments(text: str) -> tuple[Json, str | None]:
    """(input, raw) of a call's arguments in JSON: the object, or the text as it came if it is none."""
    if not text.strip():
        return {}, None
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}, text
    return (value, None) if value.__class__ is dict else ({}, text)


def compact(value: object) -> str:
    """`value` as JSON, for the model to read."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # halves of surrogate pairs, which a rule takes out; or more levels than orjson writes
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise BadRequest("the request is nested too deeply; flatten it") from None


def options(body: Json, known: Mapping[str, type]) -> dict[str, Any]:
    """The members that are for the provider alone, where they are what they must be; a number may be whole."""
    return {
        name: body[name] for name, kind in known.items()
        if body.get(name).__class__ is kind or (kind is float and body.get(name).__class__ is int)
    }  # fmt: skip


Refusal: TypeAlias = tuple[Callable[[Any], bool], str]
"""Which values of a member are fine, and the words for all others."""


def refuse(body: Json, refused: Mapping[str, Refusal]) -> None:
    """Raises BadRequest for the first member that would leave the client waiting for something that never comes."""
    for name, (takes, why) in refused.items():
        if (value := body.get(name)) is not None and not takes(value):
            raise BadRequest(why, param=name)


def nothing(value: Any) -> bool:
    """A value that asks for nothing: false, zero, empty."""
    return not value
