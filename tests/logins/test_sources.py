import json
import os
import sqlite3
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kirogw.dialects.credential import Credential
from kirogw.logins import files, sources
from kirogw.logins.sources import Changed, Database, Given, IdeFile
from kirogw.settings import Settings
from kirogw.twin.kiro.accounts import Account
from tests.logins import support

ARN = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/ABC"
SOCIAL = Account("one", "social", access_token="aoa0", refresh_token="aor0", profile_arn=ARN)
IDC = Account("two", "idc", access_token="aoa0", refresh_token="aor0", client_id="c", client_secret="s",
              sso_region="ap-southeast-1", start_url="https://org.awsapps.com/start")  # fmt: skip
BUILDER = replace(IDC, kind="builder", start_url="https://view.awsapps.com/start", sso_region="us-east-1")
EXTERNAL = Account("three", "external", access_token="aoa0", refresh_token="aor0", client_id="c",
                   token_endpoint="https://org.okta.com/token")  # fmt: skip


def renewed(credential):
    return replace(credential, access="aoa1", refresh="aor1", expires_at=1_790_000_000.0)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# the IDE's file


@pytest.mark.parametrize(("account", "kind"), [(SOCIAL, "social"), (IDC, "idc"), (BUILDER, "builder"), (EXTERNAL, "external")])
def test_each_kind_in_the_ides_file(tmp_path, account, kind):
    got = IdeFile("a", support.write_ide_file(tmp_path / "token.json", account)).read()
    assert (got.kind, got.access, got.refresh, got.client_id) == (kind, "aoa0", "aor0", account.client_id)
    assert got.client_secret == account.client_secret and got.expires_at == 1577836800.0


def test_a_renewed_login_goes_back_and_all_else_stays(tmp_path):
    path = support.write_ide_file(tmp_path / "token.json", SOCIAL, future={"kept": [1, None]}, z="é")
    path.chmod(0o644)
    before = json.loads(path.read_text())
    source = IdeFile("a", path)
    assert source.save(renewed(source.read()), "aor0") is True
    after = json.loads(path.read_text())
    assert after == {**before, "accessToken": "aoa1", "refreshToken": "aor1", "expiresAt": "2026-09-21T14:13:20.000Z"}
    assert list(after) == list(before) and mode(path) == 0o600
    got = source.read()
    assert (got.access, got.refresh, got.expires_at) == ("aoa1", "aor1", 1_790_000_000.0)


def test_a_login_that_changed_meanwhile_is_not_written_over(tmp_path):
    source = IdeFile("a", support.write_ide_file(tmp_path / "token.json", SOCIAL))
    was = source.read()
    support.write_ide_file(source.path, replace(SOCIAL, refresh_token="somebody else's"))
    before = source.path.read_bytes()
    with pytest.raises(Changed):
        source.save(renewed(was), "aor0")
    assert source.path.read_bytes() == before


def test_a_file_that_is_not_to_be_written_is_not(tmp_path):
    source = IdeFile("a", support.write_ide_file(tmp_path / "token.json", SOCIAL), write_back=False)
    before = source.path.read_bytes()
    assert source.save(renewed(source.read()), "aor0") is False
    assert source.path.read_bytes() == before


def test_the_profile_selected_in_the_ide_counts_for_a_login_without_one(tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"arn": ARN}))
    path = support.write_ide_file(tmp_path / "token.json", IDC)
    assert IdeFile("a", path, profiles=(tmp_path / "missing.json", profile)).read().profile == ARN
    profile.write_text("{")
    assert IdeFile("a", path, profiles=(profile,)).read().profile == ""


def test_a_client_registration_that_is_missing_or_strange(tmp_path):
    path = support.write_ide_file(tmp_path / "cache" / "token.json", IDC)
    members = json.loads(path.read_text())
    companion = path.parent / f"{members['clientIdHash']}.json"
    companion.rename(tmp_path / "elsewhere.json")
    assert IdeFile("a", path).read().client_id == ""
    path.write_text(json.dumps({**members, "clientIdHash": "../elsewhere"}))
    assert IdeFile("a", path).read().client_id == "", "a name that leads out of the folder"
    path.write_text(json.dumps(members))
    companion.write_text("{")
    with pytest.raises(files.Unreadable, match=companion.name):
        IdeFile("a", path).read()


def test_a_file_without_a_login(tmp_path):
    path = tmp_path / "token.json"
    path.write_text('{"version": 1}')
    with pytest.raises(files.Missing, match="holds no login"):
        IdeFile("a", path).read()


def test_the_stamp_changes_with_the_file(tmp_path):
    source = IdeFile("a", tmp_path / "token.json")
    seen = [source.stamp()]
    support.write_ide_file(source.path, SOCIAL)
    seen.append(source.stamp())
    source.save(renewed(source.read()), "aor0")
    seen.append(source.stamp())
    assert len(set(seen)) == 3 and source.stamp() == seen[2]


# the command line's database

DATABASES = [
    pytest.param(SOCIAL, "kirocli", "social", "kirocli:social:token", id="social"),
    pytest.param(IDC, "kirocli", "idc", "kirocli:odic:token", id="identity center"),
    pytest.param(BUILDER, "codewhisperer", "builder", "codewhisperer:odic:token", id="amazon-q"),
    pytest.param(EXTERNAL, "kirocli", "external", "kirocli:external-idp:token", id="external"),
]


@pytest.mark.parametrize(("account", "era", "kind", "row"), DATABASES)
@pytest.mark.parametrize("wal", [True, False])
def test_each_kind_in_a_database(tmp_path, account, era, kind, row, wal):
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", account, era, wal))
    got = source.read()
    assert (got.kind, got.access, got.refresh, got.client_id) == (kind, "aoa0", "aor0", account.client_id)
    assert (got.client_secret, got.sso_region) == (account.client_secret, account.sso_region)
    assert got.expires_at == pytest.approx(1577836800.123456)
    before = support.row(source.path, row)
    assert source.save(renewed(got), "aor0") is True
    assert support.row(source.path, row) == {
        **before, "access_token": "aoa1", "refresh_token": "aor1", "expires_at": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip
    assert support.row(source.path, "other:row") == {"left": "alone"}
    assert source.read().refresh == "aor1"


def test_other_tables_stay(tmp_path):
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", SOCIAL))
    source.save(renewed(source.read()), "aor0")
    file = sqlite3.connect(source.path)
    assert file.execute("SELECT command FROM history").fetchall() == [("kept",)]
    assert len(file.execute("SELECT * FROM state").fetchall()) == 2
    file.close()


def test_profile_region_and_start_from_the_state_table(tmp_path):
    rows = {
        "kirocli:odic:token": {"access_token": "a", "refresh_token": "r"},
        "kirocli:odic:device-registration": {"client_id": "c", "client_secret": "s"},
    }
    states = {
        "api.codewhisperer.profile": {"arn": ARN, "profile_name": "x"}, "auth.idc.region": "eu-west-1",
        "auth.idc.start-url": "https://view.awsapps.com/start",
    }  # fmt: skip
    got = Database("a", support.database(tmp_path / "data.sqlite3", rows, states)).read()
    assert (got.kind, got.profile, got.sso_region) == ("builder", ARN, "eu-west-1")


def test_families_are_never_mixed(tmp_path):
    """The first family with a refresh token counts; what comes of it goes back to it alone."""
    rows = {
        "kirocli:external-idp:token": {"access_token": "no refresh token"},
        "kirocli:social:token": {"access_token": "a1", "refresh_token": "r1"},
        "kirocli:odic:token": {"access_token": "a2", "refresh_token": "r2"},
        "codewhisperer:odic:token": {"access_token": "", "refresh_token": ""},
    }
    source = Database("a", support.database(tmp_path / "data.sqlite3", rows))
    got = source.read()
    assert (got.kind, got.refresh) == ("social", "r1")
    source.save(renewed(got), "r1")
    assert support.row(source.path, "kirocli:odic:token") == rows["kirocli:odic:token"]
    assert support.row(source.path, "kirocli:external-idp:token") == rows["kirocli:external-idp:token"]
    with pytest.raises(Changed):
        source.save(renewed(got), "r1")


def test_a_value_kept_as_bytes_stays_bytes(tmp_path):
    value = json.dumps({"access_token": "a", "refresh_token": "r"}).encode()
    source = Database("a", support.database(tmp_path / "data.sqlite3", {"kirocli:social:token": value}))
    source.save(renewed(source.read()), "r")
    file = sqlite3.connect(source.path)
    (kept,) = file.execute("SELECT value FROM auth_kv").fetchone()
    file.close()
    assert isinstance(kept, bytes) and json.loads(kept)["refresh_token"] == "aor1"


def test_a_database_that_is_not_to_be_written_is_not(tmp_path):
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", SOCIAL), write_back=False)
    assert source.save(renewed(source.read()), "aor0") is False
    assert support.row(source.path, "kirocli:social:token")["refresh_token"] == "aor0"


def test_a_database_in_a_folder_that_takes_no_files_is_read(tmp_path):
    """Reading in WAL mode wants to make a file beside it; a folder in its place stands for one that may not be made."""
    path = support.write_database(tmp_path / "data.sqlite3", SOCIAL)
    (tmp_path / "data.sqlite3-wal").mkdir()
    source = Database("a", path)
    assert source.read().refresh == "aor0"
    with pytest.raises(files.Unreadable, match=r"data\.sqlite3 can not be used as a kiro-cli database"):
        source.save(renewed(source.read()), "aor0")


DAMAGE = [
    pytest.param(lambda path: None, files.Missing, "does not exist", id="missing"),
    pytest.param(lambda path: path.write_bytes(b"no database" * 100), files.Unreadable, "not a database", id="junk"),
    pytest.param(lambda path: path.write_bytes(b""), files.Unreadable, "no such table: auth_kv", id="empty"),
    pytest.param(lambda path: support.database(path, {}), files.Missing, "holds no login", id="signed out"),
    pytest.param(lambda path: support.database(path, {"kirocli:social:token": "{"}), files.Unreadable,
                 "the row kirocli:social:token holds no JSON object", id="damaged row"),
    pytest.param(lambda path: support.database(path, {"kirocli:social:token": "[1]"}), files.Unreadable,
                 "the row kirocli:social:token holds no JSON object", id="strange row"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "said"), DAMAGE)
def test_what_can_not_be_read_is_one_line_that_names_the_file(tmp_path, make, error, said):
    path = tmp_path / "data.sqlite3"
    make(path)
    with pytest.raises(error) as caught:
        Database("a", path).read()
    assert type(caught.value) is error and said in str(caught.value)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_locked_database_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BUSY_TRIES", 1200)  # a busy machine may let it go late
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", SOCIAL, wal=False))
    holder = sqlite3.connect(source.path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    threading.Timer(0.2, holder.execute, ("COMMIT",)).start()
    assert source.read().refresh == "aor0"
    assert time.monotonic() - begun > 0.1
    holder.close()


def test_a_database_that_stays_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BUSY_TRIES", 3)
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", SOCIAL, wal=False))
    holder = sqlite3.connect(source.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(files.Unreadable, match="locked by another program"):
        source.read()
    holder.close()


def test_the_stamp_changes_with_the_log_beside_the_database(tmp_path):
    source = Database("a", support.write_database(tmp_path / "data.sqlite3", SOCIAL))
    before = source.stamp()
    writer = sqlite3.connect(source.path, isolation_level=None)
    writer.execute("UPDATE auth_kv SET value = value")
    assert source.stamp() != before
    writer.close()


# the settings


def test_given_logins():
    source = Given("a", Credential("social", refresh="r"), "REFRESH_TOKEN", "put a new one there")
    assert source.read() == Credential("social", refresh="r") and source.stamp() == source.stamp()
    assert source.save(renewed(source.read()), "r") is False


# finding


def found(home: Path, platform: str = "linux", **settings) -> list[tuple[str, str]]:
    return [(source.id, source.place) for source in sources.find(Settings(**settings), home, platform)]


def touch(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_nothing_lies_about(tmp_path):
    assert found(tmp_path) == [] and not sources.named(Settings())


def test_the_ide_and_the_command_line_are_found(tmp_path):
    ide = touch(tmp_path / ".aws/sso/cache/kiro-auth-token.json")
    old = touch(tmp_path / ".local/share/amazon-q/data.sqlite3")
    assert found(tmp_path) == [("kiro-ide", ide), ("amazon-q", old)]
    new = touch(tmp_path / ".local/share/kiro-cli/data.sqlite3")
    assert found(tmp_path) == [("kiro-ide", ide), ("kiro-cli", new)], "kiro-cli begins with a copy of amazon-q's"


SYSTEMS = [
    ("darwin", "Library/Application Support/kiro-cli/data.sqlite3"),
    ("win32", "AppData/Local/Kiro-Cli/data.sqlite3"),
    ("win32", "AppData/Roaming/kiro-cli/data.sqlite3"),
]


@pytest.mark.parametrize(("platform", "place"), SYSTEMS)
def test_on_other_systems(tmp_path, platform, place):
    path = touch(tmp_path / place)
    assert found(tmp_path, platform) == [("kiro-cli", path)]


def test_what_the_settings_name_counts_alone(tmp_path):
    touch(tmp_path / ".aws/sso/cache/kiro-auth-token.json")
    got = found(tmp_path, refresh_token="aor1, aor2,", kiro_api_key="ksk_1|eu-central-1")
    assert [place for _, place in got] == ["REFRESH_TOKEN", "REFRESH_TOKEN", "KIRO_API_KEY"]
    assert len({name for name, _ in got}) == 3 and not any("aor" in name or "ksk" in name for name, _ in got)
    assert sources.named(Settings(refresh_token="aor1"))


def test_named_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ide, cli = tmp_path / ".aws/sso/cache/kiro-auth-token.json", tmp_path / ".local/share/kiro-cli/data.sqlite3"
    assert found(tmp_path, kiro_creds_file="~/.aws/sso/cache/kiro-auth-token.json", kiro_cli_db_file=str(cli)) == [
        ("kiro-ide", str(ide)), ("kiro-cli", str(cli)),
    ]  # fmt: skip
    (file, where), (database, _) = found(tmp_path, kiro_creds_file="/x/creds.json", kiro_cli_db_file="/x/data.sqlite3")
    assert (file[:5], where, database[:9]) == ("file-", "/x/creds.json", "database-")
    old = tmp_path / ".local/share/amazon-q/data.sqlite3"
    assert found(tmp_path, kiro_cli_db_file=str(old)) == [("amazon-q", str(old))]


def test_write_back_is_handed_down(tmp_path):
    for source in sources.find(Settings(kiro_creds_file="/x", kiro_cli_db_file="/y", write_back=False), tmp_path, "linux"):
        assert source.write_back is False
    (key,) = sources.find(Settings(kiro_api_key="ksk_1", kiro_region="eu-central-1"), tmp_path, "linux")
    assert key.read() == Credential("key", access="ksk_1", region="eu-central-1")


def test_no_secret_in_the_repr_of_a_source():
    assert "ksk_SECRET" not in repr(sources.find(Settings(kiro_api_key="ksk_SECRET", refresh_token="aor"), Path("/"), "linux"))


def test_a_file_given_by_its_link_stays_a_link(tmp_path):
    real = support.write_ide_file(tmp_path / "real" / "token.json", SOCIAL)
    link = tmp_path / "token.json"
    os.symlink(real, link)
    source = IdeFile("a", link)
    source.save(renewed(source.read()), "aor0")
    assert link.is_symlink() and json.loads(real.read_text())["refreshToken"] == "aor1"


def test_what_may_not_be_seen_is_no_fault(tmp_path):
    """A name that the system refuses to look up, as it does in a folder that we may not enter."""
    refused = tmp_path / ("x" * 300)
    assert sources.find(Settings(), refused) == []
    database = sources.find(Settings(kiro_cli_db_file=str(refused / "data.sqlite3")), tmp_path)[0]
    with pytest.raises(files.Unreadable, match="can not be read: File name too long") as caught:
        database.read()
    assert type(caught.value) is files.Unreadable
