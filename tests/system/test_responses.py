"""The Responses API before several processes: two workers of one gateway and another gateway, all with one store."""

import contextlib
import os
import signal
import threading
import time

import openai
import pytest

from kirogw.logins.named import Limits, Register, Terms
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.store.servers import redis_server
from tests.system.raw import eventually
from tests.system.running import KEY, running
from tests.system.talk import MODEL

LONG = 100.0  # seconds for what takes one or two


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def pair(request, tmp_path_factory):
    state = tmp_path_factory.mktemp("state") / ".kirogw"
    with contextlib.ExitStack() as stack:
        more = {"KIROGW_HOME": state}
        if request.param == "redis":
            more |= {"STATE_URL": stack.enter_context(redis_server()).url}
        twin = stack.enter_context(Twin(accounts=["api_key"]))
        gateways = [stack.enter_context(running(twin, SERVER_WORKERS=workers, ACCOUNT_CONCURRENCY=0, **more)) for workers in (2, 1)]
        store = open_store(Settings(kirogw_home=str(state), state_url=more.get("STATE_URL", "")))
        stack.callback(store.close)
        yield twin, gateways, Register(store), store


@pytest.fixture
def twin(pair):
    twin = pair[0]
    twin.reset()
    yield twin
    assert twin.refusals == []


@pytest.fixture
def gateways(pair):
    return pair[1]


@pytest.fixture
def register(pair):
    yield pair[2]
    for record in pair[2].all():
        pair[2].revoke(record.name)


@pytest.fixture
def store(pair):
    return pair[3]


@pytest.fixture
def client():
    """An SDK whose every call is a connection of its own, so that any worker may get it."""
    with contextlib.ExitStack() as stack:

        def client(gateway, key=KEY):
            made = openai.OpenAI(base_url=gateway.url + "/v1", api_key=key, max_retries=0, timeout=LONG, default_headers={"Connection": "close"})
            return stack.enter_context(made)

        yield client


def create(client, text, stream=False, **more):
    more = {"model": MODEL, "input": text, **more}
    if not stream:
        return client.responses.create(**more)
    with client.responses.stream(**more) as events:
        for _ in events:
            pass
        return events.get_final_response()


def numbered(n):
    return [{"steps": [{"text": f"Answer {m}."}], "match": f"Question {m}."} for m in range(n)]


def heard(twin):
    state = twin.seen()[-1].payload["conversationState"]
    return [*(next(iter(turn.values()))["content"] for turn in state.get("history", ())), state["currentMessage"]["userInputMessage"]["content"]]


def test_a_conversation_goes_on_wherever_it_comes_to(twin, gateways, client):
    """At once, in any process; each turn sends only what is new."""
    twin.script(numbered(12))
    clients = [client(gateway) for gateway in gateways]
    last = None
    for n in range(12):
        more = {"previous_response_id": last.id} if last else {}
        last = create(clients[n % 2], f"Question {n}.", n % 3 == 0, **more)
        assert last.output_text == f"Answer {n}."
    assert heard(twin) == [text for n in range(11) for text in (f"Question {n}.", f"Answer {n}.")] + ["Question 11."]
    items = [item.content[0].text for item in clients[0].responses.input_items.list(last.id, order="asc", limit=5)]
    assert items == heard(twin)


def test_got_and_deleted_elsewhere(twin, gateways, client):
    one, other = map(client, gateways)
    told = create(one, "Hello.", metadata={"a": "b"})
    assert other.responses.retrieve(told.id).to_dict() == told.to_dict()
    other.responses.delete(told.id)
    for each in (one, other) * 4:
        with pytest.raises(openai.NotFoundError):
            each.responses.retrieve(told.id)
        with pytest.raises(openai.BadRequestError) as caught:
            create(each, "And?", previous_response_id=told.id)
        assert caught.value.code == "previous_response_not_found"


def until_heard(gateways, key):
    """At once, unless somebody has just tried another key that nobody knows."""
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    for gateway in gateways:
        assert eventually(lambda gateway=gateway: all(gateway.get("/v1/models", headers).ok for _ in range(6)), LONG)


def test_each_key_sees_its_own(twin, gateways, client, register):
    keys = [register.add(name, Terms())[0] for name in ("one", "two")]
    for key in keys:
        until_heard(gateways, key)
    mine, yours = client(gateways[0], keys[0]), client(gateways[1], keys[1])
    told = create(mine, "A secret.")
    assert client(gateways[1], keys[0]).responses.retrieve(told.id).id == told.id
    for other in (yours, client(gateways[0])):
        for refused in (other.responses.retrieve, other.responses.delete, other.responses.cancel, other.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                refused(told.id)
        with pytest.raises(openai.BadRequestError):
            create(other, "And?", previous_response_id=told.id)
        with pytest.raises(openai.NotFoundError):
            create(other, [{"type": "item_reference", "id": told.output[0].id}])


def test_the_store_tells_nothing(twin, gateways, client, store):
    told = create(client(gateways[0]), "Nobody may read this-and-that.")
    client(gateways[1]).responses.retrieve(told.id)
    doc = store.get("response", told.id)
    assert "this-and-that" not in str(doc.value) and doc.value["sealed"].startswith("kgs1.")


def test_a_worker_is_killed(twin, gateways, client):
    twin.script(numbered(2))
    first = create(client(gateways[0]), "Question 0.")
    client(gateways[1]).responses.retrieve(first.id)  # it is in the store
    old = gateways[0].workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: len(set(gateways[0].workers()) - set(old)) == 2, LONG)
    assert eventually(lambda: _there(gateways[0]), LONG)
    create(client(gateways[0]), "Question 1.", previous_response_id=first.id)
    assert heard(twin) == ["Question 0.", "Answer 0.", "Question 1."]


def _there(gateway):
    with contextlib.suppress(OSError):
        return gateway.get("/ready", {"Connection": "close"}).ok


def test_cancelled_from_another_process(twin, gateways, client):
    twin.script([{"steps": [{"text": "one two three four " * 100, "pace": 0.2}], "match": "Slowly.", "repeat": True}])
    ended = []

    def read(events):
        with contextlib.suppress(openai.APIError):
            ended.extend(event.type for event in events)

    with client(gateways[0]).responses.create(model=MODEL, input="Slowly.", stream=True) as events:
        id = next(iter(events)).response.id
        reader = threading.Thread(target=read, args=(events,))
        reader.start()
        assert client(gateways[1]).responses.cancel(id).status == "cancelled"
        reader.join(LONG)
    assert ended[-1] == "response.failed"
    for gateway in gateways:
        assert client(gateway).responses.retrieve(id).status == "cancelled"
    assert eventually(lambda: not [seen for seen in twin.seen() if seen.ended is None], LONG)


def test_the_client_is_gone(twin, gateways, client):
    twin.script([{"steps": [{"text": "one two three four " * 100, "pace": 0.1}], "match": "Slowly.", "repeat": True}])
    with client(gateways[0]).responses.create(model=MODEL, input="Slowly.", stream=True) as events:
        id = next(iter(events)).response.id
    with contextlib.suppress(openai.NotFoundError):
        eventually(lambda: client(gateways[1]).responses.retrieve(id).status == "cancelled", LONG)
    assert eventually(lambda: _status(client(gateways[1]), id) == "cancelled", LONG)


def _status(client, id):
    with contextlib.suppress(openai.NotFoundError):
        return client.responses.retrieve(id).status


def test_limits_of_a_key_hold(twin, gateways, client, register):
    key, _ = register.add("ci", Terms(limits=Limits(minute=2)))
    until_heard(gateways, key)
    limited = client(gateways[1], key)
    first = create(limited, "Hello.")
    create(limited, "Hello.", stream=True, previous_response_id=first.id)
    with pytest.raises(openai.RateLimitError) as caught:
        create(limited, "Hello.")
    assert caught.value.response.headers["retry-after"]
    assert limited.responses.retrieve(first.id).id == first.id  # what generates nothing is not counted


def test_models_of_a_key_hold(twin, gateways, client, register):
    key, _ = register.add("ci", Terms(models=("claude-haiku*",)))
    until_heard(gateways, key)
    with pytest.raises(openai.PermissionDeniedError):
        create(client(gateways[1], key), "Hello.")


def test_what_was_used_is_noted(twin, gateways, client, register):
    key, record = register.add("noted", Terms())
    until_heard(gateways, key)
    mine = client(gateways[1], key)
    twin.script([{"steps": [{"text": "Hello."}, {"credits": 0.25}], "repeat": True}])
    create(mine, "Hello.")
    create(mine, "Hello.", stream=True)
    mine.completions.create(model=MODEL, prompt="Hello.")
    def lines_of_it():
        return [line for line in gateways[1].lines() if line.get("key") == record.name and line.get("tries")]

    assert eventually(lambda: len(lines_of_it()) == 3, LONG)  # each is written behind the last byte
    lines = lines_of_it()
    assert [(line["face"], line["stream"], line["outcome"]) for line in lines] == [("responses", False, "end"), ("responses", True, "end"), ("completions", False, "end")]
    assert all(line["credits"] == 0.25 and line["account"] and line["in"] and line["out"] for line in lines)
    def stats():
        total = gateways[1].get("/v1/stats", {"Authorization": f"Bearer {key}"}).json()["total"]
        return total["served"], total["credits"]["value"]

    assert eventually(lambda: stats() == (3, 0.75), LONG)
    metrics = gateways[1].get("/metrics").text
    assert 'face="responses"' in metrics and 'face="completions"' in metrics


def test_a_restart(tmp_path):
    with Twin(accounts=["api_key"]) as twin:
        twin.script(numbered(2))
        with running(twin, home=tmp_path) as gateway, openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY) as client:
            first = create(client, "Question 0.", instructions="Keep this-and-that to yourself.")
            gateway.stop()  # at once: what is not written yet is written at the end
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not [data for data in files if b"this-and-that" in data or b"Question 0." in data] and any(first.id.encode() in data for data in files)
        with running(twin, home=tmp_path) as gateway, openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY) as client:
            create(client, "Question 1.", previous_response_id=first.id)
            assert heard(twin) == ["Question 0.", "Answer 0.", "Question 1."]


@contextlib.contextmanager
def alone(**settings):
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(running(stack.enter_context(Twin(accounts=["api_key"])), **settings))
        yield stack.enter_context(openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0))


def test_it_goes_in_time():
    with alone(RESPONSE_STORE_DAYS=3.0 / 86400) as client:
        told = create(client, "Hello.")
        time.sleep(4.5)  # nobody asks meanwhile, so it is not in use
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(told.id)
        with pytest.raises(openai.BadRequestError):
            create(client, "And?", previous_response_id=told.id)


def test_nothing_is_kept_where_that_is_wished():
    with alone(RESPONSE_STORE_DAYS=0) as client:
        told = create(client, "Hello.", stream=True)
        assert told.to_dict()["store"] is False
        with pytest.raises(openai.BadRequestError, match="RESPONSE_STORE_DAYS"):
            create(client, "And?", previous_response_id=told.id)
