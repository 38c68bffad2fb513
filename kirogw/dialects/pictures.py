"""What a picture is, by its first bytes, and how large. Sources: the PNG, GIF89a, JFIF and WebP container formats."""

from __future__ import annotations

import struct
from typing import Final

SIDE: Final = 8000  # pixels; Kiro takes no longer side (kiro 3.6)
_MAGIC: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
_NO_FRAME: Final = frozenset({0xC4, 0xC8, 0xCC})  # among JPEG's C0 to CF, which begin a frame


def kind_of(content: bytes) -> str:
    """png, jpeg, gif or webp; "" for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), "")


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height in pixels; zeros where the header does not say."""
    try:
        return _SIZES[kind_of(content)](content)
    except (struct.error, IndexError, KeyError):
        return 0, 0


def _png(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _gif(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _jpeg(content: bytes) -> tuple[int, int]:
    at = 2
    while content[at] == 0xFF:
        mark = content[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 1 if mark == 0xFF else 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return 0, 0


def _webp(content: bytes) -> tuple[int, int]:
    if content[12:16] == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if content[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF


_SIZES: Final = {"png": _png, "gif": _gif, "jpeg": _jpeg, "webp": _webp}
