import pytest

from kirogw import errors
from kirogw.dialects.openai import error
from tests.dialects.faults import OURS

LONG = "This model's maximum context length is 5 tokens. However, your messages resulted in 9 tokens. " \
       "Please reduce the length of the messages."
ROWS = [
    # the error, what the client hears: status, type, code, param, message
    (errors.BadRequest("is bad", param="messages.0.content.1.text"), 400, "invalid_request_error", None,
     "messages[0].content[1].text", "'messages[0].content[1].text': is bad"),
    (errors.BadRequest("is bad", param="n"), 400, "invalid_request_error", None, "n", "'n': is bad"),
    (errors.UnsupportedThread("no", param="thread"), 400, "invalid_request_error", None, "thread", "'thread': no"),
    (errors.BadRequest("Bad."), 400, "invalid_request_error", None, None, "Bad."),
    (errors.TooLong(tokens=9, limit=5), 400, "invalid_request_error", "context_length_exceeded", "messages", LONG),
    (errors.TooLong("cut it"), 400, "invalid_request_error", "context_length_exceeded", "messages",
     "Your input exceeds the context window of this model: cut it"),
    (errors.NotKept("Gone.", param="previous_response_id"), 400, "invalid_request_error", "previous_response_not_found",
     "previous_response_id", "'previous_response_id': Gone."),
    (errors.BodyTooLarge("Large."), 413, "invalid_request_error", "request_too_large", None, "Large."),
    (errors.WrongKey("Key."), 401, "invalid_request_error", "invalid_api_key", None, "Key."),
    (errors.NotAllowed("Not yours.", param="model"), 403, "permission_error", "not_allowed", "model", "'model': Not yours."),
    (errors.NotFound("Not."), 404, "invalid_request_error", "not_found", None, "Not."),
    (errors.UnknownModel("Model."), 404, "invalid_request_error", "model_not_found", None, "Model."),
    (errors.WrongMethod("Method."), 405, "invalid_request_error", "method_not_allowed", None, "Method."),
    (errors.Busy("Busy."), 429, "requests", "rate_limit_exceeded", None, "Busy."),
    (errors.QuotaUsed("Quota."), 429, "insufficient_quota", "insufficient_quota", None, "Quota."),
    (errors.Overloaded("Over."), 503, "server_error", "slow_down", None, "Over."),
    (errors.NeedsLogin("Login."), 403, "permission_error", "login_required", None, "Login."),
    (errors.Forbidden("Forbidden."), 403, "permission_error", "account_refused", None, "Forbidden."),
    (errors.UpstreamFailed("Up."), 502, "server_error", "upstream_failed", None, "Up."),
    (errors.FormatMissed("Form."), 502, "server_error", "upstream_failed", None, "Form."),
    (errors.BrokenAnswer("Broken."), 502, "server_error", "broken_answer", None, "Broken."),
    (errors.TimedOut("Late."), 504, "server_error", "upstream_timeout", None, "Late."),
    (errors.Cancelled("Stopped."), 409, "invalid_request_error", "cancelled", None, "Stopped."),
    (errors.StoreAway("Away."), 503, "server_error", "store_failed", None, "Away."),
    (errors.ShuttingDown("Down."), 503, "server_error", "shutting_down", None, "Down."),
    (errors.GatewayError("Ours."), 500, "server_error", "internal_error", None, "Ours."),
]  # fmt: skip


@pytest.mark.parametrize(("raised", "status", "type_", "code", "param", "message"), ROWS, ids=lambda v: type(v).__name__)
def test_error(raised, status, type_, code, param, message):
    reply = error(raised, "other", "req_1")
    assert (reply.status, reply.body) == (
        status, {"error": {"message": message, "type": type_, "param": param, "code": code}},
    )  # fmt: skip


def test_every_error_has_its_row():
    assert {type(row[0]) for row in ROWS} == OURS


def test_only_our_errors_are_told():
    with pytest.raises(TypeError):
        error(ValueError("secret"), "other", "")


@pytest.mark.parametrize("client", ["claude", "codex", "opencode", "other"])
def test_nobody_hears_of_402(client):
    """Codex tries it again and again, the others stop without our words."""
    assert 402 not in {error(row[0], client, "").status for row in ROWS}


def test_quota_for_codex():
    """It stops with words of its own, and tells when to come back."""
    reply = error(errors.QuotaUsed("Used up.", wait=99.5), "codex", "")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "30")
    assert reply.body["error"] == {
        "message": "Used up.", "type": "usage_limit_reached", "param": None, "code": "usage_limit_reached",
        "resets_in_seconds": 100,
    }  # fmt: skip
    assert "resets_in_seconds" not in error(errors.QuotaUsed("Used up."), "codex", "").body["error"]


@pytest.mark.parametrize("cls", [errors.Forbidden, errors.NeedsLogin, errors.NotAllowed, errors.UnknownModel])
def test_what_lasts_ends_a_turn_of_codex(cls):
    """It asks a 401, 403 or 404 thirty times; the type and the code are those that others read."""
    told, others = error(cls("No."), "codex", ""), error(cls("No."), "other", "")
    assert (told.status, told.body) == (400, others.body)
    assert others.status in (403, 404)


def test_quota_for_opencode():
    reply = error(errors.QuotaUsed("Used up."), "opencode", "")
    assert (reply.status, reply.body["error"]["message"]) == (403, "Used up.")


@pytest.mark.parametrize("client", ["claude", "codex", "opencode", "other"])
def test_every_429_says_when(client):
    for row in ROWS:
        reply = error(row[0], client, "")
        assert reply.status != 429 or int(reply.headers["Retry-After"]) >= 1
