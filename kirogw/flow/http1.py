"""One HTTP/1.1 response: bytes in, body out. Does no I/O.

Reads what RFC 9112 calls a message: interim responses, the head, a body framed by its length, by chunks or by the end
of the connection, trailers. A content coding of gzip or deflate is undone, any other is left as it is. The head's lines
may end in a bare LF, as most readers allow; what else is not plainly right is refused, because bytes that two readers
frame differently can be made to carry somebody else's answer.

A read of a slow stream holds one small chunk, so that case is tried first.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Final

MAX_HEAD: Final = 64 * 1024
MAX_LINE: Final = 4096  # a chunk's length and its extensions
MAX_TRAILERS: Final = 8 * 1024
MAX_INTERIM: Final = 16
MAX_INFLATED: Final = 16 * 1024 * 1024  # bytes that one read may inflate to


class BadResponse(Exception):
    """The bytes are no HTTP/1.1 response that can be trusted."""


class CutShort(Exception):
    """The connection ended before the response did."""


_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LINE_END: Final = re.compile(r"\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")

_sizes: Final[dict[bytes, int]] = {}  # lengths of chunks by their line, for the few that a stream repeats
_CACHED: Final = 4096


class Response:
    """Takes the response in any cut. `head_only`: it answers a HEAD request and has no body.

    `status` is 0 and `headers` empty until `head_done`. Header names are lower case; a name that came several times has
    its values joined by ", ". `done`: the body is whole. `reusable`: it is whole, and the connection may carry another
    request.
    """

    __slots__ = (
        "_at_size", "_head_only", "_held", "_inflate", "_interim", "_junk", "_keep", "_left", "_read", "_trailer",
        "_until_close", "done", "head_done", "headers", "status",
    )  # fmt: skip

    def __init__(self, *, head_only: bool = False) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.head_done = False
        self.done = False
        self._head_only = head_only
        self._keep = False
        self._junk = False
        self._interim = 0
        self._held = bytearray()  # the beginning of what `_read` could not use yet
        self._left = 0  # bytes to come of the body, or of the chunk
        self._at_size = False  # chunked, and the next byte begins a chunk's length
        self._trailer = 0  # bytes of trailers so far
        self._until_close = False
        self._read: Callable[[Response, bytes], bytes] = Response._read_junk  # unbound: a bound one makes a cycle
        self._inflate: Inflate | None = None

    @property
    def reusable(self) -> bool:
        return self.done and self._keep and not self._junk

    def receive(self, data: bytes) -> bytes:
        """The part of the body that `data` holds, decoded; b"" while only the head came. Raises BadResponse."""
        if self._at_size:
            line = data[: data.find(b"\r\n", 0, 20) + 2]
            size = _sizes.get(line)
            if size and len(line) + size + 2 == len(data) and data.endswith(b"\r\n"):
                body = data[len(line) : -2]
                return body if self._inflate is None else self._inflate.receive(body)
        if not self.head_done:
            data = self._take_head(data)
        elif self._held:
            self._held += data
            data = bytes(self._held)
            self._held.clear()
        body = self._read(self, data) if data else b""
        if self._inflate is None:
            return body
        body = self._inflate.receive(body)
        if self.done and not self._inflate.whole:
            raise BadResponse("the body ends inside its compression")
        return body

    def end(self) -> None:
        """Call when the peer has closed. Raises CutShort if the response is not whole."""
        if self._until_close and (self._inflate is None or self._inflate.whole):
            self._finish(b"")
        if not self.done:
            raise CutShort("the connection ended in the body" if self.head_done else "the connection ended in the head")

    def _finish(self, rest: bytes) -> None:
        self.done = True
        self._at_size = False
        self._read = Response._read_junk
        self._junk = bool(rest)

    def _read_junk(self, data: bytes) -> bytes:
        self._junk = self._junk or bool(data)
        return b""

    # ---- the head

    def _take_head(self, data: bytes) -> bytes:
        """What is behind the head in `data`, once it is all there; b"" before."""
        held = self._held
        while not held and (match := _HEAD_END.search(data)):  # nearly every head comes whole
            head, data = data[: match.end()], data[match.end() :]
            if self._took(head):
                return data
        fresh = max(0, len(held) - 3)  # where a blank line may have begun that was not found before
        held += data
        while match := _HEAD_END.search(held, fresh):
            head = bytes(held[: match.end()])
            del held[: match.end()]
            fresh = 0
            if self._took(head):
                rest = bytes(held)
                held.clear()
                return rest
        if len(held) > MAX_HEAD:
            raise BadResponse("the response's head is too long")
        return b""

    def _took(self, head: bytes) -> bool:
        """Whether this was the final head, and not that of an interim response."""
        if len(head) > MAX_HEAD:
            raise BadResponse("the response's head is too long")
        status, keep, headers = _parse_head(head)
        if status >= 200:
            self.status, self._keep, self.headers = status, keep, headers
            self.head_done = True
            self._frame_body()
            return True
        self._interim += 1
        if status == 101 or self._interim > MAX_INTERIM:
            raise BadResponse(f"the server answered {status}, which nobody asked for")
        return False

    def _frame_body(self) -> None:
        """Choose how the body is read. (RFC 9112, 6.3)"""
        if self._head_only or self.status in (204, 304):
            return self._finish(b"")
        coding = self.headers.get("transfer-encoding", "").strip().lower()
        length = _length(self.headers.get("content-length"))
        if coding not in ("", "chunked", "identity"):
            raise BadResponse(f"the transfer coding {coding[:40]!r} is unknown")
        self._inflate = _inflate(self.headers.get("content-encoding", ""))
        if coding == "chunked":
            self._keep = self._keep and length is None  # both: whoever framed it may be lying to somebody
            self._read, self._at_size = Response._read_chunks, True
        elif length is None:
            self._keep, self._until_close = False, True
            self._read = Response._read_to_end
        elif length:
            self._left = length
            self._read = Response._read_length
        else:
            self._finish(b"")
        return None

    # ---- the body

    def _read_to_end(self, data: bytes) -> bytes:
        return data

    def _read_length(self, data: bytes) -> bytes:
        if len(data) < self._left:
            self._left -= len(data)
            return data
        body = data[: self._left]
        self._finish(data[self._left :])
        return body

    def _read_chunks(self, data: bytes) -> bytes:
        """From the beginning of a chunk's length on."""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            begin = data.find(b"\r\n", at, at + MAX_LINE) + 2
            if begin < 2:
                break
            line = data[at:begin]
            size = _sizes.get(line)
            if size is None:
                size = _size(line)
            after = begin + size
            if not size:
                self._begin_trailers(data[begin:])
                return b"".join(pieces)
            if after + 2 > end:
                self._begin_chunk(size)
                pieces.append(self._read_chunk(data[begin:]))
                return b"".join(pieces)
            if data[after : after + 2] != b"\r\n":
                raise BadResponse("a chunk is longer than its length says")
            pieces.append(data[begin:after])
            at = after + 2
        if end - at >= MAX_LINE:
            raise BadResponse("a chunk's length is too long")
        self._held += data[at:]
        self._at_size = at >= end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin_chunk(self, size: int) -> None:
        self._left, self._at_size = size, False
        self._read = Response._read_chunk

    def _read_chunk(self, data: bytes) -> bytes:
        """In the middle of a chunk: its last `_left` bytes, then the end of its line."""
        if len(data) < self._left:
            self._left -= len(data)
            return data
        body, rest = data[: self._left], data[self._left :]
        self._left = 0
        if not b"\r\n".startswith(rest[:2]):
            raise BadResponse("a chunk is longer than its length says")
        if len(rest) < 2:
            self._held += rest
            return body
        self._read, self._at_size = Response._read_chunks, True
        return body + self._read_chunks(rest[2:])

    def _begin_trailers(self, data: bytes) -> None:
        self._at_size = False
        self._read = Response._read_trailers
        self._read_trailers(data)

    def _read_trailers(self, data: bytes) -> bytes:
        at = 0
        while (eol := data.find(b"\n", at)) >= 0:
            line = data[at:eol].rstrip(b"\r")
            at = eol + 1
            if not line:
                self._finish(data[at:])
                return b""
            self._trailer += len(line) + 2
            _field(line.decode("latin-1"))
        if self._trailer + len(data) - at > MAX_TRAILERS:
            raise BadResponse("the response's trailers are too long")
        self._held += data[at:]
        return b""


def _size(line: bytes) -> int:
    match = _SIZE.fullmatch(line)
    if match is None:
        raise BadResponse(f"a chunk's length can not be read: {line[:40]!r}")
    size = int(match[1], 16)
    if len(line) <= 18:
        if len(_sizes) >= _CACHED:
            _sizes.clear()
        _sizes[line] = size
    return size


def _length(value: str | None) -> int | None:
    """The content length. Several equal ones are one. (RFC 9110, 8.6)"""
    if value is None:
        return None
    found = {part.strip() for part in value.split(",")}
    if len(found) != 1 or not _LENGTH.fullmatch(one := found.pop()):
        raise BadResponse(f"the content length can not be read: {value[:40]!r}")
    return int(one)


def _parse_head(head: bytes) -> tuple[int, bool, dict[str, str]]:
    """Status, whether the connection may be kept, and the headers."""
    first, *lines = _LINE_END.split(head.decode("latin-1").rstrip("\r\n"))
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadResponse(f"this is no HTTP/1.1 response: {first[:40]!r}")
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t"):  # a folded line goes on with the value before it
            if not name:
                raise BadResponse("the first header is folded")
            headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        name, value = _field(line)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    keep = "close" not in options and (match[1] == "1" or "keep-alive" in options)
    return int(match[2]), keep, headers


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _NAME.fullmatch(name) or "\0" in value or "\r" in value:
        raise BadResponse(f"a header can not be read: {line[:40]!r}")
    return name.lower(), value.strip(" \t")


# ---- content codings


class Inflate:
    """Undoes gzip or deflate, piece by piece. `wbits` as zlib has it; 0: zlib's format or the bare one, by its look."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits) if wbits else None
        self._begun = False

    @property
    def whole(self) -> bool:
        """Nothing came, or all of it."""
        return not self._begun or (self._inner is not None and self._inner.eof)

    def receive(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        room = MAX_INFLATED
        while data:
            inner = self._ready(data)
            try:
                piece = inner.decompress(data, room + 1)
            except zlib.error as error:
                raise BadResponse("the body's compression is damaged") from error
            room -= len(piece)
            if room < 0:
                raise BadResponse("the body inflates beyond all measure")
            pieces.append(piece)
            data = inner.unconsumed_tail or inner.unused_data
        return b"".join(pieces)

    def _ready(self, data: bytes) -> zlib._Decompress:
        if self._inner is None:
            bare = data[0] & 0x0F != 8  # zlib's format begins with its method, 8
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
        elif self._inner.eof:  # the next member of a gzip file
            self._inner = zlib.decompressobj(self._wbits or zlib.MAX_WBITS)
        self._begun = True
        return self._inner


def _inflate(coding: str) -> Inflate | None:
    name = coding.strip().lower()
    if name in ("gzip", "x-gzip"):
        return Inflate(zlib.MAX_WBITS | 16)
    return Inflate(0) if name == "deflate" else None
