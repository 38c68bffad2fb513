"""A twin, a gateway as a user starts it, and a throw-away home, all new for each test.

These tests run by `make test-clients` only: the programs have to be installed first.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirogw.twin import Twin, as_ide_file
from tests.clients.programs import Gate, Place

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 30.0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only for who asks for them: `-m clients`."""
    return None if "clients" in config.option.markexpr else True


@pytest.fixture
def twin() -> Iterator[Twin]:
    with Twin(accounts=["social"]) as twin:
        yield twin
        assert twin.refusals == []
        assert twin.denials == []
        assert twin.ledger.reuses == 0


@pytest.fixture
def gate(twin: Twin, tmp_path: Path) -> Iterator[Gate]:
    """`python kirogw.py` with one social login, its upstream the twin; stopped by SIGTERM, as a service would be."""
    login = tmp_path / "kiro-auth-token.json"
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    login.write_text(json.dumps(as_ide_file(twin.account, expires.isoformat().replace("+00:00", "Z"))))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gate = Gate(f"http://127.0.0.1:{port}", f"sk-kirogw-{secrets.token_urlsafe(24)}")
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "KIROGW_HOME": str(tmp_path / "kirogw"),
        "SERVER_PORT": str(port), "PROXY_API_KEY": gate.key, "KIRO_CREDS_FILE": str(login), "SHUTDOWN_GRACE": "2",
        **twin.settings(hosts=True),
    }  # fmt: skip
    log = tmp_path / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, str(ROOT / "kirogw.py")], env=env, cwd=tmp_path, stdout=output,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        _wait_for(gate, process, log)
        yield gate
        assert gate.key not in log.read_text()
        assert twin.account.access_token not in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            print(log.read_text())


def _wait_for(gate: Gate, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_LIMIT
    while time.monotonic() < until and process.poll() is None:
        try:
            with opener.open(f"{gate.url}/ready", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the gateway did not start:\n{log.read_text()}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "home", tmp_path / "work")
    place.home.mkdir()
    place.work.mkdir()
    return place
