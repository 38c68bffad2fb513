"""What the log and DEBUG_MODE keep of a request: enough to find a fault by, and never a secret."""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
import requests

from kirogw.twin import Twin, as_ide_file
from tests.loopback import pump, read_head, server
from tests.system.pauses import ENDLESS
from tests.system.raw import Connection, eventually
from tests.system.running import KEY, TOP, environment, running
from tests.system.talk import FACES, MODEL, PATHS, ask

BEAT = 0.2
SETTINGS = {"HEARTBEAT": BEAT}
MEMBERS = ["time", "level", "message", "request", "face", "key", "account", "provider", "model", "stream", "ms", "first_ms", "events", "tries", "outcome"]


def new_lines(gateway, before, count=1):
    """The request lines that have come since."""
    def lines():
        return [line for line in gateway.lines()[before:] if line["message"] == "request"]

    eventually(lambda: len(lines()) >= count)
    time.sleep(0.05)  # one more than expected would be wrong, too
    return lines()


@pytest.fixture
def line_of(gateway):
    """What is logged for what a function does; exactly one line."""
    def line(act):
        before = len(gateway.lines())
        act()
        (line,) = new_lines(gateway, before)
        return line

    return line


# the line


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_a_success(twin, gateway, line_of, face, stream):
    twin.script([[{"delay": 0.1, "text": "one two three"}, {"credits": 0.25}]])
    reply = []
    line = line_of(lambda: reply.append(gateway.post(PATHS[face], ask(stream=stream))))
    assert list(line)[: len(MEMBERS)] == MEMBERS
    assert line["request"] == reply[0].headers["request-id"]
    assert abs(line["time"] - time.time()) < 100
    assert line["ms"] >= line["first_ms"] >= 100
    assert (line["level"], line["face"], line["key"], line["model"], line["stream"]) == ("info", face, "main", MODEL, stream)
    assert (line["tries"], line["outcome"], line["credits"]) == (1, "end", 0.25)
    assert line["events"] >= 5 and line["in"] > 0 and line["out"] > 0
    assert line["account"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_a_second_try(twin, gateway, line_of, face, stream):
    twin.faults.add("high_load")
    line = line_of(lambda: gateway.post(PATHS[face], ask(stream=stream)))
    assert (line["tries"], line["outcome"]) == (2, "end")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_a_refusal_of_the_upstream(twin, gateway, line_of, face, stream):
    twin.faults.add("CONTENT_LENGTH_EXCEEDS_THRESHOLD", count=None)
    line = line_of(lambda: gateway.post(PATHS[face], ask(stream=stream)))
    assert (line["outcome"], line["events"], line["first_ms"]) == ("TooLong 400", 0, None)
    assert line["model"] == MODEL and line["account"]
    assert line["upstream"], "Kiro's own id of the request is what its support asks for"


@pytest.mark.parametrize("face", FACES)
def test_a_break_in_the_middle(twin, gateway, line_of, pauses, face):
    twin.script([{"steps": [{"text": "one two three four five six", "pace": 0.01}], "repeat": True}])
    twin.faults.add("cut_reset", cut=700, count=None)

    def read():
        with pauses.until(lambda data: b"one " in data) as hear, Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask(stream=True))
            connection.head()
            connection.whole(hear)

    line = line_of(read)
    assert line["outcome"].endswith(" in-band")
    assert line["events"] >= 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_a_client_that_left(twin, gateway, line_of, face, stream):
    twin.script([[{"text": "first "}, {"delay": ENDLESS, "text": "never"}]])

    def leave():
        with Connection(gateway.url) as connection:
            connection.send("POST", PATHS[face], ask(stream=stream))
            assert eventually(lambda: twin.seen() and twin.seen()[0].frames >= 2)

    line = line_of(leave)
    assert (line["outcome"], line["stream"]) == ("client left", stream)


@pytest.mark.parametrize(("body", "outcome"), [
    (b"{", "BadRequest 400"), (ask(messages=5), "BadRequest 400"), (ask(previous_response_id="resp_1", messages=[]), "BadRequest 400"),
])  # fmt: skip
def test_a_bad_request(gateway, line_of, body, outcome):
    def send():
        with Connection(gateway.url) as connection:
            connection.send("POST", PATHS["chat"], body)
            connection.head()

    line = line_of(send)
    assert (line["outcome"], line["face"], line["key"], line["tries"]) == (outcome, "chat", "main", 0)


OTHERS = [
    pytest.param("POST", PATHS["messages"], "wrong", "messages", "", "WrongKey 401", id="wrong key"),
    pytest.param("GET", "/v1/models", "", "chat", "", "WrongKey 401", id="no key"),
    pytest.param("GET", "/v1/models", KEY, "chat", "main", "200", id="models"),
    pytest.param("POST", "/v1/nowhere", KEY, "chat", "", "NotFound 404", id="unknown route"),
    pytest.param("PUT", PATHS["messages"], KEY, "messages", "", "WrongMethod 405", id="unknown method"),
]


@pytest.mark.parametrize(("method", "path", "key", "face", "name", "outcome"), OTHERS)
def test_other_requests_have_their_line_too(gateway, line_of, method, path, key, face, name, outcome):
    """Whoever tries keys is to be seen."""
    def send():
        with Connection(gateway.url) as connection:
            connection.send(method, path, key=key)
            connection.head()

    line = line_of(send)
    assert (line["face"], line["key"], line["outcome"]) == (face, name, outcome)


def test_a_body_that_is_too_large_has_its_line(line_of):
    with Twin(accounts=["api_key"]) as twin, running(twin, MAX_BODY_BYTES=2000) as gateway:
        assert gateway.post(PATHS["chat"], ask("x" * 3000)).status_code == 413
        (line,) = new_lines(gateway, 0)
        assert line["outcome"] == "BodyTooLarge 413"


def test_probes_leave_no_line(gateway):
    before = len(gateway.lines())
    for path in ("/", "/health", "/ready"):
        gateway.get(path)
    gateway.get("/v1/models")
    assert len(new_lines(gateway, before)) == 1


def test_a_terminal_gets_text():
    with Twin(accounts=["api_key"]) as twin, running(twin, LOG_FORMAT="text") as gateway:
        gateway.post(PATHS["chat"], ask())
        assert eventually(lambda: "outcome=end" in gateway.log.read_text())
        line = next(line for line in gateway.log.read_text().splitlines() if "outcome=end" in line)
        assert " info    request " in line and f"model={MODEL}" in line and "key=main" in line


def test_elsewhere_than_on_a_terminal_it_is_json():
    with Twin(accounts=["api_key"]) as twin, running(twin, LOG_FORMAT=None) as gateway:
        gateway.post(PATHS["chat"], ask())
        assert len(new_lines(gateway, 0)) == 1


def test_on_a_terminal_it_is_text(tmp_path):
    with Twin(accounts=["api_key"]) as twin:
        ours, theirs = os.openpty()
        given = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "SERVER_PORT": 0, "LOG_FORMAT": None}
        command = [sys.executable, str(TOP / "kirogw.py")]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path, given), stdout=subprocess.PIPE, stderr=theirs, text=True)
        try:
            url = process.stdout.readline().split()[-1]
            headers = {"x-api-key": KEY}
            assert requests.post(url + PATHS["chat"], json=ask(), headers=headers, timeout=100).status_code == 200
            said = b""
            while b"outcome=end" not in said:
                said += os.read(ours, 4096)
        finally:
            process.terminate()
            process.wait(100)
            process.stdout.close()
            os.close(ours)
            os.close(theirs)


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
def test_levels(level, lines):
    with Twin(accounts=["api_key"]) as twin, running(twin, LOG_LEVEL=level) as gateway:
        gateway.post(PATHS["chat"], ask())
        time.sleep(0.2)
        assert len(new_lines(gateway, 0, lines)) == lines


# DEBUG_MODE


def folders(gateway):
    """Those that are whole: the answer is written last."""
    answers = (gateway.home / ".kirogw/debug").glob("*/answer.txt")
    return sorted(answer.parent for answer in answers if answer.stat().st_size)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextlib.contextmanager
def debugging(mode, **more):
    with Twin(accounts=["api_key"]) as twin, running(twin, DEBUG_MODE=mode, HEARTBEAT=BEAT, **more) as gateway:
        yield twin, gateway


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_mode_all_keeps_everything(face, stream):
    with debugging("all") as (twin, gateway):
        twin.script([[{"text": "the answer of it"}]])
        reply = gateway.post(PATHS[face], ask("what is asked", stream=stream))
        assert eventually(lambda: folders(gateway))
        (folder,) = folders(gateway)
        assert folder.name.endswith(reply.headers["request-id"])
        kept = contents(folder)
        assert kept["request.txt"].startswith(f"POST {PATHS[face]}".encode()) and b"what is asked" in kept["request.txt"]
        assert b"what is asked" in kept["upstream-1-request.txt"]
        assert b"assistantResponseEvent" in kept["upstream-1-answer.bin"]
        assert kept["answer.txt"] == reply.content
        assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_mode_errors_keeps_failures_only():
    with debugging("errors") as (twin, gateway):
        twin.script([{"steps": [{"text": "one two three four five six", "pace": 0.01}], "repeat": True}])
        for stream in (True, False):
            assert gateway.post(PATHS["chat"], ask(stream=stream)).status_code == 200
        assert folders(gateway) == []
        failures = []
        for fault, stream in (("CONTENT_LENGTH_EXCEEDS_THRESHOLD", False), ("CONTENT_LENGTH_EXCEEDS_THRESHOLD", True), ("cut_reset", True)):
            twin.faults.clear()
            twin.faults.add(fault, count=None, **({"cut": 700} if fault == "cut_reset" else {}))
            failures.append(gateway.post(PATHS["messages"], ask(stream=stream)))
        failures.append(gateway.post(PATHS["chat"], ask(messages=5)))
        assert eventually(lambda: len(folders(gateway)) == 4)
        kept = {folder.name.rpartition("-")[2]: contents(folder)["answer.txt"] for folder in folders(gateway)}
        assert kept == {reply.headers["request-id"]: reply.content for reply in failures}


def test_what_the_upstream_said_when_it_refused_is_kept():
    with debugging("errors") as (twin, gateway):
        twin.faults.add("bedrock", count=None)
        gateway.post(PATHS["messages"], ask())
        assert eventually(lambda: folders(gateway))
        kept = contents(folders(gateway)[0])
        answers = b"".join(data for name, data in kept.items() if name.startswith("upstream-1-answer"))
        assert b"400" in answers and b"x-amzn-requestid" in answers
        assert b"tool_use` ids were found without" in answers


def test_each_try_is_kept():
    with debugging("all") as (twin, gateway):
        twin.faults.add("high_load", count=1)
        gateway.post(PATHS["chat"], ask())
        assert eventually(lambda: folders(gateway))
        kept = contents(folders(gateway)[0])
        assert {"upstream-1-request.txt", "upstream-2-request.txt", "upstream-2-answer.bin"} <= set(kept)
        assert b"high load" in b"".join(data for name, data in kept.items() if name.startswith("upstream-1-answer"))


def test_the_rules_that_changed_something_are_named():
    with debugging("all") as (_, gateway):
        said = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One,"}]
        gateway.post(PATHS["messages"], ask(messages=said))
        assert eventually(lambda: folders(gateway))
        assert b"the_user_ends" in contents(folders(gateway)[0])["upstream-1-rules.txt"].splitlines()


def test_mode_off_keeps_nothing():
    with debugging("off") as (twin, gateway):
        twin.faults.add("bedrock", count=None)
        gateway.post(PATHS["messages"], ask())
        assert not (gateway.home / ".kirogw/debug").exists()


# secrets


PASSWORD = "pa55-word-of-the-proxy"
PLAIN_KEY = "no-prefix-tells-that-this-is-a-key"


@contextlib.contextmanager
def proxy():
    """An HTTP proxy of absolute URLs that wants a password."""
    wanted = base64.b64encode(f"somebody:{PASSWORD}".encode())

    used = []

    def handle(connection):
        head, rest = read_head(connection)
        used.append(head)
        if wanted not in head:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        to = urlsplit(head.split()[1].decode())
        with socket.create_connection((to.hostname, to.port)) as upstream:
            upstream.sendall(head + b"\r\n\r\n" + rest)
            pump(connection, upstream)

    with server(handle) as port:
        yield f"http://somebody:{PASSWORD}@127.0.0.1:{port}", port
    assert used


def everything_written(home, gateway):
    """All that the gateway has written where a stranger may look: the log and the debug folders."""
    files = [gateway.log, *(path for path in (home / ".kirogw/debug").rglob("*") if path.is_file())]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def provoke(twin, gateway):
    """Successes and failures of many kinds."""
    for face in FACES:
        for stream in (True, False):
            gateway.post(PATHS[face], ask(stream=stream))
            gateway.post(PATHS[face], ask(stream=stream), headers={"x-api-key": gateway.headers["Authorization"][7:]})
            gateway.post(PATHS[face] + f"?api_key={gateway.headers['Authorization'][7:]}", ask(stream=stream))
            for fault in ("bearer_invalid", "bedrock", "cut_reset", "reset", "html_for_stream", "exception_frame"):
                twin.faults.add(fault, count=None)
                gateway.post(PATHS[face], ask(stream=stream))
                twin.faults.clear()
    gateway.post(PATHS["chat"], ask(), headers={"Authorization": "Bearer almost-" + gateway.headers["Authorization"][7:]})
    twin.faults.add("", status=400, body=json.dumps({"message": f"bad token {twin.account.access_token} for {twin.account.refresh_token}"}))
    gateway.post(PATHS["chat"], ask())
    twin.accounts.expire()
    twin.faults.add("invalid_grant", body=json.dumps({"error": "invalid_grant", "refreshToken": twin.account.refresh_token}))
    gateway.post(PATHS["messages"], ask())
    twin.faults.add("refresh_broken", count=None, body=f"refresh token {twin.account.refresh_token} went wrong")
    gateway.post(PATHS["messages"], ask())


@pytest.mark.parametrize("mode", ["off", "errors", "all"])
@pytest.mark.parametrize("kind", ["social", "idc"])
def test_no_secret_is_ever_written(tmp_path, kind, mode):
    with Twin(accounts=[kind]) as twin, proxy() as (address, _):
        account = twin.account
        secrets = [PLAIN_KEY, PASSWORD, account.client_secret or account.refresh_token]
        place = tmp_path / ".aws/sso/cache/kiro-auth-token.json"
        place.parent.mkdir(parents=True)
        members = as_ide_file(account, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3000)))
        place.write_text(json.dumps(members))
        if name := members.get("clientIdHash"):
            (place.parent / f"{name}.json").write_text(json.dumps({"clientId": account.client_id, "clientSecret": account.client_secret}))
        given = {"PROXY_API_KEY": PLAIN_KEY, "VPN_PROXY_URL": address, "NO_PROXY": None, "DEBUG_MODE": mode, "LOG_LEVEL": "debug", "HEARTBEAT": BEAT}
        with running(twin, home=tmp_path, **given) as gateway:
            gateway.headers = {"Authorization": f"Bearer {PLAIN_KEY}"}
            secrets += [account.access_token, account.refresh_token]
            provoke(twin, gateway)
            secrets += [account.access_token, account.refresh_token]
            gateway.stop()
        written = everything_written(tmp_path, gateway)
    assert (len(written) > 1) == (mode != "off")
    assert len(written["log.txt"]) > 1000
    for secret in set(secrets):
        assert [name for name, data in written.items() if secret.encode() in data] == []


def test_the_proxys_password_is_in_no_error(tmp_path):
    with Twin(accounts=["api_key"]) as twin, proxy() as (_, port):
        wrong = f"http://somebody:{PASSWORD}-wrong@127.0.0.1:{port}"
        closed = f"http://somebody:{PASSWORD}@127.0.0.1:1"
        for address in (wrong, closed):
            with running(twin, home=tmp_path, VPN_PROXY_URL=address, LOG_LEVEL="debug", DEBUG_MODE="all") as gateway:
                for face in FACES:
                    reply = gateway.post(PATHS[face], ask())
                    assert reply.status_code >= 400
                    assert PASSWORD not in reply.text
                assert not any(PASSWORD.encode() in data for data in everything_written(tmp_path, gateway).values())
