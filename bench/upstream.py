"""An upstream that costs next to nothing: one epoll loop, frames encoded beforehand, no parsing of what is sent.

    python bench/upstream.py        prints its port on the loopback; ends when its standard input does

It speaks the generation calls of Kiro (`POST /generateAssistantResponse`, `POST /` with a target) and of ChatGPT's
Codex backend (`POST /codex/responses`) in HTTP/1.1 chunks over connections that stay open, and answers what a gateway
asks at its start. bench/script.py says how a request chooses its answer, bench/events.py how the second says it. 2,000
streams with a frame each 200 ms take it about a tenth of a core.
"""

from __future__ import annotations

import gc
import heapq
import json
import re
import select
import socket
import sys
import time
from types import ModuleType
from typing import Any, Final

import events
import script as scripts

BACKLOG: Final = 4096
READ: Final = 262_144

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET: Final = re.compile(rb"\r\nx-amz-target: *[\w.]*\.(\w+)", re.IGNORECASE)
# The calls that generate, each with the module that has its frames.
WIRES: Final[dict[bytes, ModuleType]] = {b"generateassistantresponse": scripts, b"responses": events}

_ARN: Final = "arn:aws:codewhisperer:us-east-1:111122223333:profile/BENCHBENCH00"
_MODELS: Final = {
    "models": [
        {
            "modelId": scripts.MODEL, "modelName": "Claude Sonnet 4.5", "description": "bench", "rateMultiplier": 1.3,
            "rateUnit": "Credit", "tokenLimits": {"maxInputTokens": 200_000, "maxOutputTokens": 64_000},
            "supportedInputTypes": ["TEXT", "IMAGE"], "promptCaching": {"supportsPromptCaching": False},
            "additionalModelRequestFieldsSchema": None,
        }
    ],
    "defaultModel": {"modelId": scripts.MODEL}, "nextToken": None,
}
_USAGE: Final = {
    "nextDateReset": 4102444800.0, "subscriptionInfo": {"subscriptionTitle": "KIRO PRO"},
    "overageConfiguration": {"overageStatus": "DISABLED"},
    "usageBreakdownList": [
        {"resourceType": "CREDIT", "currentUsageWithPrecision": 1.0, "usageLimitWithPrecision": 1e9, "currentUsage": 1,
         "usageLimit": 1_000_000_000}
    ],
}

_CODEX_MODELS: Final = {
    "models": [
        {
            "slug": scripts.MODEL, "display_name": "Bench", "description": "bench", "visibility": "list",
            "supported_reasoning_levels": [{"effort": "medium", "description": ""}], "priority": 1,
            "default_reasoning_level": "medium", "context_window": 272_000, "input_modalities": ["text", "image"],
            "use_responses_lite": False,
        }
    ]
}
_WINDOW: Final = {"used_percent": 1.0, "limit_window_seconds": 18_000, "reset_after_seconds": 9000,
                  "reset_at": 4102444800}  # fmt: skip
_CODEX_USAGE: Final = {
    "plan_type": "pro", "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
    "rate_limit": {"allowed": True, "limit_reached": False, "primary_window": _WINDOW, "secondary_window": None},
}


def _json(value: Any, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


# Each call by the last word of its path or target, lower case, without hyphens. (kiro 1.2, 2.2)
CANNED: Final = {
    b"listavailablemodels": _json(_MODELS),
    b"listavailableprofiles": _json({"profiles": [{"arn": _ARN, "profileName": "bench"}]}),
    b"getprofile": _json({"profile": {"arn": _ARN}}),
    b"getusagelimits": _json(_USAGE),
    b"refreshtoken": _json(
        {"accessToken": "aoaBench", "refreshToken": "aor" + "b" * 120, "expiresIn": 28_800, "profileArn": _ARN}
    ),
    b"health": _json({"status": "ok"}),
    b"models": _json(_CODEX_MODELS),
    b"usage": _json(_CODEX_USAGE),
}
_UNKNOWN: Final = _json({"__type": "UnknownOperationException", "message": "not part of the bench"}, b"404 Not Found")
_UNSCRIPTED: Final = _json({"__type": "ValidationException", "message": "no bench script"}, b"400 Bad Request")


def operation(head: bytes) -> bytes:
    """The name of the call, in lower case without hyphens."""
    target = _TARGET.search(head)
    if target is not None:
        return target[1].lower()
    path = head.split(b" ", 2)[1].split(b"?", 1)[0]
    return path.strip(b"/").rsplit(b"/", 1)[-1].replace(b"-", b"").lower()


class Connection:
    """One client's connection: what came, what has yet to leave, and the answer that is being played."""

    __slots__ = ("due", "frames", "gone", "next", "out", "script", "sock", "taken", "wire")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.taken = bytearray()
        self.out = bytearray()
        self.gone = False

    def request(self) -> tuple[bytes, bytes] | None:
        """Head and body of the next request, when it is whole."""
        end = self.taken.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.taken[: end + 2])
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.taken) < whole:
            return None
        body = bytes(self.taken[end + 4 : whole])
        del self.taken[:whole]
        return head, body

    def play(self, wire: ModuleType, script: scripts.Script, now: float) -> None:
        self.wire = wire
        self.script = script
        self.frames = wire.ready(script)
        self.next = 0
        self.due = now

    def step(self) -> bytes:
        """The next frame, stamped; with the last one the end of the answer."""
        data: bytes = self.frames[self.next].at(time.monotonic_ns())
        self.next += 1
        self.due += self.script.pause
        return data + self.wire.tail(self.script) if self.next == len(self.frames) else data

    @property
    def played(self) -> bool:
        return self.next == len(self.frames)


class Upstream:
    """The loop. `listener` is listening; `leash` is a descriptor whose end of file ends the loop."""

    def __init__(self, listener: socket.socket, leash: int) -> None:
        self._epoll = select.epoll()
        self._listener = listener
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[float, int, Connection]] = []
        self._order = 0
        self._leash = leash
        listener.setblocking(False)
        self._epoll.register(listener, select.EPOLLIN)
        self._epoll.register(leash, select.EPOLLIN | select.EPOLLHUP)

    def run(self) -> None:
        while True:
            wait = max(self._due[0][0] - time.monotonic(), 0.0) if self._due else -1
            for fd, happened in self._epoll.poll(wait):
                if fd == self._leash:
                    return
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._serve(fd, happened)
            self._send_due()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)

    def _serve(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            return
        if events & select.EPOLLOUT:
            self._flush(connection)
        if not events & ~select.EPOLLOUT or connection.gone:
            return
        try:
            data = connection.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.taken += data
        while not connection.gone and (request := connection.request()) is not None:
            self._answer(connection, *request)

    def _answer(self, connection: Connection, head: bytes, body: bytes) -> None:
        name = operation(head)
        if (wire := WIRES.get(name)) is None:
            self._write(connection, CANNED.get(name, _UNKNOWN))
            return
        script = scripts.asked(body)
        if script is None:
            self._write(connection, _UNSCRIPTED)
        elif not script.pause:
            self._write(connection, wire.STREAM + wire.at_once(script))
        else:
            connection.play(wire, script, time.monotonic())
            self._write(connection, wire.STREAM + wire.head(script) + connection.step())
            self._schedule(connection)

    def _schedule(self, connection: Connection) -> None:
        if not connection.played:
            self._order += 1
            heapq.heappush(self._due, (connection.due, self._order, connection))

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            connection = heapq.heappop(self._due)[2]
            if not connection.gone:
                self._write(connection, connection.step())
                self._schedule(connection)

    def _write(self, connection: Connection, data: bytes) -> None:
        if connection.out:
            connection.out += data
            return
        sent = self._attempt(connection, data)
        if sent < len(data) and not connection.gone:
            connection.out += data[sent:]
            self._epoll.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, connection: Connection) -> None:
        del connection.out[: self._attempt(connection, connection.out)]
        if not connection.out and not connection.gone:
            self._epoll.modify(connection.sock, select.EPOLLIN)

    def _attempt(self, connection: Connection, data: bytes | bytearray) -> int:
        try:
            return connection.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop(connection)
            return 0

    def _drop(self, connection: Connection) -> None:
        if not connection.gone:
            connection.gone = True
            self._connections.pop(connection.sock.fileno(), None)
            connection.sock.close()  # epoll forgets a closed descriptor


def main() -> None:
    gc.disable()  # nothing here makes cycles, and a collection over 2,000 connections would show as lag
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        print(listener.getsockname()[1], flush=True)
        Upstream(listener, sys.stdin.fileno()).run()


if __name__ == "__main__":
    main()
