"""What is no HTTP request, or ends in the middle of one, at a real worker: an error that clients can read. And what
else gunicorn promises."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from kirogw.twin import Twin
from tests.system.pauses import ENDLESS
from tests.system.raw import Connection, eventually
from tests.system.running import GUNICORN, KEY, TOP, running
from tests.system.talk import LAST, ask

APART = """
from gevent import monkey; monkey.patch_all()
import gc
import gevent
from kirogw.worker import _apart

def fails():
    raise ValueError("told")

print(_apart(lambda: gevent.sleep(0.01) or "made"))
gc.collect()
gc.disable()
try:
    _apart(fails)
except ValueError as error:
    print(error)
assert gc.collect() == 0
stopped = []
def waits():
    try:
        gevent.sleep(100)
    finally:
        stopped.append("stopped")
asking = gevent.spawn(_apart, waits)
gevent.sleep(0.01)
asking.kill()
gevent.sleep(0.01)
print(*stopped)
"""
SECRET = "ksk_not-to-be-seen"
POST = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n"
ROWS = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "no method": (b"\x16\x03\x01\x02 / HTTP/1.1\r\n\r\n", 400),
    "no such version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\nAuthorization Bearer " + SECRET.encode() + b"\r\n\r\n", 400),
    "a first line without end": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
    "a header without end": (b"GET / HTTP/1.1\r\nx-api-key: " + SECRET.encode() * 1_000 + b"\r\n\r\n", 431),
    "too many headers": (b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431),
    "two lengths": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "an unknown transfer coding": (POST + b"Transfer-Encoding: br\r\n\r\n", 501),
    "an unknown expectation": (POST + b"Expect: a miracle\r\nContent-Length: 0\r\n\r\n", 417),
}


@pytest.fixture(scope="module")
def gateway():
    with Twin(accounts=["api_key"]) as twin, running(twin) as one:
        yield one


def address(gateway):
    host, port = gateway.url.removeprefix("http://").split(":")
    return host, int(port)


def said(gateway, data):
    """The status and the body of whatever comes back before the connection ends."""
    with socket.create_connection(address(gateway), timeout=100) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


@pytest.mark.parametrize("name", ROWS)
def test_what_is_no_request_gets_an_error_that_clients_can_read(gateway, name):
    data, wanted = ROWS[name]
    status, head, body = said(gateway, data)
    error = json.loads(body)["error"]
    assert (status, json.loads(body)["type"], error["type"]) == (wanted, "error", "invalid_request_error")
    assert error["message"] and "application/json" in head and f"Content-Length: {len(body)}" in head
    assert SECRET not in gateway.log.read_text() and SECRET.encode() not in body


def test_the_worker_goes_on(gateway):
    said(gateway, b"nonsense\r\n\r\n")
    assert gateway.get("/ready").ok


def test_a_connection_of_http_1_0_goes_on_while_the_client_wishes_it(gateway):
    kept = b"GET /ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    for count in (1, 2, 3):
        _, head, rest = said(gateway, kept * (count - 1) + b"GET /ready HTTP/1.0\r\n\r\n" + kept)
        assert (head.encode() + rest).count(b" 200 OK") == count


def access_log(path):
    return "--access-logfile", str(path), "--access-logformat", "%(r)s|%(s)s|%(B)s|%(a)s|%({{x-told}}i)s"


def test_gunicorns_own_log_has_what_a_request_and_its_answer_were(tmp_path):
    """For those who want it beside the gateway's line: `--access-logfile`."""
    log = tmp_path / "access"
    with Twin(accounts=["api_key"]) as twin, running(twin, command=(*GUNICORN, *access_log(log))) as one:
        reply = one.get("/ready", headers={"User-Agent": "curl/8", "x-told": "yes"})
    assert f"GET /ready HTTP/1.1|200|{len(reply.content)}|curl/8|yes\n" in log.read_text()


def test_gunicorns_own_log_has_an_answer_that_was_broken_off(tmp_path):
    log = tmp_path / "access"
    with Twin(accounts=["api_key"]) as twin, running(twin, command=(*GUNICORN, *access_log(log))) as one:
        twin.script([[{"text": "one two three"}, {"delay": ENDLESS}, {"text": "four"}]])
        with Connection(one.url) as connection:
            connection.send("POST", "/v1/messages", ask(stream=True))
            connection.head()
            assert next(connection.chunks())
        assert eventually(lambda: "POST /v1/messages HTTP/1.1|200|" in log.read_text())


def test_gunicorns_figures_count_requests():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd, Twin(accounts=["api_key"]) as twin:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(100)
        where = f"127.0.0.1:{statsd.getsockname()[1]}"
        with running(twin, command=(*GUNICORN, "--statsd-host", where)):  # is asked /ready until it is
            while b"request.status.200" not in statsd.recv(4096):
                pass


def test_without_a_keep_alive_each_request_has_a_connection():
    command = (*GUNICORN, "--keep-alive", "0")
    with (Twin(accounts=["api_key"]) as twin, running(twin, command=command) as one,
          socket.create_connection(address(one), timeout=0.5) as sock):  # fmt: skip
        with pytest.raises(TimeoutError):
            sock.recv(1)  # who says nothing yet is not closed
        sock.settimeout(100)
        sock.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK") and b"Connection: close\r\n" in answer


def test_chunks_that_can_not_be_read_are_the_clients_fault(gateway):
    head = POST + f"x-api-key: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    status, _, body = said(gateway, head + b"nonsense\r\n")
    assert status == 400 and "chunks" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("words", [1, 40])
def test_a_log_that_nobody_can_write_stops_no_answer(words):
    """A full disk, or nobody who reads it. The answer has its end, and the connection goes on."""
    script = "exec {python} {program} 2>/dev/full".format(python=sys.executable, program=TOP / "kirogw.py")
    with (Twin(accounts=["api_key"]) as twin, running(twin, command=("sh", "-c", script)) as one,
          requests.Session() as session):  # fmt: skip
        for _ in range(3):
            twin.script([[{"text": "one two three " * words, "pace": 0}]])
            reply = session.post(one.url + "/v1/messages", json=ask(stream=True), headers=one.headers, timeout=100)
            assert reply.content.endswith(LAST["messages"])


def test_what_is_made_apart_comes_back_as_if_it_were_made_here():
    """Its value, its failure without a word of gevent's own about it, and its end when nobody waits any more."""
    env = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([sys.executable, "-c", APART], env=env, capture_output=True, text=True, timeout=100)
    assert (done.stdout.split(), done.stderr) == (["made", "told", "stopped"], "")


def test_a_connection_that_fails_says_nothing_of_its_greenlet():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens there
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Twin(accounts=["api_key"]) as twin, running(twin, KIRO_RUNTIME_URLS=nowhere, RETRY_BUDGET=1) as one:
            reply = one.post("/v1/messages", ask())
            assert reply.status_code >= 500 and "can not be reached" in reply.json()["error"]["message"]
            assert "Traceback" not in one.log.read_text()


def test_a_worker_loads_nothing_to_guess_charsets_with(gateway):
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in gateway.workers())
    assert "/site-packages/orjson/" in maps and "charset" not in maps
    assert "Warning" not in gateway.log.read_text()
