from __future__ import annotations

import gc
import json
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.answer import (
    CallDelta,
    CallStart,
    HiddenThought,
    Stop,
    TextDelta,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
    collect,
)
from kirogw.dialects.kiro.answer import Reader
from kirogw.dialects.provider import Model, Refused
from tests.dialects.talk import heard, refusal
from tests.frames import error, event, exception, frame, strings

CLAUDE = Model("claude-sonnet-4.6", window=200_000)
GPT = Model("gpt-5.6-sol", window=272_000)


def new(model=CLAUDE, **more):
    return Reader(model, **{"names": {}, "count": len, "estimate": 50, **more})


def text(content, **more):
    return event("assistantResponseEvent", {"content": content, **more})


def thought(**fields):
    return event("reasoningContentEvent", fields)


def tool(id_=None, name=None, **fields):
    return event("toolUseEvent", {**({"toolUseId": id_} if id_ else {}), **({"name": name} if name else {}), **fields})


def metadata(reason="END_TURN", **fields):
    return event("metadataEvent", {"stopReason": reason, **fields})


CONTEXT = event("contextUsageEvent", {"contextUsagePercentage": 0.5})
METER = event("meteringEvent", {"unit": "credit", "unitPlural": "credits", "usage": 0.25})
TAIL = [metadata(), CONTEXT, METER]


def read(frames, reader=None, step=None):
    return heard(reader or new(), frames, step)


def refused(frames, reader=None):
    return refusal(reader or new(), frames)


def without_usage(events):
    return [e for e in events if not isinstance(e, Usage)]


END = Stop("end")
ROWS = [
    # frames, events without usage
    pytest.param([event("messageMetadataEvent", {"conversationId": "c"}), text("Hel"), text("lo"), *TAIL],
                 [TextDelta(0, "Hel"), TextDelta(0, "lo"), END], id="text"),
    pytest.param([text("ha "), text("ha "), text(""), event("assistantResponseEvent", {}), text("ha"), *TAIL],
                 [TextDelta(0, "ha "), TextDelta(0, "ha "), TextDelta(0, "ha"), END], id="equal text is no double"),
    pytest.param([text("\n\nHi"), text("\n"), *TAIL], [TextDelta(0, "\n\nHi"), TextDelta(0, "\n"), END],
                 id="line breaks without thinking stay"),
    pytest.param([text("a"), event("codeEvent", {"content": "b"}), *TAIL], [TextDelta(0, "a"), TextDelta(0, "b"), END],
                 id="code is text"),
    pytest.param([text("a"), event("followupPromptEvent", {"followupPrompt": {"content": "more?"}}),
                  event("citationEvent", {"citationText": "x"}), event("codeReferenceEvent", {"content": "no"}),
                  event("initial-response", b""), frame(), *TAIL], [TextDelta(0, "a"), END], id="what is no text"),
    pytest.param([thought(text="Let "), thought(text="me"), thought(signature="AB"), thought(signature="C="),
                  text("\n"), text("\n\nHi\n"), text("\n!"), *TAIL],
                 [ThoughtDelta(0, "Let "), ThoughtDelta(0, "me"), ThoughtSeal(0, "kgw1:s:claude-sonnet-4.6:ABC="),
                  TextDelta(1, "Hi\n"), TextDelta(1, "\n!"), END], id="thinking with a seal in pieces"),
    pytest.param([thought(text="..."), thought(text="x", signature="S"), *TAIL],
                 [ThoughtDelta(0, "..."), ThoughtDelta(0, "x"), ThoughtSeal(0, "kgw1:s:claude-sonnet-4.6:S"), END],
                 id="three dots of Claude's are thinking"),
    pytest.param([thought(signature="S"), text("Hi"), *TAIL],
                 [ThoughtSeal(0, "kgw1:s:claude-sonnet-4.6:S"), TextDelta(1, "Hi"), END], id="a seal without text"),
    pytest.param([text("a"), thought(signature="S"), text("b"), *TAIL],
                 [TextDelta(0, "a"), ThoughtSeal(1, "kgw1:s:claude-sonnet-4.6:S"), TextDelta(2, "b"), END],
                 id="a seal between texts"),
    pytest.param([thought(text="a", signature="S"), thought(text="b", signature="T"), text("Hi"), *TAIL],
                 [ThoughtDelta(0, "a"), ThoughtSeal(0, "kgw1:s:claude-sonnet-4.6:S"), ThoughtDelta(1, "b"),
                  ThoughtSeal(1, "kgw1:s:claude-sonnet-4.6:T"), TextDelta(2, "Hi"), END], id="two thoughts"),
    pytest.param([thought(redactedContent="QUJD"), text("Hi"), *TAIL],
                 [HiddenThought(0, "kgw1:r:claude-sonnet-4.6:QUJD"), TextDelta(1, "Hi"), END], id="redacted"),
    pytest.param([text("a"), thought(text="b"), text("\nc"), *TAIL],
                 [TextDelta(0, "a"), ThoughtDelta(1, "b"), TextDelta(2, "\nc"), END], id="thinking between texts"),
    pytest.param([text("a"), tool("t1", "f", input=""), tool("t1", "f", input='{"x"'), tool("t1", "f", input=":1}"),
                  tool("t1", "f", stop=True), text("b"), *TAIL],
                 [TextDelta(0, "a"), CallStart(1, "t1", "f"), CallDelta(1, '{"x"'), CallDelta(1, ":1}"),
                  TextDelta(2, "b"), Stop("calls")], id="a call, END_TURN all the same"),
    pytest.param([tool("t1", "f"), tool("t1", "f", stop=True), *TAIL], [CallStart(0, "t1", "f"), Stop("calls")],
                 id="a call without arguments"),
    pytest.param([tool("t1", "f", input=" \n"), tool("t1", "f", input={}, stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), Stop("calls")], id="arguments of nothing"),
    pytest.param([tool("t1", "f", input={"x": [1, "é"]}), tool("t1", "f", input={"x": [1, "é"]}, stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, '{"x":[1,"é"]}'), Stop("calls")], id="arguments as an object"),
    pytest.param([tool("t1", "f", input='{"x"'), tool(input=":1"), tool(name="f", input="}"), tool(stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, '{"x"'), CallDelta(0, ":1"), CallDelta(0, "}"), Stop("calls")],
                 id="fragments without the id"),
    pytest.param([tool(name="f", input='{"x"'), tool(input=":1"), tool("t1", input="}"), tool("t1", stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, '{"x":1}'), Stop("calls")], id="the id comes late"),
    pytest.param([tool("t1", input="{"), tool("t1", "f", input="}", stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, "{}"), Stop("calls")], id="the name comes late"),
    pytest.param([tool("t1", "f", input="{"), tool("t2", "g", input="{"), tool("t1", input="}"),
                  tool("t2", stop=None), tool("t1", stop=True), tool(input="}"), tool(stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, "{"), CallStart(1, "t2", "g"), CallDelta(1, "{"),
                  CallDelta(0, "}"), CallDelta(1, "}"), Stop("calls")], id="interleaved"),
    pytest.param([tool("t1", "f", input="{}"), tool("t1", stop=True), tool("t1", "f", input="{}", stop=True),
                  tool(stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, "{}"), Stop("calls")], id="a call once more"),
    pytest.param([tool("t1", "f", stop=True), tool("t2", "g", input="{"), tool("t1", "f", stop=True), tool(input="}"),
                  tool(stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallStart(1, "t2", "g"), CallDelta(1, "{"), CallDelta(1, "}"),
                  Stop("calls")], id="a call once more, inside another"),
    pytest.param([tool("t1", "f", input='{"a":NaN,"b":"\\ud800"}'), tool("t1", stop=True), *TAIL],
                 [CallStart(0, "t1", "f"), CallDelta(0, '{"a":NaN,"b":"\\ud800"}'), Stop("calls")],
                 id="JSON that only some read"),
    pytest.param([thought(text="a"), thought(signature="S"), tool("t1", "f", stop=True), *TAIL],
                 [ThoughtDelta(0, "a"), ThoughtSeal(0, "kgw1:s:claude-sonnet-4.6:S"), CallStart(1, "t1", "f"),
                  Stop("calls")], id="thinking, then a call"),
    pytest.param([thought(text="only"), *TAIL], [ThoughtDelta(0, "only"), END], id="nothing but thinking"),
    pytest.param([metadata()], [END], id="nothing, but a reason"),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "events"), ROWS)
@pytest.mark.parametrize("step", [None, 1, 100_000], ids=["frames", "bytes", "at once"])
def test_frames_become_events(frames, events, step):
    assert without_usage(read(frames, step=step)) == events


GPT_ROWS = [
    pytest.param([text("Hi"), tool("t1", "f", stop=True), thought(text="..."), thought(signature=".KTR~~x:y"), *TAIL],
                 [TextDelta(0, "Hi"), CallStart(1, "t1", "f"), HiddenThought(2, "kgw1:s:gpt-5.6-sol:.KTR~~x:y"),
                  Stop("calls")], id="signature after the calls"),
    pytest.param([text("Hi"), thought(redactedContent="QUJD"), *TAIL],
                 [TextDelta(0, "Hi"), HiddenThought(1, "kgw1:r:gpt-5.6-sol:QUJD"), END], id="redacted at the end"),
    pytest.param([thought(text="Really"), thought(signature="S"), text("\nHi"), *TAIL],
                 [ThoughtDelta(0, "Really"), ThoughtSeal(0, "kgw1:s:gpt-5.6-sol:S"), TextDelta(1, "Hi"), END],
                 id="a summary"),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "events"), GPT_ROWS)
def test_what_gpt_hides_is_sealed(frames, events):
    assert without_usage(read(frames, new(GPT))) == events


def test_names_go_back_and_auto_tells_its_choice():
    reader = new(Model("auto"), names={"short_1": "a.very/long name"})
    got = read([text("a", modelId="claude-haiku-4.5"), tool("t", "short_1", stop=True), tool("u", "g", stop=True),
                thought(signature="S"), *TAIL], reader)  # fmt: skip
    assert without_usage(got) == [
        TextDelta(0, "a"), CallStart(1, "t", "a.very/long name"), CallStart(2, "u", "g"),
        ThoughtSeal(3, "kgw1:s:auto:S"), Stop("calls"),
    ]  # fmt: skip
    assert reader.model_id == "claude-haiku-4.5"
    assert new().model_id == "claude-sonnet-4.6"


def test_unknown_events_are_passed_over():
    got = read([event("brandNewEvent", b"no JSON"), event("brandNewEvent", {}), event("metricsEvent", {}), text("a"), *TAIL])
    assert without_usage(got) == [TextDelta(0, "a"), END]


TAGGED = [text("<thin"), text("king>\nplan</thi"), text("nking>"), text("\n"), text("\nHi"), text("\n!"), *TAIL]
HANDLINGS = [
    ("as_reasoning_content", [("thought", "plan"), ("text", "Hi\n!")]),
    ("remove", [("text", "Hi\n!")]),
    ("strip_tags", [("text", "plan\n\nHi\n!")]),
    ("pass", [("text", "<thinking>\nplan</thinking>\n\nHi\n!")]),
]


@pytest.mark.parametrize(("handling", "blocks"), HANDLINGS)
@pytest.mark.parametrize("step", [None, 1, 100_000])
def test_emulated_thinking(handling, blocks, step):
    answer = collect(read(TAGGED, new(thinking_tags=True, handling=handling), step))
    assert [(block.kind, block.text) for block in answer.blocks] == blocks
    assert answer.usage.thinking == (4 if handling in ("as_reasoning_content", "remove") else 0)


def test_tags_that_nobody_asked_for_are_text():
    assert collect(read(TAGGED)).blocks[0].text == "<thinking>\nplan</thinking>\n\nHi\n!"


@pytest.mark.parametrize(("frames", "events"), [
    ([text("<thinking>a"), tool("t", "f", stop=True), text("</thinking>b"), *TAIL],
     [ThoughtDelta(0, "a"), CallStart(1, "t", "f"), TextDelta(2, "</thinking>b"), Stop("calls")]),
    ([text("<thinking>a\n"), *TAIL], [ThoughtDelta(0, "a"), ThoughtDelta(0, "\n"), END]),
    ([text("<thi"), thought(text="own"), text("<thinking>b"), *TAIL],
     [TextDelta(0, "<thi"), ThoughtDelta(1, "own"), TextDelta(2, "<thinking>b"), END]),
], ids=["a call closes it", "never closed", "thinking of its own"])  # fmt: skip
def test_where_emulated_thinking_ends(frames, events):
    assert without_usage(read(frames, new(thinking_tags=True))) == events


STUMP = [tool("t1", "f", input='{"path": "a'), tool("t1", "f", input="b")]
WHOLE = tool("t9", "f", input="{}", stop=True)
STOPS = [
    # frames, learned, stop, cut calls, cut text
    pytest.param([text("a"), metadata("end_turn"), CONTEXT], False, END, [], "", id="lower case"),
    pytest.param([text("a"), metadata("STOP_SEQUENCE")], True, Stop("stop_sequence"), [], "", id="stop sequence"),
    pytest.param([text("a"), text("b"), metadata("MAX_TOKENS")], True, Stop("max_tokens"), [], "ab", id="max tokens"),
    pytest.param([text("a"), metadata("MODEL_CONTEXT_WINDOW_EXCEEDED")], True, Stop("window"), [], "", id="window"),
    pytest.param([text("a"), CONTEXT, event("contextUsageEvent", {"contextUsagePercentage": 100.4})], False,
                 Stop("window"), [], "", id="full window"),
    pytest.param([event("contextUsageEvent", {"contextUsagePercentage": 100})], False, Stop("window"), [], "",
                 id="no room to say anything"),
    pytest.param([text("a"), metadata("CONTENT_FILTERED", stopDetails={"refusal": {"category": "CYBER"}})], True,
                 Stop("refusal", detail="CYBER"), [], "", id="refusal"),
    pytest.param([metadata("CONTENT_FILTERED", stopDetails={"refusal": {"category": "C", "explanation": "No."}})], True,
                 Stop("refusal", detail="No."), [], "", id="refusal, explained"),
    pytest.param([text("a"), event("contextUsageEvent", {"contextUsagePercentage": 100}), metadata("CONTENT_FILTERED")],
                 True, Stop("refusal"), [], "", id="refusal in a full window"),
    pytest.param([text("a"), metadata("PAUSE_TURN")], True, Stop("pause"), [], "", id="pause"),
    pytest.param([text("a"), metadata("UNKNOWN")], True, END, [], "", id="unknown"),
    pytest.param([text("a"), event("metadataEvent", {})], True, END, [], "", id="metadata without a reason"),
    pytest.param([text("a"), metadata("TOOL_USE")], True, Stop("max_tokens"), [], "", id="a call that never came"),
    pytest.param([WHOLE, metadata("MAX_TOKENS")], True, Stop("calls"), [], "", id="a whole call at max tokens"),
    pytest.param([text("a"), CONTEXT], False, END, [], "", id="no metadata, as ever: context"),
    pytest.param([text("a"), METER], False, END, [], "", id="no metadata, as ever: metering"),
    pytest.param([text("a"), CONTEXT, METER], True, Stop("max_tokens"), [], "a", id="no metadata for once"),
    pytest.param([WHOLE, CONTEXT], True, Stop("calls"), [], "", id="no metadata, but a call"),
    pytest.param([*STUMP, tool("t1", "f", stop=True), metadata("TOOL_USE")], True, Stop("max_tokens"), ["t1"], "",
                 id="a stump, ended"),
    pytest.param([*STUMP, metadata("MAX_TOKENS")], True, Stop("max_tokens"), ["t1"], "", id="a stump"),
    pytest.param([text("a"), *STUMP], False, Stop("max_tokens"), ["t1"], "", id="a stump, and the stream is over"),
    pytest.param([WHOLE, *STUMP, *TAIL], True, Stop("max_tokens"), ["t1"], "", id="a call and a stump"),
    pytest.param([text("a"), exception("ContentLengthExceededException", {})], True, Stop("max_tokens"), [], "a",
                 id="length exceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "learned", "stop", "calls", "cut"), STOPS)
def test_how_an_answer_ends(frames, learned, stop, calls, cut):
    reader = new(learned=learned)
    assert read(frames, reader)[-1] == stop
    assert (reader.cut_calls, reader.cut_text) == (calls, cut)
    assert reader.learned == any(b"metadataEvent" in data for data in frames)


BROKEN = [
    # frames, the verdict's row
    pytest.param([], "empty", id="no byte"),
    pytest.param([CONTEXT, METER], "empty", id="nothing but figures"),
    pytest.param([text(""), event("metadataEvent", {})], "empty", id="no text"),
    pytest.param([text("a")], "cut", id="no mark of an end"),
    pytest.param([thought(text="a")], "cut", id="thinking, and no mark"),
    pytest.param([WHOLE], "cut", id="a call, and no mark"),
    pytest.param([text("a"), TAIL[0][:-1]], "cut", id="in the middle of a frame"),
    pytest.param([text("a"), tool("t1", "f"), *TAIL], "cut", id="a call without its end, no arguments"),
    pytest.param([text("a"), tool("t1", "f", input="{}"), *TAIL], "cut", id="a call without its end that could be run"),
    pytest.param([text("a"), tool("t1", "f", input="null"), *TAIL], "cut", id="a call without its end, null"),
    pytest.param([text("a"), tool("t1", input='{"a'), *TAIL], "cut", id="a stump that never began"),
    pytest.param([text("a"), tool("t1", "f", input="[1]", stop=True)], "damaged", id="arguments that are a list"),
    pytest.param([text("a"), tool("t1", "f", input="null", stop=True)], "damaged", id="arguments that are null"),
    pytest.param([text("a"), tool("t1", "f", input=[1])], "damaged", id="arguments of a wrong type"),
    pytest.param([text("a"), tool("t1", "f", input=0)], "damaged", id="arguments that are 0"),
    pytest.param([text("a"), tool("t1", "f", stop="false")], "damaged", id="a text as end mark"),
    pytest.param([text("a"), tool("t1", "f"), tool("t1", "g")], "damaged", id="another name"),
    pytest.param([text("a"), tool(name="f", stop=True)], "damaged", id="no id at all"),
    pytest.param([text("a"), tool("t1", stop=True)], "damaged", id="no name at all"),
    pytest.param([text("a"), event("toolUseEvent", {"toolUseId": 5})], "damaged", id="an id that is no text"),
    pytest.param([text("a"), event("assistantResponseEvent", b"{")], "damaged", id="no JSON"),
    pytest.param([text("a"), event("assistantResponseEvent", b"[]")], "damaged", id="no object"),
    pytest.param([text("a"), text(5)], "damaged", id="text of a wrong type"),
    pytest.param([thought(text="a"), thought(signature=5)], "damaged", id="a signature of a wrong type"),
    pytest.param([text("a"), b"\0" * 12], "damaged", id="bytes that are no frame"),
    pytest.param([text("a"), exception("ThrottlingException", {"message": "x"})], "rate", id="throttled"),
    pytest.param([text("a"), exception("InternalServerException", {}), *TAIL], "server", id="killed"),
    pytest.param([text("a"), error("ThrottlingException", "slow")], "rate", id="an error frame"),
    pytest.param([text("a"), event("error", {"message": "x"})], "server", id="an error event"),
    pytest.param([text("a"), event("invalidStateEvent", {"reason": "INVALID_TASK_ASSIST_PLAN"})], "server", id="state"),
    pytest.param([text("a"), event("modelTemporarilyUnavailableEvent", {})], "capacity", id="model unavailable"),
    pytest.param([exception("ContentLengthExceededException", {})], "overflow", id="too long from the start"),
    pytest.param([text("a"), *STUMP, exception("SomethingException", {})], "strange", id="a stump, then an exception"),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "row"), BROKEN)
def test_no_answer_ends_cleanly_that_is_not_whole(frames, row):
    _, verdict = refused(frames)
    assert verdict.rule == row
    _, verdict = refused([b"".join(frames)])
    assert verdict.rule == row


def test_a_failure_in_the_first_read_takes_all_with_it():
    reader = new()
    with pytest.raises(Refused):
        reader.receive(text("a") + exception("ThrottlingException", {}))
    assert not reader.visible


@pytest.mark.parametrize("bad", [
    exception("ThrottlingException", {}), b"\0" * 12, tool("t", "f", stop="yes"),
], ids=["exception", "damage", "call"])  # fmt: skip
def test_later_what_came_before_a_failure_is_given_first(bad):
    reader = new()
    assert reader.receive(text("a")) == [TextDelta(0, "a")] and reader.visible
    assert reader.receive(text("b") + bad) == [TextDelta(0, "b")]
    with pytest.raises(Refused):
        reader.receive(text("c"))
    with pytest.raises(Refused):
        reader.close()


def test_damage_that_nobody_waited_for_is_told_at_the_end():
    reader = new()
    reader.receive(text("a"))
    assert reader.receive(text("b") + b"\0" * 12) == [TextDelta(0, "b")]
    with pytest.raises(Refused) as caught:
        reader.close()
    assert caught.value.verdict.rule == "damaged"


def test_an_error_tells_kiros_words_and_the_model():
    _, verdict = refused([error("ValidationException", "Improperly formed request.")])
    assert verdict.rule == "malformed" and "Improperly formed request" in str(verdict.error)
    _, verdict = refused([text("a", modelId="m-1"), exception("ValidationException", {"reason": "INVALID_MODEL_ID"})])
    assert "m-1" in str(verdict.error)


TOKENS = {"uncachedInputTokens": 100, "outputTokens": 20, "totalTokens": 150, "cacheReadInputTokens": 25,
          "cacheWriteInputTokens": 5, "contextUsagePercentage": 7.5}  # fmt: skip
BODY = [thought(text="abc"), text("hello"), tool("t", "f", input='{"a":1}', stop=True)]  # 3, 5 and 7 by len


def share(value):
    return event("contextUsageEvent", {"contextUsagePercentage": value})


USAGES = [
    pytest.param([metadata(tokenUsage=TOKENS), CONTEXT, METER], Usage(130, 20, 25, 5, 3, 0.25, source="measured"),
                 id="measured"),
    pytest.param([metadata(tokenUsage={"outputTokens": 5}), share(1.0)], Usage(1985, 15, thinking=3, source="derived"),
                 id="half of the figures"),
    pytest.param([metadata(tokenUsage={"contextUsagePercentage": 10})], Usage(19985, 15, thinking=3, source="derived"),
                 id="the share among the figures"),
    pytest.param([share(12.5)], Usage(24985, 15, thinking=3, source="derived"), id="derived"),
    pytest.param([METER, METER], Usage(50, 15, thinking=3, credits=0.5), id="no share"),
    pytest.param([share(0)], Usage(50, 15, thinking=3), id="a share of 0"),
    pytest.param([share(0.001)], Usage(50, 15, thinking=3), id="less than the output"),
    pytest.param([share(140.0)], Usage(50, 15, thinking=3), id="more than all"),
    pytest.param([share("12"), event("meteringEvent", {"usage": True})], Usage(50, 15, thinking=3), id="wrong types"),
    pytest.param([share(-5), event("meteringEvent", {"usage": -1})], Usage(50, 15, thinking=3), id="below 0"),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "usage"), USAGES)
def test_usage(tail, usage):
    assert read([*BODY, *tail])[-2] == usage


def test_the_output_is_counted_once():
    counted = []
    reader = new(count=lambda text: counted.append(text) or 1)
    read([*BODY, text("!"), CONTEXT], reader)
    assert counted == ["abc", 'hello!{"a":1}']


SCRIPT = [
    event("messageMetadataEvent", {"conversationId": "c"}), thought(text="Hm, "), thought(text="ja 🙂"),
    thought(signature="S"), text("Grüße, 世界"), text("!"), text("!"), tool("t1", "f"), tool("t1", "f", input='{"a":'),
    tool("t1", "f", input='"é"}'), tool("t1", "f", stop=True), text("done"), metadata("TOOL_USE"), CONTEXT, METER,
]  # fmt: skip
STREAM = b"".join(SCRIPT)
MARKED = len(b"".join(SCRIPT[:-3]))  # from here on the answer is whole


def blocks(events):
    return [(b.kind, b.id, b.name, b.seal, b.text) for b in collect(events).blocks]


TRUTH = blocks(read(SCRIPT))


def outcome(data, step):
    """The blocks given, and the Stop or the failure."""
    reader, got = new(), []
    try:
        for n in range(0, len(data), step):
            got += reader.receive(data[n : n + step])
        got += reader.close()
        return blocks(got), got[-1]
    except Refused as failure:
        return blocks(got), failure.verdict.rule


def is_prefix(some):
    if not some:
        return True
    *first, last = some
    truth = TRUTH[len(first)]
    return first == TRUTH[: len(first)] and last[0] == truth[0] and truth[4].startswith(last[4]) and truth[1:3] == last[1:3]


@pytest.mark.parametrize("step", [1, 90, 100_000])
def test_cut_at_every_byte_it_is_a_prefix_and_no_clean_end(step):
    for n in range(0, len(STREAM), 1 if step > 1 else 3):
        got, ending = outcome(STREAM[:n], step)
        assert is_prefix(got)
        if isinstance(ending, Stop) and ending.reason != "max_tokens":
            assert n > MARKED and got == TRUTH
        elif isinstance(ending, Stop):  # only a call whose arguments broke off
            assert got[-1][0] == "call" and not can_be_run(got[-1][4])
        else:
            assert ending in ("cut", "empty")


def can_be_run(arguments):
    try:
        return arguments == "" or json.loads(arguments) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("step", [100, 100_000])
def test_one_flipped_byte_anywhere_is_a_prefix_and_no_clean_end(step):
    for n in range(len(STREAM)):
        damaged = STREAM[:n] + bytes([STREAM[n] ^ (1 << n % 8)]) + STREAM[n + 1 :]
        got, ending = outcome(damaged, step)
        assert is_prefix(got)
        assert ending in ("damaged", "cut")


PIECES = st.one_of(
    st.text(max_size=6).map(lambda t: [text(t)]),
    st.text(max_size=6).map(lambda t: [thought(text=t)]),
    st.sampled_from([[thought(signature="S")], [thought(redactedContent="QUJD")], [METER], [CONTEXT], [metadata()]]),
    st.builds(lambda i, stop, t: [tool(f"t{i}", f"f{i}", input=t, **({"stop": True} if stop else {}))],
              st.integers(0, 2), st.booleans(), st.sampled_from(["", "{", "}", '{"a":', "1}", "{}", "[]", "x"])),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12), st.integers(1, 400), st.booleans())
def test_any_stream_read_in_any_cut_ends_alike(made, step, tags):
    """Part numbers grow, calls are begun before they go on, Stop is last; or it is refused, however it is cut."""
    data = b"".join(b"".join(frames) for frames in made)
    results = []
    for size in (step, len(data) or 1):
        reader = new(thinking_tags=tags)
        try:
            results.append(read([data[n : n + size] for n in range(0, len(data), size)], reader))
        except Refused as failure:
            results.append(failure.verdict.rule)
    one, other = results
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert blocks(one) == blocks(other) and one[-2:] == other[-2:]
    assert isinstance(one[-1], Stop) and isinstance(one[-2], Usage)
    begun, highest = set(), -1
    for e in one[:-2]:
        if isinstance(e, CallDelta):
            assert e.part in begun
            continue
        assert e.part >= highest
        highest = e.part
        if isinstance(e, CallStart):
            begun.add(e.part)
    runnable = [b for b in collect(one).blocks if b.kind == "call" and can_be_run(b.text)]
    assert one[-1].reason != "calls" or runnable


def test_strings_of_a_frame_that_is_no_event_are_no_text():
    odd = frame(strings(exception_type="assistantResponseEvent", message_type="exception"), b'{"content":"x"}')
    assert refused([text("a"), odd])[1].rule == "strange"


def test_a_reader_is_no_cycle():
    """Garbage that only a search finds makes every stream wait while it is looked for."""

    class Watched(Reader):
        """With room for a weak reference."""

    reader = Watched(CLAUDE, names={}, count=len, estimate=50)
    read([text("a"), tool("t1", "run", input="{}"), tool("t1", "run", stop=True), *TAIL], reader)
    gone = weakref.ref(reader)
    gc.disable()
    try:
        del reader
        assert gone() is None
    finally:
        gc.enable()
