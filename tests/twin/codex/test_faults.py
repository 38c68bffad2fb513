"""Each fault as it shows on the wire."""

import base64
import json
import time

import pytest
import requests

from kirogw.twin.codex import CodexTwin
from kirogw.twin.codex.mishaps import NAMED
from tests.twin.codex import payloads as p

SCRIPT = [{"steps": [{"text": "one two three four five six seven"}], "repeat": True}]
ANSWERS = {name: fault for name, fault in NAMED.items() if "status" in fault}
STREAMS = {name: fault for name, fault in NAMED.items() if "exception" in fault or "error" in fault}
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.ConnectionError)


@pytest.fixture
def twin():
    with CodexTwin(script=SCRIPT) as running:
        yield running


def send(twin, fault):
    if fault.get("operation") == "auth":
        asked = {"grant_type": "refresh_token", "refresh_token": twin.account.refresh_token, "client_id": twin.account.client_id}
        return requests.post(f"{twin.url}/oauth/token", json=asked, timeout=60)
    return p.ask(twin)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(twin, name):
    """Each status, once; the next request is served."""
    fault = ANSWERS[name]
    twin.faults.add(name)
    reply = send(twin, fault)
    assert (reply.status_code, twin.requests[-1].fault) == (fault["status"], name)
    if "detail" in fault:
        assert reply.json() == {"detail": fault["detail"]}
    elif "body" in fault:
        assert reply.text == fault["body"]
    else:
        error = reply.json()["error"]
        assert (error["code"], error["type"], error["message"]) == (fault["code"], fault["type"], fault["message"])
    assert set(fault.get("headers", {}).items()) <= set(reply.headers.items())
    assert send(twin, fault).status_code == 200


def test_a_quota_tells_its_time(twin):
    twin.faults.add("usage_limit_reached", more={"resets_in_seconds": 90})
    assert abs(p.ask(twin).json()["error"]["resets_at"] - time.time() - 90) < 30


def test_a_code_in_the_header(twin):
    twin.faults.add("code_in_header")
    said = json.loads(base64.b64decode(p.ask(twin).headers["x-error-json"]))
    assert said["error"]["code"] == "token_invalidated"


@pytest.mark.parametrize("name", STREAMS)
def test_failures_inside_of_an_answer(twin, name):
    """Those called first_ come before any output, the others after the first words."""
    twin.faults.add(name)
    found = p.said(twin)
    last = found[-1]
    told = last["response"]["error"] if last["type"] == "response.failed" else last.get("error", last)
    wanted = NAMED[name].get("exception") or NAMED[name]["error"].get("error", NAMED[name]["error"])
    assert (told["code"], told["message"]) == (wanted["code"], wanted["message"])
    assert ("response.output_item.added" in p.kinds(found)) is name.startswith("late_")
    assert p.kinds(p.said(twin))[-1] == "response.completed"


@pytest.mark.parametrize(("name", "last"), [
    ("no_end", "response.output_item.done"), ("no_handshake", "response.completed"), ("no_deltas", "response.completed"),
    ("sliced", "response.completed"), ("cut_clean", "response.output_text.delta"),
])  # fmt: skip
def test_streams_that_end_well_but_are_not_whole(twin, name, last):
    twin.faults.add(name)
    found = p.said(twin)
    assert p.kinds(found)[-1] == last
    assert not {"response.created"} & set(p.kinds(found)) or name != "no_handshake"
    assert "response.output_text.delta" not in p.kinds(found) or name != "no_deltas"


@pytest.mark.parametrize("name", ["cut_open", "cut_reset", "cut_bytes", "only_handshake", "hangup", "reset"])
def test_connections_that_break(twin, name):
    twin.faults.add(name)
    with pytest.raises(BROKEN):
        p.ask(twin)
    assert p.ask(twin).status_code == 200


@pytest.mark.parametrize(("name", "kind"), [("json_for_stream", "application/json"), ("html_for_stream", "text/html")])
def test_what_is_no_stream(twin, name, kind):
    twin.faults.add(name)
    reply = p.ask(twin)
    assert (reply.status_code, reply.headers["content-type"], reply.text) == (200, kind, NAMED[name]["body"])


def test_nothing_at_all(twin):
    twin.faults.add("empty")
    assert p.ask(twin).text == ""


def test_an_event_that_can_not_be_read(twin):
    twin.faults.add("bad_payload")
    with pytest.raises(json.JSONDecodeError):
        p.said(twin)


@pytest.mark.parametrize("name", ["slow_headers", "stall"])
def test_waits(twin, name):
    twin.faults.add(name, **{"slow" if name == "slow_headers" else "stall": 0.2})
    begun = time.monotonic()
    assert p.said(twin)
    assert time.monotonic() - begun >= 0.2


def test_a_refresh_whose_answer_is_lost(twin):
    """The token is spent all the same."""
    twin.faults.add("refresh_lost")
    with pytest.raises(BROKEN):
        send(twin, {"operation": "auth"})
    assert [(entry.outcome, entry.delivered) for entry in twin.ledger] == [("ok", False)]


@pytest.mark.parametrize("what", [{"account": "codex-2"}, {"match": "needle"}, {"after": 1}, {"operation": "models"}])
def test_which_requests_meet_it(twin, what):
    other = twin.add_account("codex")
    twin.faults.add("overloaded", **what)
    sent = [p.ask(twin).status_code, p.ask(twin, account=other).status_code, p.ask(twin, p.body(p.user("needle"))).status_code]
    wanted = {"account": [200, 503, 200], "match": [200, 200, 503], "after": [200, 503, 200], "operation": [200, 200, 200]}
    assert sent == wanted[next(iter(what))]


def test_how_often(twin):
    twin.faults.add("overloaded", count=2)
    assert [p.ask(twin).status_code for _ in range(3)] == [503, 503, 200]


def test_each_name_is_tried():
    tried = {*ANSWERS, *STREAMS, "no_end", "no_handshake", "no_deltas", "sliced", "cut_clean", "cut_open", "cut_reset", "cut_bytes",
             "only_handshake", "hangup", "reset", "json_for_stream", "html_for_stream", "empty", "bad_payload", "slow_headers",
             "stall", "refresh_lost"}  # fmt: skip
    assert set(NAMED) == tried


@pytest.mark.parametrize("what", [{"name": "no_such"}, {"status": 500, "reason_": "x"}])
def test_what_is_no_fault(twin, what):
    with pytest.raises(ValueError, match="fault"):
        twin.faults.add(**what)
