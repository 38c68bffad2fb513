import json
import logging
import stat
import time
from pathlib import Path

import pytest

from kirogw import log
from kirogw.auth import Account, Logins
from kirogw.dialects.credential import Credential
from kirogw.errors import NeedsLogin, UpstreamFailed
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.logins import support

KINDS = [("social", "social"), ("idc", "idc"), ("builder", "builder"), ("external", "external"), ("api_key", "key")]


def sign_in(twin, folder, where, account=None, left=-1.0):
    """The settings of a gateway whose login lies in a file, a database or the settings."""
    account = account or twin.account
    later = support.stamp(time.time() + left)
    if account.api_key:
        return {"kiro_api_key": account.api_key}
    if where == "database":
        return {"kiro_cli_db_file": support.write_database(folder / "data.sqlite3", account, expires_at=later)}
    return {"kiro_creds_file": support.write_ide_file(folder / "token.json", account, later)}


@pytest.mark.parametrize(("kind", "said"), KINDS)
@pytest.mark.parametrize("where", ["file", "database"])
def test_each_kind_is_renewed_and_let_in(tmp_path, kind, said, where):
    """From each place, with the wrong region nowhere: the twin minds hosts and regions."""
    org = {"sso_region": "eu-west-1", "start_url": "https://org.awsapps.com/start"} if kind == "idc" else {}
    members = {"kind": kind, "name": "one", **org}
    with Twin(accounts=[members]) as twin:
        settings = sign_in(twin, tmp_path, where)
        logins, _ = support.logins(twin, tmp_path, **settings)
        (account,) = logins.accounts()
        first = logins.fresh(account.id)
        assert (account.kind, first.kind, first.token) == (said, said, twin.account.api_key or twin.account.access_token)
        assert first.profile == twin.account.profile_arn and first.region == "us-east-1" and len(first.machine) == 64
        second = logins.renew(account.id, first.token)
        assert second.token == (twin.account.api_key or twin.account.access_token)
        assert second.machine == first.machine
        again, _ = support.logins(twin, tmp_path, **settings)
        assert again.fresh(account.id) == second
        assert logins.profile(account.id) == twin.account.own_arn
        assert (twin.ledger.reuses, twin.refusals) == (0, [])
        assert twin.ledger.redeemed == (0 if kind == "api_key" else 2)


def test_a_lone_refresh_token_is_kept_in_the_gateways_home(tmp_path):
    with Twin() as twin:
        settings = {"refresh_token": twin.account.refresh_token}
        logins, _ = support.logins(twin, tmp_path, **settings)
        (account,) = logins.accounts()
        token = logins.fresh(account.id).token
        assert logins.credential(account.id).refresh == twin.account.refresh_token
        for file in (path for path in (tmp_path / "home").rglob("*") if path.is_file()):
            assert twin.account.refresh_token.encode() not in file.read_bytes(), "it is sealed"
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        again, network = support.logins(twin, tmp_path, **settings)
        assert again.fresh(account.id).token == token and network.sent == []


def test_accounts_tell_whose_they_are_and_no_more(tmp_path):
    with Twin(accounts=[{"name": "one"}]) as twin:
        settings = sign_in(twin, tmp_path, "file", left=3600)
        file = settings["kiro_creds_file"]
        file.write_text(json.dumps({**json.loads(file.read_text()), "email": "someone@example.com"}))
        logins, _ = support.logins(twin, tmp_path, **settings)
        (account,) = logins.accounts()
        assert account == Account(account.id, "social", "Google, so***@example.com", str(file), "ready", "", account.expires_at, provider="kiro")
        assert account.expires_at == pytest.approx(time.time() + 3600, abs=10)


def test_states(tmp_path):
    clock = [time.time()]
    with Twin() as twin:
        settings = sign_in(twin, tmp_path, "file", left=3600)
        logins, _ = support.logins(twin, tmp_path, clock=lambda: clock[0], **settings)

        def state():
            (account,) = logins.accounts()
            return account.state, account.reason

        (account,) = logins.accounts()
        assert state() == ("ready", "")
        twin.faults.add(operation="refresh", status=500, count=None)
        clock[0] += 3250
        logins.fresh(account.id)
        assert state()[0] == "failing" and "serves" in state()[1]
        clock[0] += 600
        with pytest.raises(UpstreamFailed):
            logins.fresh(account.id)
        assert state()[0] == "waiting" and "HTTP 500" in state()[1]
        twin.faults.clear()
        twin.accounts.revoke(twin.account.name)
        clock[0] += 10
        with pytest.raises(NeedsLogin):
            logins.fresh(account.id)
        assert state()[0] == "login" and "sign in again" in state()[1]


def test_a_token_without_a_successor(tmp_path):
    with Twin() as twin:
        settings = sign_in(twin, tmp_path, "file", left=-1)
        members = json.loads(settings["kiro_creds_file"].read_text())
        settings["kiro_creds_file"].write_text(json.dumps({**members, "refreshToken": ""}))
        logins, _ = support.logins(twin, tmp_path, **settings)
        (account,) = logins.accounts()
        assert account.state == "login" and "can not be renewed" in account.reason


def test_a_client_registration_that_ends_soon_is_told_in_advance(tmp_path):
    clock = [time.time()]
    with Twin(accounts=["idc"]) as twin:
        settings = sign_in(twin, tmp_path, "file", left=9e6)
        logins, _ = support.logins(twin, tmp_path, clock=lambda: clock[0], **settings)
        assert logins.accounts()[0].reason == ""
        clock[0] += 8e6 - 86400
        assert "client registration ends on 20" in logins.accounts()[0].reason


def test_what_can_not_be_read_is_one_line_that_names_the_file(tmp_path):
    file = tmp_path / "token.json"
    file.write_text('{"refreshToken": "aorSECRET')
    with Twin() as twin:
        logins, _ = support.logins(twin, tmp_path, kiro_creds_file=file)
        (account,) = logins.accounts()
        assert account.state == "login" and account.reason.startswith(f"{file} is not valid JSON (line 1")
        with pytest.raises(NeedsLogin, match="is not valid JSON") as caught:
            logins.fresh(account.id)
        assert "SECRET" not in account.reason + str(caught.value)


@pytest.mark.parametrize("damaged", ["ksk_abcdefgh\n12345678", "ksk_abcdefgh\u00e912345678", "ksk_\u5de5\u4f5c12345678"])
def test_a_token_that_no_header_can_hold_serves_nobody(tmp_path, damaged):
    with Twin() as twin:
        logins, _ = support.logins(twin, tmp_path)
        id = logins.add(Credential("key", access=damaged))
        with pytest.raises(NeedsLogin, match="damaged on its way here") as caught:
            logins.fresh(id)
        assert damaged not in str(caught.value)


# finding


def test_logins_are_found_by_themselves(tmp_path):
    with Twin(accounts=["social", {"kind": "builder", "name": "two"}]) as twin:
        user = tmp_path / "user"
        two = twin.accounts.all["two"]
        support.write_ide_file(user / ".aws/sso/cache/kiro-auth-token.json", twin.account)
        support.write_database(user / ".local/share/kiro-cli/data.sqlite3", two)
        logins, _ = support.logins(twin, tmp_path)
        assert [(a.id, a.kind) for a in logins.accounts()] == [("kiro-ide", "social"), ("kiro-cli", "builder")]
        assert logins.fresh("kiro-cli").token == two.access_token


def test_who_signs_in_later_is_found_without_a_restart(tmp_path):
    with Twin() as twin:
        logins, _ = support.logins(twin, tmp_path)
        assert logins.accounts() == []
        with pytest.raises(NeedsLogin, match="there is no account kiro-ide"):
            logins.fresh("kiro-ide")
        support.write_ide_file(tmp_path / "user/.aws/sso/cache/kiro-auth-token.json", twin.account)
        assert [account.id for account in logins.accounts()] == ["kiro-ide"]
        assert logins.fresh("kiro-ide").token == twin.account.access_token


def test_a_tool_that_nobody_is_signed_in_to_is_no_account(tmp_path):
    with Twin() as twin:
        support.database(tmp_path / "user/.local/share/kiro-cli/data.sqlite3", {})
        logins, _ = support.logins(twin, tmp_path)
        assert logins.accounts() == []
        named, _ = support.logins(twin, tmp_path, kiro_cli_db_file=tmp_path / "user/.local/share/kiro-cli/data.sqlite3")
        (account,) = named.accounts()
        assert account.state == "login" and "run `kiro-cli login`" in account.reason, "one that was named is shown"


def test_a_login_that_lies_in_two_places_is_one_account(tmp_path):
    """Two would redeem one token, each under a lock of its own."""
    with Twin() as twin:
        file = support.write_ide_file(tmp_path / "token.json", twin.account)
        logins, _ = support.logins(twin, tmp_path, kiro_creds_file=file, refresh_token=twin.account.refresh_token)
        assert [account.source for account in logins.accounts()] == [str(file)]


def test_reload_keeps_what_stays(tmp_path):
    with Twin() as twin:
        place = support.write_ide_file(tmp_path / "user/.aws/sso/cache/kiro-auth-token.json", twin.account)
        logins, network = support.logins(twin, tmp_path)
        login = logins.fresh("kiro-ide")
        logins.reload()
        assert logins.fresh("kiro-ide") is login and len(network.sent) == 1
        place.unlink()
        logins.reload()
        assert logins.accounts() == []


# use


def test_a_request_costs_no_new_login(tmp_path):
    with Twin() as twin:
        logins, _ = support.logins(twin, tmp_path, **sign_in(twin, tmp_path, "file", left=3600))
        (account,) = logins.accounts()
        logins.fresh(account.id)  # its machine id and profile are found out
        assert logins.fresh(account.id) is logins.fresh(account.id)


def test_background_renews_what_is_due(tmp_path):
    clock = [time.time()]
    with Twin(accounts=["social", {"kind": "builder", "name": "two"}]) as twin:
        one = sign_in(twin, tmp_path, "file", left=3600)
        two = sign_in(twin, tmp_path, "database", twin.accounts.all["two"], left=7200)
        logins, network = support.logins(twin, tmp_path, clock=lambda: clock[0], **one, **two)
        assert logins.background() == 0
        clock[0] += 3500
        assert logins.background() == 1 and len(network.sent) == 1
        clock[0] += 8000
        twin.faults.add(operation="refresh", status=500, count=None)
        assert logins.background() == 1, "what fails keeps nobody else from it"


def test_the_same_record_is_used_by_all_processes(tmp_path):
    with Twin(accounts=["builder"]) as twin:
        settings = sign_in(twin, tmp_path, "file", left=3600)
        one, _ = support.logins(twin, tmp_path, **settings)
        (account,) = one.accounts()
        machine = one.fresh(account.id).machine
        one.next_rung(account.id)
        other, _ = support.logins(twin, tmp_path, **settings)
        assert (other.fresh(account.id).machine, other.fresh(account.id).profile) == (machine, "")


def test_the_users_own_home_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Twin() as twin:
        support.write_ide_file(tmp_path / ".aws/sso/cache/kiro-auth-token.json", twin.account)
        settings = load({}, twin.settings(), None)
        logins = Logins(settings, support.Network(), open_store(settings))
        assert [account.id for account in logins.accounts()] == ["kiro-ide"]
        assert stat.S_IMODE((tmp_path / ".kirogw").stat().st_mode) == 0o700


# secrets


def test_no_secret_leaves_in_words(tmp_path):
    """Every way a login can go, with marked secrets, and all that is said on the way."""
    said = []

    class Listener(logging.Handler):
        def emit(self, record):
            said.append(logging.Formatter().format(record))

    listener, level = Listener(), log.logger.level
    log.logger.addHandler(listener)
    log.logger.setLevel("DEBUG")
    try:
        with Twin(accounts=["social", {"kind": "idc", "name": "two"}]) as twin:
            faults = ("", "revoked", "status", "hangup", "lost", "cut")
            for n, fault in enumerate(faults):
                said += _lived(twin, tmp_path / str(n), fault)
            secrets = {t for seen in twin.requests for t in _secrets(seen.payload)} | {
                value for account in twin.accounts.all.values()
                for value in (account.access_token, account.refresh_token, account.client_id, account.client_secret) if value
            }  # fmt: skip
    finally:
        log.logger.removeHandler(listener)
        log.logger.setLevel(level)
    text = "\n".join(said)
    assert len(secrets) > 8 and len(said) > 20 and "needs a login" in text and "renewed for" in text
    assert not [secret for secret in secrets if secret in text]


def _lived(twin, folder: Path, fault: str) -> list[str]:
    """What accounts, errors and values say in the course of a login's life."""
    one = sign_in(twin, folder / "1", "file", left=3)
    two = sign_in(twin, folder / "2", "database", twin.accounts.all["two"], left=3)
    logins, _ = support.logins(twin, folder, **one, **two)
    if fault == "revoked":
        twin.accounts.revoke("social-1")
    if fault in ("status", "hangup", "lost"):
        what = {"status": {"status": 500}, "hangup": {"hangup": "reset"}, "lost": {"hangup": "reset", "late": True}}[fault]
        twin.faults.add(operation="refresh", count=3, **what)
    if fault == "cut":
        one["kiro_creds_file"].write_text(one["kiro_creds_file"].read_text()[:-20])
    said = []
    for account in logins.accounts():
        try:
            login = logins.fresh(account.id)
            login = logins.renew(account.id, login.token)
        except (NeedsLogin, UpstreamFailed) as error:
            login = error
        said += [repr(login), str(login), repr(account), repr(logins.accounts()), repr(logins._keepers[account.id].held())]
        said += [repr(logins._keepers[account.id].memory), repr(logins._keepers[account.id].source)]
    twin.faults.clear()
    twin.accounts.issue(twin.account, None)
    return said


def _secrets(payload) -> list[str]:
    return [v for k, v in (payload or {}).items() if "oken" in k or "ecret" in k or k == "clientId"]
