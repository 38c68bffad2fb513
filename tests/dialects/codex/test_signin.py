"""Signing in to ChatGPT: the addresses, the answers, and what an address that comes back may look like."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.codex import signin
from kirogw.dialects.codex.signin import Before, Service, read_callback, wrong_claims
from kirogw.dialects.credential import Credential
from kirogw.dialects.signin import Callback, Device, NotACallback, Unable, challenge
from kirogw.settings import Settings
from kirogw.wire import Reply

NOW = 1_790_000_000.0
SETTINGS = Settings()
CODE, STATE = "ac_" + "c" * 40, "s" * 43


def query_of(url):
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def answer(status=200, headers=None, **members):
    return Reply(status, headers or {}, json.dumps(members).encode())


def test_the_page_of_the_codex_client():
    url = signin.codex_url(SETTINGS, "state", "verifier", 1455)
    assert url.startswith("https://auth.openai.com/oauth/authorize?")
    assert query_of(url) == {
        "response_type": "code", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "redirect_uri": "http://localhost:1455/auth/callback",
        "scope": "openid profile email offline_access", "code_challenge": challenge("verifier"), "code_challenge_method": "S256",
        "state": "state", "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true", "originator": "kirogw",
    }  # fmt: skip


SIWC = {
    "response_type": "code", "redirect_uri": "http://127.0.0.1:4000/auth/callback", "resource": "https://api.openai.com/v1",
    "scope": "openid profile email offline_access resource.invoke chatgpt.tokens.use.direct", "code_challenge": challenge("verifier"),
    "code_challenge_method": "S256", "state": "state", "nonce": "nonce", "ext_agent_host_id": "urn:uuid:1",
}  # fmt: skip


@pytest.mark.parametrize(("before", "more"), [
    (Before(), {"client_id": "dynamic_agent_client", "agent_name_hint": "kirogw"}),
    (Before("oaiapp_1", "auth0|1", "a@b"), {"client_id": "oaiapp_1", "login_hint": "a@b"})], ids=["first", "again"])  # fmt: skip
def test_the_page_of_sign_in_with_chatgpt(before, more):
    url = signin.siwc_url(SETTINGS, "state", "nonce", "verifier", 4000, "urn:uuid:1", before)
    assert url.startswith("https://auth.openai.com/api/accounts/authorize?") and query_of(url) == {**SIWC, **more}


BACK = [
    # what the browser asked for, or somebody pasted
    pytest.param(f"/auth/callback?code={CODE}&state={STATE}", Callback(STATE, CODE), id="path and query"),
    pytest.param(f"http://127.0.0.1:9/auth/callback?code={CODE}&state={STATE}&client_id=oaiapp_1", Callback(STATE, CODE, client="oaiapp_1"), id="with a client"),
    pytest.param(f'"<http://localhost:1455/auth/callback?code={CODE}&scope=a+b&state={STATE}>" ', Callback(STATE, CODE), id="quoted"),
    pytest.param(f"http://localhost:1455/auth/callback?state={STATE}&code={CODE}#_=_", Callback(STATE, CODE), id="with a fragment"),
    pytest.param(f"http://localhost:1455/auth/callback?code={CODE}", Callback("", CODE), id="pasted without its state"),
    pytest.param(f"?code={CODE}&state={STATE}", Callback(STATE, CODE), id="query with its mark"), pytest.param(f"code={CODE}", Callback("", CODE), id="query"),
    pytest.param(f"state={STATE}&code={CODE}", Callback(STATE, CODE), id="state first"),
    pytest.param(f"{CODE}#{STATE}", Callback(STATE, CODE), id="code and state"), pytest.param(CODE, Callback("", CODE), id="code"),
    pytest.param(f"/auth/callback?error=access_denied&error_description=x&state={STATE}", Callback(STATE, error="access_denied"), id="refused"),
    pytest.param(f"/auth/callback?error=%3Cscript%3E&state={STATE}", Callback(STATE, error="script"), id="an error that is none"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "back"), BACK)
def test_what_comes_back(line, back):
    assert read_callback(line) == back


@pytest.mark.parametrize(("line", "said"), [
    ("", "neither an address nor a code"), ("hello", "neither"), ("what is this code about", "neither"), ("http://localhost:1455/auth/callback", "neither"),
    (f"/auth/callback?code={CODE}", "no `state`"), ("/auth/callback?error=x", "no `state`"), (f"/auth/callback?state={STATE}", "no `code`"),
    (f"code={CODE}&code={CODE}", "twice"), (f"/auth/callback?code={CODE}&state={STATE}&client_id=a%20b", "can not be one"), ("code=" + "x" * 5000, "no `code`"),
    ("x" * 5000, "no `code`"), ("http://[::1/?code=1", "no address"), ("code=" + "&a=1" * 99, "no address")])  # fmt: skip
def test_what_is_no_callback(line, said):
    with pytest.raises(NotACallback, match=said):
        read_callback(line)


@settings(max_examples=200)
@given(line=st.one_of(st.text(max_size=80), st.text(alphabet="?&=#/:codestaerr%20", max_size=60)))
def test_a_callback_or_none_whatever_is_pasted(line):
    try:
        back = read_callback(line)
    except NotACallback:
        return
    assert back.code or back.error
    assert back.state or not line.strip().strip("\"'<>").startswith("/")


@settings(max_examples=100)
@given(code=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=20, max_size=60))
def test_codes_of_all_letters_come_through(code):
    assert read_callback(f"/auth/callback?code={quote(code, safe='')}&state={STATE}").code == code


# exchanging


def test_what_is_exchanged():
    codex = signin.codex_exchange(SETTINGS, "code", "verifier", "http://localhost:1457/auth/callback")
    assert codex.url == "https://auth.openai.com/oauth/token" and dict(parse_qsl(codex.body.decode())) == {
        "grant_type": "authorization_code", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "code": "code", "code_verifier": "verifier",
        "redirect_uri": "http://localhost:1457/auth/callback"}  # fmt: skip
    siwc = signin.siwc_exchange(SETTINGS, "oaiapp_1", "code", "verifier", "http://127.0.0.1:4000/auth/callback")
    assert siwc.url == "https://auth.openai.com/api/accounts/oauth/token" and dict(parse_qsl(siwc.body.decode())) == {
        "grant_type": "authorization_code", "client_id": "oaiapp_1", "code": "code", "code_verifier": "verifier",
        "redirect_uri": "http://127.0.0.1:4000/auth/callback", "resource": "https://api.openai.com/v1"}  # fmt: skip


GOOD = {"access_token": "a", "refresh_token": "r", "id_token": "i", "scope": "openid chatgpt.tokens.use.direct", "expires_in": 3600}


def test_what_an_exchange_brings():
    codex = signin.codex_credential(answer(**GOOD), NOW)
    assert (codex.kind, codex.access, codex.refresh, codex.id_token, codex.expires_at, codex.client_id) == ("codex", "a", "r", "i", NOW + 3600, "")
    siwc = signin.siwc_credential("oaiapp_1", answer(**GOOD), NOW)
    assert (siwc.kind, siwc.client_id) == ("siwc", "oaiapp_1")


@pytest.mark.parametrize(("members", "said"), [
    ({"scope": "openid"}, "did not grant the use of the plan"), ({"scope": None}, "did not grant"), ({"scope": "chatgpt.tokens.use.direct.not"}, "did not grant"),
    ({"id_token": ""}, "no ID token")])  # fmt: skip
def test_a_grant_that_is_none(members, said):
    got = signin.siwc_credential("oaiapp_1", answer(**{**GOOD, **members}), NOW)
    assert isinstance(got, Unable) and got.outcome == "failed" and said in got.reason


UNABLE = [
    pytest.param(answer(400, error="invalid_grant"), "failed", "was used already", id="a code that is spent"),
    pytest.param(answer(400, error={"code": "invalid_client"}), "failed", "does not know the client", id="client"),
    pytest.param(answer(200), "later", "without tokens", id="empty"), pytest.param(answer(500), "later", "HTTP 500", id="500"),
    pytest.param(Reply(403, {}, b"<html>"), "later", "an HTML page", id="Cloudflare"),
    pytest.param(answer(429, {"retry-after": "3"}), "later", "HTTP 429", id="429"), pytest.param(answer(400, error={"message": "m"}), "failed", "no reason given", id="400"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "outcome", "said"), UNABLE)
def test_what_an_exchange_may_hear(reply, outcome, said):
    for got in (signin.codex_credential(reply, NOW), signin.siwc_credential("c", reply, NOW)):
        assert isinstance(got, Unable) and (got.outcome, said in got.reason) == (outcome, True)


# by a code


@pytest.mark.parametrize(("members", "interval"), [
    ({"user_code": "AB-12", "interval": "7"}, 7.0), ({"usercode": "AB-12", "interval": 3}, 3.0), ({"user_code": "AB-12"}, 5.0),
    ({"user_code": "AB-12", "interval": "soon"}, 5.0), ({"user_code": "AB-12", "interval": 0}, 5.0), ({"user_code": "AB-12", "interval": 1e9}, 60.0),
    ({"user_code": "AB-12", "interval": 10**400}, 5.0)])  # fmt: skip
def test_a_device(members, interval):
    got = signin.read_device(SETTINGS, answer(device_auth_id="d", **members))
    page = "https://auth.openai.com/codex/device"
    assert got == Device("d", "AB-12", page, page, interval, 900.0)


@pytest.mark.parametrize(("reply", "outcome", "said"), [
    (answer(404), "failed", "switched off"), (answer(500), "later", "HTTP 500"), (answer(device_auth_id="d", user_code="\x1b[2J"), "failed", "no code"),
    (answer(user_code="AB"), "later", "without tokens")])  # fmt: skip
def test_no_device(reply, outcome, said):
    got = signin.read_device(SETTINGS, reply)
    assert isinstance(got, Unable) and got.outcome == outcome and said in got.reason


@pytest.mark.parametrize(("reply", "outcome"), [
    (answer(403, error={"code": "deviceauth_authorization_unknown"}), "pending"), (answer(404), "pending"), (Reply(404, {}, b""), "pending"),
    (answer(403, error={"code": "access_denied"}), "denied"), (answer(404, error={"code": "expired_token"}), "expired"), (answer(403, error="slow_down"), "slower"),
    (Reply(403, {}, b"<html>"), "later"), (answer(200, authorization_code="c"), "later"), (answer(502), "later"), (answer(400, error="invalid_request"), "failed")])  # fmt: skip
def test_a_poll(reply, outcome):
    got = signin.read_poll(reply)
    assert isinstance(got, Unable) and got.outcome == outcome


def test_a_poll_that_is_agreed_to():
    got = signin.read_poll(answer(201, authorization_code="c", code_challenge="x", code_verifier="v"))
    assert got == signin.Agreed("c", "v")


# who it is


def test_what_the_service_says_of_itself():
    said = {"issuer": "https://auth.openai.com/", "jwks_uri": "https://auth.openai.com/keys", "revocation_endpoint": "https://auth.openai.com/bye"}
    assert signin.read_service(SETTINGS, answer(**said)) == Service("https://auth.openai.com", "https://auth.openai.com/keys", "https://auth.openai.com/bye")


@pytest.mark.parametrize("reply", [
    answer(404), answer(), Reply(200, {}, b"<html>"), answer(issuer="https://evil.example", jwks_uri="http://auth.openai.com/keys", revocation_endpoint=7),
    answer(issuer="https://auth.openai.com.evil.example", jwks_uri="https://auth.openai.com@evil.example/", revocation_endpoint="https://[bad")])  # fmt: skip
def test_what_it_does_not_say_or_names_elsewhere_is_as_known(reply):
    home = "https://auth.openai.com"
    assert signin.read_service(SETTINGS, reply) == Service(home, f"{home}/.well-known/jwks.json", f"{home}/oauth/revoke")


def test_a_service_that_is_away_says_nothing():
    assert signin.read_service(SETTINGS, answer(503)).outcome == "later" and signin.read_keys(answer(503)).outcome == "later"
    assert signin.read_keys(answer(keys=[{"kid": "1"}, 5])) == [{"kid": "1"}]


CLAIMS = {"iss": "https://auth.openai.com", "aud": "oaiapp_1", "exp": NOW + 60, "nonce": "n", "sub": "auth0|1"}
JUDGED = [
    pytest.param({}, "", id="good"), pytest.param({"iss": "https://auth.openai.com/"}, "", id="with a slash"), pytest.param({"aud": ["oaiapp_1"]}, "", id="a list of one"),
    pytest.param({"aud": ["oaiapp_1", "x"], "azp": "oaiapp_1"}, "", id="a list with azp"), pytest.param({"exp": NOW - 59}, "", id="within the leeway"),
    pytest.param({"iss": "https://evil.example"}, "another service", id="issuer"), pytest.param({"iss": None}, "another service", id="no issuer"),
    pytest.param({"aud": "x"}, "another program", id="audience"), pytest.param({"aud": ["oaiapp_1", "x"]}, "another program", id="a list without azp"),
    pytest.param({"aud": None}, "another program", id="no audience"), pytest.param({"exp": NOW - 61}, "run out", id="ended"), pytest.param({"exp": True}, "run out", id="no time"),
    pytest.param({"nonce": ""}, "another login", id="no nonce"), pytest.param({"nonce": "m"}, "another login", id="nonce"), pytest.param({"sub": " "}, "whose it is", id="nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "said"), JUDGED)
def test_claims(changed, said):
    why = wrong_claims({**CLAIMS, **changed}, "https://auth.openai.com", "oaiapp_1", "n", NOW)
    assert said in why and bool(said) is bool(why)


@pytest.mark.parametrize(("sub", "said"), [("auth0|1", ""), ("", ""), ("auth0|2", "somebody else has signed in")])
def test_whose_it_must_be(sub, said):
    assert wrong_claims(CLAIMS, "https://auth.openai.com", "oaiapp_1", "n", NOW, sub) == said


def test_signing_out():
    service = Service("i", "k", "https://auth.openai.com/bye")
    request = signin.revoke_request(SETTINGS, service, replace(Credential("siwc"), refresh="rt_1", client_id="oaiapp_1"))
    assert request.url == service.revocation
    assert dict(parse_qsl(request.body.decode())) == {"token": "rt_1", "token_type_hint": "refresh_token", "client_id": "oaiapp_1"}
