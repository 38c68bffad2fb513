from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro import faults
from kirogw.dialects.kiro.faults import LOST, TABLE, judge, judge_exception, lost
from kirogw.errors import GatewayError, QuotaUsed, TooLong, UnknownModel
from tests.dialects.opencode import asks_again

JSON = {"content-type": "application/x-amz-json-1.0"}


def said(message="", reason=None, type_=None, **members):
    body = {"message": message, "reason": reason, **members}
    return json.dumps({"__type": f"com.amazon.kiro.runtimeservice#{type_}", **body} if type_ else body).encode()


BUFFER = {"code": "validation_error", "message": "Failed to buffer the request body: length limit exceeded",
          "param": None, "type": "invalid_request_error"}  # fmt: skip
ROWS = [
    # status, body, the row, class of the error, status for the client
    pytest.param(400, said("Input is too long.", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"), "overflow", 400, id="too long"),
    pytest.param(400, said("?", "PROMPT_TOO_LONG"), "overflow", 400, id="prompt too long"),
    pytest.param(402, said("?", "CONVERSATION_LIMIT_EXCEEDED", "ServiceQuotaExceededException"), "overflow", 400,
                 id="conversation limit, as quota"),
    pytest.param(400, said("Input content length exceeds threshold"), "overflow", 400, id="too long, in words"),
    pytest.param(500, json.dumps({"error": BUFFER}).encode(), "overflow", 400, id="body buffer"),
    pytest.param(413, b"", "overflow", 400, id="413"),
    pytest.param(400, said("?", "THINKING_SIGNATURE_INVALID"), "signature", 400, id="signature"),
    pytest.param(400, said("Bedrock error message: The block is bound to a different conversation ... missing"),
                 "signature", 400, id="signature, in words"),
    pytest.param(400, said("additionalModelRequestFields is not supported for this model", "REQUEST_BODY_INVALID"),
                 "fields", 400, id="fields"),
    pytest.param(400, said("property 'temperature' is not defined in the schema"), "fields", 400, id="one field"),
    pytest.param(400, said("Invalid tool use format.", "REQUEST_BODY_INVALID"), "tool use format", 400, id="tool use"),
    pytest.param(400, said("profileArn is required for this request."), "profile", 403, id="profile missing"),
    pytest.param(400, said("Invalid profileArn."), "profile", 403, id="profile wrong"),
    pytest.param(403, said("Your User ID (d-90670b2e) temporarily is suspended. We've locked your account.",
                 "TEMPORARILY_SUSPENDED", "AccessDeniedException"), "suspended", 403, id="suspended"),
    pytest.param(403, said("?", "TemporarilySuspended"), "suspended", 403, id="suspended, spelled otherwise"),
    pytest.param(403, said("..is temporarily suspended. We detected unusual user activity.."), "suspended", 403,
                 id="suspended, in words"),
    pytest.param(423, b"", "suspended", 403, id="423"),
    pytest.param(402, b"", "quota", 429, id="402"),
    *(pytest.param(status, said("Too many requests, please wait before trying again.", reason, "ThrottlingException"),
                   "quota", 429, id=f"{reason} as {status}")
      for status in (400, 403, 429)
      for reason in ("MONTHLY_REQUEST_COUNT", "DAILY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED")),
    pytest.param(429, said("You have reached the limit.", None, "ThrottlingException"), "quota", 429,
                 id="quota, in words"),
    pytest.param(400, said("?", None, "ServiceQuotaExceededException"), "quota", 429, id="quota, by type"),
    pytest.param(400, said("?", "INSUFFICIENT_MODEL_CAPACITY", "ThrottlingException"), "capacity", 503,
                 id="capacity as 400"),
    pytest.param(500, said("?", "MODEL_TEMPORARILY_UNAVAILABLE", "InternalServerException"), "capacity", 503,
                 id="model unavailable"),
    pytest.param(429, said("?", "SERVICE_REQUEST_RATE_EXCEEDED"), "capacity", 503, id="service rate"),
    pytest.param(429, said("?", "INSUFFICIENT_THROUGHPUT"), "capacity", 503, id="throughput"),
    pytest.param(429, said("I am experiencing high traffic, please try again shortly."), "capacity", 503,
                 id="high traffic"),
    pytest.param(500, said("Encountered unexpectedly high load when processing the request, please try again."),
                 "capacity", 503, id="high load"),
    pytest.param(429, said("?", "CREDIT_CONSUMPTION_RATE_EXCEEDED"), "credit rate", 429, id="credit rate"),
    pytest.param(429, said("?", "USER_REQUEST_RATE_EXCEEDED"), "rate", 429, id="user rate"),
    pytest.param(402, said("?", "USER_REQUEST_RATE_EXCEEDED"), "rate", 429, id="the reason beats the status"),
    pytest.param(400, said("?", None, "ThrottlingException"), "rate", 429, id="throttling as 400"),
    pytest.param(400, said("Too many requests"), "rate", 429, id="rate, in words"),
    pytest.param(429, b"slow down", "rate", 429, id="429, no JSON"),
    pytest.param(403, b"<!DOCTYPE html><title>ERROR</title>The request could not be satisfied", "edge", 403,
                 id="an edge's page"),
    pytest.param(403, said("The bearer token included in the request is invalid"), "token", 401, id="bearer invalid"),
    pytest.param(403, said("Token expired"), "token", 401, id="token expired"),
    pytest.param(403, said("Invalid token"), "token", 401, id="invalid token"),
    pytest.param(403, said("?", None, "ExpiredTokenException"), "token", 401, id="token expired, by type"),
    pytest.param(401, b"", "token", 401, id="401"),
    pytest.param(403, said("?", "FEATURE_NOT_SUPPORTED", "AccessDeniedException"), "not activated", 403,
                 id="not activated"),
    pytest.param(404, said("?", None, "ResourceNotFoundException"), "not activated", 403, id="resource not found"),
    pytest.param(403, said("Your subscription does not support this application"), "plan", 403, id="plan"),
    pytest.param(403, said("User is not authorized to make this call."), "not authorized", 403, id="not authorized"),
    pytest.param(400, said("Invalid model", "INVALID_MODEL_ID", "ValidationException"), "model", 404, id="model"),
    pytest.param(400, said("Invalid model. Please select a different model."), "model", 404, id="model, in words"),
    pytest.param(400, said("?", "IMAGE_SIZE_EXCEEDED"), "image", 400, id="image"),
    pytest.param(400, said("?", "DOCUMENT_COUNT_EXCEEDED"), "document", 400, id="document"),
    pytest.param(400, said("?", "TOOL_USE_RESULT_MISMATCH"), "tools", 400, id="tools"),
    pytest.param(409, said("?", "CUSTOMER_KMS_KEY_DISABLED", "ConflictException"), "encryption", 400, id="key"),
    pytest.param(400, said("Improperly formed request.", "REQUEST_BODY_INVALID"), "malformed", 400, id="malformed"),
    pytest.param(404, said("?", None, "UnknownOperationException"), "wrong host", 502, id="unknown operation"),
    pytest.param(404, b"<html>", "wrong host", 502, id="404"),
    pytest.param(403, said("User is not authorized to access this feature."), "forbidden", 403, id="feature"),
    pytest.param(500, said("?", None, "AccessDeniedException"), "forbidden", 403, id="denied as 500"),
    pytest.param(403, b"", "forbidden", 403, id="403"),
    pytest.param(400, said("Bedrock error message: messages.3: something"), "invalid", 400, id="400"),
    pytest.param(409, b"", "invalid", 400, id="409"),
    pytest.param(422, b"", "invalid", 400, id="422"),
    pytest.param(500, said("?", None, "ValidationException"), "invalid", 400, id="validation as 500"),
    pytest.param(500, said("?", None, "ServiceUnavailableException"), "unavailable", 503, id="unavailable as 500"),
    pytest.param(503, b"<html>", "unavailable", 503, id="503"),
    pytest.param(502, b"<html>", "gateway", 502, id="502"),
    pytest.param(504, b"", "gateway", 502, id="504"),
    pytest.param(500, said("Encountered an unexpected error when processing the request, please try again."),
                 "server", 502, id="500"),
    pytest.param(599, b"", "server", 502, id="599"),
    pytest.param(408, b"", "server", 502, id="408"),
    pytest.param(302, b"", "strange", 502, id="302"),
    pytest.param(200, b'{"output":{}}', "strange", 502, id="200 that is no stream"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "row", "heard"), ROWS)
def test_a_reply_is_judged(status, body, row, heard):
    verdict = judge(status, JSON, body, model="claude-sonnet-4.6")
    assert (verdict.rule, verdict.error.status) == (row, heard)


def test_every_row_is_met():
    assert {row.values[2] for row in ROWS} == {row.name for row in TABLE} | {"strange"}
    assert len({row.name for row in TABLE}) == len(TABLE)


ACTIONS = {
    # row: again, tries, waits, host, elsewhere, fate (kiro 5.6; hosts by 0.1 and quirk 49)
    "overflow": ("", 0, (0, 0), False, False, ""),
    "signature": ("unsealed", 1, (0, 0), False, False, ""),
    "fields": ("plain", 1, (0, 0), False, False, ""),
    "tool use format": ("same", 1, (0, 0), False, False, ""),
    "profile": ("profile", 1, (0, 0), False, True, "attention"),
    "suspended": ("", 0, (0, 0), False, True, "suspended"),
    "quota": ("", 0, (0, 0), False, True, "exhausted"),
    "capacity": ("same", 2, (2, 5), False, False, ""),
    "credit rate": ("", 0, (0, 0), False, True, "slow"),
    "rate": ("same", 1, (8, 8), False, True, "slow"),
    "edge": ("", 0, (0, 0), True, True, ""),
    "token": ("refresh", 1, (0, 0), False, True, "attention"),
    "not activated": ("profile", 1, (0, 0), False, True, "attention"),
    "plan": ("", 0, (0, 0), False, True, "attention"),
    "not authorized": ("profile", 1, (0, 0), False, True, "attention"),
    "model": ("", 0, (0, 0), False, True, "lacks"),
    "image": ("", 0, (0, 0), False, False, ""),
    "document": ("", 0, (0, 0), False, False, ""),
    "tools": ("", 0, (0, 0), False, False, ""),
    "encryption": ("", 0, (0, 0), False, False, ""),
    "malformed": ("", 0, (0, 0), False, False, ""),
    "wrong host": ("", 0, (0, 0), True, False, ""),
    "forbidden": ("", 0, (0, 0), False, True, "attention"),
    "invalid": ("", 0, (0, 0), False, False, ""),
    "unavailable": ("same", 2, (2, 5), True, True, ""),
    "gateway": ("same", 3, (1, 4), True, True, ""),
    "server": ("same", 3, (1, 4), False, True, ""),
    "strange": ("", 0, (0, 0), True, True, ""),
    "connect": ("same", 3, (0.5, 2), True, True, ""),
    "proxy": ("same", 2, (0.5, 2), False, False, ""),
    "reset": ("same", 3, (0.5, 2), False, True, ""),
    "timeout": ("", 0, (0, 0), True, True, ""),
    "first_token": ("same", 1, (0.5, 2), False, False, ""),
    "idle": ("same", 1, (0.5, 2), False, False, ""),
    "damaged": ("same", 2, (0.5, 2), False, True, ""),
    "cut": ("same", 2, (0.5, 2), False, True, ""),
    "empty": ("same", 2, (1, 4), False, True, ""),
}


@pytest.mark.parametrize("row", [*TABLE, faults.STRANGE, *LOST.values()], ids=lambda row: row.name)
def test_what_is_done(row):
    assert (row.again, row.tries, row.waits, row.host, row.elsewhere, row.fate) == ACTIONS[row.name]
    assert bool(row.again) == bool(row.tries)


@pytest.mark.parametrize("row", [*TABLE, faults.STRANGE, *LOST.values()], ids=lambda row: row.name)
def test_the_words_are_two_sentences(row):
    for text in (row.says, row.advice):
        assert text[0].isupper() and not text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("row", [*TABLE, faults.STRANGE, *LOST.values()], ids=lambda row: row.name)
def test_opencode_asks_again_for_what_passes_and_for_nothing_else(row):
    assert asks_again(f"{row.says}. {row.advice}.") == row.error.passes
    assert row.error.passes == (row.error.status >= 429 and row.error is not QuotaUsed)


@pytest.mark.parametrize("words", [
    "Too many requests, please wait before trying again.", "The model is temporarily unavailable.", "Please try again in 5 s.",
    "Connection timed out", "internal server error",
])  # fmt: skip
def test_kiros_own_words_do_not_make_opencode_ask_again(words):
    for reason in ("MONTHLY_REQUEST_COUNT", "TEMPORARILY_SUSPENDED", "INVALID_MODEL_ID", "IMAGE_SIZE_EXCEEDED"):
        heard = str(judge(400, JSON, said(words, reason)).error)
        assert not asks_again(heard)
        assert "Kiro says" not in heard
    assert words.rstrip(".") in str(judge(429, JSON, said(words, "USER_REQUEST_RATE_EXCEEDED")).error)


def test_all_rows_have_their_actions():
    assert set(ACTIONS) == {row.name for row in TABLE} | {"strange"} | set(LOST)


@pytest.mark.parametrize(("kind", "status"), [
    ("connect", 502), ("proxy", 502), ("reset", 502), ("timeout", 504), ("first_token", 504), ("idle", 504),
    ("damaged", 502), ("cut", 502), ("empty", 503), ("something new", 502),
])  # fmt: skip
def test_a_lost_call(kind, status):
    verdict = lost(kind)
    assert verdict.rule == (kind if kind in LOST else "reset")
    assert verdict.error.status == status
    assert str(verdict.error).count(". ") == 1


EXCEPTIONS = [
    ("ThrottlingException", b'{"message":"slow"}', "rate"),
    ("com.amazon.aws.codewhisperer#ThrottlingException:http://x/", b"{}", "rate"),
    ("InternalServerException", b"{}", "server"),
    ("InternalServerException", b'{"message":"Encountered unexpectedly high load when processing"}', "capacity"),
    ("ValidationException", b'{"reason":"CONTENT_LENGTH_EXCEEDS_THRESHOLD"}', "overflow"),
    ("ValidationException", b"{}", "invalid"),
    ("AccessDeniedException", b'{"message":"Invalid token"}', "token"),
    ("AccessDeniedException", b"{}", "forbidden"),
    ("ServiceUnavailableException", b"{}", "unavailable"),
    ("ServiceQuotaExceededException", b"{}", "quota"),
    ("ContentLengthExceededException", b"{}", "overflow"),
    ("modelTemporarilyUnavailableEvent", b'{"message":"x","recommendedModel":"y"}', "capacity"),
    ("modelUnavailableEvent", b"{}", "capacity"),
    ("invalidStateEvent", b'{"reason":"INVALID_TASK_ASSIST_PLAN","message":"x"}', "server"),
    ("BrandNewException", b"{}", "strange"),
    ("SomeCode", b"a bare message", "strange"),
    ("", b"", "strange"),
]


@pytest.mark.parametrize(("type_", "payload", "row"), EXCEPTIONS)
def test_an_exception_is_judged(type_, payload, row):
    assert judge_exception(type_, payload).rule == row


def test_the_type_of_the_header_counts():
    assert judge(500, {"x-amzn-errortype": "ThrottlingException:http://internal"}, b"{}").rule == "rate"


HINTS = [
    # headers, members of the body, seconds
    ({"retry-after": "12"}, {}, 12),
    ({"retry-after": "1.5"}, {}, 1.5),
    ({}, {"retryAfterMilliseconds": 300000}, 300),
    ({}, {"retryAfterMilliseconds": "2500"}, 2.5),
    ({"retry-after": "10"}, {"retryAfterMilliseconds": 20000}, 20),
    ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, 30),
    ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, {}, None),
    ({"retry-after": "Wed, 21 Oct 2026 07:28:30", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
    ({"retry-after": "soon"}, {}, None),
    ({"retry-after": "-1"}, {}, None),
    ({"retry-after": "nan"}, {"retryAfterMilliseconds": True}, None),
    ({"retry-after": "1e999"}, {"retryAfterMilliseconds": [1]}, None),
    ({"retry-after": "99999999999"}, {}, 31 * 86400),
]


@pytest.mark.parametrize(("headers", "members", "seconds"), HINTS)
def test_hints_are_obeyed_and_passed_on(headers, members, seconds):
    verdict = judge(429, headers, said("?", "USER_REQUEST_RATE_EXCEEDED", **members))
    assert verdict.error.wait == (8.0 if seconds is None else seconds)
    assert verdict.waits == (max(8.0, seconds or 0), max(8.0, seconds or 0))


def test_the_clients_words():
    error = judge(403, {"x-amzn-requestid": "r-1"}, said(
        "Your User ID (d-90670b2e44) temporarily\n is suspended.", "TEMPORARILY_SUSPENDED",
    )).error  # fmt: skip
    assert str(error) == (
        "Kiro has locked this account (Kiro says: \"Your User ID ... temporarily is suspended\"). "
        "Its owner can ask at https://support.aws.amazon.com/#/contacts/kiro."
    )
    assert error.upstream_id == "r-1"
    unknown = judge(400, {}, said("", "INVALID_MODEL_ID"), model="claude-{x}").error
    assert isinstance(unknown, UnknownModel)
    assert str(unknown) == (
        "Kiro does not know the model claude-{x}, or the account may not use it. GET /v1/models lists those that work."
    )


def test_no_secret_and_no_flood_in_the_words():
    secrets = ["aoaAAAAAGh1234567890abcdef", "ksk_0123456789abcdef", "me@example.org",
               "arn:aws:codewhisperer:us-east-1:111122223333:profile/ABC", "eyJhbGciOi.eyJzdWIiOiIx.c2ln",
               "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"]  # fmt: skip
    text = str(judge(400, {}, said("bad: " + " ".join(secrets) + " and " + "words " * 900)).error)
    assert not any(secret in text for secret in secrets)
    assert len(text) < 400
    assert "Kiro says" not in str(judge(502, {"content-type": "text/html"}, b"<html>secret").error)


FIGURES = [
    ("prompt is too long: 205,000 tokens > 200000 maximum", 205000, 200000),
    ("input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease", 222000, 200000),
    ("Input is too long.", None, None),
]


@pytest.mark.parametrize(("message", "tokens", "limit"), FIGURES)
def test_an_overflow_has_its_figures(message, tokens, limit):
    error = judge(400, {"x-amzn-requestid": "r"}, said(message)).error
    assert isinstance(error, TooLong)
    assert (error.tokens, error.limit, error.upstream_id) == (tokens, limit, "r")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6,
)  # fmt: skip
NAMES = st.sampled_from(["message", "Message", "reason", "__type", "type", "error", "retryAfterMilliseconds", "code"])
BODIES = st.binary(max_size=80) | st.dictionaries(NAMES, VALUES | st.sampled_from([
    "INVALID_MODEL_ID", "Too many requests", "x#ThrottlingException:y", "5 tokens > 4", "#", "{model}",
]), max_size=5).map(lambda body: json.dumps(body).encode())  # fmt: skip
FIELDS = st.sampled_from(["content-type", "retry-after", "date", "x-amzn-errortype", "x-amzn-requestid"])
HEADERS = st.dictionaries(FIELDS, st.text(max_size=40))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 999), HEADERS, BODIES, st.text(max_size=10))
def test_anything_gets_a_verdict(status, headers, body, model):
    for verdict in (judge(status, headers, body, model=model), judge_exception(model, body)):
        assert isinstance(verdict.error, GatewayError)
        assert verdict.rule in ACTIONS
        assert verdict.waits[0] <= verdict.waits[1]
        assert verdict.error.wait is None or 0 <= verdict.error.wait <= 31 * 86400
