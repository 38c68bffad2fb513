"""Signals to a real gunicorn: SIGTERM ends it politely, SIGHUP renews it, and a worker that is killed is replaced."""

import signal
import socket
import time
from urllib.parse import urlsplit

import pytest

from kirogw.twin import Twin
from tests.system.pauses import ENDLESS, Pauses
from tests.system.raw import Connection, eventually, shortest
from tests.system.running import GUNICORN, KEY, killed, running
from tests.system.talk import FACES, PATHS, ask, events, failure, finished, text, whole_text

BEAT = 0.2
SOON, KILLED = 90, {"SHUTDOWN_GRACE": 100}  # seconds: what ends by itself has ended before it would be killed
WORDS = "".join(f"word{n} " for n in range(15))


@pytest.fixture
def twin():
    with Twin(accounts=["api_key"]) as twin:
        twin.script([
            {"steps": [{"text": WORDS, "pace": 0.1}], "match": "slow"},
            {"steps": [{"text": "begun "}, {"delay": ENDLESS, "text": "never"}], "match": "endless"},
            {"steps": [{"text": "quick"}], "repeat": True},
        ])  # fmt: skip
        yield twin


def stream(gateway, face, words):
    """A connection on which the answer has begun, and its first chunk."""
    connection = Connection(gateway.url)
    connection.send("POST", PATHS[face], ask(words, stream=True))
    assert connection.head()[0] == 200
    return connection, next(connection.chunks())


def refused(gateway):
    address = urlsplit(gateway.url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


# SIGTERM


def test_sigterm_without_a_client_ends_at_once(twin):
    with running(twin, **KILLED) as gateway:
        assert stopped(gateway) < SOON


def stopped(gateway, how=signal.SIGTERM):
    """Seconds until it has ended as it should."""
    began = time.monotonic()
    assert gateway.stop(how, 110) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("face", FACES)
def test_sigterm_lets_a_stream_end(twin, face):
    with running(twin, **KILLED, HEARTBEAT=BEAT) as gateway:
        with Pauses(twin).held():
            connection, first = stream(gateway, face, "slow")
            gateway.process.send_signal(signal.SIGTERM)
            assert eventually(lambda: refused(gateway))
            assert gateway.process.poll() is None
        with connection:
            data = first + b"".join(connection.chunks())
        assert (text(face, data), finished(face, data), failure(data)) == (WORDS, True, None)
        assert gateway.process.wait(100) == 0


@pytest.mark.parametrize("face", FACES)
def test_what_is_still_running_when_the_grace_is_over_is_told(twin, face):
    def told():
        with running(twin, SHUTDOWN_GRACE=1.2, HEARTBEAT=BEAT) as gateway:
            connection, first = stream(gateway, face, "endless")
            with connection:
                began = time.monotonic()
                gateway.process.send_signal(signal.SIGTERM)
                data = first + b"".join(connection.chunks())
                seconds = time.monotonic() - began
            assert text(face, data) == "begun "
            error = failure(data)
            assert error["type"] == {"messages": "overloaded_error", "chat": "server_error"}[face]
            assert "stopped or restarted" in error["message"]
            assert not finished(face, data)
            assert gateway.process.wait(100) == 0
            assert eventually(lambda: all(seen.gone for seen in twin.seen()))
            line = gateway.lines()[-1]
            assert (line["message"], line["outcome"]) == ("request", "ShuttingDown in-band")
        return seconds

    assert 1.1 <= shortest(told, 6) < 6


@pytest.mark.parametrize("face", FACES)
def test_an_answer_that_is_not_streamed_is_told_too(twin, face):
    def ended():
        twin.service.journal.clear()
        with running(twin, SHUTDOWN_GRACE=0.5, HEARTBEAT=BEAT) as gateway, Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask("endless"))
            assert eventually(lambda: twin.seen() and twin.seen()[0].frames)
            gateway.process.send_signal(signal.SIGTERM)
            status, headers, body = connection.answer()
            assert status == {"messages": 529, "chat": 503}[face]
            assert headers["retry-after"] == "1"
            assert b"stopped or restarted" in body
            began = time.monotonic()
            assert gateway.process.wait(100) == 0
            return time.monotonic() - began

    assert shortest(ended, 4.5) < 4.5  # although the client keeps its connection, and not after the 5 seconds for that


def test_a_request_in_a_pause_between_tries_is_told_too():
    with Twin(accounts=["api_key"]) as twin:
        twin.faults.add("high_load", count=None)
        with running(twin, SHUTDOWN_GRACE=0.5, HEARTBEAT=BEAT, RETRY_PACE=10, RETRY_BUDGET=600) as gateway:
            connection, first = stream(gateway, "messages", "hello")
            with connection:
                gateway.process.send_signal(signal.SIGTERM)
                data = first + b"".join(connection.chunks())
            assert "stopped or restarted" in failure(data)["message"]
            assert gateway.process.wait(100) == 0
        assert len(twin.seen()) == 1


def test_a_client_that_keeps_its_connection_keeps_nobody_waiting(twin):
    """Agents hold their connections for minutes."""
    with running(twin, **KILLED) as gateway, Connection(gateway.url) as one, Connection(gateway.url) as other:
        one.send("GET", "/health")
        assert one.answer()[0] == 200
        assert stopped(gateway) < SOON
        assert one.closed() and other.closed()
        assert "Traceback" not in gateway.log.read_text()


def test_sigint_ends_at_once_even_in_a_stream(twin):
    """A person presses Ctrl-C and does not want to wait."""
    with running(twin, **KILLED) as gateway:
        connection, _ = stream(gateway, "messages", "endless")
        with connection:
            assert stopped(gateway, signal.SIGINT) < SOON


@pytest.mark.parametrize("round_", range(3))
def test_sigterm_in_the_middle_of_work_always_ends_it(twin, round_):
    """The signal may arrive in any greenlet, in the event loop itself too."""
    with running(twin, SHUTDOWN_GRACE=60) as gateway:
        for _ in range(5):
            with Connection(gateway.url) as connection:
                connection.send("POST", PATHS["chat"], ask("quick", stream=True))
                connection.head()
                list(connection.chunks())
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.3])
def test_sigterm_while_workers_start(twin, pause):
    """A worker that has no handler yet must not miss it."""
    with running(twin, wait=False, SERVER_WORKERS=4, **KILLED) as gateway:
        assert eventually(lambda: "kirogw listens on" in gateway.log.read_text())
        time.sleep(pause)
        assert stopped(gateway) < SOON


# SIGHUP


def put(home, **settings):
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def reload(gateway):
    """SIGHUP, until only new workers answer: an old one looks up once a second, and then takes no more connections."""
    before = set(gateway.workers())
    gateway.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: set(gateway.workers()) - before)
    time.sleep(1.1)
    assert eventually(lambda: not before & {gateway.get("/health", {"Connection": "close"}).json()["worker"] for _ in range(8)})


@pytest.fixture
def home(tmp_path):
    put(tmp_path, HEARTBEAT=10, PROXY_API_KEY=KEY)
    return tmp_path


def test_sighup_brings_new_settings(twin, home):
    with running(twin, home=home, HEARTBEAT=None, PROXY_API_KEY=None) as gateway:
        new = "kgw_another-key-for-the-tests-0123456789"
        put(home, HEARTBEAT=BEAT, PROXY_API_KEY=new)
        reload(gateway)
        assert gateway.get("/v1/models").status_code == 401
        twin.faults.add("", slow=1.0)
        with Pauses(twin).until(lambda data: data.count(b"event: ping") >= 3) as hear, Connection(gateway.url) as connection:
            connection.send("POST", PATHS["messages"], ask("quick", stream=True), key=new)
            assert connection.head()[0] == 200
            kinds = [event["type"] for event in events(connection.whole(hear))]
        assert kinds.count("ping") >= 3
        assert kinds[-1] == "message_stop"


@pytest.mark.parametrize("face", FACES)
def test_sighup_drops_no_stream(twin, home, face):
    """Not even one that takes longer than the grace at a stop."""
    with running(twin, home=home, SHUTDOWN_GRACE=0.3) as gateway:
        with Pauses(twin).held():
            connection, first = stream(gateway, face, "slow")
            reload(gateway)
            assert whole_text(face, gateway.post(PATHS[face], ask("quick")).json()) == "quick"
        with connection:
            data = first + b"".join(connection.chunks())
        assert (text(face, data), finished(face, data)) == (WORDS, True)
        assert eventually(lambda: len(gateway.workers()) == 1)


def test_after_a_sighup_sigterm_still_ends_old_streams(twin, home):
    with running(twin, home=home, SHUTDOWN_GRACE=0.5, HEARTBEAT=BEAT) as gateway:
        connection, first = stream(gateway, "messages", "endless")
        with connection:
            reload(gateway)
            gateway.process.send_signal(signal.SIGTERM)
            data = first + b"".join(connection.chunks())
        assert "stopped or restarted" in failure(data)["message"]
        assert gateway.process.wait(100) == 0


def test_sighup_with_a_wrong_setting_changes_nothing(twin, home):
    with running(twin, home=home, HEARTBEAT=None) as gateway:
        workers = gateway.workers()
        put(home, HEARTBEAT="often")
        gateway.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: "HEARTBEAT" in gateway.log.read_text())
        assert "the settings stay as they were: HEARTBEAT is 'often', but must be a number\n" in gateway.log.read_text()
        time.sleep(1.2)
        assert gateway.workers() == workers
        assert gateway.get("/v1/models").status_code == 200


def test_sighup_finds_new_accounts(home):
    with Twin(accounts=["api_key"]) as twin, running(None, home=home, command=GUNICORN, **twin.settings()) as gateway:
        assert gateway.get("/ready").status_code == 503
        put(home, KIRO_API_KEY=twin.account.api_key, PROXY_API_KEY=KEY)
        reload(gateway)
        assert gateway.get("/ready").status_code == 200
        assert gateway.post(PATHS["chat"], ask()).status_code == 200


# a worker dies


def test_a_killed_worker_is_replaced(twin):
    with running(twin, SERVER_WORKERS=1) as gateway:
        for _ in range(2):
            (worker,) = gateway.workers()
            killed(worker)
            assert whole_text("chat", gateway.post(PATHS["chat"], ask("quick")).json()) == "quick"
            assert eventually(lambda: worker not in gateway.workers() and gateway.workers())


def test_a_worker_that_is_killed_in_a_stream_leaves_no_clean_end(twin):
    with running(twin, SERVER_WORKERS=2) as gateway:
        connection, first = stream(gateway, "messages", "endless")
        with connection:
            for worker in gateway.workers():
                killed(worker)
            with pytest.raises((EOFError, ConnectionResetError)):
                list(connection.chunks())
        assert not finished("messages", first)
        assert gateway.post(PATHS["messages"], ask("quick")).status_code == 200
