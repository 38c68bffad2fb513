"""Who is let in: each row of the table, and each kind of account as it should be."""

import json

import pytest
import requests

from kirogw.twin import Twin
from kirogw.twin.kiro import identity
from kirogw.twin.kiro.accounts import PLACEHOLDER_ARN, SOCIAL_ARN, own_arn
from tests.twin.kiro import payloads as p

KINDS = ["social", "idc", "builder", "external", "api_key"]
RUNTIME = "@runtime.us-east-1.kiro.dev"
MANAGEMENT = "@management.us-east-1.kiro.dev"
TARGETS = {
    "generate": p.TARGET, "mcp": "KiroRuntimeService.InvokeMCP", "models": "AmazonCodeWhispererService.ListAvailableModels",
    "profiles": "KiroControlPlaneBearerService.ListAvailableProfiles", "usage": "AmazonCodeWhispererService.GetUsageLimits",
    "profile": "AmazonCodeWhispererService.GetProfile",
}  # fmt: skip
BODIES = {
    "generate": p.payload(), "mcp": {"jsonrpc": "2.0", "id": "1", "method": "tools/list"}, "models": {"origin": "AI_EDITOR"},
    "profiles": {}, "usage": {"origin": "AI_EDITOR", "resourceType": "AGENTIC_REQUEST"}, "profile": {},
}  # fmt: skip
OWN = object()  # the account's own profile, where it has one


@pytest.fixture(scope="module")
def twin():
    with Twin(accounts=[{"kind": kind, "name": kind} for kind in KINDS]) as running:
        running.add_account("idc", "german", region="eu-central-1")
        running.add_account("api_key", "revoked", banned=True)
        running.add_account("social", "locked", suspended=True)
        running.add_account("social", "late")
        running.accounts.expire("late")
        yield running


def ask(twin, account, operation="generate", arn=OWN, host="", **headers):
    """A request as it should be for this account, but for what is said."""
    account = twin.accounts.all[account]
    body = dict(BODIES[operation])
    arn = account.profile_arn or None if arn is OWN else arn
    if arn is not None:
        body["profileArn"] = arn
    sent = {**p.headers(account), "x-amz-target": TARGETS[operation], **headers}
    sent = {name: value for name, value in sent.items() if value is not None}
    return requests.post(f"{twin.url}/{host}", data=json.dumps(body), headers=sent, timeout=60)


CASES = {
    "foreign_agent": [{"user-agent": "python-requests/2"}, {"user-agent": "aws-sdk-js/1.0.34"}],
    "old_agent": [{"user-agent": f"aws-sdk-js/1.0.34 KiroIDE-{version}-{'a' * 64}"}
                  for version in ("0.6.18", "0.9.2", "0.11.107")],
    "revoked_key": [{"account": "revoked"}],
    "unknown_bearer": [{"authorization": "Bearer aoa"}, {"authorization": None}, {"authorization": "Bearer "}],
    "expired_control": [{"account": "late", "operation": "models"}],
    "expired": [{"account": "late"}, {"account": "late", "operation": "mcp"}],
    "token_type_of_key": [{"account": "api_key", "tokentype": value} for value in (None, "SSO_OIDC", "API_KEYS")],
    "token_type": [{"account": "external", "tokentype": None}, {"account": "social", "tokentype": "EXTERNAL_IDP"},
                   {"account": "social", "tokentype": "SSO_OIDC"}, {"account": "idc", "tokentype": "API_KEY"}],
    "suspended": [{"account": "locked"}, {"account": "locked", "operation": "usage"}],
    "region": [{"account": "german", "host": RUNTIME}, {"host": "@runtime.eu-central-1.kiro.dev"},
               {"account": "german", "operation": "models", "host": MANAGEMENT}],
    "key_lists_profiles": [{"account": "api_key", "operation": "profiles"}],
    "builder_lists_profiles": [{"account": "builder", "operation": "profiles"}],
    "usage_profile": [{"operation": "usage", "arn": None}, {"operation": "usage", "arn": "arn"}],
    "no_profile": [{"account": kind, "arn": None} for kind in ("social", "idc", "builder", "external")]
                  + [{"operation": "mcp", "arn": None}],
    "malformed_profile": [{"arn": ""}, {"arn": "arn:aws:codewhisperer:us-east-1:1:profile/A"}, {"arn": 1}],
    "profile_of_another_region": [{"account": "idc", "arn": own_arn("idc", "eu-central-1"), "host": RUNTIME}],
    "placeholder_profile": [{"account": "idc", "arn": PLACEHOLDER_ARN}, {"account": "external", "arn": PLACEHOLDER_ARN}],
    "foreign_profile": [{"arn": own_arn("idc", "us-east-1")}, {"account": "idc", "arn": SOCIAL_ARN},
                        {"account": "builder", "arn": own_arn("idc", "us-east-1")}, {"arn": PLACEHOLDER_ARN},
                        {"account": "api_key", "arn": own_arn("api_key", "us-east-1")}],
}  # fmt: skip
ROWS = {row.name: row for row in identity.DENIALS}


def test_every_row_has_an_example():
    assert list(CASES) == list(ROWS)


@pytest.mark.parametrize(("name", "case"), [pytest.param(name, case, id=f"{name}-{n}") for name in CASES
                                            for n, case in enumerate(CASES[name])])  # fmt: skip
def test_denied(twin, name, case):
    before = len(twin.denials)
    reply = ask(twin, **{"account": "social", **case})
    row = ROWS[name]
    assert [entry.row for entry in twin.denials[before:]] == [name]
    assert (reply.status_code, reply.headers["x-amzn-errortype"]) == (row.status, row.kind)
    assert {name: reply.json()[name] for name in ("message", "reason")} == {"message": row.message, "reason": row.reason}
    assert twin.refusals == []


@pytest.mark.parametrize(("kind", "operation"), [
    (kind, operation) for kind in KINDS for operation in TARGETS
    if operation != "profiles" or kind not in ("builder", "api_key")])
def test_let_in(twin, kind, operation):
    account = twin.accounts.all[kind]
    arn = account.own_arn if (operation, kind) == ("usage", "api_key") else OWN
    assert ask(twin, kind, operation, arn).status_code == 200


@pytest.mark.parametrize(("account", "case"), [
    pytest.param("idc", {"tokentype": "SSO_OIDC"}, id="idc may say so"),
    pytest.param("social", {"tokentype": "NONSENSE"}, id="unknown token types are ignored"),
    pytest.param("social", {"host": RUNTIME}, id="right region"),
    pytest.param("german", {"host": "@runtime.eu-central-1.kiro.dev"}, id="right other region"),
    pytest.param("german", {}, id="any region"),
    pytest.param("social", {"user-agent": "aws-sdk-js/1.0.0 KiroCLI/2.23.1 app/AmazonQ-For-CLI"}, id="CLI"),
    pytest.param("social", {"user-agent": f"aws-sdk-js/1.0.34 KiroIDE-0.12.155-{'a' * 64}"}, id="oldest IDE"),
])  # fmt: skip
def test_let_in_too(twin, account, case):
    assert ask(twin, account, **case).status_code == 200


@pytest.mark.parametrize(("host", "operation", "served"), [
    (RUNTIME, "generate", True), (RUNTIME, "mcp", True), (RUNTIME, "models", False), (RUNTIME, "profile", False),
    (MANAGEMENT, "generate", False), (MANAGEMENT, "models", True), ("@q.us-east-1.amazonaws.com", "generate", True),
    ("@codewhisperer.us-east-1.amazonaws.com", "models", True), ("@oidc.us-east-1.amazonaws.com", "models", False),
])  # fmt: skip
def test_a_host_serves_its_own_operations(twin, host, operation, served):
    reply = ask(twin, "social", operation, host=host)
    assert reply.status_code == (200 if served else 404)
    assert served or reply.headers["x-amzn-errortype"] == "UnknownOperationException"


@pytest.mark.parametrize(("rule", "arn", "status"), [
    ("placeholder", PLACEHOLDER_ARN, 200), ("placeholder", None, 400), ("none", PLACEHOLDER_ARN, 403), ("none", None, 200),
    ("any", PLACEHOLDER_ARN, 200), ("any", None, 200),
])  # fmt: skip
def test_builder_id_by_the_rule_of_the_day(twin, rule, arn, status):
    twin.options.change({"builder": rule})
    try:
        assert ask(twin, "builder", arn=arn).status_code == status
    finally:
        twin.options.change({"builder": "placeholder"})


def test_the_profile_of_a_search_may_stand_in_the_header_but_not_in_the_query(twin):
    account = twin.accounts.all["social"]
    sent = {**p.headers(account, rest=True), "x-amzn-kiro-profile-arn": account.profile_arn}
    body = json.dumps(BODIES["mcp"])
    assert requests.post(twin.url + "/mcp", data=body, headers=sent, timeout=60).status_code == 200
    del sent["x-amzn-kiro-profile-arn"]
    url = f"{twin.url}/mcp?profileArn={account.profile_arn}"
    assert requests.post(url, data=body, headers=sent, timeout=60).json()["message"] == ROWS["no_profile"].message
