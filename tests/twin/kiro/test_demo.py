"""The answer without a script: says what it is, and does what can be done without a model."""

import base64
import json

import pytest

from kirogw.twin import Twin, demo
from kirogw.twin.demo import NOTICE, THOUGHT
from kirogw.twin.kiro.play import seal
from tests.twin.kiro import payloads as p

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "who": {"type": "string"}}, "required": ["n"]}
ADD = p.tool("add", "Add", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                            "required": ["a", "b"]})  # fmt: skip


@pytest.fixture(scope="module")
def twin():
    with Twin() as running:
        yield running


def answered(twin, content, model=p.MODEL, history=(), tools=(), results=(), **root):
    return p.events(p.ask(twin, p.payload(p.user(content, modelId=model, **p.context(*results, tools=tools)), history, **root)).content)


def thoughts(found):
    return [data for kind, data in found if kind == "reasoningContentEvent"]


def test_it_says_what_it_is_and_what_it_heard(twin):
    found = answered(twin, "You are a helper.\n\n<note>\n\nsecret\n</note>\n\nWhat is the time?")
    said = p.said(found)
    assert said.startswith(NOTICE)
    assert "You wrote: “What is the time?”" in said
    assert p.MODEL in said
    assert "secret" not in said
    assert len([kind for kind, _ in found if kind == "assistantResponseEvent"]) == len(said.split())
    assert dict(found)["metadataEvent"] == {"stopReason": "END_TURN"}
    assert thoughts(found) == []


def test_a_long_text_comes_back_short(twin):
    assert len(p.said(answered(twin, "a" * 5000))) < 700


@pytest.mark.parametrize("content", [
    "Please call the tool add.", "Use the tool `add` now", "call add with 1 and 2", "use the add tool", "Invoke ADD function",
    "You are a helper.\n\nCall the function named add, and nothing else."])
def test_it_calls_a_tool_when_told(twin, content):
    found = answered(twin, content, tools=[p.tool(), ADD])
    assert p.calls(found) == [("add", {"a": 1, "b": 1})]
    assert p.said(found).startswith(NOTICE)
    assert dict(found)["metadataEvent"] == {"stopReason": "TOOL_USE"}


@pytest.mark.parametrize("prompt", ["Your next answer must call the tool add.", "You must call at least one tool."])
def test_it_calls_a_tool_when_the_prompt_demands_it(twin, prompt):
    history = [p.user(f"{prompt}\n\nhello"), p.assistant()]
    for found in (answered(twin, f"{prompt}\n\nhello", tools=[ADD]), answered(twin, "and?", history=history, tools=[ADD])):
        assert p.calls(found) == [("add", {"a": 1, "b": 1})]
    assert p.calls(answered(twin, "Your next answer must call the tool sub.", tools=[ADD])) == []


def test_json_when_the_prompt_demands_it(twin):
    prompt = "The text of your final answer must be one JSON object and nothing else."
    assert json.loads(p.said(answered(twin, f"{prompt}\n\nhello"))) == {"answer": NOTICE, "you_wrote": "hello"}


def test_arguments_may_be_spelt_out(twin):
    found = answered(twin, 'Call the tool add with {"a": 20, "b": 22}.', tools=[ADD])
    assert p.calls(found) == [("add", {"a": 20, "b": 22})]


@pytest.mark.parametrize(("content", "tools"), [
    ("What can the tools do?", [ADD]), ("call the tool subtract", [ADD]), ("Call the tool add", []),
    ("call add\n\nbut\n\nthat was long ago", [ADD]), ("<system-reminder>call the tool add</system-reminder>hello", [ADD])])
def test_it_calls_none_otherwise(twin, content, tools):
    assert p.calls(answered(twin, content, tools=tools)) == []


@pytest.mark.parametrize(
    ("content", "heard"),
    [
        ("Use <note> tags when you call skill.\n\nSay hello\n\n<note>\nbefore saving\n\nlook\n</note>", "Say hello"),
        ("You may call skill.\n\nSay hello", "Say hello"),
        ("<reminder>x</reminder>\nSay hello", "Say hello"),
    ],
    ids=["a tag is mentioned", "a prompt before it", "a block before it"],
)
def test_the_last_words_are_the_users(content, heard):
    assert demo.last_words(content) == heard


def test_it_retells_what_a_tool_gave(twin):
    history = [p.user("Call the tool add"), p.assistant("", toolUses=[p.use(name="add")])]
    found = answered(twin, "", history=history, tools=[ADD], results=[p.result(text="42")])
    assert (p.said(found), p.calls(found)) == (f"{NOTICE} The tool gave back: 42", [])


@pytest.mark.parametrize(("content", "value"), [
    (f"Answer only in JSON that fits this schema: {json.dumps(SCHEMA)}\n\nHow many?", {"n": 1}),
    (f"How many?\n\nThe JSON schema is:\n```json\n{json.dumps(SCHEMA, indent=2)}\n```", {"n": 1}),
    (f"JSON: {json.dumps({'name': 'x', 'schema': SCHEMA})}", {"n": 1}),
    ("Give it as a JSON object", {"answer": NOTICE, "you_wrote": "Give it as a JSON object"}),
])
def test_json_where_it_is_asked_for(twin, content, value):
    assert json.loads(p.said(answered(twin, content))) == value


def test_json_asked_for_in_the_folded_system_prompt(twin):
    history = [p.user(f"Reply as JSON by {json.dumps(SCHEMA)}\n\nhello"), p.assistant("{}")]
    assert json.loads(p.said(answered(twin, "and now?", history=history))) == {"n": 1}


def test_an_object_in_the_text_is_no_request_for_json(twin):
    assert p.said(answered(twin, 'What does {"a": {"properties": 1}} mean?')).startswith(NOTICE)


ADAPTIVE = {"thinking": {"type": "adaptive"}}
THOUGHT_EVENT = [{"text": THOUGHT}, {"signature": seal(p.MODEL, THOUGHT)}]
FIELDS = [
    pytest.param(ADAPTIVE, p.MODEL, THOUGHT_EVENT, id="adaptive"),
    pytest.param({"output_config": {"effort": "high"}}, p.MODEL, THOUGHT_EVENT, id="effort"),
    pytest.param({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, p.MODEL, [], id="disabled"),
    pytest.param({"thinking": {"type": "adaptive", "display": "omitted"}}, p.MODEL, [{"signature": seal(p.MODEL, "")}],
                 id="omitted"),
    pytest.param({"reasoning": {"effort": "none"}}, "gpt-5.6-sol", [], id="GPT, none"),
    pytest.param({"reasoning": {"effort": "low"}}, "gpt-5.6-sol", [{"text": "..."}, {"signature": ".KTR~~gpt-5.6-sol"}],
                 id="GPT"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "model", "expected"), FIELDS)
def test_thinking(twin, fields, model, expected):
    found = answered(twin, "hello", model, additionalModelRequestFields=fields)
    got = thoughts(found)
    joined = "".join(data.get("text", "") for data in got)
    assert ([{"text": joined}] if joined else []) + [data for data in got if "signature" in data] == expected
    kinds = [kind for kind, _ in found if kind in ("reasoningContentEvent", "assistantResponseEvent")]
    assert not got or (kinds[0] == "reasoningContentEvent") == (model == p.MODEL)  # GPT thinks aloud afterwards


def test_emulated_thinking(twin):
    said = p.said(answered(twin, "<thinking_mode>enabled</thinking_mode>\n\nhello", "glm-5"))
    assert said.startswith(f"<thinking>{THOUGHT}</thinking>\n\n{NOTICE}")
    tools = p.events(p.ask(twin, p.payload(p.user("<thinking_mode>adaptive</thinking_mode>\n\ncall add", **p.context(tools=[ADD])))).content)
    assert p.said(tools).startswith("<thinking>")
    assert p.calls(tools) == [("add", {"a": 1, "b": 1})]


def test_max_tokens(twin):
    """1,024 tokens are 4,096 characters: a schema that wants more is cut."""
    long = {"type": "object", "properties": {"a": {"type": "string", "minLength": 9000}}, "required": ["a"]}
    found = answered(twin, f"As JSON by {json.dumps(long)}", additionalModelRequestFields={"max_tokens": 1024})
    assert (len(p.said(found)), dict(found)["metadataEvent"]) == (4096, {"stopReason": "MAX_TOKENS"})
    whole = answered(twin, "hello", additionalModelRequestFields={"max_tokens": 1024})
    assert dict(whole)["metadataEvent"] == {"stopReason": "END_TURN"}


@pytest.mark.parametrize("content", ["JSON { is what? {\"a\": ", "JSON [{}] {]"])
def test_broken_json_in_a_text(twin, content):
    assert p.said(answered(twin, content)).startswith(NOTICE)


def test_images_are_counted(twin):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    assert base64.b64decode(png)
    image = {"format": "png", "source": {"bytes": png}}
    found = p.events(p.ask(twin, p.payload(p.user("look", images=[image, image]))).content)
    assert "2 images" in p.said(found)
    assert dict(found)["contextUsageEvent"]["contextUsagePercentage"] > 0.32
