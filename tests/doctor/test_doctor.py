"""The doctor: each thing it looks at, once well and once broken in just that way."""

import contextlib
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from kirogw import __version__, cli, create_app
from kirogw.auth import Logins
from kirogw.doctor import Finding, Patient, examine, machine, network, worst
from kirogw.logins.named import Register, Terms
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.transport import Transport
from kirogw.twin import Twin
from kirogw.twin.kiro.accounts import KINDS
from tests.logins.support import stamp, write_database, write_ide_file
from tests.loopback import read_head, server
from tests.system.running import TOP, environment, free_port

SOON = 3000.0


@pytest.fixture(scope="module")
def whole():
    with Twin(accounts=["api_key", "social"]) as twin:
        yield twin


@pytest.fixture
def twin(whole):
    whole.reset()
    yield whole
    whole.options.ahead = 0.0
    for account in whole.accounts.all.values():
        account.suspended = account.banned = account.overage = False
        account.used = 0.0


@pytest.fixture
def patient(twin, folder):
    """Somebody well, but for what a test gives."""
    stores = []

    def made(settings=None, **more):
        usual = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "SERVER_PORT": 0}
        given = load(environ=environment(folder, {**usual, **(settings or {})}), env_file=None)
        stores.append(Patient(given, Transport(given), user=folder, **{"systemd": folder / "none", **more}))
        return stores[-1]

    yield made
    for one in stores:
        if one.store:
            one.store.close()


@pytest.fixture
def look(patient):
    """What is found of one check: [(level, said, mend)]."""

    def looked(check, settings=None, seconds=100.0, **more):
        found = examine(patient(settings, **more), seconds)
        return [(one.level, one.said, one.mend) for one in found if one.check == check or one.check.startswith(check + " ")]

    return looked


def test_who_is_well_hears_nothing_else(patient):
    found = examine(patient())
    assert {one.level for one in found} == {"ok"} and worst(found) == 0 and not any(one.mend for one in found)
    checks = {one.check.split()[0] for one in found}
    assert checks == {"python", "settings", "home", "disk", "store", "port", "service", "proxy", "hosts", "clock", "account"}


def test_offline_nobody_is_asked(patient, twin):
    found = examine(patient(offline=True))
    assert not twin.requests and worst(found) == 0
    assert {one.check.split()[0] for one in found} & {"proxy", "hosts", "dns", "clock"} == set()


# this machine


def test_python(look, monkeypatch):
    assert look("python") == [("ok", f"Python {'.'.join(map(str, os.sys.version_info[:3]))}, kirogw {__version__}", "")]
    ((level, said, mend),) = look("python", python=(3, 10, 9))
    assert level == "fail" and "3.10.9 is older than 3.11" in said and "install Python" in mend
    monkeypatch.setattr(machine, "NEEDED", ("flask", "no_such_package"))
    ((level, said, mend),) = look("python")
    assert level == "fail" and said.endswith("lacks no_such_package") and "requirements.txt" in mend


def test_python_lacks_only_what_is_installed_for_it():
    installed = (TOP / "requirements.txt").read_text()
    assert {*machine.NEEDED, "gunicorn"} == set(re.findall(r"^[a-z0-9]+", installed, re.MULTILINE))


@pytest.mark.parametrize(("mode", "text", "level"), [
    (0o600, "KIRO_API_KEY=ksk_secret123", "ok"), (0o644, "KIRO_API_KEY=ksk_secret123", "warn"), (0o644, "LOG_LEVEL=info", "ok"),
    (0o600, b"\xff\xfe\xff", "fail"),
])  # fmt: skip
def test_the_settings_file(look, folder, mode, text, level):
    (folder / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / ".env").chmod(mode)
    ((found, said, mend),) = look("settings")
    assert found == level and "ksk_secret" not in said
    assert {"warn": f"chmod 600 {folder}/.env", "fail": "correct or remove that file", "ok": ""}[level] == mend


def test_home(look, folder):
    home = folder / ".kirogw"
    ((level, said, _),) = look("home")
    assert level == "ok" and str(home) in said
    home.chmod(0o755)
    (home / "key").write_text("x")
    (home / "key").chmod(0o644)
    assert look("home", offline=True) == [
        ("fail", f"{home} can be entered by other users (0755)", f"chmod 700 {home}"),
        ("fail", f"{home}/key can be read by other users (0644)", f"chmod 600 {home}/key"),
    ]
    home.chmod(0o700)
    assert look("home", offline=True) == [("warn", f"{home}/key can be read by other users (0644)", f"chmod 600 {home}/key")]


def test_a_home_that_is_none(look, folder):
    (folder / "file").write_text("")
    assert look("home", {"KIROGW_HOME": folder / "file"}) == [
        ("fail", f"KIROGW_HOME is {folder}/file, which is no folder", "set KIROGW_HOME to a folder")
    ]
    assert look("home", {"KIROGW_HOME": folder / "new"}) == [("ok", f"{folder}/new did not exist; it is made now", "")]


def test_the_home_of_somebody_else_is_left_alone(look, folder, monkeypatch):
    """What root makes in a service's folder, the service can not open."""
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    ((level, said, mend),) = look("home")
    assert level == "warn" and "belongs to " in said and mend.startswith("run this as ")
    assert list((folder / ".kirogw").iterdir()) == [] and look("store") == []


def test_a_file_of_somebody_else_in_it(folder, monkeypatch):
    (folder / ".kirogw" / "key").write_text("x")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    (found,) = machine._not_private(folder / ".kirogw", is_open=False)
    assert found.level == "fail" and found.mend.startswith("chown ")


def test_a_home_that_is_read_only(look, folder, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder / ".kirogw" and access(path, mode))
    ((level, said, mend),) = look("home")
    assert level == "fail" and "can not be written to" in said and "read-only" in mend


@pytest.mark.parametrize(("free", "level"), [(10 << 30, "ok"), (100 << 20, "warn"), (5 << 20, "fail")])
def test_the_disk(look, free, level):
    ((found, said, mend),) = look("disk", offline=True, free=lambda path: free)
    assert found == level and said.startswith(f"{free >> 20:,} MB are free") and bool(mend) == (level != "ok")


def test_the_store(look, folder):
    assert look("store") == [("ok", f"{folder}/.kirogw/state.sqlite3 can be read and written", "")]


def test_a_store_that_is_broken(look, folder):
    (folder / ".kirogw" / "state.sqlite3").write_bytes(b"this is no database" * 100)
    ((level, said, mend),) = look("store")
    assert level == "fail" and said.startswith("the store can not be used: ") and mend == f"look at {folder}/.kirogw"


def test_a_store_that_is_away(look):
    ((level, said, mend),) = look("store", {"STATE_URL": f"redis://:hunter2@127.0.0.1:{free_port()}/0"})
    assert level == "fail" and "hunter2" not in said + mend and "is Redis running" in mend


def test_a_store_that_is_slow(look, monkeypatch):
    monkeypatch.setattr(machine, "SLOW", -1.0)
    ((level, said, mend),) = look("store")
    assert level == "warn" and " s to answer" in said and mend


def test_a_store_whose_key_is_lost(look, patient, twin, folder):
    one = patient()
    store = open_store(one.settings)
    logins = Logins(one.settings, one.transport.post, store)
    social = twin.accounts.all[list(twin.accounts.all)[1]]
    from kirogw.dialects.credential import Credential

    logins.add(Credential("social", access=social.access_token, refresh=social.refresh_token, expires_at=time.time() + SOON))
    store.close()
    assert look("store")[0][0] == "ok"
    (folder / ".kirogw" / "secret-key").unlink()
    ((level, said, mend),) = look("store")
    assert level == "fail" and ("sealed" in said or "key" in said) and mend


# port and service


def test_a_port_that_is_free(look):
    port = free_port()
    assert look("port", {"SERVER_PORT": port}, offline=True) == [("ok", f"127.0.0.1:{port} is free; no gateway runs there", "")]


def test_a_port_where_a_gateway_runs(look, patient, folder):
    app = create_app(patient().settings)
    running = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        ((level, said, _),) = look("port", {"SERVER_PORT": running.server_port}, offline=True)
        assert (level, said) == ("ok", f"a gateway runs on 127.0.0.1:{running.server_port}, for 0 minutes")
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
        app.extensions["kirogw"].close()


def saying(body, head="HTTP/1.1 200 OK"):
    def handle(connection):
        read_head(connection)
        connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())

    return handle


@pytest.mark.parametrize(("body", "level", "words"), [
    ("<html>", "fail", "is taken by another program"), ("{}", "fail", "is taken by another program"),
    ("[]", "fail", "is taken by another program"),
    (json.dumps({"status": "ok", "version": "0.0.1", "answers_running": 0}), "warn", "a gateway of version 0.0.1 runs on"),
])  # fmt: skip
def test_a_port_where_something_else_runs(look, body, level, words):
    with server(saying(body)) as port:
        ((found, said, mend),) = look("port", {"SERVER_PORT": port}, offline=True)
    assert found == level and words in said and mend


def test_a_port_where_nothing_sensible_answers(look):
    with server(lambda connection: None) as port:
        assert look("port", {"SERVER_PORT": port}, offline=True)[0][0] == "fail"


def test_an_address_that_is_not_ours():
    """192.0.2.1 is nobody's; nothing is sent there."""
    (found,) = machine._bindable("192.0.2.1", 8000, "192.0.2.1:8000")
    assert found.level == "fail" and "can not be listened on" in found.said and "SERVER_HOST" in found.mend


UNITS = [
    # what systemctl tells, what is found, what is said, what to do
    ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}, "ok", "kirogw.service runs", ""),
    ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}, "warn", "not after a restart", "systemctl enable kirogw.service"),
    ({"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}, "warn", "is inactive", "systemctl start kirogw.service"),
    ({"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code"}, "fail", "has failed (exit-code)", "journalctl -u kirogw.service -n 50 tells why"),
    ({"LoadState": "bad-setting", "ActiveState": "inactive"}, "fail", "can not be loaded (bad-setting)", "systemctl edit --full kirogw.service"),
    ({"LoadState": "not-found", "ActiveState": "inactive"}, "ok", "is not installed", ""),
    ({}, "ok", "is not installed", ""),
]  # fmt: skip


@pytest.fixture
def systemctl(folder, monkeypatch):
    """A machine with systemd, whose systemctl tells this of the system's unit, and that of the user's."""

    def told(states, user=None):
        program = folder / "bin" / "systemctl"
        program.parent.mkdir()
        lines = ["\n".join(f"{name}={value}" for name, value in each.items()) for each in (states, user or {"LoadState": "not-found"})]
        program.write_text(f"#!/bin/sh\nif [ \"$1\" = --user ]; then cat <<'E'\n{lines[1]}\nE\nelse cat <<'E'\n{lines[0]}\nE\nfi\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return folder

    return told


@pytest.mark.parametrize(("states", "level", "words", "mend"), UNITS, ids=lambda v: str(v)[:40])
def test_the_service(look, systemctl, states, level, words, mend):
    ((found, said, do),) = look("service", offline=True, systemd=systemctl(states))
    assert (found, do) == (level, mend) and words in said


def test_a_service_of_the_users_own(look, systemctl):
    systemd = systemctl({"LoadState": "not-found"}, {"LoadState": "loaded", "ActiveState": "inactive"})
    ((level, _, mend),) = look("service", offline=True, systemd=systemd)
    assert (level, mend) == ("warn", "systemctl --user start kirogw.service")


def test_no_systemd(look, folder):
    assert look("service", offline=True, systemd=folder / "none") == [("ok", "there is no systemd here", "")]


# the network


def test_a_proxy(look, twin):
    """The twin is one too: hosts that have no name here are reached through it."""
    port = int(twin.url.rpartition(":")[2])
    settings = {"VPN_PROXY_URL": f"http://user:hunter2@127.0.0.1:{port}", "KIRO_RUNTIME_URLS": "http://runtime.{region}.kiro.dev",
                "KIRO_CONTROL_URLS": "http://management.{region}.kiro.dev", "KIRO_AUTH_URL": "http://prod.us-east-1.auth.desktop.kiro.dev",
                "AWS_OIDC_URL": "http://oidc.{region}.amazonaws.com", "NO_PROXY": ""}  # fmt: skip
    assert look("proxy", settings) == [("ok", f"http://127.0.0.1:{port} can be connected to", "")]
    hosts = look("hosts", settings)
    assert [level for level, _, _ in hosts] == ["ok"] * 4 and "runtime.us-east-1.kiro.dev" in hosts[0][1]
    assert look("dns", settings) == []


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_a_proxy_that_is_away(look, kind):
    port = free_port()
    ((level, said, mend),) = look("proxy", {"VPN_PROXY_URL": f"{kind}://user:hunter2@127.0.0.1:{port}", "NO_PROXY": ""})
    assert level == "fail" and said.startswith(f"{kind}://127.0.0.1:{port} can not be connected to") and "VPN_PROXY_URL" in mend
    assert "hunter2" not in said + mend


def test_hosts_that_are_away(look, twin):
    """The first of each kind must be there; another one is for when it is not."""
    away = f"http://127.0.0.1:{free_port()}"
    found = look("hosts", {"KIRO_RUNTIME_URLS": f"{twin.url},{away}"})
    assert [level for level, _, _ in found] == ["ok", "warn"] and found[1][1].startswith(f"{away} can not be reached: no connection")
    found = look("hosts", {"KIRO_RUNTIME_URLS": f"{away},{twin.url}"})
    assert [level for level, _, _ in found] == ["fail", "ok"] and "firewall" in found[0][2]
    found = look("hosts", {"KIRO_AUTH_URL": away})
    assert [level for level, _, _ in found] == ["ok", "warn"]
    found = look("hosts", {"KIRO_AUTH_URL": away, "REFRESH_TOKEN": "aor-one", "KIRO_API_KEY": None})
    assert [level for level, _, _ in found] == ["ok", "fail"]


def test_a_host_without_tls(look):
    with server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        ((level, said, mend),) = look("hosts", {"KIRO_RUNTIME_URLS": f"https://127.0.0.1:{port}"})[:1]
    assert level == "fail" and "TLS" in said and "CA_BUNDLE" in mend


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")], ids=["unknown", "no name"])
def test_a_name_that_can_not_be_looked_up(look, monkeypatch, error):
    """The machine's resolver is told what to say: a test asks no name server."""
    lookup = socket.getaddrinfo

    def getaddrinfo(host, *args, **more):
        if host == "runtime.test":
            raise error
        return lookup(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ((level, said, mend),) = look("dns", {"KIRO_RUNTIME_URLS": "http://runtime.test"})
    assert level == "fail" and said.startswith("the name runtime.test can not be looked up (") and "KIRO_RUNTIME_URLS" in mend


@pytest.mark.parametrize(("ahead", "level", "words"), [
    (0.0, "ok", "right within 60 s"), (-20.0, "ok", "right within 60 s"), (-120.0, "warn", "s ahead of that of 127.0.0.1"),
    (120.0, "warn", "s behind that of 127.0.0.1"), (3600.0, "fail", "behind"), (-3600.0, "fail", "ahead of"),
])  # fmt: skip
def test_the_clock(look, twin, ahead, level, words):
    twin.options.ahead = ahead
    ((found, said, mend),) = look("clock")
    assert found == level and words in said and bool(mend) == (level != "ok")
    assert level == "ok" or abs(abs(ahead) - int(said.split()[3].replace(",", ""))) <= 30


def test_a_clock_that_nobody_compares(look):
    away = f"http://127.0.0.1:{free_port()}"
    names = ("KIRO_RUNTIME_URLS", "KIRO_CONTROL_URLS", "KIRO_AUTH_URL", "AWS_OIDC_URL")
    ((level, said, _),) = look("clock", dict.fromkeys(names, away))
    assert level == "warn" and "was not compared" in said


def test_one_host_whose_clock_is_wrong_is_not_believed(patient):
    one = patient()
    one.dates += [("a", 5000.0), ("b", 0.5)]
    (found,) = network.clock(one)
    assert found == Finding("ok", "clock", "right within 60 s, by b")


# accounts


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_of_each_kind(folder, kind):
    with Twin(accounts=[{"kind": kind, "used": 250.0, "limit": 1000.0}]) as twin:
        settings = twin.settings()
        if kind == "api_key":
            settings["KIRO_API_KEY"] = twin.account.api_key
        else:
            path = write_ide_file(folder / "login.json", twin.account, stamp(time.time() + SOON))
            path.chmod(0o600)
            settings["KIRO_CREDS_FILE"] = str(path)
        given = load(environ=environment(folder, {**settings, "SERVER_PORT": 0}), env_file=None)
        one = Patient(given, Transport(given), user=folder)
        found = [finding for finding in examine(one, 100.0) if finding.check.startswith("account ")]
        one.store.close()
    assert [finding.level for finding in found] == ["ok"] * 3, found
    itself, quota, models = (finding.said for finding in found)
    assert "region us-east-1" in itself and ("profile arn:aws:codewhisperer:" in itself or kind == "api_key")
    assert ("token ends in 50 min" in itself) == (kind != "api_key")
    assert quota.startswith("KIRO PRO: 750.00 of 1,000 credits are left, full again on ") and "models" in models


def test_no_account_at_all(look, folder):
    ((level, said, mend),) = look("accounts", {"KIRO_API_KEY": None})
    assert level == "fail" and f"{folder}/.aws/sso/cache/kiro-auth-token.json" in said and "kiro-cli/data.sqlite3" in said
    assert "kirogw.py login kiro" in mend
    assert look("accounts", {"KIRO_API_KEY": None, "DEMO": "true"}) == [("ok", "the demo needs none", "")]


def state_of(twin, kind):
    return next(account for account in twin.accounts.all.values() if account.kind == kind)


def test_a_key_that_is_dead(look, twin):
    twin.account.banned = True
    found = look("account")
    assert "fail" in {level for level, _, _ in found} and twin.account.api_key not in str(found)


def test_an_account_that_is_locked(look, twin):
    twin.account.suspended = True
    failed = [(said, mend) for level, said, mend in look("account") if level == "fail"]
    assert failed and "suspended" in failed[0][0].lower() and "only the service can unlock it" in failed[0][1]


def test_credits_that_are_used_up(look, twin):
    twin.account.used = 1000.0
    assert [level for level, _, _ in look("account")] == ["ok", "warn", "ok"]
    twin.account.overage = True
    found = look("account")
    assert [level for level, _, _ in found] == ["ok", "ok", "ok"] and "overage is on" in found[1][1]


def test_a_login_that_is_spent(look, twin, folder):
    """Its token has run out, and its refresh token was redeemed by somebody else."""
    social = state_of(twin, "social")
    path = write_ide_file(folder / "login.json", social)
    members = json.loads(path.read_text())
    path.write_text(json.dumps({**members, "refreshToken": "aorSPENT" + "x" * 80, "accessToken": "aoaSPENT"}))
    path.chmod(0o600)
    found = look("account", {"KIRO_CREDS_FILE": path, "KIRO_API_KEY": None})
    assert found[-1][0] == "fail" and "sign in" in found[-1][2] and "SPENT" not in str(found)


def test_a_token_that_is_due_is_renewed_as_for_a_request(look, twin, folder):
    social = state_of(twin, "social")
    path = write_ide_file(folder / "login.json", social)
    path.chmod(0o600)
    found = look("account", {"KIRO_CREDS_FILE": path, "KIRO_API_KEY": None})
    assert [level for level, _, _ in found] == ["ok"] * 3 and "token ends in 60 min" in found[0][1]


@pytest.mark.parametrize(("operation", "n"), [("usage", 1), ("models", 2)])
def test_what_the_control_plane_refuses(look, twin, operation, n):
    twin.faults.add("not_authorized", operation=operation, count=20)
    found = look("account")
    assert [level for level, _, _ in found] == ["fail" if k == n else "ok" for k in range(3)]
    assert found[n][1].startswith("the upstream says of its ") and found[n][2]


def test_a_region_that_is_another(look, folder):
    with Twin(accounts=[{"kind": "idc", "region": "eu-central-1"}]) as twin:
        path = write_ide_file(folder / "login.json", twin.account, stamp(time.time() + SOON))
        path.chmod(0o600)
        settings = {**twin.settings(), "KIRO_CREDS_FILE": path, "KIRO_API_KEY": None}
        assert [level for level, _, _ in look("account", settings)] == ["ok"] * 3
        found = look("account", {**settings, "KIRO_REGION": "us-east-1"})
    assert found[0][0] == "warn" and "take KIRO_REGION away" in found[0][2]


def test_an_account_that_is_disabled_is_left_alone(look, patient, twin):
    one = patient()
    store = open_store(one.settings)
    logins = Logins(one.settings, one.transport.post, store)
    logins.change(logins.accounts()[0].id, enabled=False, label="mine")
    store.close()
    assert look("account") == [("ok", "mine, API key: disabled", "")]
    assert not twin.counts


@pytest.mark.parametrize("write", [write_ide_file, write_database])
@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "warn")])
def test_who_can_read_a_login(look, twin, folder, write, mode, level):
    path = write(folder / "login", state_of(twin, "social"), stamp(time.time() + SOON)) if write is write_ide_file else \
        write(folder / "login", state_of(twin, "social"), expires_at=stamp(time.time() + SOON))
    path.chmod(mode)
    name = "KIRO_CREDS_FILE" if write is write_ide_file else "KIRO_CLI_DB_FILE"
    ((found, said, mend),) = look("files", {name: path, "KIRO_API_KEY": None}, offline=True)
    assert (found, mend) == (level, "" if level == "ok" else f"chmod 600 {path}")
    assert "is private, and can be read and written" in said or "(0640)" in said


def test_a_login_that_is_named_and_not_there(look, folder):
    ((level, said, _),) = look("files", {"KIRO_CREDS_FILE": folder / "none.json", "KIRO_API_KEY": None}, offline=True)
    assert level == "fail" and f"{folder}/none.json is named in the settings" in said


@pytest.mark.parametrize(("denied", "level", "words"), [("file", "fail", "can not be read by this user"), ("folder", "warn", "can not be written to")])
def test_a_login_that_we_may_not_use(look, twin, folder, monkeypatch, denied, level, words):
    (folder / "there").mkdir()
    path = write_ide_file(folder / "there" / "login.json", state_of(twin, "social"), stamp(time.time() + SOON))
    path.chmod(0o600)
    access, closed = os.access, path if denied == "file" else path.parent
    monkeypatch.setattr(os, "access", lambda where, mode: Path(where) != closed and access(where, mode))
    ((found, said, mend),) = look("files", {"KIRO_CREDS_FILE": path, "KIRO_API_KEY": None}, offline=True)
    assert found == level and words in said and mend


# as a whole


def test_it_ends_in_time(patient, twin):
    """A host that takes the question and never answers."""
    until = threading.Event()
    with server(lambda connection: (read_head(connection), until.wait(60))) as port:
        away = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        found = examine(patient({"KIRO_RUNTIME_URLS": away}), 1.5)
        took = time.monotonic() - began
        until.set()
    assert took < 30
    assert [one.said for one in found if one.check == "hosts"] == ["this look took too long and was given up"]


def test_a_look_that_fails_itself_costs_no_other(patient, folder, monkeypatch):
    monkeypatch.setattr(machine, "shutil", None)
    found = examine(patient(offline=True, systemd=folder))
    failed = [(one.check, one.said) for one in found if one.level == "fail"]
    assert failed == [("service", "this look itself failed: AttributeError")]
    assert {one.check for one in found} >= {"python", "store", "port"}


def run(folder, monkeypatch, capsys, settings, *words):
    for name, value in environment(folder, settings).items():
        monkeypatch.setenv(name, value)
    code = cli.main(["doctor", *words])
    return code, capsys.readouterr().out


def test_exit_codes_and_json(twin, folder, monkeypatch, capsys):
    good = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "SERVER_PORT": 0}
    code, out = run(folder, monkeypatch, capsys, good, "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["result"]) == (0, 0, "all is well")
    assert all(set(one) == {"level", "check", "said", "mend"} for one in told["findings"])
    twin.options.ahead = 120.0
    assert run(folder, monkeypatch, capsys, good)[0] == 1
    twin.options.ahead = 0.0
    code, out = run(folder, monkeypatch, capsys, {**good, "KIRO_API_KEY": "ksk_wrong"})
    assert code == 2 and "fail  account " in out and "\n      " in out and "ksk_wrong" not in out
    assert out.endswith("\nSomething does not work.\n")


def test_a_setting_that_is_wrong_is_a_finding(folder, monkeypatch, capsys):
    code, out = run(folder, monkeypatch, capsys, {"SERVER_PORT": "many", "VPN_PROXY_URL": "hunter2"}, "--json")
    assert code == 2 and "SERVER_PORT is 'many'" in json.loads(out)["findings"][0]["said"] and "hunter2" not in out


def test_no_secret_is_told(twin, folder, monkeypatch, capsys):
    """Well and broken, with every kind of secret around."""
    social = state_of(twin, "social")
    settings = {
        **twin.settings(), "KIRO_API_KEY": f"{twin.account.api_key},ksk_MARKED1234", "REFRESH_TOKEN": f"{social.refresh_token},aorMARKED{'x' * 80}",
        "PROXY_API_KEY": "kgw_MARKEDmain", "ADMIN_API_KEY": "kgw_MARKEDadmin", "SERVER_PORT": 0,
        "KIROGW_SECRET_KEY": "TUFSS0VETUFSS0VETUFSS0VETUFSS0VETUFSS0VETUE",
    }  # fmt: skip
    store = open_store(load(environ=environment(folder, settings), env_file=None))
    key, _ = Register(store).add("ci", Terms())
    store.close()
    said = run(folder, monkeypatch, capsys, settings)[1] + run(folder, monkeypatch, capsys, settings, "--json")[1]
    port = free_port()
    broken = {**settings, "VPN_PROXY_URL": f"http://user:MARKED@127.0.0.1:{port}", "NO_PROXY": ""}
    said += run(folder, monkeypatch, capsys, broken)[1]
    secrets = [twin.account.api_key, social.refresh_token, social.access_token, "MARKED", "TUFSS0VE", key]
    with contextlib.suppress(OSError):
        secrets.append((folder / ".kirogw" / "secret").read_text().strip())
    assert len(said) > 1000 and not [secret for secret in secrets if secret in said]
