"""Any conversation that the packages' types allow is taken by the twin, or refused by us with the field's path: over the
whole road, from the client's HTTP to the upstream's.
"""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from kirogw.twin import Twin
from tests.dialects.conversations import PNG
from tests.dialects.test_reading import place
from tests.system.asks import TYPES, asks
from tests.system.running import running
from tests.system.within import before, post
from tests.twin import payloads

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
    return before(twin, tmp_path_factory.mktemp("home"), **SETTINGS)


@pytest.fixture(scope="module")
def gateway(twin):
    with running(twin, **SETTINGS) as gateway:
        yield gateway


def judge(twin, body, status, answer, seen):
    """A request was served, or refused by us for a field that it has."""
    assert twin.refusals == [], (twin.refusals, twin.seen()[-1].body)
    seen[status] += 1
    if status == 200:
        return
    error = answer["error"]
    assert status == 400, error
    param = error.get("param") or error["message"].partition(": ")[0]
    path = param.replace("[", ".").replace("]", "")
    value, missing = place(body, path)
    assert path, error
    assert len(missing) <= 1, f"{path} leads nowhere: {error}"
    if any(word in error["message"] for word in ("image", "document", "URL")) and path.startswith("messages"):
        assert "source" in path or value.get("type") in FILES, (path, value, error)


@pytest.mark.parametrize("kind", TYPES)
def test_the_twin_takes_any_conversation(twin, app, kind):
    seen = Counter()

    @WIDE
    @given(asks(kind))
    def check(ask):
        path, body = ask
        twin.service.journal.clear()
        status, _, data = post(app, path, body)
        judge(twin, body, status, json.loads(data), seen)

    check()
    assert seen[200] > 50 and seen[400] > 20, seen


@pytest.mark.parametrize("kind", TYPES)
def test_the_twin_takes_any_conversation_of_a_real_gateway(twin, gateway, kind):
    seen = Counter()

    @NARROW
    @given(asks(kind))
    def check(ask):
        path, body = ask
        twin.service.journal.clear()
        reply = gateway.post(path, body)
        judge(twin, body, reply.status_code, reply.json(), seen)

    check()
    assert seen[200] > 5, seen


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
