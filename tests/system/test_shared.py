"""Two gateways share a Redis server: each tells the figures of both, and no client notices that the server is gone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from kirogw.twin import Twin
from tests.store.servers import redis_server
from tests.system.running import running

ASK = {"model": "claude-sonnet-4.6", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def server():
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture(scope="module")
def gateways(server):
    more = {"STATE_URL": server.url, "KIROGW_SECRET_KEY": "x" * 43, "SERVER_WORKERS": 2}
    with Twin(accounts=["api_key"]) as twin, running(twin, **more) as one, running(twin, **more) as other:
        yield one, other
        assert twin.refusals == []


def ask(gateways, times):
    for n in range(times):
        reply = gateways[n % 2].post("/v1/chat/completions", ASK)
        assert reply.ok and reply.json()["choices"][0]["finish_reason"] == "stop", reply.text


def counted(gateway):
    """None while a worker still holds the server for away, for a second after it has let somebody wait."""
    reply = gateway.get("/v1/stats")
    assert reply.ok or reply.status_code == 503, reply.text
    return reply.json()["total"]["served"] if reply.ok else None


def until_counted(gateways, count):
    until(lambda: {counted(gateway) for gateway in gateways} == {count})


def until(true):
    end = time.monotonic() + 100
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def errors(gateway):
    return [line["message"] for line in gateway.lines() if line["level"] == "error"]


def test_each_tells_the_figures_of_both_and_nothing_is_lost_while_the_server_is_away(server, gateways):
    ask(gateways, 4)
    until_counted(gateways, 4)
    server.stop(kill=True)
    until(lambda: all(errors(gateway) for gateway in gateways))
    ask(gateways, 4)
    server.start()
    until_counted(gateways, 8)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ask(gateways, 4)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until_counted(gateways, 12)
    for gateway in gateways:
        assert f"Redis at 127.0.0.1:{server.port}/0 can not be reached" in errors(gateway)[0]
