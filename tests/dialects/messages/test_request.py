import json

import pytest

from kirogw.conversation import Choice, Conversation, Format, Search, Text, Thinking, Tool, Turn
from kirogw.dialects.face import Ask
from kirogw.dialects.messages.request import read
from kirogw.errors import BadRequest, UnsupportedThread

HI = [{"role": "user", "content": "Hi"}]
USER = Turn("user", (Text("Hi"),))
READ = {"name": "read", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def body(**more):
    return {"model": "m", "messages": HI, **more}


def conversation(**more):
    return read(body(**more), {}).conversation


def test_the_least():
    assert read(body(), {}) == Ask(Conversation("m", (USER,)))


def test_all_at_once():
    asked = read(
        body(
            stream=True, max_tokens=9, system=[{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
            stop_sequences=["X"], tools=[READ, SEARCH], tool_choice={"type": "any", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
            output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            metadata={"user_id": "u"},
        ),
        {"x-session-id": "s"},
    )  # fmt: skip
    assert asked == Ask(
        Conversation(
            "m", (USER,), ("A", "B"), (Tool("read", "", {"type": "object"}),), Choice("any", parallel=False), ("X",), 9,
            Thinking("on", "max", 1024, False), Format({"type": "object"}), Search(), "s",
        ),
        stream=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        pytest.param({"messages": None}, "messages", "must be an array", id="no messages"),
        pytest.param({"messages": []}, "messages", "must hold at least one message", id="empty"),
        pytest.param({"messages": ["Hi"]}, "messages.0", "must be an object", id="bare text"),
        pytest.param({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role",
                     "must be one of user, assistant, system, not 'tool'", id="role"),
        pytest.param({"messages": [{"role": "user"}]}, "messages.0.content", "is required", id="no content"),
        pytest.param({"messages": [*HI, {"role": "user", "content": [{"type": "text"}]}]}, "messages.1.content.0.text",
                     "is required", id="deep"),
        pytest.param({"model": 5}, "model", "must be a string", id="model"),
        pytest.param({"max_tokens": 0}, "max_tokens", "must be at least 1", id="no tokens"),
        pytest.param({"stop_sequences": [""]}, "stop_sequences.0", "must not be empty", id="empty stop"),
        pytest.param({"thinking": {"type": "hard"}}, "thinking.type",
                     "must be one of enabled, adaptive, between_tools, disabled, not 'hard'", id="thinking"),
        pytest.param({"output_config": {"effort": "much"}}, "output_config.effort",
                     "must be one of low, medium, high, xhigh, max, not 'much'", id="effort"),
        pytest.param({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type",
                     "must be one of json_schema, not 'xml'", id="format"),
        pytest.param({"system": [{"type": "text"}]}, "system.0.text", "is required", id="system"),
        pytest.param({"compaction": {"type": "summarize"}}, "compaction",
                     "can not be done here: ask for a summary as a message instead", id="compaction"),
    ],
)  # fmt: skip
def test_refused(more, param, words):
    with pytest.raises(BadRequest) as refusal:
        read(body(**more), {})
    assert (refusal.value.param, str(refusal.value)) == (param, words)


def test_threads_are_another_kind_of_refusal():
    with pytest.raises(UnsupportedThread) as refusal:
        read(body(thread={"type": "create"}), {})
    assert refusal.value.param == "thread"


@pytest.mark.parametrize(
    ("config", "thinking"),
    [
        pytest.param({}, Thinking(), id="nothing said"),
        pytest.param({"thinking": {"type": "adaptive"}}, Thinking("adaptive"), id="adaptive"),
        pytest.param({"thinking": {"type": "between_tools"}}, Thinking("adaptive"), id="between tools"),
        pytest.param({"thinking": {"type": "disabled", "budget_tokens": 0}}, Thinking("off", budget=0), id="off"),
        pytest.param({"thinking": {"type": "adaptive", "display": "updates"}}, Thinking("adaptive"), id="updates are shown"),
        pytest.param({"output_config": {"effort": None}}, Thinking(), id="no effort"),
        pytest.param({"output_config": {"effort": "low"}}, Thinking(effort="low"), id="effort alone"),
    ],
)
def test_thinking(config, thinking):
    assert conversation(**config).thinking == thinking


def test_effort_changes_in_mid_conversation():
    change = {"role": "system", "output_config": {"effort": "low"}}
    found = conversation(output_config={"effort": "high"}, messages=[*HI, change, *HI])
    assert found.thinking.effort == "low"
    assert found.turns == (USER, USER), "a message without words is no turn"


@pytest.mark.parametrize(
    ("user", "session"),
    [
        pytest.param(json.dumps({"device_id": "d", "session_id": "s"}), "s", id="Claude Code"),
        pytest.param('{"session_id": ""}', '{"session_id": ""}', id="empty"),
        pytest.param('{"session_id": 5}', '{"session_id": 5}', id="no text"),
        pytest.param("{broken", "{broken", id="broken"),
        pytest.param("user_1_account__session_2", "user_1_account__session_2", id="older Claude Code"),
        pytest.param(None, "", id="null"),
    ],
)
def test_session(user, session):
    assert conversation(metadata={"user_id": user}).session == session


def test_an_instruction_for_one_turn():
    once = {"role": "system", "clear_at": "next_user_message", "content": "Hurry."}
    assert conversation(messages=[*HI, once]).turns[1] == Turn("system", (Text("Hurry."),))
    assert conversation(messages=[*HI, once, {"role": "assistant", "content": "Ho"}, *HI]).turns == (
        USER, Turn("model", (Text("Ho"),)), USER,
    )  # fmt: skip


def test_the_older_name_of_format():
    older = {"type": "json_schema", "schema": {"type": "array"}, "name": "n"}
    assert conversation(output_format=older).format == Format({"type": "array"}, "n")
    newer = {"format": {"type": "json_schema", "schema": {}}}
    assert conversation(output_format=older, output_config=newer).format == Format({})
