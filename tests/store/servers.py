"""A real Redis server on the loopback, for the time of the tests."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


class Redis:
    """`stop` and `start` keep the port and, with `options` that say so, the data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.port = 0
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert shutil.which("redis-server"), "there is no redis-server: `make test` sees to that"
        ports = iter([self.port]) if self.port else (free_port() for _ in range(20))  # one may be taken meanwhile
        assert any(map(self._started, ports)), "redis-server does not start"

    def _started(self, port: int) -> bool:
        self.port = port
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                   "--save", "", "--daemonize", "no", *self.options]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < end:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def stop(self, kill: bool = False) -> None:
        if self._process:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        """And not somebody else's server at the same port; all of what it kept is there again."""
        password = dict(zip(self.options[::2], self.options[1::2], strict=True)).get("--requirepass", "")
        with contextlib.suppress(OSError):
            told = self.command("INFO", password=password) or ""
            return f"process_id:{self.pid}\r\n" in told and "\r\nloading:0\r\n" in told
        return False

    def command(self, *words: str, user: str = "default", password: str = "") -> str | None:
        """The answer of one command, as text. By a connection of our own: what is tested must not test itself."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as sock:
            for line in ([["AUTH", user, password]] if password else []) + [list(words)]:
                parts = [word.encode() for word in line]
                sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                answer = _answer(sock.makefile("rb"))
        return answer


def _answer(file) -> str | None:
    line = file.readline().decode().rstrip()
    if not line:
        raise ConnectionError("the server has closed the connection")
    if line[0] == "$":
        return None if line == "$-1" else file.read(int(line[1:]) + 2)[:-2].decode()
    return line[1:]


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[Redis]:
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """One that the system gives nobody by itself: between this and the server's start another would get it."""
    while True:
        port = random.randint(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
