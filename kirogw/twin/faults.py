"""Faults on demand: what goes wrong, with which request, how often.

A fault is added by name (a key of NAMED in `mishaps.py` of each twin), by its members, or both:
`add("html_403", operation="models")`, `add(status=429, reason="USER_REQUEST_RATE_EXCEEDED", count=2)`,
`add(cut=40, end="reset")`. Over HTTP the same members stand in a JSON object, the name under `name`.
"""

from __future__ import annotations

import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final

from kirogw.twin.ask import text
from kirogw.twin.server import Answer, End, Hangup, Piece, Streamed
from kirogw.twin.state import Incoming
from kirogw.wire import Json, Reply

ENDS: Final = ("clean", "open", "reset")
# that happen on the way, whosever answer it is
ON_THE_WAY: Final[dict[str, Json]] = {
    "hangup": {"hangup": "open"},
    "reset": {"hangup": "reset"},
    "slow_headers": {"slow": 3.0},
    "json_for_stream": {"body": '{"message":"hello"}', "content_type": "application/json"},
    "empty": {"empty": True},
    "stall": {"stall": 3.0},
    "sliced": {"slice": 7},
}


@dataclass
class Fault(ABC):
    """The first six members choose the requests, the others say what happens to them.

    A frame is named by its number in the stream, from 0, or by its event type (the first of that type is meant).
    """

    name: str = ""
    operation: str = "generate"  # as the service calls it; a key of `groups`; * for all
    match: str = ""  # text in the request's body
    token: str = ""  # the bearer
    host: str = ""  # part of the host that was meant
    account: str = ""  # by name
    count: int | None = 1  # so many requests; None: all
    after: int = 0  # let so many pass before
    probability: float = 1.0

    status: int = 0  # answer with this instead; the operation is not done
    type: str = ""
    reason: str | None = None
    message: str = "Encountered an unexpected error when processing the request, please try again."
    more: Json = field(default_factory=dict)  # further members of the error's body, such as retryAfterMilliseconds
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # instead of the API's error body
    content_type: str = ""

    hangup: str = ""  # open, reset: no answer at all
    late: bool = False  # hang up after the operation was done: its answer is lost
    slow: float = 0.0  # seconds before the headers
    empty: bool = False  # a stream without any frame
    cut: int | None = None  # after so many bytes of the body
    cut_frame: int | str | None = None  # before this frame
    end: str = "open"  # how a cut body ends: clean, open, reset
    stall: float = 0.0  # seconds before the frame `frame`; with a status, in the middle of the body
    corrupt: str = ""  # a bit of the frame `frame` is wrong: one of `places`
    exception: Json | None = None  # a modelled failure in place of the frame `frame`; the stream ends with it
    error: Json | None = None  # an unmodelled one
    frame: int | str = 2
    drop: tuple[str, ...] = ()  # event types that are left out
    slice: int = 0  # the body comes in chunks of so many bytes

    played: int = 0
    passed: int = 0
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    places: ClassVar[Iterable[str]] = ()  # where a frame can be corrupt

    def __post_init__(self) -> None:
        if self.end not in ENDS or self.hangup not in ("", *ENDS[1:]):
            raise ValueError(f"end is one of {', '.join(ENDS)}; hangup open or reset")
        if self.corrupt not in ("", *self.places):
            raise ValueError(f"corrupt is one of {', '.join(self.places)}")

    def meets(self, incoming: Incoming, operation: str, account: str) -> bool:
        return (
            self.operation in ("*", operation)
            or operation in self.groups.get(self.operation, ())
        ) and (
            self.match.encode() in incoming.body
            and self.token in ("", incoming.bearer)
            and self.host in incoming.host
            and self.account in ("", account)
        )  # fmt: skip

    def instead(self) -> Reply:
        """What stands in for the operation, where there is a status."""
        if self.body is None:
            return self.reply()
        kind = {"content-type": self.content_type or "application/json", **self.headers}
        return Reply(self.status, kind, self.body.encode())

    @abstractmethod
    def reply(self) -> Reply:
        """The error in the service's own shape."""

    @abstractmethod
    def failure(self) -> bytes:
        """The frame that ends the stream in place of another, b"" for none."""

    @abstractmethod
    def spoilt(self, frame: bytes) -> bytes:
        """The frame, corrupt."""

    @abstractmethod
    def is_kind(self, frame: bytes, kind: str) -> bool: ...


class Faults:
    """The faults that wait to be played, in order; the first that meets a request is played."""

    def __init__(self, kind: type[Fault], named: Mapping[str, Json]) -> None:
        self.named = named
        self._kind = kind
        self._members = frozenset(member.name for member in fields(kind)) - {"played", "passed"}
        self.waiting: list[Fault] = []
        self.played: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, name: str = "", **members: Any) -> Fault:
        """Raises ValueError for what is no fault. `retryAfterMilliseconds` may stand beside the other members."""
        if name and name not in self.named:
            raise ValueError(f"no such fault: {name}")
        wait = members.pop("retryAfterMilliseconds", None)
        whole = {**self.named.get(name, {}), **members, "name": name or text(members.get("reason"))}
        if strange := sorted(set(whole) - self._members):
            raise ValueError(f"a fault has no {', '.join(strange)}; it may have {', '.join(sorted(self._members))}")
        if wait is not None:
            whole["more"] = {**whole.get("more", {}), "retryAfterMilliseconds": wait}
        fault = self._kind(**whole)
        with self._lock:
            self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.waiting.clear()
            self.played.clear()

    def take(self, incoming: Incoming, operation: str, account: str) -> Fault | None:
        """The fault for this request, counted."""
        with self._lock:
            for fault in self.waiting:
                if fault.meets(incoming, operation, account) and self._due(fault):
                    fault.played += 1
                    if fault.count is not None and fault.played >= fault.count:
                        self.waiting.remove(fault)
                    if fault.played == 1:
                        self.played.append(fault)
                    return fault
        return None

    def _due(self, fault: Fault) -> bool:
        if fault.passed < fault.after:
            fault.passed += 1
            return False
        return fault.probability >= 1.0 or secrets.randbelow(1_000_000) < fault.probability * 1_000_000


def before(fault: Fault) -> Answer | None:
    """What is answered instead of doing the operation, None where that is done."""
    if fault.hangup and not fault.late:
        return Hangup(fault.hangup)
    return _paused(fault.instead(), fault.stall) if fault.status else None


def _paused(reply: Reply, seconds: float) -> Answer:
    """The reply, with a pause in the middle of its body."""
    if not seconds:
        return reply
    headers = {name: value for name, value in reply.headers.items() if name != "content-length"}
    half = len(reply.body) // 2
    return Streamed(headers, [Piece(reply.body[:half]), Piece(reply.body[half:], seconds)], reply.status)


def after(fault: Fault, answer: Answer) -> Answer:
    """The operation's answer as the fault lets it through."""
    if fault.hangup:
        return Hangup(fault.hangup)
    if isinstance(answer, Reply):
        if fault.cut is None and not fault.slice:
            return answer
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        answer = Streamed(headers, [Piece(answer.body)], answer.status)
    if isinstance(answer, Streamed):
        headers = {**answer.headers, **fault.headers}
        if fault.content_type:
            headers["content-type"] = fault.content_type
        return Streamed(headers, damaged(answer.pieces, fault), answer.status)
    return answer


def damaged(pieces: Iterable[Piece | End], fault: Fault) -> Iterator[Piece | End]:
    """The pieces, each a frame, with all of the fault's effects."""
    if fault.body is not None:
        pieces = [Piece(fault.body.encode())]
    if fault.empty:
        pieces = []
    stream = _on_frames(pieces, fault)
    if fault.cut is not None:
        stream = _cut(stream, fault.cut, fault.end)
    return _sliced(stream, fault.slice) if fault.slice else stream


def _on_frames(pieces: Iterable[Piece | End], fault: Fault) -> Iterator[Piece | End]:
    number, met = 0, False
    for piece in pieces:
        if isinstance(piece, End) or not piece.frames:
            yield piece
            continue
        if any(fault.is_kind(piece.data, kind) for kind in fault.drop):
            continue
        if _is_frame(fault, piece.data, number, fault.cut_frame):
            yield Piece(b"", piece.wait, 0)  # the end comes when the frame would have
            yield End(fault.end)
            return
        here = not met and _is_frame(fault, piece.data, number, fault.frame)
        met = met or here
        if here and (failure := fault.failure()):
            yield Piece(failure, piece.wait)
            return
        if here and fault.corrupt:
            piece = Piece(fault.spoilt(piece.data), piece.wait)
        yield Piece(piece.data, piece.wait + fault.stall) if here else piece
        number += 1


def _is_frame(fault: Fault, data: bytes, number: int, wanted: int | str | None) -> bool:
    return wanted is not None and (wanted == number if isinstance(wanted, int) else fault.is_kind(data, wanted))


def _cut(pieces: Iterable[Piece | End], limit: int, end: str) -> Iterator[Piece | End]:
    for piece in pieces:
        if isinstance(piece, Piece) and len(piece.data) >= limit:
            yield Piece(piece.data[:limit], piece.wait, int(len(piece.data) == limit))
            yield End(end)
            return
        yield piece
        limit -= len(piece.data) if isinstance(piece, Piece) else 0


def _sliced(pieces: Iterable[Piece | End], size: int) -> Iterator[Piece | End]:
    """Chunks that know nothing of frames; what is left over goes before an end or a wait."""
    kept = b""
    for piece in pieces:
        if kept and (isinstance(piece, End) or piece.wait):
            yield Piece(kept, 0.0, 0)
            kept = b""
        if isinstance(piece, End):
            yield piece
            return
        wait, kept, done = piece.wait, kept + piece.data, piece.frames
        while len(kept) >= size:
            yield Piece(kept[:size], wait, done)
            kept, wait, done = kept[size:], 0.0, 0
    if kept:
        yield Piece(kept, 0.0, 0)
