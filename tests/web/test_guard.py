"""Who may come in, and what counts as a body."""

import contextlib
import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from kirogw.errors import BadRequest, NotAllowed, WrongKey
from kirogw.logins import keys
from kirogw.web import guard
from tests.system.running import KEY

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
AN_API_KEY_IS_NEEDED = "an API key is needed"
NOT_THE_GATEWAYS = "is not the gateway's"


@pytest.mark.parametrize(("headers", "words"), [
    ({}, AN_API_KEY_IS_NEEDED), ({"Authorization": ""}, AN_API_KEY_IS_NEEDED), ({"x-api-key": ""}, AN_API_KEY_IS_NEEDED),
    ({"Authorization": "Basic abc"}, AN_API_KEY_IS_NEEDED), ({"Authorization": "Bearer"}, AN_API_KEY_IS_NEEDED),
    ({"Authorization": "Bearer wrong"}, NOT_THE_GATEWAYS), ({"x-api-key": "wrong"}, NOT_THE_GATEWAYS),
    ({"x-api-key": f"{KEY},{KEY}"}, NOT_THE_GATEWAYS), ({"x-api-key": KEY.upper()}, NOT_THE_GATEWAYS),
])  # fmt: skip
def test_a_refusal_tells_what_is_wrong(app, headers, words):
    with app.test_request_context(headers=headers), pytest.raises(WrongKey, match=words):
        guard.caller()


@pytest.mark.parametrize("headers", [
    {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"BEARER   {KEY} "}, {"x-api-key": KEY},
    {"x-api-key": KEY, "Authorization": "Bearer of something else"}, {"x-api-key": "sk-ant-1", "Authorization": f"Bearer {KEY}"},
])  # fmt: skip
def test_the_right_key(app, headers):
    with app.test_request_context(headers=headers):
        assert guard.caller().name == "main"


@given(value=st.dictionaries(st.text(max_size=5), JSON, max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_json_object_is_read_as_python_reads_it(value):
    """Halves of surrogate pairs too, which orjson refuses."""
    data = json.dumps(value).encode()
    assert guard.parsed(data) == json.loads(data)


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, deadline=None)
def test_all_else_is_a_bad_request(data):
    try:
        assert isinstance(guard.parsed(data), dict)
    except BadRequest as error:
        assert "the request body" in str(error)


@pytest.mark.parametrize(("data", "words"), [
    (b"{" + b'"a":{' * 100_000, "nested too deeply"), (b"[]", "must be a JSON object"), (b"", "not valid JSON"),
    (b'{"a": 1', "not valid JSON"), (b"\x80", "not valid JSON"), (b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply"),
])  # fmt: skip
def test_what_is_no_object(data, words):
    with pytest.raises(BadRequest, match=words):
        guard.parsed(data)


@pytest.mark.parametrize(("headers", "limit", "good"), [
    ({"content_length": 10}, 10, True), ({"content_length": 10}, 9, False),
    ({"environ_base": {"wsgi.input_terminated": True}}, 11, True), ({"environ_base": {"wsgi.input_terminated": True}}, 9, False),
])  # fmt: skip
def test_a_body_within_its_limit(app, headers, limit, good):
    """With its length told, and chunked, where nobody knows it before its end."""
    from io import BytesIO

    with app.test_request_context(method="POST", input_stream=BytesIO(b"0123456789"), **headers) as context:
        context.request.max_content_length = limit
        if good:
            assert guard.body() == b"0123456789"
        else:
            with pytest.raises(RequestEntityTooLarge):
                guard.body()


@contextlib.contextmanager
def connection(app, name):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        ours, _ = listener.accept()
        with ours, app.test_request_context(environ_base={name: ours}):
            yield ours, peer


@pytest.mark.parametrize("name", guard.SOCKETS)
def test_a_client_that_is_there_is_let_be(app, name):
    with connection(app, name) as (ours, peer):
        ours.settimeout(7.0)
        guard.still_there()
        peer.sendall(b"the next request")
        guard.still_there()
        assert ours.gettimeout() == 7.0
        assert ours.recv(100) == b"the next request"


def test_a_client_that_has_left_is_missed(app):
    with connection(app, "gunicorn.socket") as (_, peer):
        peer.close()
        with pytest.raises(ClientDisconnected):
            guard.still_there()


def test_a_client_that_was_killed_is_missed(app):
    with connection(app, "gunicorn.socket") as (_, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        with pytest.raises(ClientDisconnected):
            guard.still_there()


def test_where_no_socket_is_shown_nobody_is_missed(app):
    with app.test_request_context():
        guard.still_there()


@pytest.fixture
def admin_key(app):
    return keys.read_admin(Path(app.extensions["kirogw"].settings.kirogw_home))


@pytest.mark.parametrize(("scope", "main", "admin"), [("api", "main", None), ("admin", None, "admin"), ("", "main", "admin")])
def test_what_each_of_the_owners_keys_opens(app, admin_key, scope, main, admin):
    for key, name in ((KEY, main), (admin_key, admin)):
        with app.test_request_context(headers={"x-api-key": key}):
            if name:
                assert guard.caller(scope).name == name
            else:
                with pytest.raises(NotAllowed, match=r"is a good one, but it is .*`python kirogw.py key( --admin)?` prints"):
                    guard.caller(scope)


@pytest.mark.parametrize(("scope", "name"), [("api", "main"), ("admin", "admin"), ("", "main")])
def test_of_two_keys_the_one_that_opens_counts(app, admin_key, scope, name):
    with app.test_request_context(headers={"x-api-key": KEY, "Authorization": f"Bearer {admin_key}"}):
        assert guard.caller(scope).name == name
    with app.test_request_context(headers={"x-api-key": admin_key, "Authorization": f"Bearer {KEY}"}):
        assert guard.caller(scope).name == (name if scope else "admin")
