from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.flow import sse
from kirogw.flow.sse import DamagedStream, Decoder

ROWS = [
    # what comes, the data of its events
    pytest.param(b"data: a\n\n", [b"a"], id="one"),
    pytest.param(b"event: x\ndata: a\n\nevent: y\ndata: b\n\n", [b"a", b"b"], id="with names"),
    pytest.param(b"data:a\n\ndata:  b\n\n", [b"a", b" b"], id="one space is left out"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [b"a", b"b", b"c"], id="all ends of lines"),
    pytest.param(b"data: a\ndata: b\ndata\ndata:\n\n", [b"a\nb\n\n"], id="several lines"),
    pytest.param(b": keep-alive\n\n:\n\ndata: a\n: b\n\n", [b"a"], id="comments"),
    pytest.param(b"event: x\nid: 1\nretry: 5\n\ndata: a\n\n", [b"a"], id="nothing without data"),
    pytest.param(b"\n\n\n\ndata: a\n\n\n\n", [b"a"], id="more blank lines"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"], id="a mark at the beginning, and in the middle"),
    pytest.param(b"event: data: x\ndata: a\n\nevent: data: x\n\n", [b"a"], id="a name that looks like data"),
    pytest.param(b"data: a\nevent: x\n\n", [b"a"], id="the name after the data"),
    pytest.param(b"database: x\ndatum\n\ndata: a\n\n", [b"a"], id="other fields"),
    pytest.param(b"data: a\n\ndata: b\n", [b"a", b"b"], id="the last blank line is missing"),
    pytest.param(b"data: a\n\ndata: b", [b"a", b"b"], id="and the end of its line"),
    pytest.param(b"", [], id="nothing"),
]


def decoded(pieces):
    decoder = Decoder()
    return [data for piece in pieces for data in decoder.receive(piece)] + decoder.close()


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize(("stream", "data"), ROWS)
def test_the_data_of_events(stream, data, step):
    assert decoded([stream[n : n + step] for n in range(0, len(stream), step)]) == data


def by_lines(stream):
    """The same by the letter of the standard, all at once."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    events, held = [], []
    for line in [*lines, b""]:
        if not line:
            if held:
                events.append(b"\n".join(held))
            held = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            held.append(value.removeprefix(b" "))
    return events


WORDS = st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"data: ", b"event: x", b"\xef\xbb\xbf", b"{}", b"\xc3\xa9", b"a"])


@given(st.lists(WORDS, max_size=30).map(b"".join), st.data())
@settings(max_examples=300, deadline=None)
def test_any_cut_gives_what_the_standard_says(stream, data):
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert decoded(pieces) == by_lines(stream)


def test_an_event_that_never_ends_is_damage(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT", 100)
    decoder = Decoder()
    assert decoder.receive(b"data: a\n\ndata: " + b"b" * 80) == [b"a"]
    with pytest.raises(DamagedStream):
        decoder.receive(b"b" * 20)
    with pytest.raises(DamagedStream):
        Decoder().receive(b"data: " + b"b" * 101)


def test_long_events_are_no_quadratic_work():
    """Each byte is looked at once, however many pieces it comes in."""
    decoder, piece = Decoder(), b"x" * 1000
    assert decoder.receive(b"data: ") == []
    assert all(decoder.receive(piece) == [] for _ in range(10_000))
    (data,) = decoder.receive(b"\n\n")
    assert len(data) == 10_000_000
