import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.replied import is_html, json_object, number_of, object_of, parsed, text_of
from kirogw.wire import Reply

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6,
)  # fmt: skip
BODIES = [
    # the body, as it is written again, as tokens are read
    pytest.param(b'{"a":1}', {"a": 1}, {"a": 1}, id="an object"),
    pytest.param(b'{"a":"\\ud800"}', None, {"a": "\ud800"}, id="half a surrogate pair"),
    pytest.param(b'{"a":1e400}', None, {"a": math.inf}, id="too large a number"),
    pytest.param(b"{}", {}, {}, id="an empty one"),
    pytest.param(b"[1]", None, {}, id="a list"),
    pytest.param(b'{"a":', None, {}, id="a piece"),
    pytest.param(b"\xff{}", None, {}, id="no UTF-8"),
    pytest.param(b"[" * 100_000, None, {}, id="too deep"),
    pytest.param(b"", None, {}, id="nothing"),
]


@pytest.mark.parametrize(("body", "strict", "lenient"), BODIES)
def test_objects(body, strict, lenient):
    assert (parsed(body), json_object(body)) == (strict, lenient)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_is_not_as_it_should_be_counts_as_missing(value):
    assert object_of(value) == (value if isinstance(value, dict) else {})
    assert text_of(value) == (value if isinstance(value, str) else "")
    number = number_of(value)
    assert number is None or (math.isfinite(number) and number >= 0 and number == value and value.__class__ is not bool)


@pytest.mark.parametrize(("value", "number"), [
    (0, 0.0), (2.5, 2.5), (-1, None), (math.nan, None), (math.inf, None), (True, None), ("1", None), (10**400, None)])  # fmt: skip
def test_numbers(value, number):
    assert number_of(value) == number


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=3))
def test_a_page_is_no_object(members):
    assert not is_html(Reply(200, {}, json.dumps(members).encode()))
    assert is_html(Reply(403, {}, b" \n<html>"))
