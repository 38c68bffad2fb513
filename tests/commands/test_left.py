"""What an account has left, in a line for people."""

import time

import pytest

from kirogw.commands.left import UNKNOWN, credits, left, windows
from kirogw.dialects.quota import Bucket, Quota
from kirogw.quotas import Snapshot, viewed

NOW = time.time()
TWO = (Bucket("5 hours", 23.4, 100.0, NOW + 3 * 3600 - 2, 18_000.0), Bucket("week", 60.0, 100.0, None, 604_800.0))
CREDITS = Quota(NOW, (Bucket("plan", 56.5, 1000.0, NOW + 9), Bucket("trial", 0.0, 50.0)), "KIRO PRO")
ROWS = [
    # what was told, in a table, as credits, as windows
    pytest.param(None, "", "", [], id="nobody has asked"),
    pytest.param(Quota(NOW), UNKNOWN, "", [], id="not told"),
    pytest.param(CREDITS, "993.5 credits", "993.5 of 1050 (plan 943.5, trial 50)", [], id="credits"),
    pytest.param(Quota(NOW, (Bucket("plan", 0.0, 1000.0),)), "1,000 credits", "1000 of 1000 (plan 1000)", [], id="all"),
    pytest.param(Quota(NOW, TWO, "plus", windows=True), "5 hours 77 %, week 40 %", "",
                 [("5 hours", "77 % left of 5 h, full in 3 h"), ("week", "40 % left of 7 d")], id="windows"),
]  # fmt: skip


@pytest.mark.parametrize(("quota", "cell", "counted", "lines"), ROWS)
def test_what_is_left(quota, cell, counted, lines, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)  # and not when its turn comes among thousands of tests
    view = viewed(Snapshot(quota, NOW), NOW) if quota else None
    assert (left(view), credits(view), windows(view)) == (cell, counted, lines)


def test_of_windows_the_one_with_the_least_speaks_for_all():
    view = viewed(Snapshot(Quota(NOW, TWO, windows=True), NOW), NOW)
    assert (view["unit"], view["left"], view["used"], view["limit"], view["resets_at"]) == ("percent", 40.0, 60.0, 100.0, None)
    assert [bucket["seconds"] for bucket in view["buckets"]] == [18_000.0, 604_800.0]
