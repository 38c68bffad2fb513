"""A twin, a gateway as a user starts it, and a throw-away home, all new for each test.

These tests run by `make test-clients` only: the programs have to be installed first.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kirogw.twin import Twin, as_ide_file
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.clients.programs import Gate, Place
from tests.system.running import KEY, TOP, environment, running

# Names by which clients ask, so that each of their ways with tools is tried on either account.
ALIASES = {
    "kiro": "gpt-5.5=claude-sonnet-4.6,gpt-6.1-sol=claude-sonnet-4.6",
    "codex": "claude-sonnet-4.6=gpt-6-sol,claude-sonnet-4-6=gpt-6-sol",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only for who asks for them: `-m clients`."""
    return None if "clients" in config.option.markexpr else True


@pytest.fixture
def account() -> str:
    """The service that the account is of: kiro, or codex where a test says so."""
    return "kiro"


@pytest.fixture
def twin(account: str) -> Iterator[Any]:
    """The upstream, which must have nothing to complain of in the end."""
    with Twin(accounts=["social"]) if account == "kiro" else CodexTwin(accounts=["codex"]) as twin:
        yield twin
        assert twin.refusals == []
        assert twin.ledger.reuses == 0


@pytest.fixture
def gate(twin: Any, account: str, tmp_path: Path) -> Iterator[Gate]:
    """`python kirogw.py` with the login file of a Kiro IDE or of Codex CLI, its upstream the twin."""
    with gateway(twin, account, tmp_path) as gate:
        yield gate


@contextlib.contextmanager
def gateway(twin: Any, account: str, folder: Path, **more: Any) -> Iterator[Gate]:
    given: Mapping[str, Any] = {**FILES[account](twin, folder), "MODEL_ALIASES": ALIASES[account], **more}
    with running(None, SHUTDOWN_GRACE=2, **given) as gateway:

        def command(*words: str) -> str:
            asked = [sys.executable, str(TOP / "kirogw.py"), *words]
            done = subprocess.run(asked, cwd=gateway.home, env=environment(gateway.home, given), capture_output=True,
                                  text=True, timeout=120)  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield Gate(gateway.url, KEY, command)
        log = gateway.log.read_text()
        print(log)
        assert [secret for secret in (KEY, twin.account.access_token) if secret in log] == []


def _kiro(twin: Twin, folder: Path) -> dict[str, Any]:
    login = folder / "kiro-auth-token.json"
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    login.write_text(json.dumps(as_ide_file(twin.account, expires.isoformat().replace("+00:00", "Z"))))
    return {"KIRO_CREDS_FILE": login, **twin.settings(hosts=True)}


def _codex(twin: CodexTwin, folder: Path) -> dict[str, Any]:
    login = folder / "auth.json"
    login.write_text(json.dumps(as_codex_file(twin.account, datetime.datetime.now(datetime.UTC).isoformat())))
    return {"CODEX_AUTH_FILE": login, **twin.settings()}


FILES = {"kiro": _kiro, "codex": _codex}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "home", tmp_path / "work")
    place.home.mkdir()
    place.work.mkdir()
    return place
