"""Under gevent a store that lets one wait stops nobody else, and the thread of Sync is one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
BEGIN = """
from gevent import monkey; monkey.patch_all()
import sys, threading, time
import gevent
from kirogw.settings import Settings
from kirogw.store import StoreFailed, commit_aside, open_store
from kirogw.store import redis, sqlite
from kirogw.store.sync import Sync
redis.ANSWER = sqlite.PATIENCE = 3.0
commit_aside(gevent.get_hub().threadpool.apply)
store = open_store(Settings(kirogw_home=sys.argv[1], state_url=sys.argv[2]))
ticks = 0
def tick():
    global ticks
    while True:
        time.sleep(0.005)
        ticks += 1
gevent.spawn(tick)
"""
WAITS = BEGIN + """
print("ready", flush=True)
gevent.os.tp_read(0, 1)
before = ticks
try:
    store.put("k", "a", {})
except StoreFailed:
    print("failed", ticks - before > 10)
"""
SYNC = BEGIN + """
sync = Sync(store, pace=0.01)
heard = []
sync.watch("k", lambda: heard.append(sorted(store.all("k"))))
sync.start()
for n in range(500):
    sync.put("k", str(n % 50), {"n": n})
    sync.add({"n": 1})
    sync.append("l", {"n": n})
    if n % 50 == 0:
        gevent.sleep(0.01)
end = time.monotonic() + 80
while (not heard or len(heard[-1]) < 50 or store.totals("n") != {"n": 500}) and time.monotonic() < end:
    gevent.sleep(0.01)
sync.close()
print([value["n"] for _, value in store.entries("l")] == list(range(500)), store.get("k", "49").value)
"""


SLOW = BEGIN + """
def slowly(function, arguments):
    def work():
        seen, end = ticks, time.monotonic() + 20
        while ticks < seen + 60 and time.monotonic() < end:  # until the others have gone on for a while
            monkey.get_original("time", "sleep")(0.01)
        return function(*arguments)
    return gevent.get_hub().threadpool.apply(work)
commit_aside(slowly)
sqlite.PATIENCE = 60
before = ticks
others = [gevent.spawn(store.put, "k", str(n), {}) for n in range(3)]
gevent.sleep(0.1)
killed = others[0]
killed.kill()
try:
    store.put("k", "a", {}, if_version=7)
except Exception as error:
    print(type(error).__name__)
gevent.joinall(others)
commit_aside(None)
print(ticks - before > 2 * 60, sorted(set(store.all("k")) - {"0"}))
store.close()
"""


@pytest.fixture
def start(settings):
    started = []

    def run(code):
        command = [sys.executable, "-c", code, settings.kirogw_home, settings.state_url]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_sync(start):
    assert start(SYNC).communicate(timeout=100)[0] == "True {'n': 499}\n"


def test_others_go_on_while_a_commit_waits_for_the_disk(tmp_path):
    """One of those who wait is stopped; the rest is as if nothing had been."""
    done = subprocess.run([sys.executable, "-c", SLOW, str(tmp_path), ""], cwd=TOP, timeout=100, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("Conflict\nTrue ['1', '2']\n", "")


def test_others_go_on_while_one_waits(start, settings, store, request):
    process = start(WAITS)
    assert process.stdout.readline() == "ready\n"
    if settings.state_url:
        server = request.getfixturevalue("server")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            said = process.communicate("x", timeout=100)[0]
        finally:
            os.kill(server.pid, signal.SIGCONT)
    else:
        said = store._write(lambda db: process.communicate("x", timeout=100)[0])  # inside a transaction of ours
    assert said == "failed True\n"
