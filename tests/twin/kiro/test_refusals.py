"""The twin refuses each malformed form, by the row that is meant; and it takes what the service takes."""

import base64
import json
import struct

import pytest

from kirogw.twin import Twin
from kirogw.twin.kiro import refusals
from kirogw.twin.kiro.ask import Ask
from kirogw.twin.kiro.play import seal
from tests.twin.kiro import payloads as p

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
CALL = p.assistant("", toolUses=[p.use()])


def image(data=PNG, kind="png"):
    return {"format": kind, "source": {"bytes": base64.b64encode(data).decode()}}


def document(name="notes", kind="txt", data=b"hello"):
    return {"name": name, "format": kind, "source": {"bytes": base64.b64encode(data).decode()}}


def wide(width):
    return PNG[:16] + struct.pack(">II", width, 1) + PNG[24:]


def tools(*declared):
    return p.payload(p.user(**p.context(tools=declared)))


def schema(**members):
    return tools(p.tool(schema={"type": "object", "properties": {"a": {"type": "string"}}, **members}))


def changed(**members):
    """The least payload with these members of conversationState; None takes one away."""
    whole = p.payload()
    state = {**whole["conversationState"], **members}
    return {"conversationState": {name: value for name, value in state.items() if value is not None}}


def called(calls, results, **more):
    """A history with `calls`, answered by `results`."""
    return p.payload(p.user("", **p.context(*results, tools=[p.tool()])), [p.user(), p.assistant("", toolUses=calls)], **more)


def thought(block, model=p.MODEL):
    return p.payload(p.user(modelId=model), [p.user(), p.assistant("hi", reasoningContent=block)])


def signed(text="Hm", signature=None, model=p.MODEL):
    return {"reasoningText": {"text": text, "signature": seal(model, text) if signature is None else signature}}


def fields(value, model=p.MODEL):
    return p.payload(p.user(modelId=model), additionalModelRequestFields=value)


# the row's name: what it refuses, each
CASES = {
    "not_json": [b"{", b"\xff\xfe", b"", b'{"a": NaN}', b"\xed\xa0\x80", b"[" * 100_000],
    "nul_or_surrogate": [p.payload(p.user("a\0b")), p.payload(p.user("a\ud83d")),
                         called([p.use(**{"a\0": "b"})], [p.result()])],
    "system_prompt": [p.payload(systemPrompt="You are."), p.payload(systemPrompt=None)],
    "no_conversation": [{}, {"conversationState": None}, {"conversationState": []}, {"conversationState": {}}, []],
    "current_is_no_user": [p.payload(p.assistant())],
    "message_is_no_union": [p.payload(history=[{}, p.assistant()]), p.payload(history=[{**p.user(), **p.assistant()}]),
                            changed(history={"a": 1}), p.payload(history=["hello"])],
    "trigger": [changed(chatTriggerType=None), changed(chatTriggerType="AUTO"), changed(chatTriggerType="manual")],
    "task_type": [changed(agentTaskType="chat")],
    "conversation_id": [changed(conversationId=""), changed(conversationId=7), changed(conversationId="a b")],
    "content_is_no_text": [p.payload({"userInputMessage": {"modelId": p.MODEL}}), p.payload(p.user([{"text": "hi"}])),
                           p.payload(history=[p.user(), p.assistant(None)])],
    "member_of_wrong_type": [p.payload(p.user(modelId=4)), p.payload(p.user(images={})), p.payload(agentMode=1),
                             p.payload(p.user(userInputMessageContext=[])), fields([]),
                             p.payload(p.user(userInputMessageContext={"tools": {}})),
                             p.payload(history=[p.user(), p.assistant(toolUses={})])],
    "origin": [p.payload(p.user(origin="GATEWAY")), p.payload(history=[p.user(origin=""), p.assistant()])],
    "tool_use_without_name_or_id": [called([{"name": "read_file", "input": {}}], []), called([{"toolUseId": "a"}], [])],
    "tool_input_is_no_object": [called([{**p.use(), "input": '{"path": "a"}'}], [p.result()]),
                                called([{"toolUseId": "tooluse_1", "name": "read_file"}], [p.result()])],
    "tool_input_has_empty_key": [called([p.use(**{"": 1})], [p.result()])],
    "tool_result_shape": [called([p.use()], [{**p.result(), "content": "done"}]),
                          called([p.use()], [{**p.result(), "content": [{"type": "text"}]}]),
                          called([p.use()], [p.result(status="failed")]), called([p.use()], [{"content": []}])],
    "working_directory": [p.payload(p.user(userInputMessageContext={"envState": {"currentWorkingDirectory": "a" * 257}}))],
    "history_too_long": [p.payload(history=[p.user("a"), p.assistant("b")] * 5001)],
    "assistant_first": [p.payload(history=[p.assistant()]), p.payload(history=[p.assistant(), p.user(), p.assistant()])],
    "not_alternating": [p.payload(history=[p.user()]), p.payload(history=[p.user(), p.assistant(), p.assistant()]),
                        p.payload(history=[p.user(), p.user(), p.assistant()])],
    "empty_content": [p.payload(p.user("")), p.payload(p.user("", images=[image()]))],
    "empty_history_entry": [p.payload(history=[p.user(""), p.assistant()]), p.payload(history=[p.user(), p.assistant("")])],
    "cache_point_in_tools": [tools(p.tool(), {"cachePoint": {"type": "default"}})],
    "tool_shape": [tools({}), tools({"name": "read_file"}), tools({**p.tool(), "type": "function"}), tools("read")],
    "tool_name": [tools(p.tool(name)) for name in ("", "a.b", "a b", "a" * 65, "é", "a\n")],
    "tool_duplicate": [tools(p.tool(), p.tool())],
    "tool_description": [tools(p.tool(description=""))],
    "tool_schema_root": [tools(p.tool(schema={})), tools(p.tool(schema={"type": "array"})), tools(p.tool(schema="object")),
                         tools(p.tool(schema={"anyOf": [{"type": "object"}]})), tools(p.tool(schema={"type": ["object"]})),
                         tools({"toolSpecification": {"name": "a", "description": "b"}})],
    "tool_schema_required": [schema(required=[]), schema(required=None),
                             schema(properties={"a": {"type": "object", "required": []}}),
                             schema(properties={"a": {"type": "array", "items": {"required": None}}})],
    "tool_schema_properties": [schema(properties=None), schema(properties={"a": {"properties": None}})],
    "tool_schema_additional": [schema(additionalProperties=False), schema(additionalProperties={"type": "string"}),
                               schema(anyOf=[{"additionalProperties": True}])],
    "tool_schema_keyword": [schema(**{word: value}) for word, value in [
        ("$schema", "http://json-schema.org/draft-07/schema#"), ("$id", "a"), ("$ref", "#/$defs/a"), ("$defs", {}),
        ("definitions", {}), ("strict", True), ("properties", {"a": {"$ref": "#/$defs/a"}})]],
    "tool_turns_without_tools": [
        p.payload(p.user("", **p.context(p.result())), [p.user(), CALL]),
        p.payload(history=[p.user(), CALL, p.user("", **p.context(p.result())), p.assistant()])],
    "tool_use_name": [called([p.use(name="a.b")], [p.result()]), called([p.use(name="a" * 65)], [p.result()])],
    "tool_undeclared": [called([p.use(name="write_file")], [p.result()])],
    "tool_use_id": [called([p.use(id)], [p.result(id)]) for id in ("call_x|fc_y", "a" * 65, "", "a.b")],
    "tool_use_id_twice": [
        called([p.use(), p.use()], [p.result()]),
        p.payload(p.user("", **p.context(p.result(), tools=[p.tool()])),
                  [p.user(), CALL, p.user("", **p.context(p.result())), CALL])],
    "tool_result_twice": [called([p.use()], [p.result(), p.result()])],
    "tool_result_orphan": [called([p.use()], [p.result(), p.result("tooluse_2")]),
                           p.payload(p.user("", **p.context(p.result(), tools=[p.tool()]))),
                           p.payload(p.user("", **p.context(p.result(), tools=[p.tool()])), [p.user(), p.assistant()])],
    "tool_use_unanswered": [p.payload(p.user(**p.context(tools=[p.tool()])), [p.user(), CALL]),
                            called([p.use(), p.use("tooluse_2")], [p.result()])],
    "user_message_too_long": [p.payload(p.user("a" * 600_001)), p.payload(history=[p.user("a" * 600_001), p.assistant()])],
    "tool_result_too_long": [called([p.use()], [p.result(text="a" * 800_001)])],
    "image_count": [p.payload(p.user(images=[image()] * 11)),
                    p.payload(p.user(images=[image()] * 6), [p.user(images=[image()] * 5), p.assistant()])],
    "image_format": [p.payload(p.user(images=[image(kind=kind)])) for kind in ("jpg", "bmp", "image/png", None)],
    "image_base64": [p.payload(p.user(images=[{"format": "png", "source": source}]))
                     for source in ({"bytes": "data:image/png;base64,AAAA"}, {"bytes": ""}, {"bytes": 1}, {}, None)],
    "image_mime": [p.payload(p.user(images=[image(kind="jpeg")])), p.payload(p.user(images=[image(b"hello")]))],
    "image_bytes": [p.payload(p.user(images=[image(PNG + bytes(10_000_000))]))],
    "image_side": [p.payload(p.user(images=[image(wide(8001))])),
                   p.payload(p.user(images=[image(b"GIF89a" + struct.pack("<HH", 1, 9000), "gif")]))],
    "image_model": [p.payload(p.user(modelId="glm-5", images=[image()]))],
    "document_count": [p.payload(p.user(documents=[document(str(n)) for n in range(6)])),
                       p.payload(p.user(documents=[document("a")]),
                                 [p.user(documents=[document(str(n)) for n in range(5)]), p.assistant()])],
    "document_shape": [p.payload(p.user(documents=[document(kind="rtf")])), p.payload(p.user(documents=[document(name="")])),
                       p.payload(p.user(documents=[{"name": "a", "format": "txt", "source": {"bytes": "é"}}]))],
    "document_name": [p.payload(p.user(documents=[document(), document()]))],
    "document_bytes": [p.payload(p.user(documents=[document(data=bytes(4_500_001))]))],
    "document_model": [p.payload(p.user(modelId="glm-5", documents=[document()]))],
    "reasoning_shape": [thought({}), thought({"text": "Hm", "signature": "x"}), thought({"reasoningText": "Hm"}),
                        thought({"redactedContent": "é"}), thought({"redactedContent": ""}),
                        thought({**signed(), "redactedContent": "aGk="}),
                        p.payload(history=[p.user(), p.assistant(reasoningSignature="x")])],
    "reasoning_unsigned": [thought(signed(signature="")), thought({"reasoningText": {"text": "Hm"}})],
    "reasoning_foreign_seal": [thought(signed(signature="Ev0B")), thought(signed(model="claude-opus-5")),
                               thought({"reasoningText": {"text": "Hm!", "signature": seal(p.MODEL, "Hm")}}),
                               thought(signed(signature=seal(p.MODEL, "Hm")[:-1]))],
    "model": [p.payload(p.user(modelId=name)) for name in ("claude-sonnet-4-6", "gpt-4", "Claude-Opus-5")],
    "fields_not_supported": [fields({"max_tokens": 2000}, model) for model in ("claude-haiku-4.5", "glm-5", "auto")]
                            + [fields({}, "claude-sonnet-4.5")],
    "fields_invalid": [fields({"temperature": 0.1}), fields({"thinking": {"type": "enabled"}}),
                       fields({"thinking": {"type": "adaptive", "budget_tokens": 1}}), fields({"max_tokens": 5}),
                       fields({"max_tokens": 2000.5}), fields({"max_tokens": 70_000}), fields({"max_tokens": True}),
                       fields({"output_config": {"effort": "xhigh"}}), fields({"reasoning": {"effort": "low"}}),
                       fields({"thinking": {"type": "disabled"}}, "claude-opus-5.5")],
    "overflow": [p.payload(p.user("a" * 599_000, modelId="deepseek-3.2"), [p.user("b" * 100_000), p.assistant()])],
}  # fmt: skip
ROWS = {row.name: row for row in refusals.ROWS}


@pytest.fixture(scope="module")
def twin():
    with Twin(keep=10) as running:
        yield running


def test_every_row_has_an_example():
    assert list(CASES) == list(ROWS)


@pytest.mark.parametrize(("name", "body"), [pytest.param(name, body, id=f"{name}-{n}") for name in CASES
                                            for n, body in enumerate(CASES[name])])  # fmt: skip
def test_refused(twin, name, body):
    before = len(twin.refusals)
    if isinstance(body, bytes | list):  # these can not name a profile, so any is taken
        twin.options.change({"open": True})
    reply = p.ask(twin, json.dumps(body).encode() if isinstance(body, list) else body)
    twin.options.change({"open": False})
    assert (reply.status_code, reply.headers["x-amzn-errortype"]) == (400, "ValidationException")
    error = reply.json()
    assert [entry.row for entry in twin.refusals[before:]] == [name]
    assert error["reason"] == ROWS[name].reason
    if name != "fields_invalid":
        assert error["message"] == ROWS[name].message


@pytest.mark.parametrize(("rest", "kind", "more"), [
    pytest.param(False, "application/json", {}, id="target"),
    pytest.param(True, "application/x-amz-json-1.0", {}, id="path"),
    pytest.param(True, "text/plain", {}, id="path, text"),
    pytest.param(True, "", {"x-amz-target": p.TARGET}, id="none"),
])  # fmt: skip
def test_a_wrong_content_type_is_refused(twin, rest, kind, more):
    reply = p.ask(twin, rest=rest, headers={"content-type": kind, **more})
    assert (reply.status_code, reply.json()["message"]) == (400, refusals.IMPROPER)
    assert twin.refusals[-1].row == "content_type"


def test_a_body_over_the_limit_is_refused():
    with Twin(max_body=100_000) as twin:
        reply = p.ask(twin, p.payload(p.user("a" * 100_000)))
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "validation_error")
        assert [entry.row for entry in twin.refusals] == ["body_too_large"]


TAKEN = [
    pytest.param(p.payload(), id="least"),
    pytest.param(p.loop(), id="empty content with results"),
    pytest.param(p.payload(p.user("😀 \ud83d\ude00 \\u0000")), id="pairs of surrogates, an escaped backslash"),
    pytest.param(changed(history=[]), id="an empty history"),
    pytest.param(p.payload(p.user(images=[]), [p.user(), p.assistant(toolUses=[])]), id="empty lists"),
    pytest.param(p.payload(p.user(userInputMessageContext=None, documents=None)), id="nulls"),
    pytest.param(p.payload(p.user(cachePoint={"type": "default"}), inferenceConfig={"temperature": 1}), id="ignored members"),
    pytest.param(p.payload(history=[p.user(), p.assistant(" ")]), id="a space"),
    pytest.param(p.payload(p.user(images=[image()] * 10, documents=[document(str(n)) for n in range(5)])), id="media"),
    pytest.param(p.payload(p.user(images=[image(wide(8000))])), id="8000 wide"),
    pytest.param(p.payload(p.user("a" * 600_000)), id="600,000 characters"),
    pytest.param(called([p.use()], [p.result(text="a" * 800_000)]), id="800,000 characters"),
    pytest.param(called([p.use(), p.use("b" * 64)], [p.result("b" * 64), p.result()]), id="results in any order"),
    pytest.param(called([p.use(name="READ_FILE")], [p.result(status="error")]), id="a name in another case"),
    pytest.param(called([{**p.use(), "input": {}}], [{**p.result(), "content": [{"json": {"a": 1}}]}]), id="json result"),
    pytest.param(tools(p.tool("mcp__server__a-b"), p.tool("a" * 64)), id="names"),
    pytest.param(schema(properties={word: {"type": "string"} for word in ("strict", "required", "$ref", "properties",
                 "additionalProperties", "definitions")}, required=["strict"]), id="properties called like keywords"),
    pytest.param(schema(properties={"a": {"enum": [None, {"$ref": 1}], "default": {"required": []}}}), id="values"),
    pytest.param(tools(p.tool(schema={"type": "object"})), id="a schema without properties"),
    pytest.param(thought(signed()), id="sealed thought"),
    pytest.param(thought(signed("")), id="omitted thought"),
    pytest.param(thought({"redactedContent": "aGVsbG8="}), id="redacted thought"),
    pytest.param(thought(signed("...", ".KTR~~x"), "gpt-5.6-sol"), id="a seal of GPT is not checked"),
    pytest.param(fields({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"},
                         "max_tokens": 64_000}), id="fields of Claude"),
    pytest.param(fields({"reasoning": {"effort": "none"}}, "gpt-5.6-luna"), id="fields of GPT"),
    pytest.param(p.payload(p.user(modelId="CLAUDE_SONNET_4_5_20250929_V1_0")), id="hidden model"),
    pytest.param(p.payload(p.user(modelId=None)), id="no model"),
]  # fmt: skip


@pytest.mark.parametrize("body", TAKEN)
@pytest.mark.parametrize("rest", [False, True])
def test_taken(twin, body, rest):
    before = len(twin.refusals)
    reply = p.ask(twin, body, rest=rest)
    assert (reply.status_code, twin.refusals[before:]) == (200, []), reply.text
    assert p.said(p.events(reply.content))


def test_predicates_survive_any_shape():
    """A row that comes late may meet what an earlier one would have refused: the walk must still end in a verdict."""
    for value in (None, 1, "a", [], {}, [1], {"a": 1}):
        for path in ("conversationState", "history", "currentMessage", "context", "tool", "use", "result", "image"):
            whole = _broken(path, value)
            assert refusals.refused(Ask(whole, json.dumps(whole).encode())) is not None


def _broken(path, value):
    whole = p.payload(p.user("", **p.context(p.result(), tools=[p.tool()])), [p.user(), p.assistant("", toolUses=[p.use()])])
    state = whole["conversationState"]
    message = state["currentMessage"]["userInputMessage"]
    message["modelId"] = "no such model"
    places = {
        "conversationState": (whole, "conversationState"), "history": (state, "history"),
        "currentMessage": (state, "currentMessage"), "context": (message, "userInputMessageContext"),
        "tool": (message["userInputMessageContext"]["tools"], 0), "image": (message, "images"),
        "use": (state["history"][1]["assistantResponseMessage"]["toolUses"], 0),
        "result": (message["userInputMessageContext"]["toolResults"], 0),
    }  # fmt: skip
    owner, name = places[path]
    owner[name] = value
    return whole
