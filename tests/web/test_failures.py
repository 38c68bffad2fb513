"""Whatever goes wrong inside: the caller's words, a status, and no traceback."""

import json
import logging
import time

import pytest
from werkzeug.exceptions import BadRequest, ImATeapot, RequestEntityTooLarge

from kirogw import observed
from kirogw.errors import GatewayError, QuotaUsed
from kirogw.web import failures
from kirogw.web.keeping import Passing
from kirogw.web.state import State
from kirogw.web.views import as_json
from tests.system.talk import FACES, PATHS, ask, failure, finished


@pytest.fixture
def broken(app):
    """A gateway with a part missing, as after a mistake of ours."""
    state: State = app.extensions["kirogw"]
    whole, state.gateway._asking = state.gateway._asking, None
    yield
    state.gateway._asking = whole


def test_halves_of_surrogate_pairs_leave_as_they_came(app):
    """In the name of a client's own tool: by that the client knows it."""
    body = {"name": "n\ud83d", "text": "\u2028é"}
    assert json.loads(as_json(body).data) == body


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_a_fault_of_our_own_is_a_500_without_details(client, broken, caplog, face, stream):
    with caplog.at_level(logging.ERROR, "kirogw"):
        logging.getLogger("kirogw").addHandler(caplog.handler)
        reply = client.post(PATHS[face], json=ask(stream=stream))
        logging.getLogger("kirogw").removeHandler(caplog.handler)
    assert (reply.status_code, reply.content_type) == (500, "application/json")
    assert reply.json["error"]["message"] == "the gateway itself failed; the log has the details under this request id"
    assert b"Traceback" not in reply.data and b"NoneType" not in reply.data
    # a logger that another test has left propagating gives a record to both handlers
    (said,) = {record.getMessage() for record in caplog.records if record.exc_info}
    assert reply.headers["request-id"] in said


@pytest.mark.parametrize("face", FACES)
def test_an_answer_has_its_line_whatever_fails_behind_it(app, client, face, monkeypatch):
    """The fault is planted."""
    monkeypatch.setattr(Passing, "left", None)
    reply = client.post(PATHS[face], json=ask(stream=True), buffered=False)
    assert finished(face, b"".join(reply.response))
    with pytest.raises(TypeError):
        reply.close()
    here = app.extensions["kirogw"]
    here.sync.flush()
    assert here.usage.requests(1)[0]["request"] == reply.headers["request-id"]


@pytest.mark.parametrize("face", FACES)
def test_a_fault_of_our_own_in_a_stream_is_told_in_band(client, twin, face, monkeypatch):
    """After the first word, when the status has gone out already. The fault is planted."""
    twin.script([[{"text": "one two three four five six", "pace": 0.02}]])
    reply = client.post(PATHS[face], json=ask(stream=True), buffered=False)
    chunks = iter(reply.response)
    data = next(chunks)
    monkeypatch.setattr(observed, "_note", None)
    data += b"".join(chunks)
    assert reply.status_code == 200
    assert "the gateway itself failed" in failure(data)["message"]
    assert not finished(face, data)


@pytest.mark.parametrize(("path", "headers", "face"), [
    ("/v1/messages", {}, "messages"), ("/v1/messages/count_tokens", {}, "messages"), ("/v1/chat/completions", {}, "chat"),
    ("/v1/models", {}, "chat"), ("/v1/models", {"anthropic-version": "2023-06-01"}, "messages"), ("/", {}, "chat"),
])  # fmt: skip
def test_whose_words(app, path, headers, face):
    with app.test_request_context(path, headers=headers):
        assert failures.face_of_request().name == face


@pytest.mark.parametrize(("error", "status"), [
    (RequestEntityTooLarge(), 413), (BadRequest("no"), 400), (ImATeapot("short and stout"), 400),
])  # fmt: skip
def test_what_flask_refuses(app, error, status):
    with app.test_request_context(PATHS["chat"]):
        app.preprocess_request()
        reply = failures.http_error(error)
    assert reply.status_code == status
    assert reply.json["error"]["type"] == "invalid_request_error"


def test_our_own_errors_pass_as_they_are(app):
    error = GatewayError("it rains")
    with app.test_request_context():
        assert failures.unexpected(error, "req_1") is error


def test_in_a_foreign_application_nothing_else_is_touched(client):
    """No cookies, no session, and only the headers that belong there."""
    reply = client.get("/health")
    assert set(reply.headers.keys()) == {"Content-Type", "Content-Length", "x-request-id", "request-id"}


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_codex_hears_when_a_limit_is_over(app, path):
    """By the clock, which is all that it shows."""
    with app.test_request_context(path, headers={"User-Agent": "codex_exec/0.169.0 (x) y"}):
        app.preprocess_request()
        before = int(time.time())
        error = failures.gateway_error(QuotaUsed("Used up.", wait=99.5)).json["error"]
    assert (error["type"], error["resets_in_seconds"]) == ("usage_limit_reached", 100)
    assert before + 100 <= error["resets_at"] <= int(time.time()) + 100
    with app.test_request_context(path, headers={"User-Agent": "other"}):
        app.preprocess_request()
        assert "resets_at" not in failures.gateway_error(QuotaUsed("Used up.", wait=99.5)).json["error"]
