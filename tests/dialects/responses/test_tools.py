import pytest

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects.custom import SCHEMA
from kirogw.dialects.responses import tools
from kirogw.dialects.responses.known import ACTION, COMMANDS, OPERATION, PATCHES, QUERY
from kirogw.errors import BadRequest

EMPTY = {"type": "object", "properties": {}}
READ = {"type": "function", "name": "read"}
SQL = {"type": "custom", "name": "sql", "description": "Asks.", "format": {
    "type": "grammar", "syntax": "regex", "definition": "s.*"}}
FILES = {"type": "namespace", "name": "files", "description": "Files.", "tools": [READ, {"type": "custom", "name": "tell"}]}


def offered(*definitions, items="Hi"):
    return tools.read_tools({"tools": list(definitions), "input": items})


def one(definition):
    (tool,) = offered(definition).tools
    return tool


ROWS = [
    pytest.param(READ, Tool("read", "", EMPTY), id="function"),
    pytest.param({**READ, "strict": None, "parameters": None, "description": None}, Tool("read", "", EMPTY), id="nulls"),
    pytest.param({**READ, "strict": False}, Tool("read", "", EMPTY, strict=False), id="not strict"),
    pytest.param({**READ, "defer_loading": True}, Tool("read", "", EMPTY, native={**READ, "defer_loading": True}),
                 id="more than a Tool says"),
    pytest.param({"type": "function", "function": {"name": "read", "strict": True}}, Tool("read", "", EMPTY, strict=True),
                 id="as Chat Completions has it"),
    pytest.param({"type": "custom", "name": "sql"}, Tool("sql", "", SCHEMA, "custom", native={"type": "custom", "name": "sql"}),
                 id="custom"),
    pytest.param(SQL, Tool("sql", "Asks.\n\n`input` must follow this regex grammar:\ns.*", SCHEMA, "custom", native=SQL),
                 id="grammar"),
    pytest.param({"type": "local_shell"}, Tool(
        "local_shell", "Runs a command on the user's machine and gives what it prints.", ACTION, "shell",
        native={"type": "local_shell"}), id="local shell"),
    pytest.param({"type": "shell"}, Tool(
        "shell", "Runs commands in a shell on the user's machine and gives what they print.", COMMANDS,
        native={"type": "shell"}), id="shell"),
    pytest.param({"type": "apply_patch"}, Tool("apply_patch", PATCHES, OPERATION, native={"type": "apply_patch"}), id="patches"),
    pytest.param({"type": "tool_search", "execution": "client"}, Tool(
        "tool_search", "Finds more tools; what it finds can be called afterwards.", QUERY, "search",
        native={"type": "tool_search", "execution": "client"}), id="search for tools"),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "tool"), ROWS)
def test_one(definition, tool):
    assert one(definition) == tool


def test_a_namespace():
    """Each tool keeps the namespace with itself in it; together they are the namespace again."""
    first, second = offered(FILES).tools
    assert (first.name, first.bare, first.namespace, first.kind) == ("files__read", "read", "files", "function")
    assert (second.name, second.bare, second.kind) == ("files__tell", "tell", "custom")
    assert first.native == {**FILES, "tools": [READ]}
    assert tools.written([first, Tool("other"), second]) == [
        FILES, {"type": "function", "name": "other", "description": "", "parameters": {}, "strict": False}]
    assert tools.written([first, second], without={"files__read"}) == [{**FILES, "tools": FILES["tools"][1:]}]
    assert tools.written([first, second]) == [FILES]
    assert first.native == {**FILES, "tools": [READ]}


def test_a_tool_in_a_namespace_that_has_no_definition():
    assert tools.written([Tool("files__read", "Reads.", EMPTY, namespace="files")]) == [
        {"type": "namespace", "name": "files", "description": "", "tools": [
            {"type": "function", "name": "read", "description": "Reads.", "parameters": EMPTY, "strict": False}]}]


def test_the_default_namespace():
    tool = one({"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]})
    assert (tool.name, tool.bare, tool.namespace) == ("exec", "exec", "functions")
    assert tools.flat("functions", "exec") == "exec"
    assert tools.bare("functions", "exec") == "exec"


def test_the_shell_goes_as_a_function():
    """ChatGPT's Codex knows no other shell than local_shell."""
    written = tools.written(offered({"type": "shell"}, {"type": "apply_patch"}, {"type": "local_shell"}).tools)
    assert [(tool["type"], tool.get("name")) for tool in written] == [
        ("function", "shell"), ("function", "apply_patch"), ("local_shell", None)]


@pytest.mark.parametrize(
    ("definition", "left_out"),
    [
        ({"type": "mcp", "server_label": "s"}, ["mcp:s"]),
        ({"type": "code_interpreter"}, ["code_interpreter"]),
        ({"type": "image_generation"}, ["image_generation"]),
        ({"type": "of_tomorrow"}, ["of_tomorrow"]),
        ({"type": "shell", "environment": {"type": "container_auto"}}, ["shell"]),
        ({"type": "tool_search"}, []),
        ({"type": "tool_search", "execution": "server"}, []),
    ],
)
def test_what_runs_elsewhere_is_left_out(definition, left_out):
    offer = offered(definition, definition)
    assert (offer.tools, offer.left_out) == ([], left_out)


@pytest.mark.parametrize("kind", ["web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"])
def test_the_web_search(kind):
    definition = {"type": kind, "filters": {"allowed_domains": ["a.org"], "blocked_domains": ["b.org"]}}
    offer = offered(definition)
    assert (offer.search, offer.web, offer.tools) == (Search(None, ("a.org",), ("b.org",)), definition, [])


def test_tools_among_the_items():
    """What a request declares wins over what is found again; the same found twice is one."""
    again = {"type": "tool_search_output", "call_id": "c", "tools": [{**READ, "description": "Again."}, FILES]}
    offer = offered(READ, items=[
        {"type": "additional_tools", "role": "developer", "tools": [SQL, {"type": "web_search"}, {"type": "mcp", "server_label": "s"}]},
        again, again,
    ])  # fmt: skip
    assert [tool.name for tool in offer.tools] == ["read", "sql", "files__read", "files__tell"]
    assert offer.tools[0].description == ""
    assert offer.search == Search()
    assert offer.left_out == ["mcp:s"]


ALL = (READ, SQL, FILES, {"type": "local_shell"}, {"type": "apply_patch"})
CHOICES = [
    pytest.param(None, Choice(), id="none given"),
    pytest.param("none", Choice("none"), id="none"),
    pytest.param("required", Choice("any"), id="required"),
    pytest.param({"type": "function", "name": "read"}, Choice("named", "read"), id="function"),
    pytest.param({"type": "function", "function": {"name": "read"}}, Choice("named", "read"), id="as Chat has it"),
    pytest.param({"type": "custom", "name": "tell"}, Choice("named", "files__tell"), id="bare name"),
    pytest.param({"type": "function", "name": "read", "namespace": "files"}, Choice("named", "files__read"), id="namespace"),
    pytest.param({"type": "function", "name": "files__read"}, Choice("named", "files__read"), id="flat name"),
    pytest.param({"type": "local_shell"}, Choice("named", "local_shell"), id="local shell"),
    pytest.param({"type": "apply_patch"}, Choice("named", "apply_patch"), id="patches"),
    pytest.param({"type": "shell"}, Choice(), id="not offered"),
    pytest.param({"type": "file_search"}, Choice(), id="left out"),
    pytest.param({"type": "mcp", "server_label": "s"}, Choice(), id="a server"),
    pytest.param({"type": "web_search"}, Choice(), id="no search was offered"),
    pytest.param({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "read"}, {"type": "mcp"}]},
                 Choice("auto", allowed=("read",)), id="allowed"),
    pytest.param({"type": "allowed_tools", "mode": "required", "tools": [{"type": "mcp", "server_label": "s"}]}, Choice("none"),
                 id="none of them is here"),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "choice"), CHOICES)
def test_choice(wish, choice):
    body = {"tool_choice": wish}
    assert tools.read_choice(body, offered(*ALL)) == (choice, False)


@pytest.mark.parametrize(
    ("wish", "definitions", "found"),
    [
        ("required", [{"type": "web_search"}], (Choice(), True)),
        ({"type": "web_search_preview"}, [{"type": "web_search"}], (Choice(), True)),
        ({"type": "web_search"}, [{"type": "web_search"}, READ], (Choice("named", "web_search"), False)),
        ("required", [], (Choice(), False)),
    ],
)  # fmt: skip
def test_a_search_that_is_wanted(wish, definitions, found):
    assert tools.read_choice({"tool_choice": wish}, offered(*definitions)) == found


@pytest.mark.parametrize(
    ("mode", "allowed", "found", "names", "searches"),
    [
        ("auto", [READ], (Choice(allowed=("read",)), False), ["read", "sql"], False),
        ("required", [READ, {"type": "web_search"}], (Choice("any", allowed=("read",)), False), ["read", "sql"], True),
        ("auto", [{"type": "web_search"}], (Choice(), False), [], True),
        ("required", [{"type": "web_search"}], (Choice(), True), [], True),
        ("required", [{"type": "file_search"}], (Choice("none"), False), ["read", "sql"], False),
    ],
)
def test_a_search_that_is_allowed(mode, allowed, found, names, searches):
    offer = offered(READ, SQL, {"type": "web_search"})
    assert tools.read_choice({"tool_choice": {"type": "allowed_tools", "mode": mode, "tools": allowed}}, offer) == found
    assert ([tool.name for tool in offer.tools], offer.search is not None, offer.web is not None) == (names, searches, searches)


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"type": "function", "name": "x"}, "tool_choice.name"),
        ({"type": "function", "name": "read", "namespace": "x"}, "tool_choice.name"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]}, "tool_choice.tools.0.name"),
        ({"type": "allowed_tools", "mode": "some", "tools": []}, "tool_choice.mode"),
        ("any", "tool_choice"),
        (5, "tool_choice"),
        ({}, "tool_choice.type"),
    ],
)
def test_a_choice_that_is_none(wish, param):
    with pytest.raises(BadRequest) as refusal:
        tools.read_choice({"tool_choice": wish}, offered(*ALL))
    assert refusal.value.param == param


def test_no_tools_at_all():
    with pytest.raises(BadRequest) as refusal:
        tools.read_choice({"tool_choice": {"type": "function", "name": "x"}}, offered())
    assert refusal.value.param == "tool_choice.name"


def test_whose_calls_are_special():
    """Of two tools of one name the first is meant."""
    known = tools.special(offered(READ, {"type": "custom", "name": "apply_patch"}, {"type": "apply_patch"}, FILES).tools)
    assert {name: tools.form(tool) for name, tool in known.items()} == {
        "apply_patch": "custom", "files__read": "function", "files__tell": "custom"}
