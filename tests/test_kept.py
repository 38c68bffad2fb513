"""Answers that their clients come back to: found at once and elsewhere soon, sealed, theirs alone, and gone in time."""

import threading
import time
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw import kept
from kirogw.dialects.responses.chain import Turn
from kirogw.errors import NotFound, NotKept, StoreAway, TooLong
from kirogw.kept import KIND, LOG, Kept
from kirogw.store import StoreFailed
from kirogw.store.sync import Sync
from tests.store.conftest import another_of, server, settings, store  # noqa: F401 fixtures

DAY = 86400.0


def name(n):
    return f"resp_{n:024}"


def turn(n=1, before=0, text="Hello.", **members):
    said = {"type": "message", "role": "assistant", "id": f"msg_{n:024}0", "content": [{"type": "output_text", "text": f"Answer {n}."}]}
    asked = {"type": "message", "role": "user", "id": f"msg_{n:024}i0", "content": [{"type": "input_text", "text": text}]}
    return Turn({"id": name(n), "status": "completed", "output": [said], **members}, [asked], name(before) if before else "")


def seal(data):
    return "kgs1." + data[::-1].hex()


def unseal(text):
    return bytes.fromhex(text[5:])[::-1]


@pytest.fixture
def make(settings):  # noqa: F811
    """Processes that share a store; each has a Sync whose thread the test is."""

    def made(store, **more):  # noqa: F811
        now = more.pop("now", time.time)
        sync = Sync(store)
        return Kept(replace(settings, **more), sync, seal, unseal, now)

    return made


@pytest.fixture
def here(make, store):  # noqa: F811
    return make(store)


@pytest.fixture
def there(make, another_of):  # noqa: F811
    return make(another_of())


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE", 0.0)


def test_it_is_there_at_once_and_elsewhere_when_it_is_written(here, there):
    here.keep("k", turn())
    assert here.get("k", name(1)) == turn()
    with pytest.raises(NotFound):
        there.get("k", name(1), patience=0.0)
    here.write()
    assert there.get("k", name(1)) == here.get("k", name(1)) == turn()


def test_another_process_waits_for_it(here, there):
    writer = threading.Timer(0.2, lambda: (here.keep("k", turn()), here.write()))
    writer.start()
    assert there.get("k", name(1), patience=60.0) == turn()
    writer.join()


def test_a_conversation_is_a_chain_and_nothing_is_there_twice(here, there, store):  # noqa: F811
    for n in range(1, 6):
        here.keep("k", turn(n, n - 1, text=f"Question {n}."))
    here.write()
    turns = there.chain("k", name(5))
    assert [one.response["id"] for one in turns] == [name(n) for n in range(1, 6)]
    texts = [item["content"][0]["text"] for item in there.context("k", turns)]
    assert texts == [text for n in range(1, 6) for text in (f"Question {n}.", f"Answer {n}.")]
    for n, doc in enumerate(sorted(store.all(KIND).items()), start=1):
        data = kept.zlib.decompress(unseal(doc[1].value["sealed"])).decode()
        assert [f"Answer {m}." in data for m in range(1, 6)] == [m == n for m in range(1, 6)]


@pytest.mark.usefixtures("impatient")
def test_a_chain_that_is_broken(here):
    here.keep("k", turn(1))
    here.keep("k", turn(3, 2))
    with pytest.raises(NotKept, match=name(2)) as caught:
        here.chain("k", name(3))
    assert caught.value.param == "previous_response_id"


def test_a_chain_is_no_way_around_the_limit_of_a_body(make, store):  # noqa: F811
    process = make(store, max_body_bytes=2000)
    for n in range(1, 10):
        process.keep("k", turn(n, n - 1))
    assert len(process.chain("k", name(2))) == 2
    with pytest.raises(TooLong, match="MAX_BODY_BYTES"):
        process.chain("k", name(9))


@pytest.mark.usefixtures("impatient")
def test_each_key_sees_its_own(here, there):
    here.keep("mine", turn())
    for _ in range(2):
        for process in (here, there):
            for refused in (process.get, process.delete):
                with pytest.raises(NotFound):
                    refused("yours", name(1))
            with pytest.raises(NotKept):
                process.chain("yours", name(1))
            with pytest.raises(NotFound):
                process.items("yours", [f"msg_{1:024}0"])
        here.write()
    assert there.get("mine", name(1)) == turn()


@pytest.mark.usefixtures("impatient")
def test_nothing_can_be_read_in_the_store(here, store):  # noqa: F811
    here.keep("k", turn(text="A secret of mine."))
    here.write()
    raw = orjson.dumps([doc.value for doc in store.all(KIND).values()]) + orjson.dumps(store.entries(LOG))
    assert b"secret" not in raw and b"Answer" not in raw


@pytest.mark.usefixtures("impatient")
def test_what_can_not_be_opened_any_more_is_gone(settings, store):  # noqa: F811
    broken = Kept(settings, Sync(store), seal, lambda text: None)
    broken.keep("k", turn())
    broken.write()
    with pytest.raises(NotFound):
        broken.get("k", name(1))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("written", [False, True])
def test_it_is_deleted_everywhere(here, there, written):
    here.keep("k", turn())
    if written:
        here.write()
    here.delete("k", name(1))
    here.write()
    for process in (here, there):
        with pytest.raises(NotFound):
            process.get("k", name(1))


@pytest.mark.usefixtures("impatient")
def test_it_goes_when_its_time_is_over(make, store):  # noqa: F811
    short = make(store, response_store_days=0.5 / DAY)
    short.keep("k", turn())
    short.write()
    end = time.monotonic() + 60
    while True:
        try:
            short.get("k", name(1))
        except NotFound:
            return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_gone_on_from_lives_on(make, store):  # noqa: F811
    """Not at every turn: only when half of its time is over."""
    ahead = [0.0]
    process = make(store, response_store_days=1.0, now=lambda: time.time() + ahead[0])
    process.keep("k", turn())
    process.write()
    first = store.get(KIND, name(1))
    process.chain("k", name(1))
    process.write()
    assert store.get(KIND, name(1)) == first
    ahead[0] = 0.6 * DAY
    process.chain("k", name(1))
    process.write()
    again = store.get(KIND, name(1))
    assert again.version > first.version and again.value == first.value and process.get("k", name(1)) == turn()


@pytest.mark.usefixtures("impatient")
def test_what_was_deleted_meanwhile_does_not_come_back(make, store, there):  # noqa: F811
    ahead = [0.0]
    process = make(store, response_store_days=7.0, now=lambda: time.time() + ahead[0])
    process.keep("k", turn())
    process.write()
    ahead[0] = 5 * DAY
    process.get("k", name(1))
    there.delete("k", name(1))
    process.write()
    with pytest.raises(NotFound):
        process.get("k", name(1))


def test_where_nothing_is_kept(make, store):  # noqa: F811
    none = make(store, response_store_days=0.0)
    assert not none.keeps
    with pytest.raises(NotKept, match="RESPONSE_STORE_DAYS"):
        none.chain("k", name(1))


@pytest.mark.parametrize("id", ["", "resp_", "resp_" + "a" * 23, "resp_" + "a" * 25, "chatcmpl-1", "resp_" + "a" * 23 + "*", name(1) + "\n"])
def test_ids_that_are_none_are_not_looked_for(here, id):
    began = time.monotonic()
    with pytest.raises(NotFound):
        here.get("k", id, patience=600.0)
    assert time.monotonic() - began < 300


# items that are only named


def test_items_are_found_by_their_ids(here):
    here.keep("k", turn(1))
    own = {"type": "message", "id": "msg_mine", "role": "user", "content": []}
    found = here.items("k", [f"msg_{1:024}0", f"msg_{1:024}i0", "msg_mine"], [own])
    assert [item["id"] for item in found.values()] == list(found) == [f"msg_{1:024}0", f"msg_{1:024}i0", "msg_mine"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("id", ["msg_nobody", f"msg_{2:024}0", f"msg_{1:024}7"])
def test_items_that_are_not_kept(here, id):
    here.keep("k", turn(1))
    with pytest.raises(NotFound, match="not found") as caught:
        here.items("k", [id])
    assert caught.value.param == "input"


def test_a_conversation_of_references(here):
    here.keep("k", turn(1))
    named = Turn({"id": name(2), "output": []}, [{"type": "item_reference", "id": f"msg_{1:024}0"}])
    here.keep("k", named)
    assert here.context("k", here.chain("k", name(2))) == turn(1).response["output"]


# room


@pytest.mark.usefixtures("impatient")
def test_the_oldest_go_first(make, store):  # noqa: F811
    process = make(store, response_store_bytes=1024 * 1024)
    many = [turn(n, text=bytes(range(256)).hex() * 2000) for n in range(1, 4)]
    monkeypatched = kept.PACKED
    try:
        kept.PACKED = 0  # as they are: half a megabyte each, and more when they are sealed
        for one in many:
            process.keep("k", one)
            process.write()
    finally:
        kept.PACKED = monkeypatched
    process.keep("k", turn(9))
    process.write()
    assert process.prune(time.time()) == 3
    assert list(store.all(KIND)) == [name(9)]
    assert process.prune(time.time()) == 0
    assert [entry["id"] for _, entry in store.entries(LOG)] == [name(9)]


def test_what_is_too_large_is_not_kept(here, monkeypatch, caplog):
    monkeypatch.setattr(kept, "LARGEST", 1000)
    here.keep("k", turn(text="x" * 1000))
    assert "not" in caplog.text or here._waiting == {}
    assert here._waiting == {}


@pytest.mark.usefixtures("impatient")
def test_while_the_store_fails(make, store, monkeypatch):  # noqa: F811
    """What waits is found, and is written when the store works again; it is bounded."""
    process = make(store)
    works = store.apply

    def fails(*_, **__):
        raise StoreFailed("away")

    monkeypatch.setattr(store, "apply", fails)
    process.keep("k", turn(1))
    with pytest.raises(StoreFailed):
        process.write()
    assert process.get("k", name(1)) == turn(1)
    monkeypatch.setattr(kept, "WAITING", 3000)
    for n in range(2, 30):
        process.keep("k", turn(n))
    assert 0 < len(process._waiting) < 20 and name(29) in process._waiting
    monkeypatch.setattr(store, "apply", works)
    process.write()
    assert process._waiting == {} and process._size == 0
    assert process.get("k", name(29)) == turn(29)
    monkeypatch.setattr(store, "get", fails)
    with pytest.raises(StoreAway):
        process.get("k", name(29))


def test_a_key_that_is_not_here(settings, store, caplog):  # noqa: F811
    """Nothing is written in the clear, and nothing waits for ever."""

    def fails(data):
        raise ValueError("it is sealed with another key")

    process = Kept(settings, Sync(store), fails, unseal)
    process.keep("k", turn())
    process.write()
    assert store.all(KIND) == {} and process._waiting == {}


def test_its_own_thread_writes_at_once(here, there):
    here.start()
    here.keep("k", turn(1))
    assert there.get("k", name(1), patience=60.0) == turn(1)
    here.keep("k", turn(2))
    assert there.get("k", name(2), patience=60.0) == turn(2)
    here.close()


def test_the_end_of_a_process_writes_what_waits(here, there):
    here.keep("k", turn())
    here.close()
    assert there.get("k", name(1), patience=0.0) == turn()


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10)


@given(JSON)
def test_what_is_kept_comes_back_as_it_was(tmp_path_factory, value):
    one = Turn({"id": name(1), "output": [], "metadata": value}, [{"type": "message", "x": value}], "")
    assert kept._turn(kept._dumped(one)) == one


def test_halves_of_pairs_and_depth():
    """What no JSON writer takes is no reason to fail when an answer ends."""
    odd = turn(text="x\ud83dy")
    assert kept._turn(kept._dumped(odd)).input[0]["content"][0]["text"] == "x?y"
    deep = []
    for _ in range(600):
        deep = [deep]
    assert kept._turn(kept._dumped(turn(metadata=deep))).response["metadata"] == deep
    for _ in range(100_000):
        deep = [deep]
    assert kept._dumped(turn(metadata=deep)) == b""


