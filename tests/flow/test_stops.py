from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.answer import CallDelta, CallStart, HiddenThought, Stop, TextDelta, ThoughtDelta, Usage, collect
from kirogw.flow.stops import Stops

END = [Usage(9, 9, source="measured"), Stop("end")]


def run(batches, sequences, end=END):
    """All events that the filter lets through, and whether it ended the answer itself."""
    stops, got = Stops(sequences, len, 7), []
    for batch in batches:
        got += stops.feed(batch)
        if stops.done:
            assert stops.feed(batch) == [] and stops.feed(end) == []
            return got, True
    return got + stops.feed(end), stops.done


def text(*pieces, part=0):
    return [[TextDelta(part, piece)] for piece in pieces]


ROWS = [
    # text, sequences, what is left, the sequence met
    pytest.param("one STOP two", ("STOP",), "one ", "STOP", id="met"),
    pytest.param("one STO two", ("STOP",), "one STO two", "", id="not met"),
    pytest.param("one STO", ("STOP",), "one STO", "", id="half at the end"),
    pytest.param("STOP", ("STOP",), "", "STOP", id="at once"),
    pytest.param("aab", ("ab",), "a", "ab", id="a false start before"),
    pytest.param("xabcx", ("abc", "b"), "xa", "b", id="complete first"),
    pytest.param("xabcx", ("bc", "abc"), "x", "abc", id="together: the longer"),
    pytest.param("a\n\nHuman: b", ("\n\nHuman:", "\n\nAI:"), "a", "\n\nHuman:", id="line breaks"),
    pytest.param("abc", ("",), "abc", "", id="an empty one is none"),
    pytest.param("", ("x",), "", "", id="no text"),
]


@pytest.mark.parametrize(("said", "sequences", "left", "met"), ROWS)
def test_the_text_is_cut_exactly_in_any_cut(said, sequences, left, met):
    for pieces in ([said], list(said), *([said[:n], said[n:]] for n in range(len(said)))):
        got, done = run(text(*pieces), sequences)
        answer = collect(got)
        assert "".join(block.text for block in answer.blocks) == left
        assert done == bool(met)
        assert answer.stop == (Stop("stop_sequence", met) if met else Stop("end"))
        assert answer.usage == (Usage(7, len(left), source="estimated") if met else END[0])


def test_only_what_may_go_on_is_held_back():
    stops = Stops(("STOP",), len, 0)
    assert stops.feed([TextDelta(0, "one ST")]) == [TextDelta(0, "one ")]
    assert stops.feed([TextDelta(0, "O")]) == []
    assert stops.feed([TextDelta(0, "RE")]) == [TextDelta(0, "STORE")]
    whole = TextDelta(0, "plain")
    assert stops.feed([whole])[0] is whole


def test_only_text_is_searched_and_each_part_alone():
    events = [
        [ThoughtDelta(0, "STOP"), TextDelta(1, "ST")], [TextDelta(2, "OP ST"), CallStart(3, "t", "f")],
        [CallDelta(3, "STOP")], [HiddenThought(4, "STOP"), TextDelta(5, "S")],
    ]  # fmt: skip
    got, done = run(events, ("STOP",))
    assert not done
    assert got == [
        ThoughtDelta(0, "STOP"), TextDelta(1, "ST"), TextDelta(2, "OP "), TextDelta(2, "ST"), CallStart(3, "t", "f"),
        CallDelta(3, "STOP"), HiddenThought(4, "STOP"), TextDelta(5, "S"), *END,
    ]  # fmt: skip


def test_usage_counts_what_was_let_through():
    got, _ = run([[ThoughtDelta(0, "abc"), TextDelta(1, "de"), CallStart(2, "t", "f"), CallDelta(2, "{}"),
                   TextDelta(3, "fSTOPg"), TextDelta(3, "h")]], ("STOP",))  # fmt: skip
    assert got[-2:] == [Usage(7, 8, thinking=3), Stop("stop_sequence", "STOP")]


def test_the_sources_own_end_is_not_the_filters():
    got, done = run([[TextDelta(0, "S"), *END]], ("STOP",), end=[])
    assert got == [TextDelta(0, "S"), *END] and not done


@settings(max_examples=200, deadline=None)
@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_it_ends_where_a_sequence_is_first_complete(said, sequences, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=5)))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    left, met = said, ""
    for n in range(len(said) + 1):
        if ends := [one for one in sequences if said[:n].endswith(one)]:
            met = max(ends, key=len)
            left = said[: n - len(met)]
            break
    got, _ = run(text(*pieces), tuple(sequences))
    answer = collect(got)
    assert ("".join(block.text for block in answer.blocks), answer.stop.sequence) == (left, met)
