import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.pictures import kind_of, size_of
from tests.dialects.conversations import png

MARK = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
FRAME = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 30, 40)
TABLE = b"\xff\xc4" + struct.pack(">H", 4) + b"ab"  # among the frames' numbers, and no frame


def webp(kind, rest):
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + rest


ROWS = [
    pytest.param(png(40, 30), "png", (40, 30), id="PNG"),
    pytest.param(b"GIF87a" + struct.pack("<HH", 40, 30), "gif", (40, 30), id="GIF 87"),
    pytest.param(b"GIF89a" + struct.pack("<HH", 40, 30), "gif", (40, 30), id="GIF 89"),
    pytest.param(b"\xff\xd8" + MARK + TABLE + b"\xff" + FRAME, "jpeg", (40, 30), id="JPEG with fill bytes"),
    pytest.param(b"\xff\xd8" + MARK + b"\0\0", "jpeg", (0, 0), id="JPEG that leads nowhere"),
    pytest.param(webp(b"VP8X", struct.pack("<I", 0) + b"\x27\0\0\x1d\0\0"), "webp", (40, 30), id="WebP, extended"),
    pytest.param(webp(b"VP8L", b"\x2f" + struct.pack("<I", 39 | 29 << 14)), "webp", (40, 30), id="WebP, lossless"),
    pytest.param(webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 40, 30)), "webp", (40, 30), id="WebP, lossy"),
    pytest.param(b"\x89PNG\r\n\x1a\n", "png", (0, 0), id="cut PNG"),
    pytest.param(b"RIFF\0\0\0\0WAVE", "", (0, 0), id="sound"),
    pytest.param(b"", "", (0, 0), id="nothing"),
]


@pytest.mark.parametrize(("content", "kind", "size"), ROWS)
def test_kind_and_size(content, kind, size):
    assert (kind_of(content), size_of(content)) == (kind, size)


@given(st.sampled_from([row.values[0] for row in ROWS]), st.binary(max_size=40))
def test_any_bytes_have_a_size(head, rest):
    width, height = size_of(head + rest)
    assert width >= 0 <= height
