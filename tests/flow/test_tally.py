"""A long answer in short pieces takes little more memory than its text, whoever listens to it."""

from __future__ import annotations

import tracemalloc

import pytest

from kirogw.answer import CallDelta, CallStart, TextDelta, ThoughtDelta
from kirogw.conversation import Conversation
from kirogw.convert import FACES
from kirogw.dialects.face import Ask, Heading
from kirogw.dialects.kiro.answer import Reader
from kirogw.dialects.provider import Model
from kirogw.flow.limit import Limit, OneCall
from kirogw.flow.stops import Stops
from kirogw.flow.tally import MANY, Tally, fold
from tests.dialects.codex.talk import new as codex
from tests.dialects.codex.talk import text
from tests.frames import event

PIECES = [f"{n:05d}" for n in range(4000)]  # 20 KB; apart, each would take 64 bytes and more


@pytest.mark.parametrize("count", [0, 1, MANY, MANY + 1, 3 * MANY])
def test_pieces_that_are_folded_say_the_same(count):
    pieces = PIECES[:count]
    fold(pieces)
    assert "".join(pieces) == "".join(PIECES[:count])
    assert len(pieces) == (count if count <= MANY else 1)


def kiro():
    reader = Reader(Model("claude-sonnet-4.6"), names={}, count=len, estimate=50)
    return lambda piece: reader.receive(event("assistantResponseEvent", {"content": piece}))


def kiros_call():
    reader = Reader(Model("claude-sonnet-4.6"), names={}, count=len, estimate=50)
    return lambda piece: reader.receive(event("toolUseEvent", {"toolUseId": "t1", "name": "write", "input": piece}))


def chatgpt():
    reader = codex()
    return lambda piece: reader.receive(text(0, piece))


def filtering(filter_, kind=TextDelta):
    return lambda: lambda piece: filter_.feed([kind(0, piece)])


def writing(face, kind=TextDelta):
    def make():
        writer = FACES[face].writer(Heading("1", "m", 0, 1), Ask(Conversation("m", ())))
        if kind is CallDelta:
            writer.write([CallStart(0, "c1", "write")])
        return lambda piece: writer.write([kind(0, piece)])

    return make


LISTENERS = [
    pytest.param(kiro, id="Kiro's reader"),
    pytest.param(kiros_call, id="a call of Kiro's"),
    pytest.param(chatgpt, id="ChatGPT's reader"),
    pytest.param(filtering(Limit(100_000, len, 7)), id="limit"),
    pytest.param(filtering(Limit(100_000, len, 7), ThoughtDelta), id="limit of thinking"),
    pytest.param(filtering(Stops(("never",), len, 7)), id="stops"),
    pytest.param(filtering(OneCall(len, 7)), id="one call"),
    *(pytest.param(writing(face, kind), id=f"{face}, {kind.__name__}")
      for face in ("chat", "messages", "responses") for kind in (TextDelta, ThoughtDelta, CallDelta)),
]


@pytest.mark.parametrize("make", LISTENERS)
def test_a_long_answer_takes_little_more_than_its_text(make):
    feed = make()
    for piece in PIECES[:MANY]:
        feed(piece)
    tracemalloc.start()
    for n in range(len(PIECES)):
        feed(f"{n:05d}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 120_000


def test_what_was_said_is_counted_whole():
    tally = Tally(len, 7)
    for n in range(100):
        tally.add(TextDelta(0, str(n)))
        tally.fold()
    assert tally.ending("max_tokens")[0].output == len("".join(map(str, range(100))))
