import pytest

from kirogw.answer import CallStart
from kirogw.conversation import Tool
from kirogw.dialects.responses.calls import FORMS, Call

LOCAL = {"type": "local"}


def call(kind, *pieces, tool=None):
    made = Call(FORMS[kind], tool, CallStart(0, "call_1", "read"), 0, "x_1", b"")
    told = "".join([*map(made.receive, pieces), made.close()])
    return made, told


ITEMS = [
    # the kind, the arguments as the model wrote them, the members of the item that are the kind's own
    pytest.param("function", '{"a": 1}', {"type": "function_call", "name": "read", "arguments": '{"a": 1}'}, id="function"),
    pytest.param("function", "", {"type": "function_call", "name": "read", "arguments": "{}"}, id="no arguments"),
    pytest.param("custom", '{"input": "ls"}', {"type": "custom_tool_call", "name": "read", "input": "ls"}, id="free text"),
    pytest.param("custom", "", {"type": "custom_tool_call", "name": "read", "input": ""}, id="no text"),
    pytest.param("local_shell", '{"command": ["ls"]}', {
        "type": "local_shell_call", "action": {"type": "exec", "env": {}, "command": ["ls"]}}, id="local shell"),
    pytest.param("tool_search", '{"query": "mail"}', {
        "type": "tool_search_call", "execution": "client", "arguments": {"query": "mail"}}, id="search for tools"),
    pytest.param("shell", '{"commands": ["ls", 5], "timeout_ms": 9}', {
        "type": "shell_call", "environment": LOCAL,
        "action": {"commands": ["ls", "5"], "timeout_ms": 9, "max_output_length": None}}, id="shell"),
    pytest.param("shell", '{"commands": "ls"}', {
        "type": "shell_call", "environment": LOCAL,
        "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}}, id="one command line"),
    pytest.param("shell", "[]", {
        "type": "shell_call", "environment": LOCAL,
        "action": {"commands": [], "timeout_ms": None, "max_output_length": None}}, id="no object"),
    pytest.param("apply_patch", '{"type": "create_file", "path": "a", "diff": "+b"}', {
        "type": "apply_patch_call", "operation": {"type": "create_file", "path": "a", "diff": "+b"}}, id="a new file"),
    pytest.param("apply_patch", '{"type": "delete_file", "path": "a"}', {
        "type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}}, id="a file less"),
    pytest.param("apply_patch", '{"path": ', {
        "type": "apply_patch_call", "operation": {"type": "update_file", "path": "", "diff": ""}}, id="no patch"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "written", "item"), ITEMS)
def test_item(kind, written, item):
    made, _ = call(kind, written)
    assert made.item("completed", made.text()) == {"id": "x_1", "status": "completed", "call_id": "call_1", **item}


def test_a_call_in_a_namespace():
    made, _ = call("function", "{}", tool=Tool("files__read", namespace="files"))
    assert made.item("completed", "{}") == {
        "id": "x_1", "status": "completed", "call_id": "call_1", "type": "function_call", "name": "read",
        "namespace": "files", "arguments": "{}",
    }  # fmt: skip
    assert made.said() == {"arguments": "{}", "name": "read"}


@pytest.mark.parametrize(
    ("kind", "pieces", "told", "whole"),
    [
        pytest.param("function", ['{"a":', " 1}"], '{"a": 1}', True, id="function"),
        pytest.param("function", ['{"a":'], '{"a":', False, id="half a function"),
        pytest.param("custom", ['{"inp', 'ut": "l', 's"}'], "ls", True, id="free text"),
        pytest.param("custom", ['{"input": "l'], "l", False, id="half a text"),
        pytest.param("custom", ["ls"], "ls", False, id="bare text, held back to the end"),
    ],
)
def test_what_its_deltas_carry(kind, pieces, told, whole):
    made, said = call(kind, *pieces)
    assert (said, made.text(), made.whole()) == (told, told, whole)
