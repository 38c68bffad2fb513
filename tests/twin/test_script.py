"""Which answer a request gets, how its placeholders are filled, and the built-in agent's loop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.twin import Twin, script
from kirogw.twin.kiro.ask import Ask
from tests.twin.kiro import payloads as p

HELLO, BYE = [{"text": "hello"}], [{"text": "bye"}]


def ask(content="hello", history=(), tools=(), results=()):
    return Ask(p.payload(p.user(content, **p.context(*results, tools=tools)), history), b"")


def looped(rounds, text="go", tools=(p.tool(),)):
    """A request after `rounds` rounds of an agent's loop."""
    if not rounds:
        return ask(text, tools=tools)
    history = [p.user("before"), p.assistant(), p.user(text)]
    for n in range(rounds - 1):
        history += [p.assistant("", toolUses=[p.use(f"t{n}")]), p.user("", **p.context(p.result(f"t{n}", f"result {n}")))]
    history.append(p.assistant("", toolUses=[p.use("last")]))
    return ask("", history, tools, [p.result("last", f"result {rounds - 1}")])


def test_answers_in_order_are_given_once():
    played = script.load([HELLO, BYE])
    assert [played.choose(ask()) for _ in range(3)] == [HELLO, BYE, None]


CHOICES = [
    # the answers' conditions, the request, which is given
    pytest.param([{"match": "bye"}, {"match": "hello"}], ask("well, hello you"), 1, id="match"),
    pytest.param([{"match": "result 1"}], looped(2), 0, id="match in the results"),
    pytest.param([{"match": "go"}], looped(2), 0, id="match in what the loop is about"),
    pytest.param([{"match": "before"}], looped(2), None, id="no match in what was before"),
    pytest.param([{"round": 0}, {"round": 1}, {"round": 2}], looped(0), 0, id="round 0"),
    pytest.param([{"round": 0}, {"round": 1}, {"round": 2}], looped(2), 2, id="round 2"),
    pytest.param([{"round": 0}], ask(), None, id="a round is for those with tools"),
    pytest.param([{"round": 0, "tools": False}], ask(), 0, id="unless it says otherwise"),
    pytest.param([{"tools": True}], ask(), None, id="tools"),
    pytest.param([{"model": "auto"}, {"model": p.MODEL}], ask(), 1, id="model"),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "request_", "given"), CHOICES)
def test_choice(conditions, request_, given):
    played = script.load({"answers": [{**condition, "steps": [{"text": str(n)}]} for n, condition in enumerate(conditions)]})
    assert played.choose(request_) == (None if given is None else [{"text": str(given)}])


def test_an_answer_with_a_call_waits_for_a_request_with_tools():
    calls = [{"tool": "read_file", "input": {}}]
    played = script.load([calls, BYE])
    assert [played.choose(request) for request in (ask(), ask(tools=[p.tool()]))] == [BYE, calls]


@pytest.mark.parametrize(("condition", "times"), [({"match": "hello"}, 3), ({}, 1), ({"repeat": True}, 3),
                                                  ({"match": "hello", "repeat": False}, 1)])
def test_how_often(condition, times):
    played = script.load([{**condition, "steps": HELLO}])
    assert [bool(played.choose(ask())) for _ in range(3)].count(True) == times


@pytest.mark.parametrize(("value", "filled"), [
    ({"find": r"read (\S+)"}, "b.txt"),
    ({"find": "read", "format": "-{}-"}, "-read-"),
    ({"find": r"result (\d)", "in": "results"}, "1"),
    ({"find": "result", "in": "current", "else": "nothing"}, "nothing"),
    ({"find": "result", "in": "current"}, ""),
    ([{"find": "read"}, {"a": {"find": "read"}}], ["read", {"a": "read"}]),
    (7, 7),
])
def test_placeholders(value, filled):
    assert script.fill(value, looped(2, "read a.txt, then read b.txt")) == filled


@pytest.mark.parametrize(("source", "words"), [
    (7, "a script is a list"), ({"steps": []}, "a script is a list"), ([7], "an answer is a list"),
    ([{"when": 1, "steps": []}], "no member when"), ([[{"say": "hi"}]], "not a step"), ([["hi"]], "not a step"),
])
def test_what_is_no_script(source, words):
    with pytest.raises(ValueError, match=words):
        script.load(source)


def test_a_script_from_a_file(tmp_path):
    (tmp_path / "a.json").write_text('{"answers": [[{"text": "from a file"}]]}')
    with Twin(script=str(tmp_path / "a.json")) as twin:
        assert p.said(p.events(p.ask(twin).content)) == "from a file"
        twin.script(None)
        assert "demo" in p.said(p.events(p.ask(twin).content))


CLAUDE = [
    p.tool("Read", schema={"type": "object", "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
                           "required": ["file_path"]}),
    p.tool("Write", schema={"type": "object", "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
                            "required": ["file_path", "content"]}),
    p.tool("Bash", schema={"type": "object", "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
                           "required": ["command", "description"]}),
]
OPENCODE = [
    p.tool("read", schema={"type": "object", "properties": {"filePath": {"type": "string"}}, "required": ["filePath"]}),
    p.tool("write", schema={"type": "object", "properties": {"content": {"type": "string"}, "filePath": {"type": "string"}},
                            "required": ["content", "filePath"]}),
    p.tool("bash", schema={"type": "object", "properties": {"command": {"type": "string"}, "workdir": {"type": "string"}},
                           "required": ["command"]}),
]
GENERIC = [
    p.tool("read_file"), p.tool("run_command", schema={"type": "object", "properties": {"command": {"type": "string"}}}),
    p.tool("write_file", schema={"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}),
]
SHELL = [p.tool("exec_command", schema={"type": "object", "properties": {"cmd": {"type": "array"}}, "required": ["cmd"]})]
MCP = [p.tool(f"mcp__files__{name}", schema=GENERIC[n]["toolSpecification"]["inputSchema"]["json"])
       for n, name in ((0, "read_file"), (2, "write_file"), (1, "run_command"))]  # fmt: skip
WORD = "The word is plover.\n"
DESCRIBED = {"command": "cat out.txt", "description": "description by the demo upstream of kirogw"}
LOOPS = [
    pytest.param(CLAUDE, [("Read", {"file_path": "/w/in.txt"}), ("Write", {"file_path": "/w/out.txt", "content": WORD}),
                          ("Bash", DESCRIBED)], id="Claude Code"),
    pytest.param(OPENCODE, [("read", {"filePath": "/w/in.txt"}), ("write", {"filePath": "/w/out.txt", "content": WORD}),
                            ("bash", {"command": "cat out.txt"})], id="OpenCode"),
    pytest.param(GENERIC, [("read_file", {"path": "/w/in.txt"}), ("write_file", {"path": "/w/out.txt", "content": WORD}),
                           ("run_command", {"command": "cat out.txt"})], id="generic"),
    pytest.param(SHELL, [("exec_command", {"cmd": ["bash", "-lc", "cat /w/in.txt"]}),
                         ("exec_command", {"cmd": ["bash", "-lc", f"printf %s '{WORD}' > /w/out.txt"]}),
                         ("exec_command", {"cmd": ["bash", "-lc", "cat out.txt"]})], id="only a shell"),
    pytest.param(MCP, [("mcp__files__read_file", {"path": "/w/in.txt"}),
                       ("mcp__files__write_file", {"path": "/w/out.txt", "content": WORD}),
                       ("mcp__files__run_command", {"command": "cat out.txt"})], id="behind a server"),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "expected"), LOOPS)
def test_the_agents_loop(tools, expected):
    """Two loops side by side, with titles asked in between, do not disturb one another."""
    text = "Read the file /w/in.txt, write /w/out.txt and run `cat out.txt`."
    answers = ["1\tword: plover\n", "written", WORD]
    with Twin(script="agent") as twin:
        for history, made in ([], []), ([], []):
            current = p.user(text, **p.context(tools=tools))
            for n in range(4):
                assert "demo" in p.said(p.events(p.ask(twin, p.payload(p.user(f"A title for: {text}"))).content))
                found = p.events(p.ask(twin, p.payload(current, history)).content)
                made += p.calls(found)
                if n == 3:
                    break
                [(name, given)] = p.calls(found)
                history += [_bare(current), p.assistant(p.said(found), toolUses=[{"toolUseId": f"t{n}", "name": name, "input": given}])]
                current = p.user("", **p.context(p.result(f"t{n}", answers[n]), tools=tools))
            assert p.said(found) == "Done: the word is plover."
            assert made == expected
        assert twin.refusals == []


def _bare(entry):
    """As it stands in the history: without the tools."""
    message = entry["userInputMessage"]
    context = {k: v for k, v in message["userInputMessageContext"].items() if k != "tools"}
    rest = {k: v for k, v in message.items() if k != "userInputMessageContext"}
    return {"userInputMessage": {**rest, **({"userInputMessageContext": context} if context else {})}}


def test_a_loop_without_tools_that_serve():
    with Twin(script="agent") as twin:
        found = p.events(p.ask(twin, p.payload(p.user("go", **p.context(tools=[p.tool("add")])))).content)
        assert (p.calls(found), p.said(found)) == ([], "First I read the file.(There is no tool here to read with.)")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.none() | st.integers(0, 70) | st.lists(st.integers(-5, 70), max_size=6))
def test_pieces_join_to_the_whole(whole, how):
    pieces = script.cut(whole, how)
    assert "".join(pieces) == whole
    assert all(pieces)
