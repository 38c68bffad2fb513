import contextlib
import json
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.answer import (
    BEAT,
    CallDelta,
    CallStart,
    HiddenThought,
    Stop,
    TextDelta,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
)
from kirogw.conversation import Conversation, Format, Text, Turn
from kirogw.errors import BadRequest, BrokenAnswer, UpstreamFailed
from kirogw.flow.structured import Check, NotInFormat, correction, structured

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
GOOD, BAD = '{"name": "Ann", "age": 7}', '{"name": "Ann", "age": "seven"}'
ASKED = Conversation("m", (Turn("user", (Text("Who?"),)),), format=Format(PERSON))


class Model:
    """Answers with one script after the other, and notes what it was asked."""

    def __init__(self, *scripts):
        self.scripts, self.asked, self.closed = list(scripts), [], 0

    def __call__(self, conversation):
        self.asked.append(conversation)
        script = self.scripts.pop(0)
        try:
            for batch in script:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.closed += 1


def says(text, *, usage=None, stop=None, part=0):
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    return [*([TextDelta(part, piece)] for piece in pieces), [usage or Usage(10, 5), stop or Stop("end")]]


def answer(model, conversation=ASKED, **more):
    return [batch for batch in structured(conversation, model, **more) if batch != []]


def test_a_valid_answer_comes_as_one_piece():
    model = Model(says(GOOD))
    assert answer(model) == [[TextDelta(0, GOOD), Usage(10, 5), Stop("end")]]
    assert model.asked == [ASKED]
    assert model.closed == 1


def test_thoughts_and_beats_pass_at_once_and_text_leaves_empty_batches():
    model = Model([[ThoughtDelta(0, "hm")], BEAT, [ThoughtSeal(0, "s"), TextDelta(1, "{")], BEAT, [TextDelta(1, "}")],
                   [Usage(1, 1), Stop("end")]])  # fmt: skip
    asked = Conversation("m", (), format=Format())
    assert list(structured(asked, model)) == [
        [ThoughtDelta(0, "hm")], BEAT, [ThoughtSeal(0, "s")], BEAT, [], [], [TextDelta(1, "{}"), Usage(1, 1), Stop("end")],
    ]  # fmt: skip


def test_what_comes_after_text_stays_behind_it():
    model = Model([[TextDelta(0, GOOD), HiddenThought(1, "x"), TextDelta(2, "\n")], [Usage(1, 1), Stop("end")]])
    assert answer(model) == [[TextDelta(0, GOOD), HiddenThought(1, "x"), Usage(1, 1), Stop("end")]]


def test_a_wrong_answer_is_asked_for_again():
    model = Model(
        [[ThoughtDelta(0, "hm")], *says(BAD, usage=Usage(100, 20, thinking=3, credits=0.5), part=1)],
        [[ThoughtDelta(0, "oh")], *says(GOOD, usage=Usage(130, 10, thinking=1, credits=0.25, source="derived"), part=1)],
    )
    usage = Usage(130, 30, thinking=4, credits=0.75, source="derived")
    assert answer(model) == [[ThoughtDelta(0, "hm")], [ThoughtDelta(2, "oh")], [TextDelta(3, GOOD), usage, Stop("end")]]
    assert model.asked == [ASKED, correction(ASKED, BAD, "at $.age: 'seven' is not of type 'integer'")]
    assert model.closed == 2


def test_the_correction():
    turns = correction(ASKED, "x" * 5000, "it is no JSON").turns
    assert turns == (
        *ASKED.turns,
        Turn("model", (Text("x" * 2000),)),
        Turn("user", (Text("That is not in the required format: it is no JSON. Answer again with nothing but the corrected"
                           " JSON: no explanation, no code fence."),)),
    )  # fmt: skip
    assert correction(ASKED, "", "r").turns[1] == Turn("model", (Text("(nothing)"),))


@pytest.mark.parametrize(("texts", "short"), [((BAD, BAD), r"at \$.age: type"), (("", "no"), "no JSON"), (("[1]", ""), "no JSON")])
def test_the_second_failure_is_an_error(texts, short):
    model = Model(*map(says, texts))
    with pytest.raises(UpstreamFailed, match=rf"not in the required format twice over \({short}\); try again"):
        answer(model)
    assert model.closed == 2


def test_an_error_does_not_repeat_the_answer():
    with pytest.raises(UpstreamFailed) as caught:
        answer(Model(says(BAD), says(BAD)))
    assert "seven" not in str(caught.value)


@pytest.mark.parametrize("reason", ["calls", "max_tokens", "window", "refusal", "pause"])
def test_an_answer_that_is_no_attempt_passes_as_it_is(reason):
    call = [CallStart(1, "c", "f"), CallDelta(1, '{"a":1}')]
    model = Model([[TextDelta(0, "Let me "), TextDelta(0, "look"), *call], [Usage(1, 1), Stop(reason)]])
    batches = [[TextDelta(0, "Let me "), TextDelta(0, "look"), *call, Usage(1, 1), Stop(reason)]]
    assert answer(model) == batches


def test_calls_without_text_pass_at_once():
    call = [CallStart(0, "c", "f"), CallDelta(0, "{}")]
    assert answer(Model([call, [Usage(1, 1), Stop("calls")]])) == [call, [Usage(1, 1), Stop("calls")]]


def test_an_error_of_the_upstream_passes():
    model = Model([[TextDelta(0, "{")], BrokenAnswer("broke off")])
    with pytest.raises(BrokenAnswer):
        answer(model)
    assert model.closed == 1


def test_closing_closes_the_upstream():
    model = Model([[ThoughtDelta(0, "a")], [ThoughtDelta(0, "b")]])
    source = structured(ASKED, model)
    next(source)
    source.close()
    assert model.closed == 1


# Where the JSON is, and what it must be

FOUND = [
    # schema, text, what is found in it
    pytest.param(None, '{"a": 1}', '{"a": 1}', id="object"),
    pytest.param(None, ' \n{"a": 1}\n', '{"a": 1}', id="space around"),
    pytest.param(None, '```json\n{"a": 1}\n```', '{"a": 1}', id="fence"),
    pytest.param(None, '```\n{"a": 1}```', '{"a": 1}', id="fence without a name"),
    pytest.param(None, 'Here:\n```JSON\r\n{"a": 1}\r\n```\nDone.', '{"a": 1}', id="fence in prose"),
    pytest.param(None, 'Sure! {"a": {"b": "}"}} There.', '{"a": {"b": "}"}}', id="prose around"),
    pytest.param(PERSON, f'As asked:\n```json\n{{"x": 1}}\n```\nor\n```json\n{GOOD}\n```', GOOD, id="second fence fits"),
    pytest.param({"type": "array"}, "It is [1, 2].", "[1, 2]", id="array in prose"),
    pytest.param({"type": "array"}, 'It is [{"a": 1}].', '[{"a": 1}]', id="array of objects in prose"),
    pytest.param({"type": "string"}, '"x"', '"x"', id="string"),
    pytest.param({}, "null", "null", id="anything"),
    pytest.param({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}, "{}", "{}", id="draft 7"),
    pytest.param({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, "7", "7", id="reference"),
    pytest.param({"properties": {"a": {"format": "no-such", "x-mine": [1]}}}, '{"a": 1}', '{"a": 1}', id="unknown words"),
    pytest.param({"$ref": "http://127.0.0.1:9/x"}, "7", "7", id="reference elsewhere is not fetched"),
    pytest.param({"$ref": "#"}, "7", "7", id="reference in a circle"),
    pytest.param({"pattern": r"^\p{L}+$"}, '"7"', '"7"', id="pattern of JavaScript"),
    pytest.param({"pattern": "^(a+)+$"}, f'"{"a" * 40}!"', f'"{"a" * 40}!"', id="pattern that takes for ever"),
    pytest.param({"$ref": "#/required", "required": ["a"]}, "7", "7", id="reference to what is no schema"),
    pytest.param({"pattern": "^[a-z]*$"}, f'"{"a" * 20_000}"', f'"{"a" * 20_000}"', id="long text"),
    pytest.param({"patternProperties": {r"^\p{L}$": {"type": "string"}}, "additionalProperties": False}, '{"a": 1}',
                 '{"a": 1}', id="property pattern of JavaScript"),
    pytest.param({"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": {"type": "null"}},
                 '{"ab": 1, "c": null}', '{"ab": 1, "c": null}', id="property pattern"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "text", "found"), FOUND)
def test_the_json_in_a_text(schema, text, found):
    began = time.thread_time()
    assert Check(schema).text_in(text) == found
    assert time.thread_time() - began < 1


A = "a" * 10_000
PATTERNS = [
    "^(a+)+$", "^((a+))*$", "^(a|a)*$", "^(a|aa)+$", "^(a?){40}a{40}$", "^(a*){9}$", "^([a]*[a]*)*$", r"^(\w+\s?)*$",
    "a*a*a*a*$", ".*.*.*=.*", "a+$", "^a*a*a*!$", "^" + "a?" * 40 + "a" * 40, "(a|b)(a|b)(a|b)" * 9, "^(?:a|(?:a|a)*)$",
    r"^[^\]]*[)\]]*\(*$", "^(?=(a+))a*b$", "(" * 500, "a{1,99}a{1,99}a{1,99}a{1,99}!", "^[]a)*+]*$", "x" * 5000 + "*",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [5, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2000, 4000, 10_000])
def test_no_pattern_takes_long(pattern, size):
    began = time.thread_time()
    with contextlib.suppress(NotInFormat):
        Check({"pattern": pattern}).text_in(f'"{A[:size]}!"')
    assert time.thread_time() - began < 2


MISFITS = [
    pytest.param({"pattern": r"^\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}){2}(\.\d+)?Z)?$"}, '"2026-1-1"', "at $: '2026-1-1' does not",
                 id="pattern of a date"),
    pytest.param({"pattern": r"^[^@\s]+@[\w.-]+\.[a-z]{2,}$"}, '"ann.example.org"', "at $: 'ann.example.org' does not",
                 id="pattern of a mail address"),
    pytest.param({"pattern": "^(red|green|blue)$"}, '"pink"', "at $: 'pink' does not", id="pattern of a choice"),
    pytest.param(None, "", "it is no JSON (", id="nothing"),
    pytest.param(None, "I can not.", "it is no JSON (", id="prose"),
    pytest.param(None, '{"a": NaN}', "it is no JSON (", id="NaN"),
    pytest.param(None, '{"a": 1', "it is no JSON (", id="cut"),
    pytest.param(None, '[{"a": 1}]', "it is no JSON object", id="array with an object in it"),
    pytest.param(PERSON, BAD, "at $.age: 'seven' is not of type 'integer'", id="wrong type"),
    pytest.param(PERSON, '{"name": "Ann"}', "at $: 'age' is a required property", id="missing"),
    pytest.param(PERSON, '{"name": "A", "age": 1, "x": 1}', "at $: 'x' is not among the properties", id="too much"),
    pytest.param(PERSON, '{"name": "Ann", "age": -1}', "at $.age: -1 is less than the minimum of 0", id="too small"),
    pytest.param({"pattern": "^a+$"}, '"ab"', "at $: 'ab' does not match '^a+$'", id="pattern"),
    pytest.param({"patternProperties": {"^a": {"type": "null"}}}, '{"ab": 1}', "at $.ab: 1 is not of type 'null'",
                 id="property pattern"),
    pytest.param({"additionalProperties": {"type": "null"}}, '{"a": 1}', "at $.a: 1 is not of type 'null'", id="others"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "text", "reason"), MISFITS)
def test_what_is_not_in_the_format(schema, text, reason):
    with pytest.raises(NotInFormat) as caught:
        Check(schema).text_in(text)
    assert str(caught.value).startswith(reason)


def nested(depth):
    schema = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


BROKEN = [
    pytest.param({"type": "objekt"}, "schema.type", id="unknown type"),
    pytest.param({"properties": {"a": {"minimum": "x"}}}, "schema.properties.a.minimum", id="inside"),
    pytest.param({"required": "a"}, "schema.required", id="no list"),
    pytest.param(nested(3000), "schema", id="too deep"),
]


@pytest.mark.parametrize(("schema", "param"), BROKEN)
def test_a_schema_that_is_none_is_told_with_its_place_before_the_model_is_asked(schema, param):
    model = Model()
    with pytest.raises(BadRequest) as caught:
        structured(Conversation("m", (), format=Format(schema)), model)
    assert caught.value.param == param
    assert model.asked == []
    with pytest.raises(BadRequest) as caught:
        structured(Conversation("m", (), format=Format(schema)), model, param="response_format.json_schema.schema")
    assert caught.value.param.startswith("response_format.json_schema.schema")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
AROUND = st.text(st.characters(exclude_characters="`{}[]", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), AROUND, AROUND, st.booleans(), st.booleans())
def test_an_object_is_found_whatever_stands_around_it(value, before, after, fenced, pretty):
    text = json.dumps(value, ensure_ascii=False, indent=2 if pretty else None).encode("utf-8", "replace").decode()
    found = Check(None).text_in(f"{before}\n```json\n{text}\n```\n{after}" if fenced else before + text + after)
    assert orjson.loads(found) == orjson.loads(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.sampled_from([None, PERSON, {"type": "array"}, {}]))
def test_whatever_is_found_is_json(text, schema):
    try:
        found = Check(schema).text_in(text)
    except NotInFormat as error:
        assert error.short
    else:
        orjson.loads(found)
