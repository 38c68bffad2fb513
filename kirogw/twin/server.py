"""HTTP/1.1 on a socket of our own: whole replies, and streams that can be cut, stalled and watched.

A thread a connection, with keep-alive and chunked bodies both ways. Made by hand because a fault must reach the wire as
it is: a reset, a body without its end mark, headers that are late, a client's leaving noted at the time it happens.
Works under gevent's monkey patching too, whether that came before or after the import: every name is looked up late.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from kirogw.twin.state import Incoming, Seen
from kirogw.wire import Reply

READ: Final = 65536
LONGEST_HEAD: Final = 1 << 20
PLAYED: Final = (".kiro.dev", ".amazonaws.com")  # hosts whose part a twin plays


@dataclass(frozen=True)
class Piece:
    """Bytes of a streamed body, after `wait` seconds. `frames` is how many frames they complete."""

    data: bytes
    wait: float = 0.0
    frames: int = 1


@dataclass(frozen=True)
class End:
    """How a body ends: clean (with its end mark), open (closed without it), reset."""

    how: str = "clean"


@dataclass(frozen=True)
class Streamed:
    """An answer whose body comes in chunks."""

    headers: Mapping[str, str]
    pieces: Iterable[Piece | End]
    status: int = 200


@dataclass(frozen=True)
class Hangup:
    """No answer at all: the connection is closed, or reset."""

    how: str = "open"


Answer = Reply | Streamed | Hangup
Handler = Callable[[Incoming, Seen], tuple[Answer, float]]  # the answer, and the seconds before its headers leave


class Gone(Exception):
    """The client went away."""


@dataclass
class Server:
    """Listens at once. `saw` notes a request, `handle` answers it, `sent` hears when that is written."""

    host: str
    port: int
    saw: Callable[[Incoming], Seen]
    handle: Handler
    sent: Callable[[Seen], None]
    now: Callable[[], float]  # what its clock says

    def __post_init__(self) -> None:
        self._open: set[socket.socket] = set()
        self._closing = False
        self._socket = socket.create_server((self.host, self.port), backlog=2048)
        self.host, self.port = self._socket.getsockname()[:2]
        self._name = f"twin {self.port}"  # of all its threads
        self._thread = threading.Thread(target=self._accept, name=self._name, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop every connection. Whatever waits then waits no longer, and no thread is left."""
        self._closing = True
        if self._thread.is_alive():
            with contextlib.suppress(OSError):  # a thread in accept() does not notice a close: it gets a last visitor
                socket.create_connection((self.host, self.port), timeout=1).close()
            self._thread.join(timeout=5)
        self._socket.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in [one for one in threading.enumerate() if one.name == self._name]:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closing:
                    return
                time.sleep(0.05)  # out of file handles, for the moment
                continue
            if self._closing:
                connection.close()
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name=self._name, daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = _Talk(connection)
            while (incoming := talk.read()) is not None and self._answer(talk, incoming):
                pass
        except (Gone, OSError, ValueError):
            pass  # whoever sent half a request hears nothing more
        finally:
            self._open.discard(connection)
            connection.close()

    def _answer(self, talk: _Talk, incoming: Incoming) -> bool:
        """Whether the connection may be used again."""
        seen = self.saw(incoming)
        answer, wait = self.handle(incoming, seen)
        try:
            talk.wait(wait)
            keep = talk.write(answer, seen, self.now(), incoming.headers.get("connection", "").lower() != "close")
        except (Gone, OSError) as error:
            seen.gone = time.time()
            raise Gone from error
        if isinstance(answer, Hangup):
            return False
        seen.ended = time.time()
        self.sent(seen)
        return keep


class _Talk:
    """One connection: requests in, answers out."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._port = connection.getpeername()[1]
        self._buffer = bytearray()

    def read(self) -> Incoming | None:
        """The next request; None when the peer has nothing more to say. Raises ValueError for what is no HTTP."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunked()
        else:
            body = self._exactly(int(headers.get("content-length") or 0))
        return replace(read_target(method, target, headers, body), port=self._port)

    def _more(self) -> bool:
        data = self._socket.recv(READ)
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes | None:
        start = 0
        while (place := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark))
            if len(self._buffer) > LONGEST_HEAD or not self._more():
                return None
        found = bytes(self._buffer[:place])
        del self._buffer[: place + len(mark)]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise Gone
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _chunked(self) -> bytes:
        parts: list[bytes] = []
        while True:
            line = self._until(b"\r\n")
            if line is None:
                raise Gone
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):  # trailers
                    pass
                return b"".join(parts)
            parts.append(self._exactly(size))
            self._exactly(2)

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass. Raises Gone as soon as the client leaves or the server closes; what it sends is kept."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._more():
                    raise Gone
        except TimeoutError:
            return
        finally:
            self._socket.settimeout(None)

    def write(self, answer: Answer, seen: Seen, now: float, keep: bool) -> bool:
        if isinstance(answer, Hangup):
            self._end(answer.how)
            return False
        if isinstance(answer, Streamed):
            return self._stream(answer, seen, now, keep)
        seen.status = answer.status
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        body = b"" if seen.method == "HEAD" else answer.body
        self._socket.sendall(_head(answer.status, headers, now, keep) + body)
        return keep

    def _stream(self, answer: Streamed, seen: Seen, now: float, keep: bool) -> bool:
        seen.status = answer.status
        head = _head(answer.status, {**answer.headers, "transfer-encoding": "chunked"}, now, keep)
        self._socket.sendall(head)
        for piece in answer.pieces:
            if isinstance(piece, End):
                return self._end(piece.how) and keep
            self.wait(piece.wait)
            if piece.data:
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece.data), piece.data))
            seen.frames += piece.frames
        return self._end("clean") and keep

    def _end(self, how: str) -> bool:
        if how == "clean":
            self._socket.sendall(b"0\r\n\r\n")
            return True
        if how == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def _head(status: int, headers: Mapping[str, str], now: float, keep: bool) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", f"date: {formatdate(now, usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not keep:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_target(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Incoming:
    """The host that was meant comes from, in this order: an absolute target (the twin as a proxy), a first path segment
    `/@host` (`http://127.0.0.1:1234/@runtime.{region}.kiro.dev`), a Host header that is a name of Kiro's or Amazon's.
    """
    url = urlsplit(target)
    path, host = url.path, url.hostname or ""
    if path.startswith("/@"):
        host, _, path = path[2:].partition("/")
        path = "/" + path
    host = host or headers.get("host", "").partition(":")[0]
    meant = host if host.endswith(PLAYED) else ""
    return Incoming(method.upper(), unquote(path) or "/", dict(parse_qsl(url.query)), headers, body, meant)
