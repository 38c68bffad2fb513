"""What the twin is told (Options) and what it remembers (Journal): values and one lock, no behaviour of the service."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from itertools import count
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from kirogw.wire import Json

ROTATIONS: Final = ("strict", "grace", "none")


@dataclass
class Common:
    """How a twin behaves, whosever it is. Every member can be changed while it runs (`POST /_twin/config`)."""

    rotation: str = "strict"  # what becomes of a redeemed refresh token; one of ROTATIONS
    access_life: float = 3600.0  # seconds
    pace: float = 0.0  # seconds between two pieces of a text, where a script says nothing else
    open: bool = False  # take any bearer token, and whatever says whose it is: for benchmarks
    device_polls: int = 2  # polls of a device login that are still answered with "pending"
    signs_in: str = ""  # name of the account that signs in by one of the flows; empty: a new one each time
    interval: int = 1  # seconds between the polls of a device login, as told to the client
    ahead: float = 0.0  # seconds by which its clock (the Date header) is ahead
    max_body: int | None = None  # bytes; None: any
    keep: int = 1000  # requests remembered whole
    control: bool = True  # serve /_twin/*

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Self:
        made = cls()
        made.change(members)
        return made

    def change(self, members: Mapping[str, Any]) -> None:
        """Raises ValueError for an unknown member or a value that is none of the allowed."""
        known = {member.name for member in fields(self)}
        if strange := sorted(set(members) - known):
            raise ValueError(f"no such option: {', '.join(strange)}; there are {', '.join(sorted(known))}")
        if members.get("rotation", "strict") not in ROTATIONS:
            raise ValueError(f"rotation is one of {', '.join(ROTATIONS)}")
        for name, value in members.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class Incoming:
    """One HTTP request as it came. Header names are lower case; `host` is the host of Kiro's that was meant, or "";
    `port` is the client's own.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str = ""
    port: int = 0

    @property
    def bearer(self) -> str:
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    @cached_property
    def members(self) -> Json:
        """The body as an object, {} when it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def is_json(self) -> bool:
        return self._is("application/json")

    @property
    def is_form(self) -> bool:
        return self._is("application/x-www-form-urlencoded")

    def _is(self, kind: str) -> bool:
        return self.headers.get("content-type", "").startswith(kind)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


@dataclass(eq=False)
class Seen:
    """One request and what became of it. Times are seconds of the epoch."""

    number: int
    at: float
    method: str
    path: str
    host: str
    headers: Mapping[str, str]
    body: bytes
    operation: str = ""
    account: str = ""
    fault: str = ""  # the fault that was played, if any
    status: int = 0
    frames: int = 0  # written so far
    ended: float = 0.0  # when the last byte of the answer was written; 0: not, or not yet
    gone: float = 0.0  # when the client was seen to be away before the end; 0: it was not

    @property
    def payload(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def as_json(self) -> Json:
        return {**vars(self), "headers": dict(self.headers), "body": self.body.decode("utf-8", "replace")}


@dataclass(frozen=True)
class Refusal:
    """One row of a table that said no. `row` is its name."""

    row: str
    status: int
    message: str
    number: int  # of the request


@dataclass
class Redemption:
    """One attempt to redeem a refresh token. `outcome`: ok, again (in grace), reused, or why not."""

    at: float
    account: str
    generation: int  # of the token that came: 0 is the one that the account was made with, -1 unknown
    outcome: str
    number: int  # of the request
    delivered: bool = False  # the answer was written to the socket


class Ledger(list[Redemption]):
    """All redemptions, in order."""

    def of(self, account: str) -> list[Redemption]:
        return [entry for entry in self if entry.account == account]

    @property
    def redeemed(self) -> int:
        return sum(entry.outcome in ("ok", "again") for entry in self)

    @property
    def reuses(self) -> int:
        return sum(entry.outcome == "reused" for entry in self)


@dataclass
class Journal:
    """All that happened, under one lock."""

    keep: int = 1000
    requests: deque[Seen] = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    denials: list[Refusal] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    lock: Any = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _unsent: dict[int, Redemption] = field(default_factory=dict)  # by the number of the request

    def __post_init__(self) -> None:
        self.requests = deque(maxlen=self.keep)

    def saw(self, incoming: Incoming) -> Seen:
        with self.lock:
            seen = Seen(next(self._numbers), time.time(), incoming.method, incoming.path, incoming.host,
                        incoming.headers, incoming.body)  # fmt: skip
            self.requests.append(seen)
            return seen

    def count(self, seen: Seen, operation: str) -> None:
        with self.lock:
            seen.operation = operation
            self.counts[operation] += 1

    def refuse(self, book: list[Refusal], row: str, status: int, message: str, seen: Seen) -> None:
        """`book`: refusals or denials."""
        with self.lock:
            book.append(Refusal(row, status, message, seen.number))

    def redeemed(self, seen: Seen, account: str, generation: int, outcome: str) -> None:
        with self.lock:
            seen.account = account
            entry = Redemption(time.time(), account, generation, outcome, seen.number)
            self.ledger.append(entry)
            self._unsent[seen.number] = entry

    def sent(self, seen: Seen) -> None:
        """The answer to a request has been written."""
        with self.lock:
            if entry := self._unsent.pop(seen.number, None):
                entry.delivered = True

    def forget(self, seen: Seen) -> None:
        """A request to the twin itself is none of the service's."""
        with self.lock, contextlib.suppress(ValueError):
            self.requests.remove(seen)

    def of(self, operation: str) -> list[Seen]:
        with self.lock:
            return [seen for seen in self.requests if seen.operation == operation]

    def clear(self) -> None:
        with self.lock:
            for part in (self.requests, self.counts, self.refusals, self.denials, self.ledger, self._unsent):
                part.clear()

    def as_json(self) -> Json:
        with self.lock:
            return {
                "counts": dict(self.counts),
                "requests": [seen.as_json() for seen in self.requests],
                "refusals": [asdict(entry) for entry in self.refusals],
                "denials": [asdict(entry) for entry in self.denials],
                "ledger": [asdict(entry) for entry in self.ledger],
                "reuses": self.ledger.reuses,
                "gone": [{"number": seen.number, "at": seen.gone, "frames": seen.frames}
                         for seen in self.requests if seen.gone],
            }  # fmt: skip
