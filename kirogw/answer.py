"""What comes back, in our own words: a flat run of events, and the same collected into one value.

Events carry the number of their part instead of start and stop marks: a new number closes the part before it. Numbers
start at 0 and only grow, but tool calls may interleave: a CallDelta names its call's part. A failure is no event: it
is raised (see errors). Events are plain slotted dataclasses, not frozen: making a frozen one costs five times as much,
and one is made for every delta. Nobody changes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kirogw.wire import Json

Reason: TypeAlias = Literal["end", "calls", "stop_sequence", "max_tokens", "window", "refusal", "pause"]


@dataclass(slots=True)
class TextDelta:
    part: int
    text: str


@dataclass(slots=True)
class TextPhase:
    """What the text `part` is to be: commentary or final_answer. Before its text, if at all."""

    part: int
    phase: str


@dataclass(slots=True)
class Citation:
    """The text `part` cites a page, from `start` to `end` (characters of the part)."""

    part: int
    url: str
    title: str
    start: int
    end: int


@dataclass(slots=True)
class ThoughtDelta:
    part: int
    text: str


@dataclass(slots=True)
class ThoughtSeal:
    """The seal of the thought `part`, whole. It may be the only event of its part (thinking that is not shown)."""

    part: int
    seal: str


@dataclass(slots=True)
class HiddenThought:
    """A thought that nobody may read: a part of its own."""

    part: int
    seal: str


@dataclass(slots=True)
class NativeItem:
    """An item of the Responses API that has no other word here: a part of its own. Faces of other APIs leave it out."""

    part: int
    item: Json


@dataclass(slots=True)
class CallStart:
    part: int
    id: str
    name: str  # as the client knows it: conversation.Tool.name


@dataclass(slots=True)
class CallDelta:
    """A fragment of the arguments' JSON text, as it came; a call without any has the arguments `{}`."""

    part: int
    json: str


@dataclass(slots=True)
class SearchCall:
    """The gateway searches the web for the model: a part of its own, followed by its SearchResult."""

    part: int
    id: str
    query: str


@dataclass(slots=True)
class SearchResult:
    """`results`: objects with title, url, snippet and, if known, page_age. `error`: a code when the search failed."""

    part: int
    id: str
    results: list[Json]
    error: str = ""


@dataclass(slots=True)
class Usage:
    """Tokens of the whole request, and its price.

    `input` counts all input, cached or not; `source` says where the figures come from.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0
    credits: float = 0.0
    searches: int = 0
    source: Literal["measured", "derived", "estimated"] = "estimated"


@dataclass(slots=True)
class Stop:
    """The answer is whole, or ended for a reason that the client must hear. Always the last event but Usage."""

    reason: Reason
    sequence: str = ""  # the stop sequence that was met
    detail: str = ""  # the provider's own words, for a refusal


Event: TypeAlias = (
    TextDelta | TextPhase | Citation | ThoughtDelta | ThoughtSeal | HiddenThought | NativeItem | CallStart | CallDelta
    | SearchCall | SearchResult | Usage | Stop
)  # fmt: skip


class Beat:
    """Nothing came for a while, and the client should hear that we live. There is one, BEAT."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "BEAT"


BEAT = Beat()


@dataclass(slots=True)
class Block:
    """One part of a collected answer; `kind` says which members matter."""

    kind: Literal["text", "thought", "hidden", "native", "call", "search", "results"]
    text: str = ""  # text, thought; the arguments' JSON of a call; the query of a search
    seal: str = ""
    id: str = ""
    name: str = ""
    results: list[Json] = field(default_factory=list)
    error: str = ""
    phase: str = ""  # of a text
    citations: list[Citation] = field(default_factory=list)  # of a text
    item: Json = field(default_factory=dict)  # of kind native


@dataclass(slots=True)
class Answer:
    """A whole answer: the stream, collected."""

    blocks: list[Block]
    stop: Stop
    usage: Usage


def collect(events: Iterable[Event]) -> Answer:
    """The same answer as one value; blocks in order of their part numbers' first appearance."""
    blocks: dict[int, Block] = {}
    pieces: dict[int, list[str]] = {}
    stop, usage = Stop("end"), Usage()
    for event in events:
        match event:
            case TextDelta(part, text):
                blocks.setdefault(part, Block("text"))
                pieces.setdefault(part, []).append(text)
            case TextPhase(part, phase):
                blocks.setdefault(part, Block("text")).phase = phase
            case Citation(part):
                blocks.setdefault(part, Block("text")).citations.append(event)
            case NativeItem(part, item):
                blocks[part] = Block("native", item=item)
            case ThoughtDelta(part, text):
                blocks.setdefault(part, Block("thought"))
                pieces.setdefault(part, []).append(text)
            case ThoughtSeal(part, seal):
                blocks.setdefault(part, Block("thought")).seal = seal
            case HiddenThought(part, seal):
                blocks[part] = Block("hidden", seal=seal)
            case CallStart(part, id_, name):
                blocks[part] = Block("call", id=id_, name=name)
            case CallDelta(part, json):
                pieces.setdefault(part, []).append(json)
            case SearchCall(part, id_, query):
                blocks[part] = Block("search", text=query, id=id_)
            case SearchResult(part, id_, results, error):
                blocks[part] = Block("results", id=id_, results=results, error=error)
            case Stop():
                stop = event
            case Usage():
                usage = event
    for part, texts in pieces.items():
        blocks[part].text = "".join(texts)
    return Answer(list(blocks.values()), stop, usage)
