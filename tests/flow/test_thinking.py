from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.flow.thinking import TAGS, Thinking


def split(pieces, handling="as_reasoning_content"):
    """The thinking, the text, and what was removed."""
    parser = Thinking(handling)
    got = [piece for text in pieces for piece in parser.feed(text)] + parser.finish()
    assert all(text for _, text in got)
    assert parser.done
    thought, plain = ("".join(text for is_thought, text in got if is_thought is kind) for kind in (True, False))
    return thought, plain, "".join(parser.removed)


ROWS = [
    # the text, its thinking, the rest
    pytest.param("<thinking>plan</thinking>\n\nHello", "plan", "\n\nHello", id="a block"),
    pytest.param("\n <thinking>\nplan\n\nmore\n</thinking>Hello", "plan\n\nmore", "Hello", id="space around"),
    pytest.param("<think>a</think>b", "a", "b", id="think"),
    pytest.param("<reasoning>a</reasoning>b", "a", "b", id="reasoning"),
    pytest.param("<thought>a</thought>b", "a", "b", id="thought"),
    pytest.param("<thinking>a</think>b</thinking>c", "a</think>b", "c", id="another tag inside"),
    pytest.param("<thinking>a</thinking>b<thinking>c</thinking>", "a", "b<thinking>c</thinking>", id="one block only"),
    pytest.param("So <thinking> is a tag", "", "So <thinking> is a tag", id="not at the start"),
    pytest.param("<thinker>a</thinker>", "", "<thinker>a</thinker>", id="no tag of ours"),
    pytest.param("<thinking>never closed </thin", "never closed </thin", "", id="never closed"),
    pytest.param("<thinking>a\n", "a\n", "", id="never closed, line break"),
    pytest.param("<thinking></thinking>", "", "", id="empty block"),
    pytest.param("  \n ", "", "  \n ", id="only space"),
    pytest.param("<thi", "", "<thi", id="half a tag"),
    pytest.param("", "", "", id="nothing"),
]


@pytest.mark.parametrize(("text", "thought", "plain"), ROWS)
def test_a_block_is_cut_out_in_any_cut(text, thought, plain):
    for n in range(len(text) + 1):
        assert split([text[:n], text[n:]]) == (thought, plain, "")
    assert split(text) == (thought, plain, "")


HANDLINGS = [
    ("as_reasoning_content", ("plan", "\n\nHi", "")),
    ("remove", ("", "\n\nHi", "plan")),
    ("strip_tags", ("", "plan\n\nHi", "")),
    ("pass", ("", "<thinking>plan</thinking>\n\nHi", "")),
]


@pytest.mark.parametrize(("handling", "got"), HANDLINGS)
def test_what_becomes_of_the_block(handling, got):
    assert split("<thinking>plan</thinking>\n\nHi", handling) == got


def test_thinking_leaves_as_it_comes():
    parser = Thinking("as_reasoning_content")
    assert parser.feed("<thinking>one ") == [(True, "one ")]
    assert parser.feed("two\n</thin") == [(True, "two")]
    assert parser.feed("g three") == [(True, "\n</thing three")]
    assert parser.feed("</thinking>four") == [(False, "four")]
    assert parser.done
    assert parser.feed("five") == [(False, "five")] and parser.feed("") == []


def test_a_tool_call_closes_the_block():
    parser = Thinking("as_reasoning_content")
    assert parser.feed("<thinking>one</th") == [(True, "one")]
    assert parser.finish() == [(True, "</th")]
    assert parser.feed("</thinking>two") == [(False, "</thinking>two")]


BITS = st.lists(st.sampled_from([*TAGS, *(f"</{tag[1:]}" for tag in TAGS), "\n", " ", "<", "</", "think", "x", "é"]))


@settings(max_examples=200, deadline=None)
@given(BITS, st.sampled_from([row[0] for row in HANDLINGS]), st.data())
def test_any_cut_gives_the_same(bits, handling, data):
    text = "".join(bits)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces, handling) == split([text], handling) == split(text, handling)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_is_lost(inside, after):
    if "</thinking>" in inside:
        return
    thought, plain, _ = split(f"<thinking>{inside}</thinking>{after}")
    assert (thought, plain) == (inside.strip("\n"), after)
