"""The load client: many answers at once on one epoll loop, each checked as it comes.

    python bench/client.py      one job a line on standard input, its outcome a line on standard output, both JSON

A job: `port`, `faces` (taken in turn), `size`, `script` (frames, tools, pause), `lanes` (connections side by side),
`requests` (over all lanes), `serial` (of the first request), `ramp` (seconds over which the lanes begin), `deadline`
(seconds). An outcome, by face: `finished` (answers that had every mark once and in order, and the ending of their API),
`wrong` (reason -> how many), `first` and `lag` (p50, p99, max; milliseconds).
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import bodies
from script import MARK, Script

READ: Final = 262_144
# A mark or an ending may lie across two chunks; no ending is longer than this.
KEPT: Final = 512
ENDINGS: Final = {"messages": b"message_stop", "chat": b"data: [DONE]", "kiro": b"meteringEvent",
                  "responses": b'"type":"response.completed"'}  # fmt: skip
REPEATS: Final = frozenset({"responses"})  # what was said in pieces is said again whole, the marks with it


class Answer:
    """One HTTP answer in whatever cut the reads have: `feed` gives the part of the body that it completes."""

    __slots__ = ("_buffer", "_chunked", "_left", "_skip", "closes", "done", "status")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._skip = False
        self._chunked = False
        self.status = 0
        self.done = False
        self.closes = False

    def feed(self, data: bytes) -> bytes:
        if not self.status:
            data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return b""
            self._buffer = b""
            self._read_head(data[:end].lower())
            data = data[end + 4 :]
        return self._dechunk(data) if self._chunked else self._count(data)

    def _read_head(self, head: bytes) -> None:
        self.status = int(head.split(b" ", 2)[1])
        fields = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:])
        self._chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
        self.closes = b"close" in fields.get(b"connection", b"")
        self._left = int(fields.get(b"content-length", b"-1"))
        if self._chunked:
            self._left = 0

    def _count(self, data: bytes) -> bytes:
        if self._left >= 0:
            self._left -= len(data)
            self.done = self._left <= 0
        return data

    def _dechunk(self, data: bytes) -> bytes:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        parts, at = [], 0
        while at < len(data):
            if self._left:
                parts.append(data[at : at + self._left])
                at += len(parts[-1])
                self._left -= len(parts[-1])
                self._skip = True
                continue
            start = at + 2 if self._skip else at
            end = data.find(b"\r\n", start)
            size = int(data[start:end].split(b";")[0], 16) if end >= 0 else -1
            if size < 0 or (size == 0 and len(data) < end + 4):
                self._buffer = data[at:]
                break
            if not size:
                self.done = True
                break
            self._left, self._skip, at = size, False, end + 2
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(slots=True)
class Tally:
    """What came of a job so far, for one face. Times in nanoseconds."""

    finished: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    first: array[int] = field(default_factory=lambda: array("q"))
    lag: array[int] = field(default_factory=lambda: array("q"))

    def outcome(self) -> dict[str, Any]:
        return {"finished": self.finished, "wrong": self.wrong, "first": spread(self.first), "lag": spread(self.lag)}


class Listening:
    """One answer being heard: its marks, in order; when the first came; how it ended."""

    __slots__ = ("_ended", "_ending", "_kept", "_repeats", "_want", "answer", "asked", "heard", "tally", "wrong")

    def __init__(self, face: str, want: int, tally: Tally) -> None:
        self.answer = Answer()
        self.asked = 0
        self.heard = 0
        self.wrong = ""
        self.tally = tally
        self._ending = ENDINGS[face]
        self._ended = False
        self._repeats = face in REPEATS
        self._kept = b""
        self._want = want

    def receive(self, data: bytes, now: int) -> None:
        body = self._kept + self.answer.feed(data)
        end = 0
        for mark in MARK.finditer(body):
            number = int(mark[1])
            if self._repeats and number < self.heard:
                end = mark.end()
                continue
            if number != self.heard:
                self.wrong = "marks out of order"
            if not self.heard:
                self.tally.first.append(now - self.asked)
            self.heard += 1
            sent = int(mark[2])
            if sent:
                self.tally.lag.append(now - sent)
            end = mark.end()
        if self._repeats:  # the last event is long
            self._ended = self._ended or self._ending in body
        self._kept = body[max(end, len(body) - KEPT) :]

    def verdict(self) -> str:
        """Empty if all is well. To be asked once the answer is done or its connection is at its end."""
        if self.answer.status != 200:
            return f"status {self.answer.status}"
        if not self.answer.done:
            return "cut"
        if self.heard != self._want:
            return f"{self.heard} marks of {self._want}"
        return self.wrong or ("" if self._ended or self._ending in self._kept else "no ending")


class Lane:
    """One connection and the request that is on it."""

    __slots__ = ("out", "sock", "turn")

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.out = memoryview(b"")
        self.turn: Listening | None = None


class Load:
    """Runs one job to its end."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._port = job["port"]
        self._script = Script(**job["script"])
        self._queue = [
            (face, bodies.request(face, job["size"], self._script, job["serial"] + n))
            for n, face in zip(range(job["requests"]), job["faces"] * job["requests"], strict=False)
        ]
        self._queue.reverse()
        self._gap = job["ramp"] / job["lanes"]
        self._waiting = job["lanes"]
        self._deadline = job["deadline"]
        self._tallies = {face: Tally() for face in job["faces"]}
        self._epoll = select.epoll()
        self._lanes: dict[int, Lane] = {}

    def run(self) -> dict[str, Any]:
        begun = time.monotonic()
        end, started = begun + self._deadline, 0
        while time.monotonic() < end:
            while started < self._waiting and time.monotonic() >= begun + started * self._gap:
                started += 1
                self._next(Lane())
            if started == self._waiting and not self._lanes:
                break
            until = begun + started * self._gap if started < self._waiting else end
            for fd, events in self._epoll.poll(max(until - time.monotonic(), 0)):
                self._serve(self._lanes[fd], events)
        return self._outcome()

    def _next(self, lane: Lane) -> None:
        """Sends the next request on this lane, over the connection that it has or over a new one."""
        if not self._queue:
            self._close(lane)
            return
        face, data = self._queue.pop()
        if lane.sock is None:
            lane.sock = socket.socket()
            lane.sock.setblocking(False)
            lane.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane.sock.connect_ex(("127.0.0.1", self._port))
            self._lanes[lane.sock.fileno()] = lane
            self._epoll.register(lane.sock, select.EPOLLIN | select.EPOLLOUT)
        else:
            self._epoll.modify(lane.sock, select.EPOLLIN | select.EPOLLOUT)
        lane.out = memoryview(data)
        lane.turn = Listening(face, self._script.marks, self._tallies[face])
        lane.turn.asked = time.monotonic_ns()

    def _serve(self, lane: Lane, events: int) -> None:
        assert lane.sock is not None and lane.turn is not None
        try:
            if events & select.EPOLLOUT and lane.out:
                lane.out = lane.out[lane.sock.send(lane.out) :]
                if not lane.out:
                    self._epoll.modify(lane.sock, select.EPOLLIN)
            if not events & ~select.EPOLLOUT:
                return
            data = lane.sock.recv(READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(lane, type(error).__name__)
            return
        if data:
            lane.turn.receive(data, time.monotonic_ns())
        if lane.turn.answer.done or not data:
            self._end(lane, lane.turn.verdict(), closed=not data)

    def _end(self, lane: Lane, wrong: str, closed: bool = True) -> None:
        assert lane.turn is not None
        if wrong:
            lane.turn.tally.wrong[wrong] += 1
        else:
            lane.turn.tally.finished += 1
        if wrong or closed or lane.turn.answer.closes:
            self._close(lane)
        self._next(lane)

    def _close(self, lane: Lane) -> None:
        if lane.sock is not None:
            self._lanes.pop(lane.sock.fileno(), None)
            lane.sock.close()
            lane.sock = None

    def _outcome(self) -> dict[str, Any]:
        """Ends what is still going on, as not finished."""
        late = "not finished in time"
        for lane in list(self._lanes.values()):
            if lane.turn is not None:
                lane.turn.tally.wrong[late] += 1
            self._close(lane)
        for face, _ in self._queue:
            self._tallies[face].wrong[late] += 1
        self._epoll.close()
        return {face: tally.outcome() for face, tally in self._tallies.items()}


def spread(times: array[int]) -> dict[str, float] | None:
    """p50, p99 and max in milliseconds; None of nothing."""
    if not times:
        return None
    ordered = sorted(times)
    last = len(ordered) - 1
    return {name: ordered[int(last * share)] / 1e6 for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def main() -> None:
    gc.disable()  # between the jobs instead
    for line in sys.stdin:
        print(json.dumps(Load(json.loads(line)).run()), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
