"""Under gevent no wait of ours may stop the other greenlets of the worker."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from kirogw.logins.lease import Lease
from kirogw.settings import Settings
from kirogw.store import open_store
from tests.logins import support
from tests.logins.test_sources import SOCIAL

ROOT = Path(__file__).parents[2]

WORKER = """
from kirogw.logins.lease import Lease  # as gunicorn's arbiter does, before its workers are patched
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.logins.sources import Database
from gevent import monkey
monkey.patch_all()
import json, sys, threading, time
from pathlib import Path

begun, done = [], []

def tick():
    ticks = 0
    while not done:
        time.sleep(0.005)
        if begun:
            ticks += 1
            if ticks == 50:
                print("waiting", flush=True)

def work():
    store = open_store(Settings(kirogw_home=sys.argv[2])) if sys.argv[1] == "lease" else None
    begun.append(time.monotonic())
    if store:
        with Lease(store, "a").held(10) as mine:
            result = mine
    else:
        result = Database("a", Path(sys.argv[2])).read().refresh
    done.append((result, time.monotonic() - begun[0]))

ticker = threading.Thread(target=tick)
ticker.start()
worker = threading.Thread(target=work)
worker.start()
worker.join()
ticker.join()
print(json.dumps({"result": done[0][0], "seconds": done[0][1]}))
"""


def waited(what, path, release):
    """What a gevent worker says of its wait, the lock being released when another greenlet has run fifty times in it."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, what, str(path)], stdout=subprocess.PIPE, text=True,
                               cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    with process:
        assert process.stdout.readline() == "waiting\n", "while one waits the others stand still"
        release()
        return json.loads(process.stdout.read())


def test_waiting_for_the_lease(tmp_path):
    lease = Lease(open_store(Settings(kirogw_home=str(tmp_path))), "a")
    assert lease.take()
    said = waited("lease", tmp_path, lease.drop)
    assert said["result"] is True and said["seconds"] > 0.2


def test_waiting_for_a_locked_database(tmp_path):
    path = support.write_database(tmp_path / "data.sqlite3", SOCIAL, wal=False)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    said = waited("database", path, lambda: holder.execute("COMMIT"))
    holder.close()
    assert said["result"] == "aor0" and said["seconds"] > 0.2
