"""The answer that is not streamed: the response object that its stream would end with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from kirogw.answer import (
    Answer,
    Block,
    CallDelta,
    CallStart,
    Citation,
    Event,
    HiddenThought,
    NativeItem,
    SearchCall,
    SearchResult,
    TextDelta,
    TextPhase,
    ThoughtDelta,
    ThoughtSeal,
)
from kirogw.dialects.face import Ask, Heading
from kirogw.dialects.responses.answer import AnswerWriter
from kirogw.dialects.responses.chain import shown
from kirogw.wire import Json


def whole(answer: Answer, heading: Heading, ask: Ask) -> Json:
    response = kept(answer, heading, ask)
    return response if ask.echo.get("seals") else shown(response, ())


def kept(answer: Answer, heading: Heading, ask: Ask) -> Json:
    """The same with its seals, whether or not the client asked for them."""
    writer = AnswerWriter(heading, ask)
    writer.write([event for part, block in enumerate(answer.blocks) for event in BLOCKS[block.kind](part, block)])
    writer.write([answer.usage, answer.stop])
    writer.end()
    return writer.response()


def _text_events(part: int, block: Block) -> Iterator[Event]:
    if block.phase:
        yield TextPhase(part, block.phase)
    if block.text:
        yield TextDelta(part, block.text)
    for citation in block.citations:
        yield Citation(part, citation.url, citation.title, citation.start, citation.end)


def _thought_events(part: int, block: Block) -> Iterator[Event]:
    if block.text:
        yield ThoughtDelta(part, block.text)
    if block.seal or not block.text:
        yield ThoughtSeal(part, block.seal)


def _call_events(part: int, block: Block) -> Iterator[Event]:
    yield CallStart(part, block.id, block.name)
    if block.text:
        yield CallDelta(part, block.text)


BLOCKS: Final[dict[str, Callable[[int, Block], Iterable[Event]]]] = {
    # the events that a block was collected from
    "text": _text_events, "thought": _thought_events, "call": _call_events,
    "hidden": lambda part, block: (HiddenThought(part, block.seal),),
    "native": lambda part, block: (NativeItem(part, block.item),),
    "search": lambda part, block: (SearchCall(part, block.id, block.text),),
    "results": lambda part, block: (SearchResult(part, block.id, block.results, block.error),),
}  # fmt: skip
