"""`kirogw.py keys`: made, shown once, listed, changed, rotated, revoked; for people and for programs."""

import json
import time

import pytest

from kirogw import cli
from kirogw.logins.keys import Key
from kirogw.logins.named import Keys, Limits, Register, Terms
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.store.sync import Sync


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIROGW_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def run(capsys):
    """What a command printed on its standard output; its exit code must be `code`."""

    def ran(*words, code=0):
        assert cli.main(["keys", *words]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return ran


@pytest.fixture
def store():
    store = open_store(load())
    yield store
    store.close()


@pytest.fixture
def caller(store):
    """Whom a key lets in."""
    return lambda key: Keys(store, Sync(store), Key("main-key"), Key("admin-key")).caller(key)


def test_a_key_is_made_and_its_secret_alone_is_printed(run, caller):
    key = run(
        "add", "ci", "--models", "claude-*, auto", "--accounts", "kiro-ide,work", "--scopes", "api,admin", "--rpm", "30",
        "--concurrent", "4", "--daily-tokens", "1.5M", "--daily-credits", "2.5", "--monthly-tokens", "20k", "--monthly-credits", "1k",
        "--note", "for the build",
    ).strip()  # fmt: skip
    made = caller(key)
    assert (made.name, made.scopes, made.models, made.accounts) == ("ci", {"api", "admin"}, ("claude-*", "auto"), {"kiro-ide", "work"})
    assert made.limits == Limits(30, 4, 1_500_000, 2.5, 20_000, 1000.0)


def test_the_secret_is_never_shown_again(run, home):
    key = run("add", "ci").strip()
    rotated = run("rotate", "ci").strip()
    said = run("list") + run("list", "--json") + run("show", "ci") + run("show", "ci", "--json") + run("set", "ci", "--note", "x")
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for secret in (key, rotated):
        assert secret.startswith("kgw_") and secret[:-4] not in said and secret[4:-4].encode() not in kept


def test_json(run):
    made = json.loads(run("add", "ci", "--rpm", "5", "--json"))
    assert made["key"].startswith("kgw_") and made["record"]["limits"]["minute"] == 5
    assert json.loads(run("show", "ci", "--json"))["used"]["day"]["tokens"] == 0
    assert json.loads(run("rotate", "ci", "--json"))["key"] != made["key"]
    assert [row["name"] for row in json.loads(run("list", "--json"))["keys"]] == ["ci"]
    assert json.loads(run("set", "ci", "--rpm", "0", "--json"))["limits"]["minute"] == 0
    assert json.loads(run("revoke", "ci", "--json"))["state"] == "revoked"
    assert json.loads(run("list", "--json")) == {"keys": []} and len(json.loads(run("list", "--all", "--json"))["keys"]) == 1


def test_a_list_shows_what_is_used_of_what(run, store):
    run("add", "ci", "--daily-tokens", "2M")
    id_ = Register(store).find("ci").id
    day = time.strftime("%Y-%m-%d", time.gmtime())
    store.add({f"budget|{day}|{id_}|tokens": 12_345.0, f"budget|{day}|{id_}|credits": 1_250_000.0})
    assert "12,345 of 2,000,000 tokens, 1.25 credits" in run("list")
    assert "12,345 of 2,000,000 tokens, 1.25 credits" in run("show", "ci")


def test_what_is_not_named_stays_and_empty_clears(run, store):
    run("add", "ci", "--models", "auto", "--accounts", "a", "--rpm", "5", "--daily-tokens", "9", "--expires", "30d")
    run("set", "ci", "--models", "", "--rpm", "6")
    terms = Register(store).find("ci").terms
    assert (terms.models, terms.accounts, terms.limits) == ((), ("a",), Limits(minute=6, day_tokens=9)) and terms.expires_at
    run("set", "ci", "--expires", "never", "--accounts", "")
    terms = Register(store).find("ci").terms
    assert (terms.accounts, terms.expires_at) == ((), None)
    assert "nothing to change" in run("set", "ci", code=1)


def test_a_key_has_names_and_chains_of_its_own(run, store):
    run("add", "ci", "--alias", "claude-haiku-*=gpt-5.6-luna,best=gpt-5.6-sol-xhigh", "--alias", "small=glm-5",
        "--fallback", "claude-sonnet-5=gpt-5.6-terra>glm-5")  # fmt: skip
    told = run("show", "ci")
    assert "claude-haiku-*=gpt-5.6-luna, best=gpt-5.6-sol-xhigh, small=glm-5" in told and "gpt-5.6-terra>glm-5" in told
    run("set", "ci", "--alias", "a=b")
    terms = Register(store).find("ci").terms
    assert (terms.aliases, terms.fallbacks) == (("a=b",), ("claude-sonnet-5=gpt-5.6-terra>glm-5",))
    run("set", "ci", "--alias", "", "--fallback", "")
    assert Register(store).find("ci").terms == Terms()
    assert "aliases" not in run("show", "ci")


EXPIRES = [
    ("2030-12-31", 1924992000.0), ("2030-12-31T12:00Z", 1924948800.0), ("2030-12-31T12:00+02:00", 1924941600.0),
    ("2030-12-31 12:00", 1924948800.0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ends"), EXPIRES)
def test_when_a_key_ends(run, text, ends):
    """A date means its last second in UTC."""
    run("add", "ci", "--expires", text)
    assert json.loads(run("show", "ci", "--json"))["expires_at"] == ends


@pytest.mark.parametrize(("text", "seconds"), [("30d", 30 * 86400), ("12h", 43200), ("90min", 5400), ("2w", 14 * 86400)])
def test_when_a_key_ends_from_now(run, text, seconds):
    before = time.time()
    run("add", "ci", "--expires", text)
    assert before + seconds <= json.loads(run("show", "ci", "--json"))["expires_at"] <= time.time() + seconds


def test_a_rotation_with_and_without_time(run, caller):
    first = run("add", "ci").strip()
    second = run("rotate", "ci", "--overlap", "1h").strip()
    assert caller(first) and caller(second)
    third = run("rotate", "ci", "--overlap", "0s").strip()
    assert [bool(caller(key)) for key in (first, second, third)] == [False, False, True]


def test_a_revoked_key_opens_nothing(run, caller):
    key = run("add", "ci").strip()
    assert "revoked" in run("revoke", "ci") and caller(key) is None
    assert "ci" not in run("list") and "ci" in run("list", "--all") and "There are no named keys" in run("list")


@pytest.mark.parametrize(("words", "said"), [
    (("show", "x"), "there is no key 'x'"), (("revoke", "x"), "there is no key 'x'"), (("rotate", "x"), "there is no key 'x'"),
    (("set", "x", "--rpm", "1"), "there is no key 'x'"), (("add", "a b"), "can not be a key's name"), (("add", "main"), "can not be a key's name"),
    (("add", "x", "--scopes", "root"), "a scope is one of"), (("add", "x", "--models", "[a]"), "is no model"),
    (("add", "x", "--alias", "a"), "is no rule"), (("add", "x", "--alias", "a=b>c"), "is no rule"), (("add", "x", "--fallback", "=b"), "is no rule"),
])  # fmt: skip
def test_what_can_not_be_is_said_in_a_line(run, words, said):
    told = run(*words, code=1)
    assert said in told and told.count("\n") == 1


@pytest.mark.parametrize("words", [
    (), ("add",), ("nonsense",), ("add", "x", "--rpm", "many"), ("add", "x", "--expires", "soon"), ("rotate", "x", "--overlap", "1y"),
])  # fmt: skip
def test_what_is_no_command_is_a_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["keys", *words])
    assert end.value.code == 2 and "usage" in capsys.readouterr().err


def test_what_was_done_is_noted(run, store):
    run("add", "ci")
    run("set", "ci", "--rpm", "1")
    run("rotate", "ci")
    run("revoke", "ci")
    run("list")
    did = [(entry["did"], entry["key"]) for _, entry in store.entries("events")]
    assert did == [("key added", "ci"), ("key changed", "ci"), ("key rotated", "ci"), ("key revoked", "ci")]


def test_what_can_be_printed_is_told(capsys):
    with pytest.raises(SystemExit):
        cli.main(["key", "--help"])
    assert "--admin" in capsys.readouterr().out


def test_the_two_keys_of_the_owner(capsys, monkeypatch):
    assert cli.main(["key"]) == cli.main(["key", "--admin"]) == cli.main(["key", "--admin"]) == 0
    main, admin, again = capsys.readouterr().out.split()
    assert main.startswith("kgw_") and admin.startswith("kgw_") and main != admin == again
    monkeypatch.setenv("ADMIN_API_KEY", "one-of-my-own")
    cli.main(["key", "--admin"])
    assert capsys.readouterr().out == "one-of-my-own\n"
