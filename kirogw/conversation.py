"""What a client asks, in our own words. Values only: every dialect reads into these and writes from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from kirogw.wire import Json

Role: TypeAlias = Literal["user", "model", "system"]


Kind: TypeAlias = Literal["function", "custom", "shell", "search"]
"""What a tool is beside a function: `custom` takes free text, `shell` is OpenAI's local_shell, `search` finds tools for
the client. For whoever knows none of these each is a function too, whose arguments are a JSON object: `{"input": TEXT}`
of a custom tool, the action of a shell, the arguments of a search."""


@dataclass(frozen=True, slots=True)
class Text:
    """`phase`: commentary or final_answer, where the model's provider tells them apart."""

    text: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture. `data` is base64 (without a `data:` prefix); a picture given by `url` has none until it is fetched.
    `at` is its path in the client's request, for messages about it. `detail`: how closely it is to be looked at, in
    OpenAI's words: low, high, auto, original, or "".
    """

    data: str = ""
    media: str = ""  # as the client declared it, such as image/png; the bytes decide (rules.images_are_sniffed)
    url: str = ""
    detail: str = ""
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
    """The model called a tool. `input` is the parsed object; `raw` keeps arguments that are no JSON object. `name`,
    `namespace` and `kind` as in Tool. `text`: the JSON that `input` was parsed from, where it came as such: it may hold
    what parsing loses, such as the digits of a large number. Whoever changes `input` takes it away.
    """

    id: str
    name: str
    input: Json = field(default_factory=dict)
    raw: str | None = None
    namespace: str = ""
    kind: Kind = "function"
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back for the call with the id `call`; parts are Text, Image or Document."""

    call: str
    parts: tuple[Part, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Native:
    """What only the Responses API has a word for, such as a compaction: its item as it came. A provider that speaks
    that API gets it back untouched; to others it says nothing.
    """

    item: Json


Part: TypeAlias = Text | Image | Document | Thought | Call | Result | Native


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client offers. `schema` is the JSON Schema of its input, as the client sent it.

    `name` tells it from all others: that of a tool in a `namespace` is the namespace, two underscores and the name that
    it has there. `native` is the definition in the Responses API of what is more than a function; `schema` serves all
    others. `strict`: as the client asked, None when it did not say.
    """

    name: str
    description: str = ""
    schema: Json = field(default_factory=dict)
    kind: Kind = "function"
    namespace: str = ""
    native: Json | None = None
    strict: bool | None = None

    @property
    def bare(self) -> str:
        """The name within the namespace."""
        return self.name.removeprefix(f"{self.namespace}__") if self.namespace else self.name


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

    `budget` is in tokens. `shown` False: the client wants the seal but not the text. `summary`: auto, concise, detailed
    or none, how much of it OpenAI is to tell; "" where the client's API has no such wish.
    """

    mode: Literal["default", "on", "adaptive", "off"] = "default"
    effort: str = ""
    budget: int | None = None
    shown: bool = True
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """The answer's text must be JSON: any object (`schema` None) or one that fits `schema`. `param` is the path of that
    schema in the client's request, for messages about it.
    """

    schema: Json | None = None
    name: str = ""
    strict: bool | None = None
    param: str = field(default="", compare=False)


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
    `left_out` names the server tools that the client asked for and that the gateway does not have. `options` are wishes
    that some provider knows, under OpenAI's names: temperature, top_p, verbosity, service_tier, prompt_cache_key...
    Each provider has a table of those that it takes, and leaves out the rest.
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
    options: Mapping[str, Any] = field(default_factory=dict)
