"""Content parts of the Responses API, in both directions: texts, pictures, files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from kirogw.conversation import Document, Image, Part, Text
from kirogw.dialects.contents import Readers, picture, text_part
from kirogw.dialects.fields import may, need, no_files
from kirogw.dialects.openai_parts import audio_part, document, refusal_part
from kirogw.wire import Json


def _image(part: Json, at: str) -> tuple[Part, ...]:
    """`image_url` is a string; some clients send an object as in Chat Completions."""
    if part.get("image_url") is None and part.get("file_id") is not None:
        raise no_files(at)
    if part.get("image_url").__class__ is dict:
        url = need(part["image_url"], "url", str, at + "image_url.")
    else:
        url = need(part, "image_url", str, at)
    return (picture(url, at, may(part, "detail", str, "", at)),)


def _file(part: Json, at: str) -> tuple[Part, ...]:
    name = may(part, "filename", str, "", at) or "document"
    if part.get("file_data") is None:
        if url := may(part, "file_url", str, "", at):
            return (Document(name, url=url, at=at[:-1]),)
        if part.get("file_id") is not None:
            raise no_files(at)
    return (document(name, need(part, "file_data", str, at), at),)


TEXTS: Final[Readers] = {
    "input_text": text_part, "output_text": text_part, "text": text_part, "summary_text": text_part,
    "refusal": refusal_part,
}  # fmt: skip
CONTENT: Final[Readers] = {
    **TEXTS, "input_image": _image, "computer_screenshot": _image, "input_file": _file, "input_audio": audio_part,
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
