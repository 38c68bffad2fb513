"""Usage windows: the same figures at the endpoint, in heads and in streams, whichever slot a window is in."""

import time

import pytest
import requests

from kirogw.twin.codex import CodexTwin
from tests.twin.codex import payloads as p

WEEK = {"used": 40.0, "seconds": 604_800}


@pytest.fixture
def twin():
    with CodexTwin() as running:
        yield running


def usage(twin, account=None):
    account = account or twin.account
    reply = requests.get(f"{twin.settings()['CODEX_API_URL']}/wham/usage", headers=p.headers(account), timeout=60)
    assert reply.status_code == 200
    return reply.json()


def test_the_endpoint(twin):
    told = usage(twin)
    assert told["plan_type"] == "plus" and told["rate_limit"]["allowed"]
    first, second = told["rate_limit"]["primary_window"], told["rate_limit"]["secondary_window"]
    assert (first["used_percent"], first["limit_window_seconds"]) == (12.0, 18_000)
    assert (second["used_percent"], second["limit_window_seconds"]) == (30.0, 604_800)
    assert 17_900 < first["reset_after_seconds"] <= 18_000 and abs(first["reset_at"] - time.time() - 18_000) < 60


def test_a_window_may_be_in_any_slot(twin):
    account = twin.add_account("codex", primary=dict(WEEK), secondary={})
    told = usage(twin, account)["rate_limit"]
    assert (told["primary_window"]["limit_window_seconds"], told["secondary_window"]) == (604_800, None)
    reply = p.ask(twin, account=account)
    assert reply.headers["x-codex-primary-window-minutes"] == "10080"
    assert not [name for name in reply.headers if name.startswith("x-codex-secondary")]
    limits = p.events(reply.text)[0]["rate_limits"]
    assert (limits["primary"]["window_minutes"], limits["secondary"]) == (10_080, None)


def test_a_family_of_its_own(twin):
    limit = {"name": "GPT-5.3-Codex-Spark", "feature": "codex_bengalfox", "primary": {**WEEK, "resets_at": time.time() + 60}}
    account = twin.add_account("codex", more_limits=[limit])
    assert usage(twin, account)["additional_rate_limits"][0]["rate_limit"]["primary_window"]["used_percent"] == 40.0
    said = p.ask(twin, account=account).headers
    assert (said["x-codex-bengalfox-primary-used-percent"], said["x-codex-bengalfox-limit-name"]) == ("40", limit["name"])


def test_a_full_window(twin):
    twin.account.secondary["used"] = 100.0
    reply = p.ask(twin)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["resets_at"]) == (429, "usage_limit_reached", int(twin.account.secondary["resets_at"]))
    assert 0 < error["resets_in_seconds"] <= 604_800 and reply.headers["x-codex-secondary-used-percent"] == "100"
    told = usage(twin)
    assert told["rate_limit"]["limit_reached"] and told["rate_limit_reached_type"] == {"type": "rate_limit_reached"}


def test_credits_go_on_when_a_window_is_full(twin):
    twin.account.primary["used"] = 100.0
    twin.account.credits = {"has_credits": True, "unlimited": False, "balance": "5"}
    assert p.ask(twin).status_code == 200


def test_a_window_whose_end_has_passed_is_fresh(twin):
    twin.account.primary |= {"used": 100.0, "resets_at": time.time() - 1}
    assert p.ask(twin).status_code == 200


def test_the_public_api_tells_no_time(twin):
    account = twin.add_account("siwc", primary={"used": 100.0, "seconds": 18_000})
    error = p.ask(twin, account=account).json()["error"]
    assert error["code"] == "subscription_sharing_usage_limit_exceeded" and "resets_at" not in error


def test_answers_use_the_windows_up(twin):
    twin.options.spend = 45.0
    assert [p.ask(twin).status_code for _ in range(3)] == [200, 200, 429]


def test_heads_and_events_may_be_left_out(twin):
    twin.options.limit_headers = twin.options.limit_events = False
    reply = p.ask(twin)
    assert not [name for name in reply.headers if "percent" in name]
    assert p.events(reply.text)[0]["type"] == "response.created"
