import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.codex.quota import name_of, read, told
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.wire import Reply

NOW = 1_795_348_800.0
FIVE = {"used_percent": 30, "limit_window_seconds": 18000, "reset_after_seconds": 600, "reset_at": 1}
WEEK = {"used_percent": 80.5, "limit_window_seconds": 604800, "reset_after_seconds": None, "reset_at": NOW + 9000}
HOURS5 = Bucket("5 hours", 30.0, 100.0, NOW + 600, 18000.0)
WEEKLY = Bucket("week", 80.5, 100.0, NOW + 9000, 604800.0)


def usage(primary=FIVE, secondary=WEEK, **more):
    limit = {"allowed": True, "limit_reached": False, "primary_window": primary, "secondary_window": secondary} | more.pop("limit", {})
    return {"plan_type": "plus", "email": "me@example.com", "rate_limit": limit, **more}


def asked(body, status=200):
    return read(Reply(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()), NOW)


WHOLE = Quota(NOW, (HOURS5, WEEKLY), "plus", email="me@example.com", windows=True)
ROWS = [
    # the answer, the buckets
    pytest.param(usage(), (HOURS5, WEEKLY), id="both windows"),
    pytest.param(usage(WEEK, FIVE), (HOURS5, WEEKLY), id="the other way round"),
    pytest.param(usage(WEEK, None), (WEEKLY,), id="only the week, in the first slot"),
    pytest.param(usage({**FIVE, "limit_window_seconds": 10800}, None), (Bucket("180 minutes", 30.0, 100.0, NOW + 600, 10800.0),),
                 id="another length"),
    pytest.param(usage({**FIVE, "limit_window_seconds": 17940}, None), (Bucket("5 hours", 30.0, 100.0, NOW + 600, 17940.0),),
                 id="a minute less"),
    pytest.param(usage({**FIVE, "used_percent": 120}, None), (Bucket("5 hours", 100.0, 100.0, NOW + 600, 18000.0),), id="more than all"),
    pytest.param(usage({"used_percent": 5}, {"used_percent": "x"}), (Bucket("plan", 5.0, 100.0, None, None),), id="little is told"),
    pytest.param(usage(limit={"limit_reached": True}), (), id="a limit that no window shows"),
    pytest.param({}, (), id="nothing is told"),
    pytest.param({"rate_limit": "x", "credits": 3}, (), id="strange"),
]


@pytest.mark.parametrize(("body", "buckets"), ROWS)
def test_what_is_left(body, buckets):
    found = asked(body)
    assert found.buckets == buckets
    assert found.windows


def test_the_whole_of_it():
    assert asked(usage()) == WHOLE
    assert WHOLE.left == pytest.approx(19.5)
    full = asked(usage({**FIVE, "used_percent": 100}))
    assert (full.exhausted, full.opens_at) == (True, NOW + 600)
    for credits, empty in (({"has_credits": True}, False), ({"has_credits": True, "balance": "9.99"}, False), ({"unlimited": True}, False),
                           ({"has_credits": True, "balance": "0"}, True), ({"has_credits": False, "balance": "5"}, True), ({}, True)):
        assert asked(usage({**FIVE, "used_percent": 100}, credits=credits)).exhausted is empty


def test_refusals():
    assert isinstance(asked(b"[]"), Verdict)
    assert asked(b"{", 200).rule == "damaged"
    assert asked(b"", 401).rule == "token"
    assert asked({"detail": {"code": "deactivated_workspace"}}, 402).fate == "suspended"


HEAD = {
    "x-codex-primary-used-percent": "30.0", "x-codex-primary-window-minutes": "300", "x-codex-primary-reset-after-seconds": "600",
    "x-codex-primary-reset-at": "1", "x-codex-secondary-used-percent": "80.5", "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": str(NOW + 9000), "x-codex-plan-type": "plus", "x-codex-credits-has-credits": "False",
}  # fmt: skip


def test_what_a_head_tells():
    assert told(HEAD, NOW) == Quota(NOW, (HOURS5, WEEKLY), "plus", windows=True)
    assert told({**HEAD, "x-codex-credits-unlimited": "True"}, NOW).overage
    assert told({"x-codex-primary-used-percent": "0", "x-codex-primary-window-minutes": "0"}, NOW) is None
    assert told({"content-type": "text/event-stream"}, NOW) is None


@pytest.mark.parametrize(("seconds", "name"), [
    (18000, "5 hours"), (17999, "5 hours"), (604800, "week"), (604860, "week"), (86400, "day"), (2592000, "month"),
    (60, "1 minutes"), (None, "plan"), (0, "plan"),
])  # fmt: skip
def test_windows_are_called_by_their_length(seconds, name):
    assert name_of(seconds) == name


ANY = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
                   | st.dictionaries(st.sampled_from(["primary_window", "used_percent", "limit_window_seconds", "reset_at", "credits"]),
                                     inner, max_size=3), max_leaves=6)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["rate_limit", "plan_type", "credits", "email"]), ANY),
       st.dictionaries(st.sampled_from(sorted(HEAD)), st.text(max_size=6)))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_nothing_is_an_error_of_ours(body, head):
    read(Reply(200, {}, json.dumps(body).encode()), NOW)
    told(head, NOW)
