import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects import clean
from tests.dialects.conversations import TEXTS, VALUES

ANY = st.text(st.characters(exclude_categories=[]))  # surrogates too


@pytest.mark.parametrize(("sent", "got"), [
    pytest.param("plain", "plain", id="plain"),
    pytest.param("é\U0001f600", "é\U0001f600", id="more than ASCII"),
    pytest.param("a\0b\0", "ab", id="NUL"),
    pytest.param("a\ud83d", "a\ufffd", id="first half"),
    pytest.param("\ude00a", "\ufffda", id="second half"),
    pytest.param("\ude00\ud83d", "\ufffd\ufffd", id="halves in the wrong order"),
    pytest.param("\ud83d\ude00", "\U0001f600", id="both halves"),
    pytest.param("\ufeff\ud83d", "\ufeff\ufffd", id="a mark in front stays"),
])  # fmt: skip
def test_text(sent, got):
    assert clean.text(sent) == got


@given(ANY)
def test_clean_text_is_the_same_object(text):
    once = clean.text(text)
    assert clean.text(once) is once
    assert "\0" not in once
    assert once.encode().decode() == once


@given(st.dictionaries(TEXTS, VALUES))
def test_clean_json_is_the_same_object(value):
    once = clean.json(value)
    assert clean.json(once) is once
    text = json.dumps(once, ensure_ascii=False)
    assert text.encode().decode() == text
    assert "\\u0000" not in text
    assert len(once) == len(value)


def test_empty_keys_stay_apart():
    assert clean.json({"": 1, "_": 2, "\0": 3}) == {"_": 1, "__": 2, "___": 3}


@pytest.mark.parametrize(("value", "good"), [("aGk=", True), ("aGk", False), ("", False), ("a b=", False), ("é", False)])
def test_is_base64(value, good):
    assert clean.is_base64(value) is good
