"""An account's credits: what pays for an answer, when there is none left, and each form in which it is told."""

import time

import pytest
import requests

from kirogw.twin import Twin
from tests.twin.kiro import payloads as p

SOON = 2000000000.0


def row(used, limit, status="ACTIVE", **members):
    return {"used": used, "limit": limit, "status": status, "expires_at": SOON, **members}


@pytest.fixture
def twin():
    with Twin(accounts=["idc"]) as running:
        yield running


def told(twin):
    sent = {**p.headers(twin.account), "x-amz-target": "AmazonCodeWhispererService.GetUsageLimits"}
    body = {"profileArn": twin.account.profile_arn, "origin": "AI_EDITOR"}
    return requests.post(twin.url, json=body, headers={**sent, "content-type": "application/x-amz-json-1.0"}, timeout=60).json()


def breakdown(twin):
    return told(twin)["usageBreakdownList"][-1]


def test_trial_and_bonuses_pay_first(twin):
    account = twin.account
    account.trial, account.bonuses = row(499.9999, 500), [row(0, 10, "EXPIRED", code="OLD"), row(0, 10, code="WELCOME")]
    assert p.ask(twin).status_code == 200
    assert (account.trial["used"], account.used, account.bonuses[0]["used"]) == (500, 0.0, 0)
    assert account.bonuses[1]["used"] > 0


def test_an_answer_is_refused_only_when_nothing_is_left(twin):
    account = twin.account
    account.used, account.trial = account.limit, row(0, 1)
    assert p.ask(twin).status_code == 200
    account.trial["used"] = 1
    assert p.ask(twin).json()["reason"] == "MONTHLY_REQUEST_COUNT"
    account.overage, account.overage_cap = True, 0.00001
    assert p.ask(twin).status_code == 200
    assert p.ask(twin).json()["reason"] == "MONTHLY_REQUEST_COUNT"  # at the cap


def test_the_trial_ends_in_milliseconds_and_all_else_in_seconds(twin):
    twin.account.trial, twin.account.bonuses = row(1.25, 500), [row(0.5, 10, code="WELCOME")]
    credit = breakdown(twin)
    assert credit["freeTrialInfo"] == {
        "freeTrialStatus": "ACTIVE", "freeTrialExpiry": SOON * 1000, "currentUsage": 1, "usageLimit": 500,
        "currentUsageWithPrecision": 1.25, "usageLimitWithPrecision": 500.0}  # fmt: skip
    assert credit["bonuses"] == [{
        "bonusCode": "WELCOME", "status": "ACTIVE", "expiresAt": SOON, "currentUsage": 0, "usageLimit": 10,
        "currentUsageWithPrecision": 0.5, "usageLimitWithPrecision": 10.0}]  # fmt: skip
    assert 0 < credit["nextDateReset"] - time.time() < 32 * 86400


def test_other_forms(twin):
    account = twin.account
    account.used, account.overage = 1500.5, True
    account.usage = {"milliseconds": True, "precise": False, "overage": "long", "kind": "AGENTIC_REQUEST", "before": ["SPEC"]}
    whole = told(twin)
    assert [one["resourceType"] for one in whole["usageBreakdownList"]] == ["SPEC", "AGENTIC_REQUEST"]
    assert whole["overageConfiguration"] == {"overageStatus": "OVERAGE_ENABLED"}
    credit = whole["usageBreakdownList"][1]
    assert (credit["currentUsage"], credit["currentOverages"], "currentUsageWithPrecision" in credit) == (1500, 500, False)
    assert whole["nextDateReset"] == credit["nextDateReset"] > 1e12


def test_any_answer_at_all(twin):
    twin.account.usage = {"strange": {"usageBreakdownList": "none"}}
    assert told(twin) == {"usageBreakdownList": "none"}


def test_an_account_is_changed_over_http(twin):
    name = twin.account.name
    given = requests.post(f"{twin.url}/_twin/account", json={"name": name, "used": 7, "suspended": True}, timeout=60)
    assert (given.status_code, twin.account.used, twin.account.suspended) == (200, 7, True)
    assert requests.post(f"{twin.url}/_twin/account", json={"name": name, "usde": 7}, timeout=60).status_code == 400
