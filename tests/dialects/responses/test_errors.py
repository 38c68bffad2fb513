import pytest

from kirogw import errors
from kirogw.dialects.responses.errors import error, failure
from tests.dialects.faults import below

ROWS = [
    # the error, the code of a response that failed, what Codex does
    pytest.param(errors.TooLong(tokens=9, limit=5), "context_length_exceeded", id="compacts"),
    pytest.param(errors.QuotaUsed("Used up.", wait=9), "insufficient_quota", id="quota stops"),
    pytest.param(errors.BadRequest("No."), "invalid_prompt", id="a bad request stops"),
    pytest.param(errors.NeedsLogin("Sign in."), "invalid_prompt", id="so does a login"),
    pytest.param(errors.Forbidden("Suspended."), "invalid_prompt", id="and an account that is refused"),
    pytest.param(errors.UnknownModel("No such model."), "invalid_prompt", id="and a model that is none"),
    pytest.param(errors.FormatMissed("Not as asked."), "invalid_prompt", id="asked for twice already"),
    pytest.param(errors.Busy("Slow down."), "rate_limit_exceeded", id="waits"),
    pytest.param(errors.Overloaded("Full."), "slow_down", id="asks again when there is no capacity"),
    pytest.param(errors.UpstreamFailed("It failed."), "server_error", id="asks again"),
    pytest.param(errors.BrokenAnswer("It broke off."), "server_error", id="asks again when it broke off"),
    pytest.param(errors.TimedOut("It was silent."), "server_error", id="asks again after silence"),
    pytest.param(errors.StoreAway("The store is away."), "server_error", id="asks again when the store is back"),
    pytest.param(errors.ShuttingDown("The gateway stops."), "server_error", id="asks the successor"),
    pytest.param(errors.GatewayError("A fault of ours."), "invalid_prompt", id="a fault of ours stops"),
]


@pytest.mark.parametrize(("fault", "code"), ROWS)
def test_failure(fault, code):
    said = failure(fault)
    assert set(said) == {"code", "message"}
    assert said["code"] == code
    assert str(fault).rstrip(".") in said["message"] or isinstance(fault, errors.TooLong)


@pytest.mark.parametrize(("wait", "seconds"), [(None, 5), (0, 1), (2.2, 3), (600, 30)])
def test_a_wait_is_in_the_words(wait, seconds):
    """Codex reads it there, and sleeps through a longer one without a word."""
    assert failure(errors.Busy("Slow down.", wait=wait))["message"] == f"Slow down. Please try again in {seconds}s."


def test_every_class_has_a_code():
    for cls in below(errors.GatewayError):
        assert failure(cls("x"))["code"]


def test_what_is_too_long_is_the_input():
    reply = error(errors.TooLong(tokens=9, limit=5), "codex", "")
    assert (reply.status, reply.body["error"]["param"], reply.body["error"]["code"]) == (400, "input", "context_length_exceeded")
    assert error(errors.BadRequest("No.", param="input.0.content.1.text"), "other", "").body["error"]["param"] == (
        "input[0].content[1].text")
