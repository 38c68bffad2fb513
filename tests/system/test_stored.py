"""Accounts in the store, before a real gateway: added and changed by another process while it runs."""

import contextlib
import time

from kirogw.auth import Logins
from kirogw.dialects.credential import Credential
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.logins.support import Network
from tests.system.running import running
from tests.system.said import say


@contextlib.contextmanager
def beside(twin, home):
    """The accounts, as a command sees them that works on the store of the gateway in `home`."""
    settings = load({}, {**twin.settings(), "KIROGW_HOME": str(home / ".kirogw")}, None)
    with contextlib.closing(open_store(settings)) as store:
        yield Logins(settings, Network(), store, home=home)


def credential(account):
    return Credential("social", account.access_token, account.refresh_token, time.time() + 3600)


def until(true, seconds=100.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def known(gateway):
    return [account["kind"] for account in gateway.get("/health").json()["accounts"]]


def test_an_account_in_the_store_serves_and_there_is_no_demo(tmp_path):
    with Twin(accounts=["social"]) as twin:
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        with beside(twin, tmp_path) as logins:
            id = logins.add(credential(twin.account))
        with running(twin, home=tmp_path) as gateway:
            answer = say(gateway, "messages", True, "Go.")
            assert answer.text == "Well.", (answer, gateway.log.read_text())
            twin.accounts.expire()
            answer = say(gateway, "messages", True, "Go.")
            assert answer.text == "Well.", (answer, gateway.log.read_text())
            assert "DEMO" not in gateway.log.read_text()
            with beside(twin, tmp_path) as logins:
                assert logins.credential(id).refresh == twin.account.refresh_token
        assert [entry.outcome for entry in twin.ledger] == ["ok"]
        for path in (path for path in tmp_path.rglob("*") if path.is_file()):
            for secret in (twin.account.access_token, twin.account.refresh_token):
                assert secret.encode() not in path.read_bytes(), path


def test_all_workers_hear_of_accounts_that_come_and_go(tmp_path):
    with Twin(accounts=["api_key", {"name": "two"}]) as twin:
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        two = twin.accounts.all["two"]
        with running(twin, home=tmp_path, SERVER_WORKERS=2) as gateway, beside(twin, tmp_path) as logins:
            assert say(gateway, "chat", False, "Go.").text == "Well."
            id = logins.add(credential(two))
            until(lambda: [known(gateway) for _ in range(8)] == [["key", "social"]] * 8)
            logins.remove(id)
            until(lambda: [known(gateway) for _ in range(8)] == [["key"]] * 8)


def test_several_refresh_tokens(tmp_path):
    with Twin(accounts=["social", "social"]) as twin:
        twin.script([{"steps": [{"text": "Well."}], "repeat": True}])
        one, two = twin.accounts.all.values()
        one.suspended = True
        tokens = {"REFRESH_TOKEN1": one.refresh_token, "REFRESH_TOKEN2": two.refresh_token}
        with running(twin, home=tmp_path, **tokens) as gateway:
            assert say(gateway, "chat", True, "Go.").text == "Well."
            assert [entry.outcome for entry in twin.ledger] == ["ok", "ok"]
