"""A real gateway for tests: `python kirogw.py` with gunicorn's gevent worker, in a home of its own."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

TOP = Path(__file__).parents[2]
GUNICORN = (str(Path(sys.executable).with_name("gunicorn")), "-c", str(TOP / "gunicorn.conf.py"))
KEY = "kgw_for-the-tests-only-0123456789abcdef"


@dataclass
class Running:
    url: str
    home: Path
    process: subprocess.Popen
    log: Path
    headers: dict = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})

    def post(self, path, body, *, stream=False, headers=None, **more):
        return requests.post(self.url + path, json=body, stream=stream, headers={**self.headers, **(headers or {})},
                             timeout=100, **more)  # fmt: skip

    def get(self, path, headers=None):
        return requests.get(self.url + path, headers={**self.headers, **(headers or {})}, timeout=100)

    def lines(self):
        """The log's lines that are JSON, as objects."""
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last one may be half there
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def stop(self, how=signal.SIGTERM, seconds=100):
        self.process.send_signal(how)  # does nothing when it has ended
        return self.process.wait(seconds)

    def workers(self):
        """The processes that answer, by their ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]


def killed(pid):
    """Kill a process, and wait until it takes no connection any more."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 100
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _runs(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def free_port():
    """One that the system gives nobody by itself: between this and the gateway's start another would get it."""
    while True:
        port = random.randint(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def environment(home, settings):
    """A clean one: nothing of the machine's own accounts or proxies is seen. A setting that is None is not there."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    usual = {"HOME": home, "KIROGW_HOME": home / ".kirogw", "PROXY_API_KEY": KEY, "PYTHONPATH": TOP, "RETRY_PACE": 0.01,
             "LOG_FORMAT": "json"}  # fmt: skip
    return {**kept, **{name: str(value) for name, value in {**usual, **settings}.items() if value is not None}}


@contextlib.contextmanager
def running(twin=None, *, command=(), wait=True, home=None, cwd=None, **settings):
    """Start a gateway before `twin` (its first account is an API key or is given by `settings`), and stop it.

    `home` is the folder that it takes for the user's own, and works in unless `cwd` is another; without it, an empty one
    that is gone afterwards.
    """
    with contextlib.nullcontext(home) if home else tempfile.TemporaryDirectory(prefix="kirogw-test-") as folder:
        home = Path(folder)
        port = free_port()
        words = [word.format(port=port) for word in command] or [sys.executable, str(TOP / "kirogw.py")]
        if twin:
            settings = {**twin.settings(), **settings}
            if twin.account.api_key:
                settings.setdefault("KIRO_API_KEY", twin.account.api_key)
        log = home / "log.txt"
        with log.open("w") as out:
            process = subprocess.Popen(
                words, cwd=cwd or home, env=environment(home, {"SERVER_PORT": port, **settings}), stdout=out, stderr=out
            )
        gateway = Running(f"http://127.0.0.1:{port}", home, process, log)
        try:
            if wait:
                until_ready(gateway)
            yield gateway
        finally:
            try:
                gateway.stop()
            finally:
                process.kill()  # its workers leave by themselves then


def until_ready(gateway, seconds=100):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert gateway.process.poll() is None, gateway.log.read_text()
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(gateway.url + "/health", timeout=5).ok:
                return
        time.sleep(0.05)
    raise AssertionError("the gateway did not start: " + gateway.log.read_text())
