"""A conversation that is gone on from by its id, and changes the provider on its way: tools, thinking and pictures too."""

import datetime
import json

import openai
import pytest

from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.dialects.conversations import PNG
from tests.system.running import KEY, running

KIRO, GPT = "claude-sonnet-4.6", "gpt-5.5"
LOOK = {"type": "function", "name": "look", "description": "Look.", "strict": False,
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}  # fmt: skip
PATCH = {"type": "custom", "name": "apply_patch", "description": "Patch.", "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}}
THINK = {"effort": "high", "summary": "auto"}
PICTURE = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]}]


@pytest.fixture(scope="module")
def all_three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logins")
    with Twin(accounts=["api_key"]) as kiro, CodexTwin(accounts=["codex"]) as codex:
        login = folder / "auth.json"
        login.write_text(json.dumps(as_codex_file(codex.account, datetime.datetime.now(datetime.UTC).isoformat())))
        with running(kiro, CODEX_AUTH_FILE=login, SERVER_WORKERS=2, **codex.settings()) as gateway:
            yield kiro, codex, gateway


@pytest.fixture
def twins(all_three):
    found = {KIRO: all_three[0], GPT: all_three[1]}
    for twin in found.values():
        twin.reset()
    yield found
    assert [twin.refusals for twin in found.values()] == [[], []]


@pytest.fixture
def client(all_three):
    with openai.OpenAI(base_url=all_three[2].url + "/v1", api_key=KEY, max_retries=0, timeout=100, default_headers={"Connection": "close"}) as client:
        yield client


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def create(request, client):
    def create(model, input, before=None, **more):
        more = {"model": model, "input": input, "previous_response_id": before.id if before else None, **more}
        if not request.param:
            return client.responses.create(**more)
        with client.responses.stream(**more) as events:
            for _ in events:
                pass
            return events.get_final_response()

    return create


def sent(twin):
    return twin.seen()[-1].body.decode()


def output_of(response, kind):
    return next(item for item in response.output if item.type == kind)


@pytest.mark.parametrize(("first", "then"), [(KIRO, GPT), (GPT, KIRO)])
def test_tools_thinking_and_pictures_move(twins, create, first, then):
    twins[first].script([[{"thinking": "I think hard."}, {"text": "Wait."}, {"tool": "look", "input": {"at": "sky"}, "id": "call_7"}], [{"text": "Back again."}]])
    twins[then].script([[{"text": "It is blue."}]])
    one = create(first, PICTURE, tools=[LOOK], reasoning=THINK)
    call = output_of(one, "function_call")
    assert (output_of(one, "reasoning").summary[0].text, json.loads(call.arguments)) == ("I think hard.", {"at": "sky"})
    two = create(then, [{"type": "function_call_output", "call_id": call.call_id, "output": "a bird"}], one, tools=[LOOK], reasoning=THINK)
    assert two.output_text == "It is blue."
    heard = sent(twins[then])
    assert all(word in heard for word in ("What is it?", "Wait.", "sky", "a bird", PNG)) and "I think hard." not in heard
    three = create(first, "And now?", two, tools=[LOOK], reasoning=THINK)
    assert three.output_text == "Back again."
    assert all(word in sent(twins[first]) for word in ("What is it?", "Wait.", "a bird", "It is blue.", "And now?"))


@pytest.mark.parametrize(("first", "then"), [(KIRO, GPT), (GPT, KIRO), (KIRO, KIRO), (GPT, GPT)])
def test_free_text_moves(twins, create, first, then):
    """A patch is raw text for the client, whoever wrote it, and for ChatGPT; for Kiro it is an argument."""
    patch = "*** Begin Patch\n*** Add File: a\n+\"x\"\n*** End Patch"
    step = {"tool": "apply_patch", "input": patch if first == GPT else {"input": patch}, "id": "call_8"}
    twins[first].script([[{"text": "I patch."}, step], [{"text": "Good."}]])
    if then != first:
        twins[then].script([[{"text": "Good."}]])
    one = create(first, "Patch it.", tools=[PATCH])
    call = output_of(one, "custom_tool_call")
    assert (call.name, call.input) == ("apply_patch", patch)
    two = create(then, [{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}], one, tools=[PATCH])
    assert two.output_text == "Good."
    assert "Begin Patch" in sent(twins[then])


@pytest.mark.parametrize("model", [KIRO, GPT])
def test_thinking_is_believed_again_where_it_was_thought(twins, create, model):
    twins[model].script([[{"thinking": "So it is."}, {"text": "Yes."}], [{"text": "Bye."}]])
    one = create(model, "Think.", reasoning=THINK)
    assert output_of(one, "reasoning").encrypted_content is None
    create(model, "Go on.", one, reasoning=THINK)
    assert {KIRO: '"signature"', GPT: '"encrypted_content"'}[model] in sent(twins[model])


def test_what_both_have_left(twins, all_three, client):
    """ChatGPT's windows first, and Kiro's plan beside them."""
    body = all_three[2].get("/api/codex/usage").json()
    account = twins[GPT].account
    assert body["plan_type"] == account.plan
    assert body["rate_limit"]["primary_window"]["used_percent"] == round(account.primary["used"])
    assert body["rate_limit"]["secondary_window"]["limit_window_seconds"] == 604800
    (kiro,) = body["additional_rate_limits"]
    assert (kiro["limit_name"], kiro["rate_limit"]["primary_window"]["limit_window_seconds"]) == ("Kiro", 30 * 86400)
