from __future__ import annotations

import struct
import time
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.flow import eventstream
from kirogw.flow.eventstream import DamagedStream, Decoder, StreamCut
from tests.frames import error, event, exception, frame, header

USAGE = bytes.fromhex(
    "0000006500000036fb4ab2cd" "0b3a6576656e742d74797065" "070011" "636f6e746578745573616765" "4576656e74"
    "0d3a6d6573736167652d74797065" "070005" "6576656e74"
    "7b22636f6e74657874557361676550657263656e74616765223a31322e357d" "5ea0e80b"
)
SLOW = bytes.fromhex(
    "0000006200000040f00cbad4" "0f3a657863657074696f6e2d74797065" "070013" "5468726f74746c696e67457863657074696f6e"
    "0d3a6d6573736167652d74797065" "070009" "657863657074696f6e" "7b226d657373616765223a22736c6f77227d" "752a1c78"
)
EMPTY = bytes.fromhex("00000010" "00000000" "05c248eb" "7d98c8ff")


def seen(messages):
    return [(m.kind, m.type, m.payload, dict(m.headers)) for m in messages]


def fed(pieces, *, closed=True):
    """All messages from `pieces`, and the name of the error that ended them or ""."""
    decoder, messages = Decoder(), []
    try:
        for piece in pieces:
            messages += decoder.receive(piece)
        if closed:
            decoder.close()
    except (DamagedStream, StreamCut) as failure:
        return seen(messages), type(failure).__name__
    return seen(messages), ""


def by_botocore(data):
    """The same by AWS's own decoder."""
    buffer, messages = EventStreamBuffer(), []
    buffer.add_data(data)
    try:
        for m in buffer:
            messages.append((dict(m.headers), m.payload))
    except (ParserError, KeyError, ValueError, struct.error):
        return messages, "DamagedStream"
    return messages, "StreamCut" if buffer._data else ""


def test_the_worked_vectors():
    usage = {":event-type": "contextUsageEvent", ":message-type": "event"}
    slow = {":exception-type": "ThrottlingException", ":message-type": "exception"}
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert fed([USAGE + SLOW + EMPTY]) == ([
        ("event", "contextUsageEvent", b'{"contextUsagePercentage":12.5}', usage),
        ("exception", "ThrottlingException", b'{"message":"slow"}', slow),
        ("", "", b"", {}),
    ], "")  # fmt: skip


def test_an_error_frame_has_its_code_as_type():
    (message,) = Decoder().receive(error("ModelError", "no"))
    assert (message.kind, message.type, message.headers[":error-message"]) == ("error", "ModelError", "no")
    assert repr(message) == "Message('error', 'ModelError', b'')"


def test_all_ten_header_types():
    at = 1767225600123
    raw = b"".join([
        header("yes", 0), header("no", 1), header("byte", 2, -3), header("short", 3, -300), header("int", 4, -70_000),
        header("long", 5, -(2**40)), header("bytes", 6, b"\x00\xff"), header("text", 7, "häder"),
        header("time", 8, at), header("uuid", 9, bytes(range(16))),
    ])  # fmt: skip
    (message,) = Decoder().receive(frame(raw, b"x"))
    assert message.headers == {
        "yes": True, "no": False, "byte": -3, "short": -300, "int": -70_000, "long": -(2**40), "bytes": b"\x00\xff",
        "text": "häder", "time": at, "uuid": bytes(range(16)),
    }  # fmt: skip


def test_a_message_type_that_is_no_string_is_none():
    (message,) = Decoder().receive(frame(header(":message-type", 4, 5)))
    assert (message.kind, message.type) == ("", "")


def lengths(total, headers):
    most = struct.pack(">II", total, headers)
    return most + struct.pack(">I", zlib.crc32(most))


BAD = [
    pytest.param(lengths(15, 0), id="shorter than a frame can be"),
    pytest.param(lengths(16 * 1024 * 1024 + 1, 0), id="longer than 16 MiB"),
    pytest.param(lengths(1024 * 1024, 128 * 1024 + 1), id="more than 128 KiB of headers"),
    pytest.param(lengths(100, 85), id="headers longer than the frame"),
    pytest.param(lengths(16, 0)[:-1] + b"\x00", id="wrong checksum of the lengths"),
    pytest.param(EMPTY[:-1] + b"\x00", id="wrong checksum of the frame"),
    pytest.param(frame(header("a", 0) * 2), id="a header twice"),
    pytest.param(frame(b"\x01a\x0a"), id="unknown header type"),
    pytest.param(frame(b"\x01a"), id="header without a type"),
    pytest.param(frame(b"\x01a\x07\x00\x05abc"), id="header cut"),
    pytest.param(frame(b"\x01a\x04\x00"), id="number cut"),
    pytest.param(frame(b"\x01\xff\x00"), id="name that is no UTF-8"),
    pytest.param(frame(b"\x01a\x07\x00\x01\xff"), id="text that is no UTF-8"),
]


@pytest.mark.parametrize("bad", BAD)
def test_damage_is_told_at_once_and_after_what_was_whole(bad):
    with pytest.raises(DamagedStream):
        Decoder().receive(bad)
    decoder = Decoder()
    assert [m.type for m in decoder.receive(USAGE + bad + USAGE)] == ["contextUsageEvent"]
    assert decoder.damage
    for call in (lambda: decoder.receive(USAGE), lambda: decoder.receive(b""), decoder.close):
        with pytest.raises(DamagedStream):
            call()


def test_the_prelude_is_checked_before_the_rest_is_waited_for():
    decoder = Decoder()
    assert decoder.receive(b"\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00") == []
    with pytest.raises(DamagedStream):
        decoder.receive(b"\x00")


def test_the_largest_frame_is_taken():
    big = frame(header("a", 6, b"x" * 65_000), b"y" * (16 * 1024 * 1024 - 16 - 65_005))
    assert len(big) == 16 * 1024 * 1024
    (message,) = Decoder().receive(big)
    assert len(message.payload) == 16 * 1024 * 1024 - 65_021


STREAM = b"".join([
    event("assistantResponseEvent", {"content": "Grüße, 世界 🙂"}), EMPTY, exception("ThrottlingException", {}),
    frame(header("n", 5, 7), b"\x00" * 40), USAGE,
])  # fmt: skip


def test_any_cut_gives_the_same_messages():
    whole, failure = fed([STREAM])
    assert len(whole) == 5 and not failure
    for n in range(len(STREAM) + 1):
        assert fed([STREAM[:n], STREAM[n:]]) == (whole, "")
    assert fed([bytes([b]) for b in STREAM]) == (whole, "")


def test_a_cut_tail_is_told():
    edges = [0]
    while edges[-1] < len(STREAM):
        edges.append(edges[-1] + int.from_bytes(STREAM[edges[-1] : edges[-1] + 4], "big"))
    whole, _ = fed([STREAM])
    for n in range(len(STREAM)):
        messages, failure = fed([STREAM[:n]])
        assert failure == ("" if n in edges else "StreamCut")
        assert messages == whole[: sum(edge <= n for edge in edges) - 1]


def test_a_flipped_bit_is_never_believed():
    whole, _ = fed([STREAM])
    for n in range(len(STREAM)):
        for bit in range(8):
            damaged = STREAM[:n] + bytes([STREAM[n] ^ 1 << bit]) + STREAM[n + 1 :]
            messages, failure = fed([damaged])
            assert failure and messages == whole[: len(messages)]


PLAIN = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.none()),
    st.tuples(st.just(2), st.integers(-(2**7), 2**7 - 1)),
    st.tuples(st.just(3), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(4), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from([5, 8]), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(6), st.binary(max_size=40)),
    st.tuples(st.just(7), st.text(max_size=20)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
NAMES = st.sampled_from([":event-type", ":message-type", ":error-code", "x", "naïve", ""])
FRAMES = st.builds(
    lambda headers, payload: frame(b"".join(header(n, *v) for n, v in headers.items()), payload),
    st.dictionaries(NAMES, PLAIN, max_size=5), st.binary(max_size=60),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAMES, max_size=5), st.data())
def test_it_reads_what_botocore_reads(frames, data):
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    messages, failure = fed(pieces)
    assert ([(m[3], m[2]) for m in messages], failure) == by_botocore(stream)
    assert len(messages) == len(frames)


@settings(max_examples=100, deadline=None)
@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_it_refuses_what_botocore_refuses(frames, data):
    stream = bytearray(b"".join(frames))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = bytes(stream)
    for n in range(len(damaged) + 1):
        messages, failure = fed([damaged[:n]])
        assert ([(m[3], m[2]) for m in messages], failure) == by_botocore(damaged[:n])


def test_the_caches_stay_small(monkeypatch):
    monkeypatch.setattr(eventstream, "_CACHED", 8)
    eventstream._preludes.clear()
    eventstream._heads.clear()
    stream = b"".join(event("assistantResponseEvent", {"content": "x" * n}) for n in range(50))
    assert [len(m.payload) for m in Decoder().receive(stream)] == [14 + n for n in range(50)]
    assert len(eventstream._preludes) <= 8 and len(eventstream._heads) <= 8
    Decoder().receive(frame(header("a", 6, b"x" * 600)))
    assert all(len(head) <= 512 for head in eventstream._heads)


def test_nothing_is_quadratic():
    small = event("assistantResponseEvent", {"content": "hello"})
    began = time.thread_time()
    assert len(Decoder().receive(small * 40_000)) == 40_000  # 6 MB at once
    decoder, big = Decoder(), frame(b"", b"z" * 800_000)
    assert sum(len(decoder.receive(big[n : n + 1])) for n in range(len(big))) == 1
    assert time.thread_time() - began < 10
