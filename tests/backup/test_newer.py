"""A login that has been renewed since the backup was made stays, whatever the file or a clock says."""

import time

import pytest

from kirogw import backup
from kirogw.dialects.credential import Credential
from kirogw.twin import Twin
from tests.logins.support import logins


@pytest.fixture
def twin():
    with Twin(accounts=["social"]) as twin:
        yield twin


def test_a_login_from_the_settings_that_was_renewed_for_the_first_time_since(twin, tmp_path):
    """What came of it lies in the store only, and the file has nothing of it."""
    first = twin.account.refresh_token
    made, _ = logins(twin, tmp_path, refresh_token=first)
    data = backup.take(made._store, made.safe, tmp_path / "home", time.time())
    id = made.accounts()[0].id
    made.fresh(id)
    found = backup.put_back(made._store, made.safe, tmp_path / "home", data)
    assert set(found.newer) == {id, *made._store.all("kept")} and len(found.newer) == 2
    logins(twin, tmp_path, refresh_token=first)[0].refresh(id)
    assert [entry.outcome for entry in twin.ledger] == ["ok", "ok"]


def test_a_clock_that_was_set_back_makes_no_renewal_older(twin, tmp_path):
    made, _ = logins(twin, tmp_path)
    account = twin.account
    id = made.add(Credential("social", account.access_token, account.refresh_token, time.time() + 3600))
    data = backup.take(made._store, made.safe, tmp_path / "home", time.time())
    made.refresh(id)
    snapshot = made._store.snapshot()
    for kind in ("account", "login"):
        snapshot["docs"][kind][id]["at"] -= 3600
    made._store.restore(snapshot)
    assert id in backup.put_back(made._store, made.safe, tmp_path / "home", data).newer
    logins(twin, tmp_path)[0].refresh(id)
    assert twin.ledger.reuses == 0


def test_a_backup_that_is_newer_than_what_is_here_wins(twin, tmp_path):
    """An old copy of the disk came back, and then the backup."""
    made, _ = logins(twin, tmp_path)
    account = twin.account
    id = made.add(Credential("social", account.access_token, account.refresh_token, time.time() + 3600))
    old = made._store.snapshot()
    made.refresh(id)
    data = backup.take(made._store, made.safe, tmp_path / "home", time.time())
    old["docs"]["account"][id]["at"] += 3600
    made._store.restore(old)
    backup.put_back(made._store, made.safe, tmp_path / "home", data)
    logins(twin, tmp_path)[0].refresh(id)
    assert twin.ledger.reuses == 0
