"""/metrics is read by Prometheus' own parser, and says the same whichever worker is asked."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kirogw import metrics
from kirogw.dialects.quota import Bucket, Quota
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.usage import FIRST_SECONDS, SECONDS, Usage, UsageRecord

TOP = Path(__file__).parents[1]

NOW = 1768478400.0
ROWS = [{"id": "a1", "state": "ready", "in_flight": 3}, {"id": "a2", "state": "suspended", "in_flight": 0}]
QUOTAS = {"a1": Quota(NOW, (Bucket("plan", 10.5, 1000.0, NOW + 9), Bucket("bonus X", 1, 2), Bucket("bonus X", 1, 3)), resets_at=NOW + 9),
          "a2": Quota(NOW), "gone": Quota(NOW, (Bucket("plan", 1, 2),))}  # fmt: skip


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def store(home):
    store = open_store(Settings(kirogw_home=str(home)))
    yield store
    store.close()


def record(store, *records):
    sync = Sync(store)
    for members in records:
        Usage(sync, store).record(UsageRecord(**{"at": NOW, "account": "a1", "model": "m1", "face": "chat", "outcome": "end_turn", **members}))
    sync.close()


def read(text):
    """(name, labels) -> value; a series that is there twice is a fault."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


def shown(store, rows=(), quotas=None):
    return read(metrics.text(store, rows, quotas or {}, version="1", started=NOW))


def of(samples, name, **labels):
    return samples.get((name, tuple(sorted(labels.items()))))


def test_what_was_counted(store):
    record(store, {"ms": 1500.0, "first_ms": 90.0, "input": 100, "cached": 60, "source": "derived", "credits": 0.25},
           {"ms": 9e6, "input": 1, "output": 2, "credits": 0.5}, {"outcome": "BadRequest 400"}, {"outcome": "client left", "model": "m2", "first_ms": 300.0})  # fmt: skip
    samples = shown(store)
    assert of(samples, "kirogw_requests_total", face="chat", model="m1", outcome="served") == 2
    assert of(samples, "kirogw_requests_total", face="chat", model="m1", outcome="refused") == 1
    assert of(samples, "kirogw_requests_total", face="chat", model="m2", outcome="left") == 1
    assert of(samples, "kirogw_account_requests_total", account="a1", outcome="served") == 2
    assert of(samples, "kirogw_tokens_total", model="m1", kind="input", source="derived") == 100
    assert of(samples, "kirogw_tokens_total", model="m1", kind="input", source="estimated") == 1
    assert of(samples, "kirogw_credits_total", account="a1", model="m1") == 0.75
    assert of(samples, "kirogw_request_seconds_bucket", model="m1", le="1") == 0
    assert of(samples, "kirogw_request_seconds_bucket", model="m1", le="2.5") == 1
    assert of(samples, "kirogw_request_seconds_bucket", model="m1", le="600") == 1
    assert of(samples, "kirogw_request_seconds_bucket", model="m1", le="+Inf") == 2
    assert of(samples, "kirogw_request_seconds_sum", model="m1") == 9001.5
    assert of(samples, "kirogw_first_event_seconds_count", model="m2") == 1


def test_what_is_true_now(store):
    samples = shown(store, ROWS, QUOTAS)
    assert of(samples, "kirogw_account_state", account="a1", state="ready") == 1
    assert of(samples, "kirogw_account_state", account="a1", state="suspended") == 0
    assert of(samples, "kirogw_account_state", account="a2", state="suspended") == 1
    assert of(samples, "kirogw_account_in_flight", account="a1") == 3
    assert of(samples, "kirogw_quota_left_credits", account="a1", bucket="plan") == 989.5
    assert of(samples, "kirogw_quota_limit_credits", account="a1", bucket="bonus X") == 5
    assert of(samples, "kirogw_quota_reset_time_seconds", account="a1") == NOW + 9
    assert not [key for key in samples if "quota" in key[0] and ("account", "a1") not in key[1]]  # unknown is not 0
    assert of(samples, "kirogw_info", version="1") == 1


def test_windows_are_no_credits(store):
    windows = Quota(NOW, (Bucket("5 hours", 23.0, 100.0, NOW + 9, 18_000.0), Bucket("week", 60.0, 100.0)), windows=True)
    samples = shown(store, ROWS, {"a1": windows})
    assert of(samples, "kirogw_quota_window_left_percent", account="a1", window="5 hours") == 77
    assert of(samples, "kirogw_quota_window_left_percent", account="a1", window="week") == 40
    resets = {key: value for key, value in samples.items() if key[0] == "kirogw_quota_window_reset_time_seconds"}
    assert list(resets.values()) == [NOW + 9]
    assert not [key for key in samples if key[0].endswith("_credits")]


CODE = """
import sys
from pathlib import Path
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.usage import Usage, UsageRecord
store = open_store(Settings(kirogw_home=sys.argv[1]))
sync = Sync(store)
usage = Usage(sync, store)
for n in range(100):
    usage.record(UsageRecord(at=1768478400.0, account="a1", model="m1", face="chat", outcome="end_turn", ms=100.0 * n, input=7))
sync.close()
"""


def test_all_workers_count_together_and_each_says_the_same(home, store):
    record(store)
    workers = [subprocess.Popen([sys.executable, "-c", CODE, str(home)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    another = open_store(Settings(kirogw_home=str(home)))
    try:
        samples = shown(store)
        assert samples == shown(another)
    finally:
        another.close()
    assert of(samples, "kirogw_requests_total", face="chat", model="m1", outcome="served") == 300
    assert of(samples, "kirogw_tokens_total", model="m1", kind="input", source="estimated") == 2100
    assert of(samples, "kirogw_request_seconds_bucket", model="m1", le="+Inf") == 300


def test_a_restart_begins_no_counter_anew(home, store):
    record(store, {})
    store.close()
    again = open_store(Settings(kirogw_home=str(home)))
    record(again, {})
    try:
        assert of(shown(again), "kirogw_requests_total", face="chat", model="m1", outcome="served") == 2
    finally:
        again.close()


class Counted:
    """A store that holds these counters."""

    def __init__(self):
        self.amounts = {}

    def append(self, log, entry):
        pass

    def add(self, amounts):
        for name, amount in amounts.items():
            self.amounts[name] = self.amounts.get(name, 0) + amount

    def totals(self, prefix):
        return {name: amount for name, amount in self.amounts.items() if name.startswith(prefix)}


nasty = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(['a"b', "a\\", "\\n", "a\nb", "a|b", "%7C", "}", "{x=\"", " "])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(nasty, nasty, st.floats(0, 1e6), st.floats(0, 3e5)), min_size=1, max_size=6), nasty)
def test_no_name_breaks_the_text(records, bucket):
    store = Counted()
    for account, model, ms, first in records:
        Usage(store, store).record(UsageRecord(NOW, account=account, model=model, face="chat", outcome="end_turn", ms=ms, first_ms=first, credits=1.0))
    rows = [{"id": name, "state": "ready", "in_flight": 1} for name in {r[0] for r in records}]
    quotas = {row["id"]: Quota(NOW, (Bucket(bucket, 1, 2),)) for row in rows}
    samples = shown(store, rows, quotas)
    assert sum(v for (name, _), v in samples.items() if name == "kirogw_requests_total") == len(records)
    assert sum(v for (name, _), v in samples.items() if name == "kirogw_credits_total") == len(records)
    for model in {r[1] for r in records}:
        check_histogram(samples, "kirogw_request_seconds", model or "-", [r[2] / 1000 for r in records if r[1] == model], SECONDS)
        check_histogram(samples, "kirogw_first_event_seconds", model or "-", [r[3] / 1000 for r in records if r[1] == model], FIRST_SECONDS)


def check_histogram(samples, name, model, values, bounds):
    for bound in (*bounds, math.inf):
        le = "+Inf" if math.isinf(bound) else metrics._number(bound)
        assert of(samples, f"{name}_bucket", model=model, le=le) == sum(v <= bound for v in values)
    assert of(samples, f"{name}_sum", model=model) == pytest.approx(sum(values))
    assert of(samples, f"{name}_count", model=model) == len(values)


def test_each_metric_is_in_the_documentation(store):
    told = (TOP / "docs" / "operations.md").read_text().replace("`..._used_...`", "`kirogw_quota_used_credits`").replace("`..._limit_...`", "`kirogw_quota_limit_credits`")
    families = {line.split()[2] for line in metrics.text(store, ROWS, QUOTAS, version="1", started=NOW).splitlines() if line.startswith("# TYPE")}
    assert families == set(re.findall(r"`(kirogw_\w+)`", told))
