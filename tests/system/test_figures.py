"""Tokens and names through a real gateway: where the figures of an answer come from, what count_tokens is worth, which
model a name means.
"""

from pathlib import Path

import pytest

from kirogw.twin.kiro.ask import Ask
from tests.system.raw import eventually
from tests.system.running import TOP
from tests.system.said import FORMS, IDS, current, payloads, results, say, tool, user
from tests.system.talk import MODEL

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
PROSE = Path(TOP, "docs/architecture.md").read_text()
CODE = Path(TOP, "kirogw/fetch.py").read_text()
GIVEN = {"uncachedInputTokens": 100, "cacheReadInputTokens": 900, "cacheWriteInputTokens": 50, "outputTokens": 7, "totalTokens": 1057}


def figures(gateway, answer):
    """Where the log says that the figures of an answer come from. Its line is written behind its last byte."""
    name = answer.headers["request-id"]
    (line,) = eventually(lambda: [line for line in gateway.lines() if line.get("request") == name])
    return line["figures"]


def counted(gateway, **body):
    kept = {name: value for name, value in body.items() if name not in ("stream", "max_tokens")}
    return gateway.post("/v1/messages/count_tokens", {"model": MODEL, **kept}).json()["input_tokens"]


def of(usage):
    """(all input, output), in either API's words."""
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["completion_tokens"]
    read = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    return read, usage["output_tokens"]


# Where they come from


@EACH
def test_measured(twin, gateway, face, stream):
    """Kiro's own figures, where it tells any."""
    twin.script([[{"text": "Well, that is that."}, {"usage": GIVEN}, {"credits": 0.25}]])
    answer = say(gateway, face, stream, "Go.")
    assert of(answer.usage) == (1050, 7)
    if face == "messages":
        assert [answer.usage[f"{kind}_input_tokens"] for kind in ("cache_read", "cache_creation")] == [900, 50]
        assert answer.usage["input_tokens"] == 100
    else:
        assert answer.usage["total_tokens"] == 1057
        assert answer.usage["prompt_tokens_details"] == {"cached_tokens": 900, "cache_write_tokens": 50}
    assert figures(gateway, answer) == "measured"


@EACH
def test_derived(twin, gateway, face, stream):
    """From the share of the window that is taken, less the answer."""
    twin.script([[{"text": "Well, that is that. " * 50}]])
    answer = say(gateway, face, stream, PROSE)
    seen = twin.seen()[0]
    read, wrote = of(answer.usage)
    told = Ask(seen.payload, seen.body).tokens + len("Well, that is that. " * 50) // 4  # what the twin made the share of
    assert abs(read + wrote - told) <= 2
    assert wrote == pytest.approx(300, rel=0.1)
    assert figures(gateway, answer) == "derived"


@EACH
def test_estimated(twin, gateway, face, stream):
    """Where Kiro says nothing, our own."""
    twin.script([[{"text": "one two three"}, {"context": None}]])
    answer = say(gateway, face, stream, "Go on, tell me.")
    assert of(answer.usage) == (counted(gateway, messages=[user("Go on, tell me.")]), 3)
    assert figures(gateway, answer) == "estimated"


@EACH
def test_a_full_window_is_no_clean_end(twin, gateway, face, stream):
    twin.script([[{"text": "Well."}, {"context": 100.0}]])
    answer = say(gateway, face, stream, "Go.")
    assert answer.stop == {"messages": "model_context_window_exceeded", "chat": "length"}[face]


@pytest.mark.parametrize("face", ["messages", "chat"])
def test_thinking_is_counted_as_output(twin, gateway, face):
    twin.script([[{"thinking": "one two three four five six"}, {"text": "seven"}, {"context": None}]])
    answer = say(gateway, face, True, "Go.", **({"thinking": {"type": "adaptive"}} if face == "messages" else {"reasoning_effort": "low"}))
    assert of(answer.usage)[1] == 7
    details = answer.usage["output_tokens_details" if face == "messages" else "completion_tokens_details"]
    assert details["thinking_tokens" if face == "messages" else "reasoning_tokens"] == 6


def test_chat_streams_tell_the_usage_only_where_it_was_asked_for(twin, gateway):
    assert say(gateway, "chat", True, "Go.").usage["prompt_tokens"] > 0
    assert say(gateway, "chat", True, "Go.", stream_options={}).usage == {}


# What count_tokens is worth


MODELS = ["claude-opus-5", "gpt-5.6-sol", "deepseek-3.2"]  # each of another family: what is learned stays within it


@pytest.mark.parametrize("model", MODELS)
def test_count_tokens_is_near_to_what_is_told_then(twin, gateway, model):
    """At first by our own vocabulary; after one answer, by what the service told of this model."""
    twin.script([{"steps": [{"text": "I see."}], "repeat": True}])
    messages, errors = [user(PROSE)], []
    for text in (CODE, "Shorter, please.", PROSE[:4000], CODE[:4000]):
        before = counted(gateway, model=model, messages=messages, system="Be brief.", tools=[tool("messages", "read")])
        answer = say(gateway, "messages", True, model=model, messages=messages, system="Be brief.", tools=[tool("messages", "read")])
        errors.append(before / of(answer.usage)[0] - 1)
        messages += [answer.back, user(text)]
    assert abs(errors[0]) < 0.25, errors
    assert max(map(abs, errors[1:])) < 0.1, errors


def test_the_first_figure_of_a_stream_is_that_of_count_tokens(twin, gateway):
    messages = [user(PROSE), {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}}]},
                *results("messages", ("t1", CODE[:2000]))]  # fmt: skip
    more = {"messages": messages, "tools": [tool("messages", "read")], "system": "Be brief."}
    before = counted(gateway, **more)
    reply = gateway.post("/v1/messages", {"model": MODEL, "max_tokens": 100, "stream": True, **more})
    assert f'"input_tokens":{before},'.encode() in reply.content.partition(b"\n\n")[0]


# Which model a name means


NAMES = [
    # the client's name, Kiro's
    ("claude-sonnet-4.6", "claude-sonnet-4.6"), ("claude-sonnet-4-6", "claude-sonnet-4.6"),
    ("claude-sonnet-4-6[1m]", "claude-sonnet-4.6"), ("claude-opus-5-1m", "claude-opus-5"), ("Claude-Opus-5", "claude-opus-5"),
    ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5"), ("claude-haiku-4-5@20251001", "claude-haiku-4.5"),
    ("claude-opus-4-5-latest", "claude-opus-4.5"), ("anthropic/claude-sonnet-5", "claude-sonnet-5"),
    ("claude-3-7-sonnet-20250219", "claude-3.7-sonnet"), ("claude-opus-5-thinking", "claude-opus-5"),
    ("claude-sonnet-4-6-thinking[1m]", "claude-sonnet-4.6"), ("gpt-5.6-luna", "gpt-5.6-luna"), ("auto-kiro", "auto"),
    ("CLAUDE_SONNET_4_5_20250929_V1_0", "CLAUDE_SONNET_4_5_20250929_V1_0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "model"), NAMES)
@EACH
def test_names(twin, gateway, face, stream, name, model):
    answer = say(gateway, face, stream, "Go.", model=name)
    assert (answer.status, answer.body["model"]) == (200, name)
    (sent,) = payloads(twin)
    assert current(sent)["modelId"] == model
    wants = "-thinking" in name
    assert ("additionalModelRequestFields" in sent) == wants


def test_every_model_that_is_listed_serves(twin, gateway):
    names = [model["id"] for model in gateway.get("/v1/models").json()["data"]]
    assert {"claude-sonnet-4.6", "claude-sonnet-4-6", "claude-sonnet-4-6[1m]", "gpt-5.6-sol", "auto"} <= set(names)
    for n, name in enumerate(names):
        assert say(gateway, *FORMS[n % len(FORMS)], "Go.", model=name).status == 200


@pytest.mark.refuses("model")
@EACH
def test_a_model_that_nobody_knows(twin, gateway, face, stream):
    name = f"claude-nonsense-{face}-{stream}".lower()
    for _ in range(2):
        answer = say(gateway, face, stream, "Go.", model=name)
        assert answer.status == 404
        assert name in answer.error["message"]
        assert (answer.error["type"], answer.error.get("code")) == {
            "messages": ("not_found_error", None), "chat": ("invalid_request_error", "model_not_found"),
        }[face]  # fmt: skip
    assert {current(payload)["modelId"] for payload in payloads(twin)} == {name}
    assert say(gateway, face, stream, "Go.").status == 200  # the account lacks that model only
    twin.service.journal.refusals.clear()
