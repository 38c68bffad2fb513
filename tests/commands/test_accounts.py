"""`accounts`, `status`, `backup` and `restore` on a store, with no gateway running: what they print, do and end with."""

import io
import json
import os
import stat
import sys

import pytest

from kirogw import cli
from kirogw.logins.sealed import new_key
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.system.raw import eventually
from tests.system.running import environment, running
from tests.system.talk import ask

PHRASE = "a phrase to pass by"


@pytest.fixture
def twin():
    with Twin(accounts=["api_key", "social", "idc"]) as twin:
        yield twin


@pytest.fixture
def here(twin, tmp_path, monkeypatch):
    """A home with one account in the settings; the tests' own environment is out of sight."""
    given = environment(tmp_path, {**twin.settings(), "KIRO_API_KEY": twin.account.api_key})
    for name in set(os.environ) - {"PATH", "LANG"}:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here, capsys, monkeypatch):
    """Exit code, output and complaints of a command. `given` is its input, which is no terminal."""

    def run(*words, given=""):
        given = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8"))
        capsys.readouterr()
        try:
            code = cli.main(list(words))
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def loaded(run):
    """What a command says with --json."""
    return lambda *words, given="": json.loads(run(*words, "--json", given=given)[1])


def idc(twin):
    account = list(twin.accounts.all.values())[2]
    return {"refreshToken": account.refresh_token, "accessToken": account.access_token, "clientId": account.client_id,
            "clientSecret": account.client_secret, "region": account.sso_region, "startUrl": "https://acme.awsapps.com/start",
            "email": "somebody@example.com", "label": "work"}  # fmt: skip


@pytest.fixture
def social(twin, loaded):
    token = list(twin.accounts.all.values())[1].refresh_token
    return loaded("accounts", "add", "--label", "mine", given=token + "\n")["accounts"][0]["id"]


def test_without_any_it_says_how_to_get_one(run, monkeypatch):
    monkeypatch.delenv("KIRO_API_KEY")
    code, said, _ = run("accounts", "list")
    assert code == 0 and "kirogw.py login kiro" in said
    code, said, _ = run("status")
    assert code == 1 and said.startswith("0 of 0 accounts can serve") and "kirogw.py login kiro" in said
    assert run("accounts", "test")[0] == 1


def test_what_is_brought_in_is_listed(run, loaded, social, twin):
    rows = loaded("accounts", "list")["accounts"]
    assert [(row["label"], row["kind"], row["stored"], row["state"]) for row in rows] == [("", "key", False, "ready"), ("mine", "social", True, "ready")]
    code, said, _ = run("accounts", "list")
    head, *lines = said.splitlines()
    assert code == 0 and head.split()[:6] == ["ID", "LABEL", "PROVIDER", "WHOSE", "PLAN", "STATE"] and len(lines) == 2
    assert lines[1].split()[:2] == [social, "mine"]
    assert list(twin.accounts.all.values())[1].refresh_token not in said


@pytest.fixture
def chatgpt(tmp_path, monkeypatch):
    with CodexTwin(accounts=["codex"]) as twin:
        file = tmp_path / "auth.json"
        file.write_text(json.dumps(as_codex_file(twin.account, "2026-11-22T10:00:00Z")))
        for name, value in {**twin.settings(), "CODEX_AUTH_FILE": str(file)}.items():
            monkeypatch.setenv(name, value)
        yield twin


def test_accounts_of_both_providers(run, loaded, chatgpt):
    kiro, codex = loaded("accounts", "list")["accounts"]
    assert [(row["provider"], row["kind"], row["plan"]) for row in (kiro, codex)] == [("kiro", "key", ""), ("codex", "codex", "plus")]
    loaded("accounts", "refresh", kiro["id"], codex["id"])
    for words in (("accounts", "list"), ("status",)):
        code, said, _ = run(*words)
        lines = {line.split()[0]: line for line in said.splitlines() if line}
        assert code == 0 and "  1,000 credits  " in lines[kiro["id"]] and "  5 hours 88 %, week 70 %  " in lines[codex["id"]]
    _, said, _ = run("accounts", "show", codex["id"])
    lines = {name: value.strip() for name, value in (line.split("  ", 1) for line in said.splitlines())}
    assert lines["5 hours"].startswith("88 % left of 5 h, full in ") and "pace" not in lines
    row = loaded("accounts", "show", codex["id"])
    assert (row["quota"]["unit"], row["quota"]["left"], row["quota"]["pace"]) == ("percent", 70.0, None)


def test_show(run, loaded, social):
    loaded("accounts", "refresh", "mine")
    row = loaded("accounts", "show", "mine")
    assert (row["id"], row["login"]["state"], row["quota"]["left"]) == (social, "ready", 1000.0)
    code, said, _ = run("accounts", "show", social)
    lines = dict(line.split("  ", 1) for line in said.splitlines())
    assert code == 0 and lines["label"].strip() == "mine" and lines["credits left"].strip() == "1000 of 1000 (plan 1000)"
    assert lines["token"].strip().startswith("ready; the access token ends in ")


CHANGES = [
    (["disable", "mine"], "enabled", False), (["enable", "mine"], "enabled", True), (["rename", "mine", "ours"], "label", "ours"),
    (["weight", "mine", "2.5"], "weight", 2.5), (["limit", "mine", "7"], "limit", 7), (["limit", "mine", "0"], "limit", 0),
    (["limit", "mine", "default"], "limit", None), (["rename", "mine", ""], "label", ""),
]


@pytest.mark.parametrize(("words", "member", "value"), CHANGES, ids=lambda value: str(value))
def test_what_is_set_is_kept(run, loaded, social, words, member, value):
    code, _, complaint = run("accounts", *words)
    assert (code, complaint) == (0, "")
    assert next(row for row in loaded("accounts", "list")["accounts"] if row["id"] == social)[member] == value


WRONG = [
    (["accounts", "show", "nobody"], 1, "there is no account 'nobody'"), (["accounts", "weight", "mine", "-1"], 1, "a weight is a number from 0"),
    (["accounts", "weight", "mine", "much"], 2, "invalid float value"), (["accounts", "limit", "mine", "some"], 2, "a whole number, or default"),
    (["accounts"], 2, "required"), (["accounts", "dance"], 2, "invalid choice"), (["accounts", "export", "nobody"], 1, "there is no account"),
    (["accounts", "import", "nowhere.json"], 1, "nowhere.json"), (["restore", "nowhere.json"], 1, "can not be read"),
    (["backup"], 1, "a pass phrase is needed"), (["accounts", "remove", "key-1"], 1, "there is no account"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_told_in_a_line(run, social, words, code, said):
    found, out, complaint = run(*words)
    assert found == code and said in complaint and "Traceback" not in complaint and out == ""


def test_files_that_can_not_be_read_or_written_are_told_in_a_line(run, social):
    code, out, complaint = run("accounts", "export", "--output", "nowhere/out.json")
    assert (code, out) == (1, "") and complaint == "kirogw: nowhere/out.json can not be written (No such file or directory); is its folder there?\n"
    for words in (["accounts", "add"], ["accounts", "import", "-"]):
        assert run(*words, given=b"\xff\xfe") == (1, "", "kirogw: the input is not text in UTF-8\n")


def test_an_account_of_the_settings_is_not_removed_here(run, loaded):
    id = loaded("accounts", "list")["accounts"][0]["id"]
    code, _, complaint = run("accounts", "remove", id)
    assert code == 1 and "disable it here" in complaint


def test_import_from_a_file_and_what_is_wrong_in_it(run, loaded, here, twin):
    (here / "accounts.json").write_text(json.dumps({"accounts": [idc(twin), {"label": "half"}, {"refreshToken": "short"}]}))
    dry = loaded("accounts", "import", "accounts.json", "--dry-run")
    assert [row["id"] for row in dry["accounts"]] == [""] and len(dry["problems"]) == 2
    assert len(loaded("accounts", "list")["accounts"]) == 1
    code, said, complaint = run("accounts", "import", "accounts.json")
    assert code == 1, "not all of it could be taken"
    assert "is new" in said and "accounts[1]" in complaint and "accounts[2]" in complaint
    row = loaded("accounts", "show", "work")
    assert (row["kind"], row["name"]) == ("idc", "Identity Center, so***@example.com")
    assert "was here already" in run("accounts", "import", "accounts.json")[1]


def test_what_was_disabled_there_is_disabled_here_and_what_is_set_here_stays(run, loaded, here, twin):
    """A file brought in again never switches an account on, or off."""
    (here / "accounts.json").write_text(json.dumps([{**idc(twin), "enabled": False}]))
    assert run("accounts", "import", "accounts.json")[0] == 0
    assert loaded("accounts", "show", "work")["state"] == "disabled"
    run("accounts", "enable", "work")
    assert run("accounts", "import", "accounts.json")[0] == 0
    assert loaded("accounts", "show", "work")["state"] == "ready"
    run("accounts", "disable", "work")
    (here / "accounts.json").write_text(json.dumps([{**idc(twin), "enabled": True}]))
    assert run("accounts", "import", "accounts.json")[0] == 0
    assert loaded("accounts", "show", "work")["state"] == "disabled"


def test_what_is_exported_can_be_brought_in_elsewhere(run, loaded, here, social, monkeypatch):
    loaded("accounts", "limit", "mine", "2")
    code, _, complaint = run("accounts", "export", "mine", "--output", "out.json")
    assert code == 0 and "it holds secrets" in complaint
    assert stat.S_IMODE((here / "out.json").stat().st_mode) == 0o600
    assert json.loads(run("accounts", "export")[1])["count"] == 2
    monkeypatch.setenv("KIROGW_HOME", str(here / "elsewhere"))
    assert run("accounts", "import", "out.json")[0] == 0
    row = loaded("accounts", "show", "mine")
    assert (row["limit"], row["kind"], row["stored"]) == (2, "social", True)


def test_several_at_once(run, loaded, social, twin):
    """One that does not work does not keep out the others."""
    id = loaded("accounts", "list")["accounts"][0]["id"]
    assert [row["enabled"] for row in loaded("accounts", "disable", id, "mine")["accounts"]] == [False, False]
    run("accounts", "enable", id, "mine")
    twin.account.banned = True
    code, said, complaint = run("accounts", "refresh", id, "mine")
    assert code == 1 and complaint.startswith(f"kirogw: {id}: ") and "1,000" in said
    code, said, complaint = run("accounts", "remove", id, "mine")
    assert code == 1 and f"{social} is removed" in said and id in complaint


def test_remove(run, loaded, social):
    assert run("accounts", "remove", "mine")[1] == f"{social} is removed\n"
    assert len(loaded("accounts", "list")["accounts"]) == 1


def test_test(run, loaded, social, twin):
    assert run("accounts", "test")[0] == 0
    twin.account.banned = True
    code, said, _ = run("accounts", "test")
    assert code == 1 and "works" in said
    found = {row["id"]: row for row in loaded("accounts", "test")["accounts"]}
    assert [row["ok"] for id, row in found.items() if id != social] == [False] and found[social]["ok"]
    assert run("accounts", "test", "mine")[0] == 0


def test_clear_ends_a_rest_of_a_gateway_that_runs(run, loaded, twin, here):
    """What one process found out the command shows, and what the command says the process does."""
    with running(twin, home=here, KIRO_API_KEY=twin.account.api_key, RETRY_BUDGET=0) as gateway:
        twin.faults.add("TEMPORARILY_SUSPENDED", count=1)
        assert gateway.post("/v1/chat/completions", ask()).status_code == 403
        id = gateway.get("/v1/accounts/status").json()["accounts"][0]["id"]

        def until(state):
            assert eventually(lambda: loaded("accounts", "show", id)["state"] == state)
            assert eventually(lambda: gateway.get("/v1/accounts/status").json()["accounts"][0]["state"] == state)

        until("suspended")
        row = loaded("accounts", "show", id)
        assert row["until"] and row["reason"] and "suspended" in row["evidence"]
        assert run("status")[0] in (0, 1)
        assert run("accounts", "clear", id)[0] == 0
        until("ready")
        assert gateway.post("/v1/chat/completions", ask()).status_code == 200


def test_status(run, loaded, social):
    run("accounts", "disable", "mine")
    found = loaded("status")
    assert (found["healthy"], found["total"], found["states"]) == (1, 2, {"disabled": 1, "ready": 1})
    assert found["today"]["requests"] == 0 and found["store"].endswith("state.sqlite3")
    code, said, _ = run("status")
    assert code == 0 and said.startswith("1 of 2 accounts can serve; mode round-robin\n") and "disabled" in said


@pytest.mark.parametrize("plain", [True, False])
def test_backup_and_restore(run, loaded, here, social, plain):
    (here / "phrase").write_text(PHRASE + "\nnot this line")
    how = ["--plain"] if plain else ["--passphrase-file", "phrase"]
    code, said, _ = run("backup", "saved.json", *how)
    assert code == 0 and ("in the clear" in said) == plain
    data = (here / "saved.json").read_bytes()
    assert stat.S_IMODE((here / "saved.json").stat().st_mode) == 0o600 and (b"refresh" in data) == plain
    before = loaded("accounts", "list")
    run("accounts", "remove", "mine")
    how = [] if plain else how
    code, said, _ = run("restore", "saved.json", *how, "--dry-run")
    assert code == 0 and said.endswith("nothing was changed\n") and "1 account" in said
    assert run("restore", "saved.json", *how)[0] == 1, "nobody said yes"
    assert len(loaded("accounts", "list")["accounts"]) == 1
    assert run("restore", "saved.json", *how, "--yes")[:2] == (0, said.replace("nothing was changed", "it is in force now"))
    assert ids(loaded("accounts", "list")) == ids(before)


def ids(listed):
    return [(row["id"], row["label"], row["enabled"]) for row in listed["accounts"]]


def test_a_wrong_pass_phrase_changes_nothing(run, here, social):
    (here / "phrase").write_text(PHRASE)
    (here / "other").write_text("another phrase")
    assert run("backup", "saved.json", "--passphrase-file", "phrase")[0] == 0
    for given, said in (("other", "not that of this backup"), ("nowhere", "can not be read")):
        code, _, complaint = run("restore", "saved.json", "--yes", "--passphrase-file", given)
        assert code == 1 and said in complaint
    assert "give its pass phrase" in run("restore", "saved.json", "--yes")[2]
    (here / "short").write_text("short")
    assert "8 characters" in run("backup", "x.json", "--passphrase-file", "short")[2] and not (here / "x.json").exists()


def test_a_key_that_seals_and_is_lost_is_told_in_a_line(run, loaded, social, here):
    (here / ".kirogw/secret-key").write_text(new_key())
    row = next(row for row in loaded("accounts", "list")["accounts"] if row["id"] == social)
    assert row["login"]["state"] == "login" and "key" in row["login"]["reason"]
    for words in (["backup", "--plain"], ["accounts", "export", social], ["accounts", "refresh", social], ["accounts", "add"]):
        code, _, complaint = run(*words, given="ksk_" + "x" * 40)
        assert code == 1 and complaint.startswith("kirogw: ") and "Traceback" not in complaint
    assert run("accounts", "remove", social)[0] == 0


def test_each_command_is_in_the_help(run):
    _, said, _ = run("--help")
    listed = said[said.index("commands (each") :]
    for name in cli.COMMANDS:
        assert f"\n  {name}" in listed
        code, help_, _ = run(name, "--help")
        assert code == 0 and f"kirogw.py {name}" in help_
