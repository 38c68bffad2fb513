import anthropic
import orjson
import pytest

from kirogw import errors
from kirogw.answer import CallDelta, CallStart, Stop, TextDelta, collect
from kirogw.conversation import Result
from kirogw.dialects.messages import FACE
from kirogw.dialects.messages.errors import error, error_body
from tests.dialects.answers import HEADING
from tests.dialects.faults import OURS
from tests.loopback import read_request, server

ROWS = [
    # the error, what the client hears: status, type, message
    (errors.BadRequest("is bad", param="messages.0.role"), 400, "invalid_request_error", "messages.0.role: is bad"),
    (errors.BadRequest("Bad."), 400, "invalid_request_error", "Bad."),
    (errors.TooLong(tokens=9, limit=5), 400, "invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"),
    (errors.TooLong("cut it"), 400, "invalid_request_error", "prompt is too long: cut it"),
    (errors.NotKept("Gone."), 400, "invalid_request_error", "Gone."),
    (errors.BodyTooLarge("Large."), 413, "request_too_large", "Large."),
    (errors.WrongKey("Key."), 401, "authentication_error", "Key."),
    (errors.NotAllowed("Not yours.", param="model"), 403, "permission_error", "model: Not yours."),
    (errors.NotFound("Not."), 404, "not_found_error", "Not."),
    (errors.UnknownModel("Model."), 404, "not_found_error", "Model."),
    (errors.WrongMethod("Method."), 405, "invalid_request_error", "Method."),
    (errors.Busy("Busy."), 429, "rate_limit_error", "Busy."),
    (errors.QuotaUsed("Quota."), 429, "rate_limit_error", "Quota."),
    (errors.Overloaded("Over."), 529, "overloaded_error", "Over."),
    (errors.NeedsLogin("Login."), 403, "permission_error", "Login."),
    (errors.Forbidden("Forbidden."), 403, "permission_error", "Forbidden."),
    (errors.UpstreamFailed("Up."), 502, "api_error", "Up."),
    (errors.FormatMissed("Form."), 502, "api_error", "Form."),
    (errors.BrokenAnswer("Broken."), 502, "api_error", "Broken."),
    (errors.TimedOut("Late."), 504, "timeout_error", "Late."),
    (errors.Cancelled("Stopped."), 500, "api_error", "Stopped."),
    (errors.StoreAway("Away."), 529, "overloaded_error", "Away."),
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
    assert {type(row[0]) for row in ROWS} | {errors.UnsupportedThread} == OURS


def test_only_our_errors_are_told():
    with pytest.raises(TypeError):
        error(ValueError("secret"), "other", "")


def test_quota_for_opencode():
    reply = error(errors.QuotaUsed("Used up until May."), "opencode", "req_1")
    assert (reply.status, reply.body["error"]) == (403, {"type": "permission_error", "message": "Used up until May."})


def test_in_a_stream_there_is_no_request_id():
    assert error_body(errors.Busy("b")) == {"type": "error", "error": {"type": "rate_limit_error", "message": "b"}}


class Answering:
    """Reads each request as the face does, and answers it or says what is wrong with it."""

    def __init__(self):
        self.statuses = []

    def __call__(self, connection):
        while True:
            _, body = read_request(connection)
            try:
                asked = FACE.read(orjson.loads(body), {})
                self.send(connection, 200, FACE.whole(collect(self.events(asked.conversation)), HEADING, asked))
            except errors.GatewayError as refused:
                told = error(refused, "other", "req_1")
                self.send(connection, told.status, told.body)

    def events(self, conversation):
        if any(isinstance(part, Result) for turn in conversation.turns for part in turn.parts):
            return [TextDelta(0, "Done."), Stop("end")]
        return [CallStart(0, "t1", "add"), CallDelta(0, "{}"), Stop("calls")]

    def send(self, connection, status, body):
        self.statuses.append(status)
        data = orjson.dumps(body)
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)


def client(port):
    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="k", max_retries=0)


def test_the_package_hears_that_there_are_no_threads():
    with server(Answering()) as port, client(port) as package, pytest.raises(anthropic.BadRequestError) as caught:
        package.beta.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}], thread={"type": "create"}
        )
    assert caught.value.error_code == "thread_unsupported_request"
    assert caught.value.body["error"]["details"]["unsupported"] == ["thread"]


def test_the_tool_runner_of_the_package_goes_on_without_threads():
    """It begins with a thread; on our code it sends the whole conversation again, and the loop goes to its end."""
    calls, upstream = [], Answering()

    @anthropic.beta_tool
    def add() -> str:
        """Adds."""
        calls.append(1)
        return "1"

    with server(upstream) as port, client(port) as package:
        runner = package.beta.messages.tool_runner(
            model="m", max_tokens=9, tools=[add], messages=[{"role": "user", "content": "Add"}]
        )
        assert (runner.until_done().content[0].text, calls) == ("Done.", [1])
    assert upstream.statuses == [400, 200, 200]
