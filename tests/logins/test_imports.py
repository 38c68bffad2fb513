"""Accounts that people bring along, in the shapes that other programs write."""

import hashlib
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.credential import Credential
from kirogw.logins import imports
from kirogw.logins.cliro import Setting
from kirogw.logins.imports import Imported, Problem, read, read_file
from kirogw.twin.codex import jwt
from kirogw.twin.kiro.accounts import Account, as_ide_file
from tests.logins import support

ACCESS, REFRESH = "aoa" + "A" * 60, "aor" + "R" * 120
KEY = "ksk_" + "k" * 40
ARN = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/ABC"
MACHINE = hashlib.sha256(b"m").hexdigest()
TOKENS = {"accessToken": ACCESS, "refreshToken": REFRESH}
CLIENT = {"clientId": "id", "clientSecret": "secret"}


def taken(*rows):
    assert all(isinstance(row, Imported) for row in rows), rows
    return [row.credential for row in rows]


def one(value, **more):
    (row,) = read(value if isinstance(value, str) else json.dumps(value), **more)
    return row


SHAPES = [
    pytest.param([TOKENS], "[0]", id="array"), pytest.param({"accounts": [TOKENS]}, "accounts[0]", id="accounts"),
    pytest.param({"accounts": {"a1": TOKENS}, "groups": {}}, "accounts.a1", id="accounts by id"),
    pytest.param(TOKENS, "", id="one object"), pytest.param([REFRESH], "[0]", id="a list of tokens"),
    pytest.param(REFRESH, "line 1", id="plain"), pytest.param(f"# mine\n\n  {REFRESH}  # work\n", "line 3", id="with comments"),
    pytest.param("\ufeff" + json.dumps([TOKENS]), "[0]", id="with a byte order mark"),
    pytest.param({"version": 1, "exportedAt": "x", "count": 1, "accounts": [TOKENS]}, "accounts[0]", id="CLIRO's selected"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "where"), SHAPES)
def test_shapes(value, where):
    row = one(value)
    assert (row.credential.refresh, row.credential.kind, row.where, row.enabled) == (REFRESH, "social", where, None)


ID = jwt.signed({"sub": "auth0|ada", "email": "ada@example.com", "exp": 1, "https://api.openai.com/auth": {
    "chatgpt_account_id": "ws-1", "chatgpt_user_id": "user-1", "chatgpt_plan_type": "plus"}})
BEARER = jwt.signed({"exp": 1790763072, "scp": ["openid"]})
RT = "rt_" + "r" * 60
CHATGPT = {"kind": "codex", "access": BEARER, "refresh": RT, "workspace": "ws-1", "user": "user-1", "email": "ada@example.com",
           "plan": "plus", "expires_at": 1790763072.0, "id_token": ID}  # fmt: skip
ENTRIES = [
    pytest.param({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "last_refresh": "2026-11-22T10:00:00Z",
                  "tokens": {"id_token": ID, "access_token": BEARER, "refresh_token": RT, "account_id": "ws-1"}}, CHATGPT, id="auth.json of Codex CLI"),
    pytest.param({"id": "u", "provider": "codex", "email": "ada@example.com", "accountId": "ws-1", "planType": "plus", "accessToken": BEARER,
                  "refreshToken": RT, "idToken": ID, "expiresAt": 5, "healthState": "ready"}, CHATGPT, id="CLIRO, Codex"),
    pytest.param({"type": "codex", "id_token": ID, "access_token": BEARER, "refresh_token": RT, "account_id": "ws-1",
                  "email": "ada@example.com", "expired": "2026-09-30T10:11:12Z", "last_refresh": "x"}, CHATGPT, id="CLIProxyAPI, Codex"),
    pytest.param({"openai": {"type": "oauth", "access": BEARER, "refresh": RT, "expires": 1790763072000, "accountId": "ws-1"}},
                 {"kind": "codex", "access": BEARER, "refresh": RT, "workspace": "ws-1", "expires_at": 1790763072.0}, id="OpenCode"),
    pytest.param({"provider": "codex", "refreshToken": RT, "accessToken": "opaque" * 5, "expiresAt": 1790763072, "accountId": "ws-2", "planType": "team"},
                 {"kind": "codex", "workspace": "ws-2", "plan": "team", "expires_at": 1790763072.0, "user": ""}, id="Codex, opaque tokens"),
    # what the file says, what the login has
    pytest.param({**TOKENS, "expiresAt": "2026-09-30T10:11:12.345Z", "authMethod": "social", "provider": "Github", "profileArn": ARN},
                 {"kind": "social", "provider": "Github", "profile": ARN, "expires_at": 1790763072.345}, id="IDE, social"),
    pytest.param({**TOKENS, **CLIENT, "authMethod": "IdC", "provider": "BuilderId", "clientIdHash": "x", "region": "us-east-1"},
                 {"kind": "builder", "client_id": "id", "client_secret": "secret", "sso_region": "us-east-1"}, id="IDE with its client"),
    pytest.param({"type": "refresh_token", "refresh_token": REFRESH, "profile_arn": ARN, "region": "eu-west-1", "api_region": "us-east-1"},
                 {"kind": "social", "refresh": REFRESH, "access": "", "profile": ARN, "sso_region": "eu-west-1"}, id="kiro-gateway, token"),
    pytest.param({"id": "u", "provider": "kiro", "email": "ada@example.com", "accountId": ARN, **TOKENS, **CLIENT, "authMethod": "idc",
                  "expiresAt": 1790763072, "planType": "PRO", "healthState": "ready"},
                 {"kind": "builder", "provider": "BuilderId", "email": "ada@example.com", "profile": ARN, "expires_at": 1790763072.0,
                  "sso_region": "us-east-1", "start_url": "https://view.awsapps.com/start"}, id="CLIRO, device"),
    pytest.param({"provider": "kiro", "accountId": "no arn", **TOKENS, "authMethod": "social"},
                 {"kind": "social", "provider": "", "profile": ""}, id="CLIRO, social"),
    pytest.param({"id": "u", "email": "ada@example.com", "idp": "Google", "userId": "d-1.2", "machineId": MACHINE, "tags": [],
                  "credentials": {**TOKENS, "csrfToken": "x", "region": "us-east-1", "expiresAt": 1790763072345, "authMethod": "social"}},
                 {"kind": "social", "provider": "Google", "machine": MACHINE, "email": "ada@example.com",
                  "expires_at": 1790763072.345}, id="account manager, nested"),
    pytest.param({**TOKENS, **CLIENT, "authMethod": "iam", "startUrl": "https://acme.awsapps.com/start", "ssoRegion": "eu-west-1",
                  "machine_id": "01234567-89ab-cdef-0123-456789abcdef"},
                 {"kind": "idc", "start_url": "https://acme.awsapps.com/start", "sso_region": "eu-west-1",
                  "machine": "0123456789abcdef" * 4}, id="account manager, flat"),
    pytest.param({**TOKENS, "auth_method": "external_idp", "token_endpoint": "https://login.microsoftonline.com/x", "clientId": "c",
                  "scopes": "a b"}, {"kind": "external", "client_id": "c", "scopes": ("a", "b")}, id="external"),
    pytest.param({"kiroApiKey": KEY, "authMethod": "api_key", "apiRegion": "eu-central-1"},
                 {"kind": "key", "access": KEY, "region": "eu-central-1", "refresh": ""}, id="kiro.rs, key"),
    pytest.param({"type": "kiro", "kiro_api_key": KEY, "api_region": "eu-central-1"},
                 {"kind": "key", "access": KEY, "region": "eu-central-1"}, id="key in snake case"),
    pytest.param({"accessToken": f"{KEY}|eu-central-1"}, {"kind": "key", "access": KEY, "region": "eu-central-1"}, id="key as a token"),
    pytest.param({"accessToken": ACCESS}, {"kind": "social", "access": ACCESS, "refresh": ""}, id="a token that can not be renewed"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "members"), ENTRIES)
def test_entries(entry, members):
    found = taken(one([entry]))[0]
    assert {name: getattr(found, name) for name in members} == members


def test_a_lone_token_of_chatgpt_is_none_of_kiros():
    for text in (RT, json.dumps([RT])):
        (found,) = taken(*read(text))
        assert (found.kind, found.refresh, found.access) == ("codex", RT, "")


def test_lines_of_keys():
    got = taken(*read(f"{KEY}|eu-central-1\n\"{KEY}2\",\n{REFRESH}"))
    assert [(each.kind, each.access, each.region) for each in got] == [
        ("key", KEY, "eu-central-1"), ("key", KEY + "2", ""), ("social", "", "")]  # fmt: skip


TERMS = [
    pytest.param({"enabled": False}, {"enabled": False}, id="switched off"), pytest.param({"enabled": True}, {"enabled": True}, id="on"),
    pytest.param({"disabled": True}, {"enabled": False}, id="kiro.rs, off"),
    pytest.param({"enabled": True, "banned": True, "bannedReason": "account_suspended"},
                 {"enabled": False, "note": "account_suspended"}, id="CLIRO, banned"),
    pytest.param({"enabled": "yes", "nickname": " work ", "remark": "till May"}, {"enabled": None, "label": "work", "note": "till May"}, id="names"),
    pytest.param({"limit": 1000, "weight": 3}, {"limit": None, "weight": None}, id="another program's limit is no limit of ours"),
    pytest.param({"label": "x" * 300}, {"label": "x" * 100}, id="too long a name"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "terms"), TERMS)
def test_what_was_set_for_it(more, terms):
    row = one([{**TOKENS, **more}])
    assert {name: getattr(row, name) for name in terms} == terms


WRONG = [
    pytest.param([7], "[0]", "an account must be an object", id="a number"),
    pytest.param({"accounts": [TOKENS, {"email": "x"}]}, "accounts[1].refreshToken", "is missing", id="no token"),
    pytest.param([{"refreshToken": 7}], "[0].refreshToken", "must be text", id="a token that is none"),
    pytest.param([{"refreshToken": "aorAAAA...ZZZZ" + "x" * 20}], "[0].refreshToken", "cut short", id="cut short"),
    pytest.param([{"refreshToken": "aor"}], "[0].refreshToken", "too short", id="too short"),
    pytest.param([{"apiKey": "ksk_"}], "[0].apiKey", "too short", id="half a key"),
    pytest.param([{**TOKENS, "accessToken": f"{ACCESS[:20]}\n{ACCESS[20:]}"}], "[0].accessToken", "line breaks", id="in two lines"),
    pytest.param([{**TOKENS, "accessToken": f"{ACCESS}ы"}], "[0].accessToken", "letters that no token has", id="a letter of another script"),
    pytest.param([{"refreshToken": f"{REFRESH[:20]} {REFRESH[20:]}"}], "[0].refreshToken", "holds spaces", id="a space"),
    pytest.param([{"apiKey": f"{KEY}é"}], "[0].apiKey", "letters that no token has", id="a key with an accent"),
    pytest.param([{"accessToken": f"ksk_{'x' * 10}\n{'x' * 20}"}], "[0].accessToken", "line breaks", id="a key in two lines"),
    pytest.param([{**TOKENS, "authMethod": "IdC", "provider": "BuilderId"}], "[0].clientId", "is missing", id="no client"),
    pytest.param([{**TOKENS, "clientIdHash": "abc"}], "[0].clientId", "is missing", id="its client lies elsewhere"),
    pytest.param([{**TOKENS, "authMethod": "external-idp"}], "[0].tokenEndpoint", "is missing", id="no endpoint"),
    pytest.param([{**TOKENS, "region": "evil.example/"}], "[0].region", "must look like us-east-1", id="region"),
    pytest.param([{**TOKENS, "profileArn": "arn:aws:iam::1:x"}], "[0].profileArn", "must look like arn:", id="ARN"),
    pytest.param([{"provider": "codex", "email": "a@b"}], "[0].refreshToken", "neither access token nor refresh token", id="CLIRO, Codex without tokens"),
    pytest.param({"OPENAI_API_KEY": "sk-proj-1", "auth_mode": "apikey", "tokens": None}, "auth_mode", "an API key of OpenAI's platform", id="Codex with a key"),
    pytest.param([{"provider": "codex", "refresh_token": "rt_abc...xyz" + "x" * 30}], "[0].refreshToken", "cut short", id="Codex, cut"),
    pytest.param([{"provider": "codex", "refresh_token": "short"}], "[0].refreshToken", "too short", id="Codex, short"),
    pytest.param([{"type": "json", "path": "~/x.json"}], "[0].path", "names a file", id="a file, from afar"),
    pytest.param([{"type": "zip", "path": "x"}], "[0].type", "must be json, sqlite or refresh_token", id="no such type"),
    pytest.param([{"type": "json", "path": ""}], "[0].path", "must be text", id="no path"),
    pytest.param([{"credential": {"kind": "saml"}}], "[0].credential.kind", "must be one of", id="ours, unknown kind"),
    pytest.param([{"credential": {"kind": "social"}}], "[0].credential.refresh", "is missing", id="ours, empty"),
    pytest.param([{"credential": {"kind": "social", "refresh": REFRESH}, "limit": "4"}], "[0].limit", "whole number", id="ours, limit"),
    pytest.param([{"credential": {"kind": "social", "refresh": REFRESH}, "weight": -1}], "[0].weight", "from 0 to", id="ours, weight"),
    pytest.param("this is no token at all", "line 1.refreshToken", "holds spaces", id="a line of words"),
    pytest.param(f"{REFRESH}\naor", "line 2.refreshToken", "too short", id="line"),
    pytest.param("", "", "nothing in it", id="empty"), pytest.param("[]", "", "no account", id="no entries"),
    pytest.param({"accounts": []}, "", "no account", id="no accounts"), pytest.param("{]", "", "line 1, column 2", id="no JSON"),
    pytest.param("[" * 100_000, "", "nested too deeply", id="too deep"), pytest.param({"a": 1}, "refreshToken", "is missing", id="something else"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "where", "reason"), WRONG)
def test_what_is_wrong_is_told_with_its_place(value, where, reason):
    problem = read(value if isinstance(value, str) else json.dumps(value))[-1]
    assert isinstance(problem, Problem) and problem.where == where and reason in problem.reason
    assert str(problem) == (f"{where}: {problem.reason}" if where else problem.reason) and "\n" not in str(problem)
    assert REFRESH not in str(problem) and ACCESS not in str(problem)


def test_half_a_letter_does_no_harm():
    """JSON can hold half of a surrogate pair; what we answer can not, and so no list with the account in it."""
    entry = f'{{"refreshToken": "{REFRESH}", ' + r'"email": "\ud800a@x.y", "label": "l\udc00", "note": "\ud83d\ude00 \ud83d"}'
    row, problem = read(r'{"accounts": {"one": %s, "\ud800": {}}}'.replace("%s", entry))
    assert (row.credential.email, row.label, row.note) == ("\ufffda@x.y", "l\ufffd", "\U0001f600 \ufffd")
    assert orjson.dumps(imports.export([row], 1.0)) and str(problem) == "accounts.\ufffd.refreshToken: is missing"
    assert str(read("\ud800")[0]) == "line 1.refreshToken: is too short to be a whole one"


def test_one_that_is_wrong_holds_up_nothing():
    rows = read(json.dumps([TOKENS, {}, "x", {"apiKey": KEY}]))
    assert [type(row) for row in rows] == [Imported, Problem, Problem, Imported]


def test_too_many():
    (problem,) = read(json.dumps(["x"] * (imports.MOST + 1)))
    assert "more than 10000 are not taken" in problem.reason


CONFIG = {"proxyPort": 8095, "allowLan": True, "proxyApiKey": "a-key", "authorizationMode": True, "schedulingMode": "cache_first",
          "modelAliases": {"gpt-4": "claude-sonnet-4.5", "x": 7}, "cloudflared": {"enabled": False}}  # fmt: skip
SETTINGS = [
    Setting("SERVER_PORT", "8095"), Setting("SERVER_HOST", "0.0.0.0"), Setting("PROXY_API_KEY", "a-key", secret=True),
    Setting("SCHEDULING_MODE", "fill-first"), Setting("MODEL_ALIASES", "gpt-4=claude-sonnet-4.5"),
]  # fmt: skip


def test_settings_of_cliro():
    assert read(json.dumps(CONFIG)) == SETTINGS
    backup = read(json.dumps({"version": 1, "state": CONFIG, "accounts": [{**TOKENS, "provider": "kiro", "authMethod": "social"}]}))
    assert backup[:-1] == SETTINGS and isinstance(backup[-1], Imported)


def test_settings_of_cliro_that_make_no_sense():
    assert read(json.dumps({"proxyPort": True, "schedulingMode": [], "modelAliases": 3})) == [Problem("", "it holds no account")]


# files of this machine


def test_a_list_of_files(tmp_path):
    """kiro-gateway's credentials.json; a path may be relative to it."""
    ide = Account("a", "idc", access_token=ACCESS, refresh_token=REFRESH, client_id="id", client_secret="secret")
    support.write_ide_file(tmp_path / "sso" / "token.json", ide)
    support.write_database(tmp_path / "data.sqlite3", Account("b", "social", access_token=ACCESS, refresh_token=REFRESH + "2"))
    listed = tmp_path / "credentials.json"
    listed.write_text(json.dumps([
        {"type": "json", "path": "sso/token.json", "profile_arn": ARN}, {"type": "sqlite", "path": str(tmp_path / "data.sqlite3"), "enabled": False},
        {"type": "json", "path": "nowhere.json"},
    ]))  # fmt: skip
    first, second, third = read_file(listed)
    assert (first.credential.kind, first.credential.client_secret, first.credential.profile) == ("idc", "secret", ARN)
    assert (second.credential.refresh, second.enabled) == (REFRESH + "2", False)
    assert third.where == "[2].path" and third.reason.endswith("nowhere.json does not exist")


def test_the_ides_own_file_with_its_client_beside_it(tmp_path):
    account = Account("a", "builder", access_token=ACCESS, refresh_token=REFRESH, client_id="id", client_secret="secret")
    path = support.write_ide_file(tmp_path / "kiro-auth-token.json", account)
    (row,) = read_file(path)
    assert row.credential.client_secret == "secret"
    (path.parent / f"{as_ide_file(account, '')['clientIdHash']}.json").unlink()
    (problem,) = read_file(path)
    assert isinstance(problem, Problem) and "lacks the client registration" in problem.reason


def test_a_file_with_a_token_that_was_damaged(tmp_path):
    path = support.write_ide_file(tmp_path / "token.json", Account("a", "social", access_token=f"{ACCESS}\nx", refresh_token=REFRESH))
    listed = tmp_path / "credentials.json"
    listed.write_text(json.dumps([{"type": "json", "path": "token.json"}]))
    (problem,) = read_file(listed)
    assert problem == Problem("[0].path", "token.json holds a token with spaces, line breaks or letters that no token has; sign in anew")
    (problem,) = read_file(path)
    assert problem.where == "accessToken" and "in one piece" in problem.reason and ACCESS not in str(problem)


def test_a_database(tmp_path):
    path = support.write_database(tmp_path / "data.sqlite3", Account("b", "social", access_token=ACCESS, refresh_token=REFRESH))
    assert taken(*read_file(path))[0].refresh == REFRESH


@pytest.mark.parametrize(("data", "reason"), [(None, "can not be read"), (b"\xff\xfe\x00", "not text in UTF-8"), (b"SQLite format 3\x00x", "kiro-cli database")])
def test_files_that_are_none(tmp_path, data, reason):
    path = tmp_path / "x"
    if data is not None:
        path.write_bytes(data)
    (problem,) = read_file(path)
    assert reason in problem.reason


# our own


CREDENTIALS = st.builds(
    Credential, kind=st.sampled_from(["social", "idc", "builder", "external", "key"]), refresh=st.text(min_size=1),
    access=st.text(), expires_at=st.none() | st.floats(1, 1e10), client_id=st.text(), client_secret=st.text(),
    client_ends=st.none() | st.floats(1, 1e10), scopes=st.lists(st.text(min_size=1)).map(tuple), email=st.text(), machine=st.text(),
    profile=st.text(), region=st.text(), sso_region=st.text(), provider=st.text(), issued_at=st.none() | st.floats(1, 1e10),
)  # fmt: skip
ROWS = st.builds(Imported, CREDENTIALS, label=st.text(max_size=100).map(str.strip), enabled=st.booleans(),
                 weight=st.none() | st.floats(0, 1000), limit=st.none() | st.integers(0, 99), note=st.text(max_size=500).map(str.strip))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_our_own_export_is_read_as_it_was(rows):
    got = read(json.dumps(imports.export(rows, 1.5)))
    if rows:
        assert [(row.credential, row.label, row.enabled, row.weight, row.limit, row.note) for row in got] == [
            (row.credential, row.label, row.enabled, row.weight, row.limit, row.note) for row in rows]  # fmt: skip


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda x: st.lists(x, max_size=4) | st.dictionaries(
    st.sampled_from(["accounts", "refreshToken", "accessToken", "credential", "credentials", "path", "type", "provider", "kind", "state",
                     "proxyPort", "enabled", "region", "scopes", "expiresAt", "machineId", "accountId", "authMethod"]) | st.text(), x, max_size=6),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(JSON.map(json.dumps) | st.text())
def test_nothing_breaks_it(text):
    for row in read(text):
        assert isinstance(row, Imported | Problem | Setting)
