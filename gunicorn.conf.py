"""gunicorn's settings: `gunicorn` alone starts the gateway from a checkout, and `python kirogw.py` uses this file too.

Only kirogw.settings is imported here, which imports nothing but small parts of the standard library: the worker patches
sockets and locks for gevent after it has forked, and what was imported before then would keep the blocking ones.
"""

import contextlib
import gc
import mmap
import resource
import signal
import socket
import sys

from kirogw.settings import WrongSetting, load

try:
    _settings = load()
except WrongSetting as error:
    sys.exit(f"kirogw: {error}")

wsgi_app = "kirogw:create_app()"
_host = f"[{_settings.server_host}]" if ":" in _settings.server_host else _settings.server_host
bind = f"{_host}:{_settings.server_port}"
workers = _settings.server_workers
worker_class = "gevent"
worker_connections = 20_000
preload_app = False
keepalive = 75
timeout = 120
graceful_timeout = int(_settings.shutdown_grace) + 5
loglevel = "warning" if _settings.log_level == "info" else _settings.log_level
proc_name = "kirogw"
control_socket_disable = True  # it would lie in the user's home, for all gunicorns of the user


FILES = 10_240  # what macOS allows although it says that there is no limit
LONG = 3600  # seconds for the streams of a worker that SIGHUP has replaced


def on_starting(server):
    """SIGHUP replaces the workers; with a wrong setting it does nothing. They can see whether all is to stop."""
    reload, stop = server.reload, server.stop
    server.stopping = mmap.mmap(-1, 1)  # shared with the workers

    def careful_reload():
        try:
            load()
        except WrongSetting as error:
            server.log.error("the settings stay as they were: %s", error)
        else:
            reload()

    def telling_stop(graceful=True):
        server.stopping[0] = 1
        stop(graceful)

    server.reload, server.stop = careful_reload, telling_stop


def post_fork(server, worker):
    worker.stopping = server.stopping


def post_worker_init(worker):
    """SIGTERM: running answers get their time, and when it is over the rest are told so in-band.

    Connections on which nothing is asked are closed at once: nobody needs to wait for their clients.
    """
    import gevent  # not before the worker has patched

    _rare_collections()
    gateway, theirs = worker.wsgi.extensions["kirogw"], signal.getsignal(signal.SIGTERM)
    connections = _watch(worker)

    def leave():
        for connection in [connection for connection, busy in connections.items() if not busy]:
            _close(connection)
        if worker.stopping[0]:
            gateway.stop(_settings.shutdown_grace)

    def handle(number, frame):
        worker.cfg.set("graceful_timeout", graceful_timeout if worker.stopping[0] else LONG)
        theirs(number, frame)
        gevent.spawn(leave)  # which waits, and that is not allowed here: this may run in the event loop itself

    signal.signal(signal.SIGTERM, handle)
    if worker.stopping[0]:  # the signal came before there was a handler for it
        worker.alive = False


def _watch(worker):
    """The worker's connections, and whether there is a request on each just now."""
    connections, serve, answer = {}, worker.handle, worker.handle_request

    def handle(listener, client, addr):
        connections[client] = False
        try:
            serve(listener, client, addr)
        finally:
            del connections[client]

    def handle_request(listener_name, req, sock, addr):
        connections[sock] = True
        try:
            return answer(listener_name, req, sock, addr)
        finally:
            connections[sock] = False
            if not worker.alive:
                _close(sock)

    worker.handle, worker.handle_request = handle, handle_request
    return connections


def _close(connection):
    """A request that lies there already is still read."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _rare_collections():
    """Thousands of streams are hundreds of thousands of living objects; to look through them all for cycles stops
    every stream for a tenth of a second. Few cycles are made: it is done seldom, and never for what was there first.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)


def _more_files():
    """Each stream holds two sockets; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for soft in (hard, FILES):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            break


_more_files()
