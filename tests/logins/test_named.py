"""Clients' keys: who is who, what each may do, and that a change is heard."""

import re
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.logins.keys import Key
from kirogw.logins.named import KIND, Caller, Keys, Limits, Register, Terms, WrongTerms
from kirogw.settings import Settings
from kirogw.store import Conflict, StoreFailed, open_store
from kirogw.store.sync import Sync
from tests.logins.holders import Late

MAIN, ADMIN = "kgw_the-main-one-0123456789", "kgw_the-admins-one-0123456789"
NOW = 1_800_000_000.0


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path):
    store = open_store(Settings(kirogw_home=str(tmp_path)))
    yield store
    store.close()


@pytest.fixture
def sync(store):
    sync = Sync(store)
    yield sync
    sync.close()


@pytest.fixture
def register(store, clock):
    return Register(store, clock)


@pytest.fixture
def keys(store, sync, clock):
    return Keys(store, sync, Key(MAIN), Key(ADMIN), clock)


def test_the_owners_two_keys(keys):
    assert keys.caller(MAIN) == Caller("main", frozenset({"api"}))
    assert keys.caller(ADMIN) == Caller("admin", frozenset({"admin"}))
    assert keys.caller(MAIN).may_use("anything") and not keys.caller(MAIN).id
    assert [keys.caller(wrong) for wrong in ("", MAIN.upper(), MAIN + " ", MAIN[:-1], "kgw_another")] == [None] * 5


def test_one_key_for_both_is_good_for_both(store, sync):
    assert Keys(store, sync, Key(MAIN), Key(MAIN)).caller(MAIN) == Caller("main", frozenset({"api", "admin"}))


@pytest.mark.parametrize("key", ["pässwörd", "密码", "\udcff"])
def test_a_key_of_any_letters(store, sync, key):
    """As typed, and as WSGI hands it down."""
    keys = Keys(store, sync, Key(key), Key(ADMIN))
    assert keys.caller(key).name == "main"
    assert keys.caller(key.encode("utf-8", "surrogatepass").decode("latin-1")).name == "main"


def test_a_named_key_is_known_at_once_and_kept_as_a_hash(keys, register, store):
    limits = Limits(minute=10, day_tokens=1000)
    terms = Terms(models=("claude-*",), accounts=("a", "b"), limits=limits, note="for the build")
    key, record = register.add("ci", terms)
    assert re.fullmatch(r"kgw_[A-Za-z0-9_-]{43}", key)
    caller = keys.caller(key)
    assert caller == Caller("ci", frozenset({"api"}), ("claude-*",), frozenset({"a", "b"}), limits, record.id)
    assert record.id and caller.id == record.id
    kept = str(store.snapshot()) + str(store.all(KIND)) + str(record) + str(record.described(NOW)) + repr(caller)
    assert key not in kept and key[4:-4] not in kept and key[-4:] in kept
    assert keys.caller(key[:-1]) is None and keys.caller("ci") is None and keys.caller(record.hashes[0].hash) is None


def test_a_key_has_names_of_its_own(register, keys):
    key, _ = register.add("k", Terms(aliases=("small=glm-5", "claude-*=auto"), fallbacks=("glm-5=auto > glm-4",)))
    rules = keys.caller(key).rules
    assert (rules.alias("Small"), rules.starting("claude-opus-5"), rules.chain(["glm-5"])) == ("glm-5", "auto", ("auto", "glm-4"))
    assert keys.caller(MAIN).rules is None


MODELS = [
    # patterns, a model, whether it may be used
    ((), "anything", True),
    (("claude-sonnet-4.6",), "claude-sonnet-4.6", True),
    (("claude-sonnet-4-6",), "claude-sonnet-4.6", True),
    (("Claude-Sonnet-4.6",), "claude-sonnet-4.6", True),
    (("claude-sonnet-4",), "claude-sonnet-4.6", False),
    (("claude-sonnet-4.6",), "claude-sonnet-4", False),
    (("claude-*",), "claude-opus-5", True),
    (("claude-*",), "gpt-5.6-sol", False),
    (("claude-opus-?",), "claude-opus-5", True),
    (("claude-opus-?",), "claude-opus-5.5", False),
    (("gpt-*", "auto"), "auto", True),
    (("gpt-*", "auto"), "auto2", False),
    (("*",), "", True),
]


@pytest.mark.parametrize(("patterns", "model", "may"), MODELS, ids=str)
def test_models(register, keys, patterns, model, may):
    key, _ = register.add("k", Terms(models=patterns))
    assert keys.caller(key).may_use(model) is may


WRONG = [
    ("main", Terms()), ("admin", Terms()), ("", Terms()), ("a b", Terms()), ("a|b", Terms()), ("-a", Terms()), ("a" * 65, Terms()),
    ("a", Terms(scopes=())), ("a", Terms(scopes=("api", "root"))), ("a", Terms(models=("[a-z]",))), ("a", Terms(models=("",))),
    ("a", Terms(limits=Limits(minute=-1))), ("a", Terms(limits=Limits(day_credits=float("nan")))),
    ("a", Terms(aliases=("a",))), ("a", Terms(aliases=("a=b>c",))), ("a", Terms(fallbacks=("a=",))), ("a", Terms(aliases=("a=b,c=d",))),
    ("a", Terms(expires_at=-1.0)), ("a", Terms(expires_at=1e11 + 1)), ("a", Terms(expires_at=float("inf"))),
    ("a", Terms(limits=Limits(month_tokens=10**16))), ("a", Terms(limits=Limits(minute=100_001))),
]


@pytest.mark.parametrize(("name", "terms"), WRONG, ids=str)
def test_what_can_not_be(register, store, name, terms):
    with pytest.raises(WrongTerms):
        register.add(name, terms)
    assert not store.all(KIND)


def test_a_name_is_one_keys_only(register):
    register.add("a", Terms())
    with pytest.raises(WrongTerms, match="already"):
        register.add("a", Terms())
    for act in (register.find, register.revoke, register.rotate, register.change):
        with pytest.raises(WrongTerms, match="there is no key 'b'"):
            act("b")


def test_two_that_change_one_key_at_once(register, store, monkeypatch):
    """The second is told; nothing of the first is written over."""
    register.add("a", Terms())
    doc = store.get(KIND, "a")
    register.change("a", note="first")
    monkeypatch.setattr(store, "get", lambda kind, id: doc)
    with pytest.raises(Conflict):
        register.change("a", note="second")
    assert store.all(KIND)["a"].value["terms"]["note"] == "first"


def test_a_key_expires(register, keys, clock):
    key, _ = register.add("a", Terms(expires_at=NOW + 10))
    assert keys.caller(key).name == "a"
    clock.now = NOW + 9.9
    assert keys.caller(key) and register.find("a").state(clock.now) == "active"
    clock.now = NOW + 10
    assert keys.caller(key) is None and register.find("a").state(clock.now) == "expired"
    assert keys.why(key) == "has expired on 2027-01-15 08:00 UTC"


def test_a_key_is_revoked_and_its_name_taken_again(register, keys):
    key, old = register.add("a", Terms())
    assert keys.caller(key)
    register.revoke("a")
    keys.reload()
    assert keys.caller(key) is None and keys.why(key) == "was revoked on 2027-01-15 08:00 UTC"
    assert register.revoke("a").revoked_at == NOW
    for act in (register.change, register.rotate):
        with pytest.raises(WrongTerms, match="has been revoked"):
            act("a")
    another, new = register.add("a", Terms())
    keys.reload()
    assert keys.caller(another).id == new.id != old.id and keys.caller(key) is None and keys.why(key) == ""


def test_a_rotation_leaves_time(register, keys, clock):
    first, record = register.add("a", Terms(models=("auto",)))
    second, rotated = register.rotate("a", 100.0)
    keys.reload()
    assert keys.caller(first) == keys.caller(second) == record.caller() and rotated.id == record.id
    clock.now = NOW + 50
    third, _ = register.rotate("a", 500.0)
    keys.reload()
    assert all(map(keys.caller, (first, second, third)))
    clock.now = NOW + 100
    assert keys.caller(first) is None and "was replaced" in keys.why(first)
    assert keys.caller(second) and keys.caller(third)
    register.rotate("a", 0.0)
    keys.reload()
    assert [keys.caller(key) for key in (first, second, third)] == [None] * 3
    assert len(register.find("a").hashes) == 1


def test_terms_change_and_the_key_stays(register, keys):
    key, _ = register.add("a", Terms(note="x"))
    register.change("a", models=("auto",), limits=Limits(concurrent=3))
    keys.reload()
    caller = keys.caller(key)
    assert (caller.models, caller.limits.concurrent) == (("auto",), 3) and register.find("a").terms.note == "x"
    with pytest.raises(WrongTerms):
        register.change("a", scopes=("root",))


def test_a_change_is_heard_within_two_seconds(register, keys, store, tmp_path):
    """As another process sees it: through its own connection and its own Sync."""
    other_store = open_store(Settings(kirogw_home=str(tmp_path)))
    other_sync = Sync(other_store)
    others = Keys(other_store, other_sync, Key(MAIN), Key(ADMIN), Clock())
    key, _ = register.add("a", Terms())
    other_sync.start()
    try:
        assert others.caller(key).name == "a"
        register.revoke("a")
        deadline = time.monotonic() + 60
        while others.caller(key) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert others.caller(key) is None and others.why(key).startswith("was revoked")
    finally:
        other_sync.close()
        other_store.close()


class Counted:
    """How often a store was asked."""

    def __init__(self, store):
        self.store, self.marks = store, 0

    def mark(self, kinds):
        self.marks += 1
        return self.store.mark(kinds)

    def all(self, kind):
        return self.store.all(kind)


def test_who_guesses_does_not_make_us_read(store, sync):
    counted = Counted(store)
    keys = Keys(counted, sync, Key(MAIN), Key(ADMIN))
    for n in range(1000):
        assert keys.caller(f"kgw_guess{n}") is None
    assert keys.caller("something else") is None and keys.caller(MAIN)
    assert counted.marks <= 3


def test_what_was_read_first_is_not_written_last(store, sync, register):
    """Or a key that is revoked between the two would live on."""
    slow = Late(store, "all")
    keys = Keys(slow, sync, Key(MAIN), Key(ADMIN), Clock())
    key, _ = register.add("a", Terms())
    first, second = threading.Thread(target=keys.reload), threading.Thread(target=keys.reload)
    first.start()
    assert slow.asked.wait(60)
    register.revoke("a")
    second.start()
    slow.go_on.set()
    first.join()
    second.join()
    assert keys.caller(key) is None


class Away:
    def mark(self, kinds):
        raise StoreFailed("it is away")


def test_the_owner_comes_in_while_the_store_is_away(sync):
    keys = Keys(Away(), sync, Key(MAIN), Key(ADMIN))
    assert keys.caller("kgw_unknown") is None and keys.caller(MAIN).name == "main"
    with pytest.raises(StoreFailed):
        keys.reload()


def test_a_key_that_can_not_be_read_opens_nothing_and_the_others_do(register, keys, store):
    key, _ = register.add("good", Terms())
    store.put(KIND, "bad", {"hashes": "?"})
    never = store.get(KIND, "good").value
    store.put(KIND, "never", {**never, "id": "x", "terms": {**never["terms"], "expires_at": 1e18}})
    keys.reload()
    assert keys.caller(key).name == "good"


def test_members_of_a_later_version_are_passed_over(register, keys, store):
    key, record = register.add("a", Terms(limits=Limits(minute=5)))
    value = store.get(KIND, "a").value
    value["later"] = value["terms"]["later"] = value["terms"]["limits"]["later"] = value["hashes"][0]["later"] = 1
    store.put(KIND, "a", value)
    assert register.find("a") == record and keys.caller(key).limits.minute == 5


TERMS = st.builds(
    Terms,
    scopes=st.sampled_from([("api",), ("admin",), ("api", "admin")]), note=st.text(max_size=20),
    models=st.lists(st.from_regex(r"[A-Za-z0-9._*?-]{1,10}", fullmatch=True), max_size=3).map(tuple),
    accounts=st.lists(st.text(min_size=1, max_size=5), max_size=3).map(tuple),
    expires_at=st.none() | st.floats(0, 1e10),
    limits=st.builds(Limits, minute=st.integers(0, 1000), day_tokens=st.integers(0, 10**12), month_credits=st.floats(0, 1e6)),
)  # fmt: skip


@given(terms=TERMS)
@settings(max_examples=60, deadline=None)
def test_what_is_kept_is_what_was_given(tmp_path_factory, terms):
    store = open_store(Settings(kirogw_home=str(tmp_path_factory.getbasetemp())))
    try:
        register = Register(store, Clock())
        store.delete(KIND, "a")
        _, record = register.add("a", terms)
        assert register.find("a") == record == replace(record, terms=terms) and register.all() == [record]
    finally:
        store.close()


def test_nothing_in_the_store_shuts_the_owner_out(store, register, keys):
    """Not even a document that holds the hash of the main key."""
    register.add("a", Terms())
    value = store.get(KIND, "a").value
    value["hashes"][0]["hash"] = Key(MAIN).digest.hex()
    store.put(KIND, "a", value)
    register.revoke("a")
    keys.reload()
    assert keys.caller(MAIN) == Caller("main", frozenset({"api"}))
