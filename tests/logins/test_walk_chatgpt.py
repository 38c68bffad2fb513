"""The walk of a sign-in to ChatGPT, before the twin: both doors, every answer of a poll, and every end. The clock is ours."""

import json
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from kirogw.dialects.codex.claims import claims
from kirogw.errors import BadRequest
from kirogw.logins.host import host_id
from kirogw.logins.way import Flow
from kirogw.logins.ways.chatgpt import sign_out
from kirogw.store import open_store
from kirogw.twin.codex import CodexTwin, jwt
from tests.logins.walking import Walking

GONE = "does not prove this login: "


class Stand(Walking):
    def __init__(self, twin, folder):
        self.folder, self.accounts = folder, {}
        super().__init__(twin, folder, time.time(), host=lambda: host_id(self.store), known=self.accounts.get)
        self.store = open_store(self.settings)

    def device(self):
        return self.walk.start("codex", {"how": "device"})

    def visit(self, flow, **changed):
        """Where the page sends the browser."""
        url = urlsplit(flow.url)
        query = urlencode({**dict(parse_qsl(url.query)), **changed})
        got = requests.get(f"{url.scheme}://{url.netloc}{url.path}?{query}", timeout=60, allow_redirects=False)
        assert got.status_code == 302, got.text
        return got.headers["location"]

    def form(self, path):
        """What was sent there."""
        (sent,) = [request for request in self.network.sent if urlsplit(request.url).path == path]
        return dict(parse_qsl(sent.body.decode()))

    def back(self, flow, url):
        return self.walk.exchanged(*self.walk.arrived(flow, url))


@pytest.fixture
def twin():
    with CodexTwin(accounts=[], device_polls=2, interval=5) as twin:
        yield twin


@pytest.fixture
def stand(twin, tmp_path):
    made = Stand(twin, tmp_path)
    yield made
    made.store.close()


def signed_in(stand, flow, kind):
    """The login that came, after it has been kept."""
    assert flow.step == "keep" and not (flow.verifier or flow.state or flow.nonce or flow.client)
    flow = stand.next(flow)
    assert flow.step == "done", flow.reason
    credential, more = stand.kept[-1]
    account = next(each for each in stand.twin.accounts.all.values() if each.refresh_token == credential.refresh)
    assert (credential.kind, credential.access, credential.id_token) == (kind, account.access_token, account.id_token)
    assert (credential.workspace, credential.user, credential.plan) == (account.workspace, account.user, account.plan)
    assert credential.email == account.email and credential.expires_at == claims(credential.access)["exp"]
    assert flow.account == "account-1" and "***@localhost" in flow.who and account.email not in flow.who
    return credential, flow, more


# by a code


def test_a_code(stand):
    flow = stand.walk.start("codex", {"how": "device", "label": "mine", "account": "old"})
    assert (flow.step, flow.interval, flow.next_at, flow.ends_at) == ("device", 5.0, stand.clock + 5, stand.clock + 900)
    assert flow.url == f"{stand.twin.url}/codex/device" and len(flow.code) == 11
    assert stand.walk.poll(flow) is flow and stand.twin.counts.get("device_token", 0) == 0, "not before its time"
    for _ in range(2):
        flow = stand.next(flow)
        assert (flow.step, flow.notice, stand.kept) == ("device", "", [])
    flow = stand.next(flow)
    assert (flow.step, flow.next_at) == ("device", stand.clock) and stand.twin.counts.get("token", 0) == 0
    _, flow, more = signed_in(stand, stand.next(flow), "codex")
    assert more == {"label": "mine", "source": "login", "id": "old"} and flow.reason.startswith("plus")
    assert stand.form("/oauth/token")["redirect_uri"] == f"{stand.twin.url}/deviceauth/callback"


POLLS = [
    # what the poll hears, the wait after it, what the user is told
    pytest.param(["pending"], 5, "", id="pending"),
    pytest.param(["404"], 5, "", id="pending, as 404"),
    pytest.param(["429"], 7, "HTTP 429", id="429 with retry-after"),
    pytest.param(["500"], 5, "HTTP 500", id="500"),
    pytest.param(["500"] * 9, 60, "HTTP 500", id="never more than a minute"),
    pytest.param(["html"], 5, "an HTML page", id="a challenge of Cloudflare"),
    pytest.param(["html", "pending"], 5, "", id="well again"),
]


@pytest.mark.parametrize(("words", "wait", "said"), POLLS)
def test_what_passes(stand, words, wait, said):
    flow = stand.device()
    stand.twin.auth.polls.extend(words)
    for _ in words:
        flow = stand.next(flow)
    assert (flow.step, flow.next_at - stand.clock) == ("device", wait)
    assert said in flow.notice and bool(said) is bool(flow.notice)
    stand.twin.auth.polls.append("approved")
    signed_in(stand, stand.next(stand.next(flow)), "codex")


@pytest.mark.parametrize(("word", "reason"), [
    ("expired", "the code ran out before anybody approved it; start the login again"),
    ("denied", "the login was refused on the sign-in page"),
    ("400", "the service answered with HTTP 400, no reason given")])  # fmt: skip
def test_what_ends_it(stand, word, reason):
    stand.twin.auth.polls.append(word)
    flow = stand.next(stand.device())
    assert (flow.step, flow.reason, stand.kept, flow.device, flow.code) == ("failed", reason, [], "", "")


def test_a_network_that_breaks_between_agreement_and_exchange_loses_nothing(stand):
    flow = stand.device()
    stand.twin.auth.polls.append("approved")
    flow = stand.next(flow)
    stand.broken = 3
    for _ in range(3):
        flow = stand.next(flow)
        assert flow.step == "device" and flow.notice.startswith("the sign-in service can not be reached")
    signed_in(stand, stand.next(flow), "codex")


def test_nobody_approves(stand):
    stand.twin.options.change({"device_polls": 10_000})
    flow, polls = stand.device(), 0
    while not flow.over:
        flow, polls = stand.next(flow), polls + 1
    assert (polls, flow.reason) == (180, "nobody approved the login in time; start it again")


def test_where_codes_are_switched_off_it_is_told(stand):
    stand.twin.options.change({"device_login": False})
    flow = stand.device()
    assert flow.step == "failed" and "switched off" in flow.reason and stand.twin.counts["usercode"] == 1


def test_a_start_is_tried_again(stand):
    stand.twin.faults.add(operation="usercode", status=503, body="{}", count=2)
    assert stand.device().step == "device" and stand.slept == [1.0, 2.0]


# by the page of the Codex client


def pasted(url):
    query = urlsplit(url).query
    parts = dict(parse_qsl(query))
    return {
        "whole": url, "query": query, "query with its mark": f"?{query}", "code and state": f"{parts['code']}#{parts['state']}",
        "code": parts["code"], "quoted": f"  <{url}>\n",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["whole", "query", "query with its mark", "code and state", "code", "quoted"])
def test_the_page_of_the_codex_client(stand, form):
    flow = stand.walk.start("codex", {})
    assert (flow.step, flow.how, flow.port, flow.shown()["paste"]) == ("browser", "browser", 1455, True)
    query = dict(parse_qsl(urlsplit(flow.url).query))
    assert query["redirect_uri"] == "http://localhost:1455/auth/callback" and query["originator"] == "kirogw"
    assert query["scope"] == "openid profile email offline_access" and "nonce" not in query
    flow = stand.back(flow, pasted(stand.visit(flow))[form])
    signed_in(stand, flow, "codex")


def test_another_port_is_part_of_the_page(stand):
    flow = stand.walk.at(stand.walk.start("codex", {}), 1457)
    assert "localhost%3A1457" in flow.url and stand.walk.ports(flow) == (1455, 1457)
    signed_in(stand, stand.back(flow, stand.visit(flow)), "codex")


STRANGE = [
    "http://localhost:1455/auth/callback?code=stolen&state={wrong}", "/auth/callback?code=stolen", "stolen#{wrong}",
    "/auth/callback?error=access_denied&state={wrong}", "?code=stolen&state={wrong}", "code=stolen&code=again", "",
    "http://localhost:1455/auth/callback?state={state}", "two words", "http://localhost:1455/", "code=&state={state}",
    "code=x&state={state}&client_id=oai app", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("kind", ["chatgpt", "codex"])
@pytest.mark.parametrize("url", STRANGE)
def test_what_is_not_ours_moves_nothing(stand, kind, url):
    flow = stand.walk.start(kind, {})
    with pytest.raises(BadRequest):
        stand.walk.arrived(flow, url.format(wrong="0" * 43, state=flow.state))
    assert stand.network.sent == [] and flow.step == "browser"
    signed_in(stand, stand.back(flow, stand.visit(flow)), "siwc" if kind == "chatgpt" else "codex")


@pytest.mark.parametrize("kind", ["chatgpt", "codex"])
def test_the_user_says_no(stand, kind):
    stand.twin.options.change({"consent": "deny"})
    flow = stand.walk.start(kind, {})
    flow = stand.back(flow, stand.visit(flow))
    assert (flow.step, flow.reason) == ("failed", "the login was refused on the sign-in page")


@pytest.mark.parametrize("kind", ["chatgpt", "codex"])
def test_a_code_works_once(stand, kind):
    flow = stand.walk.start(kind, {})
    url = stand.visit(flow)
    assert stand.back(flow, url).step == "keep"
    assert stand.back(flow, url).reason.startswith("the service does not know this code")


@pytest.mark.parametrize(("kind", "operation"), [("codex", "token"), ("chatgpt", "siwc_token"), ("chatgpt", "discovery"), ("chatgpt", "keys")])
def test_an_exchange_is_tried_again(stand, kind, operation):
    flow = stand.walk.start(kind, {})
    url = stand.visit(flow)
    stand.twin.faults.add(operation=operation, status=503, body="{}", count=2)
    signed_in(stand, stand.back(flow, url), "siwc" if kind == "chatgpt" else "codex")
    assert stand.twin.counts[operation] == 3


@pytest.mark.parametrize(("kind", "how"), [("chatgpt", "device"), ("chatgpt", "link"), ("codex", "link"), ("codex", 7)])
def test_ways_that_there_are_not(stand, kind, how):
    with pytest.raises(BadRequest) as caught:
        stand.walk.start(kind, {"how": how})
    assert caught.value.param == "how"


# Sign in with ChatGPT


def test_sign_in_with_chatgpt(stand):
    flow = stand.walk.at(stand.walk.start("chatgpt", {"label": "mine"}), 45678)
    query = dict(parse_qsl(urlsplit(flow.url).query))
    assert query["client_id"] == "dynamic_agent_client" and query["agent_name_hint"] == "kirogw"
    assert query["redirect_uri"] == "http://127.0.0.1:45678/auth/callback" and "login_hint" not in query
    assert query["ext_agent_host_id"] == host_id(stand.store) and query["resource"] == "https://api.openai.com/v1"
    url = stand.visit(flow)
    credential, flow, more = signed_in(stand, stand.back(flow, url), "siwc")
    assert credential.client_id == dict(parse_qsl(urlsplit(url).query))["client_id"] and credential.client_id.startswith("oaiapp_")
    assert more == {"label": "mine", "source": "login", "id": ""} and flow.reason.startswith("plus")
    sent = stand.form("/api/accounts/oauth/token")
    assert sent["client_id"] == credential.client_id and sent["resource"] == "https://api.openai.com/v1"


def test_the_installation_keeps_its_name(stand):
    first = stand.walk.start("chatgpt", {}).url
    again = Stand(stand.twin, stand.folder)
    second = again.walk.start("chatgpt", {}).url
    names = {dict(parse_qsl(urlsplit(url).query))["ext_agent_host_id"] for url in (first, second)}
    assert names == {host_id(stand.store)} and next(iter(names)).startswith("urn:uuid:")
    again.store.close()


@pytest.mark.parametrize("form", ["code", "code and state"])
def test_a_bare_code_is_not_enough_the_first_time(stand, form):
    """The client that was issued stands in the address."""
    flow = stand.walk.start("chatgpt", {})
    flow = stand.back(flow, pasted(stand.visit(flow))[form])
    assert flow.step == "failed" and "the whole address" in flow.reason and stand.twin.counts.get("siwc_token", 0) == 0


@pytest.fixture
def known(stand):
    """An account that has signed in before."""
    flow = stand.walk.start("chatgpt", {})
    credential, *_ = signed_in(stand, stand.back(flow, stand.visit(flow)), "siwc")
    stand.accounts["account-1"] = credential
    stand.twin.options.change({"signs_in": next(iter(stand.twin.accounts.all))})
    return credential


def test_who_signs_in_again_is_the_same_client(stand, known):
    flow = stand.walk.start("chatgpt", {"account": "account-1"})
    query = dict(parse_qsl(urlsplit(flow.url).query))
    assert query["client_id"] == known.client_id and query["login_hint"] == known.email and "agent_name_hint" not in query
    credential, _, more = signed_in(stand, stand.back(flow, pasted(stand.visit(flow))["code"]), "siwc")
    assert credential.client_id == known.client_id and credential.refresh != known.refresh and more["id"] == "account-1"


def test_somebody_else_does_not_take_an_account_over(stand, known):
    account = next(iter(stand.twin.accounts.all.values()))
    account.subject = "auth0|somebody-else"
    flow = stand.walk.start("chatgpt", {"account": "account-1"})
    flow = stand.back(flow, stand.visit(flow))
    assert flow.step == "failed" and flow.reason.endswith("somebody else has signed in") and len(stand.kept) == 1


@pytest.mark.parametrize("kind", ["portal", "builder-id"])
def test_no_login_takes_the_place_of_another_providers(stand, known, kind):
    with pytest.raises(BadRequest, match="another provider's") as caught:
        stand.walk.start(kind, {"account": "account-1"})
    assert caught.value.param == "account"
    assert stand.walk.start("codex", {"account": "account-1"}).into == "account-1", "by the other door it may"


def test_a_plan_whose_use_is_not_granted(stand):
    stand.twin.options.change({"plan_use": False})
    flow = stand.walk.start("chatgpt", {})
    flow = stand.back(flow, stand.visit(flow))
    assert flow.step == "failed" and "did not grant the use of the plan" in flow.reason and stand.kept == []


@pytest.mark.parametrize(("changed", "said"), [
    ({"nonce": "another"}, "it belongs to another login"), ({"aud": "oaiapp_other"}, "it was made for another program"),
    ({"aud": ["oaiapp_other", "CLIENT"]}, "it was made for another program"), ({"iss": "https://evil.example"}, "another service made it"),
    ({"exp": 1}, "it has run out; is the clock of this machine right?"), ({"exp": None}, "it has run out; is the clock of this machine right?"),
    ({"sub": ""}, "it does not say whose it is")])  # fmt: skip
def test_an_id_token_that_proves_nothing(stand, monkeypatch, changed, said):
    made = stand.twin.accounts._id_token

    def other(account, nonce):
        named = json.loads(json.dumps(changed).replace("CLIENT", account.client_id))
        return jwt.signed({**claims(made(account, nonce)), **named})

    monkeypatch.setattr(stand.twin.accounts, "_id_token", other)
    flow = stand.walk.start("chatgpt", {})
    flow = stand.back(flow, stand.visit(flow))
    assert (flow.step, stand.kept) == ("failed", []) and flow.reason.endswith(GONE + said)


def test_an_id_token_of_a_clock_that_is_a_little_off(stand, monkeypatch):
    made = stand.twin.accounts._id_token
    monkeypatch.setattr(stand.twin.accounts, "_id_token",
                        lambda account, nonce: jwt.signed({**claims(made(account, nonce)), "exp": stand.clock - 50}))  # fmt: skip
    flow = stand.walk.start("chatgpt", {})
    assert stand.back(flow, stand.visit(flow)).step == "keep"


def test_an_id_token_that_somebody_else_has_signed(stand, monkeypatch):
    made = stand.twin.accounts._id_token

    def tampered(account, nonce):
        head, body, signature = made(account, nonce).split(".")
        return f"{head}.{jwt.encoded(json.dumps({**claims(f'{head}.{body}.{signature}'), 'sub': 'me'}).encode())}.{signature}"

    monkeypatch.setattr(stand.twin.accounts, "_id_token", tampered)
    flow = stand.walk.start("chatgpt", {})
    assert stand.back(flow, stand.visit(flow)).reason.endswith(GONE + "its signature is wrong")


def test_keys_that_changed_meanwhile_are_fetched_anew(stand):
    flow = stand.walk.start("chatgpt", {})
    stand.twin.faults.add(operation="keys", status=200, body='{"keys": []}', count=1)
    signed_in(stand, stand.back(flow, stand.visit(flow)), "siwc")
    assert stand.twin.counts["keys"] == 2


# signing out


def test_signing_out_withdraws_the_login(stand, known):
    account = next(iter(stand.twin.accounts.all.values()))
    assert known.refresh in stand.twin.accounts.living(account.name)
    sign_out(known, stand.settings, stand.post)
    assert known.refresh not in stand.twin.accounts.living(account.name)


def test_a_login_of_the_codex_client_is_not_withdrawn(stand):
    """Codex CLI may go on using it."""
    flow = stand.walk.start("codex", {})
    credential, *_ = signed_in(stand, stand.back(flow, stand.visit(flow)), "codex")
    sent = len(stand.network.sent)
    sign_out(credential, stand.settings, stand.post)
    assert len(stand.network.sent) == sent


@pytest.mark.parametrize("how", ["broken", "503", "refused"])
def test_a_service_that_is_away_is_no_reason_to_stay(stand, known, how, caplog):
    stand.broken = 9 if how == "broken" else 0
    if how != "broken":
        stand.twin.faults.add(operation={"503": "discovery", "refused": "revoke"}[how], status=503, body="{}", count=None)
    with caplog.at_level("WARNING", "kirogw"):
        sign_out(known, stand.settings, stand.post)
    assert known.refresh not in caplog.text


# secrets


@pytest.mark.parametrize(("kind", "how"), [("chatgpt", "browser"), ("codex", "browser"), ("codex", "device")])
def test_a_flow_survives_its_journey_and_shows_no_secret(stand, kind, how):
    flow = stand.walk.start(kind, {"how": how})
    assert Flow.of(json.loads(json.dumps(flow.as_json()))) == flow
    for text in (repr(flow), json.dumps(flow.shown())):
        assert not any(secret and secret in text for secret in (flow.device, flow.verifier))
    if how == "device":
        stand.twin.auth.polls.append("approved")
        agreed = stand.next(flow)
        assert agreed.client["code"] not in repr(agreed) + json.dumps(agreed.shown())
        came = stand.next(agreed)
    else:
        came = stand.back(flow, stand.visit(flow))
    for text in (repr(came), json.dumps(came.shown())):
        assert not any(came.credential[name] in text for name in ("access", "refresh", "id_token"))
