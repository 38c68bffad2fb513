import pytest

from kirogw.conversation import Choice, Conversation, Format, Search, Text, Thinking, Tool, Turn
from kirogw.dialects.responses.request import REPEATED, read
from kirogw.errors import BadRequest

BASE = {"model": "m", "input": "Hi"}
USER = Turn("user", (Text("Hi"),))
WEB = {"type": "web_search", "filters": {"allowed_domains": ["example.org"]}}
READ = {"type": "function", "name": "read", "parameters": {"type": "object"}}


def conversation(**more):
    return read({**BASE, **more}, {}).conversation


def test_the_least():
    ask = read(BASE, {})
    assert ask.conversation == Conversation("m", (USER,))
    assert (ask.stream, ask.echo["seals"], ask.echo["sources"], ask.echo["store"], ask.echo["tools"]) == (
        False, False, False, True, {})
    assert ask.echo["response"] == {name: default for name, (default, _) in REPEATED.items()}


def test_all_at_once():
    ask = read(
        {
            "model": "gpt-5.5", "stream": True, "instructions": "One.", "max_output_tokens": 7, "tools": [READ, WEB],
            "input": [{"role": "developer", "content": "Two."}, {"role": "user", "content": "Hi"},
                      {"role": "developer", "content": "Three."}],
            "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"}, "store": False,
            "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "array"},
                                                    "description": "Names.", "strict": True}},
            "include": ["reasoning.encrypted_content", "web_search_call.action.sources"], "max_tool_calls": 2,
            "parallel_tool_calls": False, "temperature": 1, "prompt_cache_key": "k", "user": "u",
            "previous_response_id": "resp_1", "tool_choice": "required",
        },
        {"session-id": "s"},
    )  # fmt: skip
    assert ask.conversation == Conversation(
        "gpt-5.5", (USER, Turn("system", (Text("Three."),))), ("One.", "Two."), (Tool("read", "", {"type": "object"}),),
        Choice("any", parallel=False), (), 7, Thinking("adaptive", "high", summary="auto"),
        Format({"description": "Names.", "type": "array"}, "n", True), Search(2, ("example.org",)), "s",
        options={"temperature": 1, "prompt_cache_key": "k", "verbosity": "low", "reasoning_context": "all_turns",
                 "web_search": WEB, "sources": True},
    )  # fmt: skip
    assert ask.stream
    assert (ask.echo["seals"], ask.echo["sources"], ask.echo["store"]) == (True, True, False)
    assert ask.echo["previous_response_id"] == "resp_1"
    assert ask.echo["response"]["tools"] == [READ, WEB]


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"input": None}, "input", "must be an array"),
        ({"input": []}, "input", "must hold something to answer"),
        ({"input": [{"type": "additional_tools", "tools": []}]}, "input", "must hold something to answer"),
        ({"input": [5]}, "input.0", "must be an object"),
        ({"input": [{}]}, "input.0.type", "is required"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role", None),
        ({"input": [{"id": "msg_1"}]}, "input.0.id", "names an item that is not kept here; send the item itself"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input.0.content.0.input_audio", None),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input.0.content.0.file_id", None),
        ({"input": [{"type": "function_call", "name": "a", "arguments": "{}"}]}, "input.0.call_id", "is required"),
        ({"model": ""}, "model", None),
        ({"max_output_tokens": 0}, "max_output_tokens", "must be at least 1"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", None),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary", None),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", None),
        ({"include": "x"}, "include", "must be an array"),
        ({"stream": 1}, "stream", "must be true or false"),
        ({"store": "no"}, "store", "must be true or false"),
        ({"background": True}, "background", None),
        ({"conversation": {"id": "c"}}, "conversation", None),
        ({"prompt": {"id": "p"}}, "prompt", None),
        ({"top_logprobs": 1}, "top_logprobs", None),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name", None),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools.0.tools.0.type", None),
        ({"input": [{"type": "additional_tools", "tools": [{"type": "function"}]}, {"role": "user", "content": "Hi"}]},
         "input.0.tools.0.name", "is required"),
    ],
)
def test_refused(more, param, words):
    with pytest.raises(BadRequest) as refusal:
        conversation(**more)
    assert refusal.value.param == param
    assert words in (None, str(refusal.value))


@pytest.mark.parametrize("name", ["background", "conversation", "prompt", "moderation", "top_logprobs"])
def test_what_asks_for_nothing_is_fine(name):
    for value in (None, False, 0, {}):
        assert conversation(**{name: value}) == Conversation("m", (USER,))


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (None, Thinking()),
        ({}, Thinking()),
        ({"effort": None, "summary": None}, Thinking()),
        ({"effort": "none"}, Thinking("off", "none", summary="none")),
        ({"effort": "minimal"}, Thinking("adaptive", "minimal", summary="none")),
        ({"effort": "max", "generate_summary": "concise"}, Thinking("adaptive", "max", summary="concise")),
        ({"summary": "none"}, Thinking()),
    ],
)
def test_thinking(reasoning, thinking):
    assert conversation(reasoning=reasoning).thinking == thinking


def test_the_conversation_may_change_it():
    items = [{"role": "user", "content": "Hi"}, {"type": "configuration_update", "reasoning": {"effort": "low"}},
             {"role": "user", "content": "Go on"}, {"type": "configuration_update", "reasoning": {"effort": "high"}}]
    asked = conversation(input=items, reasoning={"effort": "none", "summary": "auto"})
    assert asked.thinking == Thinking("adaptive", "high", summary="auto")
    assert len(asked.turns) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ({}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, Format()),
        ({"format": {"type": "json_schema", "name": "n"}}, Format(None, "n")),
        ({"format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}}}, Format({"a": 1}, "n")),
    ],
)
def test_format(text, wanted):
    assert conversation(text=text).format == wanted


def test_instructions_as_a_response_repeats_them():
    listed = [{"role": "developer", "content": "One."}, {"role": "system", "content": [{"type": "input_text", "text": "Two."}]}]
    assert conversation(instructions=listed).system == ("One.", "Two.")


def test_instructions_alone_are_what_is_to_be_answered():
    assert conversation(input=[{"role": "developer", "content": "Say hi."}]).turns == (Turn("system", (Text("Say hi."),)),)


def test_without_a_model():
    assert read({"input": "Hi"}, {}).conversation.model == "auto"


@pytest.mark.parametrize(
    ("more", "headers", "session"),
    [
        ({"prompt_cache_key": "k", "user": "u"}, {}, "k"),
        ({"user": "u", "safety_identifier": "s"}, {}, "u"),
        ({"safety_identifier": "s"}, {}, "s"),
        ({"prompt_cache_key": "k"}, {"session-id": "h"}, "h"),
    ],
)
def test_session(more, headers, session):
    assert read({**BASE, **more}, headers).conversation.session == session


def test_what_is_repeated_is_what_it_must_be():
    """A client's odd value is not handed back as something that no package can read."""
    ask = read({**BASE, "temperature": "hot", "metadata": 5, "user": None, "truncation": "auto", "text": {"verbosity": "low"},
                "metadata_": 1}, {})  # fmt: skip
    repeated = ask.echo["response"]
    assert (repeated["temperature"], repeated["metadata"], repeated["user"], repeated["truncation"]) == (None, {}, None, "auto")
    assert repeated["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert "temperature" not in ask.conversation.options


def test_halves_of_a_pair_are_not_repeated():
    ask = read({**BASE, "instructions": "half \ud83d", "metadata": {"\udc00": "x"}}, {})
    assert (ask.echo["response"]["instructions"], ask.echo["response"]["metadata"]) == ("half \ufffd", {"\ufffd": "x"})
