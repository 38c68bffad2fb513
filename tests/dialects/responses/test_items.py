import pytest

from kirogw.conversation import Call, Document, Image, Native, Result, Text, Thought, Tool, Turn
from kirogw.dialects.responses import items
from kirogw.dialects.responses.parts import media_of
from kirogw.dialects.seals import seal
from kirogw.errors import BadRequest

USER = {"role": "user", "content": "Hi"}
HI = Turn("user", (Text("Hi"),))


def turns(*given):
    return items.read([USER, *given])[1][1:]


def test_turns_end_where_another_speaks():
    system, said = items.read([
        {"role": "system", "content": "One."}, {"type": "additional_tools", "tools": []},
        {"role": "developer", "content": [{"type": "input_text", "text": "Two."}, {"type": "input_text", "text": "Three."}]},
        USER, USER,
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": ""},
        {"type": "function_call", "call_id": "c2", "name": "b", "arguments": "[1]"},
        {"type": "function_call_output", "call_id": "c2", "output": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "A"},
        {"role": "developer", "content": "Four."}, USER,
    ])  # fmt: skip
    assert system == ("One.", "Two.", "Three.")
    assert said == (
        HI, HI, Turn("model", (Thought("A\n\nB"), Text("I look."), Call("c1", "a"), Call("c2", "b", {}, "[1]"))),
        Turn("user", (Result("c2"), Result("c1", (Text("A"),)))), Turn("system", (Text("Four."),)), HI,
    )  # fmt: skip


ROWS = [
    # an item, what it is to us
    pytest.param({"type": "reasoning", "summary": [], "encrypted_content": seal("c", "m", "x")},
                 Thought("", seal("c", "m", "x")), id="a thought of ChatGPT's that is not shown"),
    pytest.param({"type": "reasoning", "summary": [], "encrypted_content": seal("r", "m", "x")},
                 Thought("", seal("r", "m", "x"), hidden=True), id="a thought of Kiro's that nobody may read"),
    pytest.param({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "So."}]},
                 Thought("So."), id="a thought in full"),
    pytest.param({"type": "function_call", "call_id": "c", "name": "tell", "namespace": "files", "arguments": "{}"},
                 Call("c", "files__tell", {}, None, "files"), id="namespace"),
    pytest.param({"type": "function_call", "call_id": "c", "name": "exec", "namespace": "functions", "arguments": "{}"},
                 Call("c", "exec", {}, None, "functions"), id="the default namespace"),
    pytest.param({"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": ""},
                 Call("c", "sql", {"input": ""}, kind="custom"), id="free text"),
    pytest.param({"type": "local_shell_call", "id": "i", "call_id": None, "status": "completed", "action": {
        "type": "exec", "command": ["ls"], "env": {}, "user": None}},
                 Call("i", "local_shell", {"command": ["ls"]}, kind="shell"), id="local shell"),
    pytest.param({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"], "timeout_ms": None}},
                 Call("c", "shell", {"commands": ["ls"]}), id="shell"),
    pytest.param({"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
                 Call("c", "apply_patch", {"type": "delete_file", "path": "a"}), id="patch"),
    pytest.param({"type": "tool_search_call", "call_id": "c", "arguments": '{"query": "x"}'},
                 Call("c", "tool_search", {"query": "x"}, kind="search"), id="arguments as text"),
    pytest.param({"type": "tool_search_call", "call_id": None, "arguments": {}},
                 Native({"type": "tool_search_call", "call_id": None, "arguments": {}}), id="OpenAI's own search for tools"),
    pytest.param({"type": "of_tomorrow", "x": 1}, Native({"type": "of_tomorrow", "x": 1}), id="of tomorrow"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "part"), ROWS)
def test_of_the_model(item, part):
    assert turns(item) == (Turn("model", (part,)),)


OUTPUTS = [
    pytest.param({"type": "function_call_output", "call_id": "c", "output": [
        {"type": "input_text", "text": "A"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi0="}]},
                 Result("c", (Text("A"), Image("iVBORw0KGgo=", "image/png"), Document("a.pdf", data="JVBERi0="))), id="parts"),
    pytest.param({"type": "local_shell_call_output", "id": "c", "output": "a.txt"}, Result("c", (Text("a.txt"),)), id="local shell"),
    pytest.param({"type": "shell_call_output", "call_id": "c", "output": [
        {"stdout": "a", "stderr": "b", "outcome": {"type": "exit", "exit_code": 2}},
        {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}]},
                 Result("c", (Text("a"), Text("b"), Text("Exit code: 2"), Text("It was ended, for it took too long."))), id="shell"),
    pytest.param({"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "No."},
                 Result("c", (Text("No."),), True), id="a patch that failed"),
    pytest.param({"type": "tool_search_output", "call_id": "c", "tools": []}, Result("c", (Text("No tools were found."),)),
                 id="nothing found"),
    pytest.param({"type": "tool_search_output", "call_id": None, "tools": []},
                 Native({"type": "tool_search_output", "call_id": None, "tools": []}), id="found by OpenAI"),
    pytest.param({"type": "of_tomorrow_output"}, Native({"type": "of_tomorrow_output"}), id="of tomorrow"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "part"), OUTPUTS)
def test_of_tools(item, part):
    assert turns(item) == (Turn("user", (part,)),)


def test_an_output_names_the_item_of_its_call():
    call = {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "action": {"type": "exec", "command": ["ls"]}}
    assert turns(call, {"type": "local_shell_call_output", "id": "lsh_1", "output": ""})[1].parts == (Result("call_1"),)


def test_tools_that_were_found_go_with_their_item():
    tool = Tool("files__read", "Reads.", {}, namespace="files")
    said = (Turn("model", (Call("c", "tool_search", {"query": "x"}, kind="search"),)),
            Turn("user", (Result("c", (Text("These tools can be called now:\nfiles__read\ngone"),)),)))  # fmt: skip
    assert items.found(said) == {"files__read", "gone"}
    _, output = items.written(said, (tool,))
    assert output == {"type": "tool_search_output", "call_id": "c", "execution": "client", "status": "completed", "tools": [
        {"type": "namespace", "name": "files", "description": "", "tools": [
            {"type": "function", "name": "read", "description": "Reads.", "parameters": {}, "strict": False}]}]}  # fmt: skip


def test_another_result_of_a_search_is_words():
    said = (Turn("model", (Call("c", "tool_search", {}, kind="search"),)), Turn("user", (Result("c", (Text("No."),)),)))
    assert items.written(said)[1] == {"type": "function_call_output", "call_id": "c", "output": "No."}
    assert items.found(said) == set()


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"command": ["ls", "-l"]}, {"type": "exec", "env": {}, "command": ["ls", "-l"]}),
        ({"command": "ls | wc"}, {"type": "exec", "env": {}, "command": ["bash", "-lc", "ls | wc"]}),
        ({"command": ["sleep", 5], "env": {"A": "b"}}, {"type": "exec", "env": {"A": "b"}, "command": ["sleep", "5"]}),
        ({}, {"type": "exec", "env": {}, "command": []}),
        ({"command": 7}, {"type": "exec", "env": {}, "command": []}),
    ],
)
def test_a_shell_gets_words_whatever_the_model_made_of_them(given, action):
    assert items.action(given) == action


def test_a_picture_among_the_models_words():
    """Its messages have no room for one: it stands beside them."""
    said = items.written((Turn("model", (Text("Look:"), Image("iVBORw0KGgo="), Text("Nice."))),))
    assert [item["role"] for item in said] == ["assistant", "user", "assistant"]
    assert said[1]["content"] == [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]


@pytest.mark.parametrize(
    ("data", "media"),
    [("iVBORw0KGgo=", "image/png"), ("/9j/4AAQ", "image/jpeg"), ("R0lGODlh", "image/gif"), ("UklGRgAA", "image/webp"),
     ("JVBERi0=", "application/pdf"), ("AAAA", "application/octet-stream"), ("?", "application/octet-stream"), ("", "application/octet-stream")],
)  # fmt: skip
def test_media(data, media):
    assert media_of(data) == media


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"content": "x"}, "input.1.type"),
        ({"type": 5}, "input.1.type"),
        ({"type": "item_reference", "id": "msg_1"}, "input.1.id"),
        ({"type": "message", "content": "x"}, "input.1.role"),
        ({"role": "user", "content": [{"type": "of_tomorrow"}]}, "input.1.content.0.type"),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input.1.content.0.file_data"),
        ({"role": "assistant", "content": [{"type": "input_image", "image_url": "x"}]}, "input.1.content.0.type"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "n"}, "input.1.input"),
        ({"type": "function_call_output", "output": "x"}, "input.1.call_id"),
        ({"type": "local_shell_call", "id": "x"}, "input.1.action"),
        ({"type": "reasoning", "summary": [{}]}, "input.1.summary.0.text"),
    ],
)
def test_refused(item, param):
    with pytest.raises(BadRequest) as refusal:
        turns(item)
    assert refusal.value.param == param
