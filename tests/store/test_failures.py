"""What people are told when the state can not be used, and that nothing is lost or half done by it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from kirogw.settings import Settings, WrongSetting
from kirogw.store import FILE, Conflict, StoreFailed, open_store, sqlite
from tests.store.servers import free_port, redis_server


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def store(home):
    store = open_store(Settings(kirogw_home=str(home)))
    store.put("k", "a", {"n": 1})
    yield store
    store.close()


def told(work, *words):
    """The one line of the failure; all of `words` are in it."""
    with pytest.raises(StoreFailed) as caught:
        work()
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line
    return line


def test_only_the_owner_may_read_it(store, home):
    assert {path.stat().st_mode & 0o777 for path in home.iterdir() if path.is_file()} == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_file_that_was_put_there_by_hand_is_made_private(store, home):
    store.close()
    (home / FILE).chmod(0o644)
    again = open_store(Settings(kirogw_home=str(home)))
    assert again.get("k", "a").value == {"n": 1}
    assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}
    again.close()


def test_a_file_that_is_locked_for_long(store, home, monkeypatch):
    monkeypatch.setattr(sqlite, "PATIENCE", 0.3)
    other = sqlite3.connect(home / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told(lambda: store.put("k", "a", {"n": 2}), str(home / FILE), "is held by another program")
    assert store.get("k", "a").value == {"n": 1}  # who reads does not wait
    other.execute("ROLLBACK")
    store.put("k", "a", {"n": 2})
    other.close()


def test_a_file_that_is_locked_for_short(store, home):
    other = sqlite3.connect(home / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    store.put("k", "a", {"n": 2})
    timer.join()
    other.close()
    assert store.get("k", "a").value == {"n": 2}


def test_a_damaged_file(store, home):
    store.append("l", [{"x": "y" * 500} for _ in range(200)])
    store.close()
    with (home / FILE).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40 * 4096)
    told(lambda: open_store(Settings(kirogw_home=str(home))).entries("l"), "is damaged; put a backup in its place")


def test_a_file_that_is_none_of_ours(home):
    home.mkdir()
    (home / FILE).write_bytes(b"something else" * 1000)
    told(lambda: open_store(Settings(kirogw_home=str(home))), "is no SQLite file; put a backup in its place")


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    told(lambda: open_store(Settings(kirogw_home=str(tmp_path / "file" / "home"))), "can not be opened: Not a directory")
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    told(lambda: open_store(Settings(kirogw_home=str(tmp_path / "folder"))), "can not be opened: Is a directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_only_be_read():
    """By somebody else, since root may do everything."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        open_store(Settings(kirogw_home=str(home))).close()
        for path, mode in ((Path(folder), 0o755), (home, 0o755), (home / FILE, 0o644)):
            path.chmod(mode)
        assert f"{home / FILE} can not be opened: Permission denied" in as_nobody(home)
        (home / FILE).chmod(0o666)
        said = as_nobody(home)  # which word it is depends on SQLite's version
        assert f"the state file {home / FILE} can not be " in said and "the gateway's user" in said


def as_nobody(home):
    """What one who may not is told, in a process that has become nobody."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        said = "nothing"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            mine = open_store(Settings(kirogw_home=str(home)))
            mine.put("k", "a", {"n": 2})
        except StoreFailed as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_full_disk(store, home):
    """A limit on the size of files stands for the end of the disk: the write fails half way."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if _fills_up(store, home) else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.get("k", "a").value == {"n": 1} and store.totals("") == {}
    store.put("k", "a", {"n": 2})


def _fills_up(store, home):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = max(path.stat().st_size for path in home.iterdir()) + 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        store.apply(amounts={f"c{n}": 1.0 for n in range(20_000)})
    except StoreFailed as error:
        said = str(error)
    else:
        return False
    return ("disk" in said and "full" in said and str(home / FILE) in said and store.totals("") == {}
            and store.get("k", "a").value == {"n": 1})  # fmt: skip


def test_a_file_that_is_taken_away(store, home):
    """Nothing is written to what nobody will find again."""
    shutil.rmtree(home)
    assert store.get("k", "a") is None
    store.put("k", "a", {"n": 2})
    other = open_store(Settings(kirogw_home=str(home)))
    assert other.get("k", "a").value == {"n": 2}
    other.close()


def test_a_value_that_is_no_json_changes_nothing(store):
    for wrong in ({"x": object()}, {"x": "\ud800"}):
        with pytest.raises(TypeError):
            store.put("k", "b", wrong)
        with pytest.raises(TypeError):
            store.apply([], amounts={"c": 1}, logs={"l": [wrong]})
    with pytest.raises(ValueError, match="an amount is infinite"):
        store.add({"a": 1, "c": float("inf")})
    assert store.all("k").keys() == {"a"} and store.totals("") == {}


# Redis


@pytest.fixture
def server():
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def test_a_server_that_is_started_anew(server, tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    store.put("k", "a", {"n": 1})
    server.stop(kill=True)
    for work in (lambda: store.get("k", "a"), lambda: store.put("k", "a", {}), lambda: store.lease("l", "me", 5)):
        told(work, f"Redis at 127.0.0.1:{server.port}/0 can not be reached; start it, or mend STATE_URL")
    server.start()
    assert store.get("k", "a").value == {"n": 1}
    server.stop()
    server.start()
    store.put("k", "a", {"n": 2})
    store.close()


def test_many_connections_survive_a_new_start(server, tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    together = threading.Barrier(8)

    def count():
        together.wait()
        store.add({"n": 1})

    for _ in range(2):
        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.stop()
        server.start()
    assert store.totals("n") == {"n": 16}
    store.close()


def test_a_server_that_is_not_there_yet(server, tmp_path, caplog):
    server.stop()
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    assert [record.getMessage() for record in caplog.records] == [
        f"Redis at 127.0.0.1:{server.port}/0 can not be reached; start it, or mend STATE_URL"]  # fmt: skip
    told(lambda: store.get("k", "a"), "can not be reached")
    server.start()
    store.put("k", "a", {"n": 1})
    assert store.get("k", "a").value == {"n": 1}
    store.close()


def test_a_server_that_does_not_answer(server, tmp_path, monkeypatch):
    monkeypatch.setattr("kirogw.store.redis.ANSWER", 0.3)
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    os.kill(server.pid, signal.SIGSTOP)
    words = f"Redis at 127.0.0.1:{server.port}/0 does not answer in time; it is tried again"
    asked = []
    monkeypatch.setattr(store, "_done", lambda work, real=store._done: (asked.append(work), real(work))[1])
    for _ in range(20):
        assert told(lambda: store.get("k", "a")) == words
    assert len(asked) < 20  # nobody waits for what has just let somebody wait
    os.kill(server.pid, signal.SIGCONT)
    assert patiently(lambda: store.put("k", "a", {})) >= 1
    assert patiently(lambda: store.get("k", "a")).value == {}
    store.close()


def patiently(work, limit=60.0):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        with contextlib.suppress(StoreFailed):
            return work()
        time.sleep(0.05)
    raise AssertionError


def test_a_machine_that_is_not_there(tmp_path, monkeypatch):
    """Packets to it are swallowed: a listener whose queue is full."""
    monkeypatch.setattr("kirogw.store.redis.CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as waiting:
        for _ in range(3):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        store = open_store(Settings(kirogw_home=str(tmp_path), state_url=url))
        told(lambda: store.get("k", "a"), "does not answer in time")
        store.close()


def test_a_password(server, tmp_path):
    server.command("CONFIG", "SET", "requirepass", "hunter2")
    url = f"redis://:{{}}@127.0.0.1:{server.port}/0"
    assert "hunter" not in told(lambda: open_store(Settings(kirogw_home=str(tmp_path), state_url=url.format("hunter3"))),
                                "does not take the password in STATE_URL")  # fmt: skip
    told(lambda: open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url)), "password")
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=url.format("hunter2")))
    assert store.place == f"Redis at 127.0.0.1:{server.port}/0"
    store.put("k", "a", {"n": 1})
    store.close()


def test_a_certificate(tmp_path):
    certs, port = Path(__file__).parents[1] / "certs", free_port()
    words = {"--tls-port": str(port), "--tls-auth-clients": "no", "--tls-ca-cert-file": str(certs / "ca.pem"),
             "--tls-cert-file": str(certs / "pictures.test.pem"), "--tls-key-file": str(certs / "pictures.test.pem")}
    url, unnamed = f"rediss://127.0.0.1:{port}/0", f"rediss://127.0.0.1:{port}/0?ssl_check_hostname=false"
    with redis_server(*(word for pair in words.items() for word in pair)):
        for wrong in (Settings(state_url=unnamed), Settings(state_url=url, ca_bundle=str(certs / "ca.pem"))):
            told(lambda wrong=wrong: open_store(wrong).get("k", "a"), "has a certificate that is not trusted; CA_BUNDLE")
        store = open_store(Settings(kirogw_home=str(tmp_path), state_url=unnamed, ca_bundle=str(certs / "ca.pem")))
        assert store.put("k", "a", {}) == 1
        store.close()


def test_a_socket_file(tmp_path):
    with redis_server("--unixsocket", str(tmp_path / "s")):
        store = open_store(Settings(kirogw_home=str(tmp_path), state_url=f"unix://{tmp_path}/s?db=3"))
        assert store.put("k", "a", {}) == 1 and store.place == f"Redis at {tmp_path}/s"
        store.close()


def test_a_full_server(server, tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    store.put("k", "a", {"n": 1})
    server.command("CONFIG", "SET", "maxmemory", "1")
    told(lambda: store.put("k", "a", {"n": 2}), "is full; give it more memory (maxmemory)")
    assert store.get("k", "a").value == {"n": 1}
    server.command("CONFIG", "SET", "maxmemory", "0")
    store.put("k", "a", {"n": 2})
    store.close()


def test_a_replica(server, tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    server.command("REPLICAOF", "127.0.0.1", "1")
    told(lambda: store.put("k", "a", {"n": 2}), "is a replica, which can not be written; STATE_URL must name the primary")
    server.command("REPLICAOF", "NO", "ONE")
    store.put("k", "a", {"n": 2})
    store.close()


def test_a_user_who_may_not(server, tmp_path):
    server.command("ACL", "SETUSER", "some", "on", ">hunter2", "~kirogw:*", "+@all", "-evalsha", "-eval")
    url = f"redis://some:hunter2@127.0.0.1:{server.port}/0"
    told(lambda: open_store(Settings(kirogw_home=str(tmp_path), state_url=url)), "does not allow the user in STATE_URL")
    server.command("ACL", "SETUSER", "some", "on", "~kirogw:*", "+@all", "-@dangerous", "+info", "+keys")  # as the docs say
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=url))
    store.apply(amounts={"a": 1}, logs={"l": [{}]})
    assert store.snapshot()["counters"] == {"a": 1} and store.lease("l", "me", 1)
    store.close()


def test_an_emptied_server_is_begun_anew(server, tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    store.put("k", "a", {"n": 1})
    server.command("FLUSHALL")
    server.command("SCRIPT", "FLUSH")
    assert store.get("k", "a") is None
    store.put("k", "a", {"n": 2})
    open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url)).close()
    assert store.get("k", "a").value == {"n": 2}
    store.close()


def test_a_write_whose_answer_was_lost_counts_once(server, tmp_path):
    """By its name; nobody else's, and only for a while."""
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    for _ in range(3):
        store.apply(amounts={"n": 1}, logs={"l": [{}]}, once="x")
    store.apply(amounts={"n": 1}, once="y")
    assert store.totals("n") == {"n": 2} and len(store.entries("l")) == 1
    assert 0 < int(server.command("TTL", "kirogw:once:x")) <= 600
    store.close()


def test_a_connection_that_is_cut_in_the_middle_loses_and_doubles_nothing(server, tmp_path):
    """Connections are killed all the time while counters, logs and versions go up."""
    store = open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url))
    end = threading.Event()

    def cut():
        while not end.is_set():
            server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(0.002)

    cutting = threading.Thread(target=cut)
    cutting.start()
    done = kept = 0
    try:
        for n in range(300):
            with contextlib.suppress(StoreFailed):
                store.apply(amounts={"n": 1}, logs={"l": [{"n": n}]}, once=f"a{n}")
                done += 1
            with contextlib.suppress(StoreFailed, Conflict):
                kept = store.put("k", "a", {"n": n})
    finally:
        end.set()
        cutting.join()
    numbers = [value["n"] for _, value in store.entries("l")]
    assert len(numbers) == len(set(numbers)) == store.totals("n")["n"] >= done > 0
    assert store.get("k", "a").version >= kept > 0
    store.close()


def test_a_server_that_forgets_is_told_of(tmp_path, caplog):
    with redis_server("--maxmemory-policy", "allkeys-lru") as server:
        open_store(Settings(kirogw_home=str(tmp_path), state_url=server.url)).close()
    place = f"Redis at 127.0.0.1:{server.port}/0"
    assert [record.getMessage() for record in caplog.records] == [
        f"{place} writes to its disk only now and then: when it ends, the newest logins and figures are lost. Set"
        " appendonly yes", f"{place} throws logins away when it is full. Set maxmemory-policy noeviction",
    ]  # fmt: skip


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(WrongSetting) as caught:
        open_store(Settings(kirogw_home=str(tmp_path), state_url="redis://127.0.0.1:1/0"))
    assert str(caught.value) == "STATE_URL is set, but the package `redis` is missing: pip install redis"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port/0", "redis://127.0.0.1:1/0?socket_timeout=soon"])
def test_an_address_that_is_none(tmp_path, url):
    with pytest.raises(WrongSetting, match=r"^STATE_URL must be a URL such as"):
        open_store(Settings(kirogw_home=str(tmp_path), state_url=url))
