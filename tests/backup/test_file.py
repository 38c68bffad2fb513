"""The file of a backup: what goes in comes out, and nothing that is damaged is believed."""

import base64
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.backup import file as backup
from kirogw.backup.file import Content, WrongBackup

PHRASE = "correct horse battery"
CHEAP = (1 << 4, 8, 1)


class Vault:
    """Seals with a word, so that a test sees which one did."""

    def __init__(self, word):
        self.mark = f"sealed:{word}:"

    def seal(self, data):
        return self.mark + base64.b64encode(data).decode()

    def open(self, text):
        assert text.startswith(self.mark)
        return base64.b64decode(text.removeprefix(self.mark))

    def holds(self, text):
        return text.startswith("sealed:")


HERE, THERE = Vault("here"), Vault("there")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | TEXTS.map(lambda text: HERE.seal(text.encode())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda name: name != backup.OPENED), inner, max_size=3),
    max_leaves=10,
)
STORES = st.dictionaries(TEXTS.filter(lambda name: name != backup.OPENED), VALUES, max_size=4)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(backup, "COST", CHEAP)


def moved(value):
    """As it should look where THERE seals."""
    text = json.dumps(value)
    return json.loads(text.replace(HERE.mark, THERE.mark))


@given(STORES, st.dictionaries(TEXTS, TEXTS, max_size=3), st.sampled_from(["", PHRASE]))
@settings(max_examples=100, deadline=None)
def test_what_goes_in_comes_out(store, files, phrase):
    content = Content(1000.5, backup.opened(store, HERE.holds, HERE), files)
    assert backup.resealed(content.store, HERE) == store
    found = backup.read(backup.written(content, phrase), phrase)
    assert found == content
    assert backup.resealed(found.store, THERE) == moved(store)


SECRET = "aorSECRET-in-the-backup"
CONTENT = Content(1.0, backup.opened({"login": {"a": HERE.seal(SECRET.encode())}}, HERE.holds, HERE), {"key": "kgw_KEY"})


def test_with_a_pass_phrase_nothing_can_be_read():
    data = backup.written(CONTENT, PHRASE)
    assert SECRET.encode() not in data and b"kgw_KEY" not in data and b"login" not in data and PHRASE.encode() not in data
    assert backup.OPENED in json.dumps(CONTENT.store) and SECRET in json.dumps(CONTENT.store)
    assert SECRET not in repr(CONTENT) and "kgw_KEY" not in repr(CONTENT)


def test_the_order_of_members_does_not_matter():
    assert backup.read(json.dumps(json.loads(backup.written(CONTENT, PHRASE)), sort_keys=True).encode(), PHRASE) == CONTENT


def test_each_has_its_own_salt():
    assert backup.written(CONTENT, PHRASE) != backup.written(CONTENT, PHRASE)


@pytest.mark.parametrize(("phrase", "said"), [("", "give its pass phrase"), ("wrong phrase", "not that of this backup")])
def test_the_pass_phrase_is_needed(phrase, said):
    with pytest.raises(WrongBackup, match=said) as caught:
        backup.read(backup.written(CONTENT, PHRASE), phrase)
    assert caught.value.param == "passphrase"


def test_a_short_pass_phrase_is_refused():
    with pytest.raises(backup.BadRequest, match="8 characters"):
        backup.written(CONTENT, "short")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_never_believed(data):
    whole = WHOLE[0] if WHOLE else WHOLE.append(backup.written(CONTENT, PHRASE)) or WHOLE[0]
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    changed = whole[:place] + bytes([whole[place] ^ other]) + whole[place + 1 :]
    try:
        assert backup.read(changed, PHRASE) == CONTENT  # white space, or the head's spelling of the same value
        assert orjson.loads(changed) == orjson.loads(whole)
    except WrongBackup:
        pass


WHOLE = []


@given(st.integers(0, 2000))
@settings(max_examples=50, deadline=None)
def test_a_cut_file_is_never_believed(length):
    whole = backup.written(CONTENT)
    with pytest.raises(WrongBackup):
        backup.read(whole[: length % len(whole)])


GOOD = json.loads(backup.written(CONTENT))
WRONG = [
    ([], "made by something else"), ({}, "made by something else"), ({**GOOD, "name": "x"}, "made by something else"),
    ({**GOOD, "format": 2}, "format 2"), ({**GOOD, "content": None}, "damaged"), ({**GOOD, "made_at": "x"}, "damaged"),
    ({**GOOD, "content": {"store": [], "files": {}}}, "damaged"), ({**GOOD, "content": {"store": {}, "files": {"key": 1}}}, "damaged"),
    ({**GOOD, "encrypted": True}, "damaged"), ({**GOOD, "encrypted": True, "scrypt": {"n": 2**40, "r": 8, "p": 1}}, "damaged"),
    ({**GOOD, "encrypted": True, "scrypt": {"n": 16, "r": 8, "p": 1, "salt": "?"}}, "damaged"),
    ({**GOOD, "encrypted": True, "scrypt": {"n": 16, "r": 8, "p": 1, "salt": "AAAA"}, "nonce": "AAAA", "content": "AAAA"}, "damaged"),
]


@pytest.mark.parametrize(("outer", "said"), WRONG)
def test_what_is_no_backup(outer, said):
    with pytest.raises(WrongBackup, match=said):
        backup.read(json.dumps(outer).encode(), PHRASE)


@pytest.mark.parametrize("value", [{backup.OPENED: 1}, {"a": {backup.OPENED: "x", "b": 1}}])
def test_a_damaged_secret(value):
    with pytest.raises(WrongBackup, match="damaged"):
        backup.resealed(value, HERE)
