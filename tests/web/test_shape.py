"""The reader that holds a request to its shape agrees with a stranger's, names the field, and repeats no value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kirogw.errors import BadRequest
from kirogw.web.admin import shape

INNER = shape.record({"id": shape.text(minLength=1, maxLength=4)}, {"deep": shape.truth()})
SCHEMA = shape.record(
    {"name": shape.text(minLength=2, pattern="^[a-z]+$"), "size": shape.whole(minimum=0, maximum=9)},
    {
        "mode": shape.maybe(shape.text(enum=["one", "two"])), "share": shape.maybe(shape.number(minimum=0.5)),
        "list": shape.many(INNER, maxItems=2), "any": shape.by_name(shape.whole()),
    },
)
GOOD = {"name": "abc", "size": 3}
ROWS = [
    ({}, "name", "name is missing"),
    ({**GOOD, "name": "a"}, "name", "name needs 2 characters"),
    ({**GOOD, "name": "ABC"}, "name", "name must look like ^[a-z]+$"),
    ({**GOOD, "name": 5}, "name", "name must be a text"),
    ({**GOOD, "size": True}, "size", "size must be a whole number"),
    ({**GOOD, "size": 1.5}, "size", "size must be a whole number"),
    ({**GOOD, "size": -1}, "size", "size must be at least 0"),
    ({**GOOD, "size": 10}, "size", "size must be at most 9"),
    ({**GOOD, "mode": "three"}, "mode", "mode must be one of one, two"),
    ({**GOOD, "mode": 1}, "mode", "mode must be a text or null"),
    ({**GOOD, "list": {}}, "list", "list must be a list"),
    ({**GOOD, "list": [{"id": "x"}] * 3}, "list", "list may have 2 items at most"),
    ({**GOOD, "list": [{"id": "x"}, {"id": ""}]}, "list.1.id", "list.1.id must not be empty"),
    ({**GOOD, "list": [{"id": "12345"}]}, "list.0.id", "list.0.id may have 4 characters at most"),
    ({**GOOD, "list": [{"id": "x", "other": 1}]}, "list.0.other", "list.0.other is no member of this request; it takes id, deep"),
    ({**GOOD, "any": {"a": 1, "b": "x"}}, "any.b", "any.b must be a whole number"),
    ({**GOOD, "name": "ab\ud800"}, "name", "name must look like ^[a-z]+$"),
    ([], "", "the body must be an object"),
]


@pytest.mark.parametrize(("value", "field", "said"), ROWS)
def test_the_field_is_named(value, field, said):
    with pytest.raises(BadRequest) as caught:
        shape.check(value, SCHEMA)
    assert (caught.value.param, str(caught.value)) == (field, said)


def test_a_text_has_no_half_characters():
    with pytest.raises(BadRequest, match="half a character"):
        shape.check("ab\ud800", shape.text())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats(-1, 2) | st.sampled_from(["abc", "x", "one", "two", "ABC", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "size", "mode", "share", "list", "any", "id", "deep", "x"]), inner, max_size=5),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"name": st.sampled_from(["abc", "a", 1])}, optional={
    "size": VALUES, "mode": VALUES, "share": VALUES, "list": VALUES, "any": VALUES, "x": VALUES,
}) | VALUES)
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_a_strangers(value):
    theirs = Draft202012Validator(SCHEMA).is_valid(value)
    try:
        shape.check(value, SCHEMA)
        ours = True
    except BadRequest:
        ours = False
    # JSON Schema takes 1.0 for a whole number; a client that sends it means something else
    assert ours == theirs or (theirs and _has_round_float(value))


def _has_round_float(value):
    if isinstance(value, dict):
        return any(map(_has_round_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_round_float, value))
    return isinstance(value, float) and value.is_integer()


QUERY = shape.record({}, {"limit": shape.whole(minimum=1, maximum=100), "all": shape.truth(), "day": shape.text(pattern=r"^\d{4}$"), "part": shape.number()})


@pytest.mark.parametrize(("given_", "found"), [
    ({}, {}), ({"limit": "5", "all": "true", "day": "2026", "part": "0.5"}, {"limit": 5, "all": True, "day": "2026", "part": 0.5}),
    ({"limit": "0"}, "limit"), ({"limit": "5.0"}, "limit"), ({"limit": "9" * 30}, "limit"), ({"all": "yes"}, "all"), ({"day": "x"}, "day"),
    ({"part": "nan"}, "part"), ({"part": "1e999"}, "part"), ({"other": "1"}, "other"), ({"limit": "٣"}, {"limit": 3}),
])
def test_a_query(given_, found):
    if isinstance(found, dict):
        assert shape.from_query(given_, QUERY) == found
        return
    with pytest.raises(BadRequest) as caught:
        shape.from_query(given_, QUERY)
    assert caught.value.param == found
