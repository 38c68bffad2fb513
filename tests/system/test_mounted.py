"""The application in other people's hands: below a prefix, in threads without monkey patching, in any WSGI server."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import wsgiref.simple_server
import wsgiref.validate
from dataclasses import dataclass

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from kirogw import create_app
from kirogw.settings import load
from kirogw.twin import Twin
from tests.system.pauses import ENDLESS
from tests.system.raw import Connection, eventually, shortest
from tests.system.running import GUNICORN, KEY, TOP, environment, running
from tests.system.talk import FACES, PATHS, PING, ask, events, failure, finished, text, whole_text

BEAT = 0.2
PREFIX = "/tools/ai"
WORDS = "".join(f"word{n} " for n in range(8))
GTHREAD = (GUNICORN[0], "-k", "gthread", "--threads", "16", "-b", "127.0.0.1:{port}", "--no-control-socket", "kirogw:create_app()")
WINDOWS = """
import os, sys, types
from kirogw import cli, serve
serve.os = types.SimpleNamespace(**{**vars(os), "name": "nt"})  # gunicorn can not run there
sys.exit(cli.main())
"""
PYWSGI = (sys.executable, "-c", WINDOWS.replace("{", "{{").replace("}", "}}"))


@dataclass
class Place:
    url: str
    prefix: str = ""


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


def settings(twin, home, **more):
    given = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "HEARTBEAT": BEAT, **more}
    return load(environ=environment(home, given), env_file=None)


def front(environ, start_response):
    """The application that was there before."""
    return Response("the front page")(environ, start_response)


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def by_werkzeug(twin, home):
    """In this process: plain threads, nothing patched."""
    inner = create_app(settings(twin, home))
    app = DispatcherMiddleware(front, {PREFIX: inner})
    with serving(make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)) as url:
        yield Place(url, PREFIX)
    inner.extensions["kirogw"].close()


def by(command, **more):
    @contextlib.contextmanager
    def started(twin, home):
        with running(twin, home=home, command=command, HEARTBEAT=BEAT, **more) as gateway:
            yield Place(gateway.url)

    return started


SERVERS = {"werkzeug": by_werkzeug, "gthread": by(GTHREAD), "pywsgi": by(PYWSGI), "gevent": by((*GUNICORN, "kirogw:create_app()"))}


@pytest.fixture(scope="module", params=SERVERS)
def pair(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with Twin(accounts=["api_key"]) as twin, SERVERS[request.param](twin, home) as place:
        yield twin, place


@pytest.fixture
def place(pair):
    return pair[1]


def post(connection, place, face, **more):
    connection.send("POST", place.prefix + PATHS[face], ask(**more))
    status, headers = connection.head()
    assert status == 200
    return headers


def test_a_websocket_is_refused_so_that_codex_asks_by_post(place):
    """426 at once and a whole answer, on a connection that is good for the next request; and no key is needed."""
    headers = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
               "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "openai-beta": "responses_websockets=2026-02-06"}  # fmt: skip
    for key in (KEY, ""):
        with Connection(place.url) as connection:
            connection.send("GET", place.prefix + "/v1/responses", headers=headers, key=key)
            status, told, body = connection.answer()
            assert (status, told["content-type"]) == (426, "application/json")
            assert "POST" in json.loads(body)["error"]["message"] and told["x-request-id"].startswith("req_")
            if told.get("connection", "").lower() != "close":
                connection.send("GET", place.prefix + "/v1/models")
                assert connection.answer()[0] == 200


def test_nothing_is_patched_here():
    assert socket.socket.__module__ == "socket"
    assert threading.get_ident.__module__ == "_thread"


@pytest.mark.parametrize("face", FACES)
def test_answers(twin, place, face):
    twin.script([{"steps": [{"text": WORDS}], "repeat": True}])
    with Connection(place.url) as connection:
        headers = post(connection, place, face)
        assert whole_text(face, json.loads(connection.body(headers))) == WORDS
    with Connection(place.url) as connection:
        headers = post(connection, place, face, stream=True)
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["x-accel-buffering"] == "no"
        data = connection.body(headers)
    assert (text(face, data), finished(face, data)) == (WORDS, True)


@pytest.mark.parametrize("face", FACES)
def test_a_delta_leaves_before_the_next_one_comes(twin, place, pauses, face):
    """And the next one comes when it has been heard."""
    twin.script([[{"text": WORDS, "pace": 1}]])
    frames = []
    with pauses.held() as go_on, Connection(place.url) as connection:
        post(connection, place, face, stream=True)
        for chunk in connection.chunks():
            if b"word" in chunk:
                frames.append(twin.seen()[0].frames)
                go_on()
    assert len(frames) >= 6
    assert all(number <= n + 3 for n, number in enumerate(frames[:6])), "words were kept until more had come"


@pytest.mark.parametrize("face", FACES)
def test_heartbeats(twin, place, pauses, face):
    twin.script([[{"text": "first "}, {"delay": 1, "text": "second"}]])
    twin.faults.add("", slow=1)
    due, data = [3, 7], b""  # pings after which the head comes, and the second word
    with pauses.held() as go_on, Connection(place.url) as connection:
        post(connection, place, face, stream=True)
        for chunk in connection.chunks():
            data += chunk
            if due and data.count(PING[face]) >= due[0]:
                due.pop(0)
                go_on()
    assert data.count(PING[face]) >= 7
    assert (text(face, data), finished(face, data)) == ("first second", True)


@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_closes_the_upstream(twin, place, face):
    def left():
        twin.reset()
        twin.script([[{"text": "first "}, {"delay": ENDLESS, "text": "never"}]])
        with Connection(place.url) as connection:
            post(connection, place, face, stream=True)
            next(connection.chunks())
        since = time.time()
        assert eventually(lambda: twin.seen()[0].gone)
        return twin.seen()[0].gone - since

    assert shortest(left, 2 * BEAT + 1.0) <= 2 * BEAT + 1.0


def test_a_client_that_leaves_without_a_stream(twin, place):
    """No server tells it, but each shows its socket."""
    twin.script([[{"text": "first "}, {"delay": ENDLESS, "text": "never"}]])
    with Connection(place.url) as connection:
        connection.send("POST", place.prefix + PATHS["chat"], ask())
        assert eventually(lambda: twin.seen() and twin.seen()[0].frames)
    assert eventually(lambda: twin.seen()[0].gone)


@pytest.mark.parametrize("face", FACES)
def test_a_break_is_told_in_band(twin, place, pauses, face):
    twin.script([{"steps": [{"text": WORDS, "pace": 0.01}], "repeat": True}])
    twin.faults.add("cut_reset", cut=900, count=None)
    with pauses.until(lambda data: b"word0" in data) as hear, Connection(place.url) as connection:
        post(connection, place, face, stream=True)
        data = connection.whole(hear)
    assert failure(data) and not finished(face, data)


@pytest.mark.parametrize("face", FACES)
def test_refusals(place, face):
    path = place.prefix + PATHS[face]
    for method, path, body, key, status in (
        ("POST", path, ask(), "wrong", 401), ("POST", path, ask(messages=5), KEY, 400), ("PUT", path, b"{}", KEY, 405),
        ("POST", path + "/nowhere", b"x" * 100_000, KEY, 404), ("GET", place.prefix + "/health", b"", "", 200),
    ):  # fmt: skip
        with Connection(place.url) as connection:
            connection.send(method, path, body, key=key)
            answered, _, data = connection.answer()
        assert (answered, "error" in json.loads(data)) == (status, status != 200)


def test_streams_at_once(twin, place):
    twin.script([{"steps": [{"text": WORDS, "pace": 0.02}], "repeat": True}])
    heard = []

    def one(face):
        with Connection(place.url) as connection:
            post(connection, place, face, stream=True)
            data = b"".join(connection.chunks())
            heard.append((text(face, data), finished(face, data)))

    threads = [threading.Thread(target=one, args=(FACES[n % 2],)) for n in range(14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [(WORDS, True)] * 14


# below a prefix


def test_below_a_prefix_the_rest_is_as_it_was(tmp_path):
    with Twin(accounts=["api_key"]) as twin, by_werkzeug(twin, tmp_path) as place:
        assert everything(place.url, "GET", "/")[2] == b"the front page"
        assert everything(place.url, "POST", PATHS["chat"], ask())[2] == b"the front page"
        assert json.loads(everything(place.url, "GET", PREFIX + "/v1/models")[2])["object"] == "list"


def test_two_gateways_in_one_process(tmp_path):
    """Nothing is shared between them: neither accounts nor keys."""
    with Twin(accounts=["api_key"]) as one, Twin(accounts=["api_key"]) as other:
        apps = {
            "/one": create_app(settings(one, tmp_path / "one", PROXY_API_KEY="kgw_first-key-of-two-for-the-tests")),
            "/other": create_app(settings(other, tmp_path / "other")),
        }
        with serving(make_server("127.0.0.1", 0, DispatcherMiddleware(front, apps), threaded=True, request_handler=Quiet)) as url:
            for prefix, key, status in (("/one", KEY, 401), ("/other", KEY, 200), ("/one", "kgw_first-key-of-two-for-the-tests", 200)):
                with Connection(url) as connection:
                    connection.send("POST", prefix + PATHS["chat"], ask(), key=key)
                    assert connection.head()[0] == status
        assert (len(one.seen()), len(other.seen())) == (1, 1)
        for app in apps.values():
            app.extensions["kirogw"].close()


# wsgiref: one request at a time, HTTP/1.0, and strict


class Silent(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def strict(tmp_path):
    with Twin(accounts=["api_key"]) as twin:
        inner = create_app(settings(twin, tmp_path, MAX_BODY_BYTES=100_000))
        app = wsgiref.validate.validator(inner)
        with serving(wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Silent)) as url:
            yield twin, url
        inner.extensions["kirogw"].close()


def everything(url, method, path, body=b"", key=KEY):
    """Status, headers and body of an answer that ends with its connection."""
    with Connection(url) as connection:
        connection.send(method, path, body, key=key)
        status, headers = connection.head()
        data = connection._buffer
        while more := connection.socket.recv(65536):
            data += more
    return status, headers, data


@pytest.mark.parametrize("face", FACES)
def test_wsgiref(strict, face):
    twin, url = strict
    twin.script([{"steps": [{"text": WORDS}], "repeat": True}])
    status, _, data = everything(url, "POST", PATHS[face], ask())
    assert (status, whole_text(face, json.loads(data))) == (200, WORDS)
    status, _, data = everything(url, "POST", PATHS[face], ask(stream=True))
    assert (status, text(face, data), finished(face, data)) == (200, WORDS, True)


@pytest.mark.parametrize(("method", "path", "body", "key", "status"), [
    ("GET", "/", b"", "", 200), ("GET", "/health", b"", "", 200), ("GET", "/v1/models", b"", KEY, 200),
    ("POST", PATHS["chat"], ask(), "wrong", 401), ("POST", PATHS["chat"], b"{", KEY, 400), ("GET", "/nowhere", b"", KEY, 404),
    ("DELETE", PATHS["messages"], b"", KEY, 405), ("POST", PATHS["messages"], b"x" * 100_001, KEY, 413),
])  # fmt: skip
def test_wsgiref_finds_nothing_wrong_with_any_answer(strict, method, path, body, key, status):
    """PEP 3333 says among other things that an application sets no Connection header."""
    assert everything(strict[1], method, path, body, key)[0] == status


def test_wsgiref_closes_what_a_client_has_left(strict):
    twin, url = strict
    twin.script([[{"text": "first "}, {"delay": ENDLESS, "text": "never"}]])
    with Connection(url) as connection:
        connection.send("POST", PATHS["chat"], ask(stream=True))
        connection.head()
    assert eventually(lambda: twin.seen()[0].gone)


# gunicorn's command line


@pytest.mark.parametrize("words", [(), ("kirogw:create_app()",)], ids=["conf alone", "application named"])
def test_gunicorn_from_a_checkout(tmp_path, words):
    with Twin(accounts=["api_key"]) as twin:
        command = (GUNICORN[0], "-c", "gunicorn.conf.py", *words)
        with running(twin, home=tmp_path, command=command, cwd=TOP, PYTHONPATH=None) as gateway:
            assert whole_text("chat", gateway.post(PATHS["chat"], ask("from a checkout")).json())
            assert len(twin.seen()) == 1
            worker = gateway.workers()[0]
            assert gateway.get("/health").json()["worker"] == worker


def test_create_app_alone_starts_no_thread_and_asks_nobody(tmp_path):
    code = "import threading, kirogw; kirogw.create_app(); print(threading.active_count())"
    with Twin(accounts=["api_key"]) as twin:
        given = environment(tmp_path, {**twin.settings(), "KIRO_API_KEY": twin.account.api_key})
        ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=100)
        assert (ended.stdout, ended.stderr) == ("1\n", "")
        assert twin.requests == []


# gevent's own server, where gunicorn can not run


def test_without_gunicorn_a_newcomer_gets_the_same(tmp_path):
    with running(home=tmp_path, command=PYWSGI, PROXY_API_KEY=None, KIROGW_HOME=None) as gateway:
        said = gateway.log.read_text()
        key = (tmp_path / ".kirogw/key").read_text().strip()
        assert said.startswith("DEMO: ") and key in said
        assert said.rstrip().endswith(f"kirogw listens on {gateway.url}")
        gateway.headers = {"x-api-key": key}
        assert gateway.get("/health").json()["demo"] is True
        reply = gateway.post(PATHS["messages"], ask(stream=True))
        assert "demo" in text("messages", reply.content)
        assert events(reply.content)[-1]["type"] == "message_stop"
        assert "Warning" not in gateway.log.read_text()
