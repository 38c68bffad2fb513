"""Images and documents: what the bytes are, and the rows of the table of refusals that look at them."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from kirogw.twin.ask import obj, rows, text
from kirogw.twin.kiro.ask import Ask
from kirogw.wire import Json

MAGIC: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
FORMATS: Final = ("png", "jpeg", "gif", "webp")
IMAGES: Final = 10
IMAGE_BYTES: Final = 10_000_000
SIDE: Final = 8000
DOCUMENTS: Final = 5
DOCUMENT_FORMATS: Final = ("csv", "doc", "docx", "html", "md", "pdf", "txt", "xls", "xlsx")
DOCUMENT_BYTES: Final = 4_500_000  # Bedrock's limit
FRAMES_OF_JPEG: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def kind_of(data: bytes) -> str:
    """png, jpeg, gif, webp by the first bytes, "" for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in MAGIC if data.startswith(magic)), "")


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height, (0, 0) where the header does not tell."""
    reader = {"png": _png, "gif": _gif, "jpeg": _jpeg, "webp": _webp}.get(kind_of(data))
    try:
        return reader(data) if reader else (0, 0)
    except (struct.error, IndexError):
        return 0, 0


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    while data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        if marker in FRAMES_OF_JPEG:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 + length
    return 0, 0


def _webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _decoded(item: Json) -> bytes | None:
    """The bytes of an image or document, None when they are no base64."""
    try:
        return base64.b64decode(obj(item.get("source")).get("bytes", ""), validate=True) or None
    except (binascii.Error, TypeError, ValueError):
        return None


def _images(ask: Ask) -> Iterator[Json]:
    return (image for turn in ask.turns for image in turn.images)


def _documents(ask: Ask) -> list[Json]:
    return [document for turn in ask.turns for document in turn.documents]


def _bytes(ask: Ask) -> Iterator[tuple[Json, bytes]]:
    return ((image, _decoded(image) or b"") for image in _images(ask))


def _too_large(ask: Ask) -> bool:
    return any(max(size_of(data)) > SIDE for _, data in _bytes(ask))


def _blind(ask: Ask) -> bool:
    """The model takes no pictures; an unknown model is another row's business."""
    kinds = rows(ask.model.get("supportedInputTypes"))
    return bool(kinds) and "IMAGE" not in kinds and any(True for _ in _images(ask))


def _same_name(ask: Ask) -> bool:
    names = [document.get("name") for document in _documents(ask)]
    return len(names) != len(set(map(str, names)))


def _nameless(ask: Ask) -> bool:
    return any(not text(document.get("name")) or document.get("format") not in DOCUMENT_FORMATS
               or _decoded(document) is None for document in _documents(ask))  # fmt: skip


INVALID: Final = "REQUEST_BODY_INVALID"
IMPROPER: Final = "Improperly formed request."

# name, what it refuses, why, message, reason
ROWS: Final[tuple[tuple[str, Callable[[Ask], bool], str, str, str], ...]] = (
    ("image_count", lambda ask: len(list(_images(ask))) > IMAGES, "3.6: 10 a request",
     "Too many images attached. Maximum is 10 per request.", "IMAGE_COUNT_EXCEEDED"),
    ("image_format", lambda ask: any(image.get("format") not in FORMATS for image in _images(ask)), "3.6: jpg is none",
     "The image format is not supported.", "IMAGE_FORMAT_UNSUPPORTED"),
    ("image_base64", lambda ask: any(_decoded(image) is None for image in _images(ask)), "3.10", IMPROPER, INVALID),
    ("image_mime", lambda ask: any(kind_of(data) != image.get("format") for image, data in _bytes(ask)),
     "3.6: the first bytes decide", "The image format does not match its content.", "IMAGE_MIME_MISMATCH"),
    ("image_bytes", lambda ask: any(len(data) > IMAGE_BYTES for _, data in _bytes(ask)), "3.6: 10 MB",
     "The image is too large.", "IMAGE_SIZE_EXCEEDED"),
    ("image_side", _too_large, "3.6: 8000 x 8000", "The image dimensions are too large.", "IMAGE_DIMENSION_EXCEEDED"),
    ("image_model", _blind, "3.6: by the model's supportedInputTypes",
     "Bedrock error message: This model does not support image input.", INVALID),
    ("document_count", lambda ask: len(_documents(ask)) > DOCUMENTS, "3.6: 5 a conversation",
     "Too many documents attached. Maximum is 5 per conversation.", "DOCUMENT_COUNT_EXCEEDED"),
    ("document_shape", _nameless, "3.6", IMPROPER, INVALID),
    ("document_name", _same_name, "3.6", "Document names must be unique.", "DOCUMENT_DUPLICATE_NAME"),
    ("document_bytes", lambda ask: any(len(_decoded(d) or b"") > DOCUMENT_BYTES for d in _documents(ask)), "5.2",
     "The document is too large.", "DOCUMENT_SIZE_EXCEEDED"),
    ("document_model", lambda ask: bool(_documents(ask)) and bool(ask.model) and not _reads_documents(ask),
     "3.6: some models refuse", "The model does not support documents.", "DOCUMENT_MODEL_NOT_SUPPORTED"),
)  # fmt: skip


def _reads_documents(ask: Ask) -> bool:
    """Which models do is not published; those that see are taken to read."""
    kinds: Any = ask.model.get("supportedInputTypes")
    return not kinds or "IMAGE" in kinds
