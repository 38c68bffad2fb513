import jsonschema
import pytest

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects.messages.known import KNOWN
from kirogw.dialects.messages.tools import read_choice, read_tools, undated
from kirogw.errors import BadRequest

READ = {"name": "read", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
CODE = {"type": "code_execution_20250825", "name": "code_execution"}


def offer(*tools, **more):
    return read_tools({"tools": list(tools), **more})


@pytest.mark.parametrize(
    ("kind", "name"),
    [("web_search_20250305", "web_search"), ("custom", "custom"), ("mcp_toolset", "mcp_toolset"), ("bash_2025", "bash_2025"),
     ("tool_search_tool_bm25_20251119", "tool_search_tool_bm25")],
)
def test_undated(kind, name):
    assert undated(kind) == name


def test_a_clients_own_web_search_is_its_own():
    """Only the dated type is a server tool; a function of that name is the client's to run."""
    found = offer({"name": "web_search", "input_schema": {"type": "object"}})
    assert (found.search, [tool.name for tool in found.tools]) == (None, ["web_search"])


def test_unknown_types_with_a_schema_are_the_clients():
    assert offer({"type": "shiny_20270101", **READ}).tools == [Tool("read", "", {"type": "object"})]


@pytest.mark.parametrize("kind", KNOWN)
def test_known_schemas(kind):
    """Each is a schema, of an object, and says what its members are for."""
    found = offer({"type": f"{kind}_20250124", "name": kind, "display_width_px": 800, "display_height_px": 600}).tools[0]
    jsonschema.Draft202012Validator.check_schema(found.schema)
    assert found.schema["type"] == "object"
    assert found.description


def test_editor_versions():
    def verbs(kind, name):
        return offer({"type": kind, "name": name}).tools[0].schema["properties"]["command"]["enum"]

    assert "undo_edit" in verbs("text_editor_20250124", "str_replace_editor")
    assert "undo_edit" not in verbs("text_editor_20250728", "str_replace_based_edit_tool")


def test_screen():
    found = offer({"type": "computer_20241022", "name": "computer"}).tools[0]
    assert "1024 by 768" in found.description
    assert "zoom" not in found.schema["properties"]["action"]["enum"]


def test_tools_that_come_and_go():
    def change(kind, **tool):
        return {"role": "system", "content": [{"type": kind, "tool": tool}]}

    messages = [
        {"role": "user", "content": "Hi"},
        change("tool_addition", type="tool_definition", definition={**READ, "name": "late"}),
        change("tool_removal", type="tool_reference", name="read"),
        change("tool_addition", type="tool_reference", name="late"),
    ]
    assert [tool.name for tool in offer(READ, messages=messages).tools] == ["late"]


def test_a_path_into_a_tool_change():
    messages = [{"role": "user", "content": [{"type": "tool_addition", "tool": {
        "type": "tool_definition", "definition": {"name": "late"}}}]}]  # fmt: skip
    with pytest.raises(BadRequest) as refusal:
        offer(messages=messages)
    assert refusal.value.param == "messages.0.content.0.tool.definition.input_schema"


def test_a_change_that_a_compaction_keeps_says_what_it_is():
    kept = {"type": "compaction", "content": "So far.", "tool_changes": [{"tool": {"type": "tool_reference", "name": "read"}}]}
    with pytest.raises(BadRequest) as refusal:
        offer(READ, messages=[{"role": "user", "content": [kept]}])
    assert refusal.value.param == "messages.0.content.0.tool_changes.0.type"


CHOICES = [
    # the tools, the choice, ours, whether it forces the search
    pytest.param([READ], None, Choice(), False, id="none given"),
    pytest.param([READ], {"type": "auto"}, Choice(), False, id="auto"),
    pytest.param([READ], {"type": "none"}, Choice("none"), False, id="none"),
    pytest.param([READ], {"type": "any"}, Choice("any"), False, id="any"),
    pytest.param([READ], {"type": "tool", "name": "read"}, Choice("named", "read"), False, id="named"),
    pytest.param([SEARCH], {"type": "tool", "name": "web_search"}, Choice(), True, id="Claude Code's search"),
    pytest.param([SEARCH], {"type": "any"}, Choice(), True, id="any, and there is only the search"),
    pytest.param([SEARCH], {"type": "auto"}, Choice(), False, id="search if it likes"),
    pytest.param([READ, SEARCH], {"type": "tool", "name": "web_search"}, Choice("named", "web_search"), False,
                 id="search among others"),
    pytest.param([CODE], {"type": "tool", "name": "code_execution"}, Choice(), False, id="a tool that is left out"),
    pytest.param([CODE], {"type": "any"}, Choice(), False, id="any of none"),
    pytest.param([], {"type": "auto", "disable_parallel_tool_use": True}, Choice(parallel=False), False, id="one at a time"),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "given", "chosen", "forced"), CHOICES)
def test_choice(tools, given, chosen, forced):
    assert read_choice({"tool_choice": given}, offer(*tools)) == (chosen, forced)


@pytest.mark.parametrize(
    ("given", "param"),
    [({"type": "tool", "name": "other"}, "tool_choice.name"), ({"type": "tool"}, "tool_choice.name"),
     ({"type": "maybe"}, "tool_choice.type"), ("any", "tool_choice")],
)
def test_choice_refused(given, param):
    with pytest.raises(BadRequest) as refusal:
        read_choice({"tool_choice": given}, offer(READ))
    assert refusal.value.param == param


def test_search():
    found = offer({**SEARCH, "allowed_domains": ["a.com"], "blocked_domains": ["b.com"]}).search
    assert found == Search(8, ("a.com",), ("b.com",))


def test_left_out_once():
    found = offer(CODE, CODE, {"type": "mcp_toolset", "mcp_server_name": "m"}, mcp_servers=[{"name": "m"}])
    assert found.left_out == ["mcp:m", "code_execution"]
