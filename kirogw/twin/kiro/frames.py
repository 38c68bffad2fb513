"""AWS event stream, the writing side: an event to the bytes of one frame.

A frame, big-endian: total u32, headers length u32, CRC-32 of those 8 bytes, headers, payload, CRC-32 of all before.
Written from the format's table, apart from the product's decoder: a mistake shared by both would stay unseen.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from kirogw.wire import Json

STRING: Final = 7  # the only type of header that Kiro sends


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame. All headers are of type string."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return body + struct.pack(">I", crc32(body))


def event(kind: str, payload: Json) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, dump(payload))


def exception(kind: str, payload: Json) -> bytes:
    """A modelled failure in mid-stream, such as ThrottlingException."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, dump(payload))


def error(code: str, message: str) -> bytes:
    """An unmodelled failure in mid-stream: all in the headers, no payload."""
    return encode({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def dump(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", STRING, len(text)) + text


def flip(frame: bytes, where: str) -> bytes:
    """The same frame with one bit wrong. `where` is a key of PLACES."""
    place = PLACES[where](frame)
    return frame[:place] + bytes((frame[place] ^ 1,)) + frame[place + 1 :]


def _payload_place(frame: bytes) -> int:
    """The middle of the payload; of a frame without payload, its checksum."""
    start = 12 + int(struct.unpack_from(">I", frame, 4)[0])
    return (start + len(frame) - 4) // 2 if start < len(frame) - 4 else len(frame) - 4


PLACES: Final[dict[str, Callable[[bytes], int]]] = {
    "prelude": lambda frame: 8,
    "length": lambda frame: 2,  # a claim of 256 bytes more or less: a decoder that believes it waits for ever
    "header": lambda frame: min(13, len(frame) - 1),
    "payload": _payload_place,
    "message": lambda frame: len(frame) - 1,
}
