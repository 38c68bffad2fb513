"""`secret`, as it is typed, on the store of a gateway."""

import json

import pytest

from kirogw import cli
from kirogw.logins.sealed import Safe, mark_of, new_key, read_keys
from kirogw.settings import load
from kirogw.store import open_store


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("STATE_URL", "KIROGW_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KIROGW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def secret(home, capsys):
    def run(*words):
        code = cli.main(["secret", *words])
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return run


@pytest.fixture
def store(home):
    home.mkdir()
    made = open_store(load())
    yield made
    made.close()


def keep(home, store, text):
    """An account's login, as a gateway keeps it."""
    store.put("account", "a", {"login": Safe(load(), home, store).seal(text)})


def kept(home, store):
    return Safe(load(), home, store).open(store.get("account", "a").value["login"])


def test_a_new_key_is_one_that_the_settings_take(secret, home):
    code, said, _ = secret("--new")
    assert (code, len(read_keys(said))) == (0, 1) and not home.exists()
    assert load({}, {"KIROGW_SECRET_KEY": said}, None).kirogw_secret_key == said


def test_before_anything_was_sealed(secret, home):
    code, said, _ = secret("--show-place")
    assert (code, said) == (0, f"secrets are sealed with a key in {home}/secret-key (keys: none yet)")
    code, said, problem = secret("--show")
    assert (code, said) == (1, "") and "there is no key yet" in problem


def test_a_change_of_the_key(secret, home, store):
    keep(home, store, b"x")
    _, before, _ = secret("--show")
    code, said, _ = secret("--rotate")
    assert code == 0 and said.startswith("1 documents were sealed anew") and kept(home, store) == b"x"
    _, both, _ = secret("--show")
    assert len(read_keys(both)) == 2 and both.endswith(f",{before}")
    assert secret("--forget")[:2] == (0, f"1 old keys were taken away from {home}/secret-key")
    assert secret("--show")[1] == both.partition(",")[0] and kept(home, store) == b"x"
    code, said, _ = secret("--show-place", "--json")
    mark = mark_of(read_keys(both)[0])
    assert (code, json.loads(said)) == (0, {"place": f"{home}/secret-key", "keys": mark, "closed": 0, "problem": ""})
    assert not [key for key in both.split(",") if key in said]


def test_a_key_that_is_gone(secret, home, store):
    keep(home, store, b"x")
    (home / "secret-key").unlink()
    code, said, _ = secret("--show-place")
    assert code == 1 and "1 sealed texts can not be opened" in said
    code, _, problem = secret("--rotate")
    assert code == 1 and "bring it back" in problem and not (home / "secret-key").exists()


def test_a_key_from_the_settings(secret, home, store, monkeypatch):
    old, new = new_key(), new_key()
    monkeypatch.setenv("KIROGW_SECRET_KEY", old)
    keep(home, store, b"x")
    monkeypatch.setenv("KIROGW_SECRET_KEY", f"{new},{old}")
    code, said, _ = secret("--rotate")
    assert code == 0 and mark_of(read_keys(new)[0]) in said
    assert secret("--forget")[0] == 2
    monkeypatch.setenv("KIROGW_SECRET_KEY", new)
    assert kept(home, store) == b"x"


def test_something_must_be_asked_for(secret):
    with pytest.raises(SystemExit):
        secret()
