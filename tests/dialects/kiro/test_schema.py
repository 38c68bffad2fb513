import json
import time

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro.schema import acceptable
from kirogw.errors import BadRequest
from kirogw.twin.kiro import schemas as twin
from kirogw.twin.kiro.ask import Ask
from tests.dialects.conversations import ROOTS

EMPTY = {"type": "object", "properties": {}}


def root(**properties):
    return {"type": "object", "properties": properties}


ROWS = [
    # what the client sent, what Kiro gets, what the tool's description says besides
    pytest.param(root(a={"type": "string", "minLength": 1}), root(a={"type": "string", "minLength": 1}), "", id="acceptable"),
    pytest.param({}, EMPTY, "", id="nothing"),
    pytest.param(None, EMPTY, "", id="none"),
    pytest.param({"type": "object", "properties": None, "required": None}, EMPTY, "", id="nulls"),
    pytest.param({**EMPTY, "required": []}, EMPTY, "", id="nothing required"),
    pytest.param({**root(a={}), "required": ["a", 1, "a"]}, {**root(a={}), "required": ["a"]}, "", id="required by names"),
    pytest.param({"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "string"}}, "type": "object"}, "",
                 id="no type"),
    pytest.param({"type": ["object", "null"]}, EMPTY, "", id="or null"),
    pytest.param({"$schema": "x", "$id": "y", "$comment": "z", "strict": True, **EMPTY}, EMPTY, "", id="about the schema itself"),
    pytest.param({**EMPTY, "additionalProperties": False}, EMPTY, "", id="no others"),
    pytest.param(root(a={"type": "object", "additionalProperties": {"type": "number"}}),
                 root(a={"type": "object", "description": 'Further members: {"type":"number"}.'}), "", id="a map"),
    pytest.param(root(strict={"type": "string"}, required={"type": "boolean"}, **{"$ref": {"type": "string"}}),
                 root(strict={"type": "string"}, required={"type": "boolean"}, **{"$ref": {"type": "string"}}), "",
                 id="properties with the names of keywords"),
    pytest.param(root(a={"enum": [{"$ref": "x"}, None]}, b={"const": None}, c={"default": None}),
                 root(a={"enum": [{"$ref": "x"}, None]}, b={"type": "null"}, c={}), "", id="values are no schemas"),
    pytest.param(root(a=True, b=False), root(a={}, b={"description": "Not allowed."}), "", id="true and false"),
    pytest.param({**root(a={"$ref": "#/$defs/A", "description": "which"}), "$defs": {"A": {"type": "string", "description": "A"}}},
                 root(a={"type": "string", "description": "which"}), "", id="a reference, and a word beside it"),
    pytest.param({**root(a={"$ref": "#/definitions/x~1y%20z"}), "definitions": {"x/y z": {"type": "string"}}},
                 root(a={"type": "string"}), "", id="an odd name"),
    pytest.param({"$ref": "#/$defs/A", "$defs": {"A": root(a={"$ref": "#/$defs/B/anyOf/1"}), "B": {"anyOf": [{}, {"type": "null"}]}}},
                 root(a={"type": "null"}), "", id="through a list"),
    pytest.param({"$ref": "#/$defs/N", "$defs": {"N": root(next={"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]})}},
                 root(next={"anyOf": [{"type": "object", "description": "Built like N around it."}, {"type": "null"}]}), "",
                 id="recursion"),
    pytest.param(root(a={"$ref": "#"}), root(a=root(a={"type": "object", "description": "Built like the whole around it."})), "",
                 id="of the whole"),
    pytest.param(root(a={"$ref": "https://x/y.json"}), root(a={"description": "Must fit the schema https://x/y.json."}), "",
                 id="somewhere else"),
    pytest.param(root(a={"$ref": "#/$defs/none"}), root(a={"description": "Must fit the schema #/$defs/none."}), "", id="nowhere"),
    pytest.param(root(a={"oneOf": [{"type": "string", "$id": "x"}, {"type": "null"}]}),
                 root(a={"oneOf": [{"type": "string"}, {"type": "null"}]}), "", id="a union within stays"),
    pytest.param(root(a={"anyOf": [], "items": None}), root(a={}), "", id="empty words"),
    pytest.param(root(a={"type": "array", "items": [{"type": "string"}, {"type": "null"}]}),
                 root(a={"type": "array", "items": {"description": 'In order: [{"type":"string"},{"type":"null"}].'}}), "",
                 id="items by place"),
    pytest.param(root(a={"not": {"$ref": "#/$defs/A"}, "description": "Which."}) | {"$defs": {"A": {"const": 1}}},
                 root(a={"description": 'Which. Must not fit: {"const":1}.'}), "", id="told in words, references and all"),
    pytest.param(root(a={"patternProperties": {"^x": {"$id": "y"}}, "dependentRequired": {"a": ["b"]}, "propertyNames": {"type": "string"}}),
                 root(a={"description": 'Members by the pattern of their name: {"^x":{}}. Members that need others: {"a":["b"]}.'}), "",
                 id="more of them"),
    pytest.param({"type": "array", "items": {}}, EMPTY, 'The input must fit the JSON schema {"type":"array","items":{}}.', id="an array"),
    pytest.param({"anyOf": [{**root(a={"type": "string"}), "required": ["a", "c"]}, {**root(a={"type": "null"}, b={}), "required": ["c"]}]},
                 {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": {}}, "required": ["c"]},
                 'The input must fit at least one of these JSON schemas: [{"type":"object","properties":{"a":{"type":"string"}},'
                 '"required":["a","c"]},{"type":"object","properties":{"a":{"type":"null"},"b":{}},"required":["c"]}].',
                 id="a union at the root"),
    pytest.param({"allOf": [{**root(a={}), "required": ["a"]}, root(b={}, a={"type": "string"})], "required": ["b"]},
                 {"required": ["b", "a"], "type": "object", "properties": {"a": {"allOf": [{}, {"type": "string"}]}, "b": {}}}, "",
                 id="an intersection at the root"),
    pytest.param({"oneOf": [root(a={}), {"required": ["a"], "not": {"const": 1}}]},
                 {"type": "object", "properties": {"a": {}}},
                 'The input must fit exactly one of these JSON schemas: [{"type":"object","properties":{"a":{}}},'
                 '{"required":["a"],"description":"Must not fit: {\\"const\\":1}."}].', id="one of several"),
    pytest.param(root(**{"a\0": {"description": "half \ud800"}}), root(a={"description": "half \ufffd"}), "", id="unclean text"),
    pytest.param(root(a={"description": 3, "not": {"const": 1}}), root(a={"description": 'Must not fit: {"const":1}.'}), "",
                 id="a description that is none"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "got", "words"), ROWS)
def test_acceptable(sent, got, words):
    before = json.dumps(sent)
    assert acceptable(sent) == (got, words)
    assert json.dumps(sent) == before


def refusals(schema):
    tool = {"toolSpecification": {"name": "a", "description": "b", "inputSchema": {"json": schema}}}
    message = {"userInputMessage": {"content": "c", "userInputMessageContext": {"tools": [tool]}}}
    ask = Ask({"conversationState": {"currentMessage": message}}, b"")
    checks = (twin.root_is_no_object, twin.bad_required, twin.bad_properties, twin.has_additional, twin.has_keyword)
    return [check.__name__ for check in checks if check(ask)]


@settings(max_examples=300, deadline=None)
@given(ROOTS)
def test_any_schema_becomes_acceptable_and_stays_so(schema):
    once, _ = acceptable(schema)
    assert refusals(once) == []
    assert acceptable(once) == (once, "")


VALUES = st.dictionaries(
    st.sampled_from("abc"),
    st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "x"]), st.lists(st.integers(0, 1), max_size=2)), max_size=3)
PLAIN = st.recursive(
    st.sampled_from([{}, {"type": "string"}, {"type": "integer", "minimum": 1}, {"type": "null"}, {"$ref": "#/$defs/A"}]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("abc"), inner)}),
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), PLAIN), st.lists(st.sampled_from("abc")), PLAIN, VALUES)
def test_what_needs_no_words_means_the_same(properties, required, named, value):
    """The rewritten schema accepts exactly the inputs that the client's own does."""
    assume("$ref" not in json.dumps(named))
    sent = {"type": "object", "properties": properties, "required": sorted(set(required)), "$defs": {"A": named}}
    got, words = acceptable(sent)
    assert words == ""
    assert jsonschema.Draft202012Validator(got).is_valid(value) == jsonschema.Draft202012Validator(sent).is_valid(value)


def test_references_that_multiply_come_to_an_end():
    defs = {f"d{n}": root(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(50)}
    began = time.process_time()
    got, _ = acceptable({**root(x={"$ref": "#/$defs/d0"}), "$defs": {**defs, "d50": {"type": "string"}}})
    assert time.process_time() - began < 2
    assert len(json.dumps(got)) < 1_000_000
    assert refusals(got) == []


def test_what_lies_too_deep_is_told():
    deep = {"type": "string"}
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    got = json.dumps(acceptable(root(a=deep))[0])
    assert got.count('"items"') < 70
    assert "Must fit the JSON schema" in got


def test_what_lies_far_too_deep_is_an_error():
    deep = {}
    for _ in range(300):
        deep = {"items": deep}
    with pytest.raises(BadRequest, match="nested deeper"):
        acceptable(deep)
