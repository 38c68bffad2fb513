"""The whole way in: what a client sent, what Kiro gets. The twin's table of refusals judges it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.conversation import Choice, Image, Thinking, Thought, Tool
from kirogw.dialects import clean
from kirogw.dialects.chat.request import read as read_chat
from kirogw.dialects.kiro.models import FALLBACK, resolve
from kirogw.dialects.kiro.request import address, prepare
from kirogw.dialects.kiro.rules import RULES
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.messages.request import read as read_messages
from kirogw.dialects.provider import Login, Terms
from kirogw.dialects.responses.request import read as read_responses
from kirogw.dialects.seals import seal
from kirogw.errors import BadRequest, TooLong
from kirogw.settings import Settings
from kirogw.twin.kiro import models as twin
from kirogw.twin.kiro import play, refusals
from kirogw.twin.kiro.ask import Ask
from tests.dialects.conversations import PNG, TEXTS, conversations
from tests.dialects.kiro.talk import GPT, HAIKU, OPUS, SHAPE, target
from tests.dialects.talk import READ, call, model, result, talk, user

READERS = {"messages": read_messages, "chat": read_chat, "responses": read_responses}
GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "kiro").glob("*.json"))
ROWS = {row["modelId"]: row for row in twin.catalogue()}
MODELS = [known for known in FALLBACK if known.id in ROWS]
TERMS = Terms("social", session="5d0c2a1e-6f1c-4b57-9e0b-8d2a9b7c1f00", turn="0b6c1f52-93f0-4a0d-8a67-3c1d5a2e7b11")


def prepared(conversation, to=OPUS, **members):
    return prepare(conversation, target(to), SHAPE, replace(TERMS, **members))


def payload(conversation, to=OPUS, **members):
    return orjson.loads(prepared(conversation, to, **members).body)


def state(*args, **members):
    return payload(*args, **members)["conversationState"]


def messages(got):
    return [*got.get("history", []), got["currentMessage"]]


def refused(body, model_id):
    return refusals.refused(Ask(orjson.loads(body), body, ROWS.get(model_id)))


# Whole payloads


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path):
    """UPDATE_GOLDEN=1 writes what Kiro gets; then read the diff."""
    case = json.loads(path.read_text())
    conversation = READERS[case["face"]](case["sent"], {}).conversation
    meant = resolve(conversation.model, FALLBACK)
    made = prepare(conversation, meant, SHAPE, TERMS)
    got = {"body": json.loads(made.body), "names": dict(made.state.names), "thinking_tags": made.state.thinking_tags,
           "rules": list(made.notes)}  # fmt: skip
    if os.environ.get("UPDATE_GOLDEN"):
        case["kiro"] = got
        path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n")
    assert got == case["kiro"]
    if meant.known:
        assert refused(made.body, meant.model.id) is None


def test_the_captures_go_through():
    assert len(GOLDEN) >= 10


def test_a_whole_payload():
    sent = talk(
        user("Which files are here?"), model(Thought("Need a listing.", seal("s", OPUS.id, "Ev0B")), call("t1", "list.dir")),
        user(result("t1", "a.py\nb.py"), Image(PNG, "image/jpg")),
        system=("You answer in short sentences.",), tools=(Tool("list.dir", "List a folder", {"$schema": "x"}),),
        thinking=Thinking("adaptive", "high"),
    )  # fmt: skip
    made = prepared(sent)
    name = made.state.names
    assert list(name.values()) == ["list.dir"]
    (own,) = name
    assert json.loads(made.body) == {
        "conversationState": {
            "chatTriggerType": "MANUAL", "agentTaskType": "vibe",
            "conversationId": TERMS.session, "agentContinuationId": TERMS.turn,
            "history": [
                {"userInputMessage": {"content": "You answer in short sentences.\n\nWhich files are here?",
                                      "modelId": OPUS.id, "origin": "AI_EDITOR"}},
                {"assistantResponseMessage": {
                    "content": "", "toolUses": [{"toolUseId": "t1", "name": own, "input": {"path": "x"}}],
                    "reasoningContent": {"reasoningText": {"text": "Need a listing.", "signature": "Ev0B"}}}},
            ],
            "currentMessage": {"userInputMessage": {
                "content": "", "modelId": OPUS.id, "origin": "AI_EDITOR",
                "images": [{"format": "png", "source": {"bytes": PNG}}],
                "userInputMessageContext": {
                    "toolResults": [{"toolUseId": "t1", "content": [{"text": "a.py\nb.py"}], "status": "success"}],
                    "tools": [{"toolSpecification": {"name": own, "description": "List a folder",
                                                     "inputSchema": {"json": {"type": "object", "properties": {}}}}}]}}},
        },
        "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"},
                                         "output_config": {"effort": "high"}},
    }  # fmt: skip
    assert made.notes == ("pictures_are_what_they_say", "tool_names_fit", "schemas_are_acceptable",
                          "the_system_text_begins_the_first_turn")  # fmt: skip


# Laws


def sealed(to):
    good = TEXTS.map(clean.text)
    return st.builds(lambda text: Thought(text, seal("s", to, play.seal(to, text))), good)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans(), st.booleans())
def test_the_twin_takes_any_conversation(data, unsealed, plain):
    to = data.draw(st.sampled_from(MODELS))
    conversation = data.draw(conversations(sealed(to.id)))
    try:
        made = prepared(conversation, to, unsealed=unsealed, plain=plain)
    except BadRequest as error:
        assert "images; Kiro takes" in str(error) or str(error).startswith("the document")
        return
    assert refused(made.body, to.id) is None
    assert set(made.notes) <= {rule.__name__ for rule in RULES}
    assert made == prepared(conversation, to, unsealed=unsealed, plain=plain)


ROUNDS = st.lists(st.tuples(st.integers(0, 2), TEXTS, TEXTS), max_size=5)


def rounds(given):
    """An agent's session as clients keep it: whole rounds of calls and results."""
    yield user("begin")
    for n, (count, said, gave) in enumerate(given):
        ids = [f"call|{n}.{m}" for m in range(count)]
        yield model(said, *(call(id, input={"n": id}) for id in ids))
        yield user(*(result(id, gave, failed=n % 2 == 1) for id in ids), gave if not ids else "")


@settings(max_examples=150, deadline=None)
@given(ROUNDS, st.sampled_from([(), ("Be brief.", "x-anthropic-billing-header: cch=1;")]))
def test_what_was_said_stays_the_same_bytes(given, system_text):
    """A turn more changes nothing before it, so upstream's cache keeps the beginning. Only the tools move on."""
    turns = list(rounds(given))
    before: list[bytes] = []
    for end in range(1, len(turns) + 1, 2):
        fresh = tuple(block + str(end) if block.startswith("x-") else block for block in system_text)
        got = messages(state(talk(*turns[:end], system=fresh, tools=(READ,))))
        context = got[-1]["userInputMessage"].get("userInputMessageContext", {})
        assert context.pop("tools")[0]["toolSpecification"]["name"] == "read"
        if not context:
            del got[-1]["userInputMessage"]["userInputMessageContext"]
        after = [orjson.dumps(message) for message in got]
        assert after[: len(before)] == before
        before = after


def test_choices_of_the_client_do_not_move_the_history():
    plain = state(talk(user("a"), model("b"), user("c"), tools=(READ,)))
    forced = state(talk(user("a"), model("b"), user("c"), tools=(READ,), choice=Choice("any")))
    assert forced["currentMessage"] == plain["currentMessage"]
    assert forced["history"][1:] == plain["history"][1:]


# Pieces


@pytest.mark.parametrize(("texts", "content"), [
    pytest.param(("a", "b"), "a\n\nb", id="two"),
    pytest.param(("a", "", " \n", "b"), "a\n\nb", id="blanks between"),
    pytest.param((" a \n",), " a \n", id="one stays as it is"),
])  # fmt: skip
def test_content(texts, content):
    assert messages(state(talk(user(*texts))))[0]["userInputMessage"]["content"] == content


@pytest.mark.parametrize(("to", "thought", "kept"), [
    pytest.param(OPUS, Thought("Hm.", seal("s", OPUS.id, "E:v")), {"reasoningText": {"text": "Hm.", "signature": "E:v"}}, id="text"),
    pytest.param(OPUS, Thought("", seal("s", OPUS.id, "Ev")), {"reasoningText": {"text": "", "signature": "Ev"}}, id="not shown"),
    pytest.param(OPUS, Thought("", seal("r", OPUS.id, "cmVk"), hidden=True), {"redactedContent": "cmVk"}, id="redacted"),
    pytest.param(GPT, Thought("", seal("s", GPT.id, ".KTR~~x"), hidden=True),
                 {"reasoningText": {"text": "...", "signature": ".KTR~~x"}}, id="GPT"),
    pytest.param(HAIKU, Thought("Hm.", seal("s", OPUS.id, "Ev")), None, id="another model's"),
])  # fmt: skip
def test_thoughts_go_back_sealed(to, thought, kept):
    sent = talk(user("a"), model(thought, "b"), user("c"))
    assert state(sent, to)["history"][1]["assistantResponseMessage"].get("reasoningContent") == kept
    assert "reasoningContent" not in json.dumps(payload(sent, to, unsealed=True))


def test_plain_leaves_the_fields_out():
    sent = talk(user("a"), thinking=Thinking("on"))
    assert "additionalModelRequestFields" in payload(sent)
    assert "additionalModelRequestFields" not in payload(sent, plain=True)


def test_emulated_thinking_can_be_switched_off():
    shape = Shape.of(Settings(fake_reasoning_enabled=False))
    made = prepare(talk(user("a"), thinking=Thinking("on")), target(HAIKU), shape, TERMS)
    assert not made.state.thinking_tags
    assert orjson.loads(made.body)["conversationState"]["currentMessage"]["userInputMessage"]["content"] == "a"


def test_what_was_cut_is_told():
    sent = talk(user("a"), model(call("call|1")), user(result("call|1", "parse error")), tools=(READ,))
    results = state(sent, cut={"call|1"})["currentMessage"]["userInputMessage"]["userInputMessageContext"]["toolResults"]
    assert [part["text"] for part in results[0]["content"]][1:] == ["parse error"]
    assert "cut off by a length limit" in results[0]["content"][0]["text"]


@pytest.mark.parametrize("sent", [
    pytest.param(talk(*[user("a"), model("b")] * 5_001), id="10,000 messages"),
    pytest.param(talk(user("a"), model(call()), user(result("a", "x" * 800_001)), tools=(READ,)), id="a long result"),
])  # fmt: skip
def test_what_is_surely_too_much(sent):
    with pytest.raises(TooLong):
        prepared(sent)


def test_what_json_can_not_hold():
    with pytest.raises(BadRequest, match="can not be written as JSON"):
        prepared(talk(user("a"), model(call(input={"n": 2**70})), user(result()), tools=(READ,)))


# The address


SOCIAL = Login("social", "tok", "arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK", machine="a" * 64)
KEY = Login("key", "ksk_1", "arn:aws:codewhisperer:us-east-1:1:profile/A", machine="b" * 64)
TARGET = Shape.of(Settings(kiro_wire="target"))
BODY = b'{"conversationState":{}}'


def test_address_rest():
    got = address(BODY, SOCIAL, "https://runtime.us-east-1.kiro.dev", SHAPE, invocation_id="i-1", attempt=2)
    agent = f"KiroIDE-{SHAPE.version}-{'a' * 64}"
    assert (got.method, got.url) == ("POST", "https://runtime.us-east-1.kiro.dev/generateAssistantResponse")
    assert json.loads(got.body) == {"conversationState": {}, "profileArn": SOCIAL.profile}
    assert dict(got.headers) == {
        "Authorization": "Bearer tok", "Content-Type": "application/json", "Accept": "application/vnd.amazon.eventstream",
        "User-Agent": "aws-sdk-js/1.0.34 ua/2.1 os/linux#6.8.0 lang/js md/nodejs#22.22.0 "
                      f"api/codewhispererstreaming#1.0.34 m/E {agent}",
        "x-amz-user-agent": f"aws-sdk-js/1.0.34 {agent}", "x-amzn-codewhisperer-optout": "true",
        "x-amzn-kiro-agent-mode": "vibe", "amz-sdk-invocation-id": "i-1", "amz-sdk-request": "attempt=2; max=3",
    }  # fmt: skip


def test_address_target():
    got = address(BODY, SOCIAL, "http://127.0.0.1:1/", TARGET, invocation_id="i-1", attempt=5)
    assert got.url == "http://127.0.0.1:1/"
    assert json.loads(got.body) == {"conversationState": {}, "agentMode": "vibe", "profileArn": SOCIAL.profile}
    assert got.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert got.headers["x-amz-target"] == "KiroRuntimeService.GenerateAssistantResponse"
    assert got.headers["amz-sdk-request"] == "attempt=5; max=5"
    assert "x-amzn-kiro-agent-mode" not in got.headers


@pytest.mark.parametrize(("kind", "token_type"), [
    ("social", None), ("idc", "SSO_OIDC"), ("builder", "SSO_OIDC"), ("external", "EXTERNAL_IDP"), ("key", "API_KEY")])
def test_the_token_type(kind, token_type):
    got = address(BODY, replace(SOCIAL, kind=kind), "http://x", SHAPE, invocation_id="i")
    assert got.headers.get("tokentype") == token_type


@pytest.mark.parametrize(("login", "sent"), [
    pytest.param(SOCIAL, SOCIAL.profile, id="the login's own"),
    pytest.param(replace(SOCIAL, profile='a"b'), 'a"b', id="another"),
    pytest.param(replace(SOCIAL, profile=""), None, id="it has none"),
    pytest.param(KEY, None, id="a key sends none"),
])  # fmt: skip
def test_the_profile(login, sent):
    got = address(BODY, login, "http://x", SHAPE, invocation_id="i")
    assert json.loads(got.body).get("profileArn") == sent


# Ids


def nested(value, levels, wrap):
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("word", ["properties", "contains"], ids=["kept", "told"])
def test_references_may_make_a_schema_deeper_than_json_can_be(word):
    far = nested({"$ref": "#/$defs/far"}, 45, lambda value: {"type": "object", "properties": {"a": value}})
    schema = {"type": "object", "properties": {"x": {word: {"a": far} if word == "properties" else far}}}
    schema["$defs"] = {"far": {"enum": [nested(1, 180, lambda value: [value])]}}
    with pytest.raises(BadRequest, match=r"nested too deeply|can not be written as JSON"):
        prepared(replace(talk(user("hi")), tools=(Tool("t", "d", schema),)))
