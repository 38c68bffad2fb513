"""The doctor on accounts of ChatGPT: well, and broken in each way that is theirs."""

import json
from dataclasses import replace

import pytest

from kirogw.auth import Logins
from kirogw.dialects.codex import credential as codex
from kirogw.doctor import Patient, examine
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.transport import Transport
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.system.running import environment


@pytest.fixture
def twin():
    with CodexTwin(accounts=["codex", {"kind": "siwc", "plan": "pro"}]) as made:
        yield made


class Practice:
    """A machine on which Codex CLI is signed in; looks at it."""

    def __init__(self, twin, folder):
        self.twin, self.folder = twin, folder
        self.file = folder / ".codex" / "auth.json"
        self.write(as_codex_file(twin.account, "2026-11-20T10:00:00Z"))

    def write(self, members):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(members))
        self.file.chmod(0o600)

    def settings(self, **more):
        return load(environ=environment(self.folder, {**self.twin.settings(), "SERVER_PORT": 0, **more}), env_file=None)

    def add(self, account):
        """A login in the store."""
        settings = self.settings()
        store = open_store(settings)
        made = codex.made(account.access_token, account.refresh_token, account.id_token)
        id = Logins(settings, Transport(settings).post, store, home=self.folder).add(replace(made, kind="siwc", client_id=account.client_id))
        store.close()
        return id

    def look(self, check, offline=False, **more):
        settings = self.settings(**more)
        one = Patient(settings, Transport(settings), user=self.folder, offline=offline, systemd=self.folder / "none")
        found = examine(one, 100.0)
        one.store.close()
        return [(one.level, one.said, one.mend) for one in found if one.check == check or one.check.startswith(check + " ")]


@pytest.fixture
def practice(twin, folder):
    return Practice(twin, folder)


def test_an_account_of_codex_cli(practice, twin):
    itself, quota, models = practice.look("account codex-cli")
    ws = twin.account.workspace
    assert itself == ("ok", f"ChatGPT (Codex), co***@localhost, plan plus, token ends in 10 days, workspace {ws}", "")
    assert quota[0] == "ok" and quota[1].startswith("plus: 88 % of 5 hours is left, full again on ") and "70 % of week is left" in quota[1]
    assert models[0] == "ok" and models[1].startswith("the upstream lists ")


def test_an_account_of_sign_in_with_chatgpt(practice, twin):
    siwc = list(twin.accounts.all.values())[1]
    practice.file.unlink()
    itself, quota, models = practice.look(f"account {practice.add(siwc)}")
    assert itself[0] == "ok" and "plan pro, token ends in 60 min" in itself[1] and itself[1].startswith("ChatGPT, si***@localhost")
    assert quota == ("ok", "ChatGPT tells no program what such a login has left; see chatgpt.com/settings/usage", "")
    assert models[0] == "ok" and twin.counts.get("usage", 0) == 0


def test_the_file_and_the_hosts(practice, twin):
    assert practice.look("files") == [("ok", f"{practice.file} is private, and can be read and written", "")]
    ((level, said, _),) = practice.look("hosts")
    assert level == "ok" and said.startswith(f"{twin.url} answers within"), "Kiro's are nobody's business here"
    practice.file.chmod(0o644)
    assert practice.look("files", offline=True)[0][2] == f"chmod 600 {practice.file}"


def test_hosts_that_are_away(practice):
    found = practice.look("hosts", CODEX_API_URL="http://127.0.0.1:1/backend-api", CODEX_AUTH_URL="http://127.0.0.1:2")
    assert [level for level, _, _ in found] == ["fail", "fail"] and "127.0.0.1:1 can not be reached" in found[0][1]


def test_codex_cli_with_a_key_is_no_account(practice):
    practice.write({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-proj-secret", "tokens": None})
    said = f"{practice.file} holds an API key of OpenAI's platform and no ChatGPT login, so it is no account"
    assert practice.look("files", offline=True)[1] == ("ok", said, "")
    ((level, told, mend),) = practice.look("accounts", offline=True)
    assert level == "fail" and str(practice.file) in told and "login chatgpt" in mend
    ((level, told, _),) = practice.look("account", offline=True, CODEX_AUTH_FILE=practice.file)
    assert level == "fail" and "an API key of OpenAI's platform" in told and "secret" not in told


def test_a_login_that_is_spent(practice, twin):
    twin.accounts.revoke(twin.account.name)
    members = as_codex_file(twin.account, "x")
    members["tokens"]["access_token"] = expired = twin.account.access_token[:-4] + "AAAA"
    practice.write(members)
    found = practice.look("account codex-cli")
    assert found[-1][0] == "fail" and "login codex" in found[-1][2] and expired not in str(found)


def test_a_window_that_is_used_up(practice, twin):
    twin.account.primary["used"] = 100.0
    twin.account.reached = "primary"
    assert practice.look("account codex-cli")[1][::2] == ("warn", "wait, or add another account")


def test_an_account_that_is_deactivated(practice, twin):
    twin.account.suspended = "account_deactivated"
    failed = [(said, mend) for level, said, mend in practice.look("account codex-cli") if level == "fail"]
    assert failed and "help.openai.com" in failed[0][1], failed


def test_a_token_that_is_due_is_renewed_as_for_a_request(practice, twin):
    twin.accounts.options.access_life = 60.0
    twin.accounts.issue(twin.account, None)
    practice.write(as_codex_file(twin.account, "x"))
    twin.accounts.options.access_life = 864_000.0
    found = practice.look("account codex-cli")
    assert "token ends in 10 days" in found[0][1] and twin.ledger.redeemed == 1
    assert json.loads(practice.file.read_text())["tokens"]["refresh_token"] == twin.account.refresh_token
