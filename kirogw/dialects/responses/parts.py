"""Content parts of the Responses API, in both directions: texts, pictures, files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kirogw.conversation import Document, Image, Part, Text
from kirogw.dialects.fields import data_url, may, need, objects, pick
from kirogw.errors import BadRequest
from kirogw.wire import Json

Readers: TypeAlias = dict[str, Callable[[Json, str], Part | None]]


def content(box: Json, name: str, at: str, known: Readers) -> tuple[Part, ...]:
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
    detail = may(part, "detail", str, "", at)
    if (inline := data_url(url)) is not None:
        return Image(inline[1], inline[0], detail=detail, at=at[:-1])
    return Image(url=url, detail=detail, at=at[:-1])


def _file(part: Json, at: str) -> Part | None:
    """`file_data` is a data URL, or bare base64."""
    name = may(part, "filename", str, "", at) or "document"
    if part.get("file_data") is None:
        if url := may(part, "file_url", str, "", at):
            return Document(name, url=url, at=at[:-1])
        if part.get("file_id") is not None:
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

def written_part(part: Part) -> Json:
    return PARTS[type(part)](part)


def _written_image(image: Image) -> Json:
    url = f"data:{image.media or media_of(image.data)};base64,{image.data}" if image.data else image.url
    detail = {"detail": image.detail} if image.detail else {}
    return {"type": "input_image", "image_url": url, **detail}


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
