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
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                   "--save", "", "--daemonize", "no", *self.options]  # fmt: skip
        assert shutil.which("redis-server"), "there is no redis-server: `make test` sees to that"
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < end and self._process.poll() is None, "redis-server does not start"
            time.sleep(0.02)

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
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def command(self, *words: str, user: str = "default", password: str = "") -> str | None:
        """The answer of one command, as text. By a connection of our own: what is tested must not test itself."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            for line in ([["AUTH", user, password]] if password else []) + [list(words)]:
                parts = [word.encode() for word in line]
                sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                answer = _answer(sock.makefile("rb"))
        return answer


def _answer(file) -> str | None:
    line = file.readline().decode().rstrip()
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
