"""What signing in sends, and what the answers mean."""

import contextlib
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro import signin
from kirogw.dialects.kiro.signin import Callback, Client, Device, Unable
from kirogw.dialects.signin import same
from kirogw.settings import Settings
from kirogw.wire import Reply

S = Settings(aws_oidc_url="https://oidc.{region}.aws", kiro_auth_url="https://auth.kiro/", kiro_portal_url="https://app.kiro")
CLIENT = Client("id", "secret", 2e9)
STATE = "0123456789abcdef"
ARN = "arn:aws:codewhisperer:us-east-1:111122223333:profile/ABC"


def reply(status=200, /, **body):
    return Reply(status, {}, json.dumps(body).encode())


REQUESTS = [
    pytest.param(signin.register_request(S, "eu-west-1"), "https://oidc.eu-west-1.aws/client/register", {
        "clientName": "Kiro CLI", "clientType": "public", "scopes": list(signin.SCOPES),
        "grantTypes": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    }, id="register"),
    pytest.param(signin.device_request(S, "us-east-1", CLIENT, "https://a"), "https://oidc.us-east-1.aws/device_authorization",
                 {"clientId": "id", "clientSecret": "secret", "startUrl": "https://a"}, id="device"),
    pytest.param(signin.poll_request(S, "us-east-1", CLIENT, "code"), "https://oidc.us-east-1.aws/token", {
        "clientId": "id", "clientSecret": "secret", "deviceCode": "code",
        "grantType": "urn:ietf:params:oauth:grant-type:device_code",
    }, id="poll"),
    pytest.param(signin.social_device_request(S, "github"), "https://auth.kiro/oauth/device/authorization",
                 {"clientId": "kiro-cli", "loginProvider": "Github"}, id="social device"),
    pytest.param(signin.social_poll_request(S, "code"), "https://auth.kiro/oauth/device/poll",
                 {"clientId": "kiro-cli", "deviceCode": "code"}, id="social poll"),
    pytest.param(signin.exchange_request(S, "c", "v", "http://localhost:3128/oauth/callback?login_option=google"),
                 "https://auth.kiro/oauth/token",
                 {"code": "c", "code_verifier": "v", "redirect_uri": "http://localhost:3128/oauth/callback?login_option=google"},
                 id="exchange"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "url", "body"), REQUESTS)
def test_requests(request_, url, body):
    assert (request_.method, request_.url, json.loads(request_.body)) == ("POST", url, body)
    assert request_.headers["Content-Type"] == "application/json" and request_.headers["Connection"] == "close"


def test_no_secret_in_a_repr():
    device = signin.read_device(reply(deviceCode="SECRET", userCode="A", verificationUri="https://x"))
    back = signin.read_callback(f"kiro://kiro.kiroAgent/authenticate-success?code=SECRET&state=SECRET{STATE}")
    assert "SECRET" not in repr((device, back, Client("a", "SECRET")))


def test_the_portal_is_told_where_to_come_back_to():
    asked = dict(parse_qs(urlsplit(signin.portal_url(S, STATE, "verifier", "google")).query))
    assert asked == {
        "state": [STATE], "code_challenge": ["iMnq5o6zALKXGivsnlom_0F5_WYda32GHkxlV7mq7hQ"], "code_challenge_method": ["S256"],
        "redirect_uri": ["http://localhost:3128"], "redirect_from": ["kirocli"], "login_option": ["google"],
    }  # fmt: skip
    assert signin.portal_url(S, STATE, "v").startswith("https://app.kiro/signin?") and "login_option" not in signin.portal_url(S, STATE, "v")


def test_the_older_page():
    url = urlsplit(signin.app_url(S, STATE, "verifier", "github"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://auth.kiro/login"
    assert dict(parse_qs(url.query)) == {
        "idp": ["Github"], "redirect_uri": ["kiro://kiro.kiroAgent/authenticate-success"], "state": [STATE],
        "code_challenge": ["iMnq5o6zALKXGivsnlom_0F5_WYda32GHkxlV7mq7hQ"], "code_challenge_method": ["S256"],
    }  # fmt: skip


def test_a_registration():
    told = reply(clientId="a", clientSecret="b", clientSecretExpiresAt=1775001600, authorizationEndpoint=None)
    assert signin.read_client(told) == Client("a", "b", 1775001600.0)
    assert signin.read_client(reply(clientId="a")).outcome == "later"
    assert signin.read_client(reply(400, error="invalid_scope")).outcome == "failed"


DEVICES = [
    pytest.param({"expiresIn": 600, "interval": 1, "verificationUriComplete": "https://x/?c"}, ("https://x/?c", 1.0, 600.0), id="AWS"),
    pytest.param({"expiresInMilliseconds": 3_600_000, "intervalInMilliseconds": 5000}, ("https://x", 5.0, 1800.0), id="Kiro, and too long"),
    pytest.param({}, ("https://x", 5.0, 300.0), id="without times"),
    pytest.param({"interval": 0, "expiresIn": "soon"}, ("https://x", 5.0, 300.0), id="nonsense"),
    pytest.param({"interval": 0.01, "expiresIn": True}, ("https://x", 1.0, 300.0), id="too often"),
]  # fmt: skip


@pytest.mark.parametrize(("times", "got"), DEVICES)
def test_a_device(times, got):
    told = reply(deviceCode="code", userCode="AB-CD", verificationUri="https://x", **times)
    assert signin.read_device(told) == Device("code", "AB-CD", "https://x", *got)


def test_a_device_without_a_code_is_none():
    assert isinstance(signin.read_device(reply(deviceCode="code")), Unable)


@pytest.mark.parametrize("page", ["javascript:alert(1)", "file:///etc/passwd", "http://evil.example/", "https://x/\x1b[2J", "https://x y", "-x"])
def test_a_page_that_no_browser_should_be_sent_to(page):
    for pages in ({"verificationUri": page}, {"verificationUri": "https://x", "verificationUriComplete": page}):
        assert signin.read_device(reply(deviceCode="code", userCode="A", **pages)).outcome == "failed"
    assert signin.read_device(reply(deviceCode="code", userCode="A\x07", verificationUri="https://x")).outcome == "failed"


def test_tokens_of_aws():
    told = reply(accessToken="a", refreshToken="r", expiresIn=28800, tokenType="Bearer")
    builder = signin.aws_credential(CLIENT, "us-east-1", "https://view.awsapps.com/start", told, 1000.0)
    assert (builder.kind, builder.provider, builder.access, builder.refresh) == ("builder", "BuilderId", "a", "r")
    assert (builder.client_id, builder.client_secret, builder.client_ends) == ("id", "secret", 2e9)
    assert (builder.issued_at, builder.expires_at, builder.sso_region) == (1000.0, 29800.0, "us-east-1")
    idc = signin.aws_credential(CLIENT, "eu-west-1", "https://acme.awsapps.com/start", reply(accessToken="a", profileArn=ARN), 0.0)
    assert (idc.kind, idc.provider, idc.start_url, idc.sso_region, idc.client_region, idc.profile, idc.expires_at) == (
        "idc", "Enterprise", "https://acme.awsapps.com/start", "eu-west-1", "eu-west-1", ARN, 3600.0)  # fmt: skip


def test_tokens_of_kiro():
    told = reply(accessToken="a", refreshToken="r", profileArn=ARN, identityProvider="Github")
    got = signin.social_credential("google", told, 1000.0)
    assert (got.kind, got.provider, got.profile, got.expires_at) == ("social", "Github", ARN, 29800.0)
    got = signin.social_credential("google", reply(accessToken="a", profileArn="nonsense", expiresIn=60), 0.0)
    assert (got.provider, got.profile, got.expires_at) == ("Google", "", 60.0)


POLLS = [
    # status, body, what it means
    pytest.param(400, {"error": "authorization_pending"}, "pending", id="pending"),
    pytest.param(200, {"status": "authorization_pending"}, "pending", id="pending, Kiro's way"),
    pytest.param(200, {"status": "PENDING"}, "pending", id="pending, shortly"),
    pytest.param(400, {"__type": "com.amazonaws.ssooidc#AuthorizationPendingException"}, "pending", id="pending, typed"),
    pytest.param(400, {"error": "slow_down"}, "slower", id="slow down"),
    pytest.param(400, {"__type": "com.amazonaws.ssooidc#SlowDownException", "message": "x"}, "slower", id="slow down, typed"),
    pytest.param(200, {"status": "slow_down"}, "slower", id="slow down, Kiro's way"),
    pytest.param(400, {"error": "expired_token"}, "expired", id="expired"),
    pytest.param(400, {"__type": "x#ExpiredTokenException"}, "expired", id="expired, typed"),
    pytest.param(200, {"status": "expired"}, "expired", id="expired, Kiro's way"),
    pytest.param(400, {"error": "access_denied"}, "denied", id="denied"),
    pytest.param(403, {"__type": "x#AccessDeniedException"}, "denied", id="denied, typed"),
    pytest.param(200, {"status": "denied"}, "denied", id="denied, Kiro's way"),
    pytest.param(400, {"error": "invalid_grant"}, "failed", id="unknown code"),
    pytest.param(401, {"error": "invalid_client"}, "failed", id="client"),
    pytest.param(400, {"__type": "x#InvalidRequestException"}, "failed", id="request"),
    pytest.param(400, {"message": "Bad Request"}, "failed", id="400"),
    pytest.param(429, {"message": "Too many requests"}, "later", id="429"),
    pytest.param(400, {"error": "throttling_exception"}, "later", id="throttled as 400"),
    pytest.param(500, {}, "later", id="500"), pytest.param(503, {"message": "x"}, "later", id="503"),
    pytest.param(200, {}, "later", id="nothing"), pytest.param(200, {"status": "thinking"}, "later", id="unknown word"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "outcome"), POLLS)
def test_polls(status, body, outcome):
    for got in (signin.aws_credential(CLIENT, "us-east-1", "https://a", reply(status, **body), 0.0),
                signin.social_credential("google", reply(status, **body), 0.0)):  # fmt: skip
        assert isinstance(got, Unable) and got.outcome == outcome
        assert got.reason and "\n" not in got.reason and got.reason[0].islower()


def test_a_page_is_no_answer_of_the_service():
    got = signin.social_credential("google", Reply(403, {"retry-after": "9"}, b"<html>blocked</html>"), 0.0)
    assert got == Unable("later", "the service answered with HTTP 403, an HTML page, so it comes from a proxy or a block on the way", 9.0)


def test_tokens_with_a_status_that_is_none_are_not_taken():
    assert isinstance(signin.social_credential("google", reply(400, accessToken="a"), 0.0), Unable)


HOME = "http://localhost:3128"
BACK = [
    pytest.param(f"{HOME}/oauth/callback?login_option=google&code=C&state=S",
                 Callback("S", "C", f"{HOME}/oauth/callback?login_option=google", "google"), id="social"),
    pytest.param("/oauth/callback?login_option=github&code=C&state=S",
                 Callback("S", "C", f"{HOME}/oauth/callback?login_option=github", "github"), id="as the listener has it"),
    pytest.param("/oauth/callback?code=C&state=S", Callback("S", "C", f"{HOME}/oauth/callback"), id="no option"),
    pytest.param(' "kiro://kiro.kiroAgent/authenticate-success?code=C&state=S"\n',
                 Callback("S", "C", "kiro://kiro.kiroAgent/authenticate-success"), id="older, pasted with quotes"),
    pytest.param("/signin/callback?login_option=builderid&issuer_url=https%3A%2F%2Fevil&idc_region=mars&state=S",
                 Callback("S", start_url="https://view.awsapps.com/start", region="us-east-1"), id="Builder ID is where it is"),
    pytest.param("/signin/callback?login_option=awsidc&issuer_url=https%3A%2F%2Facme.awsapps.com%2Fstart&idc_region=eu-west-1&state=S",
                 Callback("S", start_url="https://acme.awsapps.com/start", region="eu-west-1"), id="Identity Center"),
    pytest.param("/oauth/callback?error=access_denied&state=S", Callback("S", error="access_denied"), id="refused"),
    pytest.param("/oauth/callback?error=%3Cscript%3E&state=S", Callback("S", error="script"), id="an error of a stranger's words"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "back"), BACK)
def test_callbacks(url, back):
    assert signin.read_callback(url) == back


NO_CALLBACKS = [
    pytest.param(f"/oauth/callback?code=c&state={STATE}&login_option=\ud800", "that is no address", id="half a surrogate pair"),
    ("", "no `state`"), ("hello", "no `state`"), ("http://[x", "no address"), ("/oauth/callback?code=C", "no `state`"),
    ("/oauth/callback?state=S", "no `code`"), (f"/oauth/callback?state=S&code={'c' * 5000}", "no `code`"),
    ("/oauth/callback?state=S&state=T&code=C", "twice"), ("/oauth/callback?" + "&".join(f"a{n}=1" for n in range(40)), "no address"),
    ("/signin/callback?login_option=awsidc&issuer_url=http%3A%2F%2Facme&idc_region=eu-west-1&state=S", "start URL looks like"),
    ("/signin/callback?login_option=awsidc&issuer_url=https%3A%2F%2Facme&idc_region=a.evil&state=S", "region looks like"),
    ("/signin/callback?login_option=awsidc&state=S", "start URL looks like"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "said"), NO_CALLBACKS)
def test_what_is_no_callback_is_told(url, said):
    with pytest.raises(signin.NotACallback, match=said) as caught:
        signin.read_callback(url)
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_nothing_that_is_pasted_breaks_it(text):
    for url in (text, "/oauth/callback?" + text, "/oauth/callback?" + urlencode({"state": text, "code": text, "error": text})):
        with contextlib.suppress(signin.NotACallback):
            assert isinstance(signin.read_callback(url), Callback)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["accessToken", "expiresIn", "error", "__type", "status", "deviceCode", "userCode", "verificationUri", "interval"]), x),
).map(lambda value: json.dumps(value).encode()), st.sampled_from([200, 400, 403, 500]))  # fmt: skip
def test_no_answer_breaks_it(body, status):
    got = Reply(status, {}, body)
    for read in (signin.read_client, signin.read_device, lambda r: signin.social_credential("google", r, 0.0)):
        read(got)


@pytest.mark.parametrize(("start", "region", "good"), [
    ("https://d-1234567890.awsapps.com/start", "eu-west-1", True), ("https://acme.awsapps.com/start/#/", "us-gov-west-1", True),
    ("http://acme.awsapps.com/start", "eu-west-1", False), ("https://user:pw@acme/start", "eu-west-1", False),
    ("https://acme /start", "eu-west-1", False), ("https://[acme/start", "eu-west-1", False), ("https://acme/start", "", False), ("https://acme/start", "x/../y", False),
])  # fmt: skip
def test_start_urls(start, region, good):
    assert (signin.wrong_idc(start, region) == "") is good


def test_secrets_are_compared_whatever_they_hold():
    assert same("ä\udc80", "ä\udc80") and not same("a", "b") and not same("a", "")
