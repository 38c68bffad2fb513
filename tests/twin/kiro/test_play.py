"""Steps become frames: the whole stream of each kind of step, as botocore reads it."""

import base64
import json

import pytest

from kirogw.twin import Twin
from kirogw.twin.kiro.play import seal
from tests.twin.kiro import payloads as p

TAIL = ["metadataEvent", "contextUsageEvent", "meteringEvent"]


@pytest.fixture(scope="module")
def twin():
    with Twin() as running:
        yield running


def played(twin, steps, body=None):
    """The stream without its first frame."""
    twin.script([{"steps": steps, "repeat": True, "tools": False}])
    first, *rest = p.events(p.ask(twin, body).content)
    assert first[0] == "messageMetadataEvent"
    assert first[1]["conversationId"] == p.payload()["conversationState"]["conversationId"]
    return rest


def text(content):
    return ("assistantResponseEvent", {"content": content, "modelId": p.MODEL})


def call(**members):
    return ("toolUseEvent", {"toolUseId": "t1", "name": "read", **members})


STEPS = [
    pytest.param([{"text": "Hello there,  you\n"}], [text("Hello "), text("there,  "), text("you\n")], id="words"),
    pytest.param([{"text": "abcdefg", "pieces": 3}], [text("abc"), text("def"), text("g")], id="by three"),
    pytest.param([{"text": "abcdefg", "pieces": [5, 1, 99, 0]}], [text("a"), text("bcde"), text("fg")], id="at places"),
    pytest.param([{"text": ""}], [], id="nothing"),
    pytest.param([{"thinking": "Hm hm"}], [("reasoningContentEvent", {"text": "Hm "}), ("reasoningContentEvent", {"text": "hm"}),
                 ("reasoningContentEvent", {"signature": seal(p.MODEL, "Hm hm")})], id="sealed thought"),
    pytest.param([{"thinking": "Hm", "sealed": False}], [("reasoningContentEvent", {"text": "Hm"})], id="unsealed thought"),
    pytest.param([{"signature": ".KTR~~x"}], [("reasoningContentEvent", {"signature": ".KTR~~x"})], id="bare signature"),
    pytest.param([{"redacted": "s"}], [("reasoningContentEvent", {"redactedContent": base64.b64encode(b"s").decode()})],
                 id="redacted"),
    pytest.param([{"tool": "read", "id": "t1", "input": {"a": "é"}, "pieces": 4}],
                 [call(), call(input='{"a"'), call(input=': "é'), call(input='"}'), call(stop=True)], id="tool"),
    pytest.param([{"tool": "read", "id": "t1"}], [call(), call(input="{}"), call(stop=True)], id="tool without arguments"),
    pytest.param([{"tool": "read", "id": "t1", "input": ""}], [call(), call(stop=True)], id="tool without any input"),
    pytest.param([{"tool": "read", "id": "t1", "input": '{"a', "finished": False}], [call(), call(input='{"a')], id="stump"),
    pytest.param([{"tool": "read", "id": "t1", "input": {"a": 1}, "whole": True}], [call(input={"a": 1}), call(stop=True)],
                 id="the old form"),
    pytest.param([{"raw": {"type": "codeEvent", "payload": {"content": "x"}}}], [("codeEvent", {"content": "x"})], id="raw"),
    pytest.param([{"exception": {"type": "ThrottlingException", "message": "slow"}}],
                 [("ThrottlingException", {"message": "slow"})], id="exception"),
    pytest.param([{"error": {"code": "Bad", "message": "no"}}], [("Bad", None)], id="error"),
    pytest.param([{"thinking": "Hm", "sealed": False, "text": "So."}], [("reasoningContentEvent", {"text": "Hm"}), text("So.")],
                 id="two in one step"),
]


@pytest.mark.parametrize(("steps", "expected"), STEPS)
def test_steps(twin, steps, expected):
    found = played(twin, steps)
    assert found[:-3] == expected
    assert [kind for kind, _ in found[-3:]] == TAIL


@pytest.mark.parametrize(("steps", "expected"), [
    pytest.param([{"text": "a"}], {"stopReason": "END_TURN"}, id="text"),
    pytest.param([{"tool": "read"}], {"stopReason": "TOOL_USE"}, id="tool"),
    pytest.param([{"text": "a", "stop": "MAX_TOKENS"}], {"stopReason": "MAX_TOKENS"}, id="stop"),
    pytest.param([{"stop": None}, {"usage": {"outputTokens": 1}}], {"tokenUsage": {"outputTokens": 1}}, id="usage alone"),
])
def test_metadata(twin, steps, expected):
    assert played(twin, steps)[-3] == ("metadataEvent", expected)


@pytest.mark.parametrize(("steps", "kinds"), [
    pytest.param([{"text": "a"}, {"stop": None}], TAIL[1:], id="no metadata"),
    pytest.param([{"text": "a"}, {"context": None}], [TAIL[0], TAIL[2]], id="no context"),
    pytest.param([{"text": "a"}, {"credits": None}], TAIL[:2], id="no credits"),
    pytest.param([{"text": "a"}, {"end": False}], [], id="no end"),
])
def test_tails(twin, steps, kinds):
    assert [kind for kind, _ in played(twin, steps)] == ["assistantResponseEvent", *kinds]


def test_told_figures(twin):
    found = dict(played(twin, [{"text": "a"}, {"credits": 0.25, "context": 99.5}]))
    assert found["contextUsageEvent"] == {"contextUsagePercentage": 99.5}
    assert found["meteringEvent"] == {"unit": "credit", "unitPlural": "credits", "usage": 0.25}


def test_computed_figures(twin):
    """Four characters a token: 4,000 read and 400 written of a window of 200,000 at rate 1.3."""
    body = p.payload(p.user("a" * 16_000, modelId="claude-sonnet-4.5"))
    before = twin.account.used
    found = dict(played(twin, [{"text": "b" * 1600}], body))
    assert found["contextUsageEvent"] == {"contextUsagePercentage": 2.2}
    assert found["meteringEvent"]["usage"] == round(1.3 * (1.6584e-5 * 4000 + 6.66 * 1.6584e-5 * 400), 6)
    assert twin.account.used == pytest.approx(before + found["meteringEvent"]["usage"])


def test_token_usage_and_no_metadata_are_options(twin):
    twin.options.change({"token_usage": True})
    usage = dict(played(twin, [{"text": "b" * 40}], p.payload(p.user("a" * 40))))["metadataEvent"]["tokenUsage"]
    twin.options.change({"token_usage": False, "metadata": False})
    kinds = [kind for kind, _ in played(twin, [{"text": "b"}])]
    twin.options.change({"metadata": True})
    assert usage == {"uncachedInputTokens": 10, "outputTokens": 10, "totalTokens": 20, "cacheReadInputTokens": 0,
                     "cacheWriteInputTokens": 0}  # fmt: skip
    assert kinds == ["assistantResponseEvent", *TAIL[1:]]


def test_auto_says_which_model_answered(twin):
    [(_, data), *_] = played(twin, [{"text": "a"}], p.payload(p.user(modelId="auto")))
    assert data["modelId"] == "claude-sonnet-4.6"


def test_a_sealed_thought_may_be_sent_back_and_no_other(twin):
    body = p.payload()
    seals = [data for kind, data in played(twin, [{"thinking": "Hm"}, {"text": "a"}], body) if "signature" in data]
    block = {"reasoningText": {"text": "Hm", **seals[0]}}
    history = [p.user(), p.assistant("a", reasoningContent=block)]
    assert p.ask(twin, p.payload(history=history)).status_code == 200
    block["reasoningText"]["text"] = "Hm?"
    assert p.ask(twin, p.payload(history=history)).json()["reason"] == "THINKING_SIGNATURE_INVALID"


def test_delays_keep_the_bytes(twin):
    found = played(twin, [{"delay": 0.01}, {"text": "a b", "delay": 0.01, "pace": 0.01}])
    assert found[:2] == [text("a "), text("b")]
    assert json.dumps(found[2:])
