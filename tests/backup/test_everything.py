"""Backup, wipe, restore: nothing differs, on either engine, and between them; and no login goes back in time."""

import json
import shutil
import time
from dataclasses import replace

import pytest

from kirogw import backup
from kirogw.backup.file import opened as unsealed
from kirogw.commands.opened import opened
from kirogw.dialects.provider import Verdict
from kirogw.errors import Busy, Forbidden
from kirogw.logins import imports, keys, named
from kirogw.logins.sealed import is_sealed
from kirogw.settings import load
from kirogw.twin import Twin
from kirogw.usage import UsageRecord

PHRASE = "a phrase to pass by"
KINDS = ["social", "idc", "builder", "external", "api_key", "social"]


@pytest.fixture
def twin():
    with Twin(accounts=KINDS) as twin:
        yield twin


@pytest.fixture
def mine(settings, twin, tmp_path, monkeypatch):
    """Settings with a refresh token of their own beside what is in the store."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    last = list(twin.accounts.all.values())[-1]
    texts = {**twin.settings(), "KIROGW_HOME": settings.kirogw_home, "REFRESH_TOKEN": last.refresh_token}
    return replace(load({}, texts, None), state_url=settings.state_url)


def bring_in(desk, twin):
    """Something of each kind that is kept."""
    accounts = list(twin.accounts.all.values())[:-1]
    brought = [{"apiKey": a.api_key} if a.api_key else {
        "accessToken": a.access_token, "refreshToken": a.refresh_token, "clientId": a.client_id, "clientSecret": a.client_secret,
        "tokenEndpoint": a.token_endpoint if a.kind == "external" else "", "region": a.sso_region, "email": f"{a.name}@example.com",
        "provider": "BuilderId" if a.kind == "builder" else "", "startUrl": {"idc": "https://org.awsapps.com/start", "builder": a.start_url}.get(a.kind, ""),
        "authMethod": {"external": "external_idp", "social": "social"}.get(a.kind, "IdC"),
    } for a in accounts]
    found = desk.add(imports.read(json.dumps(brought)))
    assert (len(found["accounts"]), found["problems"]) == (len(accounts), [])
    first, second, third = (account["id"] for account in found["accounts"][:3])
    desk.change(first, {"label": "first", "weight": 2.5, "limit": 3})
    desk.change(second, {"enabled": False})
    for account in desk.logins.accounts():
        desk.logins.refresh(account.id)
        desk.quotas.refresh(account.id)
    now = time.time()
    desk.pool.failed(third, Verdict(Forbidden("suspended"), "suspended", fate="suspended"), "", now)
    desk.pool.failed(first, Verdict(Busy("no capacity"), "capacity"), "claude-opus-4.6", now)
    for n in range(30):
        desk.usage.record(UsageRecord(at=now - n * 86400, request=f"req_{n}", key="k", account=first, model="m", face="chat",
                                      outcome="end", input=10 + n, output=5, credits=0.25, source="measured", ms=100.0))
    keys.read(desk.home)
    keys.read_admin(desk.home)
    keys.secret(desk.home)
    terms = named.Terms(models=("claude-*",), limits=named.Limits(minute=5, month_credits=10.0), note="for a friend")
    secret, _ = named.Register(desk.store).add("friend", terms)
    desk.store.put("setting", "something", {"a": [1, {"b": None}]})
    desk.sync.flush()
    return first, secret


def everything(desk):
    """All there is, with the secrets as they are."""
    desk.sync.flush()
    found = unsealed(desk.store.snapshot(), is_sealed, desk.logins.safe)
    found["docs"]["setting"].pop("seal", None)
    return found, {name: (desk.home / name).read_text() for name in backup.FILES}


def wipe(settings, server):
    shutil.rmtree(settings.kirogw_home)
    if settings.state_url:
        server.command("FLUSHALL")


def server_of(request, settings):
    return request.getfixturevalue("server") if settings.state_url else None


@pytest.mark.parametrize("phrase", ["", PHRASE], ids=["plain", "encrypted"])
def test_nothing_differs(request, twin, mine, phrase):
    with opened(mine) as desk:
        first, secret = bring_in(desk, twin)
        before, marks = everything(desk), desk.logins.safe.place().read()
        data = desk.backup(phrase)
    wipe(mine, server_of(request, mine))
    with opened(mine) as desk:
        assert [account.stored for account in desk.logins.accounts()] == [False], "only that of the settings is left"
        found = desk.restore(data, phrase)
        after = everything(desk)
        assert found["documents"]["account"] == len(KINDS) - 1 and found["newer"] == []
        assert desk.logins.safe.place().read() not in (marks, ""), "another key seals, and still all can be read"
        assert without_the_note(after[0]) == without_the_note(before[0])
        assert after[1] == before[1]
        assert {(desk.home / name).stat().st_mode & 0o777 for name in backup.FILES} == {0o600}
        known = named.Keys(desk.store, desk.sync, keys.Key("m" * 20), keys.Key("a" * 20))
        assert known.caller(secret).name == "friend"
        assert desk.account("first")["id"] == first
        for account in desk.logins.accounts():
            desk.logins.refresh(account.id)
    assert twin.ledger.reuses == 0


def without_the_note(snapshot):
    """The restoring itself leaves a line."""
    events = snapshot["logs"]["events"]["entries"]
    kept = [entry for entry in events if not entry[2].get("did", "").startswith("backup")]
    return {**snapshot, "logs": {**snapshot["logs"], "events": kept}}


@pytest.mark.parametrize("mine_is", ["sqlite to another", "back"])
def test_it_moves_between_engines(twin, mine, tmp_path, mine_is):
    """A snapshot is the same whatever the engine: from one to an SQLite file elsewhere, and from there back."""
    elsewhere = replace(mine, state_url="", kirogw_home=str(tmp_path / "elsewhere"))
    here, there = (mine, elsewhere) if mine_is != "back" else (elsewhere, mine)
    with opened(here) as desk:
        bring_in(desk, twin)
        before, data = everything(desk), desk.backup(PHRASE)
    with opened(there) as desk:
        desk.restore(data, PHRASE)
        assert without_the_note(everything(desk)[0]) == without_the_note(before[0])


def damaged(data):
    """Files that are nearly right."""
    whole = json.loads(data)
    docs = whole["content"]["store"]["docs"]
    account = next(iter(docs["account"]))
    yield "cut", data[: len(data) // 2]
    yield "no JSON", b"not a backup"
    for name, change in {
        "a document without a value": lambda: docs["account"][account].pop("value"),
        "a counter that is none": lambda: whole["content"]["store"]["counters"].update(x="y"),
        "a log whose numbers go down": lambda: whole["content"]["store"]["logs"]["usage"]["entries"].reverse(),
        "another version": lambda: whole["content"]["store"].update(version=99),
        "another format": lambda: whole.update(format=99),
        "a secret that is none": lambda: docs["account"][account]["value"].update(login={"$opened": 5}),
    }.items():
        whole = json.loads(data)
        docs = whole["content"]["store"]["docs"]
        change()
        yield name, json.dumps(whole).encode()


def test_what_is_damaged_touches_nothing(twin, mine):
    with opened(mine) as desk:
        bring_in(desk, twin)
        data = desk.backup()
        files, before = everything(desk)[1], desk.store.snapshot()
        for what, bad in damaged(data):
            with pytest.raises(backup.WrongBackup):
                desk.restore(bad)
            assert (desk.store.snapshot(), everything(desk)[1]) == (before, files), what
        with pytest.raises(backup.WrongBackup, match="pass phrase"):
            desk.restore(desk.backup(PHRASE), "another phrase")


def test_a_dry_run_touches_nothing(twin, mine):
    with opened(mine) as desk:
        bring_in(desk, twin)
        data, before = desk.backup(), everything(desk)
        desk.remove("first")
        added = desk.add(imports.read("ksk_" + "x" * 40))["accounts"][0]["id"]
        changed = everything(desk)
        found = desk.restore(data, dry_run=True)
        assert found["dry_run"] and found["documents"]["account"] == len(KINDS) - 1
        assert found["gone"] == [added], "its login is nowhere else"
        assert everything(desk) == changed != before
        assert desk.restore(data)["gone"] == [added]
        assert {row["id"] for row in desk.accounts()} & {added} == set()


def test_no_login_goes_back_in_time(twin, mine):
    """What was renewed after the backup was made stays: the token in the file has been redeemed."""
    with opened(mine) as desk:
        first, _ = bring_in(desk, twin)
        data = desk.backup()
        time.sleep(0.01)
        desk.logins.refresh(first)
        desk.logins.refresh("refresh-token" if "refresh-token" in desk.logins._keepers else desk.logins.accounts()[0].id)
        desk.change(first, {"label": "renamed since"})
        kept = {a.id: desk.logins.credential(a.id).refresh for a in desk.logins.accounts()}
        found = desk.restore(data)
        assert first in found["newer"]
        assert desk.account(first)["label"] == "first", "what was set is as it was"
        assert {a.id: desk.logins.credential(a.id).refresh for a in desk.logins.accounts()} == kept
        for account in desk.logins.accounts():
            desk.logins.refresh(account.id)
    assert twin.ledger.reuses == 0


def test_a_key_that_was_revoked_since_stays_revoked(twin, mine):
    with opened(mine) as desk:
        bring_in(desk, twin)
        register, data = named.Register(desk.store), desk.backup()
        register.revoke("friend")
        desk.restore(data)
        assert register.find("friend").revoked_at is not None
        register.add("friend", named.Terms())
        desk.restore(data)
        assert register.find("friend").revoked_at is None, "another key of that name is as it was then"


def test_a_gateway_that_runs_notices(twin, mine):
    """Two processes on one store: one restores, the other hears of it."""
    with opened(mine) as desk:
        bring_in(desk, twin)
        data = desk.backup()
        desk.remove("first")
        with opened(mine) as other:
            other.logins.follow(other.sync, lambda: other.pool.replace(other.logins.accounts()))
            assert all(row["label"] != "first" for row in other.accounts())
            desk.restore(data)
            end = time.monotonic() + 60
            while other.pool.find("first") is None and time.monotonic() < end:
                time.sleep(0.05)
            assert other.account("first")["label"] == "first"
