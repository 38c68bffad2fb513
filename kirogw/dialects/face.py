"""What a face is: an API that clients speak. Between the client's JSON and our words.

Faces are pure: no I/O, no clock, no chance; ids and times come in as arguments.
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
