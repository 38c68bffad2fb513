"""Any sequence of calls does to a store what it does to a few dictionaries; each engine, against the same model."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kirogw.settings import Settings
from kirogw.store import Conflict, Delete, Put, open_store

KINDS = st.sampled_from(["account", "k|x", "é"])
IDS = st.sampled_from(["a", "b", "c d", "ü|*?[x]"])
NAMES = st.sampled_from(["use|d1|a|x", "use|d1|a", "use|d1", "use|d2|b", "use", "us", "[x]|*|?", "é|è|à|"])
LOGS = st.sampled_from(["usage", "l|2"])
OWNERS = st.sampled_from(["one", "two"])
WANTS = st.sampled_from([None, None, "none", "right", "stale"])
VALUES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.lists(st.integers(0, 9), max_size=3), max_size=3,
)  # fmt: skip
AMOUNTS = st.dictionaries(NAMES, st.integers(-1000, 1000).map(lambda n: n / 4), max_size=4)  # sums that are exact
TTLS = st.sampled_from([None, None, 10.0, 100.0])
CHANGES = st.lists(st.tuples(KINDS, IDS, st.none() | VALUES, WANTS, TTLS), max_size=5)


class Model(RuleBasedStateMachine):
    url = ""
    before = None  # empties the server

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        if self.before:
            self.before()
        self.now = 1_800_000_000.0
        self.store = open_store(Settings(kirogw_home=self.folder.name, state_url=self.url), lambda: self.now)
        self.docs: dict = {}  # (kind, id): value, version, at, ends
        self.marks: dict = {}
        self.counters: dict = {}
        self.logs: dict = {}
        self.entries: dict = {}
        self.leases: dict = {}
        self.kept = None

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    # documents

    def held(self, key):
        doc = self.docs.get(key)
        return doc if doc and (doc[3] is None or doc[3] > self.now) else None

    def wanted(self, key, want):
        version = (self.held(key) or (None, 0))[1]
        return {None: None, "none": 0, "right": version, "stale": version + 7}[want]

    @rule(kind=KINDS, id=IDS, value=VALUES, want=WANTS, ttl=TTLS)
    def put(self, kind, id, value, want, ttl):
        number, held = self.wanted((kind, id), want), self.held((kind, id))
        if number is not None and number != (held[1] if held else 0):
            with pytest.raises(Conflict):
                self.store.put(kind, id, value, if_version=number, ttl=ttl)
            return
        version = self.store.put(kind, id, value, if_version=number, ttl=ttl)
        assert version > self.marks.get(kind, 0)
        self.marks[kind] = version
        self.docs[kind, id] = (value, version, self.now, None if ttl is None else self.now + ttl)

    @rule(kind=KINDS, id=IDS)
    def delete(self, kind, id):
        there = self.held((kind, id)) is not None
        assert self.store.delete(kind, id) is there
        if there:
            del self.docs[kind, id]
            self.moved(kind)

    def moved(self, kind):
        (mark,) = self.store.mark([kind])
        assert mark > self.marks.get(kind, 0)
        self.marks[kind] = mark

    @rule(changes=CHANGES, amounts=AMOUNTS, log=LOGS, lines=st.lists(VALUES, max_size=3), durable=st.booleans())
    def apply(self, changes, amounts, log, lines, durable):
        given, docs, kinds = [], dict(self.docs), set()
        good = True
        for kind, id, value, want, ttl in changes:
            key = (kind, id)
            if value is None:
                given.append(Delete(kind, id))
                if (doc := docs.get(key)) and (doc[3] is None or doc[3] > self.now):
                    del docs[key]
                    kinds.add(kind)
                continue
            touched = key in {(change.kind, change.id) for change in given}
            number = None if touched else self.wanted(key, want)  # its version is not known before
            given.append(Put(kind, id, value, number, ttl))
            good = good and number in (None, (self.held(key) or (None, 0))[1])
            docs[key] = (value, None, self.now, None if ttl is None else self.now + ttl)
            kinds.add(kind)
        if not good:
            with pytest.raises(Conflict):
                self.store.apply(given, durable=durable, amounts=amounts, logs={log: lines})
            return
        self.store.apply(given, durable=durable, amounts=amounts, logs={log: lines})
        for kind in kinds:
            self.moved(kind)
        self.docs = {key: doc if doc[1] else (doc[0], self.new_version(key), *doc[2:]) for key, doc in docs.items()}
        self.added(amounts)
        self.appended(log, lines)

    def new_version(self, key):
        doc, old = self.store.get(*key), self.docs.get(key)
        assert doc and doc.version <= self.marks[key[0]] and (not old or doc.version > old[1])
        return doc.version

    @rule(seconds=st.sampled_from([1.0, 9.0, 60.0, 500.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(kind=KINDS, id=IDS)
    def get(self, kind, id):
        doc, held = self.store.get(kind, id), self.held((kind, id))
        assert (doc and (doc.value, doc.version, doc.at)) == (held and held[:3])

    @invariant()
    def all_documents_are_there(self):
        for kind in {kind for kind, _ in self.docs}:
            found = {id: (doc.value, doc.version, doc.at) for id, doc in self.store.all(kind).items()}
            assert found == {key[1]: doc[:3] for key, doc in self.docs.items() if key[0] == kind and self.held(key)}

    @invariant()
    def marks_stay_where_they_are(self):
        kinds = list(self.marks)
        assert self.store.mark(kinds) == tuple(self.marks[kind] for kind in kinds)

    # leases (their time goes by a clock that the model has not)

    @rule(name=st.sampled_from(["l", "m"]), owner=OWNERS)
    def lease(self, name, owner):
        assert self.store.lease(name, owner, 1e6) is (self.leases.get(name, owner) == owner)
        self.leases.setdefault(name, owner)

    @rule(name=st.sampled_from(["l", "m"]), owner=OWNERS)
    def release(self, name, owner):
        self.store.release(name, owner)
        if self.leases.get(name) == owner:
            del self.leases[name]

    @rule(name=st.sampled_from(["l", "m"]))
    def holder(self, name):
        assert self.store.holder(name) == self.leases.get(name, "")

    # counters

    def added(self, amounts):
        for name, amount in amounts.items():
            self.counters[name] = self.counters.get(name, 0) + amount

    @rule(amounts=AMOUNTS)
    def add(self, amounts):
        self.store.add(amounts)
        self.added(amounts)

    @rule(name=NAMES, cut=st.integers(0, 12))
    def totals(self, name, cut):
        prefix = name[:cut]
        assert self.store.totals(prefix) == {n: a for n, a in self.counters.items() if n.startswith(prefix)}

    @rule(name=NAMES, cut=st.integers(0, 12))
    def forget(self, name, cut):
        prefix = name[:cut]
        self.store.forget(prefix)
        self.counters = {n: a for n, a in self.counters.items() if not n.startswith(prefix)}

    # logs

    def appended(self, log, lines):
        last = self.logs.get(log, 0)
        self.logs[log] = last + len(lines)
        self.entries.setdefault(log, []).extend((last + n, self.now, line) for n, line in enumerate(lines, 1))

    @rule(log=LOGS, lines=st.lists(VALUES, max_size=6))
    def append(self, log, lines):
        self.store.append(log, lines)
        self.appended(log, lines)

    @rule(log=LOGS, after=st.integers(0, 30), before=st.none() | st.integers(0, 30), limit=st.integers(0, 5), newest=st.booleans())
    def read(self, log, after, before, limit, newest):
        found = [(n, line) for n, _, line in self.entries.get(log, []) if n > after and (before is None or n < before)]
        found = found[::-1][:limit] if newest else found[:limit]
        assert self.store.entries(log, after=after, before=before, limit=limit, newest=newest) == found

    @rule(log=LOGS, age=st.none() | st.sampled_from([-10.0, 0.0, 5.0, 100.0]), keep=st.none() | st.integers(0, 6))
    def prune(self, log, age, keep):
        old = self.entries.get(log, [])
        left = [entry for entry in old if age is None or entry[1] >= self.now - age]
        left = left[-keep:] if keep else left if keep is None else []
        assert self.store.prune(log, older_than=None if age is None else self.now - age, keep=keep) == len(old) - len(left)
        if old:
            self.entries[log] = left

    # everything

    @rule()
    def snapshot(self):
        self.kept = self.store.snapshot()
        docs: dict = {}
        for (kind, id), (value, _, at, ends) in self.docs.items():
            if ends is None:
                docs.setdefault(kind, {})[id] = {"value": value, "at": at}
        assert self.kept["docs"] == docs and self.kept["counters"] == self.counters
        lines = {log: [list(entry) for entry in self.entries[log]] for log in self.logs}
        assert self.kept["logs"] == {log: {"last": self.logs[log], "entries": lines[log]} for log in self.logs}

    @precondition(lambda self: self.kept is not None)
    @rule()
    def restore(self):
        self.store.restore(self.kept)
        old = {key: doc for key, doc in self.docs.items() if doc[3] is None}
        new = {(kind, id): doc for kind, docs in self.kept["docs"].items() for id, doc in docs.items()}
        for kind in {kind for kind, _ in (*old, *new)}:
            self.moved(kind)
        rest = {key: doc for key, doc in self.docs.items() if key not in old and key not in new}
        self.docs = {key: (doc["value"], self.marks[key[0]], doc["at"], None) for key, doc in new.items()} | rest
        self.counters = dict(self.kept["counters"])
        for log in {*self.logs, *self.kept["logs"]}:
            found = self.kept["logs"].get(log, {"last": 0, "entries": []})
            self.logs[log] = max(self.logs.get(log, 0), found["last"])
            self.entries[log] = [tuple(entry) for entry in found["entries"]]


LIMITS = settings(max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


def test_sqlite():
    run_state_machine_as_test(Model, settings=LIMITS)


def test_redis(server):
    here = {"url": server.url, "before": staticmethod(lambda: server.command("FLUSHALL"))}
    run_state_machine_as_test(type("OnRedis", (Model,), here), settings=LIMITS)
