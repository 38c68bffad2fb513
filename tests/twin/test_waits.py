"""Whatever silence a twin plays, it ends at once when the client leaves or the twin stops, and no thread outlives it."""

import json
import socket
import threading
import time

import pytest

from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin
from tests.twin.codex import payloads as codex
from tests.twin.kiro import payloads as kiro

MAKES = {"kiro": Twin, "chatgpt": CodexTwin}
PATHS = {Twin: "/generateAssistantResponse", CodexTwin: "/backend-api/codex/responses"}
MINUTE = 60
SILENCES = [
    pytest.param({"name": "slow_headers", "slow": MINUTE}, id="before the head"),
    pytest.param({"name": "hangup", "slow": MINUTE}, id="before a hangup"),
    pytest.param({"name": "unavailable", "stall": MINUTE}, id="within an error"),
    pytest.param({"name": "stall", "stall": MINUTE}, id="before a frame"),
    pytest.param({"name": "sliced", "stall": MINUTE}, id="between slices"),
    pytest.param({"name": "cut_clean", "stall": MINUTE, "frame": 0}, id="before a cut"),
    pytest.param({"steps": [{"delay": MINUTE, "text": "never"}]}, id="of a script"),
    pytest.param({"steps": [{"text": "abc", "pieces": 1, "pace": MINUTE}]}, id="between pieces"),
]  # fmt: skip


@pytest.fixture(params=MAKES)
def twin(request):
    began = time.monotonic()
    with MAKES[request.param](script=[[{"text": "a"}]]) as running:
        yield running
    assert threads(running) == []
    assert time.monotonic() - began < MINUTE / 2


def threads(twin):
    return [thread for thread in threading.enumerate() if thread.name == f"twin {twin.url.rpartition(':')[2]}"]


def asked(twin, silence=None, more=b""):
    """A connection with a request on it, which the twin has read, and what it is to wait for."""
    if silence and "steps" in silence:
        twin.script([silence])
    elif silence:
        twin.faults.add(**silence)
    talk = codex if isinstance(twin, CodexTwin) else kiro
    sent = {"content-type": "application/json", **talk.headers(twin.account)}
    body = codex.body() if talk is codex else kiro.payload(profileArn=twin.account.profile_arn)
    data = json.dumps(body).encode()
    head = [f"POST {PATHS[type(twin)]} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()),
            f"content-length: {len(data)}"]  # fmt: skip
    connection = socket.create_connection(twin.url.removeprefix("http://").split(":"), timeout=MINUTE / 2)
    connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data + more)
    assert kiro.waited(lambda: any(seen.operation for seen in twin.requests), MINUTE / 2)
    return connection


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("more", [b"", b"GET / HTTP/1.1\r\n\r\n"], ids=["", "and the next request lies there"])
def test_it_ends_when_the_client_leaves(twin, silence, more):
    asked(twin, silence, more).close()
    assert kiro.waited(lambda: twin.requests[0].gone, MINUTE / 2)
    assert twin.requests[0].ended == 0


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("more", [b"", b"GET / HTTP/1.1\r\n\r\n"], ids=["", "and the next request lies there"])
def test_it_ends_when_the_twin_stops(twin, silence, more):
    with asked(twin, silence, more):
        twin.close()
        assert threads(twin) == []


def test_a_client_that_reads_nothing_does_not_keep_a_thread(twin):
    """Neither does one that never asks, or asks for half."""
    twin.script([[{"text": "x" * 20_000_000, "pieces": 1_000_000}]])
    address = twin.url.removeprefix("http://").split(":")
    with asked(twin), socket.create_connection(address) as silent, socket.create_connection(address) as half:
        half.sendall(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{")
        assert kiro.waited(lambda: len(threads(twin)) == 4)
        twin.close()
        assert threads(twin) == []
        assert silent.recv(1) == b""


def test_the_next_request_is_answered_after_the_wait(twin):
    began, got = time.monotonic(), b""
    with asked(twin, {"name": "slow_headers", "slow": 0.3}, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n") as connection:
        while part := connection.recv(65536):
            got += part
    assert time.monotonic() - began > 0.29
    assert got.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_one_that_never_started_can_be_closed(make):
    twin = make()
    twin.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(twin.url.removeprefix("http://").split(":"), timeout=60)
