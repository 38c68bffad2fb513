import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.conversation import Call, Conversation, Result, Text, Turn
from kirogw.cuts import Cuts
from kirogw.dialects.cuts import key

TEXT = "The answer is " * 100


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def talk(*parts):
    return Conversation("m", (Turn("user", (Text("hi"),)), Turn("model", parts), Turn("user", (Text("go on"),))))


ROWS = [
    # calls and text that were cut off, what the client sends back, what is known of it
    pytest.param(["c1"], "", [Call("c1", "f"), Call("c2", "f")], {"c1"}, id="call"),
    pytest.param(["c1", "c3"], "", [Call("c1", "f"), Call("c3", "f")], {"c1", "c3"}, id="two calls"),
    pytest.param([], TEXT, [Text(TEXT)], {key(TEXT)}, id="text"),
    pytest.param([], TEXT, [Text(TEXT[:700]), Text(TEXT[700:])], {key(TEXT)}, id="text in two blocks"),
    pytest.param([], TEXT, [Text(TEXT + " and the client's own end")], {key(TEXT)}, id="text that goes on"),
    pytest.param(["c1"], TEXT, [Text(TEXT), Call("c1", "f")], {"c1", key(TEXT)}, id="both"),
    pytest.param(["c1"], TEXT, [Text("else"), Call("c2", "f")], set(), id="neither"),
    pytest.param(["c1"], "", [Result("c1", (Text("c1"),)), Text("c1")], set(), id="the id elsewhere"),
    pytest.param([], "", [Text("")], set(), id="nothing"),
]


@pytest.mark.parametrize(("calls", "text", "parts", "known"), ROWS)
def test_what_was_cut_off_is_known_again(calls, text, parts, known):
    cuts = Cuts()
    cuts.remember(calls, text)
    assert cuts.known(talk(*parts)) == known


def test_only_the_models_turns_count():
    cuts = Cuts()
    cuts.remember([], TEXT)
    assert cuts.known(Conversation("m", (Turn("user", (Text(TEXT),)),))) == frozenset()


def test_the_oldest_make_room():
    cuts = Cuts(most=3)
    for n in range(5):
        cuts.remember([f"c{n}"])
    assert cuts.known(talk(*(Call(f"c{n}", "f") for n in range(5)))) == {"c2", "c3", "c4"}


def test_what_is_asked_for_stays():
    cuts = Cuts(most=3)
    cuts.remember(["old"])
    for n in range(10):
        cuts.remember([f"c{n}"])
        assert cuts.known(talk(Call("old", "f"))) == {"old"}


def test_what_nobody_asks_for_is_forgotten_in_time():
    clock = Clock()
    cuts = Cuts(seconds=60, clock=clock)
    cuts.remember(["asked", "not"])
    for _ in range(5):
        clock.now += 50
        assert cuts.known(talk(Call("asked", "f"))) == {"asked"}
    assert cuts.known(talk(Call("not", "f"))) == frozenset()
    clock.now += 61
    assert cuts.known(talk(Call("asked", "f"))) == frozenset()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=5), st.text(max_size=3), st.integers(0, 40))))
def test_it_stays_within_bounds(steps):
    clock = Clock()
    cuts = Cuts(most=4, seconds=50, clock=clock)
    for calls, text, wait in steps:
        clock.now += wait
        cuts.remember(calls, text)
        fresh = {key(text)} if text else set(list(dict.fromkeys(reversed(calls)))[:4])
        assert len(cuts._seen) <= 4
        assert list(cuts._seen.values()) == sorted(cuts._seen.values())
        assert fresh <= cuts.known(talk(Text(text), *(Call(call, "f") for call in calls)))


def test_many_threads_at_once():
    cuts, failed = Cuts(most=50), []

    def work(n):
        try:
            for k in range(300):
                cuts.remember([f"{n}-{k}"], f"text {n} {k}")
                cuts.known(talk(Call(f"{n}-{k}", "f"), Text(f"text {n} {k - 1}")))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(cuts._seen) <= 50
