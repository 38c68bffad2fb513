"""The first start and those after it: the demo, the key, accounts that are found, settings from three places."""

import json
import os
import re
import resource
import runpy
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import requests

from kirogw.settings import FIELDS
from kirogw.twin import Twin, as_ide_file
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.system.raw import eventually
from tests.system.running import GUNICORN, KEY, TOP, environment, running
from tests.system.talk import FACES, PATHS, ask, events, failure, text, whole_text

SCRIPT = [sys.executable, str(TOP / "kirogw.py")]
BARE = {"PROXY_API_KEY": None, "KIROGW_HOME": None}  # what a newcomer has


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def run(home, *words, command=SCRIPT, **settings):
    """A start that ends by itself."""
    return subprocess.run([*command, *words], cwd=home, env=environment(home, settings), capture_output=True, text=True, timeout=100)


def codex_file(path, twin):
    """The login of the twin's account, as Codex CLI keeps it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(as_codex_file(twin.account, "2026-11-20T10:00:00.000000Z")))
    path.chmod(0o600)
    return str(path)


def key_in(text):
    return re.search(r"kgw_[\w-]{40,}", text).group()


# the first start


def test_the_first_start_gives_a_newcomer_an_answer(tmp_path):
    with running(home=tmp_path, **BARE) as gateway:
        said = gateway.log.read_text()
        assert said.startswith("DEMO: the answers come from a built-in simulator")
        assert said.rstrip().endswith(f"kirogw listens on {gateway.url}")
        key = key_in(said)
        for words in ("ANTHROPIC_BASE_URL=" + gateway.url, "OPENAI_BASE_URL=" + gateway.url + "/v1", "claude --model", "opencode", "Codex"):
            assert words.lower() in said.lower()
        kept = tmp_path / ".kirogw"
        assert (mode(kept), mode(kept / "key"), (kept / "key").read_text()) == (0o700, 0o600, key + "\n")
        assert gateway.get("/health", {}).json()["demo"] is True
        gateway.headers = {"Authorization": f"Bearer {key}"}
        for face in FACES:
            answer = whole_text(face, gateway.post(PATHS[face], ask("Hello there")).json())
            assert "demo" in answer and "Hello there" in answer
            assert "demo" in text(face, gateway.post(PATHS[face], ask(stream=True)).content)


def test_the_demo_goes_through_no_proxy(tmp_path):
    away = dict.fromkeys(("http_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    with running(home=tmp_path, NO_PROXY="example.org", **away) as gateway:
        assert "demo" in whole_text("chat", gateway.post(PATHS["chat"], ask()).json())


def test_the_printed_curl_command_works(tmp_path):
    with running(home=tmp_path, **BARE) as gateway:
        printed = re.search(r"curl (.*?)'\n", gateway.log.read_text(), re.S).group()
        words = shlex.split(printed.replace("\\\n", " "))
        url = next(word for word in words if word.startswith("http"))
        headers = dict(value.split(": ") for flag, value in pairwise(words) if flag == "-H")
        reply = requests.post(url, data=words[words.index("-d") + 1], headers=headers, timeout=100)
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert events(reply.content)[-1] == "[DONE]"
        assert "demo" in text("chat", reply.content)


def test_the_key_is_shown_once(tmp_path):
    with running(home=tmp_path, **BARE) as gateway:
        key = key_in(gateway.log.read_text())
    with running(home=tmp_path, **BARE) as gateway:
        said = gateway.log.read_text()
        assert key not in said and "kgw_" not in said
        assert f"kirogw listens on {gateway.url}" in said
        assert gateway.get("/v1/models", {"Authorization": f"Bearer {key}"}).status_code == 200
        assert gateway.get("/v1/models").status_code == 401
    assert run(tmp_path, "key", **BARE).stdout == key + "\n"


def test_a_key_that_is_set_is_not_shown_and_none_is_made(tmp_path):
    with running(home=tmp_path, KIROGW_HOME=None) as gateway:
        assert KEY not in gateway.log.read_text()
        assert gateway.get("/v1/models").status_code == 200
    assert not (tmp_path / ".kirogw/key").exists()


def test_the_home_is_closed_to_others_even_if_it_was_open(tmp_path):
    (tmp_path / ".kirogw").mkdir(mode=0o755)
    with running(home=tmp_path, **BARE):
        assert mode(tmp_path / ".kirogw") == 0o700


def test_several_workers_make_one_key(tmp_path):
    with running(home=tmp_path, command=GUNICORN, SERVER_WORKERS=4, **BARE) as gateway:
        key = (tmp_path / ".kirogw/key").read_text().strip()
        assert {gateway.get("/v1/models", {"x-api-key": key, "Authorization": ""}).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_demo_upstream_ends_with_the_gateway(tmp_path, how):
    with running(home=tmp_path, **BARE) as gateway:
        children = gateway.workers()
        assert len(children) == 2
        gateway.stop(how)
        assert eventually(lambda: not any(alive(child) for child in children))


def alive(process):
    try:
        return "\nState:\tZ" not in open(f"/proc/{process}/status").read()
    except OSError:
        return False


def test_the_flag_brings_the_demo_although_there_is_an_account(tmp_path):
    with Twin(accounts=["api_key"]) as twin, running(twin, home=tmp_path, command=[*SCRIPT, "--demo"]) as gateway:
        assert gateway.get("/health").json()["demo"] is True
        assert "demo" in whole_text("chat", gateway.post(PATHS["chat"], ask()).json())
        assert twin.requests == []


def test_the_demo_leaves_the_login_of_codex_cli_alone(tmp_path):
    with CodexTwin(accounts=["codex"]) as twin:
        named = {"CODEX_AUTH_FILE": codex_file(tmp_path / "named.json", twin), **twin.settings()}
        with running(home=tmp_path, command=[*SCRIPT, "--demo"], **named) as gateway:
            assert [account["kind"] for account in gateway.get("/health").json()["accounts"]] == ["key"]
            assert "demo" in whole_text("chat", gateway.post(PATHS["chat"], ask()).json())
        assert not twin.requests


@pytest.mark.parametrize("way", ["followed", "in the store"])
def test_what_is_printed_first_works_on_a_chatgpt_plan(tmp_path, way):
    with CodexTwin(accounts=["codex"]) as twin:
        file = codex_file(tmp_path / ".codex" / "auth.json", twin)
        if way == "in the store":
            assert run(tmp_path, "accounts", "import", file, **BARE).returncode == 0
            (tmp_path / ".codex" / "auth.json").unlink()
        with running(home=tmp_path, **BARE, **twin.settings()) as gateway:
            said = gateway.log.read_text()
            model = re.search(r"claude --model (\S+)", said).group(1)
            answer = requests.post(gateway.url + PATHS["messages"], json={**ask(), "model": model}, headers={"x-api-key": key_in(said)}, timeout=100)
            assert answer.status_code == 200, answer.text


def test_gunicorn_never_falls_back_to_the_demo(tmp_path):
    with running(home=tmp_path, command=GUNICORN) as gateway:
        assert "DEMO" not in gateway.log.read_text()
        health = gateway.get("/health").json()
        assert (health["demo"], health["accounts"]) == (False, [])
        assert gateway.get("/ready").status_code == 503
        for face in FACES:
            for stream in (True, False):
                reply = gateway.post(PATHS[face], ask(stream=stream))
                assert reply.status_code == 403
                error = reply.json()["error"]
                assert error["type"] == "permission_error"
                assert "no account is set up: run `kirogw.py login kiro`" in error["message"]


def test_the_simulator_alone_is_an_upstream_too(tmp_path):
    """`python kirogw.py twin`, and a gateway told to use it by the settings that it prints."""
    command = [*SCRIPT, "twin", "--port", "0", "--accounts", "api_key", "--pace", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path, {}), stdout=subprocess.PIPE, text=True)
    try:
        _, url, _, token, *_ = process.stdout.readline().split()
        hosts = dict.fromkeys(("KIRO_RUNTIME_URLS", "KIRO_CONTROL_URLS", "KIRO_AUTH_URL", "AWS_OIDC_URL"), url)
        with running(home=tmp_path, command=GUNICORN, KIRO_API_KEY=token, **hosts) as gateway:
            assert "Sign in" in whole_text("messages", gateway.post(PATHS["messages"], ask()).json())
            assert gateway.get("/health").json()["demo"] is False
    finally:
        process.terminate()
        process.wait(100)
        process.stdout.close()


# port and host


@pytest.mark.parametrize(("host", "said"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")])
def test_a_free_port_is_found_and_told(tmp_path, host, said):
    command = [*SCRIPT, "--port", "0", "--host", host]
    with Twin(accounts=["api_key"]) as twin, running(twin, home=tmp_path, command=command, wait=False, SERVER_PORT=1) as gateway:
        line = re.compile(rf"kirogw listens on (http://{re.escape(said)}:([1-9]\d+))\n")
        assert eventually(lambda: line.search(gateway.log.read_text()))
        gateway.url = line.search(gateway.log.read_text()).group(1)
        assert gateway.get("/ready").status_code == 200


def test_a_port_that_is_taken_is_told(tmp_path):
    with running(home=tmp_path) as gateway:
        second = run(tmp_path, "--port", gateway.url.rpartition(":")[2])
        assert second.returncode == 2
        assert len(second.stderr.splitlines()) == 1 and "in use" in second.stderr and "--port" in second.stderr
        assert "listens" not in second.stdout
        assert gateway.get("/health").status_code == 200


# settings


WRONG = [
    pytest.param({"SERVER_PORT": "many"}, (), "SERVER_PORT is 'many', but must be a whole number", id="no number"),
    pytest.param({"SERVER_PORT": "70000"}, (), "SERVER_PORT is 70000, but must be at most 65535", id="too high"),
    pytest.param({"LOG_LEVEL": "loud"}, (), "LOG_LEVEL is 'loud', but must be one of debug, info, warning, error", id="no choice"),
    pytest.param({}, ("--workers", "0"), "SERVER_WORKERS is 0, but must be at least 1", id="flag"),
    pytest.param({"KIRO_REGION": "Frankfurt"}, (), "KIRO_REGION is 'Frankfurt', but a region looks like us-east-1", id="region"),
    pytest.param({"VPN_PROXY_URL": "http://user:hunter2@:x"}, (), "VPN_PROXY_URL must be a URL like http://user:password@host:port or socks5h://host:port", id="proxy"),
    pytest.param({"KIROGW_HOME": "/dev/null"}, (), "KIROGW_HOME is '/dev/null', but that can not be used: File exists", id="home"),
]


@pytest.mark.parametrize(("settings", "words", "line"), WRONG)
def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path, settings, words, line):
    ended = run(tmp_path, *words, **settings)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"kirogw: {line}\n")


def test_a_wrong_setting_stops_gunicorn_with_one_line(tmp_path):
    ended = run(tmp_path, command=GUNICORN, HEARTBEAT="often")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "kirogw: HEARTBEAT is 'often', but must be a number\n")


def test_a_wrong_setting_in_the_env_file_is_named_too(tmp_path):
    (tmp_path / ".env").write_text("MAX_BODY_BYTES=1\n")
    assert run(tmp_path).stderr == "kirogw: MAX_BODY_BYTES is 1, but must be at least 1024\n"


PLACES = [
    # .env, environment, command line, workers
    pytest.param(None, None, None, 1, id="default"),
    pytest.param(3, None, None, 3, id="env file"),
    pytest.param(3, 2, None, 2, id="environment"),
    pytest.param(3, 2, 4, 4, id="command line"),
]


@pytest.mark.parametrize(("file", "environ", "flag", "workers"), PLACES)
def test_precedence(tmp_path, file, environ, flag, workers):
    if file:
        (tmp_path / ".env").write_text(f"# how many\nexport SERVER_WORKERS='{file}'\n")
    command = SCRIPT if flag is None else [*SCRIPT, "serve", "--workers", str(flag)]
    with Twin(accounts=["api_key"]) as twin, running(twin, home=tmp_path, command=command, SERVER_WORKERS=environ) as gateway:
        assert eventually(lambda: len(gateway.workers()) == workers), "they are made one after the other"
        assert gateway.get("/ready").status_code == 200


def test_help_tells_every_setting(tmp_path):
    ended = run(tmp_path, "--help")
    assert ended.returncode == 0
    assert [field.name.upper() for field in FIELDS if f"  {field.name.upper()}\n" not in ended.stdout] == []
    assert all(field.metadata["flag"] in ended.stdout for field in FIELDS if field.metadata["flag"])


def test_version(tmp_path):
    ended = run(tmp_path, "--version")
    assert (ended.returncode, ended.stdout.split()[0]) == (0, "kirogw")


def test_settings_in_force_hide_secrets(tmp_path):
    ended = run(tmp_path, "settings", KIRO_API_KEY="ksk_a-secret", VPN_PROXY_URL="http://u:hunter2@127.0.0.1:1")
    assert ended.returncode == 0
    assert "KIRO_API_KEY=(set)\n" in ended.stdout and "VPN_PROXY_URL=(set)\n" in ended.stdout
    assert "ksk_" not in ended.stdout and "hunter2" not in ended.stdout and KEY not in ended.stdout


# accounts that lie about


def later(seconds=3000):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


def put_ide_file(home, account, expires_at):
    folder = home / ".aws/sso/cache"
    folder.mkdir(parents=True)
    members = as_ide_file(account, expires_at)
    (folder / "kiro-auth-token.json").write_text(json.dumps(members))
    if name := members.get("clientIdHash"):
        client = {"clientId": account.client_id, "clientSecret": account.client_secret, "expiresAt": later(86400)}
        (folder / f"{name}.json").write_text(json.dumps(client))
    return folder / "kiro-auth-token.json"


def put_database(path, rows):
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)")
        database.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB)")
        database.executemany("INSERT INTO auth_kv VALUES (?, ?)", [(key, json.dumps(value)) for key, value in rows.items()])
    database.close()


def rows_of(account, expires_at):
    token = {"access_token": account.access_token, "refresh_token": account.refresh_token, "expires_at": expires_at}
    if account.kind == "social":
        return {"kirocli:social:token": {**token, "profile_arn": account.profile_arn, "provider": "google"}}
    client = {"client_id": account.client_id, "client_secret": account.client_secret, "region": account.sso_region}
    return {
        "kirocli:odic:token": {**token, "region": account.sso_region, "start_url": account.start_url},
        "kirocli:odic:device-registration": client,
    }


def serves(twin, gateway, kind):
    health = gateway.get("/health").json()
    assert (health["demo"], [account["kind"] for account in health["accounts"]]) == (False, [kind])
    for face in FACES:
        reply = gateway.post(PATHS[face], ask("Are you there?"))
        assert (reply.status_code, failure(reply.content)) == (200, None)
        assert "Are you there?" in whole_text(face, reply.json())
    assert "DEMO" not in gateway.log.read_text()
    assert twin.denials == [] and twin.refusals == []


KINDS = ["social", "idc", "builder", "external"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_ides_file_is_found(tmp_path, kind):
    with Twin(accounts=[kind]) as twin:
        put_ide_file(tmp_path, twin.account, later())
        with running(twin, home=tmp_path) as gateway:
            serves(twin, gateway, kind)
        assert twin.ledger.redeemed == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_login_that_has_run_out_is_renewed_and_written_back(tmp_path, kind):
    with Twin(accounts=[kind]) as twin:
        twin.accounts.expire()
        file = put_ide_file(tmp_path, twin.account, later(-100))
        before = json.loads(file.read_text())
        with running(twin, home=tmp_path) as gateway:
            serves(twin, gateway, kind)
        after = json.loads(file.read_text())
        assert (twin.ledger.redeemed, twin.ledger.reuses) == (1, 0)
        assert after["refreshToken"] == twin.account.refresh_token != before["refreshToken"]
        assert after["accessToken"] == twin.account.access_token
        assert set(after) >= set(before)
        assert mode(file) == 0o600


@pytest.mark.parametrize("folder", ["kiro-cli", "amazon-q"])
@pytest.mark.parametrize("kind", ["social", "idc", "builder"])
def test_the_command_lines_database_is_found(tmp_path, kind, folder):
    """Whose an Identity Center login is, is told by where it was made: Builder IDs have a start URL of their own."""
    urls = {"idc": {"start_url": "https://an-office.awsapps.com/start"}}
    with Twin(accounts=[{"kind": kind, **urls.get(kind, {})}]) as twin:
        twin.accounts.expire()
        path = tmp_path / ".local/share" / folder / "data.sqlite3"
        put_database(path, rows_of(twin.account, later(-100)))
        with running(twin, home=tmp_path) as gateway:
            serves(twin, gateway, kind)
        assert (twin.ledger.redeemed, twin.ledger.reuses) == (1, 0)
        with sqlite3.connect(path) as database:
            (value,) = database.execute("SELECT value FROM auth_kv WHERE key LIKE '%token'").fetchone()
        assert json.loads(value)["refresh_token"] == twin.account.refresh_token


def test_accounts_that_are_set_win_over_those_that_lie_about(tmp_path):
    with Twin(accounts=["api_key", "social"]) as twin:
        put_ide_file(tmp_path, twin.accounts.all["social-2"], later())
        with running(twin, home=tmp_path) as gateway:
            serves(twin, gateway, "key")


@pytest.mark.parametrize("name", ["KIRO_CREDS_FILE", "KIRO_CLI_DB_FILE", "REFRESH_TOKEN"])
def test_accounts_by_setting(tmp_path, name):
    with Twin(accounts=["social"]) as twin:
        elsewhere = tmp_path / "elsewhere"
        if name == "KIRO_CREDS_FILE":
            value = put_ide_file(elsewhere, twin.account, later())
        elif name == "KIRO_CLI_DB_FILE":
            value = elsewhere / "data.sqlite3"
            put_database(value, rows_of(twin.account, later()))
        else:
            value = twin.account.refresh_token
        with running(twin, home=tmp_path, **{name: value}) as gateway:
            serves(twin, gateway, "social")


def test_a_home_directory_is_written_with_a_tilde(tmp_path):
    with Twin(accounts=["social"]) as twin:
        put_ide_file(tmp_path / "mine", twin.account, later())
        settings = {"KIRO_CREDS_FILE": "~/mine/.aws/sso/cache/kiro-auth-token.json", "KIROGW_HOME": "~/data"}
        with running(twin, home=tmp_path, **settings) as gateway:
            serves(twin, gateway, "social")
        assert (tmp_path / "data").is_dir()


def test_nothing_is_left_in_the_home_but_the_gateways_own_folder(tmp_path):
    with running(home=tmp_path, **BARE) as gateway:
        gateway.post(PATHS["chat"], ask())
    assert sorted(os.listdir(tmp_path)) == [".kirogw", "log.txt"]


def test_a_limit_of_open_files_that_the_system_does_not_mean(tmp_path, monkeypatch):
    """macOS says that the hard limit is infinite, and refuses it as a soft one."""
    took = []

    def set_limit(which, limits):
        if limits[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")
        took.append(limits[0])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    conf = runpy.run_path(str(TOP / "gunicorn.conf.py"))
    assert took == [10_240] and conf["worker_class"] == "kirogw.outset.Outset"
