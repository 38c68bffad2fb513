"""Our encoder against botocore's decoder, and the worked vectors of the protocol notes."""

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, InvalidHeadersLength
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.twin.kiro import frames

VECTOR = bytes.fromhex(
    "0000006200000040f00cbad40f3a657863657074696f6e2d7479706507001354"
    "68726f74746c696e67457863657074696f6e0d3a6d6573736167652d74797065070009657863657074696f6e"
    "7b226d657373616765223a22736c6f77227d752a1c78"
)
NAMES = st.text(min_size=1, max_size=40)


def decoded(data):
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def test_worked_vectors():
    headers = {":exception-type": "ThrottlingException", ":message-type": "exception"}
    assert frames.encode(headers, b'{"message":"slow"}') == VECTOR
    assert frames.encode({}, b"") == bytes.fromhex("000000100000000005c248eb7d98c8ff")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.dictionaries(NAMES, st.text(max_size=300), max_size=4), st.binary(max_size=2000)), max_size=4))
def test_botocore_reads_what_is_written(messages):
    assert decoded(b"".join(frames.encode(headers, payload) for headers, payload in messages)) == messages


@pytest.mark.parametrize(("frame", "headers", "payload"), [
    pytest.param(frames.event("assistantResponseEvent", {"content": "é😀\n"}), {
        ":event-type": "assistantResponseEvent", ":content-type": "application/json", ":message-type": "event"},
        {"content": "é😀\n"}, id="event"),
    pytest.param(frames.exception("ThrottlingException", {"message": "slow"}), {
        ":exception-type": "ThrottlingException", ":content-type": "application/json", ":message-type": "exception"},
        {"message": "slow"}, id="exception"),
    pytest.param(frames.error("Broken", "no"), {
        ":error-code": "Broken", ":error-message": "no", ":message-type": "error"}, None, id="error"),
])  # fmt: skip
def test_kinds(frame, headers, payload):
    [(got, body)] = decoded(frame)
    assert (got, json.loads(body) if body else None) == (headers, payload)


@pytest.mark.parametrize("where", sorted(frames.PLACES))
@pytest.mark.parametrize("frame", [
    frames.event("assistantResponseEvent", {"content": "hello"}), frames.encode({}, b""), frames.error("a", "b")])
def test_a_flipped_frame_is_not_believed(where, frame):
    damaged = frames.flip(frame, where)
    assert len(damaged) == len(frame)
    assert sum(bin(a ^ b).count("1") for a, b in zip(damaged, frame, strict=True)) == 1
    with pytest.raises((ChecksumMismatch, InvalidHeadersLength)):
        decoded(damaged)
