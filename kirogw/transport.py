"""The network: the only module that knows requests and urllib3.

requests gives us what is hard: proxies, TLS, certificate bundles, connection pools. The answer's bytes are read one
layer down, from the socket of urllib3's connection, for three reasons (figures in docs/performance.md): a read that
times out is harmless there, so heartbeats need no second thread, even while the upstream has not sent its head yet;
whoever waits can close; and `http.client` costs more per small chunk than all our conversion.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.utils
import urllib3
from urllib3.connectionpool import HTTPConnectionPool

from kirogw.errors import UpstreamFailed
from kirogw.flow import http1
from kirogw.settings import Settings
from kirogw.wire import Reply, Request

READ: Final = 65536
WHOLE_LIMIT: Final = 64 * 1024 * 1024  # bytes of an answer that is read whole
JOINED: Final = 16_384  # bytes of a body that is copied behind its head
WRITE: Final = 262_144  # bytes that a connection must take within CONNECT_TIMEOUT
IDLE: Final = 512  # connections to one origin that are kept
IDLE_SECONDS: Final = 60.0  # for which one is kept; most servers close it by then
SURE: Final = 1.0  # seconds for which an idle connection is not looked at before it is used
WAITS: Final = (TimeoutError, socket.timeout)


def connect_apart(run: Callable[[Callable[[], object]], object] | None) -> None:
    """From now on each new connection is made within `run(function)`, which returns and raises what the function does.
    A greenlet keeps the pages of its deepest moment for as long as it lives, and that is this one; where streams are
    greenlets, it is to be another's. None: as at first, where it is called.
    """
    global _apart  # one for the process, like the loop
    _apart = run or _here


def _here(function: Callable[[], object]) -> object:
    return function()


_apart: Callable[[Callable[[], object]], object] = _here


class Lost(Exception):
    """A call came to no whole answer. `kind`: connect, proxy, reset, timeout, damaged or cut."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


class _Pending:
    """What urllib3 takes for the response: it only looks at these members, and the head has not come yet."""

    status = 0
    headers: Final[dict[str, str]] = {}
    length_remaining = None
    version_string = "HTTP/1.1"
    retries: Any = None
    _connection: Any = None
    _pool: Any = None


class _Direct:
    """Mixed into a urllib3 connection: the request leaves in one write, and the answer is left to Exchange.

    Only a large one takes several: a copy of it would take memory, and the time limit of a write is one for all bytes.
    """

    def request(self: Any, method: str, url: str, body: bytes | None = None, headers: Any = None, **_: Any) -> None:
        if self.sock is None:
            self.connect()
        else:
            self.sock.settimeout(self.timeout)
        lines = [f"{method} {url} HTTP/1.1"]
        if "Host" not in headers:
            lines.append(f"Host: {_host_header(self)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method not in ("GET", "HEAD", "DELETE"):
            lines.append(f"Content-Length: {len(body or b'')}")
        head = "\r\n".join(lines)
        if not head.count("\r") == head.count("\n") == len(lines) - 1:
            raise ValueError("a header holds a line break")
        body, whole = body or b"", head.encode("latin-1") + b"\r\n\r\n"
        for data in [whole + body] if len(body) <= JOINED else [whole, body]:
            at = self.sock.send(data) if len(data) <= WRITE else 0  # gevent's sendall asks for the buffer's size first
            for begin in range(at, len(data), WRITE):
                self.sock.sendall(memoryview(data)[begin : begin + WRITE])

    def getresponse(self) -> _Pending:
        return _Pending()


def _host_header(connection: Any) -> str:
    host = connection.host if ":" not in connection.host else f"[{connection.host}]"
    return host if connection.port in (None, connection.default_port) else f"{host}:{connection.port}"


class Exchange:
    """One call on its way. Whoever opened it closes it, whatever happened.

    One thread at a time reads; `abort` may be called by any.
    """

    __slots__ = ("_connection", "_early", "_response", "_route", "_sock", "_wait", "answered", "reused")

    def __init__(self, route: _Route, connection: Any, *, reused: bool) -> None:
        self._route, self._connection = route, connection
        self._sock: Any = connection.sock
        self.reused = reused
        self._response = http1.Response()
        self._early = b""  # of the body, which came with the end of the head
        self._wait: float | None = None
        self.answered = False  # has a byte of the answer come

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> dict[str, str]:
        return self._response.headers

    def head(self, seconds: float) -> bool:
        """Whether the answer's head is here; waits up to `seconds` for it to go on. Raises Lost."""
        while not self._response.head_done:
            body = self._receive(seconds)
            if body is None:
                return False
            self._early = body
        return True

    def read(self, seconds: float) -> bytes | None:
        """The next bytes of the body, as one read brought them; b"" at its end; None if `seconds` passed without any.

        Raises Lost when the connection broke or the answer is cut short.
        """
        if early := self._early:
            self._early = b""
            return early
        while not self._response.done:
            body = self._receive(seconds)
            if body is None or body:
                return body
        return b""

    def _receive(self, seconds: float) -> bytes | None:
        try:
            if seconds != self._wait:
                self._sock.settimeout(seconds)
                self._wait = seconds
            data = self._sock.recv(READ)
        except WAITS:
            return None
        except OSError as error:
            raise Lost("reset", type(error).__name__) from error
        try:
            if data:
                self.answered = True
                return self._response.receive(data)
            self._response.end()
        except http1.CutShort as error:
            raise Lost("cut" if self.answered else "reset", str(error)) from error
        except http1.BadResponse as error:
            raise Lost("damaged", str(error)) from error
        return b""

    def ended(self) -> bool:
        """Whether the whole body has been read."""
        return self._response.done and not self._early

    def whole(self, seconds: float) -> bytes:
        """The rest of the body at once. Raises Lost, also when there is silence for `seconds` or too much."""
        pieces, size = [], 0
        while data := self.read(seconds):
            pieces.append(data)
            size += len(data)
            if size > WHOLE_LIMIT:
                raise Lost("damaged", "the answer is too large")
        if data is None:
            raise Lost("timeout", "the answer stopped in the middle")
        return b"".join(pieces)

    def settle(self, seconds: float) -> None:
        """Read what still comes of an answer of which nothing more is wanted, up to about `seconds`: a connection that
        is read to its end can be used again.
        """
        if self.ended():
            return
        deadline = time.monotonic() + seconds
        with contextlib.suppress(Lost):
            while not self.ended() and (left := deadline - time.monotonic()) > 0 and self.read(left):
                pass

    def abort(self) -> None:
        """Wake whoever reads: it finds the connection at its end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else close it. May be called twice."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._response.reusable and len(self._route.idle) < IDLE:
            self._route.keep(connection)
        else:
            self.abort()
            connection.close()


@dataclass(slots=True)
class _Route:
    """How to reach an origin, and the connections to it that wait for their next request, with since when they do."""

    pool: HTTPConnectionPool
    absolute: bool  # a plain HTTP proxy wants the whole URL
    idle: list[tuple[Any, float]] = field(default_factory=list)

    def keep(self, connection: Any) -> None:
        """The last one used is the next, so after a burst the first of the list are those that nobody needs."""
        now = time.monotonic()
        self.idle.append((connection, now))
        with contextlib.suppress(IndexError):  # another thread has taken what there was
            while now - self.idle[0][1] > IDLE_SECONDS:
                self.idle.pop(0)[0].close()

    def kept(self) -> Any:
        """The connection that was used last, if its peer has not closed it; None when there is none."""
        while self.idle:
            try:
                connection, since = self.idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < SURE or connection.is_connected:
                return connection
            connection.close()
        return None


class Transport:
    """All calls of one process to upstreams. Safe to use from any number of threads or greenlets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._adapter = requests.adapters.HTTPAdapter(pool_connections=64, pool_maxsize=512)
        self._routes: dict[tuple[str, str], _Route] = {}
        self._lock = threading.Lock()

    def open(self, request: Request, *, fresh: bool = False) -> Exchange:
        """Send the request whole; the answer is read from what this returns. `fresh`: over a new connection, since of
        the kept ones one was found dead. Raises Lost.
        """
        parts = urlsplit(request.url)
        route = self._routes.get((parts.scheme, parts.netloc)) or self._find(parts.scheme, parts.netloc)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        target = f"{parts.scheme}://{parts.netloc}{path}" if route.absolute else path
        try:
            if not fresh and (connection := route.kept()):
                return self._again(request, target, route, connection)
            pending: Any = _apart(functools.partial(
                route.pool.urlopen, request.method, target, body=request.body, headers=request.headers, redirect=False,
                retries=False, assert_same_host=False, preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=self._settings.connect_timeout),
            ))  # fmt: skip
            return Exchange(route, pending._connection, reused=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _our_error(error) from error

    def _again(self, request: Request, target: str, route: _Route, connection: Any) -> Exchange:
        """The request on a connection that carried one before. If it died meanwhile, reading the answer will tell."""
        connection.timeout = self._settings.connect_timeout
        with contextlib.suppress(ConnectionError):
            connection.request(request.method, target, request.body, request.headers)
        return Exchange(route, connection, reused=True)

    def post(self, request: Request) -> Reply:
        """A whole call for the sign-in services. Raises UpstreamFailed."""
        try:
            return self.call(request)
        except Lost as error:
            raise UpstreamFailed(f"the sign-in service can not be reached ({error}); try again") from error

    def call(self, request: Request, seconds: float = 60.0) -> Reply:
        """A whole call. `seconds` is the longest silence. Raises Lost. A kept connection that died is replaced once."""
        for fresh in (False, True):
            exchange = self.open(request, fresh=fresh)
            try:
                if not exchange.head(seconds):
                    raise Lost("timeout", "no answer in time")
                return Reply(exchange.status, exchange.headers, exchange.whole(seconds))
            except Lost:
                if not exchange.reused or exchange.answered:
                    raise
            finally:
                exchange.close()
        raise Lost("reset", "the connection was closed twice")

    def proxy(self, url: str) -> str:
        """The proxy through which `url` is reached, with its password; "" for none."""
        return requests.utils.select_proxy(url, self._proxies(url)) or ""

    def close(self) -> None:
        self._adapter.close()

    def _find(self, scheme: str, netloc: str) -> _Route:
        """The pool for an origin. Proxy and certificate settings are looked up here, once, not for each call."""
        origin = f"{scheme}://{netloc}/"
        proxies = self._proxies(origin)
        verify = self._settings.ca_bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH
        prepared = requests.Request("GET", origin).prepare()
        with self._lock:
            if route := self._routes.get((scheme, netloc)):  # another thread was faster
                return route
            adapter: Any = self._adapter
            pool = adapter.get_connection_with_tls_context(prepared, verify, proxies=proxies)
            adapter.cert_verify(pool, origin, verify, None)
            if not issubclass(pool.ConnectionCls, _Direct):
                pool.ConnectionCls = type("Direct", (_Direct, pool.ConnectionCls), {})
            route = _Route(pool, self._adapter.request_url(prepared, proxies).startswith("http"))
            self._routes[(scheme, netloc)] = route
        return route

    def _proxies(self, origin: str) -> dict[str, str]:
        if self._settings.vpn_proxy_url:
            if requests.utils.should_bypass_proxies(origin, no_proxy=None):
                return {}
            return {"http": self._settings.vpn_proxy_url, "https": self._settings.vpn_proxy_url}
        return dict(requests.utils.get_environ_proxies(origin))


_LOST: Final[tuple[tuple[type | tuple[type, ...], str, str], ...]] = (
    (urllib3.exceptions.ProxyError, "proxy", "the proxy can not be reached or refused"),
    (urllib3.exceptions.NameResolutionError, "connect", "the name of the host was not found"),
    (urllib3.exceptions.SSLError, "connect", "the TLS handshake failed: a proxy, or a certificate that is not trusted"),
    ((urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError), "connect",
     "no connection: refused, or no answer in time"),
)  # fmt: skip


def _our_error(error: Exception) -> Lost:
    """Its own text may hold a proxy's password, so only its kind is told."""
    for foreign, kind, words in _LOST:
        if isinstance(error, foreign):
            return Lost(kind, words)
    return Lost("reset", type(error).__name__)
