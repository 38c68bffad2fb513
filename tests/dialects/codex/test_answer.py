from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.answer import (
    CallDelta,
    CallStart,
    Citation,
    NativeItem,
    SearchCall,
    SearchResult,
    Stop,
    TextDelta,
    TextPhase,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
    collect,
)
from tests.dialects.codex.talk import (
    USAGE,
    added,
    arguments,
    completed,
    created,
    done,
    failed,
    incomplete,
    message,
    new,
    read,
    refused,
    said,
    sse,
    summary,
    text,
    thought,
)

MEASURED = Usage(100, 20, 60, 10, 5, source="measured")
SEAL = "kgw1:c:gpt-6.1-sol:gAAA"
PATCH = {"call_id": "c1", "name": "apply_patch"}
CALL = {"call_id": "c1", "name": "read"}
PAGE = {"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 1, "end_index": 4}
REFUSAL = {"type": "refusal", "refusal": "I can not."}
ACTION = {"type": "exec", "command": ["ls"], "env": {}}

ROWS = [
    # what comes, the events without usage
    pytest.param([created(), added(0, "message", role="assistant"), text(0, "Hel"), text(0, "lo"),
                  said("output_text.done", output_index=0, content_index=0, text="Hello"), done(0, "message", **message("Hello"))],
                 [TextDelta(0, "Hel"), TextDelta(0, "lo"), Stop("end")], id="text"),
    pytest.param([done(0, "message", **message("Hello"))], [TextDelta(0, "Hello"), Stop("end")], id="text at the end only"),
    pytest.param([added(0, "message"), text(0, "Hel"), done(0, "message", **message("Hello"))],
                 [TextDelta(0, "Hel"), TextDelta(0, "lo"), Stop("end")], id="its rest at the end"),
    pytest.param([text(0, "Hi")], [TextDelta(0, "Hi"), Stop("end")], id="an item that nobody announced"),
    pytest.param([added(0, "message"), text(0, "a"), text(0, "b", 1), done(0, "message", **message("a", "bc"))],
                 [TextDelta(0, "a"), TextDelta(1, "b"), TextDelta(1, "c"), Stop("end")], id="two texts of a message"),
    pytest.param([added(0, "message", phase="commentary"), text(0, "I look."), done(0, "message", **message("I look.")),
                  added(1, "message", phase="final_answer"), text(1, "Done.")],
                 [TextPhase(0, "commentary"), TextDelta(0, "I look."), TextPhase(1, "final_answer"), TextDelta(1, "Done."),
                  Stop("end")], id="phases"),
    pytest.param([done(0, "message", **message("Hi", phase="final_answer"))],
                 [TextPhase(0, "final_answer"), TextDelta(0, "Hi"), Stop("end")], id="a phase at the end"),
    pytest.param([added(0, "message"), text(0, "a page"),
                  said("output_text.annotation.added", output_index=0, content_index=0, annotation_index=0, annotation=PAGE),
                  done(0, "message", content=[{"type": "output_text", "text": "a page", "annotations": [PAGE]}])],
                 [TextDelta(0, "a page"), Citation(0, "https://a.example/", "A", 1, 4), Stop("end")], id="a citation, once"),
    pytest.param([added(0, "message"), text(0, "a page"),
                  done(0, "message", content=[{"type": "output_text", "text": "a page", "annotations": [
                      {"type": "file_citation", "file_id": "f"}, PAGE]}])],
                 [TextDelta(0, "a page"), Citation(0, "https://a.example/", "A", 1, 4), Stop("end")],
                 id="a citation at the end only; files are not told"),

    pytest.param([added(0, "reasoning", summary=[]), summary(0, "One"), summary(0, "."), summary(0, "Two", 1),
                  said("reasoning_summary_text.done", output_index=0, summary_index=1, text="Two"),
                  done(0, "reasoning", **thought("One.", "Two"))],
                 [ThoughtDelta(0, "One"), ThoughtDelta(0, "."), ThoughtDelta(0, "\n\nTwo"), ThoughtSeal(0, SEAL), Stop("end")],
                 id="a summary in two parts"),
    pytest.param([done(0, "reasoning", **thought("One.", "Two"))],
                 [ThoughtDelta(0, "One."), ThoughtDelta(0, "\n\nTwo"), ThoughtSeal(0, SEAL), Stop("end")],
                 id="a summary at the end only"),
    pytest.param([done(0, "reasoning", **thought()), done(1, "message", **message("4"))],
                 [ThoughtSeal(0, SEAL), TextDelta(1, "4"), Stop("end")], id="a thought that is not told"),
    pytest.param([added(0, "reasoning"), said("reasoning_text.delta", output_index=0, content_index=0, delta="Raw"),
                  done(0, "reasoning", summary=[{"type": "summary_text", "text": "Short"}],
                       content=[{"type": "reasoning_text", "text": "Raw!"}], encrypted_content=None)],
                 [ThoughtDelta(0, "Raw"), ThoughtDelta(0, "!"), Stop("end")], id="the thinking itself, and then no summary"),

    pytest.param([added(0, "function_call", **CALL, arguments=""), arguments(0, '{"a"'), arguments(0, ":1}"),
                  said("function_call_arguments.done", output_index=0, arguments='{"a":1}'),
                  done(0, "function_call", **CALL, arguments='{"a":1}')],
                 [CallStart(0, "c1", "read"), CallDelta(0, '{"a"'), CallDelta(0, ":1}"), Stop("calls")], id="a call"),
    pytest.param([added(0, "function_call", **CALL, arguments=""),
                  said("function_call_arguments.done", output_index=0, arguments='{"a":1}'),
                  done(0, "function_call", **CALL, arguments='{"a":1}')],
                 [CallStart(0, "c1", "read"), CallDelta(0, '{"a":1}'), Stop("calls")], id="arguments only in their .done"),
    pytest.param([done(0, "function_call", **CALL, arguments='{"a":1}')],
                 [CallStart(0, "c1", "read"), CallDelta(0, '{"a":1}'), Stop("calls")], id="only the item's .done"),
    pytest.param([done(0, "function_call", **CALL, arguments="")], [CallStart(0, "c1", "read"), Stop("calls")],
                 id="a call without arguments"),
    pytest.param([added(0, "function_call", arguments=""), arguments(0, "{"), done(0, "function_call", **CALL, arguments="{}")],
                 [CallStart(0, "c1", "read"), CallDelta(0, "{"), CallDelta(0, "}"), Stop("calls")],
                 id="a call that says its name at the end"),
    pytest.param([added(0, "function_call", **CALL), added(1, "function_call", call_id="c2", name="now"), arguments(0, '{"a'),
                  arguments(1, "{"), arguments(0, '":1}'), done(0, "function_call", **CALL, arguments='{"a":1}'),
                  arguments(1, "}"), done(1, "function_call", call_id="c2", name="now", arguments="{}")],
                 [CallStart(0, "c1", "read"), CallStart(1, "c2", "now"), CallDelta(0, '{"a'), CallDelta(1, "{"),
                  CallDelta(0, '":1}'), CallDelta(1, "}"), Stop("calls")], id="two calls at once"),
    pytest.param([added(0, "message"), text(0, "I "), added(1, "function_call", **CALL), text(0, "read."),
                  done(0, "message", **message("I read.")), done(1, "function_call", **CALL, arguments="{}")],
                 [TextDelta(0, "I "), CallStart(1, "c1", "read"), TextDelta(2, "read."), CallDelta(1, "{}"), Stop("calls")],
                 id="a text that goes on behind a call is another part"),
    pytest.param([done(0, "function_call", **CALL, namespace="mcp__fs", arguments="{}"),
                  done(1, "function_call", **CALL, namespace="functions", arguments="{}")],
                 [CallStart(0, "c1", "mcp__fs__read"), CallDelta(0, "{}"), CallStart(1, "c1", "read"), CallDelta(1, "{}"),
                  Stop("calls")], id="namespaces"),
    pytest.param([added(0, "custom_tool_call", **PATCH, input=""),
                  said("custom_tool_call_input.delta", output_index=0, delta='*** "a"\n'),
                  said("custom_tool_call_input.delta", output_index=0, delta="\té"),
                  said("custom_tool_call_input.done", output_index=0, input='*** "a"\n\té'),
                  done(0, "custom_tool_call", **PATCH, input='*** "a"\n\té')],
                 [CallStart(0, "c1", "apply_patch"), CallDelta(0, '{"input": "*** \\"a\\"\\n'), CallDelta(0, "\\t\\u00e9"),
                  CallDelta(0, '"}'), Stop("calls")], id="free text"),
    pytest.param([done(0, "custom_tool_call", **PATCH, input="x")],
                 [CallStart(0, "c1", "apply_patch"), CallDelta(0, '{"input": "x'), CallDelta(0, '"}'), Stop("calls")],
                 id="free text at the end only"),
    pytest.param([done(0, "custom_tool_call", **PATCH, input="")],
                 [CallStart(0, "c1", "apply_patch"), CallDelta(0, '{"input": ""}'), Stop("calls")], id="no text at all"),
    pytest.param([done(0, "local_shell_call", call_id="c1", action=ACTION)],
                 [CallStart(0, "c1", "local_shell"), CallDelta(0, '{"type":"exec","command":["ls"],"env":{}}'), Stop("calls")],
                 id="the shell"),
    pytest.param([done(0, "tool_search_call", call_id="c1", execution="client", arguments={"query": "q"})],
                 [CallStart(0, "c1", "tool_search"), CallDelta(0, '{"query":"q"}'), Stop("calls")], id="a search for tools"),
    pytest.param([done(0, "tool_search_call", call_id=None, execution="server", arguments={})],
                 [NativeItem(0, {"type": "tool_search_call", "id": "id_0", "call_id": None, "execution": "server",
                                 "arguments": {}}), Stop("end")], id="a search for tools that has been made"),
    pytest.param([added(0, "web_search_call", status="in_progress"), said("web_search_call.searching", output_index=0),
                  done(0, "web_search_call", status="completed", action={"type": "search", "query": "zig", "sources": [
                      {"type": "url", "url": "https://a.example/"}, {"type": "api", "name": "x"}]}),
                  done(1, "message", **message("Found."))],
                 [SearchCall(0, "id_0", "zig"), SearchResult(1, "id_0", [{"title": "https://a.example/", "url": "https://a.example/"}]),
                  TextDelta(2, "Found."), Stop("end")], id="a web search"),
    pytest.param([done(0, "web_search_call", status="failed", action={"type": "search", "queries": ["a", "b"]}),
                  done(1, "web_search_call", status="completed", action={"type": "open_page", "url": "https://a.example/"})],
                 [SearchCall(0, "id_0", "a, b"), SearchResult(1, "id_0", [], "unavailable"),
                  NativeItem(2, {"type": "web_search_call", "id": "id_1", "status": "completed",
                                 "action": {"type": "open_page", "url": "https://a.example/"}}), Stop("end")],
                 id="a web search that failed, and a page"),
    pytest.param([added(0, "compaction"), done(0, "compaction", encrypted_content="gAAA")],
                 [NativeItem(0, {"type": "compaction", "id": "id_0", "encrypted_content": "gAAA"}), Stop("end")],
                 id="an item without another word"),

    pytest.param([added(0, "message"), said("refusal.delta", output_index=0, content_index=0, delta="I can"),
                  said("refusal.done", output_index=0, content_index=0, refusal="I can not."),
                  done(0, "message", content=[REFUSAL])], [Stop("refusal", detail="I can not.")], id="a refusal"),
    pytest.param([done(0, "message", content=[REFUSAL])], [Stop("refusal", detail="I can not.")], id="a refusal at the end only"),
    pytest.param([sse({"type": "codex.rate_limits", "rate_limits": {}}), sse({"type": "keepalive"}),
                  sse({"type": "response.unheard_of"}), b"data: [DONE]\n\n", b": comment\n\n", text(0, "Hi"),
                  sse({"type": ["response.completed"]}), sse({"no": "type"})],
                 [TextDelta(0, "Hi"), Stop("end")], id="what says nothing"),
]


def ended(frames):
    return [*frames, completed(), b"data: [DONE]\n\n"]


@pytest.mark.parametrize("step", [None, 1, 7])
@pytest.mark.parametrize(("frames", "events"), ROWS)
def test_what_is_heard(frames, events, step):
    got = read(ended(frames), step=step)
    assert [event for event in got if not isinstance(event, Usage)] == events
    assert got[-2] == Usage(100, 20, 60, 10, 5, searches=sum(type(event) is SearchCall for event in events), source="measured")


@given(st.sampled_from([row.values[0] for row in ROWS]), st.data())
@settings(max_examples=150, deadline=None)
def test_any_cut_of_the_bytes_gives_the_same(frames, data):
    stream = b"".join(ended(frames))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(pieces) == read([stream])


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.sampled_from(["function_call", "message", "reasoning", "custom_tool_call", "c1", "max_output_tokens"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "id", "call_id", "name", "arguments", "input", "content", "summary", "text", "status", "action", "query",
         "sources", "url", "annotations", "refusal", "encrypted_content", "namespace", "phase", "usage", "output", "error", "code",
         "message", "incomplete_details", "reason", "input_tokens", "output_tokens"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
KINDS = ("output_item.added", "output_item.done", "output_text.delta", "output_text.done", "refusal.delta",
         "reasoning_summary_text.delta", "reasoning_text.done", "function_call_arguments.delta", "function_call_arguments.done",
         "custom_tool_call_input.delta", "output_text.annotation.added", "completed", "incomplete", "failed")  # fmt: skip
EVENTS = st.fixed_dictionaries({"type": st.sampled_from([f"response.{kind}" for kind in KINDS] + ["error"])}, optional={
    "output_index": st.integers(0, 2) | NOISE, "content_index": st.integers(0, 1) | NOISE, "summary_index": NOISE, "item": NOISE,
    "delta": NOISE, "text": NOISE, "arguments": NOISE, "input": NOISE, "refusal": NOISE, "annotation": NOISE, "response": NOISE,
    "error": NOISE, "code": NOISE, "message": NOISE, "status": NOISE,
})  # fmt: skip


@given(st.lists(EVENTS, max_size=10))
@settings(max_examples=150, deadline=None)
def test_nothing_that_comes_is_an_error_of_ours(events):
    """It is read or refused; parts only grow, and what is collected is whole."""
    reader, got = new(), []
    try:
        for event in events:
            got += reader.receive(sse(event))
        got += reader.close()
    except Exception as error:
        assert type(error).__name__ == "Refused", error
    starts = [event.part for event in got if hasattr(event, "part") and type(event) not in (CallDelta, Citation, ThoughtSeal)]
    assert starts == sorted(starts)
    collect(got)


def test_a_name_that_was_changed_is_changed_back():
    names = {("", "mcp_long_0123456789"): "mcp__a long name", ("ns", "x"): "ns__x"}
    frames = [done(0, "function_call", call_id="c", name="mcp_long_0123456789", arguments="{}"),
              done(1, "function_call", call_id="d", name="x", namespace="ns", arguments="{}")]  # fmt: skip
    got = read([*frames, completed()], new(names))
    assert [event.name for event in got if type(event) is CallStart] == ["mcp__a long name", "ns__x"]


def test_seals_are_the_accounts():
    assert read([done(0, "reasoning", **thought()), completed()], new(mark="here"))[0] == ThoughtSeal(0, "kgw2:c:here:gpt-6.1-sol:gAAA")


def test_items_that_only_the_end_tells():
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}, {"type": "function_call", **CALL, "arguments": "{}"}]
    assert read([created(), completed(output)]) == [
        TextDelta(0, "Hi"), CallStart(1, "c1", "read"), CallDelta(1, "{}"), MEASURED, Stop("calls")]  # fmt: skip


def test_items_that_came_before_are_not_told_again():
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
    assert read([text(0, "Hi"), completed(output)]) == [TextDelta(0, "Hi"), MEASURED, Stop("end")]
    late = said("output_text.done", output_index=0, content_index=0, text="Hi")
    assert read([done(0, "message", **message("Hi")), late, completed()]) == [TextDelta(0, "Hi"), MEASURED, Stop("end")]


def test_calls_that_are_open_at_a_whole_answers_end_are_whole():
    frames = [added(0, "custom_tool_call", **PATCH), said("custom_tool_call_input.delta", output_index=0, delta="x"), completed()]
    assert json.loads(collect(read(frames)).blocks[0].text) == {"input": "x"}


CUT = added(0, "function_call", **CALL), arguments(0, '{"a')
WHOLE = done(0, "function_call", **CALL, arguments="{}")
ENDS = [
    # what comes before the end, its reason, the stop, the calls and the text that were cut off
    pytest.param([text(0, "one two")], "max_output_tokens", Stop("max_tokens"), [], "one two", id="length"),
    pytest.param([text(0, "one two")], "unheard_of", Stop("max_tokens"), [], "one two", id="nobody knows"),
    pytest.param([text(0, "one two")], "content_filter", Stop("refusal"), [], "", id="filter"),
    pytest.param([*CUT], "max_output_tokens", Stop("max_tokens"), ["c1"], "", id="length, in a call"),
    pytest.param([WHOLE], "max_output_tokens", Stop("calls"), [], "", id="length, behind a call"),
    pytest.param([], "max_output_tokens", Stop("max_tokens"), [], "", id="length, before a word"),
]


@pytest.mark.parametrize(("frames", "reason", "stop", "calls", "cut"), ENDS)
def test_answers_that_are_not_whole(frames, reason, stop, calls, cut):
    reader = new()
    assert read([*frames, incomplete(reason)], reader)[-2:] == [MEASURED, stop]
    assert (reader.cut_calls, reader.cut_text) == (calls, cut)


def test_an_answer_that_was_interrupted_is_none():
    assert refused([text(0, "a"), incomplete("interrupted")])[1].rule == "cut"


def test_a_stream_without_an_end_is_cut():
    got, verdict = refused([created(), text(0, "half")])
    assert (got, verdict.rule) == ([TextDelta(0, "half")], "cut")
    assert refused([created()])[1].rule == "cut"
    assert refused([])[1].rule == "cut"
    assert refused([text(0, "half"), completed()[:-30]])[1].rule == "cut"


def test_an_answer_of_nothing_is_asked_for_again():
    assert refused([created(), completed()])[1].rule == "empty"
    assert refused([added(0, "message"), done(0, "message", **message("")), completed()])[1].rule == "empty"


DAMAGE = [
    pytest.param([b"data: {not json\n\n"], id="no JSON"),
    pytest.param([added(0, "function_call", **CALL), arguments(0, '{"a"'), done(0, "function_call", **CALL, arguments='{"b":1}')],
                 id="other arguments than before"),
    pytest.param([done(0, "function_call", name="read", arguments="{}")], id="a call without an id"),
    pytest.param([done(0, "function_call", call_id="c", arguments="{}")], id="a call without a name"),
    pytest.param([b'data: {"type":"response.output_item.done","item":{"type":"local_shell_call","call_id":"c","action":'
                  + b'{"a":' * 300 + b"1" + b"}" * 301 + b"}\n\n"], id="nested too deep"),
]  # fmt: skip


@pytest.mark.parametrize("frames", DAMAGE)
def test_damage(frames):
    assert refused([*frames, completed()])[1].rule == "damaged"


FAILURES = [
    pytest.param(failed("server_is_overloaded"), "overloaded", id="failed"),
    pytest.param(failed("rate_limit_exceeded", "Please try again in 1.5s."), "rate", id="failed by the rate"),
    pytest.param(sse({"type": "error", "code": "server_error", "message": "x", "param": None}), "server", id="flat error"),
    pytest.param(sse({"type": "error", "status": 429, "error": {"type": "usage_limit_reached", "message": "x", "resets_in_seconds": 9}}),
                 "quota", id="nested error"),
    pytest.param(sse({"type": "error", "status": 418, "error": None}), "strange", id="nothing is said"),
]


@pytest.mark.parametrize(("failure", "rule"), FAILURES)
def test_failures_inside_an_answer(failure, rule):
    """Before the first word it can be tried elsewhere; later what came before it is given first."""
    reader = new()
    assert (refused([created() + said("in_progress", response={}), failure], reader)[1].rule, reader.visible) == (rule, False)
    reader = new()
    got, verdict = refused([created(), text(0, "a") + failure, b""], reader)
    assert (got, verdict.rule, reader.visible) == ([], rule, False), "one read: nothing was given yet"
    reader = new()
    got, verdict = refused([text(0, "a"), text(0, "b") + failure, b""], reader)
    assert (got, verdict.rule, reader.visible) == ([TextDelta(0, "a"), TextDelta(0, "b")], rule, True)


def test_the_handshake_is_nothing_to_show():
    reader = new()
    assert reader.receive(created() + said("in_progress", response={}) + added(0, "reasoning") + sse({"type": "keepalive"})) == []
    assert not reader.visible
    reader.receive(summary(0, "Hm"))
    assert reader.visible


def test_nothing_is_heard_behind_the_end():
    assert read([text(0, "a"), completed(), text(0, "b"), failed("server_error")]) == [TextDelta(0, "a"), MEASURED, Stop("end")]


def test_usage_before_the_end_is_counted():
    reader = new()
    reader.receive(summary(0, "Hm") + done(0, "reasoning", **thought("Hm")) + text(1, "four") + done(2, "function_call", **CALL, arguments="{}"))
    assert reader.usage() == Usage(50, 8, thinking=2)
    assert read([text(0, "four"), completed(usage=None)])[-2] == Usage(50, 4)
    assert USAGE["total_tokens"] == 120
