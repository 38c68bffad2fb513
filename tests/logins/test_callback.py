"""The port that the browser comes back to."""

import errno
import socket
import threading
import time

import pytest
import requests

from kirogw.errors import BadRequest
from kirogw.logins import callback
from kirogw.logins.callback import Listener, PortTaken, Said
from kirogw.logins.walk import PATHS
from tests.system.running import free_port


def waited(what, seconds=60.0):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    return what()


@pytest.fixture
def port():
    return free_port()


def listening(port, arrived=lambda url: Said("Done", url), wanted=lambda: True):
    return Listener(port, arrived, wanted, PATHS)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return False
        return True


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("[::1]", marks=[] if has_ipv6() else pytest.mark.xfail(strict=True))])
def test_what_came_is_handed_over(port, host):
    heard = []
    listener = listening(port, lambda url: heard.append(url) or Said("Signed in", "Well done"))
    try:
        got = requests.get(f"http://{host}:{port}/oauth/callback?code=a&state=b", timeout=60)
    finally:
        listener.close()
    assert (got.status_code, heard) == (200, ["/oauth/callback?code=a&state=b"])
    assert "<h1>Signed in</h1><p>Well done</p>" in got.text
    assert got.headers["content-security-policy"].startswith("default-src 'none'")
    assert got.headers["cache-control"] == "no-store" and got.headers["referrer-policy"] == "no-referrer"


def test_the_page_is_escaped(port):
    listener = listening(port, lambda url: Said("<b>", f"\"'&{url}", link="https://x/?a=1&b=\"<script>"))
    try:
        got = requests.get(f"http://127.0.0.1:{port}/signin/callback?<script>alert(1)</script>", timeout=60).text
    finally:
        listener.close()
    assert "<script" not in got and "&lt;b&gt;" in got and "&quot;&#x27;&amp;" in got
    assert 'href="https://x/?a=1&amp;b=&quot;&lt;script&gt;"' in got


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://evil.example/", "data:text/html,x", "kiro://x"])
def test_a_link_that_is_no_page_is_left_out(link):
    assert "<a" not in callback.page(Said("a", "b", link=link))


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", "/favicon.ico", 404), ("GET", "/oauth/callback/x?code=1", 404), ("POST", "/oauth/callback", 405),
    ("HEAD", "/signin/callback", 405)])  # fmt: skip
def test_nothing_else_is_there(port, method, path, status):
    heard = []
    listener = listening(port, heard.append)
    try:
        got = requests.request(method, f"http://127.0.0.1:{port}{path}", timeout=60)
    finally:
        listener.close()
    assert (got.status_code, heard) == (status, [])


def refuse(url):
    raise BadRequest("this address belongs to <another> login")


def break_(url):
    raise RuntimeError("secret detail")


@pytest.mark.parametrize(("arrived", "status", "says"), [(refuse, 400, "&lt;another&gt;"), (break_, 500, "its log says why")])
def test_what_goes_wrong_is_a_page_too(port, arrived, status, says):
    listener = listening(port, arrived)
    try:
        got = requests.get(f"http://127.0.0.1:{port}/oauth/callback?code=1", timeout=60)
    finally:
        listener.close()
    assert got.status_code == status and says in got.text and "secret detail" not in got.text


def test_a_port_that_is_taken_is_told(port):
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken, match=f"^port {port} of this machine is taken") as caught:
        listening(port)
    assert "\n" not in str(caught.value)
    listening(port).close()


@pytest.mark.skipif(not has_ipv6(), reason="there is no ::1 here")
def test_the_other_loopback_address_counts(port):
    """A browser may take either for `localhost`; what is bound by then is given up again."""
    with socket.create_server(("::1", port), family=socket.AF_INET6), pytest.raises(PortTaken):
        listening(port)
    assert is_free(port)


def test_the_port_is_free_after_the_end(port):
    listener = listening(port)
    assert listener.hold() and not is_free(port)
    listener.close()
    listener.close()
    assert not listener.hold() and is_free(port)


def test_the_port_is_given_up_when_nobody_wants_it(port):
    wanted = threading.Event()
    wanted.set()
    listener = listening(port, wanted=wanted.is_set)
    time.sleep(2 * callback.TICK)
    assert listener.hold() and not is_free(port)
    wanted.clear()
    assert waited(lambda: is_free(port)) and not listener.hold()


def test_who_comes_at_the_last_moment_is_served(port):
    """Somebody holds it between the question whether it is wanted and the answer no."""
    asked, answers = threading.Event(), iter([False])

    def wanted():
        for answer in answers:
            asked.set()
            assert listener.hold()
            return answer
        return True

    ready = threading.Event()
    listener = None

    def patient():
        assert ready.wait(60)
        return wanted()

    listener = listening(port, wanted=patient)
    ready.set()
    try:
        assert asked.wait(60)
        time.sleep(2 * callback.TICK)
        assert listener.hold() and requests.get(f"http://127.0.0.1:{port}/oauth/callback?a=1", timeout=60).ok
    finally:
        listener.close()


def test_who_is_being_answered_gets_the_answer(port):
    arrived, go_on = threading.Event(), threading.Event()

    def slow(url):
        arrived.set()
        assert go_on.wait(60)
        return Said("Signed in", "")

    listener, got = listening(port, slow), []
    asking = threading.Thread(target=lambda: got.append(requests.get(f"http://127.0.0.1:{port}/oauth/callback?a=1", timeout=60).text))
    asking.start()
    assert arrived.wait(60)
    closing = threading.Thread(target=listener.close)
    closing.start()
    assert waited(lambda: is_free(port))
    go_on.set()
    closing.join(60)
    asking.join(60)
    assert "Signed in" in got[0]


def test_connections_that_say_nothing_are_in_nobodys_way(port):
    """Browsers open some in advance, and strangers send nonsense."""
    listener = listening(port)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    try:
        idle[0].sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        idle[1].sendall(b"GET /oauth/callback HTTP/9\r\n\r\n")
        assert idle[0].recv(10) == b"" and idle[1].recv(10) == b""
        assert requests.get(f"http://127.0.0.1:{port}/oauth/callback?a=1", timeout=60).ok
    finally:
        listener.close()
    for each in idle[2:]:
        assert each.recv(10) == b""
        each.close()


def test_so_many_connections_and_no_more(port):
    listener = listening(port)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(callback.AT_ONCE)]
    try:
        assert waited(lambda: len(listener._connections) == callback.AT_ONCE)
        with socket.create_connection(("127.0.0.1", port)) as more:
            assert more.recv(10) == b""
        idle.pop().close()
        assert waited(lambda: len(listener._connections) < callback.AT_ONCE)
        assert requests.get(f"http://127.0.0.1:{port}/oauth/callback?a=1", timeout=60).ok
    finally:
        listener.close()
        for each in idle:
            each.close()
