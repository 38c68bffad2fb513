from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.answer import CallDelta, CallStart, Stop, TextDelta, ThoughtDelta, ThoughtSeal, Usage, collect
from kirogw.flow.limit import Limit, OneCall

END = [Usage(9, 9, source="measured"), Stop("end")]


def words(text):
    """A tokenizer: runs of letters or of anything else, four characters at most."""
    return len(re.findall(r"\w{1,4}|\W{1,4}", text))


def run(filter_, batches, end=END):
    got = []
    for batch in batches:
        got += filter_.feed(batch)
        if filter_.done:
            assert filter_.feed(batch) == [] and filter_.feed(end) == []
            return got
    return got + filter_.feed(end)


ROWS = [
    # tokens allowed, events, what is let through
    pytest.param(5, [TextDelta(0, "abcde")], [TextDelta(0, "abcde"), *END], id="all of it"),
    pytest.param(4, [TextDelta(0, "abcde")], [TextDelta(0, "abcd"), Usage(7, 4), Stop("max_tokens")], id="cut"),
    pytest.param(3, [TextDelta(0, "abc"), TextDelta(0, "d")], [TextDelta(0, "abc"), Usage(7, 3), Stop("max_tokens")],
                 id="nothing of the last"),
    pytest.param(4, [ThoughtDelta(0, "abc"), ThoughtSeal(0, "s"), TextDelta(1, "def")],
                 [ThoughtDelta(0, "abc"), ThoughtSeal(0, "s"), TextDelta(1, "d"), Usage(7, 4, thinking=3),
                  Stop("max_tokens")], id="thinking counts"),
    pytest.param(2, [ThoughtDelta(0, "abc"), TextDelta(1, "x")],
                 [ThoughtDelta(0, "ab"), Usage(7, 2, thinking=2), Stop("max_tokens")], id="cut in thinking"),
    pytest.param(6, [TextDelta(0, "ab"), CallStart(1, "t", "f"), CallDelta(1, '{"a":'), CallDelta(1, "1}")],
                 [TextDelta(0, "ab"), CallStart(1, "t", "f"), CallDelta(1, '{"a"'), Usage(7, 6), Stop("max_tokens")],
                 id="arguments are a stump"),
    pytest.param(2, [TextDelta(0, "ab"), CallStart(1, "t", "f"), CallDelta(1, "{}")],
                 [TextDelta(0, "ab"), Usage(7, 2), Stop("max_tokens")], id="no call without room"),
    pytest.param(2, [CallStart(0, "t", "f"), CallDelta(0, "{}"), TextDelta(1, "a")],
                 [CallStart(0, "t", "f"), CallDelta(0, "{}"), Usage(7, 2), Stop("max_tokens")], id="a whole call stays"),
    pytest.param(2, [CallStart(0, "t", "f"), CallStart(1, "u", "g"), CallDelta(0, "{}"), CallDelta(1, "{}")],
                 [CallStart(0, "t", "f"), CallStart(1, "u", "g"), CallDelta(0, "{}"), CallDelta(1, "{"), Usage(7, 3),
                  Stop("max_tokens")], id="never a call with no arguments at all"),
    pytest.param(3, [CallStart(0, "t", "f"), CallDelta(0, "{}"), CallDelta(0, "  ")],
                 [CallStart(0, "t", "f"), CallDelta(0, "{}"), CallDelta(0, " "), Usage(7, 3), Stop("max_tokens")],
                 id="behind the arguments"),
]  # fmt: skip


@pytest.mark.parametrize(("tokens", "events", "got"), ROWS)
def test_so_many_tokens_and_no_more(tokens, events, got):
    assert run(Limit(tokens, len, 7), [events]) == got
    assert run(Limit(tokens, len, 7), [[event] for event in events]) == got


@given(st.lists(st.builds(lambda thinks, text: (ThoughtDelta if thinks else TextDelta)(0, text), st.booleans(),
                          st.text("aé€😀", min_size=1, max_size=9)), min_size=1), st.integers(1, 60))  # fmt: skip
def test_what_is_told_at_the_end_is_what_was_given(events, tokens):
    """Though the answer is counted in pieces, and only the last of them is still there at the end."""
    *got, usage, stop = run(Limit(tokens, len, 7), [[event] for event in events], end=END)
    if stop == Stop("max_tokens"):
        said = {kind: sum(len(event.text) for event in got if type(event) is kind) for kind in (TextDelta, ThoughtDelta)}
        assert usage == Usage(7, sum(said.values()), thinking=said[ThoughtDelta])
        assert usage.output == tokens


def test_nothing_is_counted_far_from_the_limit():
    counted = []

    def count(text):
        counted.append(text)
        return words(text)

    limit = Limit(1000, count, 0)
    for _ in range(100):
        delta = TextDelta(0, "ten bytes ")
        assert limit.feed([delta])[0] is delta
    assert counted == []
    for _ in range(400):
        limit.feed([TextDelta(0, "word. ")])
        if limit.done:
            break
    assert len(counted) < 60
    assert sum(map(len, counted)) < 8 * 3400


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([TextDelta, ThoughtDelta]), st.text("ab é.🙂", min_size=1, max_size=20)), max_size=12),
       st.integers(1, 40))  # fmt: skip
def test_it_is_a_prefix_within_the_limit(made, tokens):
    events = [kind(n, text) for n, (kind, text) in enumerate(made)]
    got = run(Limit(tokens, lambda text: len(text.encode()), 7), [[event] for event in events])
    said, heard = ("".join(e.text for e in some if not isinstance(e, Usage | Stop)) for some in (events, got))
    size = len(said.encode())
    assert said.startswith(heard)
    if size <= tokens:
        assert got == [*events, *END]
    else:
        assert got[-1] == Stop("max_tokens") and got[-2].output == len(heard.encode()) <= tokens
        assert len(said[: len(heard) + 1].encode()) > tokens  # not one character more would have fitted


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab .", min_size=1, max_size=9), max_size=40), st.integers(1, 30))
def test_a_real_tokenizers_limit(texts, tokens):
    got = run(Limit(tokens, words, 7), [[TextDelta(0, text)] for text in texts])
    answer = collect(got)
    heard = "".join(block.text for block in answer.blocks)
    assert words(heard) <= tokens
    assert (answer.stop.reason == "end") == (heard == "".join(texts))


CALL = [CallStart(0, "t", "f"), CallDelta(0, '{"a":'), CallDelta(0, "1}")]
MORE = [CallStart(1, "u", "g"), CallDelta(1, "{}")]
ROWS = [
    # events, what is let through
    pytest.param([*CALL, *END], [*CALL, *END], id="one"),
    pytest.param([*CALL, *MORE, TextDelta(2, "x")], [*CALL, Usage(7, 7), Stop("calls")], id="the second ends it"),
    pytest.param([TextDelta(9, "x"), *END], [TextDelta(9, "x"), *END], id="none"),
    pytest.param([CALL[0], MORE[0], CALL[1], MORE[1], CALL[2], *END], [*CALL, *END], id="interleaved"),
    pytest.param([CALL[0], MORE[0], *CALL[1:], MORE[1]], [*CALL, Usage(7, 7), Stop("calls")],
                 id="interleaved, ends when the first is whole"),
    pytest.param([CALL[0], *MORE, Usage(1, 2), Stop("calls")], [CALL[0], Usage(1, 2), Stop("calls")],
                 id="the first has no arguments"),
    pytest.param([*CALL[:2], MORE[0], CALL[2], Usage(1, 2), Stop("max_tokens")], [*CALL, Usage(1, 2), Stop("calls")],
                 id="only the second is a stump"),
    pytest.param([*CALL[:2], *MORE, Usage(1, 2), Stop("max_tokens")], [*CALL[:2], Usage(1, 2), Stop("max_tokens")],
                 id="the first is a stump"),
    pytest.param([CALL[0], CALL[0], *CALL[1:], *END], [CALL[0], *CALL, *END], id="the same call begun twice"),
]  # fmt: skip


@pytest.mark.parametrize(("events", "got"), ROWS)
def test_one_call_at_a_time(events, got):
    assert run(OneCall(len, 7), [events], []) == got
    assert run(OneCall(len, 7), [[event] for event in events], []) == got
