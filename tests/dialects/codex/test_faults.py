from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.codex import faults
from kirogw.dialects.codex.faults import LOST, TABLE, judge, judge_event, lost
from kirogw.errors import GatewayError, QuotaUsed
from tests.dialects.opencode import asks_again

JSON = {"content-type": "application/json"}
PAGE = b"<!DOCTYPE html><html>Enable JavaScript and cookies to continue<script>window._cf_chl_opt={}</script>"


def error(code=None, message="It failed.", type_="invalid_request_error", **members):
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code, **members}}).encode()


def detail(said):
    return json.dumps({"detail": said}).encode()


ROWS = [
    # status, body, the row, status for the client
    pytest.param(400, error("invalid_encrypted_content"), "sealed", 400, id="sealed"),
    pytest.param(400, error(None, "Item 'rs_1' of type 'reasoning' was provided without its required following item."), "sealed", 400,
                 id="a thought without what it made"),
    pytest.param(400, error("invalid_request_error", "The encrypted content could not be verified."), "sealed", 400, id="sealed, in words"),
    pytest.param(400, error(None, "X-OpenAI-Internal-Codex-Responses-Lite requires parallel_tool_calls to be false."), "form", 400,
                 id="lite, parallel"),
    pytest.param(400, detail("This model is not supported when using X-OpenAI-Internal-Codex-Responses-Lite."), "form", 400,
                 id="lite for another model"),
    pytest.param(400, error("unsupported_value", "reasoning.context must be 'all_turns' for this model."), "form", 400, id="classic for lite"),
    pytest.param(400, error(None, "Lite only supports function tools, custom tools, and client-executed tool search."), "form", 400,
                 id="a hosted tool in lite"),
    pytest.param(400, error("subscription_sharing_unsupported_capability", param="tools"), "form", 400, id="siwc, a capability"),
    pytest.param(400, error("context_length_exceeded"), "overflow", 400, id="too long"),
    pytest.param(400, error(None, "Your input exceeds the context window of this model."), "overflow", 400, id="too long, in words"),
    pytest.param(413, detail("Request body is too large"), "overflow", 400, id="413"),
    pytest.param(401, error("account_deactivated"), "suspended", 403, id="deactivated"),
    pytest.param(402, detail({"code": "deactivated_workspace"}), "suspended", 403, id="workspace as 402"),
    pytest.param(403, detail({"code": "deactivated_workspace"}), "suspended", 403, id="workspace as 403"),
    pytest.param(403, error(None, "Your account has been suspended."), "suspended", 403, id="suspended, in words"),
    pytest.param(429, error(None, type_="usage_limit_reached", plan_type="plus", resets_in_seconds=60), "quota", 429, id="usage limit"),
    pytest.param(429, error("subscription_sharing_usage_limit_exceeded", type_="usage_limit_reached"), "quota", 429, id="siwc, usage limit"),
    pytest.param(429, error("insufficient_quota"), "quota", 429, id="insufficient quota"),
    pytest.param(403, detail({"type": "workspace_member_credits_depleted"}), "quota", 429, id="credits of the workspace"),
    pytest.param(429, error(None, type_="usage_not_included", plan_type="free"), "plan", 403, id="not in the plan"),
    pytest.param(403, error("subscription_sharing_user_not_eligible"), "plan", 403, id="siwc, not eligible"),
    pytest.param(403, error("chatpass_v2_scope_not_authorized"), "consent", 401, id="siwc, scope"),
    pytest.param(403, error("chatpass_v2_invalid_authorization_context"), "consent", 401, id="siwc, context"),
    pytest.param(401, error("subscription_sharing_invalid_user"), "consent", 401, id="siwc, user"),
    pytest.param(403, detail({"code": "invalid_workspace_selected"}), "consent", 401, id="another workspace"),
    pytest.param(401, error(None, "You have insufficient permissions. Missing scopes: api.responses.write"), "consent", 401, id="scopes"),
    pytest.param(401, b"", "token", 401, id="401"),
    pytest.param(401, detail("Unauthorized"), "token", 401, id="unauthorized"),
    pytest.param(401, error("token_expired"), "token", 401, id="token expired"),
    pytest.param(401, error("token_invalidated"), "token", 401, id="token invalidated"),
    pytest.param(403, error("token_revoked"), "token", 401, id="the code beats the status"),
    pytest.param(429, error(None, "Selected model is at capacity. Please try a different model.", "server_error"), "capacity", 503, id="capacity"),
    pytest.param(503, error("server_is_overloaded", type_="service_unavailable_error"), "overloaded", 503, id="overloaded"),
    pytest.param(503, error("slow_down"), "overloaded", 503, id="slow down"),
    pytest.param(503, error("subscription_sharing_user_unavailable", type_="server_error"), "overloaded", 503, id="siwc, unavailable"),
    pytest.param(429, error("rate_limit_exceeded", type_="rate_limit_error"), "rate", 429, id="rate"),
    pytest.param(400, error(None, type_="rate_limit_error"), "rate", 429, id="rate, by type"),
    pytest.param(429, b"slow down", "rate", 429, id="429, no JSON"),
    pytest.param(400, detail("The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."), "model", 404, id="model"),
    pytest.param(400, detail("The 'x' model requires a newer version of Codex. Please upgrade."), "version", 404, id="newer version"),
    pytest.param(404, error("model_not_found", "Model not found x"), "unknown model", 404, id="model not found"),
    pytest.param(404, detail("Model not found gpt-5.6-luna"), "unknown model", 404, id="model not found, in words"),
    pytest.param(403, error("subscription_sharing_route_not_supported"), "route", 400, id="siwc, route"),
    pytest.param(400, error("invalid_image_format"), "image", 400, id="image"),
    pytest.param(400, error("invalid_value", "The image data you provided does not represent a valid image."), "image", 400, id="image, in words"),
    pytest.param(400, error("cyber_policy"), "content", 400, id="policy"),
    pytest.param(400, error("invalid_prompt"), "content", 400, id="prompt"),
    pytest.param(400, detail("Unsupported parameter: top_p"), "parameter", 400, id="parameter"),
    pytest.param(400, detail("Instructions are required"), "parameter", 400, id="instructions"),
    pytest.param(403, PAGE, "edge", 403, id="an edge's page"),
    pytest.param(400, error("unsupported_value", "reasoning.effort may not be 'none'"), "invalid", 400, id="a value"),
    pytest.param(400, error("invalid_function_parameters"), "invalid", 400, id="schema"),
    pytest.param(400, error(None, "Your quota of tools and the usage limit of rate limits was reached"), "invalid", 400,
                 id="words alone make no quota of a bad request"),
    pytest.param(400, detail("No"), "invalid", 400, id="400"),
    pytest.param(422, b"[]", "invalid", 400, id="422"),
    pytest.param(404, b"", "wrong host", 502, id="404"),
    pytest.param(403, detail("This application is not admitted at the moment."), "forbidden", 403, id="refused admission"),
    pytest.param(402, b"", "forbidden", 403, id="402"),
    pytest.param(503, b"upstream connect error", "unavailable", 503, id="503"),
    pytest.param(500, error("server_error", type_="server_error"), "server", 502, id="500"),
    pytest.param(502, b"<html>502 Bad Gateway</html>", "server", 502, id="502, a page"),
    pytest.param(418, b"", "strange", 502, id="no such thing"),
    pytest.param(200, b"{}", "strange", 502, id="no event stream"),
    pytest.param(302, b"", "strange", 502, id="elsewhere"),
]


@pytest.mark.parametrize(("status", "body", "rule", "shown"), ROWS)
def test_each_failure_has_its_row(status, body, rule, shown):
    verdict = judge(status, JSON if body[:1] in b"{[" else {"content-type": "text/html"} if body[:1] == b"<" else {}, body, model="m")
    assert (verdict.rule, verdict.error.status) == (rule, shown)


def test_every_row_is_met():
    assert {row.values[2] for row in ROWS} == {row.name for row in TABLE} | {"strange"}


ACTIONS = {
    # row: (how to ask the same account again, how often, may another serve, what it says of the account)
    "sealed": ("unsealed", 1, False, ""), "form": ("plain", 1, False, ""), "overflow": ("", 0, False, ""),
    "suspended": ("", 0, True, "suspended"), "quota": ("", 0, True, "exhausted"), "plan": ("", 0, True, "attention"),
    "consent": ("", 0, True, "login"), "token": ("refresh", 1, True, "login"), "capacity": ("same", 1, True, ""),
    "overloaded": ("same", 2, True, ""), "rate": ("same", 1, True, "slow"), "model": ("", 0, True, "lacks"),
    "version": ("", 0, True, "lacks"), "unknown model": ("", 0, True, ""), "route": ("", 0, False, ""),
    "image": ("", 0, False, ""), "content": ("", 0, False, ""), "parameter": ("", 0, False, ""), "edge": ("", 0, True, ""),
    "invalid": ("", 0, False, ""), "wrong host": ("", 0, True, ""), "forbidden": ("", 0, True, "attention"),
    "unavailable": ("same", 2, True, ""), "server": ("same", 3, True, ""), "strange": ("same", 1, True, ""),
}  # fmt: skip


def test_what_is_done_about_it():
    rows = {row.name: (row.again, row.tries, row.elsewhere, row.fate) for row in (*TABLE, faults.STRANGE)}
    assert rows == ACTIONS


@pytest.mark.parametrize("row", [*TABLE, faults.STRANGE, *LOST.values()], ids=lambda row: row.name)
def test_clients_are_told_to_try_again_where_it_helps(row):
    """OpenCode goes by words alone."""
    assert asks_again(f"{row.says}. {row.advice}.") == row.error.passes


CODES = [
    pytest.param({}, {"error": {"code": "context_length_exceeded"}}, id="error.code"),
    pytest.param({}, {"error": {"type": "context_length_exceeded", "code": None}}, id="error.type"),
    pytest.param({}, {"error": {"code": "invalid_request_error", "type": "context_length_exceeded"}}, id="a known one goes before"),
    pytest.param({}, {"error": "context_length_exceeded"}, id="error as text"),
    pytest.param({}, {"detail": {"code": "context_length_exceeded"}}, id="detail.code"),
    pytest.param({}, {"detail": {"error": {"code": "context_length_exceeded"}}}, id="an error inside the detail"),
    pytest.param({}, {"detail": "context_length_exceeded"}, id="detail as text"),
    pytest.param({}, {"code": "context_length_exceeded"}, id="code"),
    pytest.param({}, {"type": "error", "status": 400, "error": {"code": "context_length_exceeded"}}, id="an event's form"),
    pytest.param({"x-error-json": base64.b64encode(b'{"error":{"code":"context_length_exceeded"}}').decode()}, {"detail": "No"},
                 id="a header"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "body"), CODES)
def test_where_codes_stand(headers, body):
    assert judge(500, headers, json.dumps(body).encode()).rule == "overflow"


def test_a_challenge_is_the_networks_whatever_it_looks_like():
    for status, body in ((403, PAGE), (403, b""), (429, b"{}"), (401, b"x")):
        verdict = judge(status, {"cf-mitigated": "challenge", "cf-ray": "99-FRA"}, body)
        assert (verdict.rule, verdict.fate, verdict.error.upstream_id) == ("edge", "", "99-FRA")


DATE = "Sun, 22 Nov 2026 12:00:00 GMT"  # 1795348800
HINTS = [
    # headers, body, seconds until the client may ask again, and until the account may
    pytest.param({}, error(type_="usage_limit_reached", resets_in_seconds=600, resets_at=1), 600, 600, id="resets_in_seconds"),
    pytest.param({"date": DATE}, error(type_="usage_limit_reached", resets_at=1795348800 + 90), 90, 90, id="resets_at, by its clock"),
    pytest.param({}, error(type_="usage_limit_reached", resets_at=1795348800), 3600, 0, id="resets_at without a clock"),
    pytest.param({"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "70",
                  "x-codex-secondary-used-percent": "20", "x-codex-secondary-reset-after-seconds": "9000"},
                 error(type_="usage_limit_reached"), 70, 70, id="the window that is used up"),
    pytest.param({}, error(type_="usage_limit_reached"), 3600, 0, id="an hour, where nobody knows"),
    pytest.param({"retry-after": "7"}, error("rate_limit_exceeded", "try again in 99s"), 7, 7, id="Retry-After"),
    pytest.param({"retry-after-ms": "2500"}, error("rate_limit_exceeded"), 2.5, 2.5, id="retry-after-ms"),
    pytest.param({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": DATE}, error("slow_down"), 30, 30, id="Retry-After, a date"),
    pytest.param({}, error("rate_limit_exceeded", "Please try again in 1.5s."), 1.5, 1.5, id="seconds in words"),
    pytest.param({}, error("rate_limit_exceeded", "Please try again in 250ms."), 0.25, 0.25, id="milliseconds in words"),
    pytest.param({}, error("rate_limit_exceeded", "Try again in 2 minutes"), 120, 120, id="minutes in words"),
    pytest.param({}, error("rate_limit_exceeded", "Try again in 1 hour"), 3600, 3600, id="an hour in words"),
    pytest.param({}, error("rate_limit_exceeded"), 8, 0, id="a rate, where nobody knows"),
    pytest.param({"retry-after": "x", "date": "x"}, error(type_="usage_limit_reached", resets_in_seconds=True, resets_at="x"), 3600, 0,
                 id="nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "body", "wait", "hint"), HINTS)
def test_how_long_to_wait(headers, body, wait, hint):
    verdict = judge(429, headers, body)
    assert (verdict.error.wait, verdict.hint) == (wait, hint)


def test_what_chatgpt_says_is_quoted_without_secrets():
    said = str(judge(400, {}, detail("Bad tool for me@example.com with sk-abcdefghijkl")).error)
    assert said == ('ChatGPT refused the request (ChatGPT says: "Bad tool for ... with ***"). Change what it names; the same request'
                    " will be refused again.")  # fmt: skip
    quota = judge(429, {}, error(None, "The usage limit has been reached", "usage_limit_reached")).error
    assert type(quota) is QuotaUsed
    assert 'says: "The usage limit has been reached"' in str(quota)


def test_the_model_is_named():
    refused = detail("The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account.")
    assert "may not use the model gpt-5.5 (" in str(judge(400, {}, refused, model="gpt-5.5").error)


@pytest.mark.parametrize("kind", [*LOST, "stale"])
def test_losses(kind):
    assert lost(kind).rule == (kind if kind in LOST else "reset")


def test_an_event_may_name_its_status():
    assert judge_event({"type": "error", "status": 401, "error": {"message": "x"}}).rule == "token"
    assert judge_event({"type": "response.failed", "response": {"error": {"code": "cyber_policy", "message": "x"}}}).rule == "content"
    assert judge_event({"type": "response.failed", "response": {"error": None}}).rule == "strange"


@given(st.integers(0, 999), st.dictionaries(st.sampled_from(
    ["retry-after", "date", "x-error-json", "cf-mitigated", "content-type", "x-codex-primary-used-percent"]), st.text(max_size=20)),
    st.binary(max_size=60) | st.recursive(st.none() | st.text(max_size=9) | st.integers(), lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["error", "detail", "code", "type", "message", "resets_at", "resets_in_seconds"]), inner, max_size=3),
    max_leaves=6).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_reply_is_judged(status, headers, body):
    verdict = judge(status, headers, body, model="m")
    assert isinstance(verdict.error, GatewayError)
    assert verdict.hint >= 0
