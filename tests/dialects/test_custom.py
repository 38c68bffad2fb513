import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.custom import Unwrapped, Wrapped, told, unwrapped, wrapped

TEXTS = st.text(st.characters(codec="utf-8"))


def fed(pieces):
    custom = Unwrapped()
    return "".join([*map(custom.receive, pieces), custom.close()])


@given(TEXTS, st.booleans(), st.integers(1, 5))
def test_any_text_in_any_cut(text, ascii_only, size):
    whole = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert fed([whole[n:n + size] for n in range(0, len(whole), size)]) == text


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud83d.", "\U0001f600", "\\\U0001f600"])
def test_the_name_of_half_a_letter_is_no_half(text):
    """As source code holds it: its backslash is a letter of the text."""
    whole = json.dumps({"input": text})
    assert {fed([whole[:at], whole[at:]]) for at in range(len(whole))} == {text}


@given(TEXTS, st.integers(0, 200))
def test_a_stump_gives_the_beginning(text, end):
    whole = json.dumps({"input": text})
    stump = whole[:end]
    head = '{"input": "'
    if stump.startswith(head):
        assert text.startswith(unwrapped(stump))
    else:
        assert unwrapped(stump) == stump


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param('{"input":"a"}', "a", id="usual"),
        pytest.param('{ "input" : "a\nb" }', "a\nb", id="bare line break"),
        pytest.param('{"x": 1, "input": "a"}', "a", id="not the first member"),
        pytest.param('{"command": "ls"}', '{"command": "ls"}', id="another member"),
        pytest.param('{"input": 5}', '{"input": 5}', id="no text"),
        pytest.param("ls -l", "ls -l", id="no JSON"),
        pytest.param("[1]", "[1]", id="no object"),
        pytest.param("", "", id="nothing"),
        pytest.param('{"input": "\\ud83d"}', "?", id="half a letter"),
        pytest.param(r'{"input": "\d+ C:\users \u12 \\ \n"}', "\\d+ C:\\users \\u12 \\ \n", id="escapes that are none"),
        pytest.param('{"input": "a"} trailing', "a", id="more behind"),
    ],
)
def test_unwrapped(data, text):
    assert unwrapped(data) == text


@given(st.text('\\u0aA"\nx', max_size=30), st.integers(1, 5))
def test_whatever_a_model_writes_comes_out_the_same_in_any_cut(written, size):
    whole, custom = f'{{"input": "{written}"}}', Unwrapped()
    pieces = [custom.receive(whole[at : at + size]) for at in range(0, len(whole), size)]
    assert "".join(pieces) + custom.close() == unwrapped(whole)


def test_text_goes_out_as_it_comes():
    custom = Unwrapped()
    given_out = [custom.receive(piece) for piece in ('{"in', 'put": "one ', "two\\", 'n", ', '"more": 1}')]
    assert given_out == ["", "one ", "two", "\n", ""]
    assert custom.close() == ""


@given(TEXTS, st.integers(1, 5))
def test_any_text_is_wrapped_in_any_cut(text, size):
    custom = Wrapped()
    pieces = [custom.receive(text[n:n + size]) for n in range(0, len(text), size)]
    whole = "".join((*pieces, custom.close()))
    assert json.loads(whole) == {"input": text}
    assert whole == wrapped(text)
    assert unwrapped(whole) == text


def test_halves_of_a_pair_meet():
    """As they come in the deltas of an upstream that cuts between the two."""
    custom = Wrapped()
    whole = custom.receive("a\ud83e") + custom.receive("\udd80b") + custom.close()
    assert json.loads(whole) == {"input": "a\U0001f980b"}


def test_the_text_is_done_before_the_end():
    custom = Unwrapped()
    assert (custom.receive('{"input": "ab'), custom.done) == ("ab", False)
    assert (custom.receive('"'), custom.done) == ("", True)
    assert (custom.receive("}"), custom.close()) == ("", "")


def test_a_grammar_is_told():
    assert told("Asks.", "regex", "s.*") == "Asks.\n\n`input` must follow this regex grammar:\ns.*"
    assert told("", "lark", "start: x").startswith("`input` must follow")
