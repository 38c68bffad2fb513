"""The content of a message, as all APIs have it: a string, or a list of parts, each of which is read by its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kirogw.conversation import Image, Part, Text
from kirogw.dialects.fields import data_url, need, objects, pick
from kirogw.wire import Json

Readers: TypeAlias = dict[str, Callable[[Json, str], tuple[Part, ...]]]
"""By the kind of a part: what it is to us, which may be nothing, or several parts."""


def content(box: Json, name: str, at: str, known: Readers) -> tuple[Part, ...]:
    """The parts of the member `name`, which may be null."""
    value = box.get(name)
    if value.__class__ is str:
        return (Text(value),) if value else ()
    found: list[Part] = []
    for n, part in enumerate(objects(box, name, at)):
        inside = f"{at}{name}.{n}."
        found += pick(part, "type", known, inside)(part, inside)
    return tuple(found)


def text_part(part: Json, at: str) -> tuple[Part, ...]:
    text = need(part, "text", str, at)
    return (Text(text),) if text else ()


def picture(url: str, at: str, detail: str = "") -> Image:
    if (inline := data_url(url)) is not None:
        return Image(inline[1], inline[0], detail=detail, at=at[:-1])
    return Image(url=url, detail=detail, at=at[:-1])
