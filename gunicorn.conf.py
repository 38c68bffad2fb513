"""gunicorn's settings: `gunicorn` alone starts the gateway from a checkout, and `python kirogw.py` uses this file too.

Only kirogw.settings is imported here, which imports nothing but small parts of the standard library: the worker patches
sockets and locks for gevent after it has forked, and what was imported before then would keep the blocking ones.
"""

import contextlib
import gc
import mmap
import os
import resource
import subprocess
import sys
from pathlib import Path

from kirogw.settings import WrongSetting, load

try:
    _settings = load()
except WrongSetting as error:
    sys.exit(f"kirogw: {error}")

wsgi_app = "kirogw:create_app()"
_host = f"[{_settings.server_host}]" if ":" in _settings.server_host else _settings.server_host
bind = f"{_host}:{_settings.server_port}"
workers = _settings.server_workers
worker_class = "kirogw.outset.Outset"
worker_connections = 20_000
preload_app = False
keepalive = 75
timeout = 120
graceful_timeout = int(_settings.shutdown_grace) + 5
loglevel = "warning" if _settings.log_level == "info" else _settings.log_level
proc_name = "kirogw"
control_socket_disable = True  # it would lie in the user's home, for all gunicorns of the user


LOOK = "from kirogw import settings, store; store.open_store(settings.load()).mark(['account']); print('good')"
FILES = 10_240  # what macOS allows although it says that there is no limit


def on_starting(server):
    """SIGHUP replaces the workers; with a wrong setting it does nothing. They can see whether all is to stop."""
    reload, stop = server.reload, server.stop
    server.stopping = mmap.mmap(-1, 2)  # shared with the workers

    def careful_reload():
        try:
            load()
        except WrongSetting as error:
            server.log.error("the settings stay as they were: %s", error)
        else:
            if fault := _store_fault():
                server.log.error("the workers stay as they are, since new ones could not begin: %s", fault)
            else:
                reload()

    def telling_stop(graceful=True):
        server.stopping[0] = 1
        stop(graceful)

    server.reload, server.stop = careful_reload, telling_stop


def _store_fault():
    """Why the store can not be used, "" if it can. In a process of its own: nothing else may be imported here."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH")]))
    with contextlib.suppress(subprocess.TimeoutExpired):
        asked = subprocess.run([sys.executable, "-c", LOOK], env={**os.environ, "PYTHONPATH": path},  # noqa: S603
                               capture_output=True, text=True, timeout=30)  # fmt: skip
        # by what it says, since gunicorn may take its status
        return "" if "good" in asked.stdout else asked.stderr.strip().rpartition("\n")[2]
    return "the store does not answer"


def pre_fork(server, worker):
    """Worker and arbiter share what the arbiter holds, until one of them writes there, as a search for cycles does."""
    gc.collect()
    gc.freeze()


def post_fork(server, worker):
    worker.stopping = server.stopping


def _more_files():
    """Each stream holds two sockets; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for soft in (hard, FILES):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            break


_more_files()
