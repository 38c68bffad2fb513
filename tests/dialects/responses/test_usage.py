"""What accounts have left, as Codex CLI reads it: whole numbers, and windows told apart by their length."""

import pytest

from kirogw.dialects.quota import Bucket, Quota
from kirogw.dialects.responses.usage import MONTH, Held, headers, usage

NOW = 1_795_000_000.0
PLAN = Quota(NOW, (Bucket("plan", 250.25, 1000.0, NOW + 864000.5),), plan="KIRO PRO+")
BONUS = Quota(NOW, (Bucket("plan", 50.0, 50.0), Bucket("bonus X", 100.0, 450.0)), plan="KIRO FREE", resets_at=NOW + 1000)
WINDOWS = Quota(NOW, (Bucket("5 hours", 42.4, 100.0, NOW + 600, 18000.0), Bucket("week", 13.0, 100.0, NOW + 90000, 604800.0)), plan="plus", windows=True)
WEEK = Quota(NOW, (Bucket("week", 100.0, 100.0, NOW + 70000, 604800.0),), plan="free", windows=True)
MONTHLY = {"used_percent": 25, "limit_window_seconds": MONTH, "reset_after_seconds": 864001, "reset_at": 1_795_864_000}
NO_CREDITS = {"has_credits": False, "unlimited": False, "balance": None}


def limit(primary, secondary=None, allowed=True, reached=False):
    return {"allowed": allowed, "limit_reached": reached, "primary_window": primary, "secondary_window": secondary}


def window(percent, seconds, left):
    return {"used_percent": percent, "limit_window_seconds": seconds, "reset_after_seconds": left, "reset_at": int(NOW + left)}


FIVE_HOURS, SEVEN_DAYS = window(42, 18000, 600), window(13, 604800, 90000)
ROWS = [
    # accounts, plan, the limit that is told first, further ones
    pytest.param([Held("Kiro", True, PLAN)], "pro", limit(MONTHLY), [], id="credits are a month's window"),
    pytest.param([Held("Kiro", True, BONUS)], "free", limit(window(30, MONTH, 1000)), [], id="buckets add up"),
    pytest.param([Held("Kiro", True, None)], "unknown", limit(None), [], id="nothing is known"),
    pytest.param([], "unknown", None, [], id="no account"),
    pytest.param([Held("ChatGPT", True, WINDOWS)], "plus", limit(FIVE_HOURS, SEVEN_DAYS), [], id="windows as they are"),
    pytest.param([Held("ChatGPT", False, WEEK)], "free", limit(window(100, 604800, 70000), allowed=False, reached=True), [], id="a week in the first slot"),
    pytest.param([Held("ChatGPT", True, WINDOWS), Held("ChatGPT", False, WEEK)], "plus", limit(FIVE_HOURS, window(56, 604800, 70000)), [], id="two accounts"),
    pytest.param([Held("Kiro", True, PLAN), Held("ChatGPT", True, WINDOWS)], "plus", limit(FIVE_HOURS, SEVEN_DAYS),
                 [{"limit_name": "Kiro", "metered_feature": "kiro", "rate_limit": limit(MONTHLY)}], id="both providers"),
    pytest.param([Held("Kiro", True, Quota(NOW, (Bucket("plan", 5.0, 0.0),), plan="KIRO POWER"))], "pro", limit(None, reached=True), [], id="nothing to use"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "plan", "first", "others"), ROWS)
def test_usage(rows, plan, first, others):
    assert usage(rows, NOW) == {
        "plan_type": plan, "rate_limit": first, "additional_rate_limits": others, "credits": NO_CREDITS,
        "rate_limit_reached_type": None,
    }  # fmt: skip


def test_when_it_resets_nobody_knows():
    """At the latest after its length; never a time that is over."""
    old = Quota(NOW, (Bucket("5 hours", 10.0, 100.0, NOW - 5, 18000.0),), windows=True)
    assert usage([Held("ChatGPT", True, old)], NOW)["rate_limit"]["primary_window"] == window(10, 18000, 18000)


def test_the_head_of_an_answer():
    assert headers(WINDOWS, NOW) == {
        "x-codex-primary-used-percent": "42.4", "x-codex-primary-window-minutes": "300", "x-codex-primary-reset-at": "1795000600",
        "x-codex-secondary-used-percent": "13.0", "x-codex-secondary-window-minutes": "10080", "x-codex-secondary-reset-at": "1795090000",
    }  # fmt: skip
    assert headers(PLAN, NOW)["x-codex-primary-window-minutes"] == "43200"
    assert headers(None, NOW) == headers(Quota(NOW), NOW) == {}
