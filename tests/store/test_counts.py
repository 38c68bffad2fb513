"""Counters that processes share: what each knows, and when."""

import threading

import pytest

from kirogw.store import StoreFailed
from kirogw.store.counts import Counts


def test_what_is_added_counts_here_at_once_and_elsewhere_after_both_have_exchanged(store, another_of):
    here, there = Counts(store), Counts(another_of(store))
    here.add("n|day|a", "x", 5)
    assert (here.of("n|day|a", "x"), here.items("n|day|a"), there.of("n|day|a", "x")) == (5, {"x": 5}, 0)
    here.exchange(["n|day|"])
    assert (here.of("n|day|a", "x"), there.of("n|day|a", "x")) == (5, 0)
    there.add("n|day|a", "x", 2)
    there.exchange(["n|day|"])
    assert (here.of("n|day|a", "x"), there.of("n|day|a", "x")) == (5, 7)
    here.add("n|day|a", "x", -5)
    here.exchange(["n|day|"])
    assert here.items("n|day|a") == {"x": 2} and store.totals("n|") == {"n|day|a|x": 2.0}


def test_only_what_is_asked_for_is_known(store):
    counts = Counts(store)
    counts.add("n|today|a", "x", 5)
    counts.add("n|yesterday|a", "x", 7)
    counts.exchange(["n|today|"])
    assert (counts.of("n|today|a", "x"), counts.of("n|yesterday|a", "x")) == (5, 0)
    assert store.totals("n|") == {"n|today|a|x": 5.0, "n|yesterday|a|x": 7.0}


class Failing:
    """A store that fails after it has done the first `good` of its calls. `sent`: the batches, by their names."""

    def __init__(self, store):
        self.store, self.good, self.sent = store, 100, []

    def _call(self, name, *args, **more):
        self.good -= 1
        if self.good < 0:
            raise StoreFailed("it is away")
        return getattr(self.store, name)(*args, **more)

    def apply(self, *, once, amounts, **more):
        self.sent.append((once, dict(amounts)))
        return self._call("apply", once=once, amounts=amounts, **more)

    def totals(self, prefix):
        return self._call("totals", prefix)


@pytest.mark.parametrize("good", [0, 1], ids=["writing", "reading"])
def test_nothing_is_lost_and_nothing_counts_twice_when_the_store_fails(store, good):
    failing = Failing(store)
    counts = Counts(failing)
    counts.add("n|day|a", "x", 5)
    failing.good = good
    with pytest.raises(StoreFailed):
        counts.exchange(["n|day|"])
    counts.add("n|day|a", "x", 1)
    assert counts.of("n|day|a", "x") == 6
    failing.good = 100
    counts.exchange(["n|day|"])
    assert counts.of("n|day|a", "x") == 6 and store.totals("n|") == {"n|day|a|x": 6.0} and not counts.waiting()


def test_what_may_have_arrived_is_sent_again_as_it_was(store):
    """By its name an engine knows what it has already."""
    failing = Failing(store)
    counts = Counts(failing)
    counts.add("n|day|a", "x", 5)
    failing.good = 0
    with pytest.raises(StoreFailed):
        counts.exchange(["n|"])
    counts.add("n|day|a", "x", 1)
    failing.good = 100
    counts.exchange(["n|"])
    first, again, new = failing.sent
    assert first == again and new[0] != first[0] and new[1] == {"n|day|a|x": 1.0}


def test_who_only_hears_does_not_wait_for_who_writes(store):
    """A file that somebody holds takes a write ten seconds, and a request is no place for that."""
    held, let_go = threading.Event(), threading.Event()

    class Held:
        totals = staticmethod(store.totals)

        def apply(self, **more):
            held.set()
            let_go.wait(60)
            store.apply(**more)

    counts = Counts(Held())
    counts.add("n|day|a", "x", 5)
    thread = threading.Thread(target=counts.exchange, args=(["n|day|"],))
    thread.start()
    assert held.wait(60)
    counts.read(["n|day|"])
    assert thread.is_alive() and counts.of("n|day|a", "x") == 5
    let_go.set()
    thread.join(60)
    counts.read(["n|day|"])
    assert counts.of("n|day|a", "x") == 5
