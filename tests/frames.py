"""Event-stream frames, written by the format's own table and not with our decoder.

total length u32 | headers length u32 | CRC-32 of those | headers | payload | CRC-32 of all before; a header is
name length u8 | name | type u8 | value. All big-endian.
"""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from datetime import datetime
from typing import Any


def frame(headers: bytes = b"", payload: bytes = b"") -> bytes:
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    most = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return most + struct.pack(">I", zlib.crc32(most))


def header(name: str, kind: int, value: Any = None) -> bytes:
    return struct.pack(">B", len(name.encode())) + name.encode() + struct.pack(">B", kind) + _value(kind, value)


def _value(kind: int, value: Any) -> bytes:
    fixed = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}
    if kind in fixed:
        return struct.pack(fixed[kind], int(value.timestamp() * 1000) if isinstance(value, datetime) else value)
    if kind in (6, 7):
        data = value.encode() if isinstance(value, str) else value
        return struct.pack(">H", len(data)) + data
    if kind == 9:
        return value.bytes if isinstance(value, uuid.UUID) else value
    return b""


def strings(**values: str) -> bytes:
    """Headers of type string; `event_type` is written `:event-type`."""
    return b"".join(header(":" + name.replace("_", "-"), 7, value) for name, value in values.items())


def event(type_: str, body: Any = None) -> bytes:
    """An event as Kiro frames it; `body` is written as JSON unless it is bytes."""
    return frame(
        strings(event_type=type_, content_type="application/json", message_type="event"), _payload(body),
    )  # fmt: skip


def exception(type_: str, body: Any = None) -> bytes:
    return frame(
        strings(exception_type=type_, content_type="application/json", message_type="exception"), _payload(body),
    )  # fmt: skip


def error(code: str, message: str) -> bytes:
    return frame(strings(message_type="error", error_code=code, error_message=message))


def _payload(body: Any) -> bytes:
    if body is None:
        body = {}
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
