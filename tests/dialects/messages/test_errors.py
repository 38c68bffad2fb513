import anthropic
import orjson
import pytest

from kirogw import errors
from kirogw.dialects.messages.errors import error, error_body
from tests.loopback import read_request, server

ROWS = [
    # the error, what the client hears: status, type, message
    (errors.BadRequest("is bad", param="messages.0.role"), 400, "invalid_request_error", "messages.0.role: is bad"),
    (errors.BadRequest("Bad."), 400, "invalid_request_error", "Bad."),
    (errors.TooLong(tokens=9, limit=5), 400, "invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"),
    (errors.TooLong("cut it"), 400, "invalid_request_error", "prompt is too long: cut it"),
    (errors.BodyTooLarge("Large."), 413, "request_too_large", "Large."),
    (errors.WrongKey("Key."), 401, "authentication_error", "Key."),
    (errors.NotFound("Not."), 404, "not_found_error", "Not."),
    (errors.UnknownModel("Model."), 404, "not_found_error", "Model."),
    (errors.WrongMethod("Method."), 405, "invalid_request_error", "Method."),
    (errors.Busy("Busy."), 429, "rate_limit_error", "Busy."),
    (errors.QuotaUsed("Quota."), 429, "rate_limit_error", "Quota."),
    (errors.Overloaded("Over."), 529, "overloaded_error", "Over."),
    (errors.NeedsLogin("Login."), 403, "permission_error", "Login."),
    (errors.Forbidden("Forbidden."), 403, "permission_error", "Forbidden."),
    (errors.UpstreamFailed("Up."), 502, "api_error", "Up."),
    (errors.BrokenAnswer("Broken."), 502, "api_error", "Broken."),
    (errors.TimedOut("Late."), 504, "timeout_error", "Late."),
    (errors.ShuttingDown("Down."), 529, "overloaded_error", "Down."),
    (errors.GatewayError("Ours."), 500, "api_error", "Ours."),
]


@pytest.mark.parametrize(("raised", "status", "type_", "message"), ROWS, ids=lambda value: type(value).__name__)
def test_error(raised, status, type_, message):
    reply = error(raised, "other", "req_1")
    assert (reply.status, reply.body) == (
        status, {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"},
    )  # fmt: skip


def test_every_error_has_its_row():
    def below(cls):
        yield cls
        for inner in cls.__subclasses__():
            yield from below(inner)

    ours = {cls for cls in below(errors.GatewayError) if cls.__module__ == "kirogw.errors"}
    assert {type(row[0]) for row in ROWS} | {errors.UnsupportedThread} == ours


def test_only_our_errors_are_told():
    with pytest.raises(TypeError):
        error(ValueError("secret"), "other", "")


def test_quota_for_opencode():
    reply = error(errors.QuotaUsed("Used up until May."), "opencode", "req_1")
    assert (reply.status, reply.body["error"]) == (403, {"type": "permission_error", "message": "Used up until May."})


def test_in_a_stream_there_is_no_request_id():
    assert error_body(errors.Busy("b")) == {"type": "error", "error": {"type": "rate_limit_error", "message": "b"}}


def test_the_package_hears_that_there_are_no_threads():
    """Its tool runner acts on this code: it sends the whole conversation again, without a thread."""
    reply = error(errors.UnsupportedThread("no threads", param="thread"), "other", "req_1")
    body = orjson.dumps(reply.body)

    def refuse(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with (
        server(refuse) as port,
        anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="k", max_retries=0) as client,
        pytest.raises(anthropic.BadRequestError) as caught,
    ):
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    assert caught.value.error_code == "thread_unsupported_request"
    assert reply.body["error"]["details"]["unsupported"] == ["thread"]
