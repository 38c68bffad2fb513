"""GetUsageLimits: what is asked, and what its answers mean. What can not be read is unknown, and never nothing."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro import quota
from kirogw.dialects.provider import Login, Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.settings import Settings
from kirogw.wire import Reply

NOW, RESET, TRIAL, BONUS = 1768000000.0, 1769904000.0, 1768100000.0, 1768200000.0
ARN = "arn:aws:codewhisperer:us-east-1:111122223333:profile/ABC"
LOGIN = Login("social", "aoa-secret", ARN, "eu-central-1", "m" * 64)


def credit(**members):
    return {
        "resourceType": "CREDIT", "currentUsage": 695, "currentUsageWithPrecision": 695.17, "usageLimit": 1000,
        "usageLimitWithPrecision": 1000.0, "currentOverages": 0, "overageCap": 10000, "nextDateReset": RESET,
        "freeTrialInfo": {"freeTrialStatus": "ACTIVE", "freeTrialExpiry": TRIAL * 1000, "currentUsage": 106, "usageLimit": 500},
        "bonuses": [{"bonusCode": "WELCOME", "status": "ACTIVE", "expiresAt": BONUS, "currentUsage": 0, "usageLimit": 100}],
        **members,
    }  # fmt: skip


def usage(*rows, **members):
    return {
        "nextDateReset": RESET, "subscriptionInfo": {"subscriptionTitle": "KIRO PRO", "type": "PRO"},
        "overageConfiguration": {"overageStatus": "DISABLED"}, "usageBreakdownList": list(rows),
        "userInfo": {"userId": "d-9067.x", "email": "a@b.c"}, **members,
    }  # fmt: skip


def read(body, status=200):
    return quota.read(Reply(status, {}, json.dumps(body).encode()), NOW)


PLAN = Bucket("plan", 695.17, 1000.0, RESET)
EXTRAS = Bucket("trial", 106.0, 500.0, TRIAL), Bucket("bonus WELCOME", 0.0, 100.0, BONUS)


def told(*buckets, **members):
    base = {"plan": "KIRO PRO", "overage_cap": 10000.0, "resets_at": RESET, "email": "a@b.c", "user": "d-9067.x"}
    return Quota(NOW, buckets, **{**base, **members})


def test_what_is_asked():
    made = quota.request(LOGIN, "https://management.{region}.kiro.dev", Settings())
    assert (made.method, made.url) == ("POST", "https://management.eu-central-1.kiro.dev/")
    assert made.headers["x-amz-target"] == "AmazonCodeWhispererService.GetUsageLimits"
    assert made.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert "tokentype" not in made.headers
    assert json.loads(made.body) == {
        "origin": "AI_EDITOR", "resourceType": "AGENTIC_REQUEST", "isEmailRequired": True, "profileArn": ARN,
    }  # fmt: skip


def test_a_key_names_its_type_and_the_profile_that_only_the_control_plane_hears_of():
    key = Login("key", "ksk_x")
    assert "profileArn" not in json.loads(quota.request(key, "http://x", Settings()).body)
    made = quota.request(key, "http://x", Settings(), ARN)
    assert (made.headers["tokentype"], json.loads(made.body)["profileArn"]) == ("API_KEY", ARN)


ROWS = [
    # the breakdowns, what is read
    pytest.param([credit()], told(PLAN, *EXTRAS), id="plan, trial and bonus"),
    pytest.param([credit(resourceType="SPEC", usageLimit=1), credit()], told(PLAN, *EXTRAS), id="by type, not by place"),
    pytest.param([credit(), credit(resourceType="AGENTIC_REQUEST", currentUsageWithPrecision=1.0)],
                 told(Bucket("plan", 1.0, 1000.0, RESET), *EXTRAS), id="requests of agents before credits"),
    pytest.param([credit(resourceType="AGENTIC_REQUEST", usageLimit=None, usageLimitWithPrecision="?"), credit()],
                 told(PLAN, *EXTRAS), id="a row that says nothing makes way"),
    pytest.param([credit(currentUsageWithPrecision=None, usageLimitWithPrecision=None)],
                 told(Bucket("plan", 695.0, 1000.0, RESET), *EXTRAS), id="whole figures where there are no others"),
    pytest.param([credit(freeTrialInfo={"freeTrialStatus": "EXPIRED", "currentUsage": 0, "usageLimit": 500}, bonuses=[])],
                 told(PLAN), id="a trial that is over"),
    pytest.param([credit(freeTrialInfo=None, bonuses=[{"bonusCode": "X", "status": "EXPIRED", "currentUsage": 0, "usageLimit": 9}, 7])],
                 told(PLAN), id="a bonus that is over"),
    pytest.param([credit(freeTrialInfo=None, bonuses=None, nextDateReset=RESET * 1000)], told(PLAN), id="reset in ms"),
    pytest.param([credit(freeTrialInfo=None, bonuses=None, nextDateReset=None)], told(PLAN), id="reset of the whole"),
    pytest.param([credit(freeTrialInfo={"freeTrialStatus": "ACTIVE", "freeTrialExpiry": TRIAL, "currentUsage": 106, "usageLimit": 500},
                         bonuses=[{"bonusCode": "WELCOME", "status": "ACTIVE", "expiresAt": BONUS * 1000, "currentUsage": 0, "usageLimit": 100}])],
                 told(PLAN, *EXTRAS), id="trial in s, bonus in ms"),
    pytest.param([credit(currentUsageWithPrecision=1003.5, freeTrialInfo=None, bonuses=[], currentOverages=None)],
                 told(Bucket("plan", 1003.5, 1000.0, RESET), overage_used=3.5), id="overage that is only implied"),
    pytest.param([credit(resourceType="SPEC"), credit(resourceType="VIBE")], told(overage_cap=None), id="none of credits"),
    pytest.param([credit(usageLimit=None, usageLimitWithPrecision=None)], told(overage_cap=None), id="no limit"),
    pytest.param([credit(usageLimit=0, usageLimitWithPrecision=0, currentUsage=0, currentUsageWithPrecision=0, freeTrialInfo=None,
                         bonuses=[])], told(), id="a plan of nothing is no plan"),
    pytest.param([credit(currentUsage=-1, currentUsageWithPrecision=True)], told(*EXTRAS), id="strange figures of the plan"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "got"), ROWS)
def test_what_is_left(rows, got):
    assert read(usage(*rows)) == got


UNSURE = [
    pytest.param({"freeTrialInfo": {"freeTrialStatus": "ACTIVE", "usageLimit": "500"}, "bonuses": []}, id="trial"),
    pytest.param({"freeTrialInfo": None, "bonuses": [{"status": "ACTIVE"}]}, id="bonus"),
]


@pytest.mark.parametrize("members", UNSURE)
def test_nothing_is_known_when_the_rest_is_used_up_and_a_part_can_not_be_read(members):
    known = read(usage(credit(**members)))
    assert (known.left, known.exhausted) == (pytest.approx(304.83), False)
    unsure = read(usage(credit(**members, currentUsageWithPrecision=1000.0)))
    assert (unsure.buckets, unsure.left, unsure.exhausted) == ((), None, False)


EXHAUSTED = [
    # overage, used, the credit row's other members, exhausted
    pytest.param("DISABLED", 1000, {}, True, id="at the limit"),
    pytest.param("OVERAGE_DISABLED", 1200, {}, True, id="beyond it"),
    pytest.param("DISABLED", 999.99, {}, False, id="a fraction is left"),
    pytest.param("ENABLED", 1000, {}, False, id="overage"),
    pytest.param("OVERAGE_ENABLED", 5000, {"currentOverages": 4000}, False, id="overage in the long spelling"),
    pytest.param("ENABLED", 11000, {"currentOverages": 10000}, True, id="overage at its cap"),
    pytest.param("ENABLED", 90000, {"currentOverages": 80000, "overageCap": None}, False, id="overage without a cap"),
    pytest.param("ENABLED", 1000, {"overageCap": 0}, False, id="a cap of 0 is none"),
]


@pytest.mark.parametrize(("status", "used", "members", "exhausted"), EXHAUSTED)
def test_when_an_account_is_exhausted(status, used, members, exhausted):
    row = credit(freeTrialInfo=None, bonuses=[], currentUsageWithPrecision=used, **members)
    assert read(usage(row, overageConfiguration={"overageStatus": status})).exhausted is exhausted


REFUSED = [
    # status, body, the row of the faults table, what it says of the account
    pytest.param(403, {"message": "Your User ID (d-9067) temporarily is suspended. We locked your account"}, "suspended", "suspended", id="locked"),
    pytest.param(403, {"reason": "TEMPORARILY_SUSPENDED", "message": "x"}, "suspended", "suspended", id="locked, by reason"),
    pytest.param(423, {}, "suspended", "suspended", id="banned"),
    pytest.param(403, {"message": "The bearer token included in the request is invalid."}, "token", "attention", id="token"),
    pytest.param(400, {"message": "Invalid profileArn."}, "profile", "attention", id="profile"),
    pytest.param(429, {"message": "Too many requests"}, "rate", "slow", id="rate"),
    pytest.param(500, {}, "server", "", id="server"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "rule", "fate"), REFUSED)
def test_a_refusal_is_judged_by_the_table_of_faults(status, body, rule, fate):
    verdict = read(body, status)
    assert isinstance(verdict, Verdict)
    assert (verdict.rule, verdict.fate) == (rule, fate)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"{"])
def test_what_is_no_answer_is_a_failure(body):
    verdict = quota.read(Reply(200, {}, body), NOW)
    assert isinstance(verdict, Verdict)
    assert not verdict.fate


# Laws

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=5,
)  # fmt: skip
NAMES = sorted({*usage(), *credit(), *credit()["freeTrialInfo"], *credit()["bonuses"][0], "overageStatus", "subscriptionTitle"})


@settings(max_examples=200, deadline=None)
@given(st.recursive(json_values, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=20))
def test_no_answer_breaks_the_reader(body):
    found = read(body)
    if isinstance(found, Quota):
        assert all(math.isfinite(b.left) and b.left >= 0 for b in found.buckets)
        assert found.buckets or not found.exhausted


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_strange_member_never_makes_an_account_exhausted(data):
    """Any member of the parts that count, in any strange form: what is left is told as before, as more, or not at all."""
    row = credit(currentUsageWithPrecision=data.draw(st.sampled_from([10.0, 1000.0])))
    part = data.draw(st.sampled_from([row["freeTrialInfo"], row["bonuses"][0]]))
    before = read(usage(credit(currentUsageWithPrecision=row["currentUsageWithPrecision"]))).exhausted
    part[data.draw(st.sampled_from(["currentUsage", "usageLimit"]))] = data.draw(
        st.none() | st.booleans() | st.text(max_size=4) | st.integers(max_value=-1) | st.lists(st.none(), max_size=1))
    assert not before
    assert not read(usage(row)).exhausted


amounts = st.floats(0, 1e6, allow_nan=False)
parts = st.tuples(amounts, st.floats(1, 1e6), st.booleans())


@settings(max_examples=150, deadline=None)
@given(parts, st.none() | parts, st.lists(parts, max_size=3), st.sampled_from([True, False]), st.booleans())
def test_what_is_left_is_the_sum_of_all_that_is_active(plan, trial, bonuses, milliseconds, enabled):
    def shown(part):
        return {"currentUsageWithPrecision": part[0], "usageLimitWithPrecision": part[1], "currentUsage": 0, "usageLimit": 0}

    unit = 1000 if milliseconds else 1
    row = credit(
        **shown(plan), nextDateReset=RESET * unit, currentOverages=None,
        freeTrialInfo=trial and {**shown(trial), "freeTrialStatus": "ACTIVE" if trial[2] else "EXPIRED", "freeTrialExpiry": TRIAL * unit},
        bonuses=[{**shown(b), "status": "ACTIVE" if b[2] else "USED", "expiresAt": BONUS * unit, "bonusCode": "B"} for b in bonuses],
    )  # fmt: skip
    found = read(usage(row, overageConfiguration={"overageStatus": "ENABLED" if enabled else "DISABLED"}))
    active = [plan, *([trial] if trial and trial[2] else []), *(b for b in bonuses if b[2])]
    assert found.left == pytest.approx(sum(max(0.0, limit - used) for used, limit, _ in active))
    assert found.exhausted == (found.left == 0 and (not enabled or found.overage_used >= 10000))
    assert {b.resets_at for b in found.buckets} <= {RESET, TRIAL, BONUS}
