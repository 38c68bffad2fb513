"""Writers, and with Redis its server, are killed with SIGKILL at random: `python -m tests.store.crash [--seconds N]`.

Each writer says in a file what the store has confirmed. Afterwards all of that must be there, whole, and at most the one
write more that was under way.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path

from kirogw.settings import Settings
from kirogw.store import FILE, Put, StoreFailed, open_store
from tests.store.servers import redis_server

WRITERS = 4
PAUSE = (0.005, 0.12)  # seconds between two kills


def run(settings: Settings, folder: Path, kills: int, server=None) -> dict[str, int]:
    """What was done, after checking that nothing of it is lost. With `server` every fifth kill is that one's."""
    chance, started = random.Random(1), Counter()
    open_store(settings).close()
    writers = {}
    try:
        for n in range(kills):
            while len(writers) < WRITERS:
                name = min({f"w{n}" for n in range(WRITERS)} - set(writers.values()))
                writers[_start(settings, folder / name, name)] = name
                started[name] += 1
            size = _said(folder)
            time.sleep(chance.uniform(*PAUSE))
            while _said(folder) == size:  # a busy machine
                time.sleep(0.01)
            if server and n % 5 == 4:
                server.stop(kill=True)
                server.start()
            else:
                pid = chance.choice(list(writers))
                _end(pid)
                del writers[pid]
    finally:
        for pid in writers:
            _end(pid)
    return {"kills": kills, "writers": sum(started.values()), **_check(settings, folder, started)}


def _said(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("w?"))


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert status == signal.SIGKILL, f"a writer failed by itself: {status}"


def _start(settings: Settings, says: Path, name: str) -> int:
    if pid := os.fork():
        return pid
    try:
        _write(settings, says, name)
    finally:
        os._exit(1)


def _write(settings: Settings, says: Path, name: str) -> None:
    """A token that is renewed durably, and in turn things that belong together, written as Sync does it."""
    store = _patiently(lambda: open_store(settings))
    done = _patiently(lambda: store.get("login", name))
    n = done.value["n"] if done else 0
    with says.open("ab", buffering=0) as file:
        while True:
            n += 1
            value = {"n": n, "pad": "x" * random.randrange(3000)}
            _patiently(lambda value=value: store.put("login", name, value))
            file.write(f"{n}\n".encode())
            pair = [Put("pair", f"{name}{side}", value) for side in "ab"]
            logs = {"l": [{"who": name, "n": n}]}
            _patiently(lambda pair=pair, logs=logs, n=n: store.apply(
                pair, durable=False, amounts={f"n|{name}": 1}, logs=logs, once=f"{name}-{n}"))
            file.write(f"{n}+\n".encode())


def _patiently(work):
    """Redis may be gone for a moment."""
    while True:
        with contextlib.suppress(StoreFailed):
            return work()
        time.sleep(0.01)


def _check(settings: Settings, folder: Path, started: Counter) -> dict[str, int]:
    store = open_store(settings)
    lines = [value for _, value in store.entries("l", limit=10**9)]
    counts = Counter(line["who"] for line in lines)
    assert len(lines) == len({(line["who"], line["n"]) for line in lines}), "something was written twice"
    confirmed = 0
    for name in sorted(path.name for path in folder.glob("w?")):
        said = (folder / name).read_bytes().decode().split("\n")[:-1]
        tokens = [0, *(int(line) for line in said if line[-1] != "+")]
        pairs = [0, *(int(line[:-1]) for line in said if line[-1] == "+")]
        confirmed += len(said)
        token = _n(store, "login", name)
        assert tokens[-1] <= token <= tokens[-1] + started[name], f"{name}: {tokens[-1]} was confirmed, not {token}"
        one, two = (store.get("pair", f"{name}{side}") for side in "ab")
        assert (one and one.value) == (two and two.value), f"{name}: one without the other"
        last = _n(store, "pair", f"{name}a")
        assert pairs[-1] <= last <= token, f"{name}: {pairs[-1]} was confirmed, and {last} is there"
        written = {0, *(line["n"] for line in lines if line["who"] == name)}
        assert set(pairs) <= written and max(written) == last, f"{name}: the log lacks {set(pairs) - written}"
        assert store.totals(f"n|{name}").get(f"n|{name}", 0) == counts[name], f"{name}: not as many as in the log"
    store.close()
    if not settings.state_url:
        with contextlib.closing(sqlite3.connect(Path(settings.kirogw_home) / FILE)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return {"confirmed": confirmed, "lines": len(lines)}


def _n(store, kind: str, id: str) -> int:
    doc = store.get(kind, id)
    return doc.value["n"] if doc else 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    logging.disable()
    kills = int(parser.parse_args().seconds / (sum(PAUSE) / 2))
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        print("sqlite", run(Settings(kirogw_home=folder), Path(folder), kills), flush=True)
    with tempfile.TemporaryDirectory() as folder, redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        print("redis", run(Settings(kirogw_home=folder, state_url=server.url), Path(folder), kills, server))


if __name__ == "__main__":
    main()
