"""Whatever the packages' types allow is read, or refused with the path of the fault; and nothing of it is lost."""

import dataclasses

import orjson
import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_create_params
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import completion_create_params as legacy_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from kirogw.conversation import Call, Result, Text, Turn
from kirogw.convert import FACES
from kirogw.errors import BadRequest
from tests.dialects.sdk import requests
from tests.dialects.test_captures import CAPTURES, face
from tests.dialects.test_compatibility import ROWS

TYPES = {
    "chat": ("chat", completion_create_params.CompletionCreateParamsNonStreaming),
    "messages": ("messages", message_create_params.MessageCreateParamsNonStreaming),
    "beta": ("messages", beta_create_params.MessageCreateParamsNonStreaming),
    "responses": ("responses", response_create_params.ResponseCreateParamsNonStreaming),
    "completions": ("completions", legacy_create_params.CompletionCreateParamsNonStreaming),
}
HARD = {
    "responses": ("background", "conversation", "moderation", "prompt", "top_logprobs", "tool_choice"),
    "completions": ("best_of", "logprobs", "max_tokens", "n", "stop", "suffix"),
}
"""What is refused nearly always, and has rows of its own elsewhere: without it more is read."""
KEPT = {
    "text", "thinking", "signature", "tool_use_id", "tool_call_id", "tool_name", "title", "context", "url", "arguments",
    "refusal", "stdout", "stderr", "filename", "file_data", "output",
}  # fmt: skip
DROPPED = {"citations", "caller", "cache_control", "prompt_cache_breakpoint", "retrieved_at", "encrypted_content", "annotations",
           "logprobs"}

OF = {"tool_use_id": "tool_result", "signature": "thinking"}  # elsewhere they are nothing to the model


def place(body, param):
    """The deepest value on the path, and what of the path has no value."""
    value, names = body, param.split(".")
    while names:
        if isinstance(value, list) and names[0].isdigit() and int(names[0]) < len(value):
            value = value[int(names.pop(0))]
        elif isinstance(value, dict) and names[0] in value:
            value = value[names.pop(0)]
        else:
            break
    return value, names


def words(value, kept=False):
    """The strings of a request that the model should see."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in DROPPED and OF.get(name, value.get("type")) == value.get("type"):
                yield from words(inner, name in KEPT or (name == "content" and isinstance(inner, str)))
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner, False)
    elif isinstance(value, str) and kept and not value.isspace():  # blank arguments are none
        yield value


def said(face, body):
    """What the model should see of a request, as objects."""
    if face == "completions":
        return [{"text": body["prompt"] if isinstance(body["prompt"], str) else body["prompt"][0]}]
    if face == "responses":
        return [{"text": body["input"]}] if isinstance(body["input"], str) else body["input"]
    return body["messages"]


def there(word, shown):
    return word in shown or orjson.dumps(word)[1:-1].decode() in shown


@pytest.mark.parametrize("kind", TYPES)
def test_any_request(kind):
    face, request = TYPES[kind]
    seen = {"read": 0, "refused": 0}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests(request))
    def check(body):
        for name in HARD.get(face, ()):
            body.pop(name, None)
        try:
            conversation = FACES[face].read(body, {}).conversation
        except BadRequest as refusal:
            seen["refused"] += 1
            _, missing = place(body, refusal.param)
            assert refusal.param
            assert len(missing) <= 1, f"{refusal.param} leads nowhere"
            return
        seen["read"] += 1
        shown = "\n".join(strings(dataclasses.asdict(conversation)))
        for message in said(face, body):
            if not message.get("clear_at"):
                assert [word for word in words(message) if not there(word, shown)] == []
        for part in (part for turn in conversation.turns for part in turn.parts):
            assert not isinstance(part, Text) or part.text

    check()
    assert seen["read"] > 5
    assert seen["refused"] > 5


def strings(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value
        yield orjson.dumps(value).decode()


def test_both_faces_say_the_same():
    """One conversation with tools, in both APIs' words."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    chat = {
        "model": "m", "max_tokens": 100, "stop": ["END"], "prompt_cache_key": "s", "reasoning_effort": "high",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Look"}, {
                "type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}},
                {"id": "c2", "type": "function", "function": {"name": "read", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "A"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "B"}]},
            {"role": "user", "content": "Go on"},
        ],
        "tools": [{"type": "function", "function": {"name": "read", "description": "Reads.", "parameters": schema}}],
        "tool_choice": {"type": "function", "function": {"name": "read"}}, "parallel_tool_calls": False,
    }  # fmt: skip
    messages = {
        "model": "m", "max_tokens": 100, "stop_sequences": ["END"], "metadata": {"user_id": "s"}, "system": "Be brief.",
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look"}, {
                "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a"}},
                {"type": "tool_use", "id": "c2", "name": "read", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "A"},
                {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "B"}]}]},
            {"role": "user", "content": "Go on"},
        ],
        "tools": [{"name": "read", "description": "Reads.", "input_schema": schema}],
        "tool_choice": {"type": "tool", "name": "read", "disable_parallel_tool_use": True},
    }  # fmt: skip
    one, other = FACES["chat"].read(chat, {}), FACES["messages"].read(messages, {})
    assert dataclasses.replace(one.conversation, options={}) == other.conversation
    assert one.conversation.turns[1:3] == (
        Turn("model", (Text("I look."), Call("c1", "read", {"path": "a"}), Call("c2", "read", {}))),
        Turn("user", (Result("c1", (Text("A"),)), Result("c2", (Text("B"),)))),
    )


SEEDS = [capture for capture in CAPTURES if "thread" not in capture["body"]]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from(("", "x", "type", "text", "user")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("type", "name", "x")), inner, max_size=2),
    max_leaves=4,
)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from places(inner, (*path, n))


def put(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def cut(value, path):
    """`value` without what stands there; a list has null in its place."""
    if len(path) > 1:
        return put(value, path[:1], cut(value[path[0]], path[1:]))
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if name != path[0]}
    return put(value, path, None)


def read_or_refused(read, body, data):
    """A client's mistake is its own: a 400 that names the place, and never a failure of ours."""
    path = data.draw(st.sampled_from(list(places(body))[1:]))
    junk = cut(body, path) if data.draw(st.booleans()) else put(body, path, data.draw(JUNK))
    try:
        read(junk, {})
    except BadRequest as refusal:
        assert refusal.param


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_junk_anywhere_is_read_or_refused(capture, data):
    body = {name: value for name, value in capture["body"].items() if name != "tools"}
    body["tools"] = capture["body"].get("tools", [])[:2]
    read_or_refused(face(capture).read, body, data)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ROWS), st.data())
def test_junk_in_any_field_is_read_or_refused(row, data):
    read_or_refused(FACES[row.api].read, row.body(), data)
