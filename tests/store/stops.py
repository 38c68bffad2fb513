"""How long a commit stops the loop of a gevent worker: `python -m tests.store.stops [--seconds N]`, a table for the docs.

In each row requests end at a steady rate, each with a record of usage, ten counters and a session; twice a second they
are written. Now and then a token is put durably. Every call of the engine is timed, and a greenlet that wants to run
each millisecond tells the longest time for which it could not. No test: the figures depend on the machine.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from kirogw.settings import Settings  # noqa: E402
from kirogw.store import commit_aside, open_store  # noqa: E402
from kirogw.store.sync import Sync  # noqa: E402

RATES = (0, 20, 100, 400, 1000)
TICK = 0.001


class Timed:
    def __init__(self, store):
        self.store, self.batches, self.durable = store, [], []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def apply(self, *args, **more):
        self._timed(self.batches, self.store.apply, *args, **more)

    def put(self, *args, **more):
        self._timed(self.durable, self.store.put, *args, **more)

    def _timed(self, times, call, *args, **more):
        began = time.perf_counter()
        call(*args, **more)
        times.append((time.perf_counter() - began) * 1000)


def ticking(gaps):
    last = time.perf_counter()
    while True:
        gevent.sleep(TICK)
        gaps.append((time.perf_counter() - last) * 1000)
        last = time.perf_counter()


def requests(sync, rate):
    n = 0
    while rate:
        n += 1
        what = f"use|2026-01-01|account-{n % 5}|key|model-{n % 3}|"
        sync.add({what + str(item): 1.0 for item in range(10)})
        sync.append("usage", {"at": time.time(), "id": n, "text": "x" * 300})
        sync.put("session", f"s{n % 3000}", {"account": "a", "at": time.time()}, ttl=3600)
        gevent.sleep(1 / rate)


def tokens(store):
    n = 0
    while True:
        gevent.sleep(0.25)
        n += 1
        store.put("login", f"a{n % 5}", {"text": "x" * 1500})


def row(rate, seconds, folder):
    store = Timed(open_store(Settings(kirogw_home=folder)))
    sync, gaps = Sync(store), []
    sync.start()
    loops = [gevent.spawn(ticking, gaps), gevent.spawn(requests, sync, rate), gevent.spawn(tokens, store)]
    gevent.sleep(seconds)
    gevent.killall(loops)
    sync.close()
    store.close()
    return [rate, *figures(store.batches), *figures(store.durable), max(gaps)]


def figures(times):
    times = sorted(times) or [0.0]
    return statistics.median(times), times[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--folder", default=None, help="on the disk to be measured")
    parser.add_argument("--here", action="store_true", help="commit in the loop itself, as a worker does not")
    words = parser.parse_args()
    if not words.here:
        commit_aside(gevent.get_hub().threadpool.apply)
    print(f"| requests/s | batch, median ms | longest | durable put, median ms | longest | longest stop of the loop, ms |\n{'|---' * 6}|")
    for rate in RATES:
        with tempfile.TemporaryDirectory(dir=words.folder or os.getcwd()) as folder:
            print("| " + " | ".join(f"{value:.3g}" for value in row(rate, words.seconds, folder)) + " |", flush=True)


if __name__ == "__main__":
    main()
