"""What holds for every answer: the packages of OpenAI and Anthropic read our bytes, over a socket, and find in the stream
what stands in the whole."""

import json

import anthropic
import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kirogw.answer import CallDelta, CallStart, Citation, SearchCall, SearchResult, Stop, TextDelta, Usage, collect
from kirogw.convert import FACES
from kirogw.errors import BrokenAnswer
from tests.dialects.answers import ANSWERS, HEADING, answers
from tests.dialects.stage import (
    OPTIONS,
    SEALS,
    by_anthropic,
    by_completions,
    by_openai,
    by_responses,
    plain,
    sse,
    staged,
    tidy,
)
from tests.dialects.test_golden import CASES, HELLO, ask, streamed

QUICK = settings(max_examples=80, deadline=None)


@pytest.fixture(scope="module")
def stage():
    with staged() as stage:
        yield stage


@pytest.mark.parametrize("name", ANSWERS)
def test_openai_reads_the_set_of_responses(stage, name):
    by_responses(stage, ANSWERS[name])
    by_responses(stage, ANSWERS[name], {})


@pytest.mark.parametrize("case", [case for case in CASES if case[0] == "responses"], ids=lambda case: case[1])
def test_openai_reads_special_tools(stage, case):
    by_responses(stage, case[3], case[2])


@QUICK
@given(answers())
def test_openai_reads_any_response(stage, events):
    by_responses(stage, events)


def words(part):
    return part["refusal"] if part["type"] == "refusal" else part["text"]


@QUICK
@given(answers())
def test_items_begin_and_end_in_order(events):
    """Numbers without a gap; one place an item, from its beginning to its end; and in the end all that was said."""
    bodies = list(sse(streamed("responses", ask("responses", SEALS), events)))
    assert [body["sequence_number"] for body in bodies] == list(range(len(bodies)))
    assert [body["type"] for body in bodies[:2]] == ["response.created", "response.in_progress"]
    added, texts, done = {}, {}, {}
    for body in bodies[2:-1]:
        kind, place = body["type"], body["output_index"]
        if kind == "response.output_item.added":
            assert place == len(added)
            added[place] = body["item"]
        elif kind == "response.output_item.done":
            done[place] = body["item"]
        else:
            assert body["item_id"] == added[place]["id"]
            assert place not in done
            if kind.endswith(".delta"):
                texts[place] = texts.get(place, "") + body["delta"]
    output = bodies[-1]["response"]["output"]
    cut = {place for place, item in enumerate(output) if item["type"] == "function_call" and item["status"] == "incomplete"}
    assert set(done) == set(added) - cut
    assert [item for item in output if output.index(item) not in cut] == [done[place] for place in sorted(done)]
    for place, item in done.items():
        assert (item["type"], item["id"]) == (added[place]["type"], added[place]["id"])
        said = item.get("arguments") or "".join(map(words, item.get("content") or item.get("summary") or ()))
        assert texts.get(place, "{}" if item["type"] == "function_call" else "") == said


def test_nobody_runs_half_a_call():
    """Codex runs a call as soon as its item is done, whatever its status is. So one that broke off never is."""
    asked = ask("responses", {"tools": [{"type": "custom", "name": "exec"}], "max_output_tokens": 9})
    events = [TextDelta(0, "I do."), CallStart(1, "c1", "exec"), CallDelta(1, '{"input": "rm -r x'), CallStart(2, "c2", "read"),
              CallDelta(2, "{}"), CallStart(3, "c3", "read"), CallDelta(3, '{"path": '), Usage(1, 2),
              Stop("max_tokens")]  # fmt: skip
    bodies = list(sse(streamed("responses", asked, events)))
    assert [body["item"].get("call_id") for body in bodies if body["type"] == "response.output_item.done"] == [None, "c2"]
    assert not [body for body in bodies if body["type"].endswith("input.done")]
    assert [(item["type"], item["status"], item.get("input") or item.get("arguments")) for item in bodies[-1]["response"]["output"]] == [
        ("message", "completed", None), ("custom_tool_call", "incomplete", "rm -r x"), ("function_call", "completed", "{}"),
        ("function_call", "incomplete", '{"path": ')]  # fmt: skip
    assert bodies[-1]["type"] == "response.incomplete"
    assert bodies[-1]["response"] == FACES["responses"].whole(collect(events), HEADING, asked)


def test_a_call_that_breaks_off_by_itself_is_a_failure():
    """The client set no limit, and may ask again; what was said and used is told."""
    asked = ask("responses", {})
    bodies = list(sse(streamed("responses", asked, ANSWERS["call_cut_off"])))
    last = bodies[-1]["response"]
    assert (bodies[-1]["type"], last["status"], last["error"]["code"], last["incomplete_details"]) == (
        "response.failed", "failed", "server_error", None)
    assert (last["usage"]["output_tokens"], [item["status"] for item in last["output"]]) == (2, ["completed", "incomplete"])
    assert last == FACES["responses"].whole(collect(ANSWERS["call_cut_off"]), HEADING, asked)


@QUICK
@given(answers())
def test_openai_reads_any_completion(stage, events):
    collected, whole = by_completions(stage, events)
    assert collected == (whole.choices[0].text, whole.choices[0].finish_reason, whole.usage)


@pytest.mark.parametrize("name", ANSWERS)
def test_openai_reads_the_set(stage, name):
    collected, whole = by_openai(stage, ANSWERS[name])
    assert collected == whole


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "call_cut_off"])
def test_anthropic_reads_the_set(stage, name):
    collected, whole = by_anthropic(stage, ANSWERS[name])
    assert collected == whole


CITED = [
    TextDelta(0, "It is so."), Citation(0, "https://example.com/a", "A", 0, 5), SearchCall(1, "s1", "b"),
    SearchResult(2, "s1", [{"title": "B", "url": "https://example.com/b"}]), Stop("end"), Usage(1, 1),
]  # fmt: skip


@QUICK
@given(answers())
@example(CITED)
def test_openai_reads_any_answer(stage, events):
    collected, whole = by_openai(stage, events)
    assert collected == whole


@QUICK
@given(answers())
def test_anthropic_reads_any_answer(stage, events):
    collected, whole = by_anthropic(stage, events)
    assert collected == whole


def test_a_call_cut_off_goes_out_as_it_is(stage):
    """In a stream as the fragments; in the whole under the mark that Claude Code itself uses for it."""
    events = ANSWERS["call_cut_off"]
    raw = '{"path": "a", "content": "half'
    stage.data, stage.kind = streamed("messages", ask("messages", {}), events), "text/event-stream"
    with stage.anthropic.messages.stream(model="m", max_tokens=9, messages=HELLO["messages"]) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        assert ("".join(pieces), stream.get_final_message().stop_reason) == (raw, "max_tokens")
    whole = FACES["messages"].whole(collect(events), HEADING, ask("messages", {}))
    assert whole["content"][1]["input"] == {"__unparsedToolInput": {"raw": raw, "len": len(raw)}}
    chat = FACES["chat"].whole(collect(events), HEADING, ask("chat", {}))
    assert chat["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == raw


@QUICK
@given(answers(), st.data())
@pytest.mark.parametrize("face", FACES)
def test_how_events_are_batched_changes_no_byte(face, events, data):
    asked = ask(face, OPTIONS)
    writer, sent = FACES[face].writer(HEADING, asked), 0
    out = writer.begin()
    while sent < len(events):
        size = data.draw(st.integers(1, len(events) - sent))
        out += writer.write(events[sent:sent + size])
        sent += size
    assert out + writer.end() == streamed(face, asked, events)


def blocks_of(data):
    """The events of a Messages stream as (type, index) and checks that each is one line of JSON."""
    for event in data.decode().split("\n\n")[:-1]:
        first, second = event.split("\n")
        assert first.startswith("event: ")
        body = json.loads(second.removeprefix("data: "))
        assert body["type"] == first.removeprefix("event: ")
        yield body["type"], body.get("index")


@QUICK
@given(answers())
def test_blocks_begin_and_end_in_order(events):
    begun, open_, order = 0, set(), []
    for kind, index in blocks_of(streamed("messages", ask("messages", {}), events)):
        order.append(kind)
        if kind == "content_block_start":
            assert index == begun
            begun += 1
            open_.add(index)
        elif kind == "content_block_delta":
            assert index in open_
        elif kind == "content_block_stop":
            open_.remove(index)
    assert not open_
    assert order[0] == "message_start"
    assert order[-2:] == ["message_delta", "message_stop"]


@QUICK
@given(answers(), st.integers(0, 20))
@pytest.mark.parametrize("face", FACES)
def test_a_failure_never_looks_like_an_end(face, events, after):
    writer = FACES[face].writer(HEADING, ask(face, OPTIONS))
    data = writer.begin() + writer.write(events[:after]) + writer.beat() + writer.fail(BrokenAnswer("It broke off."))
    for mark in (b"message_stop", b"message_delta", b"[DONE]", b'"finish_reason":"', b'"usage":{"prompt', b"response.completed"):
        assert mark not in data
    if face == "responses":
        assert data.endswith(b"}\n\n")
        assert list(sse(data))[-1]["response"]["error"] == {"code": "server_error", "message": "It broke off."}
        return
    assert data.endswith(b'It broke off."}}\n\n') if face == "messages" else b'"message":"It broke off."' in data


@pytest.mark.parametrize("face", FACES)
def test_the_packages_raise_on_a_failure(stage, face):
    writer = FACES[face].writer(HEADING, ask(face, OPTIONS))
    stage.data = writer.begin() + writer.write([TextDelta(0, "Hel")]) + writer.fail(BrokenAnswer("It broke off."))
    stage.kind = "text/event-stream"
    if face == "chat":
        with pytest.raises(openai.APIError, match="It broke off"):
            list(stage.openai.chat.completions.create(model="m", messages=HELLO["messages"], stream=True))
    elif face == "completions":
        with pytest.raises(openai.APIError, match="It broke off"):
            list(stage.loose.completions.create(model="m", prompt="Hi", stream=True))
    elif face == "responses":  # there it is an event like others, and no response is complete
        assert list(stage.openai.responses.create(model="m", input="Hi", stream=True))[-1].response.error.message == "It broke off."
        with stage.openai.responses.stream(model="m", input="Hi") as stream, pytest.raises(RuntimeError, match="receive a `response"):
            stream.get_final_response()
    else:
        with pytest.raises(anthropic.APIStatusError, match="It broke off"):
            list(stage.anthropic.messages.create(model="m", max_tokens=9, messages=HELLO["messages"], stream=True))


@pytest.mark.parametrize("face", FACES)
def test_no_end_without_a_reason(face):
    """A stream that just stops is no answer, whoever says that it is over."""
    writer = FACES[face].writer(HEADING, ask(face, OPTIONS))
    writer.begin()
    writer.write([TextDelta(0, "Hel")])
    data = writer.end()
    assert b'"error"' in data
    assert b"[DONE]" not in data
    assert b"message_stop" not in data


@pytest.mark.parametrize("face", FACES)
def test_a_beat_changes_nothing(stage, face):
    """It may come anywhere, and the packages find the same answer."""
    writer = FACES[face].writer(HEADING, ask(face, OPTIONS))
    stage.data = writer.begin() + writer.beat()
    for event in ANSWERS["calls"]:
        stage.data += writer.write([event]) + writer.beat()
    stage.data += writer.end()
    stage.kind = "text/event-stream"
    if face == "chat":
        with stage.openai.chat.completions.stream(model="m", messages=HELLO["messages"]) as stream:
            assert tidy(stream.get_final_completion()) == by_openai(stage, ANSWERS["calls"])[1]
    elif face == "completions":
        chunks = stage.loose.completions.create(model="m", prompt="Hi", stream=True)
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "I look."
    elif face == "responses":
        with stage.loose.responses.stream(model="m", input="Hi") as stream:
            assert plain(stream.get_final_response())["output"] == by_responses(stage, ANSWERS["calls"])["output"]
    else:
        with stage.anthropic.messages.stream(model="m", max_tokens=9, messages=HELLO["messages"]) as stream:
            found = stream.get_final_message().model_dump(exclude_none=True)
        assert found == by_anthropic(stage, ANSWERS["calls"])[1]


STRANGE = [
    SearchCall(0, "s1", "a\u2028b half \ud83d"), SearchResult(1, "s1", [{"title": "a\u2028b\u2029c\x85d", "url": "u"}]),
    CallStart(2, "c1", "of\u2028two"), CallDelta(2, "{}"), CallStart(3, "c2", "half \ud83d"), CallDelta(3, "{}"),
    Stop("refusal", detail="No.\u2028No."), Usage(1, 1),
]  # fmt: skip


@pytest.mark.parametrize("events", [ANSWERS["letters"], STRANGE], ids=["in the text", "elsewhere"])
def test_lines_are_whole_for_readers_that_cut_at_any_line_end(events):
    """httpx's line reader, which litellm uses, cuts where str.splitlines does."""
    for face in FACES:
        data = streamed(face, ask(face, {}), events).decode()
        for line in data.splitlines():
            assert line == "" or line.startswith(("event: ", "data: [DONE]")) or json.loads(line.removeprefix("data: "))


def test_calls_that_interleave_stay_apart(stage):
    collected, _ = by_anthropic(stage, ANSWERS["calls_interleaved"])
    assert [block.get("input") for block in collected["content"]] == [{"x": 1}, {"y": 2}, None]
    chat, _ = by_openai(stage, ANSWERS["calls_interleaved"])
    assert [call["function"]["arguments"] for call in chat["choices"][0]["message"]["tool_calls"]] == ['{"x":1}', '{"y":2}']


def test_legacy_functions(stage):
    """One call only, in the form that the client knows."""
    asked = ask("chat", {"functions": [{"name": "read"}, {"name": "write"}]})
    events = [CallStart(0, "c1", "read"), CallDelta(0, '{"a":1}'), CallStart(1, "c2", "write"), CallDelta(1, "{}"), Stop("calls")]
    stage.data, stage.kind = streamed("chat", asked, events), "text/event-stream"
    with stage.openai.chat.completions.stream(model="m", messages=HELLO["messages"]) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "function_call"
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == ("read", '{"a":1}')
