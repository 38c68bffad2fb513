"""Renewing a ChatGPT login: what is sent, and what each answer means."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.codex import credential
from kirogw.dialects.codex.claims import claims, ends, with_owner
from kirogw.dialects.codex.login import login, read_refresh, refresh_requests, with_tokens
from kirogw.dialects.credential import Credential
from kirogw.dialects.provider import Refusal
from kirogw.errors import NeedsLogin
from kirogw.settings import Settings
from kirogw.twin.codex import jwt
from kirogw.wire import Reply

NOW = 1_790_000_000.0
AUTH, PROFILE = "https://api.openai.com/auth", "https://api.openai.com/profile"
OLD = Credential("codex", access="old-access", refresh="rt_old", id_token="old-id", expires_at=NOW - 1, workspace="ws-0",
                 user="user-0", email="old@localhost", plan="free")  # fmt: skip


def token(**said):
    return jwt.signed(said)


def answer(status=200, headers=None, **members):
    return Reply(status, headers or {}, json.dumps(members).encode())


def test_what_is_sent_by_the_codex_client():
    (request,) = refresh_requests(OLD, Settings())
    assert (request.method, request.url) == ("POST", "https://auth.openai.com/oauth/token")
    assert json.loads(request.body) == {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "grant_type": "refresh_token", "refresh_token": "rt_old"}
    assert request.headers["User-Agent"].startswith("kirogw/") and request.headers["Connection"] == "close"


def test_what_is_sent_by_sign_in_with_chatgpt():
    (request,) = refresh_requests(replace(OLD, kind="siwc", client_id="oaiapp_1"), Settings(openai_api_url="http://127.0.0.1:1/v1"))
    assert request.url == "https://auth.openai.com/api/accounts/oauth/token"
    assert dict(parse_qsl(request.body.decode())) == {"grant_type": "refresh_token", "client_id": "oaiapp_1", "refresh_token": "rt_old",
                                                      "resource": "https://api.openai.com/v1"}  # fmt: skip


@pytest.mark.parametrize("broken", [{"refresh": ""}, {"refresh": "rt_abc...xyz"}, {"refresh": "rt_abc…xyz"}, {"kind": "siwc", "client_id": ""}])
def test_what_can_not_be_renewed(broken):
    with pytest.raises(NeedsLogin):
        refresh_requests(replace(OLD, **broken), Settings())


ACCESS = token(exp=NOW + 864_000, iat=NOW, sub="auth0|1")
ID = token(exp=NOW + 3600, sub="auth0|1", email="ada@localhost", **{AUTH: {"chatgpt_account_id": "ws-1", "chatgpt_user_id": "user-1", "chatgpt_plan_type": "plus"}})
ROWS = [
    # what the answer holds, what the login has then
    pytest.param({"access_token": ACCESS, "refresh_token": "rt_new", "id_token": ID},
                 {"access": ACCESS, "refresh": "rt_new", "id_token": ID, "expires_at": NOW + 864_000, "issued_at": NOW, "workspace": "ws-1",
                  "user": "user-1", "email": "ada@localhost", "plan": "plus"}, id="everything"),
    pytest.param({"access_token": ACCESS}, {"access": ACCESS, "refresh": "rt_old", "id_token": "old-id", "workspace": "ws-0", "user": "user-0"}, id="the access token alone"),
    pytest.param({"access_token": ACCESS, "refresh_token": "", "id_token": None}, {"refresh": "rt_old", "id_token": "old-id"}, id="empty ones"),
    pytest.param({"refresh_token": "rt_new"}, {"access": "old-access", "refresh": "rt_new", "expires_at": NOW - 1}, id="the refresh token alone"),
    pytest.param({"id_token": ID}, {"access": "old-access", "refresh": "rt_old", "plan": "plus"}, id="the ID token alone"),
    pytest.param({"access_token": "opaque", "expires_in": 600}, {"expires_at": NOW + 600}, id="an opaque token with its life"),
    pytest.param({"access_token": "opaque", "expires_in": "600"}, {"expires_at": NOW + 600}, id="life as text"),
    pytest.param({"access_token": "opaque"}, {"expires_at": None}, id="an opaque token"),
    pytest.param({"access_token": "opaque", "expires_in": -5}, {"expires_at": None}, id="a life that is none"),
    pytest.param({"access_token": ACCESS, "expires_in": 60}, {"expires_at": NOW + 864_000}, id="what the token says goes first"),
    pytest.param({"access_token": token(exp=NOW - 5000, iat=NOW - 8600)}, {"expires_at": NOW + 3600}, id="a clock that is wrong: the span counts"),
    pytest.param({"access_token": token(exp=NOW - 5000), "expires_in": 3600}, {"expires_at": NOW + 3600}, id="a clock that is wrong, and no iat"),
    pytest.param({"access_token": token(exp=NOW - 5000)}, {"expires_at": NOW - 5000}, id="nothing to go by but the end"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "has"), ROWS)
def test_what_an_answer_brings(members, has):
    got = read_refresh(OLD, answer(**members), NOW)
    assert isinstance(got, Credential) and {name: getattr(got, name) for name in has} == has


REFUSALS = [
    # the answer, what it means, what is said
    pytest.param(answer(401, error={"code": "refresh_token_expired"}), "dead", "refresh_token_expired: it has not been used for too long", id="expired"),
    pytest.param(answer(401, error={"code": "refresh_token_reused"}), "dead", "somebody else has used it", id="reused"),
    pytest.param(answer(401, error={"code": "refresh_token_invalidated"}), "dead", "withdrawn", id="invalidated"),
    pytest.param(answer(400, error="invalid_grant"), "dead", "HTTP 400, invalid_grant", id="as text"),
    pytest.param(answer(400, code="token_revoked"), "dead", "token_revoked", id="at the top"),
    pytest.param(answer(400, detail={"code": "deactivated_workspace"}), "dead", "the workspace is deactivated", id="in detail"),
    pytest.param(answer(400, error={"type": "invalid_request_error", "code": None, "message": "m"}), "later", "invalid_request_error", id="a type alone"),
    pytest.param(answer(401, detail="Unauthorized"), "dead", "unauthorized", id="401 with words"),
    pytest.param(answer(401), "dead", "no reason given", id="401 with nothing"), pytest.param(Reply(401, {}, b""), "dead", "no reason", id="401, empty"),
    pytest.param(Reply(401, {}, b"<html>"), "later", "an HTML page", id="401 of a proxy"),
    pytest.param(Reply(403, {}, b" <!DOCTYPE html>"), "blocked", "an HTML page", id="Cloudflare"),
    pytest.param(answer(401, error="invalid_client"), "client", "does not know the client", id="client"),
    pytest.param(answer(500, error={"message": "x"}), "later", "HTTP 500, no reason given", id="500"),
    pytest.param(Reply(200, {}, b"<html>"), "later", "without tokens", id="a captive portal"), pytest.param(answer(200), "later", "without tokens", id="empty"),
    pytest.param(answer(200, access_token=7, refresh_token=[]), "later", "without tokens", id="tokens that are none"),
    pytest.param(answer(400, error="a sentence with rt_secret in it"), "later", "no reason given", id="no words of its own"),
    pytest.param(answer(400, error={"code": "x" * 500}), "later", "no reason given", id="no code is so long"),
    pytest.param(Reply(502, {}, b"[" * 100_000), "later", "HTTP 502", id="nested without end"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "cause", "said"), REFUSALS)
def test_what_a_refusal_means(reply, cause, said):
    got = read_refresh(OLD, reply, NOW)
    assert isinstance(got, Refusal) and got.cause == cause and said in got.reason and "secret" not in got.reason


@pytest.mark.parametrize(("value", "wait"), [("7", 7.0), ("x", None), ("-1", None), ("inf", None)])
def test_a_pause_that_is_asked_for(value, wait):
    assert read_refresh(OLD, answer(429, {"retry-after": value}), NOW).wait == wait


@settings(max_examples=150)
@given(status=st.sampled_from([200, 400, 401, 403, 429, 500]), body=st.one_of(
    st.binary(max_size=60),
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)), lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["error", "code", "detail", "type", "access_token", "expires_in", "id_token"]), inner, max_size=4)),
        max_leaves=8).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_answer_is_too_strange(status, body):
    got = read_refresh(OLD, Reply(status, {}, body), NOW)
    assert isinstance(got, Refusal | Credential)


# claims

WHOSE = [
    pytest.param({"sub": "s", "email": "a@b", AUTH: {"chatgpt_account_id": "w", "user_id": "u"}}, ("w", "u", "a@b", ""), id="user_id"),
    pytest.param({PROFILE: {"email": "a@b"}, AUTH: {"chatgpt_account_id": "w", "chatgpt_user_id": "c", "user_id": "u"}}, ("w", "c", "a@b", ""), id="profile"),
    pytest.param({"sub": "s"}, ("", "s", "", ""), id="sub alone"), pytest.param({AUTH: "x", "email": 7}, ("", "", "", ""), id="of a wrong type"),
    pytest.param({AUTH: {"chatgpt_plan_type": "some_new_plan"}}, ("", "", "", "some_new_plan"), id="a plan nobody knows"),
    pytest.param({AUTH: {"chatgpt_account_id": "w\r\nX-Evil: 1"}}, ("", "", "", ""), id="what could end a header"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "whose"), WHOSE)
@pytest.mark.parametrize("where", ["id_token", "access"])
def test_whose_it_is(said, whose, where):
    found = with_owner(replace(Credential("codex"), **{where: token(**said)}))
    assert (found.workspace, found.user, found.email, found.plan) == whose


def test_the_id_token_goes_first_and_what_neither_says_stays():
    both = replace(OLD, id_token=token(**{AUTH: {"chatgpt_account_id": "w-id"}}), access=token(**{AUTH: {"chatgpt_account_id": "w-access", "chatgpt_plan_type": "pro"}}))
    found = with_owner(both)
    assert (found.workspace, found.plan, found.email, found.user) == ("w-id", "pro", "old@localhost", "user-0")
    assert with_owner(Credential("codex"), "w-file").workspace == "w-file"


@settings(max_examples=100)
@given(text=st.text(max_size=60))
def test_nonsense_claims_nothing(text):
    assert isinstance(claims(text), dict) and ends(text) is None


def test_a_login_names_its_workspace():
    made = login(OLD, "m")
    assert (made.kind, made.token, made.workspace, made.profile, made.machine) == ("codex", "old-access", "ws-0", "", "m")
    assert "old-access" not in repr(made)


@pytest.mark.parametrize("strange", ["a\nX-Evil: 1", "a b", "tok\u00e9n", "\u5de5\u4f5c", "a\x00b"])
def test_what_no_header_can_hold_is_no_token_and_no_workspace(strange):
    """It would fail each call of the account, and nobody would know why."""
    old = Credential("codex", access="old", refresh="rt_old", id_token="i", workspace="w")
    new = {"access_token": strange, "refresh_token": strange, "id_token": strange}
    renewed = with_tokens(old, new, NOW)
    assert (renewed.access, renewed.refresh, renewed.id_token, renewed.workspace) == ("old", "rt_old", "i", "w")
    assert credential.unfit({"tokens": {"access_token": strange, "refresh_token": strange, "account_id": "w"}}) == "no login"
    assert credential.account({"accessToken": strange, "refreshToken": strange, "type": "codex"})[0] is None
    assert credential.read({"tokens": {"access_token": "good", "account_id": strange}}).workspace == ""
