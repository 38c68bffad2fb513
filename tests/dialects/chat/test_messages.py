import pytest

from kirogw.conversation import Call, Document, Image, Result, Text, Thought, Turn
from kirogw.dialects.chat.messages import read_messages
from kirogw.errors import BadRequest

HI = {"role": "user", "content": "Hi"}
USER = Turn("user", (Text("Hi"),))


def turns(*messages):
    return read_messages({"messages": list(messages)})[1]


def parts(*content, role="user"):
    return turns({"role": role, "content": list(content)})[0].parts


def test_instructions_before_the_first_message_are_the_system_prompt():
    messages = [
        {"role": "system", "content": "A"}, {"role": "developer", "content": [{"type": "text", "text": "B"}]}, HI,
        {"role": "system", "content": "C"},
    ]  # fmt: skip
    assert read_messages({"messages": messages}) == (("A", "B"), (USER, Turn("system", (Text("C"),))))


def test_nothing_but_instructions():
    """Somebody must speak: then they are turns."""
    assert read_messages({"messages": [{"role": "system", "content": "A"}]}) == ((), (Turn("system", (Text("A"),)),))


def call(id_, arguments="{}"):
    return {"id": id_, "type": "function", "function": {"name": "read", "arguments": arguments}}


def test_results_that_follow_each_other_are_one_turn():
    asked = {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]}
    found = turns(HI, asked, {"role": "tool", "tool_call_id": "a", "content": "1"},
                  {"role": "tool", "tool_call_id": "b", "content": None}, HI,
                  {"role": "tool", "tool_call_id": "a", "content": "2"})  # fmt: skip
    assert found == (
        USER, Turn("model", (Call("a", "read"), Call("b", "read"))),
        Turn("user", (Result("a", (Text("1"),)), Result("b"))), USER, Turn("user", (Result("a", (Text("2"),)),)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "found"),
    [
        pytest.param({"content": ""}, (), id="empty"),
        pytest.param({"content": "", "tool_calls": [call("a", "")]}, (Call("a", "read"),), id="call without arguments"),
        pytest.param({"tool_calls": [call("a", '{"x":')]}, (Call("a", "read", {}, '{"x":'),), id="stump"),
        pytest.param({"tool_calls": [{"id": "a", "function": {"name": "read"}}]}, (Call("a", "read"),), id="no type"),
        pytest.param({"content": "x", "reasoning_content": "hm"}, (Thought("hm"), Text("x")), id="reasoning_content"),
        pytest.param({"content": "x", "reasoning": "hm"}, (Thought("hm"), Text("x")), id="reasoning"),
        pytest.param({"content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
                     (Text("a"), Text("no")), id="refusal as a part"),
        pytest.param({"content": [{"type": "refusal", "refusal": ""}]}, (), id="empty refusal"),
        pytest.param({"content": None, "refusal": "no"}, (Text("no"),), id="refusal"),
        pytest.param({"content": "x", "tool_calls": None, "function_call": None, "audio": None, "refusal": None},
                     (Text("x"),), id="nulls"),
    ],
)  # fmt: skip
def test_assistant(message, found):
    assert turns({"role": "assistant", **message})[0] == Turn("model", found)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        pytest.param({"type": "text", "text": ""}, (), id="empty"),
        pytest.param({"type": "image_url", "image_url": "https://example.com/a.png"},
                     (Image(url="https://example.com/a.png"),), id="bare URL"),
        pytest.param({"type": "image_url", "image_url": {"url": "data:image/webp;base64,UklG"}},
                     (Image("UklG", "image/webp"),), id="data URL"),
        pytest.param({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
                     (Document("a.pdf", "application/pdf", "JVBE"),), id="file"),
        pytest.param({"type": "file", "file": {"file_data": "JVBE"}}, (Document("document", "", "JVBE"),), id="bare base64"),
        pytest.param({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
                     (Document("document", url="https://example.com/a.pdf"),), id="file elsewhere"),
    ],
)  # fmt: skip
def test_part(part, found):
    assert parts(part) == found


def test_pictures_in_a_result():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    assert turns({"role": "tool", "tool_call_id": "a", "content": [image]})[0].parts == (
        Result("a", (Image("iVBO", "image/png"),)),
    )


def test_legacy_functions():
    """Ids come from the place of the call, so they stay as they are when the conversation grows."""
    asked = {"role": "assistant", "content": None, "function_call": {"name": "read", "arguments": '{"a": 1}'}}
    answered = {"role": "function", "name": "read", "content": "x"}
    assert turns(HI, asked, answered, asked, answered)[1:] == (
        Turn("model", (Call("call_1", "read", {"a": 1}),)), Turn("user", (Result("call_1", (Text("x"),)),)),
        Turn("model", (Call("call_3", "read", {"a": 1}),)), Turn("user", (Result("call_3", (Text("x"),)),)),
    )  # fmt: skip


def test_a_result_whose_call_was_cut_away():
    assert turns({"role": "function", "name": "read", "content": "x"})[0].parts == (
        Result("call_of_read", (Text("x"),)),
    )


@pytest.mark.parametrize(
    ("message", "param"),
    [
        pytest.param({"role": "critic", "content": "x"}, "messages.1.role", id="role"),
        pytest.param({"content": "x"}, "messages.1.role", id="no role"),
        pytest.param({"role": "user", "content": {"text": "x"}}, "messages.1.content", id="object"),
        pytest.param({"role": "user", "content": [{"type": "video"}]}, "messages.1.content.0.type", id="kind"),
        pytest.param({"role": "system", "content": [{"type": "image_url"}]}, "messages.1.content.0.type", id="picture as system"),
        pytest.param({"role": "tool", "content": "x"}, "messages.1.tool_call_id", id="no id"),
        pytest.param({"role": "assistant", "tool_calls": [{"id": "a"}]}, "messages.1.tool_calls.0.function", id="no function"),
        pytest.param({"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "x"}}]},
                     "messages.1.tool_calls.0.custom.input", id="custom without input"),
        pytest.param({"role": "assistant", "audio": {"id": "a"}}, "messages.1.audio", id="audio"),
        pytest.param({"role": "user", "content": [{"type": "input_audio"}]}, "messages.1.content.0.input_audio", id="sound"),
        pytest.param({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},
                     "messages.1.content.0.file.file_id", id="file at OpenAI"),
        pytest.param({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages.1.content.0.file.file_data",
                     id="no file"),
        pytest.param({"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
                     "messages.1.content.0.image_url.url", id="no URL"),
    ],
)  # fmt: skip
def test_refused(message, param):
    with pytest.raises(BadRequest) as refusal:
        turns(HI, message)
    assert refusal.value.param == param


def test_no_messages():
    with pytest.raises(BadRequest) as refusal:
        turns()
    assert (refusal.value.param, str(refusal.value)) == ("messages", "must hold at least one message")
