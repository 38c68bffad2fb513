"""The walk of a sign-in before the twin: every kind, every answer of a poll, and every end. The clock is ours."""

import json

import pytest
import requests

from kirogw.errors import BadRequest
from kirogw.logins.sealed import Unsealable
from kirogw.logins.way import Flow
from kirogw.logins.ways.kiro import Kiro
from kirogw.store import StoreFailed
from kirogw.twin import Twin
from tests.logins.walking import Walking

PLACES = ["builder-id", "idc", "social"]  # whose polls there are
IDC = {"start_url": "https://acme.awsapps.com/start", "region": "eu-west-1"}
PARAMS = {"builder-id": {}, "idc": IDC, "social": {"provider": "google"}, "portal": {}}
KIND = {"builder-id": "builder", "idc": "idc", "social": "social"}


class Stand(Walking):
    def start(self, kind="social", **params):
        return self.walk.start(kind, {**PARAMS[kind], **params})

    def visit(self, url):
        """Where the page sends the browser that clicks through it."""
        got = requests.get(url, timeout=60, allow_redirects=False)
        return got.headers.get("location") or got.text


@pytest.fixture
def stand(tmp_path):
    with Twin(accounts=[], device_polls=2) as twin:
        yield Stand(twin, tmp_path, 1_800_000_000.0)


@pytest.mark.parametrize("kind", PLACES)
def test_a_device_flow(stand, kind):
    flow = stand.start(kind, label="mine", account="old")
    assert (flow.step, flow.interval, flow.next_at) == ("device", 1.0, stand.clock + 1)
    assert flow.ends_at == stand.clock + (300 if kind == "social" else 600)
    assert flow.code in flow.url and flow.shown()["state"] == "pending" and flow.shown()["again_at"] == flow.next_at
    assert stand.walk.poll(flow) is flow, "not before its time"
    assert stand.twin.counts.get("token", 0) + stand.twin.counts.get("social_poll", 0) == 0
    for _ in range(2):
        flow = stand.next(flow)
        assert (flow.step, flow.notice, stand.kept) == ("device", "", [])
    flow = stand.next(flow)
    assert flow.step == "keep" and stand.kept == []
    flow = stand.next(flow)
    ((credential, more),) = stand.kept
    (account,) = stand.twin.accounts.all.values()
    assert more == {"label": "mine", "source": "login", "id": "old"}
    assert (credential.kind, credential.access, credential.refresh) == (KIND[kind], account.access_token, account.refresh_token)
    assert credential.email == f"{account.name}@localhost" and credential.client_secret == account.client_secret
    assert (flow.step, flow.account, flow.shown()["state"]) == ("done", "account-1", "done")
    assert flow.reason == "KIRO PRO, 1000 of 1000 credits left" and "***@localhost" in flow.who
    assert stand.next(flow) == flow, "an end is an end"


def test_the_region_is_where_the_organisation_is(stand):
    stand.start("idc")
    assert {seen.host for seen in stand.twin.requests} == {"oidc.eu-west-1.amazonaws.com"}
    assert next(s for s in stand.twin.seen("device")).payload["startUrl"] == IDC["start_url"]


ANSWERS = [
    # what the poll hears, the interval and the wait after it, what the user is told
    pytest.param(["pending"], 1, 1, "", id="pending"),
    pytest.param(["AuthorizationPendingException"], 1, 1, "", id="pending, typed"),
    pytest.param(["slow_down"], 6, 6, "", id="slow down"),
    pytest.param(["SlowDownException"], 6, 6, "", id="slow down, typed"),
    pytest.param(["slow_down", "pending", "slow_down"], 11, 11, "", id="slower for good"),
    pytest.param(["429"], 1, 7, "HTTP 429", id="429 with retry-after"),
    pytest.param(["500"], 1, 1, "HTTP 500", id="500"),
    pytest.param(["503", "500", "503"], 1, 4, "HTTP 503", id="one failure after the other"),
    pytest.param(["500"] * 9, 1, 60, "HTTP 500", id="never more than a minute"),
    pytest.param(["html"], 1, 1, "an HTML page", id="HTML"),
    pytest.param(["empty"], 1, 1, "without tokens", id="an empty answer"),
    pytest.param(["html", "pending"], 1, 1, "", id="well again"),
]  # fmt: skip


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize(("words", "interval", "wait", "said"), ANSWERS)
def test_what_passes(stand, kind, words, interval, wait, said):
    flow = stand.start(kind)
    stand.twin.auth.polls.extend(words)
    for _ in words:
        flow = stand.next(flow)
    assert (flow.step, flow.interval, flow.next_at - stand.clock) == ("device", interval, wait)
    assert said in flow.notice and bool(said) is bool(flow.notice) and flow.shown()["notice"] == flow.notice
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.next(flow))
    assert flow.step == "done" and len(stand.kept) == 1


ENDS = [
    pytest.param("expired", "the code ran out before anybody approved it; start the login again", id="expired"),
    pytest.param("ExpiredTokenException", "the code ran out before anybody approved it; start the login again", id="expired, typed"),
    pytest.param("denied", "the login was refused on the sign-in page", id="denied"),
    pytest.param("AccessDeniedException", "the login was refused on the sign-in page", id="denied, typed"),
    pytest.param("invalid_grant", "the service does not know this code, or it was used already; start the login again", id="unknown code"),
    pytest.param("invalid_client", "the service does not take the client registration; start the login again", id="client"),
    pytest.param("400", "the service answered with HTTP 400, no reason given", id="400 without words"),
]  # fmt: skip


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize(("word", "reason"), ENDS)
def test_what_ends_it(stand, kind, word, reason):
    stand.twin.auth.polls.append(word)
    flow = stand.next(stand.start(kind))
    assert (flow.step, flow.reason, stand.kept) == ("failed", reason, [])
    shown = flow.shown()
    assert (shown["state"], shown["url"], shown["code"], shown["reason"]) == ("failed", "", "", reason)
    assert not (flow.device or flow.client or flow.credential), "no secret is kept"


def test_a_network_that_breaks_passes(stand):
    flow = stand.start()
    stand.broken = 3
    for _ in range(3):
        flow = stand.next(flow)
        assert flow.step == "device" and flow.notice.startswith("the sign-in service can not be reached")
    for _ in range(4):
        flow = stand.next(flow)
    assert flow.step == "done"


@pytest.mark.parametrize("kind", PLACES)
def test_nobody_approves(stand, kind):
    stand.twin.options.change({"device_polls": 10_000})
    flow, polls = stand.start(kind), 0
    while not flow.over:
        flow, polls = stand.next(flow), polls + 1
    assert flow.reason == "nobody approved the login in time; start it again"
    assert polls == (300 if kind == "social" else 600)


def test_what_was_wrong_all_the_time_is_told_at_the_end(stand):
    flow = stand.start()
    stand.twin.auth.polls.append("503")
    flow = stand.next(flow)
    stand.clock = flow.ends_at
    assert "HTTP 503" in stand.walk.poll(flow).reason


STARTS = [("builder-id", "register"), ("builder-id", "device"), ("idc", "device"), ("social", "social_device")]


@pytest.mark.parametrize(("kind", "operation"), STARTS)
def test_a_start_is_tried_again(stand, kind, operation):
    stand.twin.faults.add("refresh_broken", operation=operation, count=2)
    assert stand.start(kind).step == "device" and stand.slept == [1.0, 2.0]


@pytest.mark.parametrize(("kind", "operation"), STARTS)
def test_a_start_that_fails_says_why(stand, kind, operation):
    stand.twin.faults.add("html_403", operation=operation, count=None)
    flow = stand.start(kind)
    assert flow.step == "failed" and "an HTML page" in flow.reason and stand.twin.counts[operation] == 3


def test_a_start_that_is_refused_is_not_tried_again(stand):
    stand.twin.faults.add(operation="device", status=400, body='{"error": "invalid_request"}', count=None)
    flow = stand.start("idc")
    assert flow.reason == "the service did not take the request; check start URL and region" and stand.twin.counts["device"] == 1


def test_a_network_that_is_not_there(stand):
    stand.broken = 100
    assert "can not be reached" in stand.start("builder-id").reason


WRONG = [
    ("saml", {}, "kind"), ("idc", {"start_url": ""}, "start_url"), ("idc", {"region": ""}, "region"),
    ("idc", {"region": "x.evil"}, "region"), ("idc", {"start_url": "ftp://a"}, "start_url"),
    ("social", {"provider": "gitlab"}, "provider"), ("social", {"how": "fax"}, "how"), ("social", {"provider": 7}, "provider"),
    ("social", {"label": ["x"]}, "label"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "param"), WRONG)
def test_parameters_that_make_no_sense(stand, kind, params, param):
    with pytest.raises(BadRequest) as caught:
        stand.walk.start(kind, {**PARAMS.get(kind, {}), **params})
    assert caught.value.param == param and stand.network.sent == []


# the page


@pytest.mark.parametrize("provider", ["google", "github"])
@pytest.mark.parametrize("how", ["browser", "link"])
def test_a_social_login_by_the_page(stand, provider, how):
    flow = stand.start(provider=provider, how=how)
    assert (flow.step, flow.code, flow.shown()["paste"]) == ("browser", "", True)
    url = stand.visit(flow.url if how == "link" else f"{flow.url.replace('/signin?', '/signin/continue?')}&choice={provider}")
    assert url.startswith("kiro://kiro.kiroAgent/" if how == "link" else "http://localhost:3128/oauth/callback?login_option=")
    flow = stand.walk.exchanged(*stand.walk.arrived(flow, url))
    assert flow.step == "keep" and not flow.verifier and not flow.state
    flow = stand.next(flow)
    assert flow.step == "done" and stand.kept[0][0].provider == {"google": "Google", "github": "Github"}[provider]
    sent = stand.twin.seen("exchange")[0].payload
    page = f"http://localhost:3128/oauth/callback?login_option={provider}"
    assert sent["redirect_uri"] == ("kiro://kiro.kiroAgent/authenticate-success" if how == "link" else page)


@pytest.mark.parametrize(("choice", "kind", "region"), [("builderid", "builder", "us-east-1"), ("awsidc", "idc", "eu-west-1")])
def test_the_page_hands_over(stand, choice, kind, region):
    flow = stand.start("portal")
    url = stand.visit(f"{flow.url.replace('/signin?', '/signin/continue?')}&choice={choice}")
    flow = stand.walk.exchanged(*stand.walk.arrived(flow, url))
    assert (flow.step, flow.region) == ("device", region) and flow.code in flow.url and not flow.shown()["paste"]
    while not flow.over:
        flow = stand.next(flow)
    assert flow.step == "done" and stand.kept[0][0].kind == kind
    with pytest.raises(BadRequest, match="does not wait for an address"):
        stand.walk.arrived(flow, url)


def test_the_user_says_no_on_the_page(stand):
    flow = stand.start("portal")
    url = stand.visit(f"{flow.url.replace('/signin?', '/signin/continue?')}&choice=deny")
    flow = stand.walk.exchanged(*stand.walk.arrived(flow, url))
    assert (flow.step, flow.reason) == ("failed", "the login was refused on the sign-in page")


STRANGE = [
    "http://localhost:3128/oauth/callback?code=stolen&state={wrong}", "kiro://x?code=stolen&state={wrong}",
    "/oauth/callback?error=access_denied&state={wrong}", "/signin/callback?login_option=builderid&state={wrong}",
    "/oauth/callback?code=stolen", "nonsense", "", "/oauth/callback?state={state}",
]  # fmt: skip


@pytest.mark.parametrize("url", STRANGE)
def test_what_is_not_ours_moves_nothing(stand, url):
    flow = stand.start("portal")
    with pytest.raises(BadRequest):
        stand.walk.arrived(flow, url.format(wrong="0" * 32, state=flow.state))
    assert stand.twin.counts.get("exchange", 0) == 0 and flow.step == "browser"
    good = stand.visit(f"{flow.url.replace('/signin?', '/signin/continue?')}&choice=google")
    assert stand.walk.exchanged(*stand.walk.arrived(flow, good)).step == "keep"


def test_a_code_works_once(stand):
    flow = stand.start("portal")
    url = stand.visit(f"{flow.url.replace('/signin?', '/signin/continue?')}&choice=google")
    assert stand.walk.exchanged(*stand.walk.arrived(flow, url)).step == "keep"
    again = stand.walk.exchanged(*stand.walk.arrived(flow, url))
    assert again.step == "failed" and again.reason.startswith("the service does not know this code")


def test_an_exchange_is_tried_again(stand):
    flow = stand.start("portal")
    url = stand.visit(f"{flow.url.replace('/signin?', '/signin/continue?')}&choice=google")
    stand.twin.faults.add("refresh_busy", operation="exchange", count=2)
    assert stand.walk.exchanged(*stand.walk.arrived(flow, url)).step == "keep" and stand.twin.counts["exchange"] == 3


def test_nobody_comes_back_from_the_page(stand):
    flow = stand.start("portal")
    assert stand.walk.poll(flow) is flow
    stand.clock += 600
    assert stand.walk.poll(flow).reason == "nobody finished the sign-in page in time; start the login again"


# the end


@pytest.mark.parametrize("why", [StoreFailed("the disk is full"), Unsealable("the key is not here"), PermissionError(13, "Permission denied")], ids=repr)
def test_a_login_that_can_not_be_kept_is_offered_again(stand, why):
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.start())
    add, stand.walk._add = stand.walk._add, lambda *a, **m: (_ for _ in ()).throw(why)
    for wait in (1, 2, 4):
        flow = stand.next(flow)
        said = why.strerror if isinstance(why, OSError) else str(why)
        assert (flow.step, flow.next_at - stand.clock) == ("keep", wait) and flow.notice.endswith(said)
    stand.walk._add = add
    flow = stand.next(flow)
    assert flow.step == "done" and stand.kept[0][0].access == next(iter(stand.twin.accounts.all.values())).access_token


def test_a_login_whose_quota_is_not_told_is_kept_all_the_same(stand):
    stand.twin.faults.add("unexpected", operation="usage", count=None)
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.next(stand.start()))
    assert flow.step == "done" and flow.reason.startswith("signed in, but its quota could not be asked for: ")
    assert stand.kept[0][0].email == ""


def test_whose_it_is_is_asked_with_one_profile_after_the_other(stand):
    """A Builder ID's placeholder is refused at times, and the quota is never asked for without."""
    stand.twin.faults.add("invalid_profile", operation="usage", count=1)
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.next(stand.start("builder-id")))
    assert [seen.payload.get("profileArn") is None for seen in stand.twin.seen("usage")] == [False, False]
    assert flow.step == "done" and flow.reason.startswith("KIRO PRO")


def test_an_organisation_without_a_profile_is_kept_all_the_same(stand):
    stand.twin.faults.add(operation="profiles", status=200, body='{"profiles": []}', count=None)
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.next(stand.start("idc")))
    assert flow.step == "done" and flow.reason.endswith("could not be asked for: the service did not say")


def test_a_network_that_breaks_while_it_asks_whose_it_is(stand):
    stand.twin.auth.polls.append("approved")
    flow = stand.next(stand.start())
    stand.broken = 100
    assert "can not be reached" in stand.next(flow).reason and len(stand.kept) == 1


def test_a_locked_account_says_so(stand):
    stand.twin.faults.add("suspended", operation="usage", count=None)
    stand.twin.auth.polls.append("approved")
    assert "suspended" in stand.next(stand.next(stand.start())).reason


@pytest.mark.parametrize("kind", [*PLACES, "portal"])
def test_cancelled(stand, kind):
    flow = stand.walk.cancelled(stand.start(kind))
    assert (flow.step, flow.over, flow.url) == ("cancelled", True, "") and stand.walk.poll(flow) is flow
    assert stand.walk.cancelled(flow) is flow


@pytest.mark.parametrize("kind", Kiro.kinds)
def test_a_flow_survives_its_journey_and_shows_no_secret(stand, kind):
    flow = stand.start(kind)
    assert Flow.of(json.loads(json.dumps(flow.as_json()))) == flow
    hidden = [flow.device, flow.verifier, flow.client.get("secret", "")]
    for text in (repr(flow), json.dumps(flow.shown())):
        assert not any(secret and secret in text for secret in hidden)
    stand.twin.auth.polls.append("approved")
    if kind != "portal":
        came = stand.next(flow)
        assert Flow.of(json.loads(json.dumps(came.as_json()))).credential == came.as_json()["credential"]
        for text in (repr(came), json.dumps(came.shown())):
            assert came.credential["access"] not in text and came.credential["refresh"] not in text
