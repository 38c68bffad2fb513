"""The port of this machine that a sign-in page sends the browser to: open while somebody signs in, and no longer.

Only this machine can reach it, and all it does is to hand the address over: whether that is ours is decided elsewhere.
Each connection has a thread of its own, since browsers open some that they never use.
"""

from __future__ import annotations

import contextlib
import errno
import html
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kirogw.errors import GatewayError
from kirogw.log import logger

HOSTS: Final = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))  # `localhost` may mean either
LONGEST_HEAD: Final = 65536
PATIENCE: Final = 10.0  # seconds for a request to come whole
TICK: Final = 0.25  # seconds between two looks at whether the port is still wanted
AT_ONCE: Final = 32  # connections


class PortTaken(Exception):
    """One line that says which port and what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the page tells its reader, as plain text. `link` is where to go next, "" for nowhere."""

    title: str
    text: str
    status: int = 200
    link: str = ""


class Listener:
    """Open once made; `port` 0 is any that is free. `arrived(path and query)` says what the page tells of an address
    with one of `paths`, or raises GatewayError; it is called in threads. `wanted()` is asked a few times a second: the
    port is given up when it is not.
    """

    def __init__(self, port: int, arrived: Callable[[str], Said], wanted: Callable[[], bool],
                 paths: Sequence[str]) -> None:  # fmt: skip
        self._arrived, self._wanted, self._paths = arrived, wanted, paths
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, bool] = {}  # whether an answer is being made
        self._held = 0
        self._sockets = _bound(port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, args=(each,), name="callback", daemon=True)
                         for each in self._sockets]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def hold(self) -> bool:
        """Whether it is open, and stays so for what is wanted by now."""
        with self._lock:
            self._held += 1
            return not self._closing.is_set()

    def close(self) -> None:
        """The port is free when this returns, and who was being answered has the answer. May be called twice."""
        self._closing.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        until = time.monotonic() + PATIENCE
        while any(list(self._connections.values())) and time.monotonic() < until:
            time.sleep(0.02)
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with listening:
            listening.settimeout(TICK)
            while self._is_wanted():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                except OSError:
                    time.sleep(TICK)  # out of file handles, for the moment
                    continue
                self._take(connection)

    def _is_wanted(self) -> bool:
        """Somebody may come to want it while `wanted` is being asked: then that is asked again."""
        while not self._closing.is_set():
            held = self._held
            if self._wanted():
                return True
            with self._lock:
                if held == self._held:
                    self._closing.set()
        return False

    def _take(self, connection: socket.socket) -> None:
        with self._lock:
            full = len(self._connections) >= AT_ONCE
            if not full:
                self._connections[connection] = False
        if full:
            connection.close()
        else:
            threading.Thread(target=self._serve, args=(connection,), name="callback", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                connection.settimeout(PATIENCE)
                if head := _head(connection):
                    self._connections[connection] = True
                    connection.sendall(_answer(self._said(*head)))
        finally:
            with self._lock:
                del self._connections[connection]

    def _said(self, method: str, target: str) -> Said:
        if target.partition("?")[0] not in self._paths:
            return Said("Not here", "There is nothing at this address.", 404)
        if method != "GET":
            return Said("Not so", "This address can only be opened.", 405)
        try:
            return self._arrived(target)
        except GatewayError as error:
            return Said("This did not work", str(error), 400)
        except Exception:
            logger.exception("the page that ends a sign-in")
            return Said("This did not work", "The gateway failed; its log says why.", 500)


def _bound(port: int) -> list[socket.socket]:
    """Listening on both loopback addresses, as far as this machine has them. Raises PortTaken."""
    sockets: list[socket.socket] = []
    for host, family in HOSTS if port else HOSTS[:1]:  # where any will do, the page names the first address itself
        try:
            sockets.append(socket.create_server((host, port), family=family, backlog=16))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES) or (host, family) == HOSTS[0]:
                raise _taken(port, sockets) from None
    return sockets


def _taken(port: int, sockets: Sequence[socket.socket]) -> PortTaken:
    """Where one of the two addresses can not be had, the other is given back."""
    for each in sockets:
        each.close()
    return PortTaken(
        f"port {port} of this machine is taken by another program, so the sign-in page can not hand the login over by"
        " itself; paste the address that the browser ends at, or use the device sign-in"
    )


def _head(connection: socket.socket) -> tuple[str, str] | None:
    """Method and target; None for what is no HTTP, or came too late."""
    data, until = b"", time.monotonic() + PATIENCE
    while b"\r\n\r\n" not in data:
        more = connection.recv(8192)
        if not more or len(data) > LONGEST_HEAD or time.monotonic() > until:
            return None
        data += more
    words = data.partition(b"\r\n")[0].decode("latin-1").split(" ")
    return (words[0], words[1]) if len(words) == 3 and words[2].startswith("HTTP/1") else None


REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
LINKS: Final = ("https://", "http://127.0.0.1:", "http://localhost:")
STYLE: Final = "font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em"


def page(said: Said) -> str:
    """Everything in it is escaped: part of it came with an address that anybody may have made."""
    title, text, link = (html.escape(part) for part in (said.title, said.text, said.link))
    further = f'<p><a href="{link}" rel="noreferrer">{link}</a></p>' if said.link.startswith(LINKS) else ""
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>kirogw: {title}</title>'
            f'<body style="{STYLE}"><h1>{title}</h1><p>{text}</p>{further}</body></html>')  # fmt: skip


def _answer(said: Said) -> bytes:
    body = page(said).encode()
    lines = [
        f"HTTP/1.1 {said.status} {REASONS.get(said.status, 'Error')}", "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}", "Connection: close", "Cache-Control: no-store", "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
