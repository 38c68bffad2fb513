"""Pictures and documents as rules find them: made good where they stand, or told as text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from kirogw.conversation import Conversation, Document, Image, Part, Result, Text, Turn
from kirogw.dialects import touch
from kirogw.dialects.pictures import kind_of, size_of
from kirogw.dialects.provider import Model
from kirogw.errors import BadRequest

_TEXTUAL: Final = ("application/json", "application/xml", "application/yaml", "application/javascript")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one picture: `size` in bytes, `side` in pixels (0: none); `who` sets them, for people."""

    who: str
    size: int
    side: int = 0


Change: TypeAlias = Callable[[Part, str], Part]


def each(conversation: Conversation, change: Change) -> Conversation:
    """`change` for each part, also inside results; it is told the part's path in the client's request.

    What it refuses is an error only behind the model's last turn. In older turns it becomes text: the client was told
    once, and if it kept the part all the same, its session would end here.
    """
    if not any(_holds_media(turn) for turn in conversation.turns):
        return conversation
    answered = max((n for n, turn in enumerate(conversation.turns) if turn.role == "model"), default=-1)
    fresh = []
    for n, turn in enumerate(conversation.turns):
        careful = change if n > answered else _excused(change)
        parts: list[Part] = []
        for m, part in enumerate(turn.parts):
            if type(part) is Result:
                part = _inside(part, careful, f"messages.{n}.content.{m}")
            parts.append(careful(part, getattr(part, "at", "") or f"messages.{n}.content.{m}"))
        fresh.append(touch.with_parts(turn, parts))
    return touch.with_turns(conversation, fresh)


def _excused(change: Change) -> Change:
    def careful(part: Part, at: str) -> Part:
        try:
            return change(part, at)
        except BadRequest as error:
            return Text(f"[Left out of an earlier message: {error}]")

    return careful


def _inside(result: Result, change: Change, at: str) -> Result:
    fresh = tuple(
        change(inner, getattr(inner, "at", "") or f"{at}.content.{k}") for k, inner in enumerate(result.parts)
    )  # fmt: skip
    return result if all(map(touch.same, fresh, result.parts)) else Result(result.call, fresh, result.failed)


def _holds_media(turn: Turn) -> bool:
    for part in turn.parts:
        kind = type(part)
        if kind is Image or kind is Document:
            return True
        if kind is Result and any(type(inner) is not Text for inner in part.parts):  # type: ignore[union-attr]
            return True
    return False


def picture(part: Part, at: str, model: Model, limits: Limits) -> Part:
    """A picture as its bytes say that it is; what was not fetched, or what the model can not see, becomes text. Raises
    BadRequest for one that can not be read. Every other part stays.
    """
    if not isinstance(part, Image):
        return part
    if not part.data and part.url:
        return Text(f"[An image that could not be loaded: {part.url}]")
    if not model.images:
        return Text(f"[An image. The model {model.id} takes no images.]")
    base, content = decoded(part.data, "image", at)
    kind = kind_of(content)
    if not kind:
        raise BadRequest("the image is neither PNG, JPEG, GIF nor WebP; convert it to one of them", param=at)
    if len(content) > limits.size:
        raise BadRequest(f"the image has {len(content):,} bytes; {limits.who} takes up to {limits.size:,}", param=at)
    if limits.side and max(size := size_of(content)) > limits.side:
        most = f"{limits.side} x {limits.side}"
        raise BadRequest(f"the image is {size[0]} x {size[1]} pixels; {limits.who} takes up to {most}", param=at)
    media = f"image/{kind}"
    return part if base is part.data and media == part.media else replace(part, data=base, media=media)


def decoded(data: str, what: str, at: str) -> tuple[str, bytes]:
    """The data as strict base64, `data` itself where it is, and its bytes."""
    try:
        return data, binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        pass
    head, comma, tail = data[:100].partition(",")
    body = tail + data[100:] if comma and head.startswith("data:") else data
    body = "".join(body.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        content = binascii.a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    except ValueError:
        raise BadRequest(f"the {what} is no valid base64", param=at) from None
    return base64.b64encode(content).decode(), content


def in_words(part: Document, content: bytes, model: Model) -> Text | None:
    """The document as its text, or why there is none. None where only its provider can say what it lacks."""
    if text := part.text or _as_text(part, content):
        return told(part, text)
    if not model.images:
        return Text(f"[A document, {part.name}. The model {model.id} takes no documents.]")
    if part.url:
        return Text(f"[A document that could not be loaded: {part.name} {part.url}]")
    return None


def _as_text(part: Document, content: bytes) -> str:
    """The text of a file that is nothing else: source code, JSON."""
    if not part.media.startswith("text/") and part.media not in _TEXTUAL:
        return ""
    try:
        return content.decode().replace("\0", "")
    except UnicodeDecodeError:
        return ""


def told(part: Document, text: str) -> Text:
    return Text(f'<document name="{part.name}">\n{text}\n</document>')
