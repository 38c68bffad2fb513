"""The figures of a whole gateway of several workers: whoever is asked tells of all of them, and they are the upstream's."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.system.running import running

WORKERS = 3
ASKS = 40
SETTINGS = {"SERVER_WORKERS": str(WORKERS), "LOG_LEVEL": "info"}


@pytest.fixture(scope="module")
def pair():
    with Twin(accounts=["api_key"]) as twin, running(twin, **SETTINGS) as gateway:
        yield twin, gateway


def wait_for(holds):
    deadline = time.monotonic() + 100
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found
    return found


def scrape(gateway):
    """(name, labels) -> value, as one worker tells it: a connection is one's."""
    reply = gateway.get("/metrics", headers={"Connection": "close"})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(reply.text) for sample in family.samples}  # fmt: skip


def requests_of(samples):
    return {dict(labels)["outcome"]: value for (name, labels), value in samples.items() if name == "kirogw_requests_total"}


def ask(gateway, n):
    body = {"model": "auto", "stream": n % 2 == 0, "messages": [{"role": "user", "content": f"Count to {n}."}]}
    if n % 10 == 9:
        body["messages"] = "none"
    return gateway.post("/v1/chat/completions", body, headers={"Connection": "close"}).status_code


def without_worker(samples):
    return {key: value for key, value in samples.items() if key[0] != "kirogw_worker_start_time_seconds"}


@pytest.fixture(scope="module")
def asked(pair):
    """After so many requests, when all is written: what one worker told."""
    gateway = pair[1]
    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(lambda n: ask(gateway, n), range(ASKS)))
    assert sorted(set(codes)) == [200, 400]
    return wait_for(lambda: (samples := scrape(gateway)) and sum(requests_of(samples).values()) == ASKS and samples)


def test_every_worker_tells_the_same(pair, asked):
    def by_several():
        """Many at once, since one worker may be quick enough for all that come one by one."""
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: scrape(pair[1]), range(20)))
        return len({sample[("kirogw_worker_start_time_seconds", ())] for sample in seen}) > 1 and seen

    seen = wait_for(by_several)
    assert [requests_of(sample) for sample in seen] == [{"served": ASKS * 0.9, "refused": ASKS * 0.1}] * 20
    counters = [{key: value for key, value in sample.items() if "total" in key[0] or "seconds_" in key[0]} for sample in seen]
    assert counters == counters[:1] * 20


def test_the_credits_are_the_upstreams(pair, asked):
    twin, gateway = pair
    account = next(row["id"] for row in gateway.get("/v1/accounts/status").json()["accounts"])
    metered = sum(value for (name, _), value in asked.items() if name == "kirogw_credits_total")
    assert metered == pytest.approx(twin.account.used)
    stats = gateway.get("/v1/stats").json()
    assert stats["total"]["credits"]["value"] == pytest.approx(twin.account.used, abs=1e-5)
    assert stats["total"]["requests"] == ASKS
    assert [row["account"] for row in stats["by_account"]] == ["", account]
    tokens = stats["total"]["tokens"]["output"]
    assert tokens["total"] == tokens["measured"] + tokens["derived"] + tokens["estimated"] > 0
    assert asked["kirogw_account_state", (("account", account), ("state", "ready"))] == 1


def test_one_of_the_workers_asks_for_what_is_left(pair, asked):
    twin, gateway = pair
    wait_for(lambda: any(name == "kirogw_quota_left_credits" for name, _ in scrape(gateway)))
    for _ in range(10):
        left = [value for (name, _), value in scrape(gateway).items() if name == "kirogw_quota_left_credits"]
        assert left in ([], [pytest.approx(1000, abs=10)])
    assert len(twin.seen("usage")) == 1


def test_a_leader_that_is_killed_is_replaced(pair, asked):
    gateway = pair[1]
    leader = int(wait_for(lambda: led(gateway)))
    assert leader in gateway.workers()
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: led(gateway) not in ("", str(leader)))
    assert ask(gateway, 0) == 200
    wait_for(lambda: sum(requests_of(scrape(gateway)).values()) == ASKS + 1)  # and nothing began anew


def led(gateway):
    """The process that leads, "" for none."""
    store = open_store(load({"KIROGW_HOME": str(gateway.home / ".kirogw")}, {}, None))
    try:
        return (store.holder("background").split("|") + [""] * 3)[2]
    finally:
        store.close()


def test_a_plan_that_is_used_up_is_seen_at_once_by_all(pair, asked):
    twin, gateway = pair
    twin.account.used = twin.account.limit
    assert ask(gateway, 0) in (402, 429)
    state = "kirogw_account_state"
    wait_for(lambda: [dict(labels)["state"] for (name, labels), value in scrape(gateway).items() if name == state and value] == ["exhausted"])
    wait_for(lambda: [value for (name, _), value in scrape(gateway).items() if name == "kirogw_quota_left_credits"] == [0.0])
