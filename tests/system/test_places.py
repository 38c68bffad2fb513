"""Whose turn it is, over the whole road: conversations that stay, that must move, that are pinned, that wait for a place."""

import contextlib
import itertools
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from kirogw.dialects.kiro import credential
from kirogw.twin import Twin, as_ide_file
from tests.logins import support
from tests.store.servers import redis_server
from tests.system import cases
from tests.system.pauses import ENDLESS
from tests.system.raw import Connection, eventually
from tests.system.running import KEY
from tests.system.said import FORMS, IDS, history, payloads, say, user
from tests.system.stand import Stand, Verdicts
from tests.system.talk import PATHS, PING, ask, failure, text

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
STREAMED = pytest.mark.parametrize("face", PATHS)
WELL = [{"steps": [{"text": "Well."}], "repeat": True}]
SLOW = [{"steps": [{"text": "Well,"}, {"delay": 1.0, "text": " now."}], "repeat": True}]
NEVER = [{"steps": [{"delay": ENDLESS, "text": "Well."}], "repeat": True}]
THINKS = [{"steps": [{"thinking": "Hm."}, {"text": "Well."}], "repeat": True}]
WISH = {"thinking": {"type": "adaptive"}}
ACCOUNT, FIGURES = "x-kirogw-account", "x-kirogw-usage-source"


@dataclass
class Place:
    """A gateway with some accounts. `order`: id of an account -> its name at the twin, in the gateway's order."""

    stand: Stand
    twin: Twin

    @property
    def url(self):
        return self.stand.url

    @property
    def pool(self):
        return self.stand.state.pool

    @property
    def ids(self):
        return [account.id for account in self.pool.all()]

    def post(self, path, body, headers=None, **more):
        return requests.post(self.url + path, json=body, headers={"x-api-key": KEY, **(headers or {})}, timeout=100, **more)

    def served(self):
        """The twin's names of the accounts that were asked, in order."""
        return [seen.account for seen in self.twin.seen()]

    def records(self, count):
        """The records of usage, once there are so many."""
        return eventually(lambda: found if len(found := self.stand.state.usage.requests()) >= count else None)

    def empty(self):
        """Every place has been given back."""
        return eventually(lambda: all(account.in_flight == 0 for account in self.pool.all()))


@contextlib.contextmanager
def place_of(accounts=3, script=WELL, **settings):
    verdicts = Verdicts()
    with (verdicts.listening(), tempfile.TemporaryDirectory(prefix="kirogw-test-") as folder,
          Twin(accounts=["api_key"] * accounts) as twin):  # fmt: skip
        twin.script(script)
        stand = Stand(verdicts, twin, Path(folder), cases.by_key, lambda twin: settings)
        try:
            yield Place(stand, twin)
        finally:
            stand.close()


@pytest.fixture
def place():
    with place_of() as place:
        yield place


# conversations


@EACH
def test_a_conversation_stays_on_its_account(place, face, stream):
    by_session = {}
    for n in range(3):
        for session in "abcd":
            headers = {"x-claude-code-session-id": session}
            said = say(place, face, stream, headers=headers, messages=[user("Go.") for _ in range(n + 1)])
            by_session.setdefault(session, set()).add(said.headers[ACCOUNT])
    assert [len(accounts) for accounts in by_session.values()] == [1] * 4
    assert set.union(*by_session.values()) == set(place.ids)


def test_a_client_without_sessions_stays_by_how_the_conversation_began(place):
    begun = say(place, "messages", False, "A question of its own.")
    for _ in range(4):
        say(place, "messages", False, "Another one.")
        more = [user("A question of its own."), {"role": "assistant", "content": "Well."}, user("And?")]
        assert say(place, "messages", False, messages=more).headers[ACCOUNT] == begun.headers[ACCOUNT]


def test_questions_that_merely_begin_alike_are_no_conversation(place):
    assert {say(place, "chat", False, "Hello.").headers[ACCOUNT] for _ in range(3)} == set(place.ids)


def reasoning(payload):
    return [message["reasoningContent"]["reasoningText"]["text"] for message in history(payload) if "reasoningContent" in message]


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_that_must_move_takes_no_sealed_thought_along(stream):
    """The new account gets what was said, but not the thinking that only the old one can vouch for."""
    session = {"x-claude-code-session-id": "one"}
    with place_of(2, THINKS) as place:
        first = say(place, "messages", stream, "Go.", headers=session, **WISH)
        assert place.ids[0] not in first.back["content"][0]["signature"]
        asked = [user("Go."), first.back, user("And?")]
        second = say(place, "messages", stream, headers=session, messages=asked, **WISH)
        home = place.served()[0]
        place.twin.faults.add("TEMPORARILY_SUSPENDED", account=home, count=None)
        asked += [second.back, user("So?")]
        third = say(place, "messages", stream, headers=session, messages=asked, **WISH)
        asked += [third.back, user("Then?")]
        assert say(place, "messages", stream, headers=session, messages=asked, **WISH).text == "Well."
        other = next(account.name for account in place.twin.accounts.all.values() if account.name != home)
        assert place.served() == [home, home, home, other, other]
        thoughts = [reasoning(payload) for payload in payloads(place.twin)]
        assert thoughts == [[], ["Hm."], ["Hm.", "Hm."], [], ["Hm."]]
        assert len(history(payloads(place.twin)[3])) == 4
        assert first.headers[ACCOUNT] != third.headers[ACCOUNT]


# pinned


@EACH
def test_a_request_may_name_its_account(place, face, stream):
    wanted = place.ids[2]
    for _ in range(3):
        assert say(place, face, stream, "Go.", headers={ACCOUNT: wanted}).headers[ACCOUNT] == wanted
    assert len(set(place.served())) == 1


def test_an_account_may_be_named_by_its_label(place):
    place.stand.state.logins.change(place.ids[1], label="büro")
    assert eventually(lambda: place.pool.all()[1].label == "büro")
    said = say(place, "chat", False, "Go.", headers={ACCOUNT: "büro".encode()})
    assert said.headers[ACCOUNT] == place.ids[1]  # a header holds ASCII
    place.stand.state.logins.change(place.ids[1], label="office")
    assert eventually(lambda: place.pool.all()[1].label == "office")
    assert say(place, "chat", False, "Go.", headers={ACCOUNT: "office"}).headers[ACCOUNT] == "office"


@EACH
def test_an_account_that_is_not_there_is_an_error(place, face, stream):
    said = say(place, face, stream, "Go.", headers={ACCOUNT: "gone"})
    assert (said.status, said.error["type"]) == (400, "invalid_request_error")
    assert "no account as the header x-kirogw-account names it" in said.error["message"]
    assert place.served() == []


@EACH
def test_a_pinned_account_that_can_not_serve_is_not_replaced(place, face, stream):
    place.twin.faults.add("MONTHLY_REQUEST_COUNT", count=1)
    place.twin.accounts.all[place.twin.account.name].used = 1e6
    pinned = {ACCOUNT: place.ids[0]}
    first, second = (say(place, face, stream, "Go.", headers=pinned) for _ in range(2))
    assert [said.status for said in (first, second)] == [429, 429]
    assert all("plan is used up" in said.error["message"] and "Retry-After" in said.headers for said in (first, second))
    assert len(set(place.served())) == 1
    assert say(place, face, stream, "Go.").text == "Well."


# what an answer says of itself


@pytest.mark.parametrize("face", PATHS)
def test_an_answer_tells_who_served_and_where_its_figures_come_from(face):
    script = [[{"text": "a"}, {"usage": {"uncachedInputTokens": 9, "outputTokens": 2}}], [{"text": "a"}, {"context": 40.0}], [{"text": "a"}, {"context": None}]]
    with place_of(1, script) as place:
        heard = [say(place, face, False, "Go.").headers for _ in script]
        assert [headers[FIGURES] for headers in heard] == ["measured", "derived", "estimated"]
        assert {headers[ACCOUNT] for headers in heard} == set(place.ids)
        place.twin.script(WELL)
        assert say(place, face, True, "Go.").headers[FIGURES] == "estimated"  # its head leaves before the first figure
        assert FIGURES not in place.post(PATHS[face], {}).headers


# records of usage


@EACH
def test_every_end_of_a_request_is_recorded_once(place, face, stream):
    place.twin.script([[{"text": "one two three"}, {"credits": 0.25}]])
    say(place, face, stream, "Go.")
    place.twin.faults.add("CONTENT_LENGTH_EXCEEDS_THRESHOLD", count=None)
    say(place, face, stream, "Go.")
    place.post(PATHS[face], {"model": 1})
    bad, refused, served = place.records(3)
    assert len(place.stand.state.usage.requests()) == 3
    assert (served["outcome"], served["credits"], served["output"] > 0, served["input"] > 0) == ("end", 0.25, True, True)
    assert (served["account"], served["key"], served["face"], served["stream"]) == (place.ids[0], "main", face, stream)
    assert served["source"] in ("derived", "estimated") and served["ms"] >= served["first_ms"] > 0
    assert (refused["outcome"], refused["credits"], refused["output"]) == ("TooLong 400", None, 0)
    assert (bad["outcome"], bad["account"]) == ("BadRequest 400", "")
    assert place.empty()


@STREAMED
def test_what_a_client_has_left_is_recorded_as_far_as_it_came(face):
    with place_of(1, [{"steps": [{"text": "one two three four"}, {"delay": 60, "text": "five"}], "repeat": True}], HEARTBEAT=0.1) as place:
        with Connection(place.url) as connection:
            connection.send("POST", PATHS[face], ask(stream=True))
            assert connection.head()[0] == 200
            data = b""
            for chunk in connection.chunks():
                data += chunk
                if "four" in text(face, data):
                    break
        (left,) = place.records(1)
        assert (left["outcome"], left["source"], left["account"]) == ("client left", "estimated", place.ids[0])
        assert left["output"] >= 4 and left["input"] > 0
        assert place.empty()
        assert place.pool.all()[0].state == "ready"  # that a client leaves is no failure of an account


# waiting for a place


def answer(connection):
    status, headers = connection.head()
    return status, headers, connection.body(headers)


@STREAMED
def test_whoever_waits_for_a_place_hears_that_we_live(face):
    with place_of(1, SLOW, ACCOUNT_CONCURRENCY=1, HEARTBEAT=0.2) as place:
        with Connection(place.url) as one, Connection(place.url) as two:
            with place.stand.pauses.held():
                one.send("POST", PATHS[face], ask("First.", stream=True))
                assert eventually(lambda: place.pool.all()[0].in_flight == 1)
                two.send("POST", PATHS[face], ask("Second.", stream=True))
                status, _ = two.head()
                chunks, heard = two.chunks(), b""
                while PING[face] not in heard:
                    heard += next(chunks)
                assert len(place.twin.seen()) == 1  # as long as the first is on its way
            first = answer(one)
            second = status, heard + b"".join(chunks)
        assert [(first[0], text(face, first[2])), (second[0], text(face, second[1]))] == [(200, "Well, now.")] * 2
        assert len(place.twin.seen()) == 2
        assert place.empty()


@EACH
def test_many_share_few_places_and_all_are_served(face, stream):
    takes = 0.05
    with place_of(2, [{"steps": [{"delay": takes, "text": "Well."}], "repeat": True}], ACCOUNT_CONCURRENCY=1) as place:
        answers = []
        threads = [threading.Thread(target=lambda n=n: answers.append(say(place, face, stream, f"Go {n}."))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [said.text for said in answers] == ["Well."] * 8
        begun = sorted((seen.at, seen.account) for seen in place.twin.seen())
        for account in {account for _, account in begun}:
            mine = [at for at, who in begun if who == account]
            assert all(at - before > 0.9 * takes for before, at in itertools.pairwise(mine))
        assert place.empty()


@EACH
def test_who_finds_no_place_in_time_is_told_so(face, stream):
    with place_of(1, NEVER, ACCOUNT_CONCURRENCY=1, RETRY_BUDGET=0.3, HEARTBEAT=5) as place:  # by which it sees that `one` left
        with Connection(place.url) as one:
            one.send("POST", PATHS[face], ask(stream=True))
            assert eventually(lambda: len(place.twin.seen()) == 1)
            said = say(place, face, stream, "Go.")
        assert (said.status, "Retry-After" in said.headers) == (429, True)
        assert "busy with as many answers" in said.error["message"] and "Try again" in said.error["message"]
        assert len(place.twin.seen()) == 1
        assert place.empty()


@STREAMED
def test_who_has_heard_a_beat_is_told_in_band(face):
    with place_of(1, NEVER, ACCOUNT_CONCURRENCY=1, RETRY_BUDGET=3, HEARTBEAT=0.1) as place:
        with Connection(place.url) as one:
            one.send("POST", PATHS[face], ask(stream=True))
            assert eventually(lambda: len(place.twin.seen()) == 1)
            reply = place.post(PATHS[face], ask(stream=True))
        assert reply.status_code == 200
        assert "busy with as many answers" in failure(reply.content)["message"]
        assert place.empty()


@EACH
def test_who_leaves_while_waiting_takes_no_place(face, stream):
    with place_of(1, SLOW, ACCOUNT_CONCURRENCY=1, HEARTBEAT=0.1) as place:
        with Connection(place.url) as one:
            with place.stand.pauses.held():
                one.send("POST", PATHS[face], ask("First.", stream=True))
                assert eventually(lambda: place.pool.all()[0].in_flight == 1)
                with Connection(place.url) as two:
                    two.send("POST", PATHS[face], ask("Second.", stream=stream))
                    assert eventually(lambda: place.pool._waiting == 1)
            assert text(face, answer(one)[2]) == "Well, now."
        assert place.empty()
        assert {record["outcome"] for record in place.records(2)} >= {"end"}
        assert place.empty()


# somebody signs in again


def signed_in(account):
    later = support.stamp(time.time() + 3600)
    return credential.read(as_ide_file(account, later))


def test_an_account_that_needed_a_login_serves_as_soon_as_it_has_one():
    """Without a request that tries it, and long before its rest would end."""
    with place_of(1) as place:
        accounts, logins = place.twin.accounts, place.stand.state.logins
        account = accounts.add("social", "lost")
        id = logins.add(signed_in(account))
        accounts.expire("lost")
        accounts.revoke("lost")
        pinned = {ACCOUNT: id}
        refused = say(place, "messages", False, "Go.", headers=pinned)
        assert (refused.status, refused.error["type"]) == (403, "permission_error")
        assert place.pool.find(id).state == "login"
        accounts.issue(account, None)
        logins.add(signed_in(account), id=id)
        assert eventually(lambda: place.pool.find(id).state == "ready")
        assert say(place, "messages", False, "Go.", headers=pinned).text == "Well."


# several machines


def test_machines_that_share_a_store_go_on_with_each_others_conversations():
    """The same account, the same conversation to Kiro, the same seals; each machine has a home of its own."""
    verdicts, session = Verdicts(), {"x-claude-code-session-id": "one"}
    with (verdicts.listening(), redis_server("--appendonly", "yes") as server, Twin(accounts=["api_key"] * 3) as twin,
          tempfile.TemporaryDirectory(prefix="kirogw-test-") as one, tempfile.TemporaryDirectory(prefix="kirogw-test-") as other):  # fmt: skip
        twin.script(THINKS)
        more = {"STATE_URL": server.url, "KIROGW_SECRET_KEY": "n" * 43}
        stands = [Stand(verdicts, twin, Path(home), cases.by_key, lambda twin: more) for home in (one, other)]
        try:
            here, there = (Place(stand, twin) for stand in stands)
            asked = [user("Go.")]
            for n in range(4):
                said = say((here, there)[n % 2], "messages", False, headers=session, messages=asked, **WISH)
                asked += [said.back, user("And?")]
                for stand in stands:
                    stand.state.sync.flush()
            assert len(set(here.served())) == 1
            assert len({payload["conversationState"]["conversationId"] for payload in payloads(twin)}) == 1
            assert [len(reasoning(payload)) for payload in payloads(twin)] == [0, 1, 2, 3]
        finally:
            for stand in stands:
                stand.close()
