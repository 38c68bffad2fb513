"""The whole road to ChatGPT over sockets, by either door: thinking, tools and what is asked again in another form."""

import json

import anthropic
import pytest

from tests.dialects.conversations import PNG
from tests.system.running import KEY
from tests.system.stand import Verdicts, brought_in, standing

TOOLS = [{"name": "mcp__files__read a file", "description": "Reads.", "input_schema": {"$schema": "x", "type": "object"}}]
ASKED = {"role": "user", "content": "What is in a.txt?"}
THINK = {"type": "enabled", "budget_tokens": 2000}
LOOP = [
    [{"thinking": "I must look."}, {"text": "I look."}, {"tool": TOOLS[0]["name"], "input": {"path": "a.txt"}, "id": "call_1"}],
    [{"thinking": "I see."}, {"text": "It says hello."}],
]


@pytest.fixture(scope="module", params=["codex", "siwc"])
def stand(request):
    verdicts = Verdicts()
    with verdicts.listening(), standing(verdicts, [request.param], {}, brought_in, lambda twin: {}) as stand:
        yield stand


@pytest.fixture
def twin(stand):
    stand.twin.reset()
    return stand.twin


@pytest.fixture
def client(stand):
    with anthropic.Anthropic(base_url=stand.url, api_key=KEY, max_retries=0, timeout=100) as client:
        yield client


def said(client, messages, model="gpt-6.1-sol", **more):
    with client.messages.stream(model=model, max_tokens=4000, messages=messages, thinking=THINK, **more) as stream:
        return stream.get_final_message()


def bodies(twin):
    return [json.loads(seen.body) for seen in twin.requests if seen.operation == "generate"]


def loop(client, model="gpt-6.1-sol", change=lambda content: content):
    """A turn with a call, its result, and the answer."""
    first = said(client, [ASKED], model, tools=TOOLS)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert (first.content[2].name, first.content[2].input, first.stop_reason) == (TOOLS[0]["name"], {"path": "a.txt"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": first.content[2].id, "content": [
        {"type": "text", "text": "hello"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]}  # fmt: skip
    content = change([block.model_dump(exclude_none=True) for block in first.content])
    return said(client, [ASKED, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}], model, tools=TOOLS)


@pytest.mark.parametrize("model", ["gpt-6.1-sol", "gpt-5.5"])
def test_a_loop_with_thinking_and_a_tool(twin, client, model):
    """The name of the tool is no name to ChatGPT; the thought goes back sealed to the account that thought it."""
    twin.script(LOOP)
    assert [block.text for block in loop(client, model).content if block.type == "text"] == ["It says hello."]
    one, other = bodies(twin)
    assert one["prompt_cache_key"] == other["prompt_cache_key"]
    assert [item["type"] for item in other["input"] if item["type"] != "additional_tools"] == [
        "message", "reasoning", "message", "function_call", "function_call_output"]  # fmt: skip
    (thought,) = (item for item in other["input"] if item["type"] == "reasoning")
    assert thought["encrypted_content"].startswith("gAAAA")
    assert twin.refusals == []


@pytest.mark.refuses("reasoning_unverified")
def test_thinking_that_is_not_believed_is_left_out(stand, twin, client):
    """Once, on the same account, and it is no fault of that."""
    def tampered(content):
        sealed = content[0]["signature"]
        return [{**content[0], "signature": sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")}, *content[1:]]

    twin.script(LOOP)
    assert loop(client, change=tampered).stop_reason == "end_turn"
    _, refused, taken = bodies(twin)
    assert [any(item["type"] == "reasoning" for item in body["input"]) for body in (refused, taken)] == [True, False]
    assert stand.state.pool.all()[0].health.state == "ready"


@pytest.mark.refuses("lite_context", "lite_model")
@pytest.mark.parametrize("demand", [True, False])
def test_the_other_form_is_tried(twin, client, demand):
    """A search makes a model of Responses Lite be asked in the classic form, which some models refuse."""
    twin.options.demand_lite = demand
    try:
        answer = said(client, [ASKED], tools=[{"type": "web_search_20250305", "name": "web_search"}])
    finally:
        twin.options.demand_lite = False
    forms = ["instructions" in body for body in bodies(twin)]
    assert forms == ([True, False] if demand and twin.account.kind == "codex" else [True])
    assert answer.stop_reason == "end_turn"


def test_a_failure_before_the_first_word_is_tried_again(twin, client):
    twin.script([[{"thinking": "Hm."}, {"text": "Here."}]] * 2)
    twin.faults.add("first_overloaded", count=1)
    assert said(client, [ASKED]).content[-1].text == "Here."
    assert len(bodies(twin)) == 2
