import pytest

from kirogw.conversation import Conversation, Format, Text, Thinking, Turn
from kirogw.dialects.chat.request import read
from kirogw.dialects.face import Ask
from kirogw.errors import BadRequest

BASE = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
USER = Turn("user", (Text("Hi"),))


def conversation(**more):
    return read({**BASE, **more}, {}).conversation


def test_the_least():
    assert read(BASE, {}) == Ask(Conversation("m", (USER,)), usage=False)


def test_all_at_once():
    asked = read(
        {
            **BASE, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 5, "max_completion_tokens": 7,
            "stop": "X", "reasoning_effort": "minimal", "user": "u", "response_format": {"type": "json_object"},
        },
        {"x-session-id": "s"},
    )  # fmt: skip
    assert asked == Ask(
        Conversation("m", (USER,), stops=("X",), max_tokens=7, thinking=Thinking("adaptive", "minimal"), format=Format(),
                     session="s"),
        stream=True, usage=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "echo"),
    [
        ({}, {}),
        ({"functions": [{"name": "a"}]}, {"functions": True}),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, {"custom": frozenset({"a"})}),
        ({"tools": [{"type": "function", "function": {"name": "a"}}], "functions": [{"name": "b"}]}, {}),
    ],
)
def test_echo(more, echo):
    assert read({**BASE, **more}, {}).echo == echo


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"n": 2}, "n", "must be 1: a request has one answer; send several requests"),
        ({"logprobs": True}, "logprobs", "can not be had: the models here give no probabilities"),
        ({"modalities": ["audio"]}, "modalities", 'must be ["text"]: no model here speaks'),
        ({"modalities": "text"}, "modalities", 'must be ["text"]: no model here speaks'),
        ({"model": None}, "model", "must be a string"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "must be at least 1"),
        ({"stop": 5}, "stop", "must be an array"),
        ({"stop": ""}, "stop.0", "must not be empty"),
        ({"stream": "yes"}, "stream", "must be true or false"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "must be true or false"),
        ({"reasoning_effort": "much"}, "reasoning_effort",
         "must be one of none, minimal, low, medium, high, xhigh, max, not 'much'"),
        ({"response_format": {"type": "xml"}}, "response_format.type",
         "must be one of text, json_object, json_schema, not 'xml'"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is required"),
        ({"prompt_cache_key": 5}, "prompt_cache_key", "must be a string"),
    ],
)  # fmt: skip
def test_refused(more, param, words):
    with pytest.raises(BadRequest) as refusal:
        read({**BASE, **more}, {})
    assert (refusal.value.param, str(refusal.value)) == (param, words)


@pytest.mark.parametrize(
    "more",
    [{"n": 1}, {"n": None}, {"logprobs": False}, {"top_logprobs": 0}, {"modalities": ["text"]}, {"audio": None},
     {"stop": None}, {"stop": []}, {"response_format": {"type": "text"}}, {"reasoning_effort": None}, {"tools": []},
     {"stream": None}, {"stream_options": None}],
)  # fmt: skip
def test_what_asks_for_nothing(more):
    assert read({**BASE, **more}, {}) == read(BASE, {})


@pytest.mark.parametrize(
    ("more", "session"),
    [
        ({"prompt_cache_key": "k", "user": "u", "safety_identifier": "i"}, "k"),
        ({"user": "u", "safety_identifier": "i"}, "u"),
        ({"prompt_cache_key": "", "safety_identifier": "i"}, "i"),
        ({}, ""),
    ],
)
def test_session(more, session):
    assert conversation(**more).session == session


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [("none", Thinking("off", "none")), ("xhigh", Thinking("adaptive", "xhigh"))],
)
def test_thinking(effort, thinking):
    assert conversation(reasoning_effort=effort).thinking == thinking


def test_format():
    schema = {"type": "json_schema", "json_schema": {"name": "n", "description": "D", "schema": {"type": "object"}}}
    assert conversation(response_format=schema).format == Format({"description": "D", "type": "object"}, "n")
    assert conversation(response_format={"type": "json_schema", "json_schema": {"name": "n"}}).format == Format(None, "n")
