"""Every route of a real gateway: what it answers, whom it lets in, and in which words it refuses."""

import contextlib
import json
import resource
import sys
from pathlib import Path

import pytest

from tests.system.raw import Connection
from tests.system.running import KEY, running
from tests.system.talk import EVERY, FACES, MODEL, PATHS, ask, events, text, whole_text

SETTINGS = {"MAX_BODY_BYTES": 200_000, "HEARTBEAT": 0.5}
SHORT = [{"steps": [{"text": "one two three"}], "repeat": True}]
ANTHROPIC = {"anthropic-version": "2023-06-01"}
UNKNOWN_MODEL = {"messages": ("not_found_error", None), "chat": ("invalid_request_error", "model_not_found")}
COUNT = "/v1/messages/count_tokens"
KEPT = [("GET", "/v1/models"), ("GET", f"/v1/models/{MODEL}"), ("POST", PATHS["messages"]), ("POST", PATHS["chat"]), ("POST", COUNT),
        ("POST", EVERY["responses"]), ("POST", EVERY["completions"]), ("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"), ("POST", "/v1/responses/resp_1/cancel"), ("POST", "/v1/responses/input_tokens"),
        ("GET", "/api/codex/usage"), ("GET", "/backend-api/wham/usage")]


def error_of(face, reply):
    """The error object, after a look at what stands around it."""
    body = reply if isinstance(reply, dict) else reply.json()
    assert set(body) == ({"type", "error", "request_id"} if face == "messages" else {"error"})
    if face == "chat":
        assert set(body["error"]) >= {"message", "type", "param", "code"}
    else:
        assert body["type"] == "error" and set(body["error"]) >= {"message", "type"}
    return body["error"]


def headers_of(face):
    return ANTHROPIC if face == "messages" else {}


# what each route answers


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models", f"/v1/models/{MODEL}"])
def test_get_and_head(gateway, path):
    with Connection(gateway.url) as connection:
        connection.send("GET", path)
        status, headers, body = connection.answer()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert isinstance(json.loads(body), dict)
        connection.send("HEAD", path)
        status, head = connection.head()
        assert (status, head["content-type"]) == (200, "application/json")
        connection.send("GET", path)  # nothing of a body stands before this answer
        assert connection.answer()[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
def test_public_routes_need_no_key_and_tell_no_secret(pair, path):
    twin, gateway = pair
    with Connection(gateway.url) as connection:
        connection.send("GET", path, key="")
        status, headers, body = connection.answer()
    assert status == 200
    said = body.decode() + str(headers)
    for secret in (twin.account.api_key, KEY, str(gateway.home), twin.account.name, "key-"):
        assert secret not in said


def test_health(gateway):
    body = gateway.get("/health").json()
    assert body.pop("uptime_seconds") >= 0
    assert body.pop("worker") in gateway.workers()
    assert body.pop("version").count(".") == 2
    assert body == {"status": "ok", "demo": False, "answers_running": 0, "accounts": [{"kind": "key", "state": "ready", "ready": True}]}


def test_home_lists_the_endpoints(gateway):
    body = gateway.get("/").json()
    assert body["name"] == "kirogw"
    assert set(body["endpoints"]) >= {"/health", "/ready", "/v1/models", PATHS["chat"], PATHS["messages"], COUNT}


def test_models_in_openai_shape(gateway):
    body = gateway.get("/v1/models").json()
    assert body["object"] == "list"
    assert MODEL in [model["id"] for model in body["data"]]
    assert all(model["object"] == "model" and isinstance(model["created"], int) for model in body["data"])
    assert gateway.get(f"/v1/models/{MODEL}").json() == next(m for m in body["data"] if m["id"] == MODEL)


def test_models_in_anthropic_shape(gateway):
    body = gateway.get("/v1/models?limit=1000", ANTHROPIC).json()
    ids = [model["id"] for model in body["data"]]
    assert MODEL in ids
    assert (body["first_id"], body["last_id"], body["has_more"]) == (ids[0], ids[-1], False)
    assert all(model["type"] == "model" and model["created_at"].endswith("Z") for model in body["data"])
    assert gateway.get(f"/v1/models/{MODEL}", ANTHROPIC).json() == next(m for m in body["data"] if m["id"] == MODEL)
    page = gateway.get("/v1/models?limit=2", ANTHROPIC).json()
    assert ([model["id"] for model in page["data"]], page["has_more"]) == (ids[:2], True)


def test_both_lists_name_the_same_models(gateway):
    openai = [model["id"] for model in gateway.get("/v1/models").json()["data"]]
    anthropic = [model["id"] for model in gateway.get("/v1/models?limit=1000", ANTHROPIC).json()["data"]]
    assert openai == anthropic


@pytest.mark.parametrize("face", FACES)
def test_no_such_model(gateway, face):
    reply = gateway.get("/v1/models/nobody-has-this", headers_of(face))
    assert reply.status_code == 404
    error = error_of(face, reply)
    assert "nobody-has-this" in error["message"]
    assert (error["type"], error.get("code")) == UNKNOWN_MODEL[face]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("query", ["", "?beta=true"])
def test_whole_and_streamed_answers_say_the_same(twin, gateway, face, query):
    twin.script(SHORT)
    whole = gateway.post(PATHS[face] + query, ask())
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/json")
    assert whole_text(face, whole.json()) == "one two three"
    streamed = gateway.post(PATHS[face] + query, ask(stream=True))
    assert (streamed.status_code, text(face, streamed.content)) == (200, "one two three")


def test_count_tokens_is_what_is_then_reported(twin, gateway):
    """Where Kiro tells no figures of its own, that is: the twin's are not those of a model's tokens."""
    twin.script([[{"text": "four"}, {"context": None}]])
    body = ask("Count the words of this sentence, please. " * 50)
    counted = gateway.post(COUNT, body)
    assert set(counted.json()) == {"input_tokens"}
    used = gateway.post(PATHS["messages"], body).json()["usage"]["input_tokens"]
    assert counted.json()["input_tokens"] == pytest.approx(used, rel=0.1)
    assert len(twin.seen()) == 1  # counting asks nobody


def test_count_tokens_needs_no_max_tokens(gateway):
    body = ask()
    del body["max_tokens"]
    assert gateway.post(COUNT, body).json()["input_tokens"] > 0


# who may come in


GOOD = [
    pytest.param({"authorization": f"Bearer {KEY}"}, id="bearer"),
    pytest.param({"authorization": f"bearer {KEY}"}, id="bearer in lower case"),
    pytest.param({"x-api-key": KEY}, id="x-api-key"),
    pytest.param({"authorization": f"Bearer {KEY}", "x-api-key": KEY}, id="both"),
    pytest.param({"authorization": "Bearer sk-ant-of-the-user", "x-api-key": KEY}, id="one of two is right"),
]
BAD = [
    pytest.param({}, id="none"),
    pytest.param({"authorization": "Bearer wrong"}, id="wrong bearer"),
    pytest.param({"x-api-key": "wrong"}, id="wrong x-api-key"),
    pytest.param({"authorization": f"Basic {KEY}"}, id="another scheme"),
    pytest.param({"authorization": "Bearer "}, id="empty bearer"),
    pytest.param({"authorization": KEY}, id="no scheme"),
    pytest.param({"x-api-key": KEY[:-1]}, id="all but one letter"),
    pytest.param({"x-api-key": KEY + "x"}, id="one letter more"),
    pytest.param({"x-api-key": "\xff\xe9"}, id="no ascii"),
]


@pytest.mark.parametrize("headers", GOOD)
def test_a_right_key_opens(gateway, headers):
    with Connection(gateway.url) as connection:
        connection.send("GET", "/v1/models", headers=headers, key="")
        assert connection.head()[0] == 200


@pytest.mark.parametrize("headers", BAD)
@pytest.mark.parametrize("face", FACES)
def test_a_wrong_key_does_not(twin, gateway, face, headers):
    with Connection(gateway.url) as connection:
        connection.send("POST", PATHS[face], ask(), headers={k: v.encode("latin-1").decode("latin-1") for k, v in headers.items()}, key="")
        status, answered, body = connection.answer()
    assert status == 401
    error = error_of(face, json.loads(body))
    assert error["type"] == {"messages": "authentication_error", "chat": "invalid_request_error"}[face]
    assert KEY not in body.decode() + str(answered)
    assert twin.seen() == []


@pytest.mark.parametrize(("method", "path"), KEPT)
def test_every_other_route_needs_a_key(gateway, method, path):
    with Connection(gateway.url) as connection:
        for sent in {method, "HEAD" if method == "GET" else method}:
            connection.send(sent, path, key="")
            status, headers = connection.head()
            assert status == 401
            if sent != "HEAD":
                connection.body(headers)


# the body: read whole, or refused, before anything is answered


REFUSED = [
    pytest.param("POST", PATHS["messages"], "", 401, id="no key"),
    pytest.param("POST", COUNT, "wrong", 401, id="wrong key"),
    pytest.param("POST", "/v1/nowhere", KEY, 404, id="unknown route"),
    pytest.param("PUT", PATHS["chat"], KEY, 405, id="unknown method"),
    pytest.param("POST", "/health", KEY, 405, id="a body where none belongs"),
]


@pytest.mark.parametrize(("method", "path", "key", "status"), REFUSED)
def test_a_refusal_waits_for_the_body_and_leaves_the_connection_usable(gateway, method, path, key, status):
    """Whoever still writes its request does not read the answer; and what is left of it would look like a next one."""
    body = json.dumps(ask("word " * 20_000)).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-api-key: {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    with Connection(gateway.url) as connection:
        connection.socket.sendall(head.encode() + body[:-10])
        assert connection.silent(0.3)
        connection.socket.sendall(body[-10:])
        answered, headers, _ = connection.answer()
        assert (answered, headers.get("connection")) == (status, "keep-alive")
        connection.send("GET", "/health")
        assert connection.answer()[0] == 200


def resident(gateway):
    """Bytes that the workers have in memory."""
    pages = sum(int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in gateway.workers())
    return pages * resource.getpagesize()


@pytest.mark.parametrize("path", [PATHS["chat"], "/no-such-route"])
def test_what_a_stranger_sends_is_not_kept(path):
    size = 16_000_000
    with running() as gateway, contextlib.ExitStack() as open_:
        gateway.get("/v1/models")
        before = resident(gateway)
        connections = [open_.enter_context(Connection(gateway.url)) for _ in range(8)]
        for connection in connections:
            head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer wrong\r\ncontent-length: {size}\r\n\r\n"
            connection.socket.sendall(head.encode() + bytes(size - 1))
        assert resident(gateway) - before < 3 * size
        for connection in connections:
            connection.socket.sendall(b"x")
            assert connection.answer()[0] in (401, 404)


@pytest.mark.parametrize("face", FACES)
def test_a_body_that_is_too_large(twin, gateway, face):
    with Connection(gateway.url) as connection:
        connection.send("POST", PATHS[face], ask("word " * 60_000), headers_of(face))
        status, _, body = connection.answer()
    assert status == 413
    error = error_of(face, json.loads(body))
    assert "MAX_BODY_BYTES" in error["message"]
    assert error["type"] == {"messages": "request_too_large", "chat": "invalid_request_error"}[face]
    assert twin.seen() == []


@pytest.mark.parametrize("face", FACES)
def test_a_chunked_body_that_is_too_large(twin, gateway, face):
    """It does not say its length, so it is refused when it has become too long: before its end."""
    with Connection(gateway.url) as connection:
        connection.socket.sendall(f"POST {PATHS[face]} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(22):
            connection.socket.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        status, _, body = connection.answer()
    assert status == 413
    assert "MAX_BODY_BYTES" in error_of(face, json.loads(body))["message"]
    assert twin.seen() == []


@pytest.mark.parametrize("face", FACES)
def test_a_chunked_body_is_as_good_as_another(twin, gateway, face):
    twin.script(SHORT)
    data = json.dumps(ask()).encode()
    with Connection(gateway.url) as connection:
        connection.socket.sendall(f"POST {PATHS[face]} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for cut in (data[:10], data[10:]):
            connection.socket.sendall(b"%x\r\n%b\r\n" % (len(cut), cut))
        connection.socket.sendall(b"0\r\n\r\n")
        status, _, body = connection.answer()
    assert (status, whole_text(face, json.loads(body))) == (200, "one two three")


def test_a_client_that_asks_before_it_sends(twin, gateway):
    """curl does, with a body above a megabyte."""
    twin.script(SHORT)
    data = json.dumps(ask()).encode()
    with Connection(gateway.url) as connection:
        head = f"POST {PATHS['chat']} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nexpect: 100-continue\r\ncontent-length: {len(data)}\r\n\r\n"
        connection.socket.sendall(head.encode())
        assert connection.head()[0] == 100
        connection.socket.sendall(data)
        assert connection.answer()[0] == 200


def test_the_largest_body_passes(twin, gateway):
    twin.script(SHORT)
    data = json.dumps(ask("")).encode()
    filled = json.dumps(ask("x" * (200_000 - len(data)))).encode()
    assert len(filled) == 200_000
    with Connection(gateway.url) as connection:
        connection.send("POST", PATHS["chat"], filled)
        assert connection.answer()[0] == 200


# what is no request


NO_OBJECT = [
    pytest.param(b"", "not valid JSON", id="empty"),
    pytest.param(b"{", "not valid JSON", id="half"),
    pytest.param(b"not json", "not valid JSON", id="words"),
    pytest.param(b'{"model": NaN', "not valid JSON", id="NaN and half"),
    pytest.param(b"\xff\xfe\x00", "not valid JSON", id="no text"),
    pytest.param(b"[]", "must be a JSON object", id="list"),
    pytest.param(b"null", "must be a JSON object", id="null"),
    pytest.param(b'"text"', "must be a JSON object", id="string"),
    pytest.param(b"[" * 100_000, "nested too deeply", id="deep"),
]


@pytest.mark.parametrize(("data", "words"), NO_OBJECT)
@pytest.mark.parametrize("path", [*PATHS.values(), COUNT])
def test_what_is_no_json_object(gateway, path, data, words):
    with Connection(gateway.url) as connection:
        connection.send("POST", path, data)
        status, _, body = connection.answer()
    assert status == 400
    error = error_of("chat" if path == PATHS["chat"] else "messages", json.loads(body))
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


DEEP = '{"a":' * 1000 + "1" + "}" * 1000
CALLED = '[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{}]}},{{"role":"user","content":"y"}}]'
CALL = '{{"type":"{}","id":"a","name":"t","input":{}}}'
STRANGE = [
    pytest.param(CALL.format("tool_use", DEEP), 400, id="deep arguments"),
    # becomes text, which Python 3.13 writes at that depth and 3.11 does not
    pytest.param(CALL.format("server_tool_use", DEEP), 400 if sys.version_info < (3, 12) else 200, id="deep arguments of a server tool"),
    pytest.param(CALL.format("tool_use", '{"n":1%s,"t":"\\ud800"}' % ("0" * 30)), 200, id="huge number and half a pair"),
    pytest.param(CALL.format("server_tool_use", '{"n":1%s,"t":"\\ud800"}' % ("0" * 5000)), 200, id="a larger one"),
]


@pytest.mark.parametrize(("block", "status"), STRANGE)
def test_values_that_hardly_anybody_writes(twin, gateway, block, status):
    twin.script(SHORT)
    body = f'{{"model":"{MODEL}","max_tokens":9,"messages":{CALLED.format(block)}}}'
    with Connection(gateway.url) as connection:
        connection.send("POST", PATHS["messages"], body.encode())
        said, _, answer = connection.answer()
    assert said == status, answer


def content_of(seen):
    return seen.payload["conversationState"]["currentMessage"]["userInputMessage"]["content"]


@pytest.mark.parametrize("face", FACES)
def test_halves_of_surrogate_pairs_and_nuls_do_not_reach_kiro(twin, gateway, face):
    twin.script(SHORT)
    data = json.dumps(ask("be\ud83dfore\x00after \U0001f600")).encode()
    with Connection(gateway.url) as connection:
        connection.send("POST", PATHS[face], data)
        status, _, body = connection.answer()
    assert (status, whole_text(face, json.loads(body))) == (200, "one two three")
    content = content_of(twin.seen()[0])
    assert "after \U0001f600" in content
    assert "\x00" not in content and "\ud83d" not in content


INVALID = [
    # face, members, the path of the field in this API's words
    pytest.param("messages", {"messages": "hello"}, "messages", id="messages is text"),
    pytest.param("messages", {"max_tokens": "many"}, "max_tokens", id="max_tokens is text"),
    pytest.param("messages", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text", id="no text"),
    pytest.param("messages", {"messages": [{"role": "user", "content": "a"}, {"role": "wizard", "content": "b"}]}, "messages.1.role", id="role"),
    pytest.param("messages", {"tools": [{"name": "t", "input_schema": 5}]}, "tools.0.input_schema", id="schema"),
    pytest.param("chat", {"messages": "hello"}, "messages", id="messages is text, chat"),
    pytest.param("chat", {"messages": [{"role": "wizard", "content": "b"}]}, "messages[0].role", id="role, chat"),
    pytest.param("chat", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", id="no text, chat"),
    pytest.param("chat", {"n": 2}, "n", id="n"),
    pytest.param("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", id="tool without a name"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("face", "members", "field"), INVALID)
def test_a_validation_error_names_the_field(twin, gateway, face, members, field, stream):
    reply = gateway.post(PATHS[face], {**ask(stream=stream), **members})
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/json")
    error = error_of(face, reply)
    assert error["type"] == "invalid_request_error"
    assert field in error["message"]
    if face == "chat":
        assert error["param"] == field
    assert twin.seen() == []


@pytest.mark.parametrize("member", ["model", "messages"])
@pytest.mark.parametrize("face", FACES)
def test_a_missing_field_is_named(gateway, face, member):
    body = ask()
    del body[member]
    reply = gateway.post(PATHS[face], body)
    assert reply.status_code == 400
    assert member in error_of(face, reply)["message"]


# models that nobody knows


def model_of(seen):
    return seen.payload["conversationState"]["currentMessage"]["userInputMessage"]["modelId"]


@pytest.mark.refuses("model")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("face", FACES)
def test_an_unknown_model_passes_through_and_the_refusal_is_in_the_apis_words(pair, face, stream):
    twin, gateway = pair
    twin.reset()
    model = f"claude-of-{face}-{stream}".lower()
    for n in range(2):  # the second time it is known that the account lacks it, and the words are the same
        reply = gateway.post(PATHS[face], {**ask(stream=stream), "model": model})
        assert n or [model_of(seen) for seen in twin.seen()] == [model]
        assert {refusal.row for refusal in twin.refusals} <= {"model"}
        assert reply.status_code == 404
        error = error_of(face, reply)
        assert model in error["message"]
        assert (error["type"], error.get("code")) == UNKNOWN_MODEL[face]
        twin.reset()


# routes and methods that do not exist


UNKNOWN = [
    pytest.param("GET", "/v1/nowhere", "chat", 404, id="route"),
    pytest.param("POST", "/v1/messages/batches", "messages", 404, id="below messages"),
    pytest.param("POST", "/v1/embeddings", "chat", 404, id="embeddings"),
    pytest.param("GET", "/favicon.ico", "chat", 404, id="favicon"),
    pytest.param("POST", "/v1/chat/completions/", "chat", 404, id="slash at the end"),
    pytest.param("GET", "/v1/messages", "messages", 405, id="GET messages"),
    pytest.param("DELETE", "/v1/chat/completions", "chat", 405, id="DELETE chat"),
    pytest.param("POST", "/v1/models", "chat", 405, id="POST models"),
    pytest.param("OPTIONS", "/v1/messages", "messages", 405, id="OPTIONS"),
    pytest.param("TRACE", "/", "chat", 405, id="TRACE"),
]


@pytest.mark.parametrize(("method", "path", "face", "status"), UNKNOWN)
def test_unknown_routes_and_methods(gateway, method, path, face, status):
    with Connection(gateway.url) as connection:
        connection.send(method, path)
        answered, headers, body = connection.answer()
    assert (answered, headers["content-type"]) == (status, "application/json")
    error = error_of(face, json.loads(body))
    assert error["type"] == {("messages", 404): "not_found_error"}.get((face, status), "invalid_request_error")
    if status == 405:
        assert headers["allow"]


def test_a_base_url_with_a_slash_at_its_end(twin, gateway):
    """Clients put `/v1/messages` behind it."""
    twin.script(SHORT)
    with Connection(gateway.url) as connection:
        connection.send("POST", "/" + PATHS["messages"], ask())
        status, _, body = connection.answer()
    assert (status, whole_text("messages", json.loads(body))) == (200, "one two three")


def test_the_caller_of_an_unknown_route_is_known_by_its_header(gateway):
    reply = gateway.get("/v1/nowhere", ANTHROPIC)
    assert (reply.status_code, error_of("messages", reply)["type"]) == (404, "not_found_error")


# ids


@pytest.mark.parametrize(("method", "path"), [*KEPT, ("GET", "/"), ("GET", "/health"), ("GET", "/v1/nowhere"), ("PUT", "/v1/models")])
def test_every_answer_has_an_id_of_its_own(twin, gateway, method, path):
    twin.script(SHORT)
    ids = set()
    with Connection(gateway.url) as connection:
        for key in (KEY, KEY, ""):
            connection.send(method, path, ask() if method == "POST" else b"", key=key)
            _, headers, _ = connection.answer()
            assert headers["request-id"] == headers["x-request-id"]
            assert headers["request-id"].startswith("req_")
            ids.add(headers["request-id"])
    assert len(ids) == 3


def test_an_error_tells_its_id_in_the_body_too(gateway):
    reply = gateway.post(PATHS["messages"], {})
    assert reply.json()["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize("face", FACES)
def test_a_stream_has_an_id(twin, gateway, face):
    twin.script(SHORT)
    reply = gateway.post(PATHS[face], ask(stream=True))
    assert reply.headers["request-id"].startswith("req_")
    first = events(reply.content)[0]
    assert (first["message"] if face == "messages" else first)["id"].startswith({"messages": "msg_", "chat": "chatcmpl-"}[face])
