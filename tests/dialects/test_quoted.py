import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kirogw.dialects.quoted import quoted


@given(st.text(st.characters(codec="utf-8")))
@example("\u2028 \u2029 \x85")
@example('"\\\n\0\x7f')
def test_it_is_the_text_in_one_line(text):
    data = quoted(text)
    assert json.loads(data) == text
    assert len(data.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "data"),
    [("plain", b'"plain"'), ('a"b\n', b'"a\\"b\\n"'), ("Grüße", '"Grüße"'.encode()), ("a\u2028b", b'"a\\u2028b"')],
)
def test_quoted(text, data):
    assert quoted(text) == data
