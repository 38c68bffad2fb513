"""What each account's upstream offers: read once, kept, and never waited for because of another account."""

import json
import threading
import time

import pytest

from kirogw.catalog import Catalog
from kirogw.convert import Providers
from kirogw.dialects.kiro.models import FALLBACK
from kirogw.dialects.provider import Login
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.wire import Reply

LOGIN = Login("key", "ksk_x")
ACCOUNTS = {"one"}


def page(*names, after=""):
    body = {"models": [{"modelId": name} for name in names], **({"nextToken": after} if after else {})}
    return Reply(200, {}, json.dumps(body).encode())


def ids(models):
    return [model.id for model in models]


def test_all_pages_are_read_once():
    replies = [page("a", after="t"), page("b")]
    catalog = Catalog(Settings(), Providers(Settings()), lambda request, seconds: replies.pop(0))
    assert [ids(catalog.models("one", lambda: LOGIN)) for _ in range(2)] == [["a", "b"]] * 2
    assert ids(catalog.known("kiro", ACCOUNTS)) == ["a", "b"]


@pytest.mark.parametrize("reply", [Reply(500, {}, b""), page(), Reply(200, {}, b"{")], ids=["failure", "empty", "no JSON"])
def test_what_is_built_in_serves_where_no_host_says_anything(reply):
    asked = []
    catalog = Catalog(Settings(), Providers(Settings()), lambda request, seconds: asked.append(request.url) or reply)
    assert catalog.models("one", lambda: LOGIN) == FALLBACK
    assert len(asked) == len(Settings().kiro_control_urls)
    catalog.models("one", lambda: LOGIN)
    assert len(asked) == len(Settings().kiro_control_urls)  # not again at once


def test_a_list_that_has_grown_old_serves_until_the_new_one_is_here():
    fresh = threading.Event()
    replies = iter([page("old"), page("new")])

    def call(request, seconds):
        reply = next(replies)
        if reply == page("new"):
            assert fresh.wait(60)
        return reply

    catalog = Catalog(Settings(model_cache_seconds=0.0), Providers(Settings(model_cache_seconds=0.0)), call)
    assert ids(catalog.models("one", lambda: LOGIN)) == ["old"]
    assert ids(catalog.models("one", lambda: LOGIN)) == ["old"]
    fresh.set()
    deadline = time.monotonic() + 60
    while ids(catalog.known("kiro", ACCOUNTS)) != ["new"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids(catalog.known("kiro", ACCOUNTS)) == ["new"]


def test_nobody_waits_for_another_accounts_list():
    asked, answer = threading.Event(), threading.Event()

    def call(request, seconds):
        if "ksk_dead" in request.headers["Authorization"]:
            asked.set()
            assert answer.wait(60)
        return page("a")

    catalog = Catalog(Settings(), Providers(Settings()), call)
    waiting = threading.Thread(target=catalog.models, args=("dead", lambda: Login("key", "ksk_dead")))
    waiting.start()
    try:
        assert asked.wait(60)
        assert ids(catalog.models("alive", lambda: LOGIN)) == ["a"]
        assert waiting.is_alive(), "the answer came after the other's"
    finally:
        answer.set()
        waiting.join()


def test_a_service_that_does_not_answer_is_waited_for_once():
    """All accounts are asked side by side: none of them gets an answer before all have been asked."""
    asked = threading.Barrier(5)

    def call(request, seconds):
        asked.wait(60)
        return page("a")

    catalog = Catalog(Settings(), Providers(Settings()), call)
    names = [str(n) for n in range(5)]
    for _ in range(2):
        catalog.read_all((name, lambda: LOGIN, "key") for name in names)
    assert not asked.broken and all(ids(catalog.known("kiro", {name})) == ["a"] for name in names)


@pytest.fixture
def worker(tmp_path):
    """A catalogue of one of several processes; what they ask goes to `asked`, and `replies` answer."""
    made = []

    def make(call, **set):
        settings = Settings(kirogw_home=str(tmp_path), **set)
        sync = Sync(open_store(settings))
        made.append(sync)
        return Catalog(settings, Providers(settings), call, sync), sync

    yield make
    for sync in made:
        sync.close()
        sync.store.close()


def nobody(request, seconds):
    raise AssertionError("it is known already")


def test_what_one_process_has_read_all_know(worker):
    one, sync = worker(lambda request, seconds: page("a", "b"))
    listed = one.models("one", lambda: LOGIN)
    sync.flush()
    two, _ = worker(nobody)
    assert two.models("one", lambda: LOGIN) == listed
    three, _ = worker(nobody)
    three.look()
    assert ids(three.known("kiro", ACCOUNTS)) == ["a", "b"]


def test_a_newer_list_of_another_process_takes_the_place_of_ours(worker):
    one, sync = worker(lambda request, seconds: page("old"))
    two, other = worker(lambda request, seconds: page("new"), model_cache_seconds=0.0)
    one.models("one", lambda: LOGIN)
    time.sleep(0.01)
    two.keep_fresh("one", lambda: LOGIN)
    other.flush()
    one.look()
    assert ids(one.models("one", lambda: LOGIN)) == ["new"]
    sync.flush()  # writes the old one late
    two.look()
    assert ids(two.known("kiro", ACCOUNTS)) == ["new"]


def test_the_background_reads_a_list_before_it_is_old(worker):
    asked = []
    one, _ = worker(lambda request, seconds: asked.append(1) or page("a"), model_cache_seconds=3600.0)
    for _ in range(3):
        one.keep_fresh("one", lambda: LOGIN)
    assert len(asked) == 1
    one._kept["one"].until -= 3500.0
    one.keep_fresh("one", lambda: LOGIN)
    assert len(asked) == 2


def test_a_failure_is_not_shared(worker):
    one, sync = worker(lambda request, seconds: Reply(500, {}, b""))
    one.keep_fresh("one", lambda: LOGIN)
    sync.flush()
    assert sync.store.all("catalogue") == {}


@pytest.mark.parametrize("value", [
    {}, {"models": [{"name": "x"}], "at": 1}, {"models": 5, "at": 1}, {"provider": "kiro", "models": [{"id": "a", "new": 1}], "at": 1},
    {"provider": "another", "models": [{"id": "b"}], "at": 1}])  # fmt: skip
def test_what_another_version_wrote_is_read_anew(worker, value):
    one, sync = worker(lambda request, seconds: page("a"))
    sync.store.put("catalogue", "one", value)
    one.look()
    assert ids(one.models("one", lambda: LOGIN)) == ["a"]
