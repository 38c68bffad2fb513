"""What is dropped of a conversation that does not fit, and what never is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw import tokens
from kirogw.conversation import Call, Conversation, Result, Text, Turn
from kirogw.truncation import fitting

AUTO = {"truncation": "auto"}
WORDS = " ".join(f"word{n}" for n in range(100))


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def model(*parts):
    return Turn("model", tuple(Text(part) if isinstance(part, str) else part for part in parts))


LONG = (
    user(f"1 {WORDS}"), model(Call("a", "read")), user(Result("a", (Text(WORDS),))), model("2"), user(f"3 {WORDS}"),
    model("4"), user("5"), model(Call("b", "read")), user(Result("b", (Text(WORDS),))),
)  # fmt: skip


def kept(turns, window, **members):
    return fitting(Conversation("m", turns, ("Be brief.",), options=AUTO, **members), window).turns


@pytest.mark.parametrize(
    ("share", "first"),
    [
        pytest.param(2.0, 0, id="fits"),
        pytest.param(1.3, 4, id="a call goes with its result"),
        pytest.param(0.7, 6, id="what is to be answered stays, with the calls after it"),
        pytest.param(0.01, 6, id="which may still be too long"),
    ],
)
def test_the_beginning_goes(share, first):
    """`share`: the window, of what the conversation takes; a quarter of it is the answer's."""
    size = tokens.count_conversation(Conversation("m", LONG, ("Be brief.",)))
    assert kept(LONG, round(size * share)) == LONG[first:]


def test_only_for_those_who_ask():
    for options in ({}, {"truncation": "disabled"}):
        conversation = Conversation("m", LONG, options=options)
        assert fitting(conversation, 10) is conversation


def test_the_answer_has_room():
    size = tokens.count_conversation(Conversation("m", LONG, ("Be brief.",)))
    assert kept(LONG, round(size / 0.84), max_tokens=1) == LONG
    assert kept(LONG, round(size / 0.84), max_tokens=round(size * 0.2)) == LONG[4:]


ROLES = st.lists(st.sampled_from("umr"), min_size=1, max_size=12)


@settings(max_examples=150)
@given(ROLES, st.integers(1, 2000))
def test_it_begins_where_a_conversation_may(roles, window):
    """With a word of the user's; and what is dropped is no more than must be."""
    kinds = {"u": user(WORDS), "m": model(Call("a", "read")), "r": user(Result("a", (Text(WORDS),)))}
    turns = (user("first"), *(kinds[role] for role in roles), user("last"))
    left = kept(turns, window)
    assert left == turns[-len(left):]
    assert left[-1] == turns[-1]
    assert left[0].role == "user"
    assert not isinstance(left[0].parts[0], Result)
