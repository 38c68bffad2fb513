"""AWS event stream: bytes in, messages out. Does no I/O.

A frame, big-endian: total length u32, headers length u32, CRC-32 of those 8 bytes, headers, payload, CRC-32 of all
before. A header: name length u8, name, type u8, value. The prelude is checked before its length is believed, because a
damaged length would otherwise stall the stream.

Source: Smithy, "Amazon Event Stream"; the limits are those of AWS's own clients.

A stream repeats few preludes and heads (a head is the prelude and the headers), so both are looked up by their bytes;
what is found there has passed its check, and the checksum goes on from where it stood after the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, TypeAlias
from zlib import crc32

MAX_FRAME: Final = 16 * 1024 * 1024
MAX_HEADERS: Final = 128 * 1024
PRELUDE: Final = 12
SMALLEST: Final = 16

Value: TypeAlias = bool | int | bytes | str
"""A timestamp is an int, milliseconds since 1970; a UUID its 16 bytes."""


class DamagedStream(Exception):
    """The bytes are no event stream any more: nothing after them can be believed."""


class StreamCut(Exception):
    """The bytes ended inside a frame."""


class Message:
    """One frame. `kind` is its :message-type (event, exception, error), `type` its :event-type, :exception-type or
    :error-code; both are "" where the frame has none. The headers are shared between frames: do not change them.
    """

    __slots__ = ("headers", "kind", "payload", "type")

    def __init__(self, kind: str, type: str, payload: bytes, headers: Mapping[str, Value]) -> None:
        self.kind = kind
        self.type = type
        self.payload = payload
        self.headers = headers

    def __repr__(self) -> str:
        return f"Message({self.kind!r}, {self.type!r}, {self.payload!r})"


Head: TypeAlias = tuple[str, str, dict[str, Value], int]  # kind, type, headers, the checksum so far

_CACHED: Final = 4096  # entries of each cache; a stream of text has a prelude for each length of a piece
_CACHED_HEAD: Final = 512  # bytes; a longer head is parsed anew each time
_preludes: Final[dict[bytes, tuple[int, int]]] = {}
_heads: Final[dict[bytes, Head]] = {}


class Decoder:
    """Takes the stream in any cut and gives back the messages that are whole."""

    __slots__ = ("_held", "_needed", "damage")

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of a frame
        self._needed = 0  # no use to look before so many bytes are held
        self.damage = ""  # what is wrong with the bytes after the messages given so far

    def receive(self, data: bytes) -> list[Message]:
        """The messages completed by `data`, in order.

        Damage behind whole messages is told by `damage` at once, and raised as DamagedStream by the next call of
        `receive` or `close`; damage with no message before it in `data` is raised here.
        """
        if self.damage:
            raise DamagedStream(self.damage)
        if self._needed:
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held.clear()
        messages: list[Message] = []
        try:
            self._walk(data, messages)
        except DamagedStream as error:
            self.damage = str(error)
            if not messages:
                raise
        return messages

    def _walk(self, data: bytes, messages: list[Message]) -> None:
        at, end, needed = 0, len(data), PRELUDE
        while end - at >= PRELUDE:
            prelude = data[at : at + PRELUDE]
            total, head_length = _preludes.get(prelude) or _check_prelude(prelude)
            after = at + total
            if after > end:
                needed = total
                break
            body, tail = at + head_length, after - 4
            head = data[at:body]
            kind, type, headers, checksum = _heads.get(head) or _parse_head(head)
            payload = data[body:tail]
            if crc32(payload, checksum) != int.from_bytes(data[tail:after], "big"):
                raise DamagedStream("a frame's checksum is wrong")
            messages.append(Message(kind, type, payload, headers))
            at = after
        if at < end:
            self._held += data[at:]
            self._needed = needed
        else:
            self._needed = 0

    def close(self) -> None:
        """Call when the bytes end. Raises DamagedStream for damage not raised yet, StreamCut inside a frame."""
        if self.damage:
            raise DamagedStream(self.damage)
        if self._held:
            raise StreamCut(f"the stream ended {len(self._held)} bytes into a frame")


_UINTS: Final = Struct(">III")


def _check_prelude(prelude: bytes) -> tuple[int, int]:
    """The length of the frame, and of its head."""
    total, headers, checksum = _UINTS.unpack(prelude)
    if crc32(prelude[:8]) != checksum:
        raise DamagedStream("the checksum of a frame's lengths is wrong")
    if not SMALLEST <= total <= MAX_FRAME:
        raise DamagedStream(f"a frame claims to have {total} bytes")
    if headers > MAX_HEADERS or headers > total - SMALLEST:
        raise DamagedStream(f"a frame of {total} bytes claims to have {headers} bytes of headers")
    if len(_preludes) >= _CACHED:
        _preludes.clear()
    _preludes[prelude] = found = total, PRELUDE + headers
    return found


_TYPE: Final = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}


def _parse_head(head: bytes) -> Head:
    headers = _parse_headers(head)
    kind = _text(headers, ":message-type")
    found: Head = kind, _text(headers, _TYPE.get(kind, "")), headers, crc32(head)
    # Damaged headers that still parse are kept under their own bytes: the checksum of their frame tells.
    if len(head) <= _CACHED_HEAD:
        if len(_heads) >= _CACHED:
            _heads.clear()
        _heads[head] = found
    return found


def _text(headers: dict[str, Value], name: str) -> str:
    value = headers.get(name, "")
    return value if isinstance(value, str) else ""


def _parse_headers(head: bytes) -> dict[str, Value]:
    headers: dict[str, Value] = {}
    at = PRELUDE
    try:
        while at < len(head):
            name_end = at + 1 + head[at]
            name = head[at + 1 : name_end].decode()
            value, at = VALUES[head[name_end]](head, name_end + 1)
            if at > len(head) or name in headers:
                raise DamagedStream(f"the header {name[:64]!r} is cut or there twice")
            headers[name] = value
    except (IndexError, ValueError) as error:
        raise DamagedStream("a frame's headers can not be read") from error
    return headers


Parse: TypeAlias = Callable[[bytes, int], tuple[Value, int]]


def _constant(value: bool) -> Parse:
    return lambda head, at: (value, at)


def _signed(size: int) -> Parse:
    return lambda head, at: (int.from_bytes(head[at : at + size], "big", signed=True), at + size)


def _counted(head: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(head[at : at + 2], "big")
    return head[at + 2 : end], end


def _string(head: bytes, at: int) -> tuple[str, int]:
    value, end = _counted(head, at)
    return value.decode(), end


def _uuid(head: bytes, at: int) -> tuple[bytes, int]:
    return head[at : at + 16], at + 16


VALUES: Final[tuple[Parse, ...]] = (
    _constant(True),  # 0
    _constant(False),  # 1
    _signed(1),  # 2 byte
    _signed(2),  # 3 short
    _signed(4),  # 4 integer
    _signed(8),  # 5 long
    _counted,  # 6 byte array
    _string,  # 7
    _signed(8),  # 8 timestamp
    _uuid,  # 9
)
