"""Named keys before several processes: two workers of one gateway, and another gateway, all with one store."""

import contextlib
import os
import signal
import threading
import time

import pytest

from kirogw.logins.named import Limits, Register, Terms
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.system.running import running
from tests.system.talk import PATHS, ask

LONG = 100.0  # seconds for what takes one or two


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    state = tmp_path_factory.mktemp("state") / ".kirogw"
    with Twin(accounts=["api_key"]) as twin, contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(running(twin, KIROGW_HOME=state, SERVER_WORKERS=workers, ACCOUNT_CONCURRENCY=0))
                    for workers in (2, 1)]  # fmt: skip
        store = open_store(Settings(kirogw_home=str(state)))
        stack.callback(store.close)
        yield twin, gateways, Register(store)


@pytest.fixture
def twin(pair):
    pair[0].reset()
    return pair[0]


@pytest.fixture
def gateways(pair):
    return pair[1]


@pytest.fixture
def register(pair):
    yield pair[2]
    for record in pair[2].all():
        pair[2].revoke(record.name)


def post(gateway, key, face="messages", **more):
    """A request over a connection of its own, so that either worker may get it."""
    return gateway.post(PATHS[face], ask(**more), headers={"Authorization": f"Bearer {key}", "Connection": "close"})


def until(condition, pause=0.05):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


def until_heard(gateways, key):
    """At once, unless somebody has just tried another key that nobody knows."""
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    for gateway in gateways:
        until(lambda gateway=gateway: all(gateway.get("/v1/models", headers).ok for _ in range(6)))


def test_a_key_works_at_once_and_is_revoked_everywhere(gateways, register):
    key, _ = register.add("ci", Terms())
    assert [post(gateway, key).status_code for gateway in gateways * 4] == [200] * 8
    register.revoke("ci")
    for gateway in gateways:
        until(lambda gateway=gateway: all(post(gateway, key).status_code == 401 for _ in range(8)))


def test_a_rotated_key_and_its_old_secret(gateways, register):
    old, _ = register.add("ci", Terms())
    assert {post(gateway, old).status_code for gateway in gateways * 3} == {200}
    new, _ = register.rotate("ci", overlap=0.0)
    for gateway in gateways:
        until(lambda gateway=gateway: all(post(gateway, old).status_code == 401 for _ in range(6)))
        assert post(gateway, new).status_code == 200


def test_what_one_uses_the_others_do_not_have(twin, gateways, register):
    """A budget of ten requests: whoever serves them, the sum is minded everywhere within about a second."""
    key, _ = register.add("ci", Terms(limits=Limits(day_credits=1.0)))
    until_heard(gateways, key)
    twin.script([{"steps": [{"text": "hello"}, {"credits": 0.1}], "repeat": True}])
    first, other = gateways
    served = 0
    while (reply := post(first, key)).status_code == 200:
        served += 1
        assert served < 40
        time.sleep(0.3)
    assert served >= 9 and int(reply.headers["Retry-After"]) > 0
    late = 0
    while post(other, key).status_code == 200:
        late += 1
        assert late < 9  # alone it would let in ten
        time.sleep(2)


def test_many_at_once(twin, gateways, register, pauses):
    """Each process minds its own exactly; three of them let in no more than three times as many."""
    key, _ = register.add("ci", Terms(limits=Limits(concurrent=2)))
    until_heard(gateways, key)
    twin.script([{"steps": [{"text": "one two three four five six", "pace": 0.2}], "repeat": True}])
    found = []

    def one(gateway):
        found.append(post(gateway, key, "chat").status_code)

    threads = [threading.Thread(target=one, args=(gateways[n % 2],)) for n in range(16)]
    with pauses.held():  # whoever is let in stays until all others have been told
        for thread in threads:
            thread.start()
        until(lambda: len(found) >= 16 - 6)
        assert set(found) == {429}
        assert len(twin.seen()) <= 6
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}
    for gateway in gateways:
        until(lambda gateway=gateway: post(gateway, key).status_code == 200, pause=0.5)


def test_a_killed_worker_holds_no_place_for_long(twin, gateways, register):
    key, _ = register.add("ci", Terms(limits=Limits(concurrent=1)))
    until_heard(gateways, key)
    other = gateways[1]
    twin.script([{"steps": [{"text": "one two three four " * 50, "pace": 0.3}], "match": "Slowly", "repeat": True}])
    slowly, headers = ask("Slowly.", stream=True), {"Authorization": f"Bearer {key}"}
    with contextlib.closing(other.post(PATHS["chat"], slowly, headers=headers, stream=True)) as reply:
        chunks = reply.iter_content(16)  # the client leaves when this is let go
        assert next(chunks)
        until(lambda: all(post(gateways[0], key).status_code == 429 for _ in range(8)), pause=0.2)
        os.kill(other.workers()[0], signal.SIGKILL)
        until(lambda: all(post(gateways[0], key).status_code == 200 for _ in range(8)), pause=0.5)
        del chunks
