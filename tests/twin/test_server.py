"""HTTP as it goes over the wire: what clients of the loopback see, and what the twin notes about them."""

import socket
import time

import pytest
import requests

from kirogw.twin import Twin
from kirogw.twin.server import read_target
from tests.twin.kiro import payloads as p


@pytest.fixture
def twin():
    with Twin(open=True) as running:
        yield running


def raw(twin, data, until=b""):
    """Send bytes as they are; what came back until the end, or until `until` has come."""
    with socket.create_connection(twin.url.removeprefix("http://").split(":"), timeout=60) as connection:
        connection.sendall(data)
        got = b""
        while (part := connection.recv(65536)) and (got := got + part) and not (until and until in got):
            pass
        return got


def test_keep_alive_uses_one_connection(twin):
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(twin.url).status_code == 200
        [pool] = session.adapters["http://"].poolmanager.pools._container.values()
        assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_two_requests_at_once_are_answered_in_order(twin):
    request = b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET /nothing HTTP/1.1\r\nconnection: close\r\n\r\n"
    head, _, rest = raw(twin, request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"connection: close" in rest


def test_a_chunked_request_is_read_whole(twin):
    reply = requests.post(twin.url + "/refreshToken", data=iter([b'{"refresh', b'Token":"x"}']), timeout=60,
                          headers={"content-type": "application/json"})
    assert (reply.status_code, twin.requests[0].payload) == (400, {"refreshToken": "x"})


def test_expect_continue(twin):
    head = b"POST /refreshToken HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n{}"
    assert raw(twin, head).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")


def test_trailers_are_read(twin):
    head = b"POST /refreshToken HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    got = raw(twin, head + b"2;x=y\r\n{}\r\n0\r\na: b\r\nc: d\r\n\r\n")
    assert (got[:12], twin.requests[0].body) == (b"HTTP/1.1 400", b"{}")


@pytest.mark.parametrize("data", [
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r",
    b"nonsense\r\n\r\n", b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{",
    b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
])
def test_half_a_request_gets_no_answer_and_does_no_harm(twin, data):
    with socket.create_connection(twin.url.removeprefix("http://").split(":"), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert requests.get(twin.url, timeout=60).status_code == 200


def test_a_stream_comes_frame_by_frame(twin):
    twin.script([[{"text": "abc", "pieces": 1, "pace": 0.3}]])
    began = time.monotonic()
    with p.ask(twin, stream=True) as reply:
        assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"
        assert reply.headers["x-amzn-codewhisperer-conversation-id"] == p.payload()["conversationState"]["conversationId"]
        chunks = [(time.monotonic(), len(p.events(chunk))) for chunk in reply.raw.stream(decode_content=False)]
    assert [count for _, count in chunks] == [1] * 7
    times = [at - began for at, _ in chunks]
    assert times[2] > 0.29
    assert times[3] > 0.59


@pytest.mark.parametrize("step", [{"text": "abc", "pieces": 1, "pace": 0.2}, {"delay": 60, "text": "never"}])
def test_a_client_that_leaves_is_noticed(twin, step):
    twin.script([[{"text": "first"}, step]])
    reply = p.ask(twin, stream=True)
    chunks = reply.raw.stream(decode_content=False)
    next(chunks)
    left = time.time()
    reply.raw.close()
    reply.close()
    assert p.waited(lambda: twin.requests[0].gone)
    seen = twin.requests[0]
    assert 0 <= seen.gone - left < 30
    assert (seen.ended, 1 <= seen.frames < 6) == (0.0, True)


def test_a_whole_stream_is_noted(twin):
    p.ask(twin)
    assert p.waited(lambda: twin.requests[0].ended)
    seen = twin.requests[0]
    assert (seen.operation, seen.status, seen.gone, seen.account) == ("generate", 200, 0.0, "social-1")
    assert seen.frames > 10
    assert seen.payload["conversationState"]["chatTriggerType"] == "MANUAL"


def test_close_ends_streams_and_frees_the_port():
    with Twin(open=True, script=[[{"text": "a"}, {"delay": 60}]]) as twin:
        reply = p.ask(twin, stream=True)
        chunks = reply.raw.stream(decode_content=False)
        next(chunks)
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(twin.url, timeout=2)
    reply.close()
    with Twin(port=int(twin.url.rsplit(":", 1)[1])) as again:
        assert again.url == twin.url


ADDRESSES = [
    # target, Host header, path, host that was meant
    pytest.param("/mcp?a=b%20c", "127.0.0.1:8", "/mcp", "", id="bare"),
    pytest.param("/@runtime.eu-central-1.kiro.dev", "127.0.0.1:8", "/", "runtime.eu-central-1.kiro.dev", id="first segment"),
    pytest.param("/@runtime.us-east-1.kiro.dev/mcp", "x", "/mcp", "runtime.us-east-1.kiro.dev", id="first segment, path"),
    pytest.param("/mcp", "q.us-east-1.amazonaws.com:443", "/mcp", "q.us-east-1.amazonaws.com", id="host header"),
    pytest.param("/", "localhost:8", "/", "", id="foreign host header"),
    pytest.param("http://runtime.us-east-1.kiro.dev/mcp", "", "/mcp", "runtime.us-east-1.kiro.dev", id="proxy"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "host", "path", "meant"), ADDRESSES)
def test_targets(target, host, path, meant):
    incoming = read_target("post", target, {"host": host}, b"")
    assert (incoming.method, incoming.path, incoming.host) == ("POST", path, meant)
    assert dict(incoming.query) == ({"a": "b c"} if "?" in target else {})


def test_it_can_stand_as_a_proxy(twin):
    reply = requests.get("http://management.us-east-1.kiro.dev/List-Available-Models?origin=KIRO_CLI", timeout=60,
                         headers=p.headers(twin.account), proxies={"http": twin.url})
    assert (reply.status_code, twin.requests[0].host) == (200, "management.us-east-1.kiro.dev")
