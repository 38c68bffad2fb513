"""Streams in time: what leaves when, what is heard in silence, who notices whom leaving, and what a slow reader costs.

Order is measured against the twin's own count of what it has sent, not against a clock.
"""

import contextlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kirogw.dialects.kiro import faults
from kirogw.twin import Twin
from tests.system.pauses import ENDLESS
from tests.system.raw import Connection, eventually, shortest
from tests.system.running import running
from tests.system.talk import FACES, PATHS, PING, ask, events, failure, finished, text, whole_text

BEAT = 0.2
SETTINGS = {"HEARTBEAT": BEAT, "ACCOUNT_CONCURRENCY": 0}
WORDS = [f"word{n} " for n in range(6)]
SLOWLY = [{"steps": [{"text": "".join(WORDS), "pace": 1}], "repeat": True}]


@pytest.fixture
def connection(gateway):
    with Connection(gateway.url) as connection:
        yield connection


def begin(connection, face, **more):
    connection.send("POST", PATHS[face], ask(stream=True, **more))
    status, headers = connection.head()
    assert status == 200
    return headers


# headers and order


@pytest.mark.parametrize("face", FACES)
def test_headers(twin, connection, face):
    headers = begin(connection, face)
    assert headers["content-type"].partition(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert headers["transfer-encoding"] == "chunked"
    assert "content-length" not in headers and "content-encoding" not in headers
    assert finished(face, connection.whole())


@pytest.mark.parametrize("face", FACES)
def test_a_delta_leaves_before_the_next_one_comes(twin, connection, pauses, face):
    """And the next one comes when it has been heard."""
    twin.script(SLOWLY)
    begin(connection, face)
    sent, heard = [], b""
    with pauses.held() as go_on:
        for chunk in connection.chunks():
            heard += chunk
            if b"word" in chunk:
                sent.append((text(face, heard), twin.seen()[0].frames))
                go_on()
    assert sent[-1][0] == "".join(WORDS)
    assert len(sent) >= len(WORDS) - 2
    for said, frames in sent[:-2]:  # what has left the twin is here, but for the word that is just on its way
        assert frames - 2 <= said.count("word")


@pytest.mark.parametrize("face", FACES)
def test_arguments_of_a_call_leave_as_they_come(twin, connection, pauses, face):
    """They are not kept until the call is whole: the client shows a file while it is being written."""
    steps = [{"tool": "write", "input": {"path": "a.txt", "content": "x" * 40}, "pieces": 10, "pace": 0.1}]
    twin.script([steps])
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
    tools = {"messages": [{"name": "write", "description": "Write.", "input_schema": schema}],
             "chat": [{"type": "function", "function": {"name": "write", "description": "Write.", "parameters": schema}}]}  # fmt: skip
    parts = []
    with pauses.held() as go_on:
        begin(connection, face, tools=tools[face])
        for chunk in connection.chunks():
            if b"tool_use" in chunk or b"partial_json" in chunk or b'"arguments":"' in chunk:
                parts.append(chunk)
                go_on()
    assert sum(b"partial_json" in part or b'"arguments":"' in part for part in parts) >= 6
    assert eventually(lambda: twin.seen()[0].ended)


@pytest.mark.parametrize("face", FACES)
def test_what_comes_in_one_piece_leaves_in_one_piece(twin, connection, face):
    """Two hundred frames in one read are one write, and the end of the answer another."""
    twin.script([[{"text": "".join(f"w{n} " for n in range(200))}]])
    twin.faults.add("sliced", slice=60_000)
    begin(connection, face)
    chunks = list(connection.chunks())
    assert text(face, b"".join(chunks)) == "".join(f"w{n} " for n in range(200))
    assert len(events(b"".join(chunks))) > 200
    assert len(chunks) <= 4
    assert max(map(len, chunks)) > 10_000


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_cuts_of_the_upstream_do_not_show(twin, connection, face, size):
    twin.script([[{"text": "".join(WORDS)}]])
    twin.faults.add("sliced", slice=size)
    begin(connection, face)
    data = connection.whole()
    assert (text(face, data), finished(face, data)) == ("".join(WORDS), True)


def test_a_connection_serves_one_stream_after_the_other(twin, connection):
    twin.script([{"steps": [{"text": "again"}], "repeat": True}])
    for n in range(6):
        face = FACES[n % 2]
        begin(connection, face)
        assert text(face, connection.whole()) == "again"


def test_the_connection_to_the_upstream_is_used_again(twin, gateway):
    """Which the twin does not count; but a new one for each would leave as many in TIME_WAIT, or open."""
    before = open_sockets(gateway)
    for _ in range(10):
        assert gateway.post(PATHS["chat"], ask()).status_code == 200
    assert eventually(lambda: open_sockets(gateway) <= before + 1)


def open_sockets(gateway):
    found = 0
    for worker in gateway.workers():
        for handle in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed just now
                found += str(handle.readlink()).startswith("socket:")
    return found


# heartbeats


def beats_of(face, chunks):
    """(beats, the answer) of a stream; a beat stands alone in its chunk, or behind the opening events."""
    data = b"".join(chunks)
    if face == "messages":  # one ping stands in each stream, behind the first block's start
        pings = [event for event in events(data) if event["type"] == "ping"]
        return len(pings) - (b"content_block_start" in data), data
    return data.count(PING["chat"]), data


SILENCES = [
    pytest.param({"slow": 1}, None, id="before the head"),
    pytest.param(None, [{"delay": 1, "text": "now"}], id="after the head"),
    pytest.param({"frame": "assistantResponseEvent", "stall": 1}, None, id="before the first word"),
    pytest.param(None, [{"text": "first "}, {"delay": 1, "text": "second"}], id="in mid-answer"),
]


@pytest.mark.parametrize(("fault", "steps"), SILENCES)
@pytest.mark.parametrize("face", FACES)
def test_heartbeats(twin, connection, pauses, face, fault, steps):
    """One after each BEAT of a silence that ends when some have been heard; so the head does not wait for the upstream."""
    twin.script([steps or [{"text": "now"}]])
    if fault:
        twin.faults.add("", **fault)
    began = time.monotonic()
    with pauses.until(lambda data: beats_of(face, [data])[0] >= 4) as hear:
        begin(connection, face)
        data = connection.whole(hear)
    beats, data = beats_of(face, [data])
    assert 4 <= beats <= (time.monotonic() - began) / BEAT
    assert (finished(face, data), failure(data)) == (True, None)
    assert text(face, data) == "".join(step["text"] for step in steps or [{"text": "now"}])
    assert len(twin.seen()) == 1


def test_beats_stand_between_events_and_never_before_the_first(twin, connection, pauses):
    """A ping before message_start would be dropped by the SDKs, or break them."""
    twin.faults.add("", slow=1)
    with pauses.until(lambda data: data.count(PING["messages"]) >= 3) as hear:
        begin(connection, "messages")
        kinds = [event["type"] for event in events(connection.whole(hear))]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-1] == "message_stop"


def test_no_beats_while_words_come():
    """For longer than a beat. A busy machine may come to a halt for that long, but not each time."""
    with Twin(accounts=["api_key"]) as twin, running(twin, HEARTBEAT=2) as gateway:
        twin.script([{"steps": [{"text": "".join(f"w{n} " for n in range(30)), "pace": 0.1}], "repeat": True}])

        def beats(face):
            with Connection(gateway.url) as connection:
                begin(connection, face)
                return beats_of(face, connection.chunks())[0]

        assert [shortest(lambda face=face: beats(face), 0) for face in FACES] == [0] * len(FACES)


def test_beats_while_words_are_held_back(twin, connection):
    """A stop sequence may be in the making: then words come from the upstream and none leave for the client."""
    twin.script([[{"text": "a" * 60, "pieces": 1, "pace": BEAT / 3}, {"text": "b"}]])
    begin(connection, "messages", stop_sequences=["a" * 61])
    beats, data = beats_of("messages", connection.chunks())
    assert beats >= 3
    assert text("messages", data) == "a" * 60 + "b"


FORMATS = {
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "chat": {"response_format": {"type": "json_object"}},
}


@pytest.mark.parametrize("face", FACES)
def test_beats_while_a_whole_json_text_is_awaited(twin, connection, face):
    """Half a JSON text is none, so it is kept until it is whole."""
    said = json.dumps({"numbers": list(range(40))})
    twin.script([[{"text": said, "pace": BEAT / 2}]])
    begin(connection, face, **FORMATS[face])
    beats, data = beats_of(face, connection.chunks())
    assert beats >= 3
    assert (text(face, data), finished(face, data)) == (said, True)


@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_while_a_whole_json_text_is_awaited(twin, gateway, face):
    def left():
        twin.reset()
        twin.script([[{"text": "word " * 20_000, "pace": BEAT / 8}]])
        with Connection(gateway.url) as connection:
            begin(connection, face, **FORMATS[face])
            next(connection.chunks())
        return until_gone(twin, time.time())

    assert shortest(left, 2 * BEAT + 1.0) <= 2 * BEAT + 1.0


@pytest.mark.parametrize("face", FACES)
def test_beats_during_a_pause_between_tries(face):
    with Twin(accounts=["api_key"]) as twin, running(twin, HEARTBEAT=BEAT, RETRY_PACE=1) as gateway:
        twin.faults.add("high_load", count=1)
        with Connection(gateway.url) as connection:
            begin(connection, face)
            chunks = list(connection.chunks())
        paused = next(row for row in faults.TABLE if row.name == "capacity").waits[0]
        beats, data = beats_of(face, chunks)
        assert len(twin.seen()) == 2
        assert paused > 3 * BEAT, "the row of the table makes no pause: choose another for this test"
        assert beats >= int(paused / BEAT) - 2
        assert finished(face, data)


# the client leaves


def until_gone(twin, since):
    """Seconds until the upstream saw its client leave."""
    assert eventually(lambda: twin.seen()[0].gone), "the upstream never heard that the client left"
    return twin.seen()[0].gone - since


LEAVINGS = [
    pytest.param([{"slow": ENDLESS}], None, id="before the head"),
    pytest.param([], [{"delay": ENDLESS, "text": "never"}], id="before the first word"),
    pytest.param([], [{"text": "first "}, {"delay": ENDLESS, "text": "never"}], id="in a silence"),
    pytest.param([], [{"text": "word " * 20_000, "pace": 0.02}], id="while words come"),
]


@pytest.mark.parametrize(("faults", "steps"), LEAVINGS)
@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_closes_the_upstream(twin, gateway, face, faults, steps):
    def left():
        twin.reset()
        twin.script([steps or [{"text": "never"}]])
        for fault in faults:
            twin.faults.add("", **fault)
        with Connection(gateway.url) as connection:
            begin(connection, face)
            next(connection.chunks())
        return until_gone(twin, time.time())

    assert shortest(left, 2 * BEAT + 1.0) <= 2 * BEAT + 1.0
    assert eventually(lambda: gateway.get("/health").json()["answers_running"] == 0)


@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_before_its_own_head(twin, gateway, face):
    """It has seen nothing yet: the first beat is still to come."""
    def left():
        twin.reset()
        twin.faults.add("", slow=ENDLESS)
        with Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask(stream=True))
            assert eventually(twin.seen)
        return until_gone(twin, time.time())

    assert shortest(left, 3 * BEAT + 1.0) <= 3 * BEAT + 1.0


@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_without_a_stream(twin, gateway, face):
    """Nothing is written to it until the end, so a write can not tell that it has left."""
    def left():
        twin.reset()
        twin.script([[{"text": "first "}, {"delay": ENDLESS, "text": "never"}]])
        with Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask())
            assert eventually(lambda: twin.seen() and twin.seen()[0].frames)
        return until_gone(twin, time.time())

    assert shortest(left, 2 * BEAT + 1.0) <= 2 * BEAT + 1.0


def test_a_client_that_leaves_in_a_pause_is_not_tried_for_again():
    with Twin(accounts=["api_key"]) as twin, running(twin, HEARTBEAT=BEAT, RETRY_PACE=2) as gateway:
        twin.faults.add("high_load", count=None)
        with Connection(gateway.url) as connection:
            begin(connection, "messages")
            next(connection.chunks())
        tried = len(twin.seen())
        time.sleep(4.0)
        assert len(twin.seen()) == tried == 1
        assert eventually(lambda: gateway.get("/health").json()["answers_running"] == 0)


# slow readers and many clients


BIG = 48 * 1024 * 1024


def pss(gateway):
    """The proportional memory of the workers, in bytes."""
    rollups = [Path(f"/proc/{worker}/smaps_rollup").read_text() for worker in gateway.workers()]
    return sum(int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M).group(1)) * 1024 for rollup in rollups)


@pytest.mark.parametrize("face", FACES)
def test_a_slow_reader_costs_no_memory_and_keeps_nobody_waiting(twin, gateway, face):
    twin.script([
        {"steps": [{"text": "word " * (BIG // 5), "pieces": 20_000}], "match": "big"},
        {"steps": [{"text": "small"}], "repeat": True},
    ])  # fmt: skip
    gateway.post(PATHS[face], ask("warm up"))
    before = pss(gateway)
    with Connection(gateway.url, receive_buffer=4096) as slow:
        slow.send("POST", PATHS[face], ask("big", stream=True))
        frames = stalled(twin)
        assert frames * 20_000 < BIG / 2, "the upstream was read although nobody takes the answer"
        assert pss(gateway) - before < 8 * 1024 * 1024
        for _ in range(20):
            assert whole_text(face, gateway.post(PATHS[face], ask("small")).json()) == "small"
        heard = 0
        slow.head()
        for chunk in slow.chunks():
            heard += len(chunk)
            if heard > 1_000_000:
                break
        assert pss(gateway) - before < 8 * 1024 * 1024
    assert eventually(lambda: next(seen for seen in twin.seen() if b"big" in seen.body).gone)


def stalled(twin):
    """The count of frames once it grows no more."""
    last = -1
    while (now := next((seen.frames for seen in twin.seen() if b"big" in seen.body), 0)) != last or not now:
        last = now
        time.sleep(0.4)
    return last


def test_fifty_streams_at_once(twin, gateway, pauses):
    """None ends before all have begun, and nobody gets a word of another's."""
    twin.script([{"steps": [{"text": {"find": "number (\\d+)", "format": "{} and " * 8, "in": "current"}, "pace": 0.05}], "repeat": True}])

    def one(number):
        face = FACES[number % 2]
        with Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask(f"I am number {number}", stream=True))
            connection.head()
            data = connection.whole()
        return text(face, data), finished(face, data)

    with ThreadPoolExecutor(50) as many:
        with pauses.held():
            answers = many.map(one, range(50))
            assert eventually(lambda: len(twin.seen()) == 50)
            assert not any(seen.ended for seen in twin.seen())
        assert list(answers) == [(f"{number} and " * 8, True) for number in range(50)]


def test_streams_run_beside_each_other(twin, gateway, pauses):
    """A silent one keeps no other waiting, in a single worker."""
    twin.script([{"steps": [{"delay": 3.0, "text": "late"}], "match": "slow"}, {"steps": [{"text": "soon"}], "repeat": True}])
    late = []

    def slow():
        late.append((gateway.post(PATHS["chat"], ask("slow")).json(), time.monotonic()))

    thread = threading.Thread(target=slow)
    with pauses.held():
        thread.start()
        assert eventually(twin.seen)
        for _ in range(10):
            assert whole_text("chat", gateway.post(PATHS["chat"], ask("quick")).json()) == "soon"
        soon = time.monotonic()
    thread.join()
    assert whole_text("chat", late[0][0]) == "late"
    assert soon < late[0][1]


# endings


@pytest.mark.parametrize("fault", ["cut_open", "cut_reset", "cut_clean", "exception_frame", "bad_payload", "ends_early"])
@pytest.mark.parametrize("face", FACES)
def test_a_stream_that_breaks_ends_with_an_error_and_never_cleanly(twin, connection, pauses, face, fault):
    more = {"cut": 900} if fault.startswith("cut") else {"cut_frame": 5} if fault == "ends_early" else {"frame": 5}
    twin.script([{"steps": [{"text": "".join(WORDS), "pace": 0.01}], "repeat": True}])
    twin.faults.add(fault, count=None, **more)
    with pauses.until(lambda data: b"word0" in data) as hear:
        begin(connection, face)
        data = connection.whole(hear)
    assert "".join(WORDS).startswith(text(face, data)) and text(face, data)
    assert failure(data)["message"]
    assert not finished(face, data)
    assert b'"finish_reason":"' not in data and b'"stop_reason":"' not in data


def test_silence_that_lasts_too_long_is_told_in_band():
    with Twin(accounts=["api_key"]) as twin, running(twin, HEARTBEAT=BEAT, STREAMING_READ_TIMEOUT=1) as gateway:
        twin.script([{"steps": [{"text": "first "}, {"delay": ENDLESS, "text": "never"}], "repeat": True}])

        def told(face):
            with Connection(gateway.url) as connection:
                began = time.monotonic()
                begin(connection, face)
                data = connection.whole()
            assert failure(data) and not finished(face, data)
            return time.monotonic() - began

        for face in FACES:
            assert 0.9 < shortest(lambda face=face: told(face), 3) < 3


def test_an_http_1_0_client_gets_a_stream_too(twin, gateway):
    twin.script([[{"text": "old friend"}]])
    data = json.dumps(ask(stream=True)).encode()
    with Connection(gateway.url) as connection:
        key = gateway.headers["Authorization"]
        connection.socket.sendall(f"POST {PATHS['messages']} HTTP/1.0\r\nauthorization: {key}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        status, headers = connection.head()
        assert (status, headers.get("transfer-encoding")) == (200, None)
        heard = connection._buffer
        while more := connection.socket.recv(65536):
            heard += more
    assert (text("messages", heard), finished("messages", heard)) == ("old friend", True)
