import json
import sqlite3
import sys
import threading
import time
from dataclasses import replace

import pytest

from kirogw.convert import Providers
from kirogw.dialects.credential import fingerprint
from kirogw.dialects.kiro import login
from kirogw.errors import NeedsLogin, UpstreamFailed
from kirogw.logins import refresh, sources, view
from kirogw.logins.lease import Lease
from kirogw.logins.memory import KEPT, LOGIN, Memory
from kirogw.logins.record import Record
from kirogw.logins.redeem import Redeemer
from kirogw.logins.refresh import Keeper
from kirogw.logins.sealed import Safe
from kirogw.logins.sources import Changed
from kirogw.store import StoreFailed, open_store
from kirogw.twin import Twin
from tests.logins import support
from tests.logins.holders import Late
from tests.store.servers import redis_server


class Failing:
    """A store of which some calls fail for a while."""

    def __init__(self, store):
        self._store, self.fails = store, ()

    def __getattr__(self, name):
        if name in self.fails:
            raise StoreFailed("the store can not be written (no space left)")
        return getattr(self._store, name)


WRITING = ("apply", "put")
EVERYTHING = ("apply", "put", "get", "all", "lease", "mark")


class House:
    """One account, its twin, and gateways on one disk; the clock is ours."""

    def __init__(self, twin, folder, **settings):
        self.twin, self.folder, self.clock = twin, folder, time.time()
        self.file = support.write_ide_file(folder / "token.json", twin.account, support.stamp(self.clock + 3600))
        self.network, self.pauses = support.Network(), []
        self.settings = support.settings(twin, folder / "home", kiro_creds_file=self.file, **settings)
        self.store = Failing(open_store(self.settings))

    def keeper(self, post=None, home=None, **settings):
        """Another process, as it were."""
        with_these = replace(self.settings, **settings)
        (source,) = sources.find(with_these, self.folder, "linux")
        safe, home = Safe(with_these, self.folder / "home", self.store), home or self.folder / "home"
        memory = Memory(self.store, safe, source.id, home / "logins" / f"{source.id}.json")
        return Keeper(source, with_these, memory, post or self.network, now=lambda: self.clock, sleep=self.pauses.append)

    def on_disk(self):
        return json.loads(self.file.read_text())

    def record(self):
        (doc,) = self.store.all(LOGIN).values()
        return doc.value

    def kept(self):
        """The refresh tokens of logins that could not go back to their source."""
        safe = Safe(self.settings, self.folder / "home", self.store)
        return [json.loads(safe.open(doc.value["sealed"]))["refresh"] for doc in self.store.all(KEPT).values()]

    def note(self):
        """The file where an answer is noted."""
        (source,) = sources.find(self.settings, self.folder, "linux")
        place = self.folder / "home" / "logins"
        place.mkdir(exist_ok=True)
        return place / f"{source.id}.answer"

    def sign_in(self, left=3600.0):
        """The owner signs in anew."""
        self.twin.accounts.issue(self.twin.account, None)
        support.write_ide_file(self.file, self.twin.account, support.stamp(self.clock + left))

    def answers_and_then_fails(self, calls):
        """A network with whose answer the store begins to fail."""

        def post(request):
            reply = self.network(request)
            self.store.fails = calls
            return reply

        return post

    @property
    def sent(self):
        return len(self.network.sent)


@pytest.fixture
def twin():
    with Twin() as made:
        yield made


@pytest.fixture
def house(twin, tmp_path):
    return House(twin, tmp_path)


def test_a_token_that_lives_is_given_out_as_it_is(house):
    keeper = house.keeper()
    assert keeper.fresh().access == house.twin.account.access_token
    assert keeper.fresh() is keeper.fresh() and house.sent == 0


def test_a_token_near_its_end_is_renewed_and_is_on_the_disk_by_then(house):
    keeper = house.keeper()
    house.clock += 3001
    got = keeper.fresh()
    assert got.access == house.twin.account.access_token == house.on_disk()["accessToken"]
    assert house.on_disk()["refreshToken"] == house.twin.account.refresh_token == got.refresh
    assert got.expires_at == pytest.approx(house.clock + 3600) and house.sent == 1
    assert house.kept() == [] and house.record()["sent"] == ""
    assert keeper.fresh() == got and house.keeper().fresh().access == got.access and house.sent == 1


def test_a_token_of_unknown_end_is_used_until_it_is_refused(house):
    support.write_ide_file(house.file, house.twin.account, "NaN")
    keeper = house.keeper()
    spent = keeper.fresh().access
    assert house.sent == 0
    assert keeper.renew(spent).access != spent and house.sent == 1


def test_renewing_does_nothing_if_it_is_done_already(house):
    one, other = house.keeper(), house.keeper()
    spent = other.fresh().access
    new = one.renew(spent)
    assert other.renew(spent).access == new.access and house.sent == 1


def test_many_threads_redeem_once(house):
    keeper, got = house.keeper(), []
    keeper.fresh()
    house.clock += 4000
    threads = [threading.Thread(target=lambda: got.append(keeper.fresh().access)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(got) == {house.twin.account.access_token} and len(got) == 12 and house.sent == 1


# while a renewal fails


def test_traffic_goes_on_with_the_token_that_lives_and_nobody_hammers(house):
    keeper = house.keeper()
    old = keeper.fresh()
    house.twin.faults.add(operation="refresh", status=500, count=None)
    house.clock += 3010
    tried = []
    for _ in range(580):
        assert keeper.fresh().access == old.access
        tried.append(house.sent)
        house.clock += 1
    assert tried[0] == 1 and tried[299] == 1 and tried[301] == 2 and tried[-1] == 2


def test_other_processes_know_of_the_failure(house):
    house.twin.faults.add(operation="refresh", status=429, count=1)
    house.clock += 3010
    house.keeper().fresh()
    house.keeper().fresh()
    assert house.sent == 1 and house.record()["sent"] == "", "after a 429 it is sure that the token was not redeemed"


def test_with_nothing_that_lives_it_is_tried_again_at_once_and_then_ever_more_rarely(house):
    keeper = house.keeper()
    house.twin.faults.add(operation="refresh", status=503, count=None)
    house.clock += 4000
    with pytest.raises(UpstreamFailed, match="tries again by itself") as caught:
        keeper.fresh()
    assert house.sent == 3 and house.pauses == [0.5, 1.0] and caught.value.wait == 2.0
    with pytest.raises(UpstreamFailed):
        keeper.fresh()
    assert house.sent == 3
    house.clock += 2.1
    with pytest.raises(UpstreamFailed) as caught:
        keeper.fresh()
    assert house.sent == 6 and caught.value.wait == 5.0
    house.twin.faults.clear()
    house.clock += 5.1
    assert keeper.fresh().access == house.twin.account.access_token
    assert house.record()["failures"] == 0


def test_a_token_that_was_refused_before_its_time_does_not_count_as_living(house):
    """Its end lies ahead, but nothing serves: so the next try comes soon."""
    keeper = house.keeper()
    spent = keeper.fresh().access
    house.twin.faults.add(operation="refresh", status=429)
    with pytest.raises(UpstreamFailed, match="try again in a moment") as caught:
        keeper.renew(spent)
    assert (house.sent, caught.value.wait) == (1, 2.0)
    house.clock += 2.1
    assert keeper.renew(spent).access == house.twin.account.access_token != spent


def test_an_answer_that_gets_lost_is_asked_for_again(tmp_path):
    with Twin(rotation="grace") as twin:
        house = House(twin, tmp_path)
        twin.faults.add(operation="refresh", hangup="reset", late=True)
        house.clock += 4000
        assert house.keeper().fresh().access == twin.account.access_token
        assert [entry.outcome for entry in twin.ledger] == ["ok", "again"]


def test_where_a_token_works_once_an_answer_that_gets_lost_is_the_login_lost(house):
    house.twin.faults.add(operation="refresh", hangup="reset", late=True)
    house.clock += 4000
    with pytest.raises(NeedsLogin, match="the new token was lost on the way; sign in again"):
        house.keeper().fresh()


def test_a_hint_to_wait_is_obeyed(house):
    house.twin.faults.add(operation="refresh", status=429, headers={"retry-after": "40"}, count=1)
    keeper = house.keeper()
    house.clock += 4000
    with pytest.raises(UpstreamFailed) as caught:
        keeper.fresh()
    assert caught.value.wait == 40 and house.sent == 1


def test_no_network_at_all(house):
    house.twin.close()
    house.clock += 4000
    with pytest.raises(UpstreamFailed, match="no answer"):
        house.keeper().fresh()
    assert house.record()["sent"] == fingerprint(house.twin.account.refresh_token)


def test_a_page_from_a_proxy_kills_nobody(house):
    house.twin.faults.add("html_403", operation="refresh")
    house.clock += 4000
    with pytest.raises(UpstreamFailed, match="an HTML page"):
        house.keeper().fresh()


# dead


def test_a_dead_login_says_what_to_do_and_is_not_sent_again(house):
    house.twin.accounts.revoke(house.twin.account.name)
    house.clock += 4000
    for _ in range(2):
        with pytest.raises(NeedsLogin, match=rf"needs a login.*\(HTTP 401.*renew {house.file}") as caught:
            house.keeper().fresh()
    assert house.sent == 1 and "lost" not in str(caught.value)


def test_a_new_login_heals_without_a_restart(house):
    keeper = house.keeper()
    house.twin.accounts.revoke(house.twin.account.name)
    house.clock += 4000
    with pytest.raises(NeedsLogin):
        keeper.fresh()
    house.sign_in()
    assert keeper.fresh().access == house.twin.account.access_token and house.sent == 1


def test_a_dead_login_serves_while_its_token_lives(house):
    keeper = house.keeper()
    house.twin.accounts.revoke(house.twin.account.name)
    house.clock += 3100
    assert keeper.fresh() == keeper.fresh() and house.sent == 1
    assert isinstance(keeper.barred(), NeedsLogin)
    house.clock += 600
    with pytest.raises(NeedsLogin):
        keeper.fresh()
    assert house.sent == 1


def test_what_was_called_dead_gets_another_chance_in_the_end(house):
    house.twin.faults.add(operation="refresh", status=401, body='{"message":"Unauthorized"}', count=1)
    house.clock += 4000
    with pytest.raises(NeedsLogin):
        house.keeper().fresh()
    house.clock += 5 * 3600
    with pytest.raises(NeedsLogin):
        house.keeper().fresh()
    house.clock += 3601
    assert house.keeper().fresh().access == house.twin.account.access_token


def test_the_source_is_read_again_before_a_login_is_called_dead(house):
    """The IDE renews at the same moment: our token is used up, and the file has a newer one."""
    house.clock += 4000

    def post(request):
        house.twin.accounts.redeem(house.twin.account.refresh_token, ("social",))
        support.write_ide_file(house.file, house.twin.account, support.stamp(house.clock + 3600))
        return house.network(request)

    got = house.keeper(post).fresh()
    assert got.access == house.twin.account.access_token and house.sent == 1
    assert [entry.outcome for entry in house.twin.ledger] == ["reused"]


def test_a_login_that_was_changed_while_ours_was_renewed_wins(house):
    house.clock += 4000

    def post(request):
        reply = house.network(request)
        house.sign_in()
        return reply

    got = house.keeper(post).fresh()
    assert got.access == house.twin.account.access_token == house.on_disk()["accessToken"] and house.sent == 1


def test_a_source_that_never_rests(house):
    house.clock += 4000

    def post(request):
        reply = house.network(request)
        house.sign_in(left=-1)
        return reply

    with pytest.raises(UpstreamFailed, match="keeps changing the login"):
        house.keeper(post).fresh()
    assert house.sent == refresh.ROUNDS


def test_without_a_refresh_token(house):
    members = house.on_disk()
    del members["refreshToken"]
    house.file.write_text(json.dumps(members))
    keeper = house.keeper()
    assert keeper.fresh().access == members["accessToken"]
    house.clock += 4000
    with pytest.raises(NeedsLogin, match="no refresh token"):
        keeper.fresh()
    assert house.sent == 0


# regions and clients


def idc(tmp_path, **settings):
    twin = Twin(accounts=[{"kind": "idc", "sso_region": "ap-southeast-1"}])
    twin.start()
    return House(twin, tmp_path, **settings)


def test_dead_is_only_what_failed_in_its_own_region(tmp_path):
    house = idc(tmp_path, kiro_sso_region="eu-west-1")
    house.clock += 4000
    assert house.keeper().fresh().access == house.twin.account.access_token
    assert [seen.host for seen in house.twin.seen("token")] == ["oidc.eu-west-1.amazonaws.com", "oidc.ap-southeast-1.amazonaws.com"]
    house.twin.close()


def test_a_region_of_its_own_that_does_not_answer_leaves_it_open(tmp_path):
    house = idc(tmp_path, kiro_sso_region="eu-west-1")
    house.twin.faults.add(operation="token", host="ap-southeast-1", status=503, count=None)
    house.clock += 4000
    with pytest.raises(UpstreamFailed):
        house.keeper().fresh()
    house.twin.close()


def test_refused_in_one_region_it_is_tried_once_another_is_set(tmp_path):
    house = idc(tmp_path)
    members = house.on_disk()
    house.file.write_text(json.dumps({**members, "region": "us-west-2"}))
    house.clock += 4000
    for _ in range(2):
        with pytest.raises(NeedsLogin, match="HTTP 400, invalidrequest"):
            house.keeper().fresh()
    assert house.sent == 1
    assert house.keeper(kiro_sso_region="ap-southeast-1").fresh().access == house.twin.account.access_token
    house.twin.close()


def test_a_client_registration_that_has_run_out_sends_nothing(tmp_path):
    house = idc(tmp_path)
    house.clock += 9e6
    with pytest.raises(NeedsLogin, match="client registration has run out"):
        house.keeper().fresh()
    assert house.sent == 0
    house.twin.close()


# sources that are not written


@pytest.mark.parametrize("how", ["switched off", "impossible"])
def test_a_login_that_can_not_go_back_is_kept_beside(house, monkeypatch, how):
    settings = {"write_back": False} if how == "switched off" else {}
    if how == "impossible":
        monkeypatch.setattr(sources.files, "replace", only_under(house.folder / "home"))
    before = house.file.read_bytes()
    house.clock += 4000
    first = house.keeper(**settings).fresh()
    house.clock += 3500
    second = house.keeper(**settings).fresh()
    assert second.access == house.twin.account.access_token != first.access and house.sent == 2
    assert house.file.read_bytes() == before
    assert house.kept() == [house.twin.account.refresh_token]
    assert house.keeper(**settings).fresh() == second and house.sent == 2
    house.sign_in()
    assert house.keeper(**settings).fresh().access == house.twin.account.access_token and house.sent == 2


def only_under(folder):
    """Another disk is read-only."""
    replace_file = sources.files.replace

    def replace(path, data):
        if folder not in path.parents:
            raise OSError(30, "Read-only file system")
        replace_file(path, data)

    return replace


def test_it_goes_back_as_soon_as_that_is_possible(house, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sources.files, "replace", only_under(house.folder / "home"))
        house.clock += 4000
        house.keeper().fresh()
    house.clock += 3500
    house.keeper().fresh()
    assert house.on_disk()["refreshToken"] == house.twin.account.refresh_token and house.kept() == []


# crashes: what a process that died has left


def died(house, answer=None, sent=True):
    """Another process has sent the token and was killed; perhaps it had noted the answer."""
    account = house.twin.account
    old = account.refresh_token
    grant = house.twin.accounts.redeem(old, ("social",))
    keeper = house.keeper()
    keeper.held()
    keeper.note(sent=fingerprint(old) if sent else "")
    if answer is not None:
        body = {"accessToken": grant.access.token, "refreshToken": grant.refresh.token, "expiresIn": 3600, **answer}
        note = {"of": fingerprint(old), "at": house.clock, "answer": json.dumps(body)}
        house.note().write_text(json.dumps(note))
    return grant


def test_an_answer_that_was_noted_is_taken(house):
    grant = died(house, answer={})
    house.clock += 3500
    got = house.keeper().fresh()
    assert got.access == house.twin.account.access_token, "it was old by then, so it was renewed at once"
    assert [entry.outcome for entry in house.twin.ledger] == ["ok"] and house.sent == 1
    assert house.on_disk()["refreshToken"] == got.refresh != grant.refresh.token
    assert not list((house.folder / "home" / "logins").glob("*.answer"))


def test_an_answer_that_was_noted_just_now_serves_as_it_is(house):
    support.write_ide_file(house.file, house.twin.account)
    grant = died(house, answer={})
    got = house.keeper().fresh()
    assert (got.access, house.sent) == (grant.access.token, 0)
    assert house.on_disk()["refreshToken"] == grant.refresh.token


def test_an_answer_that_lies_on_another_machine_heals_the_login_in_the_end(tmp_path):
    """That machine's gateway was killed; this one's finds the token spent and gives it up, until the other runs again."""
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        grant = died(house, answer={})
        house.clock += 4000
        with pytest.raises(NeedsLogin, match="lost on the way"):
            house.keeper(home=tmp_path / "elsewhere").fresh()
        first = house.keeper().fresh()
        assert twin.ledger.redeemed == 1 and first.refresh == twin.account.refresh_token != grant.refresh.token
        assert house.keeper(home=tmp_path / "elsewhere").fresh() == first


def test_a_redis_that_has_lost_its_last_second_loses_no_login(tmp_path):
    with Twin() as twin, redis_server() as server:
        house = House(twin, tmp_path, write_back=False, state_url=server.url)
        before = house.store.snapshot()
        house.clock += 4000
        first = house.keeper().fresh()
        house.store.restore(before)
        assert house.keeper().fresh() == first and house.kept() == [twin.account.refresh_token]
        assert house.sent == 1 and first.refresh.encode() not in house.note().read_bytes()


@pytest.mark.parametrize("note", ["", "{", "{}", '{"of": "another", "at": 1, "answer": "{}"}'])
def test_without_a_note_the_login_is_lost_and_says_so(house, note):
    died(house)
    house.note().write_text(note)
    house.clock += 4000
    with pytest.raises(NeedsLogin, match=r"cut off before its answer was on the disk.*the new token was lost on the way"):
        house.keeper().fresh()


def test_a_note_without_tokens_is_no_note(house):
    died(house, answer={"accessToken": ""})
    house.clock += 4000
    with pytest.raises(NeedsLogin, match="lost on the way"):
        house.keeper().fresh()


def test_where_the_service_gives_grace_nothing_is_lost(tmp_path):
    with Twin(rotation="grace") as twin:
        house = House(twin, tmp_path)
        died(house)
        house.clock += 4000
        assert house.keeper().fresh().refresh == twin.account.refresh_token


def test_where_tokens_do_not_rotate_a_note_brings_nothing(tmp_path):
    with Twin(rotation="none") as twin:
        house = House(twin, tmp_path)
        died(house, answer={})
        house.clock += 4000
        assert house.keeper().fresh().access == twin.account.access_token and house.sent == 1


# a disk that fails


def test_what_could_not_be_kept_is_not_sent(house):
    keeper = house.keeper()
    keeper.fresh()
    house.store.fails = WRITING
    house.clock += 3010
    assert keeper.fresh().access == house.twin.account.access_token, "it lives"
    house.clock += 600
    with pytest.raises(UpstreamFailed, match=r"is not renewed, because the new token could not be kept \(.*no space left"):
        keeper.fresh()
    assert house.sent == 0


def test_what_could_not_be_sealed_is_not_sent(tmp_path):
    """Another machine has made the store, with a key that is not here."""
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        Safe(house.settings, tmp_path / "another", house.store).seal(b"x")
        house.clock += 4000
        with pytest.raises(UpstreamFailed, match=r"is not renewed, because .* sealed with the key .*, which is not here"):
            house.keeper().fresh()
        assert house.sent == 0


def test_what_was_sent_and_can_not_be_kept_is_not_used_but_not_lost_either(tmp_path):
    """The disk fills up between the note and the answer, and later there is room again."""
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        keeper = house.keeper(house.answers_and_then_fails(WRITING))
        house.clock += 4000
        for _ in range(2):
            with pytest.raises(UpstreamFailed, match="could not be saved"):
                keeper.fresh()
        assert house.sent == 1
        assert twin.account.refresh_token.encode() not in house.note().read_bytes(), "it is sealed"
        house.store.fails = ()
        assert keeper.fresh().access == twin.account.access_token
        assert house.sent == 1 and twin.ledger.redeemed == 1
        assert house.keeper().fresh().refresh == twin.account.refresh_token


def test_what_was_sent_and_can_not_be_kept_is_found_by_the_next_process(tmp_path):
    """The store is away when the answer comes, and the process ends."""
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        house.clock += 4000
        with pytest.raises(UpstreamFailed, match="could not be saved"):
            house.keeper(house.answers_and_then_fails(EVERYTHING)).fresh()
        house.store.fails = ()
        assert house.keeper().fresh().access == twin.account.access_token
        assert house.sent == 1 and house.kept() == [twin.account.refresh_token] and not house.note().exists()


def test_a_store_that_is_away_disturbs_nobody_whose_token_lives(house):
    keeper = house.keeper()
    old = keeper.fresh()
    house.store.fails = EVERYTHING
    house.clock += 3010
    assert keeper.fresh() == old and house.sent == 0
    house.clock += 600
    with pytest.raises(UpstreamFailed, match="can not be used just now: the store can not be written"):
        keeper.fresh()
    with pytest.raises(UpstreamFailed, match="can not be used just now"):
        house.keeper().fresh()
    assert house.sent == 0
    house.store.fails = ()
    assert keeper.fresh().access == house.twin.account.access_token != old.access


def test_a_login_at_its_source_is_used_even_if_the_record_can_not_be_written(house):
    def post(request):
        reply = house.network(request)
        house.store.fails = WRITING
        return reply

    house.clock += 4000
    assert house.keeper(post).fresh().access == house.on_disk()["accessToken"] == house.twin.account.access_token


def test_a_failure_that_can_not_be_noted_is_a_failure_all_the_same(house):
    def post(request):
        house.store.fails = WRITING
        raise UpstreamFailed("no answer")

    house.clock += 4000
    with pytest.raises(UpstreamFailed, match="no answer"):
        house.keeper(post).fresh()


# the files of before


def before(house, **members):
    """A record as it lay in a file, before there was a store."""
    path = house.note().with_suffix(".json")
    path.write_text(json.dumps({"version": 1, "machine": "ab" * 32, **members}))
    return path


def test_a_record_of_before_is_taken_over(house):
    path = before(house, profile="arn:x", identity="i", of_tomorrow=[1])
    assert house.keeper().machine() == "ab" * 32
    assert not path.exists() and (house.record()["profile"], house.record()["of_tomorrow"]) == ("arn:x", [1])


def test_tokens_of_before_are_taken_over_and_sealed(tmp_path):
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        grant = twin.accounts.redeem(twin.account.refresh_token, ("social",))
        shown = house.on_disk()["refreshToken"]
        tokens = {"access": grant.access.token, "refresh": grant.refresh.token, "expires_at": house.clock + 3600, "profile": ""}
        path = before(house, tokens=tokens, instead_of=fingerprint(shown), issued_at=house.clock)
        assert house.keeper().fresh().access == grant.access.token and house.sent == 0
        assert not path.exists() and house.kept() == [grant.refresh.token]
        assert "tokens" not in house.record() and "instead_of" not in house.record()


def test_what_an_older_version_still_renews_is_taken_over_too_if_it_is_newer(tmp_path):
    """It runs beside the new one until its last stream has ended."""
    with Twin() as twin:
        house = House(twin, tmp_path, write_back=False)
        house.clock += 4000
        first = house.keeper().fresh()
        for access, at, wins in (("older", house.clock - 60, first.access), ("newer", house.clock + 60, "newer")):
            tokens = {"access": access, "refresh": "r", "expires_at": house.clock + 3600, "profile": ""}
            before(house, tokens=tokens, instead_of=fingerprint(house.on_disk()["refreshToken"]), issued_at=at)
            assert house.keeper().fresh().access == wins


def test_a_record_of_before_stays_while_the_store_does_not_take_it(house):
    path = before(house)
    house.store.fails = WRITING
    assert house.keeper().held() is None and path.exists()


def test_a_damaged_record_of_before_is_put_aside(house):
    path = house.note().with_suffix(".json")
    path.write_text("{")
    assert len(house.keeper().machine()) == 64
    assert path.with_suffix(".damaged").read_text() == "{" and house.record()["machine"]


# what is learned, by several threads


def test_what_was_read_before_does_not_hide_what_was_learned_since(house):
    keeper = house.keeper()
    keeper.held()
    late = Late(house.store, "get")
    keeper._memory = replace(keeper._memory, store=late)
    looking = threading.Thread(target=keeper.look)
    looking.start()
    assert late.asked.wait(60)
    keeper.note(profile="arn:of:it")
    late.go_on.set()
    looking.join()
    assert keeper.memory.profile == house.record()["profile"] == "arn:of:it"


def test_what_a_thread_has_noted_it_finds_again(house, monkeypatch):
    """However often somebody else writes it down meanwhile."""
    keeper, ends, lost = house.keeper(), threading.Event(), []
    monkeypatch.setattr(keeper, "_patient", lambda: True)
    keeper.held()

    def learn(name):
        n = 0
        while not ends.is_set():
            n += 1
            keeper.note(**{name: str(n)})
            lost.extend((name, n, found) for _ in range(20) if (found := getattr(keeper.memory, name)) != str(n))

    learners = [threading.Thread(target=learn, args=(name,)) for name in ("profile", "identity", "passed_over")]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in learners:
            thread.start()
        for _ in range(60):
            keeper.write_notes()
    finally:
        ends.set()
        for thread in learners:
            thread.join()
        sys.setswitchinterval(before)
    assert lost == []


# a source that goes away


def test_a_source_that_is_damaged_serves_as_it_was_last_read(house):
    keeper = house.keeper()
    old = keeper.fresh()
    house.file.write_text("{")
    house.clock += 100
    assert keeper.fresh() == old and "not valid JSON" in keeper.problem
    house.clock += 3000
    assert keeper.fresh() == old
    house.clock += 1000
    with pytest.raises(NeedsLogin, match=r"has no login: .* is not valid JSON"):
        keeper.fresh()


@pytest.mark.parametrize("rest", [None, '{"version": 1}'], ids=["no file", "no login in it"])
def test_who_signs_out_is_served_no_more(house, rest, caplog):
    keeper = house.keeper()
    keeper.fresh()
    house.file.unlink() if rest is None else house.file.write_text(rest)
    for _ in range(2):  # the first look may have come while the file was being written anew
        house.clock += view.LOOK
        keeper.held()
    with pytest.raises(NeedsLogin, match=r"has no login: .*; sign in again"):
        keeper.fresh()
    assert keeper.missing and not keeper.due() and house.sent == 0
    (line,) = [entry.message for entry in caplog.records if "serves no more" in entry.message]
    assert str(house.file) in line and "sign in again" in line
    house.sign_in()
    assert keeper.fresh().access == house.twin.account.access_token, "and who signs in again is, at once"


def test_a_file_that_is_away_for_a_moment_serves_as_it_was(house):
    keeper = house.keeper()
    old, text = keeper.fresh(), house.file.read_text()
    for _ in range(3):
        house.file.unlink()
        house.clock += view.LOOK
        assert keeper.fresh() == old and "does not exist" in keeper.problem
        house.file.write_text(text)
        house.clock += view.LOOK
        assert keeper.fresh() == old and not keeper.problem


def test_a_database_that_nobody_is_signed_in_to_any_more(twin, tmp_path):
    clock = [time.time()]
    place = support.write_database(tmp_path / "data.sqlite3", twin.account, expires_at=support.stamp(clock[0] + 3600))
    logins, _ = support.logins(twin, tmp_path, clock=lambda: clock[0], kiro_cli_db_file=place)
    (account,) = logins.accounts()
    assert account.state == "ready" and logins.fresh(account.id).token == twin.account.access_token
    with sqlite3.connect(place) as database:  # as `kiro-cli logout` leaves it
        database.execute("DELETE FROM auth_kv WHERE key = 'kirocli:social:token'")
    for _ in range(2):
        clock[0] += view.LOOK
        (account,) = logins.accounts()
    assert (account.state, account.reason) == ("login", f"{place} holds no login; run `kiro-cli login`")
    with pytest.raises(NeedsLogin, match="run `kiro-cli login`"):
        logins.fresh(account.id)


def test_nobody_signed_in(house):
    house.file.unlink()
    keeper = house.keeper()
    with pytest.raises(NeedsLogin, match="does not exist; sign in again"):
        keeper.fresh()
    assert keeper.missing and keeper.held() is None and not keeper.due() and keeper.barred() is None
    house.sign_in()
    assert keeper.fresh().access == house.twin.account.access_token and not keeper.missing


def test_what_the_ide_renews_is_noticed_within_seconds(house):
    keeper = house.keeper()
    keeper.fresh()
    house.sign_in()
    assert keeper.fresh().access != house.twin.account.access_token
    house.clock += view.LOOK
    assert keeper.fresh().access == house.twin.account.access_token and house.sent == 0


# locks


def lease_of(house):
    return Lease(house.store, f"refresh:{fingerprint(house.on_disk()['refreshToken'])}")


def test_while_another_process_renews_the_token_that_lives_serves(house):
    keeper = house.keeper()
    old = keeper.fresh()
    house.clock += 3010
    with lease_of(house).held(0) as mine:
        assert mine and keeper.fresh() == old
    assert house.sent == 0 and house.pauses == []


def test_with_nothing_that_lives_another_process_is_waited_for(house):
    keeper = house.keeper()
    house.clock += 4000
    with lease_of(house).held(0), pytest.raises(UpstreamFailed, match="another process has been renewing"):
        keeper.fresh()
    assert sum(house.pauses) == pytest.approx(refresh.WAIT, abs=0.1) and house.sent == 0
    assert keeper.fresh().access == house.twin.account.access_token


def test_while_another_thread_renews_the_token_that_lives_serves(house):
    house.network.free.clear()
    keeper = house.keeper()
    old = keeper.fresh()
    house.clock += 3010
    thread = threading.Thread(target=keeper.fresh)
    thread.start()
    while not house.sent:
        time.sleep(0.01)
    assert keeper.fresh() == old and house.sent == 1
    house.network.free.set()
    thread.join()
    assert keeper.fresh() != old and house.sent == 1


def test_without_leases_nothing_is_renewed(house):
    keeper = house.keeper()
    old = keeper.fresh()
    house.store.fails = ("lease",)
    house.clock += 3010
    assert keeper.fresh() == old
    house.clock += 600
    with pytest.raises(UpstreamFailed, match=r"can not be renewed: the store can not be written"):
        keeper.fresh()
    assert house.sent == 0


def test_a_machine_id_that_can_not_be_kept_is_known_at_least_to_this_process(house):
    keeper = house.keeper()
    keeper.fresh()
    house.store.fails = WRITING
    assert len(keeper.machine()) == 64


@pytest.mark.parametrize(("ours", "sent"), [([False], 0), ([True, False], 1), ([True, True, True], 3)])
def test_who_has_lost_the_lease_sends_nothing_more(house, ours, sent):
    """As after a sleep of the machine."""
    house.twin.faults.add(operation="refresh", status=500, count=None)
    held = house.keeper().fresh()
    requests = login.refresh_requests(held, house.settings, "ab")
    answers = iter(ours)
    redeemer = Redeemer(house.note(), Providers(house.settings), house.network, lambda: house.clock, house.pauses.append, None, False)
    failed = redeemer.redeem(held, requests, 3, lambda: next(answers))
    assert house.sent == sent and failed.unsure is (sent > 0)
    assert ("another process" in failed.refusal.reason) is (sent < 3)


# what is remembered


def test_the_machine_id_outlives_the_token_it_is_made_of(house):
    machine = house.keeper().machine()
    house.clock += 4000
    house.keeper().fresh()
    house.sign_in()
    assert house.keeper().machine() == machine and len(machine) == 64


def test_what_is_noted_survives_a_renewal(house):
    keeper = house.keeper()
    keeper.fresh()
    keeper.note(profile="arn:x", identity="i")
    house.clock += 4000
    house.keeper().fresh()
    assert (house.record()["profile"], house.record()["identity"]) == ("arn:x", "i")


def test_members_of_a_newer_version_survive_a_renewal(house):
    house.keeper().machine()
    ((id, doc),) = house.store.all(LOGIN).items()
    house.store.put(LOGIN, id, {**doc.value, "of tomorrow": [1]})
    house.clock += 4000
    house.keeper().fresh()
    assert house.record()["of tomorrow"] == [1]


def test_memory_before_anything_is_read(house):
    assert house.keeper().memory == Record()


def test_changed_is_no_error_of_ours():
    assert not isinstance(Changed(), (UpstreamFailed, NeedsLogin))
