"""What each account's upstream offers: read once, kept, and never waited for because of another account."""

import json
import threading
import time

import pytest

from kirogw.catalog import Catalog
from kirogw.dialects.dialect import Login
from kirogw.dialects.kiro.models import FALLBACK
from kirogw.settings import Settings
from kirogw.wire import Reply

LOGIN = Login("key", "ksk_x")


def page(*names, after=""):
    body = {"models": [{"modelId": name} for name in names], **({"nextToken": after} if after else {})}
    return Reply(200, {}, json.dumps(body).encode())


def ids(models):
    return [model.id for model in models]


def test_all_pages_are_read_once():
    replies = [page("a", after="t"), page("b")]
    catalog = Catalog(Settings(), lambda request, seconds: replies.pop(0))
    assert [ids(catalog.models("one", lambda: LOGIN)) for _ in range(2)] == [["a", "b"]] * 2
    assert ids(catalog.known()) == ["a", "b"]


@pytest.mark.parametrize("reply", [Reply(500, {}, b""), page(), Reply(200, {}, b"{")], ids=["failure", "empty", "no JSON"])
def test_what_is_built_in_serves_where_no_host_says_anything(reply):
    asked = []
    catalog = Catalog(Settings(), lambda request, seconds: asked.append(request.url) or reply)
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
            assert fresh.wait(5)
        return reply

    catalog = Catalog(Settings(model_cache_seconds=0.0), call)
    assert ids(catalog.models("one", lambda: LOGIN)) == ["old"]
    assert ids(catalog.models("one", lambda: LOGIN)) == ["old"]
    fresh.set()
    deadline = time.monotonic() + 5
    while ids(catalog.known()) != ["new"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids(catalog.known()) == ["new"]


def test_nobody_waits_for_another_accounts_list():
    asked, answer = threading.Event(), threading.Event()

    def call(request, seconds):
        if "ksk_dead" in request.headers["Authorization"]:
            asked.set()
            assert answer.wait(10)
        return page("a")

    catalog = Catalog(Settings(), call)
    waiting = threading.Thread(target=catalog.models, args=("dead", lambda: Login("key", "ksk_dead")))
    waiting.start()
    try:
        assert asked.wait(5)
        began = time.monotonic()
        assert ids(catalog.models("alive", lambda: LOGIN)) == ["a"]
        assert time.monotonic() - began < 2
    finally:
        answer.set()
        waiting.join()
