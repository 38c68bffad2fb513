"""The second door to the network: what a client names by URL, fetched without lending it our place in the network.

A client must not reach through us what only we can reach. So a name is resolved once, every address that it has is
checked, the connection goes to a checked address (the name stays in `Host` and in TLS), and each redirect starts over.
Through a proxy it is the same: the proxy is told the address, in a tunnel, so it does not look the name up again.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3.exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection, SOCKSProxyManager
from urllib3.util import make_headers, parse_url

from kirogw.errors import BadRequest
from kirogw.settings import Settings

T = TypeVar("T")

HOPS: Final = 5
URL_LENGTH: Final = 8192
ADDRESSES: Final = 3  # of a name; more are not tried
CONNECT: Final = 5.0  # seconds for each of them
CHUNK: Final = 65536
AGENT: Final = "kirogw"
KEEP_BYTES: Final = 8 * 1024 * 1024  # of fetched files together
KEEP_SECONDS: Final = 600.0  # a client sends the same URLs again with each turn
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
WEB_PORTS: Final = frozenset({80, 443})
FIRST_FREE_PORT: Final = 1024  # below it are other services than the web
REFUSED: Final = (
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's host, though the address is a public one
    # special blocks that older versions of `ipaddress` take for public ones (IANA's special-purpose registries)
    ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("192.88.99.0/24"), ipaddress.ip_network("100::/64"),
    ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("5f00::/16"),
)  # fmt: skip
MAPPED: Final = ipaddress.ip_network("64:ff9b::/96")  # NAT64 (RFC 6052): the last 32 bits are an IPv4 address

FAILURES: Final = (OSError, ValueError, HTTPException, urllib3.exceptions.HTTPError)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]
"""The addresses of a name, best first. Raises OSError when it has none."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`media` is what the server says it is, in lower case and without parameters; "" if it does not say."""

    data: bytes
    media: str


def resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def is_public(address: str) -> bool:
    """Whether anybody on the internet could reach it as well as we can."""
    try:
        ip: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in MAPPED else None):
            return is_public(str(inner))
        if ip.is_site_local or ip.sixtofour or ip.teredo:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in net for net in REFUSED))


class Fetcher:
    """Fetches URLs within the settings' limits. Safe for many threads."""

    def __init__(self, settings: Settings, resolve: Resolve = resolve) -> None:
        self._settings, self._resolve = settings, resolve
        self._kept: OrderedDict[str, tuple[float, Fetched]] = OrderedDict()
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    @property
    def allowed(self) -> bool:
        return self._settings.fetch_image_urls

    def all(self, urls: Iterable[str]) -> dict[str, Fetched | BadRequest]:
        """Each URL's content, or why there is none. All at once, and within the time limit of one."""
        found: dict[str, Fetched | BadRequest] = {}
        missing: list[str] = []
        for url in dict.fromkeys(urls):
            if kept := self._look_up(url):
                found[url] = kept
            else:
                missing.append(url)
        found |= self._together(missing)
        for url in missing:
            if isinstance(fresh := found[url], Fetched):
                self._keep(url, fresh)
        return found

    def _together(self, urls: list[str]) -> dict[str, Fetched | BadRequest]:
        """Threads, because neither a name server nor a handshake that drips in can be given a time limit otherwise.

        A head that drips in ends with its connection, which is shut when the time is over.
        """
        opened: list[HTTPConnection] = []
        done: queue.SimpleQueue[tuple[str, Fetched | BadRequest]] = queue.SimpleQueue()
        limit = self._settings.fetch_timeout
        deadline = time.monotonic() + limit
        for url in urls:
            work = functools.partial(self._tried, url, deadline, opened)
            threading.Thread(target=_put, args=(done, url, work), daemon=True, name="fetch").start()
        found: dict[str, Fetched | BadRequest] = {}
        while len(found) < len(urls):
            try:
                url, result = done.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                break
            found[url] = result
        for connection in opened:
            _shut(connection)
        return {url: found.get(url) or _late(url, limit) for url in urls}

    def _tried(self, url: str, deadline: float, opened: list[HTTPConnection]) -> Fetched | BadRequest:
        try:
            return self._fetch(url, deadline, opened)
        except BadRequest as error:
            return error
        except TimeoutError:
            return _late(url, self._settings.fetch_timeout)
        except FAILURES as error:  # whose own texts may hold a proxy's password
            return BadRequest(f"{_shown(url)} could not be fetched ({type(error).__name__}); send the file itself")

    def _fetch(self, url: str, deadline: float, opened: list[HTTPConnection]) -> Fetched:
        for _ in range(HOPS + 1):
            parts = _parsed(url)
            connection, response = self._asked(parts, deadline, opened)
            try:
                if response.status not in REDIRECTS:
                    return self._read(url, connection, response, deadline)
                url = urljoin(url, response.headers.get("location", ""))
            finally:
                connection.close()
        raise BadRequest(f"{_shown(url)} redirects too often; send the file itself")

    def _asked(self, parts: SplitResult, deadline: float,
               opened: list[HTTPConnection]) -> tuple[HTTPConnection, Any]:  # fmt: skip
        """The request sent, to the first of the name's addresses that answers, and the head of the reply."""
        host, port = _host(parts), parts.port or (443 if parts.scheme == "https" else 80)
        path = parse_url(parts.geturl()).request_uri
        headers = {"Host": _netloc(parts, host), "User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity",
                   "Connection": "close"}  # fmt: skip
        addresses = self._addresses(parts, host, port)
        for n, address in enumerate(addresses):
            connection = self._connection(parts.scheme, host, address, port, min(CONNECT, _left(deadline)))
            opened.append(connection)
            try:
                connection.request("GET", path, headers=headers, preload_content=False)
                connection.timeout = _left(deadline)
                return connection, connection.getresponse()
            except FAILURES:
                connection.close()
                if n == len(addresses) - 1:
                    raise
        raise BadRequest(f"{_shown(parts.geturl())}: the host has no address; check the URL")

    def _addresses(self, parts: SplitResult, host: str, port: int) -> list[str]:
        shown = _shown(parts.geturl())
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise BadRequest(f"{shown}: the host was not found; check the URL") from error
        if not self._settings.fetch_private and not all(map(is_public, addresses)):
            raise BadRequest(f"{shown} does not lie at a public address; send the file itself")
        return addresses[:ADDRESSES]

    def _connection(self, scheme: str, host: str, address: str, port: int, seconds: float) -> HTTPConnection:
        """A connection, not yet open, that goes to `address` and takes nobody but `host` for its peer."""
        options: dict[str, Any] = {"timeout": seconds}
        if scheme == "https":
            options |= {"ssl_context": self._tls(), "server_hostname": host}
        kinds = {"http": HTTPConnection, "https": HTTPSConnection}
        proxy = self._proxy(scheme, host)
        if not proxy:
            return kinds[scheme](address, port, **options)
        if proxy.startswith("socks"):
            socks = SOCKSProxyManager(proxy).connection_pool_kw["_socks_options"]
            socks_kinds = {"http": SOCKSConnection, "https": SOCKSHTTPSConnection}
            return socks_kinds[scheme](socks, address, port, **options)
        return self._tunnel(kinds[scheme], proxy, address, port, options)

    def _tunnel(self, kind: type[HTTPConnection], proxy: str, address: str, port: int,
                options: dict[str, Any]) -> HTTPConnection:  # fmt: skip
        where = parse_url(proxy)
        if where.scheme == "https" and kind is HTTPConnection:
            raise BadRequest("an http: URL can not be fetched through the gateway's proxy; use an https: URL")
        config = ProxyConfig(self._tls(), False, None, None)
        connection = kind(where.host or "", where.port or (443 if where.scheme == "https" else 80), proxy=where,
                          proxy_config=config, **options)  # fmt: skip
        user, password = where.auth_decoded
        secret = make_headers(proxy_basic_auth=f"{user}:{password or ''}") if user else {}
        connection.set_tunnel(address, port, secret, scheme=where.scheme or "http")
        return connection

    def _proxy(self, scheme: str, host: str) -> str:
        if proxy_bypass(host):
            return ""
        environ = getproxies()
        return self._settings.vpn_proxy_url or environ.get(scheme) or environ.get("all") or ""

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._settings.ca_bundle or certifi.where())
        return self._context

    def _read(self, url: str, connection: HTTPConnection, response: Any, deadline: float) -> Fetched:
        if response.status != 200:
            raise BadRequest(f"{_shown(url)} was answered with status {response.status}; send the file itself")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise BadRequest(f"{_shown(url)} came compressed, though that was not asked for; send the file itself")
        limit = self._settings.fetch_max_bytes
        data = bytearray()
        while chunk := response.read1(CHUNK, decode_content=False):
            data += chunk
            if len(data) > limit:
                raise BadRequest(f"{_shown(url)} is larger than {limit:,} bytes; send a smaller file")
            left = _left(deadline)
            if connection.sock is not None:  # it is the response's alone once that is known to be the last
                connection.sock.settimeout(left)
        return Fetched(bytes(data), response.headers.get("content-type", "").partition(";")[0].strip().lower())

    def _look_up(self, url: str) -> Fetched | None:
        with self._lock:
            when, kept = self._kept.get(url, (0.0, None))
            if kept and time.monotonic() - when > KEEP_SECONDS:
                del self._kept[url]
                return None
            if kept:
                self._kept.move_to_end(url)
            return kept

    def _keep(self, url: str, fetched: Fetched) -> None:
        if len(fetched.data) > KEEP_BYTES // 2:
            return
        with self._lock:
            self._kept[url] = time.monotonic(), fetched
            while sum(len(kept.data) for _, kept in self._kept.values()) > KEEP_BYTES:
                self._kept.popitem(last=False)


def _put(done: queue.SimpleQueue[tuple[str, T]], url: str, work: Callable[[], T]) -> None:
    done.put((url, work()))


def _shut(connection: HTTPConnection) -> None:
    """Wake whoever reads from it, in another thread; one that is closed already has no socket."""
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _late(url: str, limit: float) -> BadRequest:
    return BadRequest(f"{_shown(url)} took longer than {limit:g} seconds; send the file itself")


def _shown(url: str) -> str:
    """A URL as it may stand in a log: without its query, which may be a signature."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]
    except ValueError:
        return "the URL"


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequest("the URL is not valid; check it") from error
    if len(url) > URL_LENGTH or parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"{_shown(url)} is no http or https URL with a host; send the file itself")
    if parts.username is not None or parts.password is not None:
        raise BadRequest(f"{_shown(url)}: a URL with a user name or password is not fetched; send the file itself")
    if port is not None and port not in WEB_PORTS and port < FIRST_FREE_PORT:
        raise BadRequest(f"{_shown(url)}: port {port} does not belong to the web; send the file itself")
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise BadRequest("the host of the URL is not valid; check it") from error


def _netloc(parts: SplitResult, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if parts.port is None else f"{name}:{parts.port}"
