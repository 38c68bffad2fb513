"""The whole way in: what a client sent, what ChatGPT gets. The twin's table of refusals judges it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.conversation import (
    Call,
    Choice,
    Document,
    Format,
    Image,
    Native,
    Result,
    Search,
    Text,
    Thinking,
    Thought,
    Tool,
)
from kirogw.dialects.chat.request import read as read_chat
from kirogw.dialects.codex import models
from kirogw.dialects.codex.provider import Codex
from kirogw.dialects.codex.request import INSTRUCTIONS
from kirogw.dialects.messages.request import read as read_messages
from kirogw.dialects.provider import Login, Target, Terms
from kirogw.dialects.responses.request import read as read_responses
from kirogw.dialects.seals import seal
from kirogw.errors import BadRequest
from kirogw.settings import Settings
from kirogw.twin.codex import accounts, refusals, seals
from kirogw.twin.codex import models as twin
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.case import Case
from kirogw.twin.codex.state import Options
from kirogw.twin.state import Incoming
from kirogw.wire import Reply
from tests.dialects import conversations as anything
from tests.dialects.codex.talk import OLD, SOL
from tests.dialects.conversations import PDF, PNG
from tests.dialects.talk import READ, call, model, result, system, talk, user

READERS = {"messages": read_messages, "chat": read_chat, "responses": read_responses}
GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "codex").glob("*.json"))
CODEX = Codex(Settings())
CATALOGUE = {row["slug"]: row for row in twin.catalogue()}
MODELS, _ = CODEX.read_list(Reply(200, {}, orjson.dumps({"models": list(CATALOGUE.values())})))
BY_ID = {found.id: found for found in MODELS}
SESSION = "5d0c2a1e-6f1c-4b57-9e0b-8d2a9b7c1f00"
TERMS = Terms("codex", session=SESSION, mark="here")
OWNER = {kind: accounts.Account("a", kind, workspace="w", user="u") for kind in ("codex", "siwc")}


def sent(conversation, to=OLD, **members):
    """The request, as it goes out."""
    terms = replace(TERMS, **members)
    prepared = CODEX.prepare(conversation, Target(to, True), terms)
    login = Login(terms.kind, "token", workspace="w")
    return CODEX.request(prepared, login, CODEX.hosts(login)[0], session=SESSION, invocation="i", attempt=1)


def body(*args, **members):
    return orjson.loads(sent(*args, **members).body)


def refused(request, kind="codex", **options):
    """The row of the twin's table that refuses it, None when all let it pass."""
    ask = Ask(orjson.loads(request.body), request.body)
    ask.model = CATALOGUE.get(ask.model_id, {})
    headers = {name.lower(): value for name, value in request.headers.items()}
    found = refusals.refused(Case(ask, OWNER[kind], Incoming("POST", "/", {}, headers, request.body), Options(**options)))
    return found and (found[0], found[2])


# Whole bodies


@pytest.mark.parametrize("door", ["codex", "siwc"])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path, door):
    """The requests of Kiro's golden files, for a model of ChatGPT's. UPDATE_GOLDEN=1 writes what it gets; then read the
    diff.
    """
    case, asked = json.loads(path.read_text()), json.loads((path.parents[1] / "kiro" / path.name).read_text())
    conversation = READERS[asked["face"]]({**asked["sent"], "model": case["model"]}, {}).conversation
    meant = CODEX.resolve(conversation.model, MODELS)
    made = CODEX.prepare(conversation, meant, replace(TERMS, kind=door))
    names = [[*name, own] for name, own in made.state.names.items()]
    got = {"form": made.state.form, "body": json.loads(made.body), "names": names, "rules": list(made.notes)}
    if os.environ.get("UPDATE_GOLDEN"):
        case[door] = got
        path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n")
    assert got == case[door]
    assert refused(sent(conversation, meant.model, kind=door), door) is None


def test_the_captures_go_through():
    assert len(GOLDEN) >= 10


# Laws

SHELL = {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}, "required": ["command"]}
SCHEMAS = st.sampled_from([{}, {"type": "object", "properties": {"a": {"type": "array"}}}]) | anything.ROOTS


def custom(name):
    native = {"type": "custom", "name": name, "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
    return Tool(name, "d", {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}, "custom", native=native)


def spaced(namespace, name, schema):
    inner = {"type": "function", "name": name, "description": "d", "parameters": schema, "strict": False}
    native = {"type": "namespace", "name": namespace, "description": "n", "tools": [inner]}
    return Tool(f"{namespace}__{name}", "d", schema, "function", namespace, native)


TOOLS = st.one_of(
    st.builds(Tool, anything.NAMES, anything.TEXTS, SCHEMAS, strict=st.none() | st.booleans()),
    st.builds(custom, st.sampled_from(["apply_patch", "exec", "a name"])),
    st.builds(spaced, st.sampled_from(["ns", "mcp__fs", "n" * 60]), st.sampled_from(["read", "w" * 60, "w" * 70, "é"]), SCHEMAS),
    st.just(Tool("local_shell", "d", SHELL, "shell", native={"type": "local_shell"})),
    st.builds(lambda schema: Tool("tool_search", "d", schema, "search", native={
        "type": "tool_search", "execution": "client", "description": "d", "parameters": schema}), SCHEMAS),
)  # fmt: skip
CALLS = st.one_of(
    anything.CALLS,
    st.builds(Call, anything.IDS, st.just("apply_patch"), st.just({"input": "x"}), kind=st.just("custom")),
    st.builds(Call, anything.IDS, st.just("ns__read"), anything.INPUTS, namespace=st.just("ns")),
    st.builds(Call, anything.IDS, st.just("local_shell"), st.just({"command": ["ls"]}), kind=st.just("shell")),
    st.builds(Call, anything.IDS, st.just("tool_search"), st.just({"query": "q"}), kind=st.just("search")),
)
THOUGHTS = st.builds(Thought, anything.TEXTS, st.sampled_from(["", "EqMBCkYIBxgC", seal("s", "m", "x"), "known", "foreign"]))
NATIVES = st.just(Native({"type": "compaction", "id": "x" * 80, "encrypted_content": "gAAA"})) | st.just(
    Native({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}))
FOUND = st.builds(lambda id_, names: Result(id_, (Text("\n".join(["These tools can be called now:", *names])),)), anything.IDS,
                  st.lists(st.sampled_from(["ns__read", "apply_patch", "gone"]), max_size=2))  # fmt: skip
PARTS = st.one_of(
    st.builds(Text, anything.TEXTS, st.sampled_from(["", "commentary", "final_answer"])), CALLS, anything.RESULTS, FOUND,
    anything.IMAGES, anything.DOCUMENTS, THOUGHTS, NATIVES)  # fmt: skip


@st.composite
def conversations(draw):
    base = draw(anything.conversations(max_turns=0))
    roles = st.sampled_from([user, model, user, model, lambda *parts: replace(user(*parts), role="system")])
    turns = tuple(draw(roles)(*draw(st.lists(PARTS, max_size=4))) for _ in range(draw(st.integers(0, 7))))
    tools = tuple(draw(st.lists(TOOLS, max_size=4)))
    names = [tool.name for tool in tools]
    choice = Choice(draw(st.sampled_from(["auto", "none"])), parallel=draw(st.booleans()))
    if names and draw(st.booleans()):
        choice = draw(st.builds(Choice, st.just("named"), st.sampled_from(names)) | st.builds(
            Choice, st.sampled_from(["auto", "any"]), allowed=st.lists(st.sampled_from(names), max_size=2).map(tuple)))  # fmt: skip
    searches = st.none() | st.builds(Search, st.none(), st.sampled_from([(), ("a.example",)]), st.sampled_from([(), ("b.example",)]))
    options = draw(st.fixed_dictionaries({}, optional={
        "verbosity": st.sampled_from(["low", "loud"]), "service_tier": st.sampled_from(["priority", "flex"]), "temperature": st.just(1),
        "prompt_cache_key": st.sampled_from(["k", "k" * 65]), "top_p": st.just(0.5), "user": st.just("u"),
    }))  # fmt: skip
    search = draw(searches)
    if search and draw(st.booleans()):
        options["web_search"] = {"type": "web_search_preview", "search_context_size": "low"}
    thinking = replace(base.thinking, summary=draw(st.sampled_from(["", "auto", "detailed"])))
    return replace(base, turns=turns, tools=tools, choice=choice, search=search, options=options, thinking=thinking)


def with_seals(conversation, to):
    """`known` seals are of the account that is asked."""
    made = {"known": seal("c", to.id, seals.sealed(OWNER["codex"].identity, to.id, "Hm"), "here"),
            "foreign": seal("c", to.id, seals.sealed("somebody", to.id, "Hm"), "there")}  # fmt: skip

    def change(part):
        return replace(part, seal=made.get(part.seal, part.seal)) if isinstance(part, Thought) else part

    return replace(conversation, turns=tuple(replace(turn, parts=tuple(map(change, turn.parts))) for turn in conversation.turns))


@given(conversations(), st.sampled_from(MODELS), st.sampled_from(["codex", "siwc"]), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_conversation_is_taken(conversation, to, kind, unsealed, plain):
    """By either door, in every form that the model takes."""
    if kind == "codex" and plain and not to.lite:
        plain = False  # no such model asks for the other form
    try:
        request = sent(with_seals(conversation, to), to, kind=kind, unsealed=unsealed, plain=plain)
    except BadRequest:
        return
    assert refused(request, kind) is None


@given(conversations(), st.sampled_from(MODELS))
@settings(max_examples=100, deadline=None)
def test_the_same_conversation_is_the_same_body(conversation, to):
    """And its beginning stays the same when it goes on: the cache goes by that."""
    conversation = replace(conversation, turns=(user("a"), model("b"), *conversation.turns))
    try:
        one, other = sent(conversation, to).body, sent(conversation, to).body
    except BadRequest:
        return
    assert one == other


# The members


@pytest.mark.parametrize(("to", "kind", "plain", "form"), [
    (OLD, "codex", False, "classic"), (OLD, "codex", True, "lite"), (SOL, "codex", False, "lite"), (SOL, "codex", True, "classic"),
    (OLD, "siwc", False, "shared"), (SOL, "siwc", False, "shared"), (SOL, "siwc", True, "shared"),
])  # fmt: skip
def test_which_form(to, kind, plain, form):
    """A refused form is changed for the other one."""
    prepared = CODEX.prepare(talk(user("hi")), Target(to, True), replace(TERMS, kind=kind, plain=plain))
    assert prepared.state.form == form
    assert ("instructions" in orjson.loads(prepared.body)) is (form != "lite")


def test_the_classic_form():
    conversation = talk(user("hi"), system=("Be brief.", " ", "Be kind."), tools=(READ,), choice=Choice(parallel=False))
    assert body(conversation) == {
        "model": "gpt-5.5", "instructions": "Be brief.\n\nBe kind.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "tools": [{"type": "function", "name": "read", "description": "Reads a file", "strict": False,
                   "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}],
        "tool_choice": "auto", "parallel_tool_calls": False, "store": False, "stream": True,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": SESSION,
    }  # fmt: skip


def test_the_lite_form():
    got = body(talk(user("hi"), system=("Be brief.",), tools=(READ,), choice=Choice("any")), SOL)
    words = "Be brief.\n\nYour next answer must call at least one tool."
    assert [item.get("role", item["type"]) for item in got["input"]] == ["developer", "developer", "user"]
    assert (got["input"][0]["type"], got["input"][0]["tools"][0]["name"]) == ("additional_tools", "read")
    assert got["input"][1]["content"] == [{"type": "input_text", "text": words}]
    assert "tools" not in got
    assert (got["tool_choice"], got["parallel_tool_calls"], got["reasoning"]) == ("auto", False, {"context": "all_turns"})


def test_the_shared_form():
    got = body(talk(user("hi"), tools=(READ,), choice=Choice("named", "read"), search=Search()), SOL, kind="siwc")
    assert got["instructions"] == INSTRUCTIONS
    assert (got["tools"], got["tool_choice"]) == ([{"type": "web_search"}], "required")
    assert got["input"][0]["tools"][0]["name"] == "read"
    plain = body(talk(user("hi"), tools=(READ,), options={"verbosity": "low"}), SOL, kind="siwc", plain=True)
    assert not {"tool_choice", "parallel_tool_calls", "prompt_cache_key", "text"} & plain.keys()


CHOICES = [
    pytest.param(Choice("none"), "none", ["read", "exec"], id="none"),
    pytest.param(Choice("any"), "required", ["read", "exec"], id="any"),
    pytest.param(Choice("named", "read"), {"type": "function", "name": "read"}, ["read", "exec"], id="a function"),
    pytest.param(Choice("named", "exec"), {"type": "custom", "name": "exec"}, ["read", "exec"], id="a custom tool"),
    pytest.param(Choice(allowed=("exec",)), {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "exec"}]},
                 ["read", "exec"], id="allowed ones"),
    pytest.param(Choice("any", allowed=("read",)), {"type": "allowed_tools", "mode": "required", "tools": [
        {"type": "function", "name": "read"}]}, ["read", "exec"], id="one of the allowed ones"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "said", "names"), CHOICES)
def test_the_choice_of_tools(choice, said, names):
    got = body(talk(user("hi"), tools=(READ, custom("exec")), choice=choice))
    assert (got["tool_choice"], [tool["name"] for tool in got["tools"]]) == (said, names)


def test_a_choice_that_there_is_no_word_for():
    got = body(talk(user("hi"), tools=(READ, spaced("ns", "x", {})), choice=Choice("named", "ns__x")))
    assert (got["tool_choice"], [tool["name"] for tool in got["tools"]]) == ("required", ["ns"])


@pytest.mark.parametrize("choice", [Choice("any"), Choice("named", "read"), Choice(allowed=("read",))])
def test_a_choice_of_nothing(choice):
    with pytest.raises(BadRequest) as caught:
        body(talk(user("hi"), choice=choice))
    assert caught.value.param == "tool_choice"


EFFORTS = [
    # the wish, the model's levels, what is sent
    pytest.param(Thinking(), {}, id="nothing said"),
    pytest.param(Thinking("adaptive", "medium"), {"effort": "medium", "summary": "auto"}, id="a level"),
    pytest.param(Thinking("adaptive", "medium", shown=False), {"effort": "medium"}, id="not shown"),
    pytest.param(Thinking("adaptive", "medium", summary="none"), {"effort": "medium"}, id="no summary"),
    pytest.param(Thinking("adaptive", "low", summary="detailed"), {"effort": "low", "summary": "detailed"}, id="a summary"),
    pytest.param(Thinking("adaptive", "max"), {"effort": "xhigh", "summary": "auto"}, id="more than it has"),
    pytest.param(Thinking("adaptive", "minimal"), {"effort": "low", "summary": "auto"}, id="less than it has"),
    pytest.param(Thinking("off", "none"), {"effort": "low"}, id="none"),
    pytest.param(Thinking("off"), {"effort": "low"}, id="off"),
    pytest.param(Thinking("on", budget=20_000), {"effort": "high", "summary": "auto"}, id="a budget"),
    pytest.param(Thinking("on"), {"summary": "auto"}, id="on"),
    pytest.param(Thinking(summary="concise"), {"summary": "concise"}, id="a summary alone"),
]  # fmt: skip


@pytest.mark.parametrize(("thinking", "said"), EFFORTS)
def test_how_much_thinking(thinking, said):
    assert body(talk(user("hi"), thinking=thinking)).get("reasoning", {}) == said


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
FORMATS = [
    pytest.param(Format(), {"type": "json_object"}, id="any object"),
    pytest.param(Format(STRICT, "name"), {"type": "json_schema", "name": "name", "schema": STRICT, "strict": True}, id="a schema"),
    pytest.param(Format(STRICT, strict=False), {"type": "json_schema", "name": "answer", "schema": STRICT, "strict": False}, id="loosely"),
    pytest.param(Format({"type": "object", "properties": {}}, strict=True), {
        "type": "json_schema", "name": "answer", "schema": {"type": "object", "properties": {}}, "strict": False}, id="too loose to be strict"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "said"), FORMATS)
def test_the_form_of_the_answer(form, said):
    request = sent(talk(user("hi"), format=form))
    assert orjson.loads(request.body)["text"] == {"format": said}
    assert refused(request) is None


def test_options():
    options = {"verbosity": "low", "service_tier": "priority", "prompt_cache_key": "mine", "temperature": 0, "top_p": 1, "user": "u",
               "metadata": {}, "client_metadata": {}}  # fmt: skip
    got = body(talk(user("hi"), options=options, max_tokens=5, stops=("x",)))
    plain = body(talk(user("hi")))
    assert {name: value for name, value in got.items() if plain.get(name) != value} == {
        "text": {"verbosity": "low"}, "service_tier": "priority", "prompt_cache_key": "mine"}  # fmt: skip
    assert body(talk(user("hi"), options={"service_tier": "flex", "prompt_cache_key": "k" * 65, "verbosity": "loud"})) == plain


SEARCHES = [
    pytest.param(Search(), {}, {"type": "web_search"}, id="plain"),
    pytest.param(Search(None, ("a.example",)), {}, {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}, id="pages"),
    pytest.param(Search(), {"web_search": {"type": "web_search_preview_2025_03_11", "search_context_size": "low"}},
                 {"type": "web_search", "search_context_size": "low"}, id="as the client wrote it"),
]  # fmt: skip


@pytest.mark.parametrize(("search", "options", "said"), SEARCHES)
def test_the_web_search(search, options, said):
    """A model of the Lite form is asked in the classic one, which has it."""
    for to in (OLD, SOL):
        assert body(talk(user("hi"), search=search, options=options), to)["tools"] == [said]


def test_what_a_search_has_found_is_told():
    """To a client of the Responses API if it asks, as OpenAI does; without, where ChatGPT refused that."""
    native = {"web_search": {"type": "web_search"}}
    for options, told in (({}, True), (native, False), ({**native, "sources": True}, True)):
        asked = talk(user("hi"), search=Search(), options=options)
        assert ("web_search_call.action.sources" in body(asked)["include"]) is told
        assert body(asked, plain=True)["include"] == ["reasoning.encrypted_content"]
        assert "instructions" in body(asked, plain=True), "no other form has a search"
        lite = sent(asked, SOL, plain=True)
        assert "web_search" in orjson.loads(lite.body)["input"][0]["content"][0]["text"], "that there is none is told"
        assert refused(lite, demand_lite=True) is None
    assert len(body(talk(user("hi")))["include"]) == 1


def test_a_choice_of_the_search():
    """Beside other tools, too."""
    search = {"type": "web_search"}
    named = talk(user("hi"), tools=(READ,), search=Search(), choice=Choice("named", "web_search"))
    assert (body(named)["tool_choice"], len(body(named)["tools"])) == (search, 2)
    shared = body(named, kind="siwc")
    assert (shared["tool_choice"], shared["tools"], shared["input"][0]["type"]) == (search, [search], "message")
    both = talk(user("hi"), tools=(READ,), search=Search(), choice=Choice("any", allowed=("web_search", "read")))
    assert body(both)["tool_choice"]["tools"] == [search, {"type": "function", "name": "read"}]
    assert refused(sent(named)) is refused(sent(both)) is refused(sent(named, kind="siwc"), "siwc") is None


def test_which_turns_thinking_counts():
    for kind, to, context in (("codex", OLD, "current_turn"), ("codex", SOL, "all_turns"), ("siwc", SOL, "current_turn")):
        got = body(talk(user("hi"), options={"reasoning_context": "current_turn"}), to, kind=kind)
        assert got["reasoning"] == {"context": context}
    assert "reasoning" not in body(talk(user("hi"), options={"reasoning_context": "some"}))


def test_how_closely_a_picture_is_looked_at():
    for to, detail, said in ((OLD, "high", {"detail": "high"}), (OLD, "close", {}), (SOL, "high", {})):
        (part,) = body(talk(user(Image(PNG, "image/png", detail=detail))), to)["input"][0]["content"]
        assert part == {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", **said}


def test_a_forced_search():
    assert body(talk(user("hi"), search=Search(forced=True)))["tool_choice"] == "required"


def test_what_a_tool_search_has_found_is_not_declared_again():
    tool = Tool("tool_search", "d", {}, "search", native={"type": "tool_search", "execution": "client"})
    history = (model(call("a", "tool_search", {"query": "q"}, kind="search")), user(result("a", "These tools can be called now:\nns__x")))
    got = body(talk(user("hi"), *history, tools=(tool, spaced("ns", "x", {}), READ)))
    assert [given.get("name", given["type"]) for given in got["tools"]] == ["tool_search", "read"]
    assert [given["name"] for given in got["input"][-1]["tools"]] == ["ns"]


def test_seals_go_back_as_they_came():
    (thought,) = [item for item in body(talk(user("a"), model(Thought("Hm", seal("c", "m", "gA:A", "here")), "b"), user("c")))["input"]
                  if item["type"] == "reasoning"]  # fmt: skip
    assert thought == {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "gA:A"}


EXACT = '{"n": 123456789012345678901234567890, "m": 1e3,  "s": "\\u00e9"}'


@pytest.mark.parametrize(("arguments", "sent"), [
    (EXACT, EXACT), ("", "{}"), ("  ", "{}"), ('{"a": "b\\u0000"}', '{"a":"b"}'), ("[1]", '{"unparsed_arguments":"[1]"}'),
])  # fmt: skip
@pytest.mark.parametrize("face", ["responses", "chat"])
def test_arguments_go_back_as_they_came(face, arguments, sent):
    """What the model itself wrote, to the digit, but for what nobody takes."""
    call = {"call_id": "c", "name": "read", "arguments": arguments}
    bodies = {
        "responses": {"model": "m", "input": [{"type": "function_call", **call}, {"type": "function_call_output", "call_id": "c", "output": "x"}]},
        "chat": {"model": "m", "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "c", "content": "x"}]},
    }  # fmt: skip
    read = {"responses": read_responses, "chat": read_chat}[face]
    made = CODEX.prepare(read(bodies[face], {}).conversation, Target(OLD, True), TERMS)
    items = json.loads(made.body)["input"]
    assert [item["arguments"] for item in items if item["type"] == "function_call"] == [sent]


def test_half_a_letter_is_no_reason_to_fail():
    request = sent(talk(user("half \ud83d", result("a", "\udc00")), system=("\ud800",), tools=(replace(READ, description="\ud800"),)))
    assert "half \ufffd" in request.body.decode()
    assert refused(request) is None


def test_what_is_nested_too_deep():
    deep = {}
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(BadRequest):
        sent(talk(user("a"), tools=(replace(READ, schema={"type": "object", "default": deep}),)))


# The address


def test_the_head_of_a_request():
    request = sent(talk(user("hi")))
    assert (request.method, request.url) == ("POST", "https://chatgpt.com/backend-api/codex/responses")
    agent = CODEX.shape.user_agent
    assert dict(request.headers) == {
        "Authorization": "Bearer token", "User-Agent": agent, "Chatgpt-Account-Id": "w", "originator": "kirogw",
        "version": Settings().codex_version, "Content-Type": "application/json", "Accept": "text/event-stream", "session-id": SESSION,
        "thread-id": SESSION, "x-client-request-id": SESSION, "x-codex-window-id": f"{SESSION}:0",
    }  # fmt: skip
    assert agent.startswith("kirogw/")
    assert sent(talk(user("hi")), SOL).headers["X-OpenAI-Internal-Codex-Responses-Lite"] == "true"


def test_the_head_of_a_request_by_sign_in_with_chatgpt():
    request = sent(talk(user("hi")), SOL, kind="siwc")
    assert request.url == "https://api.openai.com/v1/responses"
    assert dict(request.headers) == {"Authorization": "Bearer token", "User-Agent": CODEX.shape.user_agent,
                                     "Content-Type": "application/json", "Accept": "text/event-stream"}  # fmt: skip


def test_the_other_requests():
    login, shared = Login("codex", "t", workspace="w"), Login("siwc", "t")
    listing = CODEX.list_request(login, CODEX.list_hosts(login)[0])
    assert (listing.method, listing.url) == ("GET", f"https://chatgpt.com/backend-api/codex/models?client_version={CODEX.shape.version}")
    assert CODEX.list_request(shared, CODEX.list_hosts(shared)[0]).url == "https://api.openai.com/v1/models"
    usage = CODEX.quota_request(login, CODEX.quota_hosts(login)[0], "")
    assert (usage.method, usage.url, usage.headers["Chatgpt-Account-Id"]) == ("GET", "https://chatgpt.com/backend-api/wham/usage", "w")
    assert CODEX.quota_hosts(shared) == ()


def test_pictures_and_files():
    parts = [Image(PNG, "image/jpg"), Document("", "application/pdf", PDF), Document("notes", text="words"), result("a", Image(PNG))]
    got = body(talk(model(call("a")), user(*parts)))["input"]
    assert got[1]["content"] == [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "input_file", "filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        {"type": "input_text", "text": '<document name="notes">\nwords\n</document>'},
    ]  # fmt: skip
    assert got[2]["output"] == [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]


def test_system_words_stay_in_place():
    got = body(talk(user("a"), system("Mind this."), model("b")))["input"]
    assert [(item["role"], item["content"][0]["text"]) for item in got] == [("user", "a"), ("developer", "Mind this."), ("assistant", "b")]


def test_the_models_of_the_twin_are_those_that_we_know():
    assert {found.id for found in models.FALLBACK} <= set(BY_ID)
