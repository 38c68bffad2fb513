import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects import fields
from kirogw.errors import BadRequest


def refusal(read, *arguments, **more):
    with pytest.raises(BadRequest) as caught:
        read(*arguments, **more)
    return caught.value.param, str(caught.value)


@pytest.mark.parametrize(
    ("box", "kind", "words"),
    [
        pytest.param({}, str, "is required", id="absent"),
        pytest.param({"x": None}, str, "must be a string", id="null"),
        pytest.param({"x": 1}, str, "must be a string", id="number for text"),
        pytest.param({"x": True}, int, "must be an integer", id="true is no number"),
        pytest.param({"x": {}}, list, "must be an array", id="object for array"),
        pytest.param({"x": []}, dict, "must be an object", id="array for object"),
        pytest.param({"x": 0}, bool, "must be true or false", id="zero is not false"),
    ],
)
def test_need_refuses(box, kind, words):
    assert refusal(fields.need, box, "x", kind, "a.0.") == ("a.0.x", words)


def test_need_and_may_give_the_value():
    assert fields.need({"x": "y"}, "x", str) == "y"
    assert fields.may({"x": "y"}, "x", str, "z") == "y"
    assert fields.may({"x": None}, "x", str, "z") == "z"
    assert fields.may({}, "x", list, []) == []
    assert refusal(fields.may, {"x": 1}, "x", str, "", "a.") == ("a.x", "must be a string")


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), (5.0, 5), (1, 1), (None, None)], ids=["whole", "whole as a float", "least", "null"]
)
def test_count(value, number):
    assert fields.count({"x": value}, "x") == number
    assert type(fields.count({"x": 5.0}, "x")) is int


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "must be at least 1"), (1.5, "must be an integer"), (True, "must be an integer"), ("5", "must be an integer")],
)
def test_count_refuses(value, words):
    assert refusal(fields.count, {"x": value}, "x", "a.") == ("a.x", words)


def test_choice_and_pick():
    assert fields.choice({"x": "b"}, "x", ("a", "b")) == "b"
    assert fields.pick({"x": "b"}, "x", {"a": 1, "b": 2}) == 2
    for read in (fields.choice, fields.pick):
        assert refusal(read, {"x": "c" * 99}, "x", {"a": 1, "b": 2}, "p.") == (
            "p.x", f"must be one of a, b, not '{'c' * 40}'",
        )  # fmt: skip
        assert refusal(read, {}, "x", {"a": 1}) == ("x", "is required")
        assert refusal(read, {"x": []}, "x", {"a": 1}) == ("x", "must be a string")


def test_lists():
    assert fields.objects({"x": [{}, {"a": 1}]}, "x") == [{}, {"a": 1}]
    assert fields.objects({}, "x") == []
    assert refusal(fields.objects, {"x": [{}, 1]}, "x", "a.") == ("a.x.1", "must be an object")
    assert fields.strings({"x": ["a"]}, "x") == ("a",)
    assert refusal(fields.strings, {"x": ["a", None]}, "x", "a.") == ("a.x.1", "must be a string")
    assert fields.stop_strings({"stop": ["a"]}, "stop") == ("a",)
    assert refusal(fields.stop_strings, {"stop": ["a", ""]}, "stop") == ("stop.1", "must not be empty")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        pytest.param("data:image/png;base64,iVBO", ("image/png", "iVBO"), id="plain"),
        pytest.param("DATA:image/png;charset=x;base64,iVBO", ("image/png", "iVBO"), id="parameters"),
        pytest.param("data:;base64,iVBO", ("", "iVBO"), id="no type"),
        pytest.param("data:text/plain,hello", None, id="not base64"),
        pytest.param("data:image/png;base64", None, id="no data"),
        pytest.param("https://example.com/a.png", None, id="elsewhere"),
    ],
)
def test_data_url(url, parts):
    assert fields.data_url(url) == parts


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param('{"a": 1}', ({"a": 1}, None), id="object"),
        pytest.param(" ", ({}, None), id="nothing"),
        pytest.param('{"a": ', ({}, '{"a": '), id="stump"),
        pytest.param("[1]", ({}, "[1]"), id="no object"),
        pytest.param("null", ({}, "null"), id="null"),
    ],
)
def test_arguments(text, parsed):
    assert fields.arguments(text) == parsed


@given(st.text())
def test_arguments_are_never_lost(text):
    value, raw = fields.arguments(text)
    assert raw == text or (raw is None and (value or text.strip() in ("", "{}") or "{" in text))


def test_compact():
    assert fields.compact({"a": ["é", 1]}) == '{"a":["é",1]}'


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31m", "\ud800", "m" * 257])
def test_a_model_has_a_name_that_can_be_shown(name):
    param, words = refusal(fields.model_name, {"model": name})
    assert (param, words) == ("model", "must be the name of a model, up to 256 characters")
    assert fields.model_name({"model": "kiro/Claude opus 4.8[1m]"}) == "kiro/Claude opus 4.8[1m]"


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [({"a": "ä"}, '{"a":"ä"}'), ({"a": ["\ud800"]}, '{"a":["\ud800"]}'), (nested(300), '{"a":' * 300 + "1" + "}" * 300)],
    ids=["plain", "half a pair", "deep"],
)
def test_compact_writes_what_orjson_does_not(value, text):
    assert fields.compact(value) == text


def test_compact_refuses_what_is_too_deep():
    assert refusal(fields.compact, nested(100_000)) == ("", "the request is nested too deeply; flatten it")
