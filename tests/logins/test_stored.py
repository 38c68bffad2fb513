import json
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from kirogw.dialects.credential import KINDS, Credential, fingerprint
from kirogw.errors import BadRequest, NeedsLogin, NotFound, UpstreamFailed
from kirogw.logins import stored
from kirogw.logins.sealed import Unsealable
from kirogw.logins.stored import Terms
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.twin import Twin
from tests.logins import support
from tests.logins.holders import Late

many = examples(max_examples=150, deadline=None)
WORDS = st.text(max_size=20)
TIMES = st.none() | st.floats(1, 4e9)
CREDENTIALS = st.builds(
    Credential, st.sampled_from(sorted(KINDS)), *[WORDS] * 2, *[TIMES] * 2, *[WORDS] * 2, TIMES, *[WORDS] * 5,
    st.lists(WORDS, max_size=3).map(tuple), *[WORDS] * 5,
)  # fmt: skip
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6)  # fmt: skip


@given(CREDENTIALS)
@many
def test_a_login_is_read_as_it_was_written(credential):
    assert stored.unpacked(stored.packed(credential)) == credential


@given(st.dictionaries(st.sampled_from(["kind", "access", "scopes", "expires_at", "of_tomorrow"]), JSON), st.sampled_from(sorted(KINDS)))
@many
def test_a_login_of_another_version_is_read_as_far_as_it_is_understood(members, kind):
    read = stored.unpacked(json.dumps({**members, "kind": kind}).encode())
    assert read.kind == kind and isinstance(read.access, str) and isinstance(read.scopes, tuple)
    assert read.expires_at is None or isinstance(read.expires_at, float)
    assert stored.unpacked(stored.packed(read)) == read


@given(st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
@many
def test_what_is_no_login_is_a_value_error(data):
    with pytest.raises(ValueError):
        stored.unpacked(data)


@given(st.dictionaries(st.sampled_from(["label", "enabled", "weight", "limit", "created_at", "source", "x"]), JSON))
@many
def test_whatever_is_kept_of_an_account_can_be_read(members):
    terms = stored.terms(members)
    assert len(terms.label) <= stored.LONGEST_LABEL and type(terms.enabled) is bool and 0 <= terms.weight <= stored.HEAVIEST
    assert terms.limit is None or terms.limit >= 0
    good = {"label": terms.label, "enabled": terms.enabled, "weight": terms.weight, "limit": terms.limit, "source": terms.source,
            "created_at": terms.created_at}  # fmt: skip
    assert stored.terms(good) == terms


class Place:
    """A twin, and processes on one store; the clock is ours."""

    def __init__(self, twin, folder):
        self.twin, self.folder, self.clock = twin, folder, time.time()

    def process(self, **settings):
        made, self.network = support.logins(self.twin, self.folder, clock=lambda: self.clock, **settings)
        return made

    def credential(self, name=None, left=3600.0, **members):
        account = self.twin.accounts.all[name] if name else self.twin.account
        return replace(Credential("social", account.access_token, account.refresh_token, self.clock + left), **members)


@pytest.fixture
def place(tmp_path):
    with Twin(accounts=["social", {"name": "two"}]) as twin:
        yield Place(twin, tmp_path)


def ids(logins):
    return [account.id for account in logins.accounts()]


# adding


def test_an_account_that_is_added_serves_and_is_renewed_where_it_lies(place):
    logins = place.process()
    id = logins.add(place.credential(), label="Mine", source="a test")
    (account,) = logins.accounts()
    assert (account.id, account.kind, account.label, account.source, account.stored, account.state) == (id, "social", "Mine", "a test", True, "ready")
    assert (account.enabled, account.weight, account.limit) == (True, 1.0, None)
    first = logins.fresh(id)
    assert first.token == place.twin.account.access_token
    place.clock += 3600
    second = place.process().fresh(id)
    assert second.token == place.twin.account.access_token != first.token and second.machine == first.machine
    assert logins.fresh(id).token == second.token and place.twin.ledger.redeemed == 1
    assert place.process().credential(id).refresh == place.twin.account.refresh_token


def test_nothing_of_it_lies_in_the_clear(place):
    logins = place.process()
    id = logins.add(place.credential(email="someone@example.com", client_secret="clientSECRET"))
    logins.refresh(id)
    account = place.twin.account
    secrets = [account.access_token, account.refresh_token, "clientSECRET", "someone@example.com"]
    for path in (path for path in place.folder.rglob("*") if path.is_file()):
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], path
    said = repr(logins.accounts()) + repr(logins._keepers[id].source) + repr(logins._book)
    assert not [secret for secret in secrets if secret in said] and "so***@example.com" in said


def test_the_same_login_again_changes_nothing(place):
    logins = place.process()
    id = logins.add(place.credential(), label="Mine")
    logins.change(id, weight=3, enabled=False)
    spent = place.credential()
    logins.refresh(id)
    assert logins.add(spent, label="Other") == id and len(logins.accounts()) == 1
    (account,) = logins.accounts()
    assert (account.label, account.weight, account.enabled) == ("Mine", 3.0, False)
    assert logins.credential(id).refresh == place.twin.account.refresh_token, "what came of it is kept"


def test_the_same_person_again_renews_the_login_and_keeps_what_was_set(place):
    logins = place.process()
    id = logins.add(place.credential(email="A@example.com"), label="Mine")
    logins.change(id, limit=2)
    machine = logins.fresh(id).machine
    place.twin.accounts.revoke(place.twin.account.name)
    place.twin.accounts.issue(place.twin.account, None)
    assert logins.add(place.credential(email="a@EXAMPLE.com")) == id
    (account,) = logins.accounts()
    assert (account.label, account.limit) == ("Mine", 2)
    assert logins.fresh(id).token == place.twin.account.access_token and logins.fresh(id).machine == machine


def test_others_are_other_accounts(place):
    logins = place.process()
    one = logins.add(place.credential(email="a@x.y"))
    place.clock += 1
    two = logins.add(place.credential("two", email="b@x.y"))
    place.clock += 1
    three = logins.add(Credential("key", "ksk_abc"))
    assert ids(logins) == [one, two, three] and three.startswith("key-")


def test_an_account_that_is_named_is_renewed_whoever_signed_in(place):
    logins = place.process()
    id = logins.add(place.credential(email="a@x.y"))
    assert logins.add(place.credential("two", email="b@x.y"), id=id) == id
    assert logins.fresh(id).token == place.twin.accounts.all["two"].access_token


def test_only_an_account_of_the_store_can_be_given_a_login(place):
    file = support.write_ide_file(place.folder / "token.json", place.twin.account)
    logins = place.process(kiro_creds_file=file)
    with pytest.raises(BadRequest, match=f"lies in {file}: sign in there"):
        logins.add(place.credential("two"), id=ids(logins)[0])
    with pytest.raises(NotFound, match="there is no account nobody"):
        logins.add(place.credential("two"), id="nobody")
    assert len(logins.accounts()) == 1


def test_who_may_get_another_login_is_known_before_anybody_signs_in(place):
    file = support.write_ide_file(place.folder / "token.json", place.twin.account)
    logins = place.process(kiro_creds_file=file)
    (found,) = ids(logins)
    id = place.process().add(place.credential("two"))  # by another process, a moment ago
    assert logins.known(id) == place.credential("two")
    with pytest.raises(BadRequest, match="sign in there"):
        logins.known(found)
    with pytest.raises(NotFound, match="there is no account nobody"):
        logins.known("nobody")


def test_what_is_added_at_once_by_many_is_one_account(place):
    processes, got = [place.process() for _ in range(6)], []
    start = threading.Barrier(6)

    def add(logins):
        start.wait()
        got.append(logins.add(place.credential()))

    threads = [threading.Thread(target=add, args=(logins,)) for logins in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6 and len(set(got)) == 1 and len(place.process().accounts()) == 1


def test_an_account_is_not_gone_again_because_somebody_had_looked_before(place):
    logins = place.process()
    made = [logins.add(place.credential("two"))]
    slow = logins._store = Late(logins._store, "all")
    first = threading.Thread(target=logins.reload)
    second = threading.Thread(target=lambda: made.append(logins.add(place.credential())))
    first.start()
    assert slow.asked.wait(60)
    second.start()
    until(lambda: len(logins._book.store.all("account")) == 2)
    second.join(0.2)  # who does not wait for the first is done by then
    slow.go_on.set()
    first.join()
    second.join()
    assert set(ids(logins)) == set(made)


def test_an_empty_login_is_refused(place):
    with pytest.raises(BadRequest, match="neither a refresh token nor"):
        place.process().add(Credential("social"))


# changing


def test_what_is_set_is_known_to_all(place):
    one, other = place.process(), place.process()
    id = one.add(place.credential())
    other.reload()
    one.change(id, label="L", enabled=False, weight=0.5, limit=7)
    other.reload()
    (account,) = other.accounts()
    assert (account.label, account.enabled, account.weight, account.limit) == ("L", False, 0.5, 7)
    one.change(id, limit=-1, enabled=True)
    assert (one.accounts()[0].limit, one.accounts()[0].enabled, one.accounts()[0].label) == (None, True, "L")


def test_an_account_that_is_found_takes_settings_too(place):
    file = support.write_ide_file(place.folder / "token.json", place.twin.account, support.stamp(place.clock + 3600))
    logins = place.process(kiro_creds_file=file)
    (account,) = logins.accounts()
    logins.change(account.id, label="Found", weight=2)
    (after,) = place.process(kiro_creds_file=file).accounts()
    assert after == replace(account, label="Found", weight=2.0) and not after.stored
    assert ids(place.process()) == [], "without its file it is no account"


@pytest.mark.parametrize(("given", "param"), [({"label": "x" * 101}, "label"), ({"label": "\ud800"}, "label"), ({"weight": -1}, "weight"),
                                              ({"weight": float("nan")}, "weight"), ({"limit": 1.5}, "limit"), ({"limit": True}, "limit")])  # fmt: skip
def test_what_can_not_be_set(place, given, param):
    logins = place.process()
    id = logins.add(place.credential())
    with pytest.raises(BadRequest) as caught:
        logins.change(id, **given)
    assert caught.value.param == param and logins.accounts()[0].label == ""


def test_a_label_names_one_account(place):
    logins = place.process()
    one, two = logins.add(place.credential(), label="A"), logins.add(place.credential("two"))
    for taken in ("A", one):
        with pytest.raises(BadRequest, match="another account is called"):
            logins.change(two, label=taken)
    logins.change(one, label="A")


def test_a_change_while_its_login_is_renewed_is_kept(place):
    logins = place.process()
    id = logins.add(place.credential())
    other = place.process()
    post = logins._keepers[id]._redeemer._post

    def posted(request):
        other.change(id, label="meanwhile")
        return post(request)

    logins._keepers[id]._redeemer._post = posted
    logins.refresh(id)
    fresh = place.process()
    assert fresh.accounts()[0].label == "meanwhile" and fresh.credential(id).refresh == place.twin.account.refresh_token


def test_a_login_brought_in_while_the_old_one_is_renewed_wins(place):
    logins, other = place.process(), place.process()
    id = logins.add(place.credential())
    post = logins._keepers[id]._redeemer._post

    def posted(request):
        reply = post(request)
        place.twin.accounts.issue(place.twin.account, None)
        other.add(place.credential(), id=id)
        return reply

    logins._keepers[id]._redeemer._post = posted
    assert logins.refresh(id).token == place.twin.account.access_token == place.process().fresh(id).token


# removing


def test_an_account_that_is_removed_is_gone_everywhere(place):
    one, other = place.process(), place.process()
    id = one.add(place.credential())
    other.reload()
    assert ids(other) == [id]
    one.remove(id)
    assert ids(one) == []
    other.reload()
    assert ids(other) == []
    with pytest.raises(NeedsLogin, match=f"there is no account {id} any more"):
        other.fresh(id)
    for act in (one.remove, one.refresh, one.credential, one.change):
        with pytest.raises(NotFound, match=f"there is no account {id}"):
            act(id)
    assert one.add(place.credential()) == id


def test_one_that_is_removed_while_it_is_renewed_does_not_come_back(place):
    logins, other = place.process(), place.process()
    id = logins.add(place.credential())
    other.reload()
    post = logins._keepers[id]._redeemer._post

    def posted(request):
        other.remove(id)
        return post(request)

    logins._keepers[id]._redeemer._post = posted
    with pytest.raises(NeedsLogin, match=r"is not in .* any more"):
        logins.refresh(id)
    assert ids(place.process()) == []


def test_one_that_lies_elsewhere_can_not_be_removed(place):
    file = support.write_ide_file(place.folder / "token.json", place.twin.account)
    logins = place.process(kiro_creds_file=file)
    with pytest.raises(BadRequest, match=f"lies in {file}: take it away there, or disable it here"):
        logins.remove(ids(logins)[0])


# refreshing


def test_a_forced_renewal_is_tried_although_it_failed_lately(place):
    logins = place.process()
    id = logins.add(place.credential())
    place.twin.faults.add(operation="refresh", status=401, body='{"message":"Unauthorized"}', count=1)
    with pytest.raises(NeedsLogin):
        logins.refresh(id)
    assert logins.accounts()[0].state == "login"
    assert logins.refresh(id).token == place.twin.account.access_token and logins.accounts()[0].state == "ready"


def test_a_key_has_nothing_to_renew(place):
    logins = place.process()
    id = logins.add(Credential("key", "ksk_abc", region="eu-central-1"))
    assert logins.refresh(id).token == "ksk_abc" and logins.fresh(id).region == "eu-central-1"


def test_an_account_that_could_not_be_renewed_is_not_well_again_by_waiting(place):
    """Else the pool would end its rest, and every request after a moment would try it first."""
    logins = place.process(kiro_auth_url="http://127.0.0.1:9")
    id = logins.add(place.credential(left=-60.0))
    for _ in range(3):
        with pytest.raises(UpstreamFailed):
            logins.fresh(id)
        for wait in (1, 400):
            place.clock += wait
            (account,) = logins.accounts()
            assert account.state == "waiting" and "could not be renewed" in account.reason
    healed = place.process()
    assert healed.fresh(id).token and [account.state for account in healed.accounts()] == ["ready"]


def test_the_background_leaves_a_disabled_account_alone(place):
    logins = place.process()
    one, two = logins.add(place.credential()), logins.add(place.credential("two"))
    logins.change(one, enabled=False)
    place.clock += 3500
    assert logins.background() == 1 and [entry.account for entry in place.twin.ledger] == ["two"]
    assert two in ids(logins)


def test_the_background_renews_a_login_that_was_brought_in_from_a_file_once(place):
    """The file still shows it; the service would take a second use of its token for a theft."""
    support.write_ide_file(place.folder / "user/.aws/sso/cache/kiro-auth-token.json", place.twin.account)
    logins = place.process()
    assert ids(logins) == ["kiro-ide"]
    id = logins.add(place.credential(left=-60.0))
    assert logins.background() == 1 and [entry.outcome for entry in place.twin.ledger] == ["ok"]
    assert ids(logins) == [id] and logins.fresh(id).token == place.twin.account.access_token


# several processes


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def followed(place, monkeypatch):
    """A process that follows the store as a gateway does, and how often it was told of accounts."""
    monkeypatch.setattr("kirogw.auth.WATCHED", 600.0)  # on a busy machine too
    settings = support.settings(place.twin, place.folder / "home")
    store, told = open_store(settings), []
    logins = place.process()
    logins._store = Counted(store)
    sync = Sync(store, pace=0.05)
    logins.follow(sync, lambda: told.append(ids(logins)))
    sync.start()
    until(lambda: told)
    yield logins, told
    sync.close()


class Counted:
    """A store that tells how often it was asked."""

    def __init__(self, store):
        self._store, self.calls = store, []

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*args, **more):
            self.calls.append((name, threading.current_thread().name))
            return found(*args, **more)

        return call


def test_a_running_process_hears_of_accounts(place, followed):
    logins, told = followed
    other = place.process()
    id = other.add(place.credential())
    until(lambda: told[-1] == [id])
    assert logins.fresh(id).token == place.twin.account.access_token
    other.change(id, label="L")
    until(lambda: logins.accounts()[0].label == "L")
    other.remove(id)
    until(lambda: told[-1] == [])


def test_a_running_process_hears_of_renewals_before_a_request_asks(place, followed):
    logins, _ = followed
    other = place.process()
    id = other.add(place.credential())
    until(lambda: ids(logins) == [id])
    logins.fresh(id)
    spent = other.fresh(id).token
    other.refresh(id)
    until(lambda: logins.fresh(id).token != spent)
    assert logins.fresh(id).token == place.twin.account.access_token and place.twin.ledger.redeemed == 1


def test_a_request_does_not_ask_the_store_while_nothing_changes(place, followed):
    logins, _ = followed
    id = place.process().add(place.credential())
    until(lambda: ids(logins) == [id])
    until(lambda: logins.fresh(id) and logins._is_watched())
    store = logins._keepers[id]._memory.store
    assert isinstance(store, Counted)
    until(lambda: open_store(support.settings(place.twin, place.folder / "home")).get("login", id))
    until(lambda: not logins._keepers[id]._notes and logins._keepers[id]._view.stamp)
    mine = threading.current_thread().name
    store.calls.clear()
    for _ in range(20):
        place.clock += 5
        logins.fresh(id)
    assert [name for name, thread in store.calls if thread == mine] == []


def test_what_is_learned_is_written_by_somebody_else(place, followed):
    """The machine id of a new account, say: no request writes to the store."""
    logins, _ = followed
    store = logins._store
    id = place.process().add(place.credential())
    until(lambda: ids(logins) == [id] and logins._is_watched())
    logins.fresh(id)
    mine = threading.current_thread().name
    assert not [name for name, thread in store.calls if thread == mine and name in ("put", "apply")]
    until(lambda: (store.get("login", id) or place).value.get("machine") if store.get("login", id) else False)


def test_no_request_waits_for_a_renewal_while_the_token_lives(place, followed):
    """Nor does it write to the store."""
    logins, _ = followed
    store = logins._store
    id = place.process().add(place.credential())
    until(lambda: ids(logins) == [id] and logins._is_watched() and logins.fresh(id).machine)
    until(lambda: not logins._keepers[id]._notes and logins._keepers[id]._view.stamp)
    old = logins.fresh(id).token
    logins._post.free.clear()
    place.clock += 3300
    store.calls.clear()
    assert logins.fresh(id).token == logins.fresh(id).token == old
    logins._post.free.set()
    until(lambda: logins.fresh(id).token != old)
    assert logins.fresh(id).token == place.twin.account.access_token and place.twin.ledger.redeemed == 1
    mine = threading.current_thread().name
    assert [name for name, thread in store.calls if thread == mine] == []


def test_the_same_token_in_two_places_is_redeemed_once(place):
    """Two machines that have the same settings, or an account that lies in a file and in the settings."""
    token = place.twin.account.refresh_token
    file = support.write_ide_file(place.folder / "token.json", place.twin.account)
    one = place.process(refresh_token=token)
    two = place.process(kiro_creds_file=file, write_back=False)
    assert ids(one) != ids(two)
    first = one.fresh(ids(one)[0]).token
    assert two.fresh(ids(two)[0]).token == first and place.twin.ledger.redeemed == 1
    place.clock += 3600
    second = two.fresh(ids(two)[0]).token
    assert one.fresh(ids(one)[0]).token == second != first and place.twin.ledger.reuses == 0


def test_a_login_that_was_brought_in_hides_the_place_it_came_from(place):
    """What lies there is spent once the store's has been renewed."""
    token = place.twin.account.refresh_token
    logins = place.process(refresh_token=token)
    id = logins.add(place.credential())
    assert ids(logins) == [id]
    logins.refresh(id)
    assert ids(logins) == [id] and ids(place.process(refresh_token=token)) == [id]


def test_a_store_of_another_machine_without_its_key(place, tmp_path):
    place.process().add(place.credential())
    (place.folder / "home" / "secret-key").rename(tmp_path / "aside")
    logins = place.process()
    (account,) = logins.accounts()
    assert account.state == "login" and "which is not here" in account.reason and not account.reason.endswith("login kiro`")
    with pytest.raises(NeedsLogin, match="which is not here"):
        logins.fresh(account.id)
    with pytest.raises(Unsealable, match="bring it back"):
        logins.add(place.credential("two"))
    assert not (place.folder / "home" / "secret-key").exists()
    (tmp_path / "aside").rename(place.folder / "home" / "secret-key")
    assert place.process().fresh(account.id).token == place.twin.account.access_token


def test_the_demo_has_no_accounts_of_the_store(place):
    """They would be sent to the simulator."""
    place.process().add(place.credential())
    assert ids(place.process(demo=True)) == []


# the settings


def test_refresh_tokens_by_number(place):
    texts = {**place.twin.settings(), "KIROGW_HOME": str(place.folder / "home"), "REFRESH_TOKEN10": "r10", "REFRESH_TOKEN2": "r2",
             "REFRESH_TOKEN": "r0, r1", "REFRESH_TOKENS": "no", "REFRESH_TOKEN3": " "}  # fmt: skip
    assert load({}, texts, None).refresh_token == "r0, r1,r2,r10"
    tokens = [place.twin.accounts.all[name].refresh_token for name in ("social-1", "two")]
    logins = place.process(refresh_token="", refresh_token1=tokens[0], refresh_token2=tokens[1])
    assert ids(logins) == [f"token-{fingerprint(token)[:8]}" for token in tokens]
    assert {logins.fresh(id).token for id in ids(logins)} == {place.twin.accounts.all[name].access_token for name in ("social-1", "two")}


def test_terms_by_default():
    assert stored.terms({}) == Terms()
