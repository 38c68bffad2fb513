#!/usr/bin/env python3
"""What a chunk costs to read, by each of the ways that requests and urllib3 offer and by our own: CPU of the reader.

    .venv/bin/python bench/reading.py

One process writes chunks of 140 bytes (a text frame of Kiro's) in HTTP/1.1 chunked coding: one at a time, each when the
last one was read, or 200 in one write. The other reads them; its CPU time per chunk is printed, the least of 7 rounds.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kirogw.settings import Settings
from kirogw.transport import Transport
from kirogw.wire import Request

CHUNKS, ROUNDS = 2_000, 7
PAYLOAD = b"x" * 140
CHUNK = b"%x\r\n%b\r\n" % (len(PAYLOAD), PAYLOAD)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def serve(listener: socket.socket) -> None:
    """Answer requests for /one (a chunk a write, paced) and /many (200 chunks a write) until killed."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def serve_one(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while request := connection.recv(65536):
            answer(connection, b"/one" in request.split(b"\r\n", 1)[0])


def answer(connection: socket.socket, paced: bool) -> None:
    connection.sendall(HEAD)
    size = 1 if paced else 200
    for _ in range(CHUNKS // size):
        connection.sendall(CHUNK * size)
        time.sleep(0.0002)
    connection.sendall(END)


def by_iter_content(url: str, size: int | None) -> Callable[[], Iterator[bytes]]:
    session = requests.Session()
    session.trust_env = False
    return lambda: session.get(url, stream=True, timeout=30).iter_content(size)


def by_raw_stream(url: str) -> Callable[[], Iterator[bytes]]:
    session = requests.Session()
    session.trust_env = False
    return lambda: session.get(url, stream=True, timeout=30).raw.stream(65536, decode_content=False)


def by_exchange(url: str) -> Callable[[], Iterator[bytes]]:
    transport = Transport(Settings())

    def read() -> Iterator[bytes]:
        exchange = transport.open(Request("GET", url))
        exchange.head(30)
        while data := exchange.read(30):
            yield data
        exchange.close()

    return read


WAYS: dict[str, Callable[[str], Callable[[], Iterator[bytes]]]] = {
    "iter_content(64)": lambda url: by_iter_content(url, 64),
    "iter_content(4096)": lambda url: by_iter_content(url, 4096),
    "iter_content(None)": lambda url: by_iter_content(url, None),
    "raw.stream(65536)": by_raw_stream,
    "transport.Exchange": by_exchange,
}


def cost(read: Callable[[], Iterator[bytes]]) -> float:
    """Microseconds of CPU per chunk, the least of the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        size = sum(map(len, read()))
        best = min(best, time.process_time() - began)
        if size != CHUNKS * len(PAYLOAD):
            raise SystemExit(f"{size} bytes came")
    return best / CHUNKS * 1e6


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if not child:
        serve(listener)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        print("| way | one chunk a read | 200 chunks a write |\n| --- | --- | --- |")
        for name, way in WAYS.items():
            print(f"| {name} | {cost(way(base + '/one')):.1f} us | {cost(way(base + '/many')):.1f} us |", flush=True)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
