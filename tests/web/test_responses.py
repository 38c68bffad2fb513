"""The Responses API over HTTP: what is kept and asked for again, what is refused and in which words."""

import json

import pytest

from kirogw import kept
from kirogw.twin.kiro import play
from kirogw.web import responses
from tests.system.running import KEY
from tests.system.talk import MODEL, events

CODEX = {"User-Agent": "codex_exec/0.169.0 (Debian 12; x86_64) xterm (codex_exec; 0.169.0)"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """There is no other process here to wait for."""
    monkeypatch.setattr(kept.Kept.get, "__defaults__", (0.0,))
    monkeypatch.setattr(kept, "PATIENCE", 0.0)
    monkeypatch.setattr(responses, "CANCELLED", 0.0)


@pytest.fixture
def create(client):
    def create(input="Hello.", **more):
        reply = client.post("/v1/responses", json={"model": MODEL, "input": input, **more})
        assert reply.status_code == 200, reply.json
        return events(reply.data)[-1]["response"] if more.get("stream") else reply.json

    return create


def asked(twin):
    """What the model was given: the texts of its history and of the last message."""
    state = twin.seen()[-1].payload["conversationState"]
    turns = [next(iter(turn.values()))["content"] for turn in state.get("history", ())]
    return [*turns, state["currentMessage"]["userInputMessage"]["content"]]


def refused(reply, status):
    assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert set(reply.json) == {"error"} and set(reply.json["error"]) == {"message", "type", "param", "code"}
    assert reply.headers["x-request-id"].startswith("req_")
    return reply.json["error"]


# what is kept


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_got_as_it_was_told(client, create, stream):
    told = create(stream=stream, metadata={"a": "b"}, instructions="Be brief.")
    assert (told["status"], told["store"]) == ("completed", True)
    assert client.get(f"/v1/responses/{told['id']}").json == told


@pytest.mark.parametrize("stream", [False, True])
def test_a_chain(client, create, twin, stream):
    twin.script([[{"text": f"Answer {n}."}] for n in range(3)])
    first = create("Question 0.", stream=stream, instructions="Not for the next.")
    second = create([{"role": "user", "content": "Question 1."}], previous_response_id=first["id"], stream=stream)
    third = create("Question 2.", previous_response_id=second["id"], stream=stream)
    assert asked(twin) == ["Question 0.", "Answer 0.", "Question 1.", "Answer 1.", "Question 2."]
    assert (second["previous_response_id"], third["previous_response_id"]) == (first["id"], second["id"])
    assert b"Not for the next" not in json.dumps(twin.seen()[-1].payload).encode()


def test_one_answer_is_gone_on_from_twice(create, twin):
    twin.script([[{"text": "One."}], [{"text": "Two."}], [{"text": "Three."}]])
    first = create("A")
    create("B", previous_response_id=first["id"])
    create("C", previous_response_id=first["id"])
    assert asked(twin) == ["A", "One.", "C"]


def test_a_tool_is_answered(create, twin):
    twin.script([[{"text": "I look."}, {"tool": "look", "input": {"at": "x"}, "id": "call_1"}], [{"text": "Seen."}]])
    tools = [{"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}]
    first = create("Look.", tools=tools)
    call = next(item for item in first["output"] if item["type"] == "function_call")
    create([{"type": "function_call_output", "call_id": call["call_id"], "output": "a tree"}], previous_response_id=first["id"], tools=tools)
    last = twin.seen()[-1].payload["conversationState"]["currentMessage"]["userInputMessage"]
    (result,) = last["userInputMessageContext"]["toolResults"]
    assert result["content"][0]["text"] == "a tree"


def test_items_that_are_only_named(create, twin):
    twin.script([[{"text": "One."}], [{"text": "Two."}], [{"text": "Three."}]])
    first = create("A")
    named = {"type": "item_reference", "id": first["output"][-1]["id"]}
    again = create([{"role": "user", "content": "A"}, named, {"role": "user", "content": "B"}])
    assert asked(twin) == ["A", "One.", "B"]
    create("C", previous_response_id=again["id"])
    assert asked(twin) == ["A", "One.", "B", "Two.", "C"]


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_kept_with_its_seal(client, create, twin, stream):
    """Who goes on by id has it believed again, though the client has never seen the seal."""
    twin.script([[{"thinking": "So it is."}, {"text": "Yes."}], [{"text": "Bye."}]])
    more = {"model": "claude-sonnet-4.6", "reasoning": {"effort": "high", "summary": "auto"}, "stream": stream}
    told = create("Think.", **more)
    thought = told["output"][0]
    assert (thought["type"], thought["summary"][0]["text"], thought["encrypted_content"]) == ("reasoning", "So it is.", None)
    create("Go on.", previous_response_id=told["id"], **more)
    (turn,) = [turn["assistantResponseMessage"] for turn in twin.seen()[-1].payload["conversationState"]["history"] if "assistantResponseMessage" in turn]
    assert turn["reasoningContent"] == {"reasoningText": {"text": "So it is.", "signature": play.seal("claude-sonnet-4.6", "So it is.")}}
    for query in ("?include[]=reasoning.encrypted_content", "?include=reasoning.encrypted_content"):
        assert client.get(f"/v1/responses/{told['id']}{query}").json["output"][0]["encrypted_content"].startswith("kgw2:s:")
    assert client.get(f"/v1/responses/{told['id']}").json["output"][0] == thought


def test_not_kept_when_it_should_not_be(client, create):
    told = create(store=False)
    assert told["store"] is False
    error = refused(client.get(f"/v1/responses/{told['id']}"), 404)
    assert error["message"] == f"Response with id '{told['id']}' not found."
    error = refused(client.post("/v1/responses", json={"model": MODEL, "input": "x", "previous_response_id": told["id"]}), 400)
    assert (error["code"], error["param"], error["type"]) == ("previous_response_not_found", "previous_response_id", "invalid_request_error")


def test_deleted(client, create):
    told, other = create(), create()
    assert client.delete(f"/v1/responses/{told['id']}").json == {"id": told["id"], "object": "response", "deleted": True}
    for reply in (client.get(f"/v1/responses/{told['id']}"), client.delete(f"/v1/responses/{told['id']}"),
                  client.get(f"/v1/responses/{told['id']}/input_items"), client.post(f"/v1/responses/{told['id']}/cancel")):  # fmt: skip
        refused(reply, 404)
    assert client.get(f"/v1/responses/{other['id']}").json == other


def test_an_answer_that_was_cut_is_kept_as_such(client, create, twin):
    twin.script([[{"text": "one two three four five six seven eight"}]])
    told = create(max_output_tokens=3)
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert client.get(f"/v1/responses/{told['id']}").json == told


def test_an_answer_that_failed_is_kept_as_such(client, twin):
    twin.script([[{"text": "one two three"}, {"exception": {"type": "InternalServerException", "message": "It broke."}, "delay": 0.3}]])
    reply = client.post("/v1/responses", json={"model": MODEL, "input": "x", "stream": True})
    last = events(reply.data)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert client.get(f"/v1/responses/{last['response']['id']}").json == last["response"]


def test_the_client_leaves(client, twin):
    twin.script([[{"text": "one two three four five six", "pace": 0.05}]])
    reply = client.post("/v1/responses", json={"model": MODEL, "input": "x", "stream": True}, buffered=False)
    id = events(next(iter(reply.response)))[0]["response"]["id"]
    assert client.get(f"/v1/responses/{id}").json["status"] == "in_progress"
    reply.close()
    assert client.get(f"/v1/responses/{id}").json["status"] == "cancelled"


# what it was made from


def test_input_items_by_pages(client, create, twin):
    twin.script([[{"text": "Answer."}]] * 3)
    id = ""
    for n in range(3):
        id = create(f"Question {n}.", **({"previous_response_id": id} if id else {}))["id"]
    whole = client.get(f"/v1/responses/{id}/input_items?order=asc").json
    texts = [item["content"][0]["text"] for item in whole["data"]]
    assert texts == ["Question 0.", "Answer.", "Question 1.", "Answer.", "Question 2."]
    assert (whole["object"], whole["has_more"], whole["first_id"], whole["last_id"]) == ("list", False, whole["data"][0]["id"], whole["data"][-1]["id"])
    assert client.get(f"/v1/responses/{id}/input_items").json["data"] == whole["data"][::-1]
    page = client.get(f"/v1/responses/{id}/input_items?limit=2&order=asc&after={whole['data'][0]['id']}").json
    assert (page["data"], page["has_more"]) == (whole["data"][1:3], True)


@pytest.mark.parametrize(("query", "param"), [("order=up", "order"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=1.0", "limit"), ("after=nobody", "after")])
def test_pages_that_are_none(client, create, query, param):
    assert refused(client.get(f"/v1/responses/{create()['id']}/input_items?{query}"), 400)["param"] == param


def test_counting(client, create):
    told = create("one two three four five six seven")
    count = client.post("/v1/responses/input_tokens", json={"input": "eight"}).json
    more = client.post("/v1/responses/input_tokens", json={"model": MODEL, "input": "eight", "previous_response_id": told["id"]}).json
    assert count["object"] == "response.input_tokens" and 0 < count["input_tokens"] < told["usage"]["input_tokens"] < more["input_tokens"]


# refusals


@pytest.mark.parametrize(("member", "value"), [
    ("background", True), ("conversation", "conv_1"), ("conversation", {"id": "conv_1"}), ("prompt", {"id": "pmpt_1"}),
])
def test_what_can_not_be_had_is_refused_by_its_name(client, twin, member, value):
    error = refused(client.post("/v1/responses", json={"model": MODEL, "input": "x", member: value}), 400)
    assert error["param"] == member and error["type"] == "invalid_request_error"
    assert twin.seen() == []


@pytest.mark.parametrize(("body", "status", "param"), [
    ({"input": "x", "previous_response_id": 5}, 400, "previous_response_id"),
    ({"input": "x", "previous_response_id": "resp_" + "x" * 24}, 400, "previous_response_id"),
    ({"input": [{"type": "item_reference", "id": "msg_mine"}]}, 404, "input"),
    ({"input": [{"type": "item_reference", "id": "msg_" + "x" * 24 + "0"}]}, 404, "input"),
    ({"input": 5}, 400, "input"),
    ({"input": []}, 400, "input"),
    ({}, 400, "input"),
    ({"input": [{"role": "user", "content": [{"type": "nothing"}]}]}, 400, "input[0].content[0].type"),
])
def test_bad_requests(client, twin, body, status, param):
    assert refused(client.post("/v1/responses", json={"model": MODEL, **body}), status)["param"] == param
    assert twin.seen() == []


def test_a_fault_is_told_by_its_place_in_what_was_sent(client, create):
    body = {"model": MODEL, "input": [{"role": "user", "content": "a"}, {"role": "nobody", "content": "b"}], "previous_response_id": create()["id"]}
    assert refused(client.post("/v1/responses", json=body), 400)["param"] == "input[1].role"


def test_what_is_not_there(client):
    refused(client.get("/v1/responses/resp_nobody"), 404)
    assert refused(client.get("/v1/responses"), 405)["code"] == "method_not_allowed"
    assert refused(client.post("/v1/responses/compact", json={}), 405)["code"] == "method_not_allowed"
    assert refused(client.get("/v1/responses/a/b"), 404)["code"] == "not_found"


def test_nothing_is_streamed_again(client, create):
    assert refused(client.get(f"/v1/responses/{create()['id']}?stream=true"), 400)["param"] == "stream"


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/v1/responses"), ("POST", "/v1/completions"), ("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/resp_1/input_items"), ("POST", "/v1/responses/resp_1/cancel"), ("POST", "/v1/responses/input_tokens"),
    ("GET", "/api/codex/usage"), ("GET", "/v1/api/codex/usage"), ("GET", "/backend-api/wham/usage"), ("GET", "/backend-api/codex/usage"),
])
def test_nobody_comes_in_without_a_key(app, method, path):
    error = refused(app.test_client().open(path, method=method, headers={"Authorization": "Bearer wrong"}), 401)
    assert error["code"] == "invalid_api_key"


# an answer that is on its way


def test_cancelled_while_it_runs(client, app, twin):
    twin.script([[{"text": "one two three four five six", "pace": 0.05}]])
    reply = client.post("/v1/responses", json={"model": MODEL, "input": "x", "stream": True}, buffered=False)
    chunks = iter(reply.response)
    id = events(next(chunks))[0]["response"]["id"]
    other = app.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    cancelled = other.post(f"/v1/responses/{id}/cancel")
    assert (cancelled.status_code, cancelled.json["status"], cancelled.json["id"]) == (200, "cancelled", id)
    last = events(b"".join(chunks))[-1]
    assert last["type"] == "response.failed" and "cancelled" in last["response"]["error"]["message"]
    assert other.get(f"/v1/responses/{id}").json["status"] == "cancelled"
    assert other.post(f"/v1/responses/{id}/cancel").json["status"] == "cancelled"


def test_what_has_ended_can_not_be_cancelled(client, create):
    assert "Cannot cancel" in refused(client.post(f"/v1/responses/{create()['id']}/cancel"), 400)["message"]
    refused(client.post("/v1/responses/resp_" + "x" * 24 + "/cancel"), 404)
    refused(client.post("/v1/responses/x/cancel"), 404)


# Codex


def test_a_websocket_is_not_to_be_had(app):
    """426 is the only status after which Codex goes on at once."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert "POST" in refused(app.test_client().get("/v1/responses", headers=headers), 426)["message"]


@pytest.mark.parametrize("path", responses.CODEX_USAGE)
def test_what_is_left(client, app, twin, path):
    state = app.extensions["kirogw"]
    state.quotas.refresh(state.pool.all()[0].id)
    body = client.get(path).json
    window = body["rate_limit"]["primary_window"]
    assert body["plan_type"] == "pro" and body["rate_limit"]["allowed"] is True
    assert all(type(value) is int for value in window.values()) and window["reset_at"] > 0


def test_codex_hears_what_is_left_with_an_answer(client, app, twin):
    state = app.extensions["kirogw"]
    state.quotas.refresh(state.pool.all()[0].id)
    body = {"model": MODEL, "input": "x", "stream": True}
    told = client.post("/v1/responses", json=body, headers=CODEX).headers
    assert float(told["x-codex-primary-used-percent"]) >= 0 and told["x-codex-primary-window-minutes"] == "43200"
    assert not [name for name, _ in client.post("/v1/responses", json=body).headers if name.lower().startswith("x-codex")]


# what else a conversation may hold


def test_a_search_is_gone_on_from(client, create, twin):
    twin.script([[{"tool": "web_search", "input": {"query": "birds"}, "id": "call_1"}], [{"text": "Birds fly."}], [{"text": "Yes."}]])
    told = create("Birds?", tools=[{"type": "web_search"}], include=["web_search_call.action.sources"])
    assert [item["type"] for item in told["output"]][-2:] == ["web_search_call", "message"]
    create("Sure?", previous_response_id=told["id"])
    assert asked(twin)[0] == "Birds?" and "Birds fly." in " ".join(asked(twin)) and asked(twin)[-1] == "Sure?"


def test_json_is_gone_on_from(client, create, twin):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    form = {"format": {"type": "json_schema", "name": "number", "schema": schema, "strict": True}}
    twin.script([[{"text": '{"n": 5}'}], [{"text": '{"n": 6}'}]])
    told = create("A number.", text=form)
    assert json.loads(told["output"][-1]["content"][0]["text"]) == {"n": 5}
    again = create("One more.", text=form, previous_response_id=told["id"], stream=True)
    assert json.loads(again["output"][-1]["content"][0]["text"]) == {"n": 6}
