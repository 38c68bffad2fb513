"""gunicorn's gevent worker, and what the gateway asks of one beyond it: graceful stops, JSON errors, rare collections,
and a shorter way from a request to its answer.

Only gunicorn, gevent and `framing` are imported here: the worker patches sockets and locks after it has forked, and
what was imported before would keep the blocking ones.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import socket
import ssl
import sys
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import gevent
from gevent.util import wrap_errors
from gunicorn import util
from gunicorn.errors import AppImportError
from gunicorn.http import RequestParser, errors
from gunicorn.workers.ggevent import GeventWorker

from kirogw.framing import HOLD, Answer, Framing

AGAIN: Final = 2.0  # seconds between two tries of a worker that can not begin
LONG: Final = 3600  # seconds for the streams of a worker that SIGHUP has replaced
LINGER: Final = 2.0  # seconds for which a refused client may go on sending without a pause
MOST: Final = 1024 * 1024  # bytes of that which are read
PIECE: Final = 65536
GONE: Final = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)  # how a client's leaving looks
MALFORMED: Final = (400, "the HTTP request can not be read")
REFUSALS: Final[dict[type[Exception], tuple[int, str]]] = {
    errors.LimitRequestLine: (414, "the request's first line is too long"),
    errors.LimitRequestHeaders: (431, "the request's headers are too many or too long"),
    errors.ExpectationFailed: (417, "the only expectation that can be met is 100-continue"),
    errors.UnsupportedTransferCoding: (501, "the transfer coding is unknown; send the body chunked or with its length"),
}
PLAIN: Final = {"StoreFailed", "Unsealable", "WrongSetting"}  # their message is a line for people
REASONS: Final = {
    400: "Bad Request", 414: "URI Too Long", 417: "Expectation Failed", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented",
}  # fmt: skip


class _Looked:
    """gunicorn's settings, each looked up once: its parser asks for twenty with each request."""

    graceful_timeout: float

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cfg, name)
        setattr(self, name, value)
        return value


class Worker(GeventWorker):  # type: ignore[misc]
    """`stopping`, set by gunicorn.conf.py, is shared with the arbiter and all workers: its first byte says that all is
    to stop, and not only this worker, which SIGHUP replaces; its second that some worker has begun.
    """

    stopping: Any = bytearray(2)
    alive: bool
    cfg: Any

    def init_process(self) -> None:
        """Begins here, in its own process: the arbiter has made an `Outset`."""
        self.cfg = _Looked(self.cfg)
        self.worker_connections = self.cfg.worker_connections
        self._busy: dict[Any, bool] = {}  # connections, and whether there is a request on each just now
        self._grace = self.cfg.graceful_timeout
        self._gateway: Any = None
        self._framing = Framing(multiprocess=self.cfg.workers > 1)
        super().init_process()

    def load_wsgi(self) -> None:
        gevent.config.track_greenlet_tree = False  # who began each greenlet: 400 bytes a stream, and nobody asks
        _without_guesses()
        while not self._loaded():
            self.notify()
            time.sleep(AGAIN)
            if not self.alive:
                sys.exit(0)
        self._gateway = self.wsgi.extensions["kirogw"]
        importlib.import_module("kirogw.store").commit_aside(gevent.get_hub().threadpool.apply)
        importlib.import_module("kirogw.transport").connect_apart(_apart)
        _rare_collections()
        if self.stopping[0]:  # the signal came before there was a handler for it
            self.alive = False

    def _loaded(self) -> bool:
        """Where others have begun, it waits until it can: if it gave up, gunicorn would stop them all, and they go on
        with what they have in memory. Where none has, it stops the arbiter, with one line.
        """
        try:
            super().load_wsgi()
        except Exception as error:
            if type(error).__name__ not in PLAIN:
                raise
            if not self.stopping[1]:
                raise AppImportError(f"kirogw: {error}") from error
            self.log.error("a new worker waits: %s", error)
            return False
        self.stopping[1] = 1
        return True

    def run(self) -> None:
        self._gateway.start()
        try:
            super().run()
        finally:
            self._gateway.close()

    # stopping

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: running answers get their time, and when it is over the rest are told so in-band.

        Connections on which nothing is asked are closed at once: nobody needs to wait for their clients.
        """
        self.cfg.graceful_timeout = self._grace if self.stopping[0] else LONG
        super().handle_exit(sig, frame)
        gevent.spawn(self._leave)  # which waits, and that is not allowed here: this may run in the event loop itself

    def _leave(self) -> None:
        for connection in [connection for connection, busy in self._busy.items() if not busy]:
            _deaf(connection)
        if self.stopping[0] and self._gateway:
            self._gateway.stop(self._gateway.settings.shutdown_grace)

    # requests and answers

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """All requests of one connection. gunicorn's parser reads them; the rest of its way is made for any application
        and for protocols that are not wanted here, and takes twice the time. (docs/performance.md)
        """
        self._busy[client], req = False, None
        try:
            server, parser = listener.getsockname(), RequestParser(self.cfg, client, addr)
            while req := self._next(parser):
                self.handle_request(server, req, client, addr)
        except (errors.NoMoreData, StopIteration, gevent.GreenletExit):
            pass  # the client has gone, the connection is to be closed, or all is
        except OSError as error:
            if error.errno not in GONE and not isinstance(error, ssl.SSLError):
                self.log.exception("a connection broke")
        except BaseException as error:
            self.handle_error(req, client, addr, error)
        finally:
            del self._busy[client]
            util.close(client)

    def _next(self, parser: Any) -> Any:
        """The next request; None when the client has asked nothing for so long. Without a keep-alive nobody waits."""
        with gevent.Timeout(self.cfg.keepalive or None, False):
            return next(parser)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Raises StopIteration when the connection is to be closed."""
        self._busy[sock] = True
        answer = Answer(req, sock, self._framing.date(), closes=not self._goes_on())
        try:
            self._answered(answer, req, self._framing.environ(req, sock, addr, listener_name))
        except (gevent.GreenletExit, SystemExit):  # its time is over
            answer.closes = True
        except Exception as error:
            with contextlib.suppress(OSError):
                answer.release()  # what is held is whole
            if isinstance(error, OSError) or not answer.begun:
                raise
            self.log.exception("an answer was broken off")
            answer.closes = True
        finally:
            self._busy[sock] = False
            if not self.alive:
                _deaf(sock)
        if answer.closes:
            raise StopIteration

    def _answered(self, answer: Answer, req: Any, environ: dict[str, Any]) -> None:
        """The environment is let go before the answer's body, which may take long; the end leaves when all is done."""
        began = datetime.now()
        environ[HOLD] = answer.hold
        told = environ if self.log.access_log_enabled or self.cfg.statsd_host else None
        if told is None and req.version > (1, 0):  # else they tell at the end whether the connection goes on
            req.headers = []
        body = self.wsgi(environ, answer.start_response)
        del environ
        try:
            try:
                for data in body:
                    answer.write(data)
                    del data  # the next may be long in coming
            finally:
                if hasattr(body, "close"):
                    body.close()
            answer.close()
        finally:
            if told is not None:
                self.log.access(answer, req, told, datetime.now() - began)

    def _goes_on(self) -> bool:
        """Whether there may be another request on the connection: this is not the worker's last, and there is time."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("the worker has answered as many requests as it may")
            self.alive = False
        return self.alive and bool(self.cfg.keepalive)

    # what is no request

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What never reached the application. Nothing of the request is logged or repeated: it may hold a key."""
        if isinstance(exc, errors.ParseException) and not isinstance(exc, errors.ConfigurationProblem):
            status, said = next((told for kind, told in REFUSALS.items() if isinstance(exc, kind)), MALFORMED)
            self.log.warning("a request was refused: %s (%s)", said, type(exc).__name__)
        else:
            status, said = 500, "the gateway itself failed; the log has the details"
            self.log.error("a fault of the gateway itself, before or behind the application", exc_info=exc)
        with contextlib.suppress(OSError):
            client.sendall(_refusal(status, said))
            _hear_out(client)


def _refusal(status: int, said: str) -> bytes:
    """An error that both APIs' clients can read: nobody knows yet, or any more, which one was called."""
    kind = "api_error" if status == 500 else "invalid_request_error"
    body = json.dumps({"type": "error", "error": {"type": kind, "message": said, "param": None, "code": None}}).encode()
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _hear_out(connection: Any) -> None:
    """To close while the other side still sends would reset the connection, and take the error away from it."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    left = MOST
    while left > 0 and (data := connection.recv(PIECE)):
        left -= len(data)


def _deaf(connection: Any) -> None:
    """A request that lies there already is still read. gevent's own shutdown would make whoever reads fail instead of
    finding the end, and gunicorn would log that with a traceback.
    """
    with contextlib.suppress(OSError):
        getattr(connection, "_sock", connection).shutdown(socket.SHUT_RD)


def _apart(function: Callable[[], object]) -> object:
    """What it returns or raises in a greenlet of its own."""
    own = gevent.spawn(wrap_errors(BaseException, function))  # gevent would print those that nobody catches there
    done = None
    try:
        done = own.get()
        if isinstance(done, BaseException):
            raise done
        return done
    finally:
        own.kill(block=False)  # whoever asked is stopped
        own = done = None  # what is raised holds this frame: no cycle


def _without_guesses() -> None:
    """requests would load 2 MB of tables to guess the charset of a text that tells none. Nothing here reads such texts,
    and requests does without those packages, though not silently.
    """
    for name in ("charset_normalizer", "chardet"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # what import takes for a package that is not there
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection")


def _rare_collections() -> None:
    """Thousands of streams are hundreds of thousands of living objects; to look through them all for cycles stops
    every stream for a tenth of a second. Few cycles are made: it is done seldom, and never for what was there first.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
