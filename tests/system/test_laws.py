"""Any conversation that the packages' types allow is taken by the twin, or refused by us with the field's path: over the
whole road, from the client's HTTP to the upstream's.
"""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirogw.twin import Twin
from tests.dialects.conversations import PNG
from tests.dialects.test_reading import place
from tests.system.asks import TYPES, asks
from tests.system.running import running
from tests.system.said import FORMS, IDS, results, said, say, tool, user
from tests.system.talk import PATHS
from tests.system.within import Inside, before, post
from tests.twin.kiro import payloads

ANSWER = [{"steps": [{"text": "Well."}, {"stop": "MAX_TOKENS"}], "repeat": True}]
"""An answer that was cut at its limit: then nobody asks whether it is the JSON that was asked for."""
SETTINGS = {"FETCH_IMAGE_URLS": "false"}
FILES = {"image", "image_url", "file", "document"}
WIDE = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
NARROW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def twin():
    with Twin(accounts=["api_key"], keep=10) as twin:
        twin.script(ANSWER)
        yield twin


@pytest.fixture(scope="module")
def app(twin, tmp_path_factory):
    app = before(twin, tmp_path_factory.mktemp("home"), **SETTINGS)
    yield app
    app.extensions["kirogw"].close()


@pytest.fixture(scope="module")
def gateway(twin):
    with running(twin, **SETTINGS) as gateway:
        yield gateway


def judge(twin, path, body, reply, seen):
    """A request was served, or refused by us for a field that it has."""
    assert twin.refusals == [], (twin.refusals, twin.seen()[-1].body)
    seen[reply.status_code] += 1
    if reply.status_code == 200:
        face = "messages" if path == PATHS["messages"] else "chat"
        assert said(face, reply).error is None
        return
    error = reply.json()["error"]
    assert reply.status_code == 400, error
    param = error.get("param") or error["message"].partition(": ")[0]
    at = param.replace("[", ".").replace("]", "")
    value, missing = place(body, at)
    assert at, error
    assert len(missing) <= 1, f"{at} leads nowhere: {error}"
    if any(word in error["message"] for word in ("image", "document", "URL")) and at.startswith("messages"):
        assert "source" in at or value.get("type") in FILES, (at, value, error)


@pytest.mark.parametrize("kind", TYPES)
def test_the_twin_takes_any_conversation(twin, app, kind):
    seen = Counter()

    @WIDE
    @given(asks(kind), st.booleans())
    def check(ask, stream):
        path, body = ask[0], {**ask[1], "stream": stream}
        twin.service.journal.clear()
        judge(twin, path, body, Inside(app).post(path, body), seen)

    check()
    assert seen[200] > 50 and seen[400] > 20, seen


@pytest.mark.parametrize("kind", TYPES)
def test_the_twin_takes_any_conversation_of_a_real_gateway(twin, gateway, kind):
    seen = Counter()

    @NARROW
    @given(asks(kind), st.booleans())
    def check(ask, stream):
        path, body = ask[0], {**ask[1], "stream": stream}
        twin.service.journal.clear()
        judge(twin, path, body, gateway.post(path, body), seen)

    check()
    assert seen[200] > 5, seen


# Whatever the upstream says can be sent back to it


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
INPUTS = st.dictionaries(TEXTS, st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=4), max_size=3)
STEPS = st.lists(st.one_of(
    st.fixed_dictionaries({"text": TEXTS}, optional={"pieces": st.integers(1, 5)}),
    st.fixed_dictionaries({"thinking": TEXTS.filter(bool)}),  # of two seals in a row nobody could tell that they are two
    st.fixed_dictionaries({"thinking": TEXTS, "sealed": st.just(False), "text": TEXTS.filter(bool)}),
    st.fixed_dictionaries({"redacted": TEXTS}),
    st.fixed_dictionaries({"tool": st.sampled_from(["read", "write"]), "input": INPUTS}, optional={"whole": st.booleans()}),
    st.fixed_dictionaries({"tool": st.just("read"), "input": TEXTS, "finished": st.booleans()}),
    st.fixed_dictionaries({"stop": st.sampled_from([None, "END_TURN", "TOOL_USE", "MAX_TOKENS", "CONTENT_FILTERED", "PAUSE_TURN", "NEW"])}),
), max_size=6)  # fmt: skip
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
def test_what_the_upstream_said_it_takes_back(twin, app, face, stream):
    """An agent's loop over any answers: the client keeps each, runs the calls and asks on; nothing of it is malformed."""
    seen = Counter()
    more = {"tools": [tool(face, "read"), tool(face, "write")], **({"thinking": {"type": "adaptive"}} if face == "messages" else {})}

    @MANY
    @given(st.lists(STEPS, min_size=2, max_size=3))
    def check(answers):
        twin.service.journal.clear()
        twin.script([{"steps": steps, "tools": False} for steps in answers])
        asked = [user("Go.")]
        for _ in answers:
            answer = say(Inside(app), face, stream, messages=asked, **more)
            assert twin.refusals == [], (twin.refusals, twin.seen()[-1].body)
            seen["failed" if answer.status != 200 or answer.error else answer.stop] += 1
            if answer.status != 200 or answer.error:
                assert answer.status in (200, 502, 503), answer.error  # an answer that is none
                break
            asked += [answer.back, *(results(face, *((id, "done") for id, _, _ in answer.calls)) if answer.calls else [user("And?")])]

    try:
        check()
    finally:
        twin.script(ANSWER)
    assert seen["tool_use" if face == "messages" else "tool_calls"] > 10, seen


BAD = {"url": "data:image/png;base64,AAAA"}
TALL = {"url": "https://example.org/a.png"}
CALLS = [{"id": id, "type": "function", "function": {"name": "see", "arguments": "{}"}} for id in "ab"]
PLACES = [
    # a picture that is none, or that may not be fetched, where the client's messages are not our turns
    pytest.param("/v1/chat/completions", [
        {"role": "system", "content": "Look."}, {"role": "developer", "content": "Well."},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "image_url", "image_url": BAD}]},
    ], "messages[2].content[1]", id="chat, behind the system text"),
    pytest.param("/v1/chat/completions", [
        {"role": "user", "content": "See."}, {"role": "assistant", "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "a", "content": "none"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "image_url", "image_url": TALL}]},
    ], "messages[3].content[0]", id="chat, in the second result"),
    pytest.param("/v1/messages", [
        {"role": "system", "content": []},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [
            {"type": "text", "text": ""}, {"type": "image", "source": {"type": "url", **BAD}}]}]},
    ], "messages.1.content.0.content.1", id="messages, in a result"),
    pytest.param("/v1/messages", [
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "document", "source": {
            "type": "base64", "media_type": "application/x-thing", "data": PNG}}]},
    ], "messages.0.content.1", id="messages, a file"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "messages", "at"), PLACES)
def test_what_is_wrong_with_a_file_is_told_with_its_place(app, path, messages, at):
    status, _, data = post(app, path, {"model": "claude-sonnet-4.6", "max_tokens": 9, "messages": messages})
    error = json.loads(data)["error"]
    assert (status, error.get("param", at)) == (400, at)
    assert error["message"].replace("'", "").startswith(f"{at}: ")


@pytest.mark.refuses("origin")
def test_every_test_hears_what_a_twin_refuses(request):
    """The check that holds for all tests (tests/conftest.py), also when the twin has been told to forget."""
    with Twin(open=True) as other:
        payloads.ask(other, payloads.payload(payloads.user(origin="GATEWAY")))
        assert [refusal.row for refusal in other.refusals] == ["origin"]
        other.reset()
        assert other.refusals == []
    (hears,) = [plugin.heard for plugin in request.config.pluginmanager.get_plugins() if hasattr(plugin, "heard")]
    assert [refusal.row for refusal in hears] == ["origin"]
