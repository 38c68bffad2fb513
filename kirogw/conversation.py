"""What a client asks, in our own words. Values only: every dialect reads into these and writes from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kirogw.wire import Json

Role: TypeAlias = Literal["user", "model", "system"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture. `data` is base64 (without a `data:` prefix); a picture given by `url` has none until it is fetched.
    `at` is its path in the client's request, for messages about it.
    """

    data: str = ""
    media: str = ""  # as the client declared it, such as image/png; the bytes decide (rules.images_are_sniffed)
    url: str = ""
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A file for the model to read: `data` is base64, or `text` is its text, or `url` where it lies. `at` as above."""

    name: str
    media: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Thought:
    """The model's thinking from an earlier turn.

    `seal` is what the provider needs to believe it: an opaque string made by that provider's reader, handed to the
    client as the thinking block's signature (or as the data of a redacted block) and coming back untouched.
    `hidden` marks a redacted block: no text, only the seal.
    """

    text: str
    seal: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """The model called a tool. `input` is the parsed object; `raw` keeps arguments that are no JSON object."""

    id: str
    name: str
    input: Json = field(default_factory=dict)
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back for the call with the id `call`; parts are Text, Image or Document."""

    call: str
    parts: tuple[Part, ...] = ()
    failed: bool = False


Part: TypeAlias = Text | Image | Document | Thought | Call | Result


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client offers. `schema` is the JSON Schema of its input, as the client sent it."""

    name: str
    description: str = ""
    schema: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """May, must or must not the model call a tool: auto, none, any, or the one in `name`; `parallel`: several at once.

    `allowed`, when not empty, are the names of the only tools that may be called.
    """

    mode: Literal["auto", "none", "any", "named"] = "auto"
    name: str = ""
    parallel: bool = True
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thinking:
    """The client's wish. `default`: it said nothing. `effort`: none, minimal, low, medium, high, xhigh, max or "".

    `budget` is in tokens. `shown` False: the client wants the seal but not the text.
    """

    mode: Literal["default", "on", "adaptive", "off"] = "default"
    effort: str = ""
    budget: int | None = None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Format:
    """The answer's text must be JSON: any object (`schema` None) or one that fits `schema`."""

    schema: Json | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """The client asked for the server tool `web_search`. `forced`: it must be used, and is the only tool."""

    max_uses: int | None = None
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole request. `model` is the name as the client wrote it; `turns` oldest first.

    `system` are the blocks of the system prompt, in order. `session` is a key that stays the same through one session
    of the client ("" when it gives none). `max_tokens` limits the answer, thinking and tool arguments included.
    `left_out` names the server tools that the client asked for and that the gateway does not have.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    thinking: Thinking = Thinking()
    format: Format | None = None
    search: Search | None = None
    session: str = ""
    left_out: tuple[str, ...] = ()
