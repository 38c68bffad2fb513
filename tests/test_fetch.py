"""The fetcher against real servers on the loopback. Names are resolved by a table, so no name server is asked."""

import base64
import contextlib
import http.server
import ipaddress
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from kirogw import fetch
from kirogw.errors import BadRequest
from kirogw.fetch import Fetched, Fetcher
from kirogw.settings import Settings

CERTS = Path(__file__).parent / "certs"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


DRIPS = 50.0  # seconds that a slow answer takes


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append((self.requestline.split()[1], self.headers["Host"]))
        name = self.path.split("?")[0].strip("/").split("/")[0] or "png"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"do_{name}")()

    def head(self, status=200, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()

    def do_png(self):
        self.head(Content_Type="image/PNG; charset=x", Content_Length=len(PNG))
        self.wfile.write(PNG)

    def do_chunked(self):
        self.head(Transfer_Encoding="chunked")
        for at in range(0, len(PNG), 1000):
            part = PNG[at : at + 1000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_until_close(self):
        self.head(Connection="close")
        self.wfile.write(PNG)
        self.close_connection = True

    def do_large(self):
        self.head(Transfer_Encoding="chunked")
        for _ in range(1000):
            self.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")

    def do_cut(self):
        self.head(Content_Length=len(PNG) + 1)
        self.wfile.write(PNG)
        self.close_connection = True

    def do_gzip(self):
        self.head(Content_Encoding="gzip", Content_Length=3)
        self.wfile.write(b"abc")

    def do_missing(self):
        self.head(404, Content_Length=0)

    def do_slow_body(self):
        self.close_connection = True
        self.head(Content_Length=1000, Connection="close")
        for _ in range(1000):
            self.wfile.write(b"x")
            time.sleep(DRIPS / 1000)

    def do_slow_head(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(1000):
            self.wfile.write(b"X-Drip: drop\r\n")
            time.sleep(DRIPS / 1000)

    def do_garbage(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def do_to(self):
        self.head(302, Location=self.path.partition("?")[2], Content_Length=0)

    def do_around(self):
        self.head(301, Location="/around", Content_Length=0)

    def do_nowhere(self):
        self.head(307, Content_Length=0)


@contextlib.contextmanager
def site(address="127.0.0.1", tls=False):
    server = http.server.ThreadingHTTPServer((address, 0), Site)
    server.seen, server.names = [], []
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTS / "pictures.test.pem")
        context.sni_callback = lambda sock, name, context: server.names.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def web():
    with site() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def table(**names):
    """A resolver by a table of names; each call takes the next of a list of answers."""

    def resolve(host, port):
        asked.append(host)
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            answers = names.get(host.partition(".")[0])
        if answers is None:
            raise socket.gaierror(-2, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    asked = resolve.asked = []
    return resolve


def fetcher(resolve=None, **settings):
    settings = {"fetch_private": True, "fetch_timeout": 60.0} | settings
    return Fetcher(Settings(**settings), resolve or table(pictures=[["127.0.0.1"]]))


def port(server):
    return server.server_address[1]


def get(fetcher, url):
    result = fetcher.all([url])[url]
    if isinstance(result, BadRequest):
        raise result
    return result


@pytest.mark.parametrize("path", ["/png", "", "/to?/png", "/to?/to?/chunked", "/chunked", "/until_close", "/png?a=b%20c#frag"])
def test_what_lies_at_a_url(web, path):
    assert get(fetcher(), f"http://pictures.test:{port(web)}{path}").data == PNG


def test_the_media_type_is_plain(web):
    assert get(fetcher(), f"http://pictures.test:{port(web)}/png") == Fetched(PNG, "image/png")
    assert get(fetcher(), f"http://pictures.test:{port(web)}/chunked") == Fetched(PNG, "")


def test_the_server_hears_the_name_and_the_path_as_they_are(web):
    web.seen.clear()
    get(fetcher(), f"http://pictures.test:{port(web)}//png/a b/ü?q=[1]")
    path, host = web.seen[0]
    assert host == f"pictures.test:{port(web)}"
    assert path == "//png/a%20b/%C3%BC?q=%5B1%5D"


WRONG = [
    pytest.param("/missing", "answered with status 404", id="404"),
    pytest.param("/large", "larger than 200,000 bytes", id="too large"),
    pytest.param("/cut", "could not be fetched", id="cut short"),
    pytest.param("/gzip", "came compressed", id="compressed"),
    pytest.param("/garbage", "could not be fetched", id="no http"),
    pytest.param("/around", "redirects too often", id="endless redirect"),
    pytest.param("/nowhere", "redirects too often", id="redirect to nowhere"),
    pytest.param("/to?file:///etc/passwd", "is no http or https URL", id="redirect to a file"),
    pytest.param("/to?http://me:secret@pictures.test/", "with a user name or password", id="redirect with a password"),
    pytest.param("/to?http://missing.test/", "the host was not found", id="redirect to a missing host"),
    pytest.param("/to?http://[::1", "the URL is not valid", id="redirect to no URL"),
]


@pytest.mark.parametrize(("path", "words"), WRONG)
def test_what_is_no_file(web, path, words):
    with pytest.raises(BadRequest, match=words):
        get(fetcher(fetch_max_bytes=200_000), f"http://pictures.test:{port(web)}{path}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://pictures.test/a", "no http or https URL"),
        ("//pictures.test/a", "no http or https URL"),
        ("http:///a", "no http or https URL"),
        ("http://pictures.test/" + "a" * 9000, "no http or https URL"),
        ("http://user@pictures.test/", "user name or password"),
        ("http://pictures.test:25/", "port 25 does not belong to the web"),
        ("http://pictures.test:99999/", "the URL is not valid"),
        ("http://pictures.test:80a/", "the URL is not valid"),
        ("http://" + "ü" * 70 + ".test/", "the host of the URL is not valid"),
        ("http://nobody.test/", "the host was not found"),
    ],
)
def test_urls_that_are_not_fetched(url, words):
    with pytest.raises(BadRequest, match=words):
        get(fetcher(), url)


def test_a_refused_connection_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(BadRequest, match=r"http://pictures.test/a could not be fetched \(NewConnectionError\)"):
            get(fetcher(), f"http://pictures.test:{unused.getsockname()[1]}/a?token=secret")


@pytest.mark.parametrize("path", ["/slow_body", "/slow_head"])
def test_what_drips_in_is_given_up_in_time(web, path):
    began = time.monotonic()
    with pytest.raises(BadRequest, match=r"took longer than 0.4 seconds"):
        get(fetcher(fetch_timeout=0.4), f"http://pictures.test:{port(web)}{path}")
    while any(thread.name == "fetch" for thread in threading.enumerate()):
        time.sleep(0.02)
    assert time.monotonic() - began < DRIPS / 2


def test_a_silent_name_server_is_given_up_in_time():
    given_up = threading.Event()
    with pytest.raises(BadRequest, match=r"took longer than 0.2 seconds"):
        get(fetcher(lambda host, port: given_up.wait(60) and [], fetch_timeout=0.2), "http://pictures.test/")
    given_up.set()


def test_a_silent_handshake_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(BadRequest, match=r"took longer than 0.2 seconds"):
        get(fetcher(fetch_timeout=0.2), f"https://pictures.test:{server.getsockname()[1]}/")


def test_several_are_fetched_at_once(web):
    """One after the other the first would leave the second no time, however much of it all have."""
    urls = [f"http://pictures.test:{port(web)}/{path}" for path in ("slow_body", "png", "missing", "slow_head", "chunked")]
    for seconds in (0.5, 4.0, 20.0):  # the machine may be busy
        began = time.monotonic()
        found = fetcher(fetch_timeout=seconds).all(urls)
        kinds, took = [type(found[url]) for url in urls], time.monotonic() - began
        if kinds[1] is kinds[4] is Fetched and took < 2 * seconds:
            break
    assert kinds == [BadRequest, Fetched, BadRequest, BadRequest, Fetched] and took < 2 * seconds


def test_a_url_that_was_fetched_is_kept_for_a_while(web, monkeypatch):
    web.seen.clear()
    same, url = fetcher(), f"http://pictures.test:{port(web)}/png"
    assert get(same, url) == get(same, url)
    assert len(web.seen) == 1
    monkeypatch.setattr(fetch, "KEEP_SECONDS", -1.0)
    get(same, url)
    assert len(web.seen) == 2


def test_little_is_kept(web, monkeypatch):
    monkeypatch.setattr(fetch, "KEEP_BYTES", 3 * len(PNG))
    same = fetcher()
    for n in range(6):
        get(same, f"http://pictures.test:{port(web)}/png?{n}")
        assert sum(len(kept.data) for _, kept in same._kept.values()) <= 3 * len(PNG)
    assert [url[-1] for url in same._kept] == ["3", "4", "5"]
    monkeypatch.setattr(fetch, "KEEP_BYTES", len(PNG))
    get(same, f"http://pictures.test:{port(web)}/png?large")
    assert len(same._kept) == 3


# Addresses

ADDRESSES = [
    ("8.8.8.8", True), ("2606:4700:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
    ("127.0.0.1", False), ("127.8.9.1", False), ("0.0.0.0", False), ("10.0.0.1", False), ("172.16.5.4", False),
    ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("100.100.100.200", False),
    ("224.0.0.1", False), ("239.255.255.250", False), ("240.0.0.1", False), ("255.255.255.255", False),
    ("192.0.0.192", False), ("198.18.0.1", False), ("168.63.129.16", False), ("192.0.2.1", False),
    ("::1", False), ("::", False), ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False),
    ("fd00:ec2::254", False), ("fec0::1", False), ("ff02::1", False), ("2001:db8::1", False),
    ("::ffff:127.0.0.1", False), ("::ffff:a9fe:a9fe", False), ("::127.0.0.1", False), ("64:ff9b::7f00:1", False),
    ("64:ff9b::a9fe:a9fe", False), ("2002:7f00:1::", False), ("2001:0:7f00:1::", False), ("nonsense", False), ("", False),
]  # fmt: skip


@pytest.mark.parametrize(("address", "public"), ADDRESSES)
def test_is_public(address, public):
    assert fetch.is_public(address) is public


PRIVATE = [ipaddress.ip_network(net) for net in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/4", "240.0.0.0/4", "198.18.0.0/15",
)]  # fmt: skip


@limits(max_examples=200, deadline=None)
@given(st.sampled_from(PRIVATE).flatmap(lambda net: st.ip_addresses(network=net)))
def test_no_disguise_makes_a_private_address_public(address):
    number = int(address)
    forms = [ipaddress.IPv6Address(0xFFFF << 32 | number), ipaddress.IPv6Address(number),
             ipaddress.IPv6Address((0x64FF9B << 96) | number), ipaddress.IPv6Address(0x2002 << 112 | number << 80)]  # fmt: skip
    assert [fetch.is_public(str(form)) for form in [address, *forms]] == [False] * 5


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"]
)
def test_our_own_host_is_not_reached_however_it_is_written(web, host):
    web.seen.clear()
    strict = Fetcher(Settings(fetch_timeout=60.0))  # with the real resolver, which knows these forms
    with pytest.raises(BadRequest, match=r"does not lie at a public address|the host was not found"):
        get(strict, f"http://{host}:{port(web)}/png")
    assert web.seen == []


@pytest.fixture
def outside(monkeypatch):
    """127.0.0.1 stands for the internet and 127.0.0.2 for our own network; both serve on one port."""
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")
    with site() as public, contextlib.ExitStack() as stack:
        inner = http.server.ThreadingHTTPServer(("127.0.0.2", port(public)), Site)
        inner.seen = []
        thread = threading.Thread(target=inner.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        stack.callback(inner.server_close)
        stack.callback(thread.join)
        stack.callback(inner.shutdown)
        yield public, inner


def strict(resolve):
    return fetcher(resolve, fetch_private=False)


def test_a_public_host_is_fetched(outside):
    public, _ = outside
    assert get(strict(table(pictures=[["127.0.0.1"]])), f"http://pictures.test:{port(public)}/png").data == PNG


def test_a_redirect_inwards_is_refused(outside):
    public, inner = outside
    names = table(pictures=[["127.0.0.1"]], inner=[["127.0.0.2"]])
    for target in ("inner.test", "127.0.0.2"):
        with pytest.raises(BadRequest, match=r"does not lie at a public address"):
            get(strict(names), f"http://pictures.test:{port(public)}/to?http://{target}:{port(public)}/png")
    assert inner.seen == []
    assert len(public.seen) == 2


def test_a_name_that_changes_its_address_is_resolved_once(outside):
    public, inner = outside
    names = table(rebind=[["127.0.0.1"], ["127.0.0.2"]])
    assert get(strict(names), f"http://rebind.test:{port(public)}/png").data == PNG
    assert names.asked == ["rebind.test"]
    assert inner.seen == []


def test_a_name_that_changes_its_address_between_two_hops_is_refused(outside):
    public, inner = outside
    names = table(rebind=[["127.0.0.1"], ["127.0.0.2"]])
    with pytest.raises(BadRequest, match=r"does not lie at a public address"):
        get(strict(names), f"http://rebind.test:{port(public)}/to?/png")
    assert inner.seen == []


@pytest.mark.parametrize("answer", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
def test_one_private_address_among_several_is_enough(outside, answer):
    public, inner = outside
    with pytest.raises(BadRequest, match=r"does not lie at a public address"):
        get(strict(table(mixed=[answer])), f"http://mixed.test:{port(public)}/png")
    assert public.seen == inner.seen == []


def test_the_next_address_is_tried_when_one_is_dead(web):
    names = table(pictures=[["127.0.0.3", "127.0.0.1"]])  # nobody listens at the first
    assert get(fetcher(names), f"http://pictures.test:{port(web)}/png").data == PNG


def test_a_name_without_addresses_is_told():
    with pytest.raises(BadRequest, match=r"the host has no address"):
        get(fetcher(table(empty=[[]])), "http://empty.test/")


# TLS


@pytest.fixture(scope="module")
def secure():
    with site(tls=True) as server:
        yield server


def test_the_name_stays_in_tls_though_the_connection_goes_to_an_address(secure):
    secure.names.clear()
    trusting = fetcher(ca_bundle=str(CERTS / "ca.pem"))
    assert get(trusting, f"https://pictures.test:{port(secure)}/png").data == PNG
    assert secure.names == ["pictures.test"]


def test_a_certificate_for_another_name_is_not_taken(secure):
    trusting = fetcher(table(other=[["127.0.0.1"]]), ca_bundle=str(CERTS / "ca.pem"))
    with pytest.raises(BadRequest, match=r"could not be fetched \(SSLCertVerificationError\)"):
        get(trusting, f"https://other.test:{port(secure)}/png")


def test_an_unknown_authority_is_not_taken(secure):
    with pytest.raises(BadRequest, match=r"could not be fetched \(SSLCertVerificationError\)"):
        get(fetcher(), f"https://pictures.test:{port(secure)}/png")


# Proxies


class Proxy:
    """A CONNECT and SOCKS5 proxy in one, by the first byte. `wanted` are the targets that it was told."""

    def __init__(self, status=b"200 OK", tls=False):
        self.wanted, self.secrets, self._status = [], [], status
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTS / "pictures.test.pem")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._one, args=(client,)))
                self._threads[-1].start()

    def _one(self, client):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            stack.enter_context(client)
            client.settimeout(60)
            first = client.recv(1)
            host, port = self._socks(client) if first == b"\x05" else self._connect(client, first)
            if not host:
                return
            with socket.create_connection((host, port)) as server:
                self._relay(client, server)

    def _connect(self, client, data):
        while not data.endswith(b"\r\n\r\n"):
            data += client.recv(1)
        line, *headers = data.decode().split("\r\n")
        self.wanted.append(line.split()[1])
        self.secrets += [h.partition(": ")[2] for h in headers if h.lower().startswith("proxy-authorization")]
        client.sendall(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        host, _, port = line.split()[1].rpartition(":")
        return (host, int(port)) if self._status.startswith(b"200") else ("", 0)

    def _socks(self, client):
        methods = client.recv(client.recv(1)[0])
        if 2 in methods:
            client.sendall(b"\x05\x02")
            client.recv(1)
            user, password = (client.recv(client.recv(1)[0]).decode() for _ in range(2))
            self.secrets.append(f"{user}:{password}")
            client.sendall(b"\x01\x00")
        else:
            client.sendall(b"\x05\x00")
        kind = client.recv(4)[3]
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        (port,) = struct.unpack(">H", client.recv(2))
        self.wanted.append(f"{host}:{port}")
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        return host, port

    @staticmethod
    def _relay(client, server):
        while True:
            if isinstance(client, ssl.SSLSocket) and client.pending():
                ready = [client]
            else:
                ready, _, _ = select.select([client, server], [], [], 60)
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (server if source is client else client).sendall(data)
            if not ready:
                return

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def proxy():
    with contextlib.closing(Proxy()) as server:
        yield server


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("target", ["web", "secure"])
def test_a_proxy_is_told_the_address_and_the_server_the_name(request, proxy, scheme, target):
    server = request.getfixturevalue(target)
    server.seen.clear()
    mine = fetcher(vpn_proxy_url=f"{scheme}://me:p%40ss@127.0.0.1:{proxy.port}", ca_bundle=str(CERTS / "ca.pem"))
    url = f"{'https' if target == 'secure' else 'http'}://pictures.test:{port(server)}/png"
    assert get(mine, url).data == PNG
    assert proxy.wanted == [f"127.0.0.1:{port(server)}"]
    assert server.seen == [("/png", f"pictures.test:{port(server)}")]
    secret = "Basic " + base64.b64encode(b"me:p@ss").decode() if scheme == "http" else "me:p@ss"
    assert proxy.secrets == [secret]


def test_a_proxy_from_the_environment_is_used_but_not_for_the_hosts_in_no_proxy(web, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(fetcher(), f"http://pictures.test:{port(web)}/png").data == PNG
    assert proxy.wanted == [f"127.0.0.1:{port(web)}"]
    monkeypatch.setenv("NO_PROXY", "pictures.test")
    assert get(fetcher(), f"http://pictures.test:{port(web)}/png").data == PNG
    assert len(proxy.wanted) == 1


def test_a_proxy_changes_nothing_about_which_addresses_are_refused(web, proxy):
    mine = strict_with_proxy = fetcher(fetch_private=False, vpn_proxy_url=f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(BadRequest, match=r"does not lie at a public address"):
        get(mine, f"http://pictures.test:{port(web)}/png")
    assert strict_with_proxy.allowed
    assert proxy.wanted == []


def test_a_proxy_that_refuses_is_told_without_its_password(web):
    with contextlib.closing(Proxy(b"403 Forbidden")) as refusing:
        mine = fetcher(vpn_proxy_url=f"http://me:secret@127.0.0.1:{refusing.port}")
        with pytest.raises(BadRequest) as caught:
            get(mine, f"http://pictures.test:{port(web)}/png")
    assert str(caught.value) == "http://pictures.test/png could not be fetched (OSError); send the file itself"


def test_a_proxy_behind_tls(web, secure, monkeypatch):
    """Its own name is looked up by the system, so the certificate's name is made to be one that it knows."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **options: real(
        "127.0.0.1" if host == "pictures.test" else host, *args, **options))  # fmt: skip
    with contextlib.closing(Proxy(tls=True)) as private:
        mine = fetcher(vpn_proxy_url=f"https://pictures.test:{private.port}", ca_bundle=str(CERTS / "ca.pem"))
        assert get(mine, f"https://pictures.test:{port(secure)}/png").data == PNG
        assert private.wanted == [f"127.0.0.1:{port(secure)}"]
        with pytest.raises(BadRequest, match=r"an http: URL can not be fetched through the gateway's proxy"):
            get(mine, f"http://pictures.test:{port(web)}/png")


def test_the_switch():
    assert fetcher().allowed
    assert not fetcher(fetch_image_urls=False).allowed


def test_addresses_come_from_the_system():
    assert fetch.resolve("127.0.0.1", 80) == ["127.0.0.1"]


IN_GEVENT = """
from gevent import monkey
monkey.patch_all()
import socket, threading, time
from kirogw.errors import BadRequest
from kirogw.fetch import Fetcher
from kirogw.settings import Settings
server, clients = socket.create_server(("127.0.0.1", 0)), []
def serve():
    for body in (b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello", b""):
        client, _ = server.accept()
        client.recv(9999)
        client.sendall(body)
        clients.append(client)
threading.Thread(target=serve, daemon=True).start()
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
url = "http://127.0.0.1:%d/" % server.getsockname()[1]
def fetch(path, seconds):
    return Fetcher(Settings(fetch_private=True, fetch_timeout=seconds)).all([url + path])[url + path]
print(fetch("good", 20).data)
for seconds in (0.5, 4, 20):  # the machine may be busy
    del ticks[:-1]
    late = fetch("late", seconds)
    gap = max(b - a for a, b in zip(ticks, [*ticks[1:], time.monotonic()]))
    if gap < seconds / 2:
        break
print(isinstance(late, BadRequest) and "took longer" in str(late), gap < seconds / 2)
"""


def test_in_a_patched_process_nothing_else_stands_still():
    done = subprocess.run([sys.executable, "-c", IN_GEVENT], capture_output=True, text=True, timeout=100,
                          cwd=Path(fetch.__file__).parents[1])  # fmt: skip
    assert (done.stdout, done.stderr) == ("b'hello'\nTrue True\n", "")
