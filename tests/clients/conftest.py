"""A twin, a gateway as a user starts it, and a throw-away home, all new for each test.

These tests run by `make test-clients` only: the programs have to be installed first.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirogw.twin import Twin, as_ide_file
from tests.clients.programs import Gate, Place
from tests.system.running import KEY, running


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Only for who asks for them: `-m clients`."""
    return None if "clients" in config.option.markexpr else True


@pytest.fixture
def twin() -> Iterator[Twin]:
    """The upstream, which must have nothing to complain of in the end."""
    with Twin(accounts=["social"]) as twin:
        yield twin
        assert twin.refusals == []
        assert twin.ledger.reuses == 0


@pytest.fixture
def gate(twin: Twin, tmp_path: Path) -> Iterator[Gate]:
    """`python kirogw.py` with the login file of a Kiro IDE, its upstream the twin."""
    login = tmp_path / "kiro-auth-token.json"
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    login.write_text(json.dumps(as_ide_file(twin.account, expires.isoformat().replace("+00:00", "Z"))))
    with running(twin, KIRO_CREDS_FILE=login, SHUTDOWN_GRACE=2, **twin.settings(hosts=True)) as gateway:
        yield Gate(gateway.url, KEY)
        log = gateway.log.read_text()
        print(log)
        assert [secret for secret in (KEY, twin.account.access_token) if secret in log] == []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "home", tmp_path / "work")
    place.home.mkdir()
    place.work.mkdir()
    return place
