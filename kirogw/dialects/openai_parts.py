"""Pieces of a request that OpenAI's APIs have in common: the parts of a message, stop sequences, the form of the
answer, the choice of tools.

Each API names its own kinds of parts, and puts some of their members elsewhere.
"""

from __future__ import annotations

from typing import Final, Literal

from kirogw.conversation import Document, Format, Part, Text
from kirogw.dialects.fields import data_url, flag, may, need, stop_strings
from kirogw.errors import BadRequest
from kirogw.wire import Json

MODES: Final[dict[str, Literal["none", "auto", "any"]]] = {"none": "none", "auto": "auto", "required": "any"}
"""The words of a choice of tools, in ours."""


def refusal_part(part: Json, at: str) -> tuple[Part, ...]:
    words = need(part, "refusal", str, at)
    return (Text(words),) if words else ()


def audio_part(part: Json, at: str) -> tuple[Part, ...]:
    raise BadRequest("is audio, which no model here can hear; send text", param=at + "input_audio")


def document(name: str, data: str, at: str) -> Document:
    """`data` is a data URL, or bare base64."""
    if (inline := data_url(data)) is not None:
        return Document(name, inline[0], data=inline[1], at=at[:-1])
    return Document(name, data=data, at=at[:-1])


def stops(body: Json) -> tuple[str, ...]:
    """`stop`: a string, or a list of them."""
    stop = body.get("stop")
    return stop_strings({"stop": [stop]} if stop.__class__ is str else body, "stop")


def schema_format(given: Json, at: str) -> Format:
    """Of the kind `json_schema`. The description goes into the schema, where the model reads it."""
    schema, description = may(given, "schema", dict, {}, at), may(given, "description", str, "", at)
    if description:
        schema = {"description": description, **schema}
    return Format(schema or None, may(given, "name", str, "", at), flag(given, "strict", at), at + "schema")
