"""Thinking through a real gateway: the model's own, both ways; emulated, in all its modes; and what is refused of it."""

import base64

import pytest

from kirogw.twin import Twin
from kirogw.twin.kiro import play
from tests.system.running import running
from tests.system.said import FORMS, IDS, answered, current, history, payloads, results, say, tool, user
from tests.system.talk import MODEL

HAIKU = "claude-haiku-4.5"  # has no thinking of its own
GPT = "gpt-5.6-sol"
ROUND = [
    {"steps": [{"thinking": "Let me see.", "pieces": 3}, {"text": "I look."}, {"tool": "read", "input": {"path": "a"}, "id": "t1"}]},
    {"steps": [{"thinking": "So that is it."}, {"text": "Done."}]},
    {"steps": [{"text": "Bye."}]},
]
WISHES = {"messages": {"thinking": {"type": "adaptive"}}, "chat": {"reasoning_effort": "high"}}


def reasoning(payload):
    return [message["reasoningContent"] for message in history(payload) if "reasoningContent" in message]


def signed(text, model=MODEL):
    return {"reasoningText": {"text": text, "signature": play.seal(model, text)}}


# The model's own


@pytest.mark.parametrize("stream", [True, False])
def test_seals_are_replayed_over_two_turns(twin, gateway, stream):
    """The twin checks each against the text and the model that it made it for."""
    twin.script(ROUND)
    asked = [user("Read a.")]
    more = {"tools": [tool("messages", "read")], **WISHES["messages"]}
    first = say(gateway, "messages", stream, messages=asked, **more)
    assert [block["type"] for block in first.back["content"]] == ["thinking", "text", "tool_use"]
    assert (first.thought, first.text, first.stop) == ("Let me see.", "I look.", "tool_use")
    asked += [first.back, *results("messages", ("t1", "word"))]
    second = say(gateway, "messages", stream, messages=asked, **more)
    assert (second.thought, second.text, second.stop) == ("So that is it.", "Done.", "end_turn")
    asked += [second.back, user("Thanks.")]
    assert say(gateway, "messages", stream, messages=asked, **more).text == "Bye."
    sent = payloads(twin)
    assert [reasoning(payload) for payload in sent] == [
        [], [signed("Let me see.")], [signed("Let me see."), signed("So that is it.")]
    ]
    assert answered(sent[1]) == {"t1": "word"}
    assert sent[0]["additionalModelRequestFields"] == {"thinking": {"type": "adaptive", "display": "summarized"}}


@pytest.mark.parametrize("stream", [True, False])
def test_a_redacted_thought_comes_back_as_it_went(twin, gateway, stream):
    twin.script([[{"redacted": "secret"}, {"text": "Hm."}], [{"text": "Bye."}]])
    first = say(gateway, "messages", stream, "Go.", **WISHES["messages"])
    assert [block["type"] for block in first.back["content"]] == ["redacted_thinking", "text"]
    say(gateway, "messages", stream, messages=[user("Go."), first.back, user("And?")])
    assert reasoning(payloads(twin)[1]) == [{"redactedContent": base64.b64encode(b"secret").decode()}]


@pytest.mark.parametrize("stream", [True, False])
def test_a_thought_that_is_not_shown_has_its_seal_all_the_same(twin, gateway, stream):
    twin.script([[{"signature": play.seal(MODEL, "")}, {"text": "Hm."}], [{"text": "Bye."}]])
    first = say(gateway, "messages", stream, "Go.", thinking={"type": "adaptive", "display": "omitted"})
    assert (first.back["content"][0]["type"], first.thought) == ("thinking", "")
    say(gateway, "messages", stream, messages=[user("Go."), first.back, user("And?")])
    sent = payloads(twin)
    assert sent[0]["additionalModelRequestFields"]["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert reasoning(sent[1]) == [signed("")]


@pytest.mark.parametrize("stream", [True, False])
def test_the_secret_thought_of_gpt_comes_after_its_call(twin, gateway, stream):
    twin.script([
        [{"tool": "read", "input": {"path": "a"}, "id": "t1"}, {"raw": {"type": "reasoningContentEvent", "payload": {"text": "...", "signature": ".KTR~~x"}}}],
        [{"text": "Bye."}],
    ])  # fmt: skip
    more = {"model": GPT, "tools": [tool("messages", "read")]}
    first = say(gateway, "messages", stream, "Go.", **more)
    assert (first.stop, [block["type"] for block in first.back["content"]]) == ("tool_use", ["tool_use", "redacted_thinking"])
    say(gateway, "messages", stream, messages=[user("Go."), first.back, *results("messages", ("t1", "word"))], **more)
    assert reasoning(payloads(twin)[1]) == [{"reasoningText": {"text": "...", "signature": ".KTR~~x"}}]


@pytest.mark.parametrize("stream", [True, False])
def test_thinking_in_chat(twin, gateway, stream):
    """That API has no place for seals, so a thought that is sent back goes no further; and never as text."""
    twin.script(ROUND)
    asked = [user("Read a.")]
    more = {"tools": [tool("chat", "read")], **WISHES["chat"]}
    first = say(gateway, "chat", stream, messages=asked, **more)
    assert (first.thought, first.text, first.stop) == ("Let me see.", "I look.", "tool_calls")
    asked += [first.back, *results("chat", ("t1", "word"))]
    assert say(gateway, "chat", stream, messages=asked, **more).thought == "So that is it."
    sent = payloads(twin)
    assert "Let me see." not in str(sent[1])
    assert sent[0]["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"},
    }  # fmt: skip


@pytest.mark.parametrize("change", ["another model", "edited", "foreign"])
def test_what_this_model_did_not_think_stays_out(twin, gateway, change, request):
    """With another model it is known beforehand; what was edited is refused, and then asked for without any thought."""
    twin.script([[{"thinking": "Hm."}, {"text": "Ha."}], [{"text": "Bye."}]])
    first = say(gateway, "messages", False, "Go.", **WISHES["messages"])
    thought = first.back["content"][0]
    model = "claude-opus-5" if change == "another model" else MODEL
    if change == "edited":
        request.applymarker(pytest.mark.refuses("reasoning_foreign_seal"))
        thought["thinking"] = "Ho."
    elif change == "foreign":
        thought["signature"] = "EqMBCkYIBxgC"
    second = say(gateway, "messages", False, model=model, messages=[user("Go."), first.back, user("And?")])
    assert (second.status, second.text) == (200, "Bye.")
    thoughts = [reasoning(payload) for payload in payloads(twin)[1:]]
    assert thoughts == ([[{"reasoningText": {"text": "Ho.", "signature": play.seal(MODEL, "Hm.")}}], []] if change == "edited" else [[]])
    twin.service.journal.refusals.clear()


@pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
def test_a_seal_that_is_refused_costs_all_thoughts_once(twin, gateway, face, stream):
    """Of several thoughts nobody can tell which is not believed."""
    twin.script(ROUND)
    asked = [user("Read a.")]
    more = {"tools": [tool("messages", "read")], **WISHES["messages"]}
    for pair in (("t1", "word"), None):
        answer = say(gateway, "messages", False, messages=asked, **more)
        asked += [answer.back, *(results("messages", pair) if pair else [user("And?")])]
    twin.faults.add("THINKING_SIGNATURE_INVALID")
    assert say(gateway, "messages", stream, messages=asked, **more).text == "Bye."
    assert [len(reasoning(payload)) for payload in payloads(twin)] == [0, 1, 2, 0]


@pytest.mark.parametrize("fault", ["fields_not_supported", "field_undefined"])
@pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
def test_fields_that_are_refused_are_left_out_once(twin, gateway, face, stream, fault):
    twin.script([[{"text": "Well."}]])
    twin.faults.add(fault)
    assert say(gateway, face, stream, "Go.", **WISHES[face]).text == "Well."
    with_fields, without = payloads(twin)
    assert with_fields.pop("additionalModelRequestFields")
    assert with_fields == without


EFFORTS = [
    # API, wish, model, what goes upstream
    pytest.param("messages", {}, MODEL, None, id="nothing said"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 4000}}, MODEL, "low", id="4000"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 16000}}, MODEL, "high", id="16000"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 31999}}, MODEL, "max", id="31999, no xhigh"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 64001}}, MODEL, "max", id="64001, no xhigh"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 64001}}, "claude-opus-5", "xhigh", id="64001"),
    pytest.param("messages", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, MODEL, "max", id="xhigh, no such"),
    pytest.param("messages", {"output_config": {"effort": "low"}}, "claude-opus-5", "low", id="effort alone"),
    pytest.param("chat", {"reasoning_effort": "minimal"}, MODEL, "low", id="minimal"),
    pytest.param("chat", {"reasoning_effort": "xhigh"}, "claude-opus-5", "xhigh", id="xhigh"),
]  # fmt: skip


@pytest.mark.parametrize(("face", "wish", "model", "level"), EFFORTS)
def test_effort_of_claude(twin, gateway, face, wish, model, level):
    say(gateway, face, False, "Go.", model=model, **wish)
    fields = payloads(twin)[0].get("additionalModelRequestFields")
    shown = {"thinking": {"type": "adaptive", "display": "summarized"}}
    assert fields == (None if level is None else {**shown, "output_config": {"effort": level}})


OTHERS = [
    pytest.param("messages", {"thinking": {"type": "disabled"}}, MODEL, {"thinking": {"type": "disabled"}}, id="off"),
    pytest.param("messages", {"thinking": {"type": "disabled"}}, "claude-opus-5.5", {"output_config": {"effort": "low"}}, id="off, where it can not be"),
    pytest.param("chat", {"reasoning_effort": "none"}, MODEL, {"thinking": {"type": "disabled"}}, id="none"),
    pytest.param("chat", {"reasoning_effort": "none"}, GPT, {"reasoning": {"effort": "none"}}, id="none of GPT"),
    pytest.param("chat", {"reasoning_effort": "medium"}, GPT, {"reasoning": {"effort": "medium"}}, id="GPT"),
    pytest.param("messages", {"thinking": {"type": "enabled", "budget_tokens": 16000}}, GPT, {"reasoning": {"effort": "high"}}, id="a budget of GPT"),
    pytest.param("messages", {"thinking": {"type": "adaptive"}}, "glm-5", None, id="a model without any"),
    pytest.param("messages", {}, f"{MODEL}-thinking", {"thinking": {"type": "adaptive", "display": "summarized"}}, id="by its name"),
]  # fmt: skip


@pytest.mark.parametrize(("face", "wish", "model", "fields"), OTHERS)
def test_effort_of_others(twin, gateway, face, wish, model, fields):
    assert say(gateway, face, False, "Go.", model=model, **wish).status == 200
    assert payloads(twin)[0].get("additionalModelRequestFields") == fields


# Emulated


@pytest.fixture(scope="module", params=["as_reasoning_content", "remove", "pass", "strip_tags"])
def mode(request):
    with Twin(accounts=["api_key"]) as twin, running(twin, FAKE_REASONING_HANDLING=request.param) as gateway:
        yield request.param, twin, gateway
        assert twin.refusals == []


RAW = "<thinking>\nI ponder.\n</thinking>\n\nDone."
MODES = {
    "as_reasoning_content": ("I ponder.", "Done."), "remove": ("", "Done."), "pass": ("", RAW),
    "strip_tags": ("", "I ponder.\n\nDone."),
}  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 7, 1000])
@pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
def test_emulated_thinking(mode, face, stream, pieces):
    name, twin, gateway = mode
    twin.reset()
    twin.script([[{"text": RAW, "pieces": pieces}]])
    answer = say(gateway, face, stream, "Ponder.", model=HAIKU, **WISHES[face])
    assert (answer.thought, answer.text) == MODES[name]
    (sent,) = payloads(twin)
    assert "additionalModelRequestFields" not in sent
    assert current(sent)["content"].startswith("<thinking_mode>enabled</thinking_mode>\n<max_thinking_length>")
    assert current(sent)["content"].endswith("\n\nPonder.")


@pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
def test_nobody_asked_for_it(mode, face, stream):
    """Then tags are text, as in any other answer."""
    _, twin, gateway = mode
    twin.reset()
    twin.script([[{"text": RAW}]])
    assert say(gateway, face, stream, "Hi.", model=HAIKU).text == RAW
    assert current(payloads(twin)[0])["content"] == "Hi."


def test_the_budget_of_emulated_thinking(twin, gateway):
    for budget in (2000, 60000):
        say(gateway, "messages", False, "Go.", model=HAIKU, thinking={"type": "enabled", "budget_tokens": budget})
    contents = [current(payload)["content"] for payload in payloads(twin)]
    assert ["<max_thinking_length>2000<" in contents[0], "<max_thinking_length>10000<" in contents[1]] == [True, True]


@pytest.mark.parametrize("stream", [True, False])
def test_emulated_thinking_is_not_sent_back(twin, gateway, stream):
    """It has no seal of Kiro's, and as text the model would imitate it."""
    twin.script([[{"text": RAW}], [{"text": "Bye."}]])
    first = say(gateway, "messages", stream, "Ponder.", model=HAIKU, **WISHES["messages"])
    assert [block["type"] for block in first.back["content"]] == ["thinking", "text"]
    say(gateway, "messages", stream, messages=[user("Ponder."), first.back, user("And?")], model=HAIKU)
    assert [message["content"] for message in history(payloads(twin)[1])][1] == "Done."
    assert "I ponder." not in str(payloads(twin)[1])
