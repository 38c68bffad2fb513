import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from kirogw.dialects.credential import Credential
from kirogw.dialects.kiro import login
from kirogw.dialects.kiro.login import Profile
from kirogw.dialects.provider import Login, Refusal
from kirogw.errors import NeedsLogin
from kirogw.settings import Settings
from kirogw.wire import Reply

NOW = 1_790_000_000.0
MACHINE = "ab" * 32
US = "arn:aws:codewhisperer:us-east-1:111122223333:profile/ABC"
EU = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/XYZ"
GOV = "arn:aws-us-gov:codewhisperer:us-gov-west-1:111122223333:profile/GOV"
SOCIAL = Credential("social", access="a", refresh="r1", profile=US)
IDC = Credential("idc", access="a", refresh="r1", client_id="c", client_secret="s", sso_region="ap-southeast-1", client_region="eu-west-1")
EXTERNAL = Credential("external", refresh="r 1", client_id="c", token_endpoint="https://org.okta.com/t", scopes=("a", "b"), audience="k")


def test_social_refresh():
    (request,) = login.refresh_requests(SOCIAL, Settings(), MACHINE)
    assert (request.method, request.url) == ("POST", "https://prod.us-east-1.auth.desktop.kiro.dev/refreshToken")
    assert json.loads(request.body) == {"refreshToken": "r1"}
    assert request.headers == {
        "Content-Type": "application/json", "Accept": "application/json, text/plain, */*",
        "User-Agent": f"KiroIDE-0.12.333-{MACHINE}", "Connection": "close",
    }  # fmt: skip


def test_identity_center_is_asked_in_each_region_it_may_belong_to():
    requests = login.refresh_requests(IDC, Settings(kiro_sso_region="us-west-2"), MACHINE)
    assert [request.url for request in requests] == [
        "https://oidc.us-west-2.amazonaws.com/token", "https://oidc.ap-southeast-1.amazonaws.com/token",
        "https://oidc.eu-west-1.amazonaws.com/token",
    ]  # fmt: skip
    body = {"clientId": "c", "clientSecret": "s", "refreshToken": "r1", "grantType": "refresh_token"}
    assert all(json.loads(request.body) == body for request in requests)
    assert all(request.headers["Content-Type"] == "application/json" for request in requests)


def test_a_session_of_unknown_region_is_taken_for_builder_ids():
    (request,) = login.refresh_requests(replace(IDC, sso_region="", client_region=""), Settings(), MACHINE)
    assert request.url == "https://oidc.us-east-1.amazonaws.com/token"


def test_external_refresh_is_a_form():
    (request,) = login.refresh_requests(EXTERNAL, Settings(), MACHINE)
    assert request.url == "https://org.okta.com/t"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"], "client_id": ["c"], "refresh_token": ["r 1"], "scope": ["a b"], "audience": ["k"],
    }  # fmt: skip


ENDPOINTS = [
    ("https://login.microsoftonline.com/tenant/oauth2/v2.0/token", True),
    ("https://ORG.okta.com/oauth2/v1/token", True),
    ("http://127.0.0.1:8080/token", True),
    ("http://org.okta.com/token", False),
    ("https://okta.com.evil.example/token", False),
    ("https://evil.example/org.okta.com", False),
    ("https://org.okta.com@evil.example/token", False),
    ("ftp://org.okta.com/token", False),
    ("https://[broken", False),
    ("", False),
]


@pytest.mark.parametrize(("endpoint", "trusted"), ENDPOINTS)
def test_a_token_endpoint_comes_from_a_file_so_its_host_must_be_trusted(endpoint, trusted):
    credential = replace(EXTERNAL, token_endpoint=endpoint)
    if trusted:
        assert login.refresh_requests(credential, Settings(), MACHINE)[0].url == endpoint
    else:
        with pytest.raises(NeedsLogin, match="IDP_HOSTS"):
            login.refresh_requests(credential, Settings(), MACHINE)


HOPELESS = [
    pytest.param(replace(SOCIAL, refresh=""), "no refresh token", id="none"),
    pytest.param(replace(SOCIAL, refresh="aor...xyz"), "cut short", id="dots"),
    pytest.param(replace(SOCIAL, refresh="aor…xyz"), "cut short", id="ellipsis"),
    pytest.param(replace(IDC, client_secret=""), "client registration", id="no client"),
]


@pytest.mark.parametrize(("credential", "said"), HOPELESS)
def test_what_can_not_be_renewed_is_said(credential, said):
    with pytest.raises(NeedsLogin, match=said):
        login.refresh_requests(credential, Settings(), MACHINE)


def reply(status, body, **headers):
    return Reply(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


GRANTS = [
    # the answer, and what changes
    pytest.param({"accessToken": "A", "refreshToken": "R", "expiresIn": 3600, "profileArn": EU},
                 {"access": "A", "refresh": "R", "expires_at": NOW + 3600, "profile": EU}, id="social"),
    pytest.param({"accessToken": "A", "expiresIn": 28800, "tokenType": "Bearer"},
                 {"access": "A", "expires_at": NOW + 28800}, id="no new refresh token"),
    pytest.param({"access_token": "A", "refresh_token": "R", "expires_in": "1800"},
                 {"access": "A", "refresh": "R", "expires_at": NOW + 1800}, id="snake case"),
    pytest.param({"accessToken": "A"}, {"access": "A", "expires_at": NOW + 3600}, id="no life"),
    pytest.param({"accessToken": "A", "expiresIn": None}, {"access": "A", "expires_at": NOW + 3600}, id="null life"),
    pytest.param({"accessToken": "A", "expiresIn": 0}, {"access": "A", "expires_at": NOW + 3600}, id="zero life"),
    pytest.param({"accessToken": "A", "expiresIn": 3600000}, {"access": "A", "expires_at": NOW + 3600}, id="milliseconds"),
    pytest.param({"accessToken": "A", "refreshToken": ""}, {"access": "A", "expires_at": NOW + 3600}, id="empty refresh"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "changes"), GRANTS)
def test_grants(body, changes):
    assert login.read_refresh(SOCIAL, reply(200, body), NOW) == replace(SOCIAL, issued_at=NOW, **changes)


def test_a_life_that_is_not_a_number_is_the_default():
    got = login.read_refresh(SOCIAL, reply(200, b'{"accessToken":"A","expiresIn":NaN}'), NOW)
    assert isinstance(got, Credential) and got.expires_at == NOW + 3600


INVALID = "com.amazonaws.ssooidc#InvalidGrantException"
REFUSALS = [
    # the answer, the cause
    pytest.param(reply(400, {"error": "invalid_grant"}), "dead", id="invalid_grant"),
    pytest.param(reply(400, {"message": "Invalid refresh token provided"}), "dead", id="social words"),
    pytest.param(reply(400, {"__type": INVALID, "message": "Invalid grant provided"}), "dead", id="type in the body"),
    pytest.param(reply(400, b"{}", **{"x-amzn-errortype": "InvalidGrantException:http://x"}), "dead", id="type in a header"),
    pytest.param(reply(400, {"error": "expired_token"}), "dead", id="expired"),
    pytest.param(reply(400, {"error": "access_denied"}), "dead", id="denied"),
    pytest.param(reply(400, {"error": "refresh_token_reused"}), "dead", id="reused"),
    pytest.param(reply(400, {"code": "revoked"}), "dead", id="revoked"),
    pytest.param(reply(401, {"message": "Unauthorized"}), "dead", id="401"),
    pytest.param(reply(401, {"error": "invalid_client"}), "client", id="client, although 401"),
    pytest.param(reply(400, {"error": "unauthorized_client"}), "client", id="foreign client"),
    pytest.param(reply(400, {"error": "invalid_request", "error_description": "Invalid token provided"}), "region", id="region"),
    pytest.param(reply(403, b"<html>Request blocked</html>"), "blocked", id="CloudFront"),
    pytest.param(reply(401, b"\n <!DOCTYPE html><p>proxy</p>"), "later", id="a proxy's 401 kills nobody"),
    pytest.param(reply(403, {"message": "Forbidden"}), "blocked", id="403"),
    pytest.param(reply(403, {"error": "access_denied"}), "dead", id="403 with a code"),
    pytest.param(reply(407, b""), "blocked", id="proxy wants a login"),
    pytest.param(reply(429, {"message": "Too Many Requests"}), "later", id="429"),
    pytest.param(reply(400, {"error": "slow_down"}), "later", id="slow_down"),
    pytest.param(reply(400, {"__type": "ThrottlingException"}), "later", id="throttled with 400"),
    pytest.param(reply(400, {"message": "Improperly formed request."}), "later", id="unknown 400"),
    pytest.param(reply(400, {"error": {"code": 3}}), "later", id="an error of a strange form"),
    pytest.param(reply(500, {"error": "server_error"}), "later", id="500"),
    pytest.param(reply(503, b"<html>"), "later", id="503 in HTML"),
    pytest.param(reply(302, b""), "later", id="redirect"),
    pytest.param(reply(200, {"message": "no token here"}), "later", id="200 without a token"),
    pytest.param(reply(200, b"[1]"), "later", id="200 without an object"),
    pytest.param(reply(200, b"[" * 100_000), "later", id="200, nested too deeply"),
]


@pytest.mark.parametrize(("answer", "cause"), REFUSALS)
def test_refusals(answer, cause):
    got = login.read_refresh(SOCIAL, answer, NOW)
    assert isinstance(got, Refusal) and got.cause == cause


WAITS = [
    (reply(429, {"retryAfterMilliseconds": 300000}), 300.0),
    (reply(429, b"", **{"retry-after": "7"}), 7.0),
    (reply(429, b"", **{"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}), None),
    (reply(429, {"retryAfterMilliseconds": -5}, **{"retry-after": "9"}), 9.0),
    (reply(429, {"retryAfterMilliseconds": 10**400}, **{"retry-after": "9"}), 9.0),
    (reply(429, b""), None),
]


@pytest.mark.parametrize(("answer", "seconds"), WAITS)
def test_a_hint_to_wait(answer, seconds):
    assert login.read_refresh(SOCIAL, answer, NOW).wait == seconds


def test_a_reason_holds_nothing_but_the_status_and_the_code():
    got = login.read_refresh(SOCIAL, reply(400, {"error": "invalid_grant", "message": "token aorSECRET is used"}), NOW)
    assert got == Refusal("dead", "HTTP 400, invalidgrant")


@hypothesis(max_examples=200, deadline=None)
@given(st.integers(100, 599), st.binary(max_size=60) | st.dictionaries(
    st.sampled_from(["accessToken", "refreshToken", "expiresIn", "error", "__type", "message", "error_description"]),
    st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2),
).map(lambda body: json.dumps(body).encode()))  # fmt: skip
def test_no_answer_is_too_strange(status, body):
    got = login.read_refresh(SOCIAL, Reply(status, {}, body), NOW)
    assert isinstance(got, Refusal) or (got.access and got.refresh and got.expires_at > NOW)


TYPES = [("social", None), ("idc", "SSO_OIDC"), ("builder", "SSO_OIDC"), ("external", "EXTERNAL_IDP"), ("key", "API_KEY")]


@pytest.mark.parametrize(("kind", "token_type"), TYPES)
def test_the_token_type_follows_the_kind(kind, token_type):
    expected = {"Authorization": "Bearer t"} | ({"tokentype": token_type} if token_type else {})
    assert login.bearer(Login(kind, "t")) == expected


def test_calls_of_the_control_plane():
    own = Login("idc", "t", region="eu-central-1", machine=MACHINE)
    request = login.profiles_request(own, "https://management.{region}.kiro.dev", Settings(), "page2")
    assert (request.method, request.url) == ("POST", "https://management.eu-central-1.kiro.dev/")
    assert json.loads(request.body) == {"nextToken": "page2"}
    assert request.headers["x-amz-target"] == "AmazonCodeWhispererService.ListAvailableProfiles"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert request.headers["User-Agent"].endswith(f"KiroIDE-0.12.333-{MACHINE}")
    assert request.headers["x-amz-user-agent"] == f"aws-sdk-js/1.0.0 KiroIDE-0.12.333-{MACHINE}"
    assert login.profiles_request(own, "http://h", Settings()).body == b"{}"
    key = login.profile_request(Login("key", "ksk_1"), "http://h/", Settings())
    assert (key.url, key.body, key.headers["x-amz-target"]) == ("http://h/", b"{}", "AmazonCodeWhispererService.GetProfile")


PAGES = [
    pytest.param(reply(200, {"profiles": [{"arn": US, "profileName": "a"}, {"arn": EU, "status": "DELETED"}], "nextToken": "n"}),
                 ([Profile(US, "a"), Profile(EU, "", False)], "n"), id="two"),
    pytest.param(reply(200, {"profiles": [], "nextToken": None}), ([], ""), id="empty"),
    pytest.param(reply(200, {"profiles": [{"arn": "junk"}, 5, {}]}), ([], ""), id="junk"),
    pytest.param(reply(403, {"message": "AWS Builder ID is not supported for this operation."}), ([], ""), id="403 is an answer"),
    pytest.param(reply(500, {}), None, id="500 is none"),
    pytest.param(reply(200, b"<html>"), None, id="HTML is none"),
    pytest.param(reply(200, {"profiles": None}), None, id="null is none"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "page"), PAGES)
def test_read_profiles(answer, page):
    assert login.read_profiles(answer) == page


def test_read_profile():
    assert login.read_profile(reply(200, {"profile": {"arn": US}})) == US
    for answer in (reply(200, {"profile": {"arn": "junk"}}), reply(403, {"profile": {"arn": US}}), reply(200, {}), reply(200, b"x")):
        assert login.read_profile(answer) == ""


CHOICES = [
    ([], "us-east-1", ""),
    ([Profile(US), Profile(EU)], "eu-central-1", EU),
    ([Profile(US), Profile(EU)], "ap-south-1", US),
    ([Profile(US, active=False), Profile(EU)], "", EU),
]


@pytest.mark.parametrize(("profiles", "region", "arn"), CHOICES)
def test_choice(profiles, region, arn):
    assert login.choice(profiles, region) == arn


REGIONS = [
    # the login, its profile, KIRO_REGION, the API region
    pytest.param(IDC, EU, "us-east-1", "eu-central-1", id="the profile's"),
    pytest.param(IDC, "", "eu-central-1", "eu-central-1", id="as set"),
    pytest.param(IDC, "", "", "us-east-1", id="asia goes to the US"),
    pytest.param(replace(IDC, sso_region="eu-north-1"), "", "", "eu-central-1", id="europe stays there"),
    pytest.param(replace(IDC, sso_region="us-gov-west-1"), "", "", "us-gov-west-1", id="government"),
    pytest.param(Credential("key", access="k", region="eu-central-1"), "", "us-east-1", "eu-central-1", id="the key's"),
    pytest.param(Credential("social", refresh="r"), "", "", "us-east-1", id="nothing known"),
    pytest.param(IDC, GOV, "", "us-gov-west-1", id="government profile"),
]


@pytest.mark.parametrize(("credential", "profile", "set_to", "region"), REGIONS)
def test_api_region(credential, profile, set_to, region):
    assert login.api_region(credential, profile, Settings(kiro_region=set_to)) == region


PROBES = [
    (IDC, "", ("us-east-1", "eu-central-1")),
    (replace(IDC, sso_region="eu-west-1"), "", ("eu-central-1", "us-east-1")),
    (IDC, "ap-south-1", ("ap-south-1", "us-east-1", "eu-central-1")),
    (replace(IDC, sso_region="us-gov-east-1"), "", ("us-gov-east-1", "us-gov-west-1")),
]


@pytest.mark.parametrize(("credential", "set_to", "regions"), PROBES)
def test_probe_regions(credential, set_to, regions):
    assert login.probe_regions(credential, Settings(kiro_region=set_to)) == regions


def test_ladder():
    placeholder = Settings().kiro_placeholder_arn
    builder = Credential("builder", refresh="r")
    assert login.ladder(builder, Settings()) == (placeholder, "")
    assert login.ladder(replace(builder, profile=US), Settings()) == (US, placeholder, "")
    assert login.ladder(replace(builder, profile=placeholder), Settings()) == (placeholder, "")
    assert login.ladder(builder, Settings(kiro_arn_ladder=("none", EU))) == ("", EU)
    assert login.ladder(builder, Settings(kiro_arn_ladder=())) == ("",)


def test_arn_region():
    assert [login.arn_region(arn) for arn in (US, GOV, "", "arn:aws:s3:x")] == ["us-east-1", "us-gov-west-1", "", ""]
