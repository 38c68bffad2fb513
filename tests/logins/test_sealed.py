import json
import os
import stat
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from kirogw.logins import sealed
from kirogw.logins.sealed import Safe, Seal, Unsealable, anew, is_sealed, mark_of, new_key, read_keys
from kirogw.settings import Settings, WrongSetting, load
from kirogw.store import open_store

TOP = Path(__file__).parents[2]
KEY, OTHER = b"k" * 32, b"o" * 32
SECRET = "aorSECRET"
many = examples(max_examples=150, deadline=None)


@pytest.fixture
def store(tmp_path):
    made = open_store(Settings(kirogw_home=str(tmp_path)))
    yield made
    made.close()


@pytest.fixture
def safe(tmp_path, store):
    """`safe(key)`: another process's."""
    return lambda key="", home=tmp_path: Safe(Settings(kirogw_home=str(home), kirogw_secret_key=key), home, store)


@given(st.binary(max_size=2000))
@many
def test_what_is_sealed_opens_as_it_was(data):
    text = Seal(KEY, OTHER).seal(data)
    assert Seal(OTHER, KEY).open(text) == data and is_sealed(text) and text.isascii()
    assert len(data) < 4 or data not in text.encode()


@given(st.binary(max_size=100), st.data())
@many
def test_one_changed_character_is_never_believed(data, draw):
    text = Seal(KEY).seal(data)
    n = draw.draw(st.integers(0, len(text) - 1))
    letter = draw.draw(st.sampled_from("ABCabc019-_.=ü").filter(lambda letter: letter != text[n]))
    changed = text[:n] + letter + text[n + 1:]
    try:
        opened = Seal(KEY).open(changed)
    except Unsealable:
        return
    assert opened == data, "the last character of base64 may have bits that count for nothing"


@given(st.text(max_size=100) | st.text("kgs1.9abcdefABC=_-", max_size=100).map(lambda text: "kgs1." + text))
@many
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(Unsealable) as caught:
        Seal(KEY).open(text)
    assert "\n" not in str(caught.value)


def test_the_same_twice_looks_different():
    assert Seal(KEY).seal(b"x") != Seal(KEY).seal(b"x")


def test_a_key_that_is_not_here_is_named():
    with pytest.raises(Unsealable, match=f"sealed with the key {mark_of(OTHER)}, which is not here"):
        Seal(KEY).open(Seal(OTHER).seal(b"x"))


def test_keys_as_they_are_written():
    one, two = new_key(), new_key()
    assert read_keys(f"{one}, {two}\n") == [*read_keys(one), *read_keys(two)] and len(one) == 43
    for wrong in ("short", one[:-1], one + "A", "ü" * 43):
        with pytest.raises(ValueError, match="no key"):
            read_keys(wrong)


def test_a_seal_does_not_show_its_keys():
    assert "kkkk" not in repr(Seal(KEY)) and not hasattr(Seal(KEY), "__dict__")


def test_what_is_in_a_document_is_sealed_anew():
    old, new = Seal(KEY), Seal(OTHER, KEY)
    text, done = old.seal(b"x"), new.seal(b"y")
    value = {"a": [text, 1, None], "b": {"c": done}, "d": "kgs"}
    changed = anew(new, value)
    assert (changed["b"], changed["d"], changed["a"][1:]) == (value["b"], "kgs", [1, None])
    assert Seal(OTHER).open(changed["a"][0]) == b"x"
    assert sealed.sealed_texts(changed) == [changed["a"][0], done]


# where the key lies


def test_a_key_is_made_in_a_private_file(safe, tmp_path):
    text = safe().seal(b"x")
    assert safe().open(text) == b"x"
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


def test_processes_that_seal_at_once_agree(safe):
    start, got = threading.Barrier(8), []

    def run():
        mine = safe()
        start.wait()
        got.append(mine.seal(b"x"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {safe().open(text) for text in got} == {b"x"} and len(got) == 8


def test_no_worker_loads_cryptography_before_it_needs_it(tmp_path):
    """It takes memory in each."""
    words = "import sys; from kirogw.web import create_app; create_app(); print('cryptography' in sys.modules)"
    environ = {**os.environ, "HOME": str(tmp_path), "KIROGW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", words], cwd=TOP, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nothing_is_loaded_or_made_before_something_is_sealed(safe, tmp_path):
    assert safe().in_use() == [] and not (tmp_path / "secret-key").exists()


def test_a_key_from_the_settings_counts_first_and_the_file_still_opens(safe, tmp_path):
    before = safe().seal(b"x")
    one = new_key()
    with_key = safe(one)
    assert with_key.open(before) == b"x" and with_key.place().name == "KIROGW_SECRET_KEY"
    after = with_key.seal(b"y")
    assert safe(f"{new_key()},{one}").open(after) == b"y"
    with pytest.raises(Unsealable, match="which is not here"):
        safe().open(after)


def test_another_machine_with_another_key_seals_nothing(safe, tmp_path):
    """What it would seal nobody else could open; and it says where the right one is."""
    safe().seal(b"x")
    for other in (safe("", tmp_path / "elsewhere"), safe(new_key(), tmp_path / "elsewhere")):
        with pytest.raises(Unsealable, match=rf"which is not here; it was in {tmp_path}/secret-key: bring it back"):
            other.seal(b"y")
    assert not (tmp_path / "elsewhere" / "secret-key").exists()
    assert safe((tmp_path / "secret-key").read_text().strip(), tmp_path / "elsewhere").seal(b"z")


def test_a_key_file_that_holds_none(safe, tmp_path):
    (tmp_path / "secret-key").write_text(SECRET)
    with pytest.raises(Unsealable, match=r"holds no key as `kirogw.py secret --new` prints it") as caught:
        safe().seal(b"x")
    assert SECRET not in str(caught.value)


def test_a_setting_that_holds_none():
    with pytest.raises(WrongSetting, match="KIROGW_SECRET_KEY must be a key") as caught:
        load({}, {"KIROGW_SECRET_KEY": SECRET}, None)
    assert SECRET not in str(caught.value)
    one = new_key()
    assert load({}, {"KIROGW_SECRET_KEY": f"{one},{new_key()}"}, None).kirogw_secret_key.startswith(one)


class Backend:
    priority = 5


Backend.__module__ = "keyring.backends.SecretService"


def ring(monkeypatch, backend=Backend, broken=False):
    """The package `keyring`, which need not be installed; what it holds."""
    held = {}
    module = types.ModuleType("keyring")
    module.get_keyring = backend

    def get(service, name):
        if broken:
            raise RuntimeError("the key ring is locked")
        return held.get((service, name))

    module.get_password = get
    module.set_password = lambda service, name, text: held.__setitem__((service, name), text)
    monkeypatch.setitem(sys.modules, "keyring", module)
    return held


def test_a_key_ring_is_used_where_there_is_one(safe, tmp_path, monkeypatch):
    held = ring(monkeypatch)
    text = safe().seal(b"x")
    assert safe().open(text) == b"x" and "the key ring (Backend)" in safe().place().name
    assert list(held) == [("kirogw", str(tmp_path))] and not (tmp_path / "secret-key").exists()
    assert safe().rotate() == 0 and safe().open(text) == b"x" and len(next(iter(held.values())).split()) == 2


def test_a_key_file_that_is_there_already_stays(safe, monkeypatch):
    text = safe().seal(b"x")
    held = ring(monkeypatch)
    assert safe().open(text) == b"x" and safe().seal(b"y") and held == {}


@pytest.mark.parametrize("why", ["locked", "no back end", "fail", "not installed"])
def test_a_key_ring_that_is_none_is_passed_over(safe, tmp_path, monkeypatch, why):
    if why == "not installed":
        monkeypatch.setitem(sys.modules, "keyring", None)
    elif why == "locked":
        ring(monkeypatch, broken=True)
    else:
        fail = type("Keyring", (), {"priority": 0 if why == "no back end" else 1, "__module__": f"keyring.backends.{why}"})
        ring(monkeypatch, fail)
    safe().seal(b"x")
    assert (tmp_path / "secret-key").exists()


def test_a_key_ring_that_goes_away_does_not_lead_to_another_key(safe, tmp_path, monkeypatch):
    """As when the gateway becomes a service, which has no session."""
    with monkeypatch.context() as patch:
        ring(patch)
        text = safe().seal(b"x")
    monkeypatch.setitem(sys.modules, "keyring", None)
    for act in (lambda: safe().seal(b"y"), lambda: safe().open(text)):
        with pytest.raises(Unsealable, match=r"it was in the key ring \(Backend\)"):
            act()
    assert not (tmp_path / "secret-key").exists()


# changing it


def test_a_new_key_seals_everything_and_nobody_is_shut_out(safe, store, tmp_path):
    running = safe()
    store.put("account", "a", {"login": running.seal(b"x"), "label": "L"})
    store.put("kept", "b", {"sealed": running.seal(b"y")})
    store.put("setting", "c", {"plain": 1})
    before = store.get("account", "a").value
    assert safe().rotate() == 2 and safe().closed() == 0
    after = store.get("account", "a").value
    assert after["label"] == "L" and after["login"].split(".")[1] != before["login"].split(".")[1]
    assert running.open(after["login"]) == b"x", "one that runs finds the new key"
    assert running.seal(b"z").split(".")[1] == after["login"].split(".")[1], "and seals with it"
    assert running.open(before["login"]) == b"x"
    assert safe().forget() == 1 and safe().closed() == 0 and len(safe().in_use()) == 1
    with pytest.raises(Unsealable):
        safe().open(before["login"])


def test_keys_in_the_settings_are_the_owners_to_change(safe, store):
    old, new = new_key(), new_key()
    store.put("account", "a", {"login": safe(old).seal(b"x")})
    assert safe(f"{new},{old}").rotate() == 1
    assert safe(new).open(store.get("account", "a").value["login"]) == b"x" and safe(new).closed() == 0
    assert safe(old).closed() == 1
    with pytest.raises(WrongSetting, match="take the old ones away there"):
        safe(new).forget()


def test_a_change_of_keys_loses_no_change_of_a_document(safe, store):
    """Somebody writes the account all the time."""
    running, end = safe(), threading.Event()
    store.put("account", "a", {"login": running.seal(b"0")})

    def write():
        n = 0
        while not end.is_set():
            n += 1
            store.put("account", "a", {"login": running.seal(str(n).encode())})
            last.append(n)

    last = []
    thread = threading.Thread(target=write)
    thread.start()
    while len(last) < 20:
        end.wait(0.01)
    rotated = safe().rotate()
    count = len(last)
    while len(last) < count + 3:
        end.wait(0.01)
    end.set()
    thread.join()
    assert rotated <= 1 and safe().open(store.get("account", "a").value["login"]) == str(last[-1]).encode()
    assert json.dumps(store.get("account", "a").value).count(mark_of(safe().in_use()[0])) == 1


def test_two_who_change_the_key_at_once_lose_none(safe, store, tmp_path):
    """Neither writes over the key with which the other has just sealed."""
    for n in range(5):
        store.put("account", f"a{n}", {"login": safe().seal(b"x")})
    failures = []

    def rotate():
        try:
            safe().rotate()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == [] and safe().closed() == 0
    assert len((tmp_path / "secret-key").read_text().split()) == 5


def test_a_key_that_another_worker_makes_at_the_same_moment_is_ours_too(safe, store, tmp_path):
    """It was not there when this one looked for it, and the store knows its mark when this one asks."""
    other = safe()

    class Between:
        def __getattr__(self, name):
            return getattr(store, name)

        def get(self, kind, id):
            other.seal(b"x")
            return store.get(kind, id)

    mine = Safe(Settings(kirogw_home=str(tmp_path)), tmp_path, Between())
    assert other.open(mine.seal(b"y")) == b"y"
