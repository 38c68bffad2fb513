"""The network, over real sockets: heartbeats, connections that are kept or lost, proxies, TLS."""

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import pump, read_head, read_request, server

from kirogw.settings import Settings
from kirogw.transport import JOINED, WRITE, Lost, Transport, connect_apart
from kirogw.wire import Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def post(port, scheme="http", path="/x?y=1"):
    return Request("POST", f"{scheme}://127.0.0.1:{port}{path}", {"Content-Type": "text/plain"}, b"question")


def answering(*answers, seen=None):
    """A handler that gives each request of a connection the next of `answers`: bytes, or what is called to wait."""

    def handle(connection):
        for answer in answers:
            request = read_request(connection)
            if seen is not None:
                seen.append(request)
            for piece in answer if isinstance(answer, list) else [answer]:
                connection.sendall(piece) if isinstance(piece, bytes) else piece(connection)

    return handle


def held():
    """A wait for `answering`, and what lets it go on, once for each call."""
    calls = threading.Semaphore(0)

    def wait(connection):
        assert calls.acquire(timeout=60)

    return wait, calls.release


def silence(connection):
    """Until the peer leaves."""
    connection.recv(1)


def read_all(exchange):
    pieces = []
    while (data := exchange.read(60)) != b"":
        pieces.append(data)
    return pieces


def test_a_request_leaves_whole_and_a_connection_is_used_again():
    seen = []
    with server(answering(OK, OK, seen=seen)) as port:
        transport = Transport(Settings())
        for reused in (False, True):
            exchange = transport.open(post(port))
            assert exchange.head(60) and exchange.reused is reused
            assert read_all(exchange) == [b"hello"]
            exchange.close()
            exchange.close()
        assert seen[0] == seen[1] == (
            f"POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: text/plain\r\nContent-Length: 8".encode(),
            b"question",
        )  # fmt: skip


@pytest.mark.parametrize("size", [0, JOINED, JOINED + 1, WRITE - 1, WRITE, WRITE + 1, 3 * WRITE + 1])
def test_a_request_of_any_size_leaves_whole(size):
    seen, body = [], bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with server(answering(OK, OK, seen=seen)) as port:
        transport, request = Transport(Settings()), Request("POST", f"http://127.0.0.1:{port}/", {}, body)
        assert [transport.call(request).body for _ in range(2)] == [b"hello", b"hello"]
    assert [sent for _, sent in seen] == [body, body]


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\n", "\ra"])
def test_a_header_with_a_line_break_does_not_leave(value):
    with server(silence) as port, pytest.raises(ValueError, match="line break"):
        Transport(Settings()).open(Request("POST", f"http://127.0.0.1:{port}/", {"X-One": value}, b""))


def test_only_new_connections_are_made_apart():
    apart = []

    def run(function):
        apart.append(threading.get_ident())
        return function()

    connect_apart(run)
    try:
        with server(answering(OK, OK)) as port:
            transport = Transport(Settings())
            assert [transport.call(post(port)).body for _ in range(2)] == [b"hello", b"hello"]
        with pytest.raises(Lost, match="no connection"):
            transport.call(post(port))
    finally:
        connect_apart(None)
    assert len(apart) == 2


def test_silence_is_told_and_nothing_is_lost_by_it():
    wait, go_on = held()
    slow = [wait, b"HTTP/1.1 200 OK\r\nTransfer-", wait, b"Encoding: chunked\r\n\r\n2\r\nhe\r\n", wait, b"3\r\nl", wait, b"lo\r\n0\r\n\r\n"]
    with server(answering(slow, OK)) as port:
        transport = Transport(Settings())
        exchange = transport.open(post(port))
        for _ in range(2):
            assert not exchange.head(0.2)
            go_on()
        assert exchange.head(60)
        got = []
        while (data := exchange.read(0.2)) != b"":
            got.append(data)
            if data is None:
                go_on()
        assert b"".join(filter(None, got)) == b"hello" and got.count(None) >= 2
        exchange.close()
        again = transport.open(post(port))
        assert again.head(60) and again.reused
        again.close()


FAULTS = [
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"], "cut", id="cut in the body"),
    pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"], "cut", id="no last chunk"),
    pytest.param([b"HTTP/1.1 200"], "cut", id="cut in the head"),
    pytest.param([b""], "reset", id="closed before a byte"),
    pytest.param([b"SSH-2.0-x\r\n\r\n"], "damaged", id="another protocol"),
    pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"], "damaged", id="no chunk"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", silence], "timeout", id="stopped"),
    pytest.param([silence], "timeout", id="never began"),
]


@pytest.mark.parametrize(("answer", "kind"), FAULTS)
def test_a_broken_answer_says_how(answer, kind):
    with server(answering(answer)) as port, pytest.raises(Lost) as lost:
        Transport(Settings()).call(post(port), 0.5 if kind == "timeout" else 60)
    assert lost.value.kind == kind


def test_a_reset_says_so():
    def handle(connection):
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with server(handle) as port, pytest.raises(Lost) as lost:
        Transport(Settings()).call(post(port), 60)
    assert lost.value.kind == "reset"


def test_a_kept_connection_that_died_is_replaced_once():
    def handle(connection):  # answers one request, and drops the connection when the second is there
        read_request(connection)
        connection.sendall(OK)
        read_head(connection)

    with server(handle) as port:
        transport = Transport(Settings())
        assert [transport.call(post(port), 60).body for _ in range(3)] == [b"hello"] * 3


def test_abort_wakes_the_reader_and_close_is_noticed():
    left = threading.Event()

    def handle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if not connection.recv(1):
            left.set()

    with server(handle) as port:
        exchange = Transport(Settings()).open(post(port))
        assert exchange.head(60)
        threading.Timer(0.2, exchange.abort).start()
        with pytest.raises(Lost):  # silence for a minute would be told as None
            exchange.read(60)
        exchange.close()
        assert left.wait(60)


def test_an_answer_that_was_not_read_does_not_go_back_into_the_pool():
    with server(answering(OK, OK)) as port:
        transport = Transport(Settings())
        exchange = transport.open(post(port))
        exchange.close()
        assert not transport.open(post(port)).reused


def test_a_large_request_may_take_its_time():
    def handle(connection):
        head, rest = read_head(connection)
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(rest)
        while left:
            left -= len(connection.recv(65536))
            time.sleep(0.02)
        connection.sendall(OK)

    with server(handle) as port:
        large = Request("POST", f"http://127.0.0.1:{port}/", {}, b"x" * 10_000_000)
        began = time.monotonic()
        assert Transport(Settings(connect_timeout=1.5)).call(large, 60).body == b"hello"
        assert time.monotonic() - began > 1.5


def test_connections_that_nobody_needs_are_closed(monkeypatch):
    closed = threading.Event()

    def handle(connection):
        answering(OK)(connection)
        if not connection.recv(1):
            closed.set()

    with server(handle) as port:
        transport = Transport(Settings())
        exchanges = [transport.open(post(port)) for _ in range(3)]
        for exchange in exchanges:
            exchange.whole(60)
        for exchange in exchanges[:2]:
            exchange.close()
        assert len(next(iter(transport._routes.values())).idle) == 2 and not closed.is_set()
        time.sleep(0.1)
        monkeypatch.setattr("kirogw.transport.IDLE_SECONDS", 0.05)
        exchanges[2].close()
        assert closed.wait(60)
        assert transport.open(post(port)).reused


def test_all_threads_that_come_first_share_what_they_keep():
    """None of their connections is lost to the next request."""
    begun, many = threading.Barrier(8), ThreadPoolExecutor(8)

    def call(_):
        begun.wait(60)
        exchange = transport.open(post(port))
        exchange.whole(60)
        begun.wait(60)
        exchange.close()

    with server(answering(OK)) as port, many:
        transport = Transport(Settings())
        list(many.map(call, range(8)))
        assert len(next(iter(transport._routes.values())).idle) == 8


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/"])
def test_no_connection(url):
    with pytest.raises(Lost) as lost:
        Transport(Settings()).call(Request("GET", url))
    assert lost.value.kind == "connect"


def test_a_line_break_in_a_header_is_refused():
    with server(answering(OK)) as port, pytest.raises(ValueError, match="line break"):
        Transport(Settings()).open(Request("GET", f"http://127.0.0.1:{port}/", {"Authorization": "Bearer a\r\nX: y"}))


# ---- proxies and TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and a server context with it."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_tls_with_an_own_bundle_and_heartbeats(certificate):
    path, context = certificate
    wait, go_on = held()
    slow = [wait, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", wait, b"hello"]
    with server(answering(slow), tls=context) as port:
        exchange = Transport(Settings(ca_bundle=str(path))).open(post(port, "https"))
        assert not exchange.head(0.1)
        go_on()
        assert exchange.head(60) and exchange.read(0.1) is None
        go_on()
        assert exchange.read(60) == b"hello"
        exchange.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    with server(answering(OK), tls=certificate[1]) as port, pytest.raises(Lost) as lost:
        Transport(Settings()).call(post(port, "https"))
    assert lost.value.kind == "connect" and "certificate" in str(lost.value)


def http_proxy(seen):
    """A proxy that wants user:pass, knows CONNECT and absolute URLs, and notes what it is asked."""
    wanted = b"proxy-authorization: basic " + base64.b64encode(b"user:pa55").lower()

    def handle(connection):
        head, rest = read_head(connection)
        seen.append(head.split(b"\r\n")[0])
        if wanted not in head.lower():
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        method, url, _ = head.split(b"\r\n")[0].split(b" ")
        where = url if method == b"CONNECT" else url.split(b"/")[2]
        with socket.create_connection(("127.0.0.1", int(where.rpartition(b":")[2]))) as onward:
            if method == b"CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                onward.sendall(head + b"\r\n\r\n" + rest)
            pump(connection, onward)

    return handle


def socks_proxy(seen):
    """SOCKS 5 with user and password."""

    def exactly(connection, n):
        data = b""
        while len(data) < n:
            data += connection.recv(n - len(data))
        return data

    def handle(connection):
        _, count = exactly(connection, 2)
        assert 2 in exactly(connection, count)
        connection.sendall(b"\5\2")
        _, length = exactly(connection, 2)
        user = exactly(connection, length)
        password = exactly(connection, exactly(connection, 1)[0])
        connection.sendall(b"\1" + (b"\0" if (user, password) == (b"user", b"pa55") else b"\1"))
        _, _, _, kind = exactly(connection, 4)
        host = exactly(connection, 4 if kind == 1 else exactly(connection, 1)[0])
        port = int.from_bytes(exactly(connection, 2), "big")
        seen.append((kind, host, port))
        with socket.create_connection(("127.0.0.1", port)) as onward:
            connection.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            pump(connection, onward)

    return handle


@pytest.mark.parametrize("proxy", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_credentials(proxy, scheme, certificate, monkeypatch):
    path, context = certificate
    seen = []
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    handler = http_proxy(seen) if proxy == "http" else socks_proxy(seen)
    with server(answering(OK), tls=context if scheme == "https" else None) as port, server(handler) as via:
        settings = Settings(vpn_proxy_url=f"{proxy}://user:pa55@127.0.0.1:{via}", ca_bundle=str(path))
        assert Transport(settings).call(post(port, scheme), 60).body == b"hello"
    assert len(seen) == 1


def test_a_proxy_that_refuses_is_told_without_its_password():
    with server(http_proxy([])) as via, pytest.raises(Lost) as lost:
        Transport(Settings(vpn_proxy_url=f"http://user:wrong99@127.0.0.1:{via}")).call(post(1, "https"), 60)
    assert "wrong99" not in str(lost.value) and lost.value.kind in ("proxy", "connect", "reset")


def test_proxies_of_the_environment_and_their_exceptions(monkeypatch):
    seen = []
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with server(answering(OK)) as port, server(http_proxy(seen)) as via:
        monkeypatch.setenv("http_proxy", f"http://user:pa55@127.0.0.1:{via}")
        assert Transport(Settings()).call(post(port), 60).body == b"hello"
        assert len(seen) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with contextlib.closing(Transport(Settings())) as direct:
            assert direct.call(post(port), 60).body == b"hello"
        assert len(seen) == 1
