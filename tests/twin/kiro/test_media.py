"""What the first bytes of a picture tell: kind, and width and height where the header has them."""

import struct

import pytest

from kirogw.twin.kiro.media import kind_of, size_of


def jpeg(*segments):
    return b"\xff\xd8" + b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments)


def webp(kind, data):
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(data)) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


FRAME = struct.pack(">BHHB", 8, 20, 10, 3)  # precision, height, width, components
LOSSLESS = b"\x2f" + struct.pack("<I", (10 - 1) | (20 - 1) << 14)
PICTURES = [
    pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">II", 10, 20), "png", (10, 20), id="png"),
    pytest.param(b"\x89PNG\r\n\x1a\n", "png", (0, 0), id="png, cut"),
    pytest.param(b"GIF87a" + struct.pack("<HH", 10, 20), "gif", (10, 20), id="gif 87"),
    pytest.param(b"GIF89a" + struct.pack("<HH", 10, 20), "gif", (10, 20), id="gif 89"),
    pytest.param(jpeg((0xE0, b"JFIF"), (0xC0, FRAME)), "jpeg", (10, 20), id="jpeg"),
    pytest.param(jpeg((0xC4, bytes(30)), (0xC2, FRAME)), "jpeg", (10, 20), id="progressive jpeg behind a table"),
    pytest.param(jpeg((0xE0, b"JFIF")) + b"\0", "jpeg", (0, 0), id="jpeg without a frame"),
    pytest.param(jpeg((0xE0, b"JFIF")), "jpeg", (0, 0), id="jpeg, cut"),
    pytest.param(webp(b"VP8X", b"\0\0\0\0" + (9).to_bytes(3, "little") + (19).to_bytes(3, "little")), "webp", (10, 20),
                 id="webp, extended"),
    pytest.param(webp(b"VP8L", LOSSLESS), "webp", (10, 20), id="webp, lossless"),
    pytest.param(webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 10, 20)), "webp", (10, 20), id="webp, lossy"),
    pytest.param(b"BM", "", (0, 0), id="bmp"),
    pytest.param(b"", "", (0, 0), id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "size"), PICTURES)
def test_pictures(data, kind, size):
    assert (kind_of(data), size_of(data)) == (kind, size)
