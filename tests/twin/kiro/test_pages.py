"""The pages to sign in at, and the polls of a device on demand: what a client gets wrong is refused."""

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from kirogw.twin import Twin

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
STATE = "0123456789abcdef"
PORTAL = {"state": STATE, "code_challenge": CHALLENGE, "code_challenge_method": "S256", "redirect_uri": "http://localhost:3128",
          "redirect_from": "kirocli"}  # fmt: skip
APP = {"idp": "Google", "state": STATE, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
       "redirect_uri": "kiro://kiro.kiroAgent/authenticate-success"}  # fmt: skip


@pytest.fixture
def twin():
    with Twin(accounts=[]) as running:
        yield running


def get(twin, path, **query):
    return requests.get(f"{twin.url}{path}?{urlencode(query)}", timeout=60, allow_redirects=False)


def back(twin, choice, **more):
    """Where the browser is sent, and with what."""
    url = urlsplit(get(twin, "/signin/continue", **{**PORTAL, **more}, choice=choice).headers["location"])
    return url.path, {name: value for name, (value,) in parse_qs(url.query).items()}


def exchange(twin, **body):
    return requests.post(f"{twin.url}/oauth/token", json=body, timeout=60)


def test_the_portal_shows_every_way(twin):
    page = get(twin, "/signin", **PORTAL).text
    assert all(f'id="{choice}"' in page for choice in ("google", "github", "builderid", "awsidc", "deny"))
    page = get(twin, "/signin", **PORTAL, login_option="github").text
    assert 'id="github"' in page and 'id="google"' not in page


@pytest.mark.parametrize("provider", ["google", "github"])
def test_a_code_is_exchanged_once(twin, provider):
    path, query = back(twin, provider)
    assert (path, query["login_option"], query["state"]) == ("/oauth/callback", provider, STATE)
    body = {"code": query["code"], "code_verifier": VERIFIER, "redirect_uri": f"http://localhost:3128/oauth/callback?login_option={provider}"}
    got = exchange(twin, **body)
    (account,) = twin.accounts.all.values()
    assert got.json() == {"accessToken": account.access_token, "refreshToken": account.refresh_token, "profileArn": account.profile_arn,
                          "expiresIn": 3600}  # fmt: skip
    assert exchange(twin, **body).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("wrong", [
    {"code_verifier": "w" * 64}, {"code_verifier": None}, {"redirect_uri": "http://localhost:3128/oauth/callback"},
    {"redirect_uri": "http://localhost:3128/oauth/callback?login_option=github"}, {"redirect_uri": "http://localhost:3128"},
    {"redirect_uri": "http://127.0.0.1:3128/oauth/callback?login_option=google"}, {"code": "x"}])  # fmt: skip
def test_a_wrong_exchange_is_refused_and_costs_the_code(twin, wrong):
    _, query = back(twin, "google")
    body = {"code": query["code"], "code_verifier": VERIFIER, "redirect_uri": "http://localhost:3128/oauth/callback?login_option=google"}
    got = exchange(twin, **{**body, **wrong})
    assert (got.status_code, got.json()["error"]) == (400, "invalid_grant") and twin.accounts.all == {}
    assert exchange(twin, **body).ok is ("code" in wrong)


def test_a_code_runs_out(twin):
    _, query = back(twin, "google")
    twin.service.pages.codes[query["code"]].ends = 0
    body = {"code": query["code"], "code_verifier": VERIFIER, "redirect_uri": "http://localhost:3128/oauth/callback?login_option=google"}
    assert exchange(twin, **body).status_code == 400


@pytest.mark.parametrize(("choice", "path", "query"), [
    ("builderid", "/signin/callback", {"login_option": "builderid", "issuer_url": "https://view.awsapps.com/start", "idc_region": "us-east-1"}),
    ("awsidc", "/signin/callback", {"login_option": "awsidc", "issuer_url": "https://acme.awsapps.com/start", "idc_region": "eu-west-1"}),
    ("deny", "/oauth/callback", {"error": "access_denied"})])  # fmt: skip
def test_what_else_may_come_back(twin, choice, path, query):
    assert back(twin, choice) == (path, {**query, "state": STATE})


@pytest.mark.parametrize("wrong", [
    {"redirect_uri": "http://evil.example:3128"}, {"redirect_uri": "http://localhost"}, {"redirect_uri": "http://localhost:3128/x"},
    {"redirect_uri": "http://127.0.0.1:3128"}, {"redirect_from": ""}, {"login_option": "facebook"}, {"code_challenge": "x"},
    {"code_challenge_method": "plain"}, {"state": "short"}])  # fmt: skip
@pytest.mark.parametrize("path", ["/signin", "/signin/continue"])
def test_a_wrong_address_is_refused(twin, path, wrong):
    assert get(twin, path, **{**PORTAL, **wrong}, choice="google").status_code == 400


@pytest.mark.parametrize("wrong", [{"idp": "google"}, {"redirect_uri": "http://localhost:3128"}, {"code_challenge": "x"}, {"state": ""}])
def test_the_older_page_minds_too(twin, wrong):
    assert get(twin, "/login", **{**APP, **wrong}).status_code == 400


def test_the_older_page(twin):
    url = urlsplit(get(twin, "/login", **APP).headers["location"])
    assert (url.scheme, url.netloc, url.path) == ("kiro", "kiro.kiroAgent", "/authenticate-success")
    code = parse_qs(url.query)["code"][0]
    assert exchange(twin, code=code, code_verifier=VERIFIER, redirect_uri=APP["redirect_uri"]).ok


def test_hosts_are_minded(twin):
    assert requests.get(f"{twin.url}/@app.kiro.dev/signin?{urlencode(PORTAL)}", timeout=60).ok
    assert requests.get(f"{twin.url}/@runtime.us-east-1.kiro.dev/signin?{urlencode(PORTAL)}", timeout=60).status_code == 404


def test_who_signs_in_can_be_named(twin):
    twin.options.change({"signs_in": "ada"})
    for _ in range(2):
        _, query = back(twin, "google")
        got = exchange(twin, code=query["code"], code_verifier=VERIFIER, redirect_uri="http://localhost:3128/oauth/callback?login_option=google")
        assert got.json()["accessToken"] == twin.accounts.all["ada"].access_token
    assert list(twin.accounts.all) == ["ada"]


# a device


def begin(twin):
    device = requests.post(f"{twin.url}/oauth/device/authorization", json={"loginProvider": "Github"}, timeout=60).json()
    return device, lambda: requests.post(f"{twin.url}/oauth/device/poll", json={"deviceCode": device["deviceCode"]}, timeout=60)


@pytest.mark.parametrize(("answer", "said"), [("approved", None), ("denied", "access_denied")])
def test_the_user_decides_on_a_page(twin, answer, said):
    twin.options.change({"device_polls": 100})
    device, poll = begin(twin)
    page = requests.get(device["verificationUriComplete"], timeout=60).text
    assert device["userCode"] in page and 'id="approved"' in page
    assert poll().json() == {"status": "authorization_pending"}
    assert get(twin, "/device/decide", user_code=device["userCode"], answer=answer).ok
    assert poll().json().get("status") == said
    assert said or next(iter(twin.accounts.all.values())).provider == "Github"


@pytest.mark.parametrize("path", ["/device", "/device/decide"])
def test_a_code_that_is_none(twin, path):
    got = get(twin, path, user_code="<script>", answer="approved")
    assert got.status_code == 400 and "<script>" not in got.text


WORDS = [
    ("pending", 200, {"status": "authorization_pending"}), ("slow_down", 200, {"status": "slow_down"}), ("denied", 200, {"status": "access_denied"}),
    ("expired", 200, {"status": "expired_token"}), ("429", 429, {"message": "Too many requests"}), ("500", 500, {"message": "Internal error"}),
    ("503", 503, {"message": "Unavailable"}), ("html", 403, None), ("400", 400, None), ("empty", 200, {}),
    ("SlowDownException", 400, {"__type": "com.amazonaws.ssooidc#SlowDownException", "message": "No."}),
]  # fmt: skip


@pytest.mark.parametrize(("word", "status", "body"), WORDS)
def test_every_answer_of_a_poll_on_demand(twin, word, status, body):
    _, poll = begin(twin)
    assert requests.post(f"{twin.url}/_twin/polls", json=[word, "approved"], timeout=60).json() == {"waiting": [word, "approved"]}
    got = poll()
    assert got.status_code == status and (body is None or got.json() == body)
    assert "accessToken" in poll().json()
