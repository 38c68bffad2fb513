"""What is answered: the order and the members of the events, held against the types of OpenAI's own library."""

import json
from typing import get_args

import pytest
import requests
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent

from kirogw.twin.codex import CodexTwin
from tests.twin.codex import payloads as p

TYPED = {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(ResponseStreamEvent)[0])}
OWN = ("codex.rate_limits", "keepalive")  # what the public API has not
TOOLS = [p.WEATHER, p.PATCH, p.SPACE, {"type": "local_shell"}, p.SEARCH]
ALL = [{"thinking": ["One", "Two"]}, {"text": "Let me see.", "phase": "commentary"}, {"search": "oslo"},
       {"text": "Done. ", "phase": "final_answer", "annotations": [
           {"type": "url_citation", "url": "https://a.b/", "title": "A", "start_index": 0, "end_index": 4}]},
       {"refusal": "No more."}, {"tool": "weather", "input": {"city": "Oslo"}, "id": "call_a"},
       {"tool": "apply_patch", "input": "*** Begin Patch"}, {"tool": "agents__spawn", "input": {"city": "x"}},
       {"tool": "local_shell", "input": {"command": ["ls"]}}, {"tool": "tool_search", "input": {"query": "x"}}]  # fmt: skip


@pytest.fixture
def twin():
    with CodexTwin(accounts=["codex", "siwc"]) as running:
        yield running


def rich(**members):
    return p.body(tools=TOOLS, reasoning={"effort": "low", "summary": "auto"}, **members)


def test_the_plainest_answer(twin):
    twin.script([[{"text": "Hello there"}]])
    found = p.said(twin)
    assert p.kinds(found) == [
        "codex.rate_limits", "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed"]  # fmt: skip
    assert [event.get("sequence_number") for event in found] == [None, *range(len(found) - 1)]
    last = found[-1]["response"]
    assert (last["status"], last["output"], last["model"]) == ("completed", [], "gpt-5.5")
    assert last["usage"]["total_tokens"] == last["usage"]["input_tokens"] + last["usage"]["output_tokens"]
    assert p.items(found)[0]["content"][0]["text"] == "Hello there"


def test_every_event_is_of_the_librarys_types(twin):
    twin.script([ALL])
    twin.options.empty_output = False
    found = p.said(twin, rich())
    for event in found:
        if event["type"] not in OWN:
            TYPED[event["type"]].model_validate(event)
    assert [item["type"] for item in p.items(found)] == [
        "reasoning", "message", "web_search_call", "message", "function_call", "custom_tool_call", "function_call",
        "local_shell_call", "tool_search_call"]  # fmt: skip
    assert found[-1]["response"]["output"] == p.items(found)


def test_what_each_step_becomes(twin):
    twin.script([ALL])
    thought, comment, search, final, function, custom, spaced, shell, seek = p.items(p.said(twin, rich()))
    assert [part["text"] for part in thought["summary"]] == ["One", "Two"]
    assert thought["encrypted_content"].startswith("gAAAA")
    assert (comment["phase"], final["phase"]) == ("commentary", "final_answer")
    assert [part["type"] for part in final["content"]] == ["output_text", "refusal"]
    assert final["content"][0]["annotations"][0]["url"] == "https://a.b/"
    assert search["action"] == {"type": "search", "query": "oslo"}
    assert (function["call_id"], json.loads(function["arguments"])) == ("call_a", {"city": "Oslo"})
    assert custom["input"] == "*** Begin Patch"
    assert (spaced["namespace"], spaced["name"]) == ("agents", "spawn")
    assert shell["action"]["command"] == ["ls"]
    assert (seek["execution"], seek["arguments"]) == ("client", {"query": "x"})


def test_deltas_add_up(twin):
    twin.script([ALL])
    found = p.said(twin, rich())
    whole = {}
    for event in found:
        if event["type"].endswith(".delta"):
            key = event["type"].removesuffix(".delta"), event["output_index"], event.get("content_index"), event.get("summary_index")
            whole[key] = whole.get(key, "") + event["delta"]
    names = ("text", "refusal", "arguments", "input")
    told = {(event["type"].removesuffix(".done"), event["output_index"], event.get("content_index"), event.get("summary_index")):
            next(event[name] for name in names if name in event)
            for event in found if event["type"].endswith(".done") and any(name in event for name in names)}  # fmt: skip
    assert whole == told


def test_calls_at_once_take_turns(twin):
    twin.script([[{"together": [{"tool": "weather", "input": {"city": "Oslo"}}, {"tool": "apply_patch", "input": "x" * 60}]}]])
    found = p.said(twin, rich())
    order = [event["output_index"] for event in found if event["type"].endswith((".added", ".delta", ".done"))]
    assert order[:4] == [0, 1, 0, 1]
    assert [event["sequence_number"] for event in found[1:]] == list(range(len(found) - 1))
    assert [item["status"] for item in p.items(found)] == ["completed", "completed"]


@pytest.mark.parametrize(("members", "summary", "sealed"), [
    pytest.param({}, 0, True, id="not asked for"),
    pytest.param({"reasoning": {"effort": "low", "summary": "concise"}}, 1, True, id="asked for"),
    pytest.param({"include": []}, 0, False, id="not to be sealed"),
])  # fmt: skip
def test_reasoning_is_told_as_asked(twin, members, summary, sealed):
    twin.script([[{"thinking": "Hm"}, {"text": "a"}]])
    thought = p.items(p.said(twin, p.body(**members)))[0]
    assert (len(thought["summary"]), "encrypted_content" in thought) == (summary, sealed)


def test_reasoning_goes_back_to_its_own_account_only(twin):
    other = twin.add_account("codex")
    twin.script([{"steps": [{"thinking": "Hm"}, {"text": "a"}], "repeat": True}])
    thought = {name: value for name, value in p.items(p.said(twin))[0].items() if name != "id"}
    payload = p.body(p.user(), thought, p.assistant(), p.user("more"))
    assert p.ask(twin, payload).status_code == 200
    assert p.ask(twin, payload, other).json()["error"]["code"] == "invalid_encrypted_content"


def test_an_id_holds_an_item_to_its_reasoning(twin):
    twin.script([{"steps": [{"thinking": "Hm"}, {"text": "a"}], "repeat": True}])
    thought, message = p.items(p.said(twin))
    del message["status"]
    assert p.ask(twin, p.body(p.user(), thought, message, p.user())).status_code == 200
    assert "required 'reasoning' item" in p.ask(twin, p.body(p.user(), message, p.user())).text
    del message["id"]
    assert p.ask(twin, p.body(p.user(), message, p.user())).status_code == 200


@pytest.mark.parametrize(("step", "last", "reason"), [
    ({"stop": "MAX_TOKENS"}, "response.incomplete", {"reason": "max_output_tokens"}),
    ({"stop": "content_filter"}, "response.incomplete", {"reason": "content_filter"}),
    ({"stop": "END_TURN"}, "response.completed", None),
])  # fmt: skip
def test_how_it_ends(twin, step, last, reason):
    twin.script([[{"text": "a"}, step]])
    end = p.said(twin)[-1]
    assert (end["type"], end["response"]["incomplete_details"]) == (last, reason)


def test_a_stream_may_have_no_end(twin):
    twin.script([[{"text": "a"}, {"end": False}]])
    assert p.kinds(p.said(twin))[-1] == "response.output_item.done"


@pytest.mark.parametrize(("step", "kind"), [
    ({"exception": {"code": "server_error", "message": "No."}}, "response.failed"),
    ({"error": {"code": "server_error", "message": "No.", "param": None}}, "error"),
])  # fmt: skip
def test_a_failure_ends_it(twin, step, kind):
    twin.script([[{"text": "a"}, step, {"text": "b"}]])
    assert p.kinds(p.said(twin))[-2:] == ["response.output_text.delta", kind]


def test_silence_is_broken(twin):
    twin.options.keepalive = 0.02
    twin.script([[{"text": "a"}, {"text": "b", "delay": 0.1}]])
    found = p.said(twin)
    assert sum(event["type"] == "keepalive" for event in found) in (4, 5)
    assert [event["sequence_number"] for event in found[1:]] == list(range(len(found) - 1))


def test_the_prompts_cache(twin):
    long = p.user("word " * 400)
    first, second, other = (p.said(twin, p.body(long, prompt_cache_key=key))[-1]["response"]["usage"] for key in "aab")
    told = [usage["input_tokens_details"]["cached_tokens"] for usage in (first, second, other)]
    assert told == [0, first["input_tokens"] // 128 * 128, 0]


def test_heads(twin):
    said = p.ask(twin).headers
    assert said["x-codex-primary-window-minutes"] == "300"
    assert {"x-codex-turn-state", "x-request-id", "openai-model"} <= set(said)
    siwc = p.ask(twin, p.body(), twin.accounts.all["siwc-2"]).headers
    assert not [name for name in siwc if name.startswith("x-codex")]


def test_openais_library_reads_it(twin):
    """At the door of Sign in with ChatGPT, which is the public API."""
    twin.script([[{"thinking": "Hm"}, {"text": "Hello "}, {"text": "there"}]])
    twin.options.empty_output = False
    client = OpenAI(base_url=twin.settings()["OPENAI_API_URL"], api_key=twin.accounts.all["siwc-2"].access_token)
    with client.responses.stream(model="gpt-5.5", input=[p.user()], store=False) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert (text, stream.get_final_response().output_text) == ("Hello there", "Hello there")


# without a script


@pytest.mark.parametrize(("members", "kind"), [
    ({"tool_choice": "required"}, "function_call"),
    ({"tool_choice": {"type": "custom", "name": "apply_patch"}}, "custom_tool_call"),
    ({"tool_choice": "none"}, "message"),
])  # fmt: skip
def test_the_demo_minds_the_choice_of_tools(twin, members, kind):
    assert p.items(p.said(twin, p.body(tools=[p.WEATHER, p.PATCH], **members)))[-1]["type"] == kind


def test_the_demo_minds_a_schema(twin):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    wanted = {"format": {"type": "json_schema", "name": "out", "schema": schema, "strict": True}}
    assert json.loads(p.items(p.said(twin, p.body(text=wanted)))[-1]["content"][0]["text"]) == {"n": 1}


def test_the_demo_calls_and_retells(twin):
    payload = p.body(p.user("please call the tool weather"), tools=[p.WEATHER])
    assert p.items(p.said(twin, payload))[-1]["name"] == "weather"
    payload["input"] += [p.call(), p.output(text="rain all day")]
    assert "rain all day" in p.items(p.said(twin, payload))[-1]["content"][0]["text"]


def test_the_agents_loop_of_the_built_in_script(twin):
    """The script that plays an agent for Kiro's twin plays it here as well."""
    twin.script("agent")
    tools = [{"type": "function", "name": name, "parameters": {"type": "object", "properties": {
        word: {"type": "string"} for word in words}, "required": list(words)}}
        for name, words in (("read_file", ("path",)), ("write_file", ("path", "content")), ("bash", ("command",)))]  # fmt: skip
    payload = p.body(p.user("Create hello.txt"), tools=tools)
    for _ in range(10):
        new = p.items(p.said(twin, payload))
        calls = [item for item in new if item["type"] == "function_call"]
        if not calls:
            break
        payload["input"] += [{k: v for k, v in one.items() if k != "status"} for one in calls]
        payload["input"] += [p.output(one["call_id"], "done") for one in calls]
    assert not calls and len(payload["input"]) > 1


def test_unknown_places(twin):
    assert requests.get(f"{twin.url}/nowhere", timeout=60).status_code == 404
    sent = p.headers(twin.accounts.all["siwc-2"])
    reply = requests.post(f"{twin.url}/v1/chat/completions", json={}, headers=sent, timeout=60)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "subscription_sharing_route_not_supported")
