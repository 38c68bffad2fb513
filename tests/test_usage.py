"""What was used, by whom, and where each figure comes from; and how long what is left will last."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.quota import Bucket, Quota
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.usage import DAY, MODELS, Usage, UsageRecord, outcome_of

NOW = 1768478400.0  # 2026-01-15, noon


@pytest.fixture
def store(tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path)))
    yield store
    store.close()


@pytest.fixture
def sync(store):
    sync = Sync(store)
    yield sync
    sync.close()


@pytest.fixture
def usage(sync, store):
    return Usage(sync, store)


def record(**members):
    base = {"at": NOW, "request": "req_1", "key": "laptop", "account": "a1", "model": "m1", "face": "chat", "outcome": "end_turn"}
    return UsageRecord(**{**base, **members})


ONE = record(input=100, output=20, cached=60, credits=0.25, source="derived", ms=1500.0, first_ms=200.0, stream=True, provider="codex")
OUTCOMES = [
    ("end_turn", "served"), ("max_tokens", "served"), ("", "served"), ("200", "served"), ("client left", "left"),
    ("400", "refused"), ("BadRequest 400", "refused"), ("TooLong in-band", "refused"), ("UnknownModel 404", "refused"), ("NotAllowed 403", "refused"),
    ("429", "limited"), ("Busy 429", "limited"), ("QuotaUsed in-band", "limited"), ("QuotaUsed 402", "limited"),
    ("502", "failed"), ("UpstreamFailed in-band", "failed"), ("Whatever in-band", "failed"), ("TimedOut 504", "failed"),
    ("NeedsLogin 401", "failed"), ("Forbidden 403", "failed"), ("Overloaded 529", "failed"), ("KeyError 500", "failed"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "outcome"), OUTCOMES)
def test_what_became_of_a_request(word, outcome):
    assert outcome_of(word) == outcome


def test_nothing_is_written_while_it_is_recorded(usage, sync, store):
    usage.record(ONE)
    assert (store.totals("use|"), usage.requests()) == ({}, [])
    sync.flush()
    assert store.totals("use|")["use|2026-01-15|a1|laptop|m1|input.derived"] == 100
    [kept] = usage.requests()
    assert kept.pop("number") == 1
    assert kept == {
        "at": NOW, "request": "req_1", "key": "laptop", "account": "a1", "model": "m1", "face": "chat", "outcome": "end_turn",
        "stream": True, "input": 100, "output": 20, "cached": 60, "credits": 0.25, "source": "derived", "ms": 1500.0, "first_ms": 200.0,
        "provider": "codex"}  # fmt: skip


def test_sums(usage, sync):
    for one in (
        ONE, record(input=10, output=5, source="measured", credits=0.5, ms=500.0, account="a2"),
        record(at=NOW - DAY, input=1, output=1, model="m2", outcome="client left"),
        record(at=NOW - DAY, account="", model="m2", outcome="400", key="other"),
        record(at=NOW - 40 * DAY, input=7),
    ):  # fmt: skip
        usage.record(one)
    sync.flush()
    stats = usage.stats(NOW, 30)
    assert (stats["since"], stats["until"]) == ("2025-12-17", "2026-01-15")
    assert stats["total"] == {
        "requests": 4, "served": 2, "left": 1, "refused": 1, "limited": 0, "failed": 0,
        "tokens": {
            "input": {"total": 111, "measured": 10, "derived": 100, "estimated": 1},
            "output": {"total": 26, "measured": 5, "derived": 20, "estimated": 1},
            "cached": {"total": 60, "measured": 0, "derived": 60, "estimated": 0}},
        "credits": {"value": 0.75, "source": "measured", "requests_without_price": 1},
        "ms_mean": 1000.0, "first_ms_mean": 200.0}  # fmt: skip
    assert (stats["today"]["requests"], [day["day"] for day in stats["by_day"]]) == (2, ["2026-01-14", "2026-01-15"])
    assert [(row["account"], row["requests"]) for row in stats["by_account"]] == [("", 1), ("a1", 2), ("a2", 1)]
    assert [(row["key"], row["requests"]) for row in stats["by_key"]] == [("laptop", 3), ("other", 1)]
    assert [(row["model"], row["requests"]) for row in stats["by_model"]] == [("m1", 2), ("m2", 2)]
    mine = usage.stats(NOW, 30, key="other")
    assert (mine["total"]["requests"], mine["by_account"][0]["account"]) == (1, "")
    assert usage.stats(NOW, 1)["total"]["requests"] == 2


def test_single_requests_go_and_sums_stay(usage, sync, store):
    usage.record(ONE)
    sync.flush()
    now = time.time()
    assert usage.prune(now, 90) == 0
    assert usage.prune(now + 91 * DAY, 90) == 1
    assert usage.requests() == []
    assert usage.stats(NOW)["total"]["requests"] == 1


def test_single_requests_come_newest_first_and_in_pages(usage, sync):
    for n in range(5):
        usage.record(record(request=f"req_{n}"))
    sync.flush()
    first = usage.requests(2)
    assert [row["request"] for row in first] == ["req_4", "req_3"]
    assert [row["request"] for row in usage.requests(9, before=first[-1]["number"])] == ["req_2", "req_1", "req_0"]


def test_names_that_clients_make_up_fill_no_store(usage, sync, store):
    for n in range(MODELS + 50):
        usage.record(record(model=f"made-up-{n}", outcome="404"))
    usage.record(record(model="x" * 5000, outcome="404"))
    sync.flush()
    names = {row["model"] for row in usage.stats(NOW)["by_model"]}
    assert (len(names), "other" in names) == (MODELS + 1, True)
    assert max(map(len, store.totals("use|"))) < 400


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=6) | st.sampled_from(["a|b", "%", "%7C", "-", "|", "a%7Cb"])
records = st.lists(st.tuples(
    names, names, names, st.integers(0, 10**7), st.integers(0, 10**6), st.sampled_from(["measured", "derived", "estimated"]),
    st.sampled_from([None, 0.0, 0.125, 3.5]), st.sampled_from(["end_turn", "client left", "400", "502"]),
    st.sampled_from([0, 1, 5])), min_size=1, max_size=12)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(records)
def test_sums_never_mix_sources_and_lose_nothing(tmp_path_factory, given_records):
    store = open_store(Settings(kirogw_home=str(tmp_path_factory.mktemp("store"))))
    sync = Sync(store)
    usage = Usage(sync, store)
    try:
        for account, key, model, input_, output, source, credits, outcome, ago in given_records:
            usage.record(record(at=NOW - ago * DAY, account=account, key=key, model=model, input=input_, output=output,
                                source=source, credits=credits, outcome=outcome))  # fmt: skip
        sync.flush()
        stats = usage.stats(NOW, 30)
    finally:
        sync.close()
        store.close()
    total = stats["total"]
    assert total["requests"] == len(given_records)
    for source in ("measured", "derived", "estimated"):
        assert total["tokens"]["input"][source] == sum(r[3] for r in given_records if r[5] == source)
    assert total["credits"]["value"] == sum(r[6] or 0 for r in given_records)
    for label, place in (("account", 0), ("key", 1), ("model", 2)):
        rows = stats[f"by_{label}"]
        assert sum(row["requests"] for row in rows) == len(given_records)
        assert {row[label] for row in rows} == {"" if r[place] == "-" else r[place] for r in given_records}
    assert sum(row["requests"] for row in stats["by_day"]) == len(given_records)


# Pace

RESET = 1769904000.0  # 2026-02-01


def quota(used, limit=1000.0, resets_at=RESET, **members):
    return Quota(NOW, (Bucket("plan", used, limit, resets_at),), resets_at=resets_at, **members)


PACES = [
    # the quota, the history, credits a day, where that comes from, what it says
    pytest.param(quota(900), [(NOW - DAY, 880.0), (NOW, 900.0)], 20.0, "derived", "at this rate empty on 20 January", id="empty"),
    pytest.param(quota(100), [(NOW - 2 * DAY, 80.0), (NOW, 100.0)], 10.0, "derived",
                 "at this rate 735 credits are left at the reset on 1 February", id="lasts"),
    pytest.param(quota(100), [(NOW - 9 * DAY, 0.0), (NOW - 7 * DAY, 90.0), (NOW, 100.0)], 10 / 7, "derived",
                 "at this rate 876 credits are left at the reset on 1 February", id="only the last week counts"),
    pytest.param(quota(100), [(NOW - 3600, 0.0), (NOW, 100.0)], 100 / 14.5, "estimated",
                 "at this rate 786 credits are left at the reset on 1 February", id="an hour tells nothing"),
    pytest.param(quota(1000), [(NOW - DAY, 900.0), (NOW, 1000.0)], 100.0, "derived", "nothing is left until the reset on 1 February", id="gone"),
    pytest.param(quota(10, resets_at=None), [(NOW - DAY, 10.0), (NOW, 10.0)], 0.0, "derived", "at this rate it lasts", id="unused"),
    pytest.param(quota(500, resets_at=None), [(NOW - DAY, 490.0), (NOW, 500.0)], 10.0, "derived", "at this rate empty on 6 March", id="no reset known"),
    pytest.param(quota(0), [], 0.0, "estimated", "at this rate 1000 credits are left at the reset on 1 February", id="new"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "points", "rate", "source", "says"), PACES)
def test_pace(usage, left, points, rate, source, says):
    pace = usage.pace("a1", left, NOW, points)
    assert (pace["credits_per_day"], pace["source"], pace["says"]) == (pytest.approx(rate, abs=1e-4), source, says)
    if rate:
        assert pace["empty_at"] == pytest.approx(NOW + left.left / rate * DAY)


def test_what_is_metered_here_tells_the_pace_where_the_provider_does_not(usage, sync):
    for ago in (0, 1, 2):
        usage.record(record(at=NOW - ago * DAY, credits=5.0))
    usage.record(record(credits=500.0, account="another"))
    sync.flush()
    pace = usage.pace("a1", quota(100), NOW)
    assert (pace["credits_per_day"], pace["source"]) == (6.0, "derived")  # 15 in two days and a half
    assert pace["basis"] == "metered here since 2026-01-13"


@pytest.mark.parametrize("unknown", [Quota(NOW), quota(5, resets_at=None), quota(5, resets_at=NOW - 1)])
def test_nobody_can_tell(usage, unknown):
    assert usage.pace("a1", unknown, NOW) is None


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1e6), st.floats(0, 1e6), st.none() | st.floats(0, 3e9), st.lists(st.tuples(st.floats(1.7e9, 1.77e9), st.floats(0, 1e6)), max_size=4))
def test_a_pace_never_fails(used, limit, resets_at, points):
    found = Usage(Sync(NoStore()), NoStore()).pace("a1", quota(used, limit, resets_at), NOW, sorted(points))
    assert found is None or (found["credits_per_day"] >= 0 and found["says"])


class NoStore:
    """Nothing was ever metered."""

    def totals(self, prefix):
        return {}
