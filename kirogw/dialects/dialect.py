"""What a face and a provider are: the seams between the client's JSON, our words and the upstream's JSON.

A face is an API that clients speak. A provider is an upstream. Both are pure: no I/O, no clock, no chance; ids and
times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from kirogw.answer import Answer, Event
from kirogw.conversation import Conversation
from kirogw.errors import GatewayError
from kirogw.wire import Json

Client: TypeAlias = Literal["claude", "codex", "opencode", "other"]
"""Who asks, by the User-Agent, where the same error must be said in other words or with another status."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as a face read it: the conversation, and what only that face must know to write the answer.

    `usage`: whether a stream ends with a usage chunk (Chat's `stream_options.include_usage`; always so in Messages).
    `echo`: members of the request that the answer repeats.
    """

    conversation: Conversation
    stream: bool = False
    usage: bool = True
    echo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands at the head of an answer. `id` is 24 letters and digits, without the face's prefix; `created` is in
    whole seconds; `model` is the name that the client used; `input` is the count of input tokens as first estimated.
    """

    id: str
    model: str
    created: int
    input: int


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error as HTTP. `headers` are those that belong to the error (Retry-After, x-should-retry)."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


class Writer(Protocol):
    """Writes one streamed answer. Each method gives the bytes to send at once, possibly none.

    `begin` once, before all else (also before a beat); then `write` with the events of each read, in order, and `beat`
    whenever nothing came for a while; at last either `end` (after a Stop event) or `fail`, which must not look like a
    finished answer to any client.
    """

    def begin(self) -> bytes: ...

    def write(self, events: list[Event]) -> bytes: ...

    def beat(self) -> bytes: ...

    def end(self) -> bytes: ...

    def fail(self, error: GatewayError) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Face:
    """`read` takes the parsed body and the headers (lower-case names), and raises BadRequest with the field's path.

    `whole` is the answer that is not streamed. `error` is any error, for a client, with our request id.
    """

    name: str
    read: Callable[[Json, Mapping[str, str]], Ask]
    writer: Callable[[Heading, Ask], Writer]
    whole: Callable[[Answer, Heading, Ask], Json]
    error: Callable[[GatewayError, Client, str], ErrorReply]


@dataclass(frozen=True, slots=True)
class Login:
    """What a provider may see of an account: a bearer token that is fresh, and where it belongs.

    `kind` decides the TokenType header; `profile` is the profile ARN or ""; `region` the API region; `machine` the 64
    hex digits of the account's one machine id.
    """

    kind: Literal["social", "idc", "builder", "external", "key"]
    token: str = field(repr=False)
    profile: str = ""
    region: str = "us-east-1"
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the upstream's catalogue describes it. `window` and `max_output` are in tokens.

    `fields` is the schema of `additionalModelRequestFields`, None when the model takes none.
    """

    id: str
    name: str = ""
    window: int = 200_000
    max_output: int | None = None
    images: bool = True
    fields: Json | None = None
    rate: float | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A part of what an account may use, in credits (or in percent, where a provider tells no more). `resets_at`: epoch
    seconds when it is full again, or gone; None when nobody knows.
    """

    name: str  # plan, trial, bonus WELCOME...
    used: float
    limit: float
    resets_at: float | None = None

    @property
    def left(self) -> float:
        return max(0.0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account has left, as its provider told at `asked_at` (epoch seconds). Only buckets that count now.

    With `overage` the account serves beyond its buckets, up to `overage_cap` credits (None: no cap is known), of which
    `overage_used` are used. No buckets at all mean that nothing is known, never that nothing is left.
    """

    asked_at: float
    buckets: tuple[Bucket, ...] = ()
    plan: str = ""
    overage: bool = False
    overage_cap: float | None = None
    overage_used: float = 0.0
    resets_at: float | None = None
    email: str = field(default="", repr=False)
    user: str = field(default="", repr=False)

    @property
    def left(self) -> float | None:
        """Credits left in all buckets; None when it is not known."""
        return sum(bucket.left for bucket in self.buckets) if self.buckets else None

    @property
    def exhausted(self) -> bool:
        if self.left is None or self.left > 0:
            return False
        return not self.overage or (self.overage_cap is not None and self.overage_used >= self.overage_cap)


Again: TypeAlias = Literal["", "same", "refresh", "profile", "unsealed", "plain"]
"""How to ask the same account once more: as it was; with a renewed token; with the profile looked up anew; without the
thoughts of earlier turns; without additionalModelRequestFields."""

Fate: TypeAlias = Literal["", "slow", "exhausted", "suspended", "login", "attention", "lacks"]
"""What a failure says about the account: nothing; rate limited; out of credits; locked; must sign in; its owner must
look at it; it lacks this model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed call means. The error is what the client hears if nothing else helps.

    `again` up to `tries` times after a pause between `waits[0]` and `waits[1]` seconds (doubling); then, if `host`,
    once at the next host; then, if `elsewhere`, with another account. Only while nothing has reached the client.
    `hint` is how long the upstream itself asked to be left alone, in seconds.
    """

    error: GatewayError
    rule: str  # the name of the row of the table that was met
    again: Again = ""
    tries: int = 0
    waits: tuple[float, float] = (0.0, 0.0)
    host: bool = False
    elsewhere: bool = False
    fate: Fate = ""
    hint: float = 0.0


class Refused(Exception):
    """The upstream failed, before its answer began or in the middle of it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.error))
        self.verdict = verdict


class Reader(Protocol):
    """Reads one answer of a provider. `receive` takes bytes in any cut and gives the events that they complete; `close`
    is called when the bytes have ended as they should, and gives the last events, among them Usage and Stop.

    Both raise Refused when the upstream says so or the bytes are no whole answer.
    """

    def receive(self, data: bytes) -> list[Event]: ...

    def close(self) -> list[Event]: ...
