"""One process of all looks after what is everybody's; it is replaced when it goes, and its jobs do not disturb each other."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kirogw.background import Background, Job, standard
from kirogw.errors import UpstreamFailed
from kirogw.settings import load
from kirogw.store import open_store, owner
from tests.store.servers import redis_server


def wait_for(holds, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


@pytest.fixture
def store(tmp_path):
    store = open_store(load({"KIROGW_HOME": str(tmp_path)}, {}, None))
    yield store
    store.close()


@pytest.fixture
def background(store):
    made = []

    def make(*jobs):
        made.append(Background(store, jobs, tick=0.02))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop(60)


class Count:
    """A job's work that counts its rounds."""

    def __init__(self):
        self.rounds = 0

    def __call__(self, leads):
        self.rounds += 1


def test_jobs_run_again_and_again(background):
    one, two, never = Count(), Count(), Count()
    background(Job("one", 0.05, one), Job("two", 0.05, two, alone=False), Job("never", 0.0, never))
    wait_for(lambda: one.rounds > 3 and two.rounds > 3)
    assert never.rounds == 0


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault of ours"), UpstreamFailed("no network")])
def test_a_job_that_fails_is_tried_again_and_stops_no_other(background, error):
    failing, good = Count(), Count()

    def work(leads):
        failing(leads)
        raise error

    def wanted():
        raise error

    background(Job("failing", 0.05, work), Job("unsure", 0.05, good, wanted), Job("good", 0.05, good))
    wait_for(lambda: failing.rounds > 3 and good.rounds > 3)


def test_a_job_never_runs_beside_itself_and_one_that_hangs_stops_no_other(background):
    free, good, most, now = threading.Event(), Count(), [0], [0]

    def hangs(leads):
        now[0] += 1
        most[0] = max(most[0], now[0])
        free.wait(60)
        now[0] -= 1

    background(Job("hangs", 0.02, hangs), Job("good", 0.02, good))
    wait_for(lambda: good.rounds > 20)
    free.set()
    assert most == [1]


def test_what_is_not_wanted_is_not_begun(background):
    work, good = Count(), Count()
    background(Job("idle", 0.02, work, lambda: False), Job("good", 0.02, good))
    wait_for(lambda: good.rounds > 10)
    assert work.rounds == 0


def test_while_another_leads_only_what_is_everybodys_own_is_done(store, background):
    assert store.lease("background", "another|machine|1|2", 600)
    alone, own = Count(), Count()
    one = background(Job("alone", 0.02, alone), Job("own", 0.02, own, alone=False))
    wait_for(lambda: own.rounds > 10)
    assert (alone.rounds, one.leads()) == (0, False)
    store.release("background", "another|machine|1|2")
    wait_for(lambda: alone.rounds > 3)
    assert one.leads()


def test_who_stops_gives_the_lead_away_and_does_nothing_more(store, background):
    work = Count()
    one = background(Job("one", 0.02, work))
    wait_for(lambda: work.rounds > 3)
    assert store.holder("background") == owner()
    one.stop(60)
    rounds = work.rounds
    assert (store.holder("background"), one.leads()) == ("", False)
    time.sleep(0.2)
    assert work.rounds == rounds
    one.stop()  # once more is no fault
    one.start()
    wait_for(lambda: work.rounds > rounds)


def test_a_job_hears_that_it_is_to_end(background):
    began, ended = threading.Event(), threading.Event()

    def work(leads):
        began.set()
        while leads():
            time.sleep(0.01)
        ended.set()

    one = background(Job("long", 0.02, work), Job("own", 0.02, work, alone=False))
    assert began.wait(60)
    one.stop(60)
    assert ended.is_set()


def test_a_store_that_fails_ends_the_lead_and_no_thread(store, background, monkeypatch):
    monkeypatch.setattr("kirogw.background.LEASE", 1.0)
    monkeypatch.setattr("kirogw.background.MARGIN", 0.5)
    monkeypatch.setattr("kirogw.background.EXTEND", 0.1)
    monkeypatch.setattr("kirogw.background.LOOK", 0.1)
    own = Count()
    one = background(Job("own", 0.05, own, alone=False))
    wait_for(one.leads)
    lease = store.lease
    monkeypatch.setattr(store, "lease", failing)
    wait_for(lambda: not one.leads())
    rounds = own.rounds
    wait_for(lambda: own.rounds > rounds)
    monkeypatch.setattr(store, "lease", lease)
    wait_for(one.leads)


def failing(*args):
    raise OSError("not of the store's own kind")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing to fork")
def test_a_child_of_a_fork_begins_by_itself(store, background):
    work = Count()
    one = background(Job("own", 0.02, work, alone=False))
    wait_for(lambda: work.rounds > 1)
    child = os.fork()
    if not child:
        work.rounds = 0
        one.start()
        deadline = time.monotonic() + 60
        while work.rounds < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0 if work.rounds >= 3 and not one.leads() else 1)
    assert os.waitpid(child, 0)[1] == 0


# Several processes

PROCESS = """
import os, sys, time
from kirogw.background import Background, Job
from kirogw.settings import load
from kirogw.store import open_store
store = open_store(load({"KIROGW_HOME": sys.argv[1], "STATE_URL": sys.argv[2]}, {}, None))

def work(leads):
    with open(sys.argv[3], "ab", 0) as book:
        book.write(b"%d + %.6f\\n" % (os.getpid(), time.monotonic()))
        time.sleep(0.02)
        book.write(b"%d - %.6f\\n" % (os.getpid(), time.monotonic()))

Background(store, [Job("one", 0.01, work)], tick=0.01).start()
sys.stdin.read()
"""


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_a_leader_that_is_killed_is_replaced_and_there_are_never_two(engine, tmp_path):
    if engine == "redis":
        with redis_server() as server:
            lead(tmp_path, server.url)
    else:
        lead(tmp_path, "")


def lead(tmp_path, url):
    book = tmp_path / "book"
    book.touch()
    command = [sys.executable, "-c", PROCESS, str(tmp_path), url, str(book)]
    living = {p.pid: p for p in (subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4))}
    killed = {}
    try:
        for _ in range(3):
            seen = len(lines(book))
            wait_for(lambda: len(lines(book)) > seen + 10 and lines(book)[-1][0] in living)
            leader = lines(book)[-1][0]
            living[leader].send_signal(signal.SIGKILL)
            living.pop(leader).wait()
            killed[leader] = time.monotonic()
        wait_for(lambda: lines(book)[-1][0] in living)
    finally:
        for process in living.values():
            process.stdin.close()
            process.wait()
    check(lines(book), killed)


def lines(book):
    whole = book.read_bytes()
    rows = [line.split() for line in whole[: whole.rfind(b"\n") + 1].decode().splitlines()]
    return [(int(pid), what, float(at)) for pid, what, at in rows]


def check(rows, killed):
    """Nobody works while another one does; a killed one has ended by its death."""
    ends, begins = {}, {}
    for pid, what, at in rows:
        if what == "-":
            ends[pid] = max(ends.get(pid, 0.0), at)
        else:
            begins.setdefault(pid, at)
    order = sorted(begins, key=begins.__getitem__)
    assert len(order) == 4
    for one, next_one in itertools.pairwise(order):
        assert ends[one] <= begins[next_one]
        assert one in killed


def test_the_jobs_of_the_gateway(store):
    settings = load({}, {}, None)
    names = {job.name: job for job in standard(settings, store, logins=None, pool=None, quotas=Nothing(), catalog=None, usage=None, kept=None)}
    assert set(names) == {"tokens", "catalogues", "quotas", "probes", "errands", "pruning"}
    assert [name for name, job in names.items() if not job.alone] == ["errands"]
    quiet = load({"QUOTA_INTERVAL": "0", "BACKGROUND_REFRESH_INTERVAL": "0"}, {}, None)
    idle = {job.name for job in standard(quiet, store, logins=None, pool=None, quotas=Nothing(), catalog=None, usage=None, kept=None) if not job.seconds}
    assert idle == {"tokens", "catalogues", "quotas"}


class Nothing:
    scheduled = errands = has_errands = None
