"""What the tests of logins share: a network of twenty lines, and logins as the Kiro tools write them."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from kirogw.auth import Logins
from kirogw.errors import UpstreamFailed
from kirogw.settings import Settings, load
from kirogw.store import open_store
from kirogw.twin import Account, Twin, as_ide_file
from kirogw.twin.codex import CodexTwin
from kirogw.wire import Reply, Request

PAST = "2020-01-01T00:00:00.000Z"


class Network:
    """Sends over real sockets; renewals of social logins only while it is `free`. A new connection for each call, as after
    a fork.
    """

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, request: Request) -> Reply:
        self.sent.append(request)
        assert not request.url.endswith("/refreshToken") or self.free.wait(60)
        try:
            got = requests.request(request.method, request.url, headers=dict(request.headers), data=request.body,
                                   timeout=60, allow_redirects=False)  # fmt: skip
        except requests.RequestException as error:
            raise UpstreamFailed(f"no answer ({type(error).__name__})") from None
        return Reply(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.content)


def stamp(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_ide_file(path: Path, account: Account, expires_at: str = PAST, **more: Any) -> Path:
    """The login as the IDE keeps it, the client registration beside it."""
    members = {**as_ide_file(account, expires_at), **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(members))
    if name := members.get("clientIdHash"):
        client = {"clientId": account.client_id, "clientSecret": account.client_secret, "expiresAt": stamp(time.time() + 8e6)}
        (path.parent / f"{name}.json").write_text(json.dumps(client))
    return path


ROWS = {"social": "kirocli:social:token", "external": "kirocli:external-idp:token"}


def row_of(account: Account, expires_at: str = "2020-01-01T00:00:00.123456789Z", **more: Any) -> dict[str, Any]:
    return {
        "access_token": account.access_token, "expires_at": expires_at, "refresh_token": account.refresh_token,
        "region": account.sso_region, "start_url": account.start_url, "oauth_flow": "DeviceCode",
        "scopes": ["codewhisperer:completions"], "unknown_member": {"kept": True}, **more,
    }  # fmt: skip


def write_database(path: Path, account: Account, era: str = "kirocli", wal: bool = True, **more: Any) -> Path:
    """The login as kiro-cli keeps it, among other rows."""
    if account.kind == "external":
        more = {"token_endpoint": account.token_endpoint, "client_id": account.client_id, **more}
    rows = {ROWS.get(account.kind, f"{era}:odic:token"): row_of(account, **more), "other:row": {"left": "alone"}}
    if account.client_id and account.kind != "external":
        rows[f"{era}:odic:device-registration"] = {
            "client_id": account.client_id, "client_secret": account.client_secret, "region": account.sso_region,
            "client_secret_expires_at": stamp(time.time() + 8e6), "oauth_flow": "DeviceCode",
        }  # fmt: skip
    states = {"auth.idc.region": account.sso_region, "auth.idc.start-url": account.start_url}
    return database(path, rows, states, wal)


def database(path: Path, rows: dict[str, Any], states: dict[str, Any] | None = None, wal: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, isolation_level=None)
    file.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    file.execute("CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)")
    file.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB)")
    file.execute("CREATE TABLE history (id INTEGER PRIMARY KEY, command TEXT)")
    file.execute("INSERT INTO history (command) VALUES ('kept')")
    file.executemany("INSERT INTO auth_kv VALUES (?, ?)", [(key, _cell(value)) for key, value in rows.items()])
    file.executemany("INSERT INTO state VALUES (?, ?)", [(key, json.dumps(value).encode()) for key, value in (states or {}).items()])
    file.close()
    return path


def _cell(value: Any) -> str | bytes:
    return value if isinstance(value, str | bytes) else json.dumps(value)


def row(path: Path, key: str) -> Any:
    file = sqlite3.connect(path)
    try:
        return json.loads(file.execute("SELECT value FROM auth_kv WHERE key = ?", (key,)).fetchone()[0])
    finally:
        file.close()


def settings(twin: Twin | CodexTwin, home: Path, hosts: bool = True, **more: Any) -> Settings:
    texts = {name.upper(): str(value) for name, value in more.items()}
    point = twin.settings(hosts) if isinstance(twin, Twin) else twin.settings()
    return load({}, {**point, "KIROGW_HOME": str(home), **texts}, None)


def logins(twin: Twin | CodexTwin, folder: Path, hosts: bool = True, clock: Any = time.time, **more: Any) -> tuple[Logins, Network]:
    """A gateway's logins with their data under `folder`/home, and the network that they use."""
    network, these = Network(), settings(twin, folder / "home", hosts, **more)
    made = Logins(these, network, open_store(these), clock, home=folder / "user", sleep=lambda seconds: None)
    return made, network
