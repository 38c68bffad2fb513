"""WSGI between gunicorn's parser and a client's socket: a request as its environment, and the answer on the wire.

gunicorn's own way serves every application and each of its settings, and takes twice the time (docs/performance.md).
What is different beside that: an answer's head leaves with its first bytes, and its end with its last. Nothing of the
gateway is imported here: see kirogw/worker.py.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import unquote_to_bytes

HOLD: Final = "kirogw.hold"
"""In the environment: a function to be called before the last bytes are given, which then leave with the end."""
HOP: Final = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
    "upgrade",
))  # fmt: skip
"""Headers that only the server may set. (RFC 9110, 7.6.1)"""
OWN: Final = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}
BARE: Final = frozenset((*range(100, 200), 204, 304))  # statuses without a body (RFC 9110, 6.4.1)


class Framing:
    """What all requests of a worker share."""

    def __init__(self, *, multiprocess: bool) -> None:
        self._script = os.environ.get("SCRIPT_NAME", "")
        self._second, self._date = 0, ""
        self._fixed: dict[str, Any] = {
            "wsgi.version": (1, 0), "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.run_once": False,
            "wsgi.multiprocess": multiprocess, "wsgi.input_terminated": True, "SERVER_SOFTWARE": "gunicorn",
        }  # fmt: skip

    def environ(self, request: Any, sock: Any, peer: Any, server: Any) -> dict[str, Any]:
        """PEP 3333's environment of a request that gunicorn has parsed; `peer` and `server` as sockets tell addresses.
        A client that waits for leave to send its body gets it. Raises ValueError for a path that is not below the
        prefix where a proxy says that we are.
        """
        script, path = self._script, request.path
        environ = {
            **self._fixed, "wsgi.input": request.body, "wsgi.url_scheme": request.scheme, "gunicorn.socket": sock,
            "REQUEST_METHOD": request.method, "QUERY_STRING": request.query, "RAW_URI": request.uri,
            "SERVER_PROTOCOL": _protocol(request), **_address("SERVER", "NAME", server),
            **_address("REMOTE", "ADDR", peer),
        }  # fmt: skip
        for name, value in request.headers:
            if name == "SCRIPT_NAME":
                script = value
            key = OWN.get(name) or "HTTP_" + name.replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if not path.startswith(script):
            raise ValueError(f"the path {path!r} is not below {script!r}")
        if "HTTP_EXPECT" in environ and request.version > (1, 0):  # the parser lets nothing else by
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ["SCRIPT_NAME"] = script
        environ["PATH_INFO"] = unquote_to_bytes(path[len(script) :]).decode("latin-1")
        return environ

    def date(self) -> str:
        """Now, as a header has it."""
        now = int(time.time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True)
        return self._date


def _protocol(request: Any) -> str:
    major, minor = request.version
    return f"HTTP/{major}.{minor}"


def _address(side: str, name: str, address: Any) -> dict[str, str]:
    """A socket's address as the environment has it. That of a Unix socket is its path, or nothing."""
    host, port = (str(address or ""), "") if isinstance(address, str | bytes | None) else address[:2]
    return {f"{side}_{name}": host, f"{side}_PORT": str(port)}


class Answer:
    """One answer on its way to the client. `status`, `headers` and `sent` (bytes) are what gunicorn's log asks for; the
    headers are not kept, since there may be thousands of answers.
    """

    __slots__ = (
        "_bare", "_chunked", "_date", "_head", "_held", "_holds", "_request", "_sock",
        "begun", "closes", "sent", "status",
    )  # fmt: skip
    headers: Final = ()

    def __init__(self, request: Any, sock: Any, date: str, *, closes: bool) -> None:
        self._request, self._sock, self._date = request, sock, date
        self.closes = closes or request.should_close()
        self.status, self.sent = "", 0
        self._head = self._held = b""
        self._chunked = self._bare = self._holds = self.begun = False

    def start_response(self, status: str, headers: list[tuple[str, str]],
                       exc_info: Any = None) -> Callable[[bytes], None]:  # fmt: skip
        """PEP 3333's: may be called again with an error, until the first bytes have left."""
        if exc_info and self.begun:
            raise exc_info[1].with_traceback(exc_info[2])
        self.status = status
        self._bare = self._request.method == "HEAD" or int(status[:3]) in BARE
        framed = self._bare or any(name.lower() == "content-length" for name, _ in headers)
        self._chunked = not framed and self._request.version > (1, 0)
        self.closes = self.closes or not (framed or self._chunked)
        lines = [
            f"{_protocol(self._request)} {status}", "Server: gunicorn", f"Date: {self._date}",
            "Connection: close" if self.closes else "Connection: keep-alive",
            *(["Transfer-Encoding: chunked"] if self._chunked else ()),
            *(f"{name}: {value}" for name, value in headers if name.lower() not in HOP), "\r\n",
        ]  # fmt: skip
        head = "\r\n".join(lines)
        if not head.count("\r") == head.count("\n") == len(lines):
            raise ValueError("a header of the answer holds a line break")
        self._head = head.encode("latin-1")
        return self.write

    def hold(self) -> None:
        """What is written from now on may wait for what follows it."""
        self._holds = True

    def write(self, data: bytes) -> None:
        if data and not self._bare:
            self.sent += len(data)
            self._out(b"%X\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def release(self) -> None:
        """What was held leaves."""
        self._holds = False
        if self._held:
            self._out(b"")

    def close(self) -> None:
        """The end of the body."""
        self._holds = False
        self._out(b"0\r\n\r\n" if self._chunked else b"")

    def _out(self, data: bytes) -> None:
        """Head, held bytes and these in one packet."""
        if self._head or self._held:
            data, self._head, self._held = self._head + self._held + data, b"", b""
        if self._holds:
            self._held = data
        elif data:
            self.begun = True
            at = self._sock.send(data)  # gevent's sendall asks for the size of the system's buffer first
            if at < len(data):
                self._sock.sendall(memoryview(data)[at:])
