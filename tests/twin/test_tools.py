"""The least value that a schema allows, proved by a validator."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kirogw.twin import tools
from tests.twin.kiro import payloads as p

NODE = {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
                                         "name": {"type": "string"}}, "required": ["name"]}
SCHEMAS = [
    {"type": "string", "minLength": 100}, {"type": "string", "maxLength": 3}, {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 5}, {"type": "number", "exclusiveMinimum": 2}, {"type": "integer", "maximum": -3},
    {"type": ["null", "integer"]}, {"type": "null"}, {"type": "boolean"}, {"enum": ["b", "a"]}, {"const": {"a": 1}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2}, {"anyOf": [{"type": "null"}, {"type": "string"}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]}, {"items": {"type": "string"}, "minItems": 1}, {},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
               {"properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    {"type": "object", "properties": {"n": {"$ref": "#/definitions/a~1b"}}, "definitions": {"a/b": {"type": "integer"}}},
    {"type": "object", "properties": {"a": {"type": "object", "required": []}}, "additionalProperties": False},
    {"type": "string", "default": "x"}, {"type": "string", "examples": ["y"]},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_known_schemas(schema):
    Draft202012Validator(schema).validate(tools.instance(schema))


def objects(inner):
    properties = st.dictionaries(st.sampled_from("abcde"), inner, max_size=3)
    return properties.flatmap(lambda some: st.lists(st.sampled_from(sorted(some) or ["a"]), unique=True).map(
        lambda names: {"type": "object", "properties": some, "required": [name for name in names if name in some]}))


LEAVES = st.one_of(
    st.builds(lambda low, extra: {"type": "string", "minLength": low, "maxLength": low + extra}, st.integers(0, 80),
              st.integers(0, 80)),
    st.builds(lambda low, extra: {"type": "integer", "minimum": low, "maximum": low + extra}, st.integers(), st.integers(0, 9)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": [3, "x", None]}, {"const": []}]),
)  # fmt: skip
ANY = st.recursive(LEAVES, lambda inner: st.one_of(
    objects(inner), st.builds(lambda items, n: {"type": "array", "items": items, "minItems": n}, inner, st.integers(0, 3)),
    st.lists(inner, min_size=1, max_size=3).map(lambda arms: {"anyOf": arms})), max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_any_schema(schema):
    Draft202012Validator(schema).validate(tools.instance(schema))


def test_a_schema_that_never_ends():
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    assert isinstance(tools.instance(endless), dict)


def test_arguments_take_the_tools_own_names():
    schema = {"type": "object", "properties": {"absolute_path": {"type": "string"}, "mode": {"enum": ["r", "w"]},
                                               "limit": {"type": "integer"}}, "required": ["absolute_path", "mode"]}
    declared = p.tool("open_file", schema=schema)["toolSpecification"]
    assert tools.call_of("read", {"path": "a"}, [declared]) == ("open_file", {"absolute_path": "a", "mode": "r"})
    assert tools.call_of("write", {"path": "a", "content": "b"}, [declared]) is None
