"""Named keys before the whole application: what each lets in, in both APIs, streamed or not, and what it pays."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from kirogw import create_app
from kirogw.budgets import spent
from kirogw.logins import keys
from kirogw.logins.named import Limits, Register, Terms
from kirogw.settings import load
from kirogw.twin import Twin
from tests.system.pauses import Pauses
from tests.system.running import environment
from tests.system.talk import FACES, PATHS, ask, failure, finished
from tests.twin.kiro.payloads import waited

STREAMED = [True, False]


@pytest.fixture
def register(app):
    register = Register(app.extensions["kirogw"].store)
    for record in register.all():
        register.revoke(record.name)
    app.extensions["kirogw"].keys.reload()
    yield register
    for account in app.extensions["kirogw"].pool.all():
        app.extensions["kirogw"].pool.clear(account.id)


@pytest.fixture
def holding(app, register):
    """A client with a new key of such terms, and the key's record."""

    def made(**terms):
        key, record = register.add("ci", Terms(**terms))
        app.extensions["kirogw"].keys.reload()
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client, record

    return made


@pytest.fixture
def admin(app):
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = keys.read_admin(Path(app.extensions["kirogw"].settings.kirogw_home))
    return client


def used(app, record):
    """Tokens and credits of this day."""
    here = app.extensions["kirogw"]
    here.budgets.exchange()
    day = spent(here.store, record.id, time.time())["day"]
    return day["tokens"], day["credits"]


def read(reply):
    """To its end: whoever closes a stream before it has left."""
    assert reply.status_code == 200 and reply.data
    reply.close()


def said(reply):
    return reply.json["error"]["message"]


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("face", FACES)
def test_an_answer_is_paid_from_the_keys_budget(app, twin, holding, face, stream):
    client, record = holding(limits=Limits(day_tokens=100_000, month_credits=10.0))
    twin.script([[{"text": "hello"}, {"credits": 0.125}]])
    reply = client.post(PATHS[face], json=ask(stream=stream))
    assert reply.status_code == 200 and (not stream or finished(face, reply.data))
    reply.close()
    tokens, credits = used(app, record)
    assert tokens > 0 and credits == 0.125
    usage = None if stream else reply.json["usage"]
    if usage:
        assert tokens == sum(usage[name] for name in usage if name in ("input_tokens", "output_tokens", "total_tokens"))


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("face", FACES)
def test_over_the_budget_is_a_429_with_the_time_of_its_reset(app, twin, holding, face, stream):
    client, record = holding(limits=Limits(day_credits=0.1))
    twin.script([[{"text": "hello"}, {"credits": 0.1}]])
    read(client.post(PATHS[face], json=ask(stream=stream)))
    before = len(twin.requests)
    reply = client.post(PATHS[face], json=ask(stream=stream))
    assert reply.status_code == 429 and len(twin.requests) == before
    assert abs((time.time() + int(reply.headers["Retry-After"]) + 300) % 86400 - 300) < 60, "at midnight"
    assert "the daily budget of the key 'ci', 0.1 credits, has no room" in said(reply)
    type_ = {"messages": "rate_limit_error", "chat": "insufficient_quota"}[face]
    assert reply.json["error"]["type"] == type_
    assert used(app, record)[1] == 0.1


@pytest.mark.parametrize("face", FACES)
def test_requests_a_minute(holding, face):
    client, _ = holding(limits=Limits(minute=2))
    replies = [client.post(PATHS[face], json=ask()) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 55 <= int(replies[2].headers["Retry-After"]) <= 61 and "2 requests a minute" in said(replies[2])
    assert replies[2].json["error"]["type"] == {"messages": "rate_limit_error", "chat": "requests"}[face]


@pytest.mark.parametrize("face", FACES)
def test_requests_at_once(app, twin, holding, face):
    client, _ = holding(limits=Limits(concurrent=1))
    twin.script([[{"text": "one two three four", "pace": 0.05}]])
    running = client.post(PATHS[face], json=ask(stream=True), buffered=False)
    next(iter(running.response))
    reply = client.post(PATHS[face], json=ask())
    assert reply.status_code == 429 and "may not have at once" in said(reply) and reply.headers["Retry-After"]
    running.close()  # the client leaves
    assert client.post(PATHS[face], json=ask()).status_code == 200


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("fault", ["MONTHLY_REQUEST_COUNT", "hangup", "IMAGE_SIZE_EXCEEDED"])
def test_a_request_that_fails_costs_nothing(app, twin, holding, face, stream, fault):
    client, record = holding(limits=Limits(day_tokens=100_000))
    read(client.post(PATHS[face], json=ask()))
    before = used(app, record)
    twin.reset()
    twin.faults.add(fault, count=50)
    reply = client.post(PATHS[face], json=ask(stream=stream))
    assert reply.status_code >= 400
    here = app.extensions["kirogw"]
    assert used(app, record) == before and record.id not in here.budgets._running


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("face", FACES)
def test_a_model_that_is_not_allowed(twin, holding, face, stream):
    client, _ = holding(models=("claude-haiku-*", "claude-sonnet-4.6"))
    for model in ("claude-sonnet-4.6", "claude-sonnet-4-6", "claude-haiku-4.5"):
        read(client.post(PATHS[face], json=ask(stream=stream, model=model)))
    before = len(twin.requests)
    reply = client.post(PATHS[face], json=ask(stream=stream, model="claude-opus-4.8"))
    assert reply.status_code == 403 and len(twin.requests) == before
    assert "may not use 'claude-opus-4.8'; it may use: claude-haiku-*, claude-sonnet-4.6" in said(reply)
    assert reply.json["error"]["type"] == "permission_error"


def test_what_a_name_means_is_told_to_whom_it_is_not_allowed(client, holding):
    limited, _ = holding(models=("best",), aliases=("best=claude-opus-4.8",))
    reply = limited.post(PATHS["chat"], json=ask(model="best"))
    assert reply.status_code == 403 and "may not use 'best', which means 'claude-opus-4.8'; it may use: best" in said(reply)


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}], ids=["chat", "messages"])
def test_only_models_that_are_allowed_are_listed(client, holding, headers):
    limited, _ = holding(models=("claude-haiku-*",))
    everything = {model["id"] for model in client.get("/v1/models?limit=1000", headers=headers).json["data"]}
    listed = {model["id"] for model in limited.get("/v1/models?limit=1000", headers=headers).json["data"]}
    assert listed == {id_ for id_ in everything if id_.startswith("claude-haiku")} != set()
    assert limited.get(f"/v1/models/{min(listed)}", headers=headers).status_code == 200
    other = min(everything - listed)
    assert client.get(f"/v1/models/{other}", headers=headers).status_code == 200
    assert limited.get(f"/v1/models/{other}", headers=headers).status_code == 404


@pytest.mark.parametrize("face", FACES)
def test_a_scope_is_minded(admin, holding, face):
    reply = admin.post(PATHS[face], json=ask())
    assert reply.status_code == 403 and "it is for administration; `python kirogw.py key` prints one" in said(reply)
    client, _ = holding(scopes=("admin",))
    reply = client.post(PATHS[face], json=ask())
    assert reply.status_code == 403 and "the key 'ci' is a good one" in said(reply)


def test_two_keys_in_one_request(admin, holding):
    """The one that fits counts."""
    client, _ = holding()
    more = {"x-api-key": admin.environ_base["HTTP_X_API_KEY"]}
    assert client.get("/v1/models", headers=more).status_code == 200


@pytest.mark.parametrize("face", FACES)
def test_a_key_that_is_revoked_is_refused_with_a_reason(app, register, holding, face):
    client, _ = holding()
    assert client.post(PATHS[face], json=ask()).status_code == 200
    register.revoke("ci")
    app.extensions["kirogw"].keys.reload()
    reply = client.post(PATHS[face], json=ask())
    assert reply.status_code == 401 and "this API key was revoked on " in said(reply)


@pytest.mark.parametrize("face", FACES)
def test_a_key_that_has_expired(holding, face):
    client, _ = holding(expires_at=time.time() - 1)
    reply = client.post(PATHS[face], json=ask())
    assert reply.status_code == 401 and "this API key has expired on " in said(reply)


@pytest.mark.parametrize("face", FACES)
def test_a_client_that_leaves_pays_what_has_come(app, twin, holding, face):
    client, record = holding(limits=Limits(day_tokens=100_000, day_credits=100.0))
    read(client.post(PATHS[face], json=ask()))
    before = used(app, record)
    twin.script([[{"text": "one two three four five six seven " * 20, "pace": 0.01}]])
    here = app.extensions["kirogw"]
    with Pauses(twin).held() as go_on:
        go_on(10)
        reply = client.post(PATHS[face], json=ask(stream=True), buffered=False)
        chunks, data = iter(reply.response), b""
        while b"seven" not in data:  # however many pieces come in one
            data += next(chunks)
        assert here.budgets._running[record.id] == 1
        reply.close()
    tokens, credits = used(app, record)
    assert 0 < tokens - before[0] < 100 and 0 < credits - before[1] < 1 and record.id not in here.budgets._running


@pytest.mark.parametrize("face", FACES)
def test_an_answer_that_breaks_pays_what_has_come(app, twin, holding, face):
    client, record = holding()
    twin.script([[{"text": "one two three four five six", "pace": 0.01}]])
    twin.faults.add("exception_frame", count=20)
    data = b""
    with Pauses(twin).until(lambda data: b"one" in data) as told:
        for chunk in client.post(PATHS[face], json=ask(stream=True), buffered=False).response:
            data += chunk
            told(data)
    assert failure(data) and not finished(face, data)
    assert used(app, record)[0] > 0 and record.id not in app.extensions["kirogw"].budgets._running


@contextlib.contextmanager
def another(tmp_path, twin, **settings):
    """An application apart, and a client with a new key."""
    given = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "LOG_LEVEL": "error", **settings}
    app = create_app(load(environ=environment(tmp_path, given), env_file=None))
    key, record = Register(app.extensions["kirogw"].store).add("ci", Terms())
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = key
    try:
        yield app, client, record
    finally:
        app.extensions["kirogw"].close()


@pytest.mark.parametrize("face", FACES)
def test_accounts_that_may_serve(tmp_path, face):
    with Twin(accounts=["api_key", "api_key"]) as twin:
        one, other = twin.accounts.all.values()
        with another(tmp_path, twin, KIRO_API_KEY=f"{one.api_key},{other.api_key}") as (app, client, _):
            here = app.extensions["kirogw"]
            first, second = (account.id for account in here.pool.all())
            register = Register(here.store)
            keys_ = {name: register.add(name, Terms(accounts=(which,)))[0] for name, which in (("a", second), ("b", "gone"))}

            def post(name, text="Hello.", **headers):
                return client.post(PATHS[face], json=ask(text), headers={"x-api-key": keys_[name], **headers})

            assert {post("a", f"Hello {n}.").status_code for n in range(6)} == {200}
            assert {seen.account for seen in twin.seen()} == {other.name}
            assert post("a", **{"x-kirogw-account": second}).status_code == 200
            refused = post("a", **{"x-kirogw-account": first})
            assert refused.status_code == 403 and "does not cover the account" in said(refused)
            assert post("b").status_code == 403


@pytest.mark.parametrize("face", FACES)
def test_an_answer_that_is_cut_here_is_not_free(app, twin, holding, face):
    """Its price would have come after what the client asked for."""
    client, record = holding()
    twin.script([[{"text": "one two three four five six seven eight " * 5, "pace": 0.001}]])
    read(client.post(PATHS[face], json=ask(max_tokens=5, stream=True)))
    tokens, credits = used(app, record)
    assert tokens > 0 and credits > 0


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("face", FACES)
def test_who_leaves_pays_what_the_record_of_usage_says(tmp_path, twin, face, stream):
    """An answer that is held back too, of which the client has seen nothing."""
    twin.script([[{"text": "one two three four five six seven " * 50, "pace": 0.1}]])
    with another(tmp_path, twin, HEARTBEAT=0.2) as (app, client, record):
        if stream:
            reply = client.post(PATHS[face], json=ask(stream=True), buffered=False)
            chunks = iter(reply.response)
            for _ in range(5):
                next(chunks)
            reply.close()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                peer = socket.create_connection(listener.getsockname())
                ours, _ = listener.accept()
                leaving = threading.Thread(target=lambda: waited(twin.seen) and (time.sleep(0.4), peer.close()))
                leaving.start()
                client.post(PATHS[face], json=ask(), environ_overrides={"gunicorn.socket": ours})
                leaving.join()
                ours.close()
        here = app.extensions["kirogw"]
        here.sync.flush()
        (request,) = here.usage.requests(20)
        assert (request["key"], request["outcome"]) == ("ci", "client left")
        assert used(app, record)[0] == request["input"] + request["output"] > 0
