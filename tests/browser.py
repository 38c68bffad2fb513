"""A real browser for tests: Debian's chromium without a screen, told what to do over a pipe (the DevTools protocol)."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count

NAME = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-pipe",
]  # fmt: skip
SECONDS = 60


class Browser:
    """One page of it. Whatever is asked for is waited for."""

    def __init__(self, to, from_):
        self._to, self._from, self._numbers, self._buffer = to, from_, count(1), b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, url):
        self._call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def click(self, id):
        """A link or button; the page that comes of it need not be there yet."""
        self.wait(f"document.getElementById({id!r}) !== null")
        self.run(f"document.getElementById({id!r}).click()")

    def wait(self, what):
        until = time.monotonic() + SECONDS
        while self.run(what) is not True:
            assert time.monotonic() < until, f"{what} did not come; the page is {self.run('document.documentElement.outerHTML')}"
            time.sleep(0.05)

    def text(self):
        return self.run("document.body.innerText")

    def run(self, script):
        """The value of an expression; None when the page is just being changed."""
        return self._call("Runtime.evaluate", expression=script, returnByValue=True).get("result", {}).get("value")

    def close(self):
        os.write(self._to, json.dumps({"id": next(self._numbers), "method": "Browser.close"}).encode() + b"\0")

    def _call(self, method, **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                return answer.get("result", {})

    def _read(self):
        while b"\0" not in self._buffer:
            data = os.read(self._from, 65536)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def browser():
    read_there, to = os.pipe()
    from_, write_there = os.pipe()

    def place():
        """The two ends that it knows as files 3 and 4."""
        one, other = os.dup(read_there), os.dup(write_there)
        os.dup2(one, 3)
        os.dup2(other, 4)

    with tempfile.TemporaryDirectory(prefix="kirogw-browser-", ignore_cleanup_errors=True) as home:
        command = [NAME, *FLAGS, f"--user-data-dir={home}/profile"]
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], "HOME": home}, preexec_fn=place,
                                   pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)  # fmt: skip
        os.close(read_there)
        os.close(write_there)
        try:
            page = Browser(to, from_)
            yield page
            page.close()
            process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it and the processes that it has started
            process.wait(20)
            os.close(to)
            os.close(from_)
