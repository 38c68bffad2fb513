"""The server tool `web_search` through a real gateway: alone, beside other tools, and switched off."""

import json

import pytest

from kirogw.twin import Twin
from tests.system.running import running
from tests.system.said import FORMS, IDS, answered, current, declared, history, payloads, results, say, tool, user
from tests.system.talk import FACES

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
FOUND = [
    {"title": "Zig 0.16", "url": "https://ziglang.org/news", "snippet": "It is out.", "publishedDate": 1_767_225_600_000},
    {"title": "A blog", "url": "https://blog.example.com/zig", "snippet": "Rewritten in Zig."},
]
SERVER = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
ALONE = {
    "system": "You are an assistant for performing a web search tool use", "tools": [SERVER],
    "tool_choice": {"type": "tool", "name": "web_search"},
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Perform a web search for the query: zig 0.16 release"}]}],
}  # fmt: skip
"""As Claude Code asks, beside its own conversation."""
BESIDE = {"messages": {"tools": [SERVER, tool("messages", "read")]}, "chat": {"web_search_options": {}, "tools": [tool("chat", "read")]}}


@pytest.fixture(scope="module")
def off():
    with Twin(accounts=["api_key"]) as twin, running(twin, WEB_SEARCH="false") as gateway:
        yield twin, gateway
        assert twin.refusals == []


def queries(twin):
    return [seen.payload["params"]["arguments"]["query"] for seen in twin.seen("mcp")]


@pytest.mark.parametrize("stream", [True, False])
def test_a_search_alone_needs_no_model(twin, gateway, stream):
    twin.search(FOUND)
    answer = say(gateway, "messages", stream, **ALONE)
    assert (queries(twin), twin.seen("generate")) == (["zig 0.16 release"], [])
    call, found, text = answer.body["content"]
    assert (call["type"], call["name"], call["input"]) == ("server_tool_use", "web_search", {"query": "zig 0.16 release"})
    assert (found["type"], found["tool_use_id"]) == ("web_search_tool_result", call["id"])
    assert [(one["title"], one["url"], one["page_age"]) for one in found["content"]] == [
        ("Zig 0.16", "https://ziglang.org/news", "2026-01-01"), ("A blog", "https://blog.example.com/zig", None),
    ]  # fmt: skip
    assert "It is out." in text["text"] and "Rewritten in Zig." in text["text"]
    assert (answer.stop, answer.usage["server_tool_use"]["web_search_requests"]) == ("end_turn", 1)


@pytest.mark.parametrize("stream", [True, False])
def test_what_was_found_is_there_in_the_next_turn(twin, gateway, stream):
    """The blocks have no equal upstream, so they go on as text, snippets included."""
    twin.search(FOUND)
    first = say(gateway, "messages", stream, **ALONE)
    twin.script([[{"text": "Yes."}]])
    messages = [*ALONE["messages"], first.back, user("Is it out?")]
    assert say(gateway, "messages", stream, messages=messages).text == "Yes."
    told = history(payloads(twin)[0])[1]["content"]
    assert told.startswith("Searched the web for: zig 0.16 release\n\nWeb search results:\n1. Zig 0.16 https://ziglang.org/news\nIt is out.")


@pytest.mark.parametrize("stream", [True, False])
def test_a_search_that_fails_is_told(twin, gateway, stream):
    twin.faults.add("throttled", operation="mcp")
    answer = say(gateway, "messages", stream, **ALONE)
    assert answer.body["content"][1]["content"] == {"type": "web_search_tool_result_error", "error_code": "too_many_requests"}
    assert (answer.stop, answer.error) == ("end_turn", None)


@EACH
def test_a_search_beside_other_tools(twin, gateway, face, stream):
    """The model calls it as a function; it is run here, and the model asked again with what was found."""
    twin.search(FOUND)
    twin.script([
        [{"text": "I search."}, {"tool": "web_search", "input": {"query": "zig 0.16"}, "id": "s1"}],
        [{"text": "It is out."}],
    ])  # fmt: skip
    answer = say(gateway, face, stream, "Is Zig 0.16 out?", **BESIDE[face])
    between = "\n\n" if face == "chat" else ""  # one message of what are two blocks elsewhere
    assert (answer.text, answer.calls) == (f"I search.{between}It is out.", [])
    first, second = payloads(twin)
    assert sorted(declared(first)) == ["read", "web_search"]
    assert queries(twin) == ["zig 0.16"]
    assert history(second)[1]["toolUses"] == [{"toolUseId": "s1", "name": "web_search", "input": {"query": "zig 0.16"}}]
    assert "https://ziglang.org/news\nIt is out." in answered(second)["s1"]
    if face == "messages":
        kinds = [block["type"] for block in answer.body["content"]]
        assert kinds == ["text", "server_tool_use", "web_search_tool_result", "text"]
        assert (answer.stop, answer.usage["server_tool_use"]["web_search_requests"]) == ("end_turn", 1)
    else:
        sources = [one["url_citation"]["url"] for one in answer.body["choices"][0]["message"]["annotations"]]
        assert (answer.stop, sources) == ("stop", [one["url"] for one in FOUND])


@EACH
def test_a_search_and_a_call_of_the_clients(twin, gateway, face, stream):
    """The client's own call ends the answer; what was found is in it."""
    twin.search(FOUND)
    twin.script([
        [{"tool": "web_search", "input": {"query": "zig"}, "id": "s1"}, {"tool": "read", "input": {"path": "a"}, "id": "t1"}],
        [{"text": "Done."}],
    ])  # fmt: skip
    asked = [user("Go.")]
    answer = say(gateway, face, stream, messages=asked, **BESIDE[face])
    assert [(id, name) for id, name, _ in answer.calls] == [("t1", "read")]
    assert answer.stop == {"messages": "tool_use", "chat": "tool_calls"}[face]
    assert queries(twin) == ["zig"]
    asked += [answer.back, *results(face, ("t1", "word"))]
    assert say(gateway, face, stream, messages=asked, **BESIDE[face]).text == "Done."
    assert answered(payloads(twin)[1]) == {"t1": "word"}


@pytest.mark.parametrize("stream", [True, False])
def test_only_what_the_client_allows(twin, gateway, stream):
    twin.search(FOUND)
    terms = {**SERVER, "max_uses": 1, "allowed_domains": ["ziglang.org"]}
    call = {"tool": "web_search", "input": {"query": "zig"}}
    twin.script([[call], [call], [{"text": "Enough."}]])
    answer = say(gateway, "messages", stream, "Go.", tools=[terms, tool("messages", "read")])
    found = [block["content"] for block in answer.body["content"] if block["type"] == "web_search_tool_result"]
    assert [one["url"] for one in found[0]] == ["https://ziglang.org/news"]
    assert found[1]["error_code"] == "max_uses_exceeded"
    assert (answer.text, len(queries(twin)), answer.usage["server_tool_use"]["web_search_requests"]) == ("Enough.", 1, 1)


@EACH
def test_switched_off_it_is_left_out_and_told(off, face, stream):
    twin, gateway = off
    twin.reset()
    twin.script([[{"text": "I can not search."}]])
    answer = say(gateway, face, stream, "Is Zig 0.16 out?", **BESIDE[face])
    assert (answer.status, answer.text, queries(twin)) == (200, "I can not search.", [])
    (sent,) = payloads(twin)
    assert list(declared(sent)) == ["read"]
    assert current(sent)["content"] == "These tools are not available in this session: web_search.\n\nIs Zig 0.16 out?"


@pytest.mark.parametrize("stream", [True, False])
def test_switched_off_claude_codes_own_request_is_not_refused(off, stream):
    twin, gateway = off
    twin.reset()
    twin.script([[{"text": "I can not search."}]])
    assert say(gateway, "messages", stream, **ALONE).text == "I can not search."
    (sent,) = payloads(twin)
    assert declared(sent) == {}


@pytest.mark.parametrize("face", FACES)
def test_a_function_of_the_clients_called_web_search_is_its_own(twin, gateway, face):
    twin.script([[{"tool": "web_search", "input": {"path": "a"}, "id": "t1"}]])
    answer = say(gateway, face, False, "Go.", tools=[tool(face, "web_search")])
    assert [(id, name, json.loads(text)) for id, name, text in answer.calls] == [("t1", "web_search", {"path": "a"})]
    assert queries(twin) == []


@EACH
def test_other_server_tools_are_left_out_and_told(twin, gateway, face, stream):
    left = {"messages": {"type": "code_execution_20250825", "name": "code_execution"}, "chat": {"type": "code_interpreter"}}[face]
    assert say(gateway, face, stream, "Go.", tools=[left, tool(face, "read")]).status == 200
    (sent,) = payloads(twin)
    assert list(declared(sent)) == ["read"]
    name = left.get("name", left["type"])
    assert current(sent)["content"] == f"These tools are not available in this session: {name}.\n\nGo."
