"""gunicorn's settings: `gunicorn` alone starts the gateway from a checkout, and `python kirogw.py` uses this file too.

Only kirogw.settings is imported here, which imports nothing but small parts of the standard library: the worker patches
sockets and locks for gevent after it has forked, and what was imported before then would keep the blocking ones.
"""

import resource
import signal

from kirogw.settings import load

_settings = load()

wsgi_app = "kirogw:create_app()"
bind = f"{_settings.server_host}:{_settings.server_port}"
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


def post_worker_init(worker):
    """SIGTERM: running answers get their time, and just before it is over the rest are told so in-band."""
    gateway = worker.wsgi.extensions["kirogw"]
    ours, theirs = gateway.stop, signal.getsignal(signal.SIGTERM)

    def handle(number, frame):
        ours(_settings.shutdown_grace)
        theirs(number, frame)

    signal.signal(signal.SIGTERM, handle)


def _more_files():
    """Each stream holds two sockets; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_more_files()
