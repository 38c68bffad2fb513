"""Accounts of every kind through a real gateway: each serves, is renewed when the service says so, and loses nothing."""

import contextlib
import datetime
import hashlib
import json
import time

import pytest

from kirogw.twin import Twin, as_ide_file
from kirogw.twin.kiro.accounts import PLACEHOLDER_ARN
from tests.system.running import running
from tests.system.said import FORMS, IDS, payloads, say, tool
from tests.system.test_websearch import ALONE

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
KINDS = {
    "social": {"kind": "social"}, "builder": {"kind": "builder"}, "external": {"kind": "external"},
    "idc": {"kind": "idc", "region": "eu-central-1", "sso_region": "eu-west-1", "start_url": "https://a-firm.awsapps.com/start"},
}  # fmt: skip
FRESH, OLD = 3600, -60  # seconds until the token in the file ends


def stamp(seconds):
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.UTC).isoformat().replace("+00:00", "Z")


def ide_file(folder, account, seconds=FRESH):
    """The account as the Kiro IDE keeps it: its login, and the registration of its client beside it."""
    path = folder / "kiro-auth-token.json"
    members = {**as_ide_file(account, stamp(seconds)), "somebodyElses": {"a": [1]}}
    path.write_text(json.dumps(members))
    if account.client_secret:
        name = hashlib.sha1(account.start_url.encode(), usedforsecurity=False).hexdigest()
        client = {"clientId": account.client_id, "clientSecret": account.client_secret, "expiresAt": stamp(80 * 86400),
                  "region": account.sso_region, "startUrl": account.start_url}  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(client))
    return path


@contextlib.contextmanager
def serving(folder, kind, seconds=FRESH, **options):
    """A twin that minds its hosts and regions, a gateway with one account that lies in a file."""
    with Twin(accounts=[KINDS[kind]], **options) as twin:
        path = ide_file(folder, twin.account, seconds)
        with running(twin, KIRO_CREDS_FILE=path, **twin.settings(hosts=True)) as gateway:
            yield twin, gateway, path


def outcomes(twin):
    return [entry.outcome for entry in twin.ledger]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_serves(tmp_path, kind):
    """In its own region, with its own profile and token type; and the models are its own."""
    with serving(tmp_path, kind) as (twin, gateway, _):
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        for face, stream in FORMS:
            assert say(gateway, face, stream, "Go.").text == "Well."
        seen, account = twin.seen(), twin.account
        assert {one.host for one in seen} == {f"runtime.{account.region}.kiro.dev"}
        assert {payload["profileArn"] for payload in payloads(twin)} == {account.profile_arn}
        assert {one.headers.get("tokentype") for one in seen} <= {None, account.token_type}
        assert "claude-opus-5" in [model["id"] for model in gateway.get("/v1/models").json()["data"]]
        assert [row.row for row in twin.denials if row.row != "builder_lists_profiles"] == []
        assert (twin.refusals, outcomes(twin)) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_the_service_calls_dead_is_renewed_and_the_question_asked_again(tmp_path, kind):
    with serving(tmp_path, kind) as (twin, gateway, path):
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        for n, (face, stream) in enumerate(FORMS):
            assert say(gateway, face, stream, "Warm up.").text == "Well."
            spent, before = twin.account.access_token, len(twin.seen())
            twin.accounts.expire()
            assert say(gateway, face, stream, "Go.").text == "Well."
            assert outcomes(twin) == ["ok"] * (n + 1)
            denied, served = twin.seen()[before:]
            assert (denied.status, served.status) == (403, 200)
            assert [seen.headers["authorization"] == f"Bearer {spent}" for seen in (denied, served)] == [True, False]
        kept = json.loads(path.read_text())
        account = twin.account
        assert (kept["accessToken"], kept["refreshToken"], kept["somebodyElses"]) == (account.access_token, account.refresh_token, {"a": [1]})
        assert [row.row for row in twin.denials if row.row != "builder_lists_profiles"] == ["expired"] * len(FORMS)
        for secret in (account.access_token, account.refresh_token, account.client_secret):
            assert not secret or secret not in gateway.log.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_has_run_out_is_renewed_before_it_is_used(tmp_path, kind):
    with serving(tmp_path, kind, seconds=OLD) as (twin, gateway, path):
        twin.accounts.expire()
        assert say(gateway, "messages", True, "Go.").status == 200
        assert outcomes(twin) == ["ok"]
        assert [row.row for row in twin.denials if row.row != "builder_lists_profiles"] == []
        assert json.loads(path.read_text())["accessToken"] == twin.account.access_token


@EACH
def test_a_bare_refresh_token(face, stream):
    with Twin(accounts=["social"]) as twin, running(twin, REFRESH_TOKEN=twin.account.refresh_token) as gateway:
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        assert say(gateway, face, stream, "Go.").text == "Well."
        twin.accounts.expire()
        assert say(gateway, face, stream, "Go.").text == "Well."
        assert outcomes(twin) == ["ok", "ok"]
        assert [row.row for row in twin.denials] == ["expired"]


def test_a_withdrawn_login_says_so_and_is_not_hammered(tmp_path):
    with serving(tmp_path, "social") as (twin, gateway, _):
        twin.accounts.expire()
        twin.accounts.revoke(twin.account.name)
        for _ in range(3):
            answer = say(gateway, "messages", False, "Go.")
            assert (answer.status, answer.error["type"]) == (403, "permission_error")
            assert "sign in" in answer.error["message"].lower()
        assert len(twin.ledger) <= 2


@EACH
def test_a_search_renews_its_token_too(tmp_path, face, stream):
    """It may be the first that the service refuses."""
    more = {"web_search_options": {}, "tools": [tool("chat", "read")]} if face == "chat" else ALONE
    with serving(tmp_path, "social") as (twin, gateway, _):
        twin.search([{"title": "Zig", "url": "https://ziglang.org", "snippet": "It is out."}])
        twin.script([[{"tool": "web_search", "input": {"query": "zig"}, "id": "s1"}], [{"text": "Yes."}]])
        twin.faults.add("bearer_invalid", operation="mcp")
        answer = say(gateway, face, stream, None if face == "messages" else "Is it out?", **more)
        assert answer.error is None
        assert "https://ziglang.org" in json.dumps(answer.body)
        assert ([seen.status for seen in twin.seen("mcp")], outcomes(twin)) == ([403, 200], ["ok"])


LADDER = [
    # what the service wants of a Builder ID, how often the gateway is wrong before it knows, what it sends then
    pytest.param("placeholder", 0, PLACEHOLDER_ARN, id="placeholder"),
    pytest.param("any", 0, PLACEHOLDER_ARN, id="any"),
    pytest.param("none", 1, None, id="none"),
]


@pytest.mark.parametrize(("rule", "wrong", "arn"), LADDER)
def test_a_builder_id_finds_what_the_service_wants_of_it(tmp_path, rule, wrong, arn):
    with serving(tmp_path, "builder", builder=rule) as (twin, gateway, _):
        for face, stream in FORMS:
            assert say(gateway, face, stream, "Go.").status == 200
        arns = [payload.get("profileArn") for payload in payloads(twin)]
        assert arns == [PLACEHOLDER_ARN] * wrong + [arn] * len(FORMS)


def test_a_builder_id_follows_a_change_of_the_rule(tmp_path):
    with serving(tmp_path, "builder", builder="none") as (twin, gateway, _):
        assert say(gateway, "chat", False, "Go.").status == 200
        twin.options.change({"builder": "placeholder"})
        for _ in range(2):
            assert say(gateway, "chat", False, "Go.").status == 200
        assert [payload.get("profileArn") for payload in payloads(twin)] == [PLACEHOLDER_ARN, None, None, PLACEHOLDER_ARN, PLACEHOLDER_ARN]


def test_a_profile_that_is_another_accounts_is_looked_up_anew(tmp_path):
    """It was left over from a login before."""
    with Twin(accounts=[{**KINDS["idc"], "region": "us-east-1"}]) as twin:
        path = ide_file(tmp_path, twin.account)
        stale = "arn:aws:codewhisperer:us-east-1:111122223333:profile/SOMEBODYELSE"
        path.write_text(json.dumps({**json.loads(path.read_text()), "profileArn": stale}))
        with running(twin, KIRO_CREDS_FILE=path, **twin.settings(hosts=True)) as gateway:
            for _ in range(2):
                assert say(gateway, "messages", True, "Go.").status == 200
        assert [payload["profileArn"] for payload in payloads(twin)] == [stale, twin.account.profile_arn, twin.account.profile_arn]


def test_the_next_account_serves_when_the_first_is_locked(tmp_path):
    with Twin(accounts=["api_key", "api_key"]) as twin:
        first, second = twin.accounts.all.values()
        first.suspended = True
        with running(twin, KIRO_API_KEY=f"{first.api_key},{second.api_key}") as gateway:
            for face, stream in FORMS:
                assert say(gateway, face, stream, "Go.").status == 200
            assert [seen.account for seen in twin.seen()] == [first.name] + [second.name] * len(FORMS)
