import json

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro import search
from kirogw.dialects.kiro.search import Found
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.provider import Login
from kirogw.settings import Settings
from kirogw.twin import Twin
from kirogw.wire import Reply

ARN = "arn:aws:codewhisperer:us-east-1:111122223333:profile/ABCDEFGHIJKL"
LOGIN = Login("social", "secret", ARN, machine="ab" * 32)
SHAPES = {wire: Shape.of(Settings(kiro_wire=wire)) for wire in ("rest", "target")}


def test_the_request_in_rest_form():
    made = search.request("zig 0.16", LOGIN, "https://runtime.us-east-1.kiro.dev", SHAPES["rest"], "id-1")
    assert (made.method, made.url) == ("POST", "https://runtime.us-east-1.kiro.dev/mcp")
    assert json.loads(made.body) == {
        "id": "web_search_id-1", "jsonrpc": "2.0", "method": "tools/call",
        "params": {"name": "web_search", "arguments": {"query": "zig 0.16"}}, "profileArn": ARN,
    }  # fmt: skip
    agents = SHAPES["rest"].agents(Settings().kiro_user_agent, LOGIN.machine)
    assert made.headers == {
        "Authorization": "Bearer secret", "Content-Type": "application/json", "Accept": "application/json", **agents,
        "x-amzn-codewhisperer-optout": "true", "amz-sdk-invocation-id": "id-1", "amz-sdk-request": "attempt=1; max=1",
        "x-amzn-kiro-profile-arn": ARN,
    }  # fmt: skip


def test_the_request_in_target_form():
    made = search.request("q", LOGIN, "https://runtime.us-east-1.kiro.dev/", SHAPES["target"], "id-1")
    assert made.url == "https://runtime.us-east-1.kiro.dev/"
    assert made.headers["x-amz-target"] == "KiroRuntimeService.InvokeMCP"
    assert made.headers["Content-Type"] == "application/x-amz-json-1.0"


@pytest.mark.parametrize("login", [Login("key", "ksk_x", ARN), Login("builder", "x")], ids=["key", "no profile"])
def test_a_request_without_a_profile(login):
    made = search.request("q", login, "https://h", SHAPES["rest"], "1")
    assert "x-amzn-kiro-profile-arn" not in made.headers
    assert "profileArn" not in json.loads(made.body)


KINDS = {"social": "social", "idc": "idc", "builder": "builder", "external": "external", "api_key": "key"}


@pytest.mark.parametrize("wire", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_takes_it(kind, wire):
    with Twin(accounts=[kind]) as twin:
        account = twin.account
        login = Login(KINDS[kind], account.access_token or account.api_key, account.profile_arn, machine="cd" * 32)
        made = search.request("zig", login, twin.url, SHAPES[wire], "1")
        got = requests.request(made.method, made.url, headers=made.headers, data=made.body, timeout=60)
        assert (twin.denials, twin.refusals) == ([], [])
    found = search.read(Reply(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content))
    assert found.error == ""
    assert [set(row) for row in found.results] == [{"title", "url", "snippet", "page_age"}] * 3
    assert found.results[0]["page_age"] == "2026-01-01"
    assert found.results[0]["title"].startswith("zig")


def reply(body, status=200, **headers):
    return Reply(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def said(inner, **result):
    text = inner if isinstance(inner, str) else json.dumps(inner)
    return reply({"id": "1", "jsonrpc": "2.0", "result": {"content": [{"type": "text", "text": text}], **result}})


ROW = {"title": "T", "url": "https://a.example/x", "snippet": "S", "publishedDate": 1767225600123, "id": "1", "domain": "a.example"}
PLAIN = {"title": "T", "url": "https://a.example/x", "snippet": "S", "page_age": "2026-01-01"}
READ = [
    pytest.param(said({"results": [ROW], "totalResults": 1, "query": "q", "error": None}), Found([PLAIN]), id="found"),
    pytest.param(said({"results": []}), Found(), id="nothing found"),
    pytest.param(said({"results": [{"url": "https://b"}]}),
                 Found([{"title": "https://b", "url": "https://b", "snippet": ""}]), id="only an address"),
    pytest.param(said({"results": [ROW | {"publishedDate": date} for date in (None, "x", True, 1e99, -1e18)]}),
                 Found([{k: v for k, v in PLAIN.items() if k != "page_age"}] * 5), id="no date"),
    pytest.param(said({"results": [{"title": "no address"}, "x", None, ROW]}), Found([PLAIN]), id="malformed rows"),
    pytest.param(said({"results": [ROW], "error": "some pages were slow"}), Found([PLAIN]), id="found with a word of error"),
    pytest.param(reply({"result": {"content": [{"type": "image"}, {"type": "text", "text": "Here:"},
                 {"type": "text", "text": json.dumps({"results": [ROW]})}]}}), Found([PLAIN]), id="several texts"),
    pytest.param(said({"results": [], "error": "backend down"}), Found(error="unavailable"), id="inner error"),
    pytest.param(said("no json"), Found(error="unavailable"), id="no JSON inside"),
    pytest.param(said("Query exceeds maximum length", isError=True), Found(error="query_too_long"), id="too long"),
    pytest.param(said("Rate exceeded", isError=True), Found(error="too_many_requests"), id="busy inside"),
    pytest.param(said("it broke", isError=True), Found(error="unavailable"), id="tool error"),
    pytest.param(reply({"error": {"code": -32602, "message": "Invalid params"}}), Found(error="invalid_tool_input"), id="params"),
    pytest.param(reply({"error": {"code": -32602, "message": "query too long"}}), Found(error="query_too_long"), id="long query"),
    pytest.param(reply({"error": {"code": -32000, "message": "disabled"}}), Found(error="unavailable"), id="switched off"),
    pytest.param(reply({"error": "x"}), Found(error="unavailable"), id="error that is no object"),
    pytest.param(reply({"result": []}), Found(error="unavailable"), id="result that is no object"),
    pytest.param(reply({"result": {"content": {}}}), Found(error="unavailable"), id="content that is no list"),
    pytest.param(reply(b"<html>"), Found(error="unavailable"), id="a page"),
    pytest.param(reply({"message": "Too many requests"}, 429), Found(error="too_many_requests"), id="429"),
    pytest.param(reply({"message": "Rate exceeded"}, 400), Found(error="too_many_requests"), id="throttled as 400"),
    pytest.param(reply({"message": "profileArn is required for this request."}, 400), Found(error="unavailable"), id="400"),
    pytest.param(reply(b"", 500), Found(error="unavailable"), id="500"),
]  # fmt: skip


@pytest.mark.parametrize(("got", "found"), READ)
def test_read(got, found):
    assert search.read(got) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["result", "error", "content", "type", "text", "results", "url", "title", "publishedDate"]), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["result", "error"]), JSON), JSON, st.sampled_from([200, 400, 429, 503]))
def test_any_reply_is_read(outer, inner, status):
    for got in (reply(outer, status), said(inner), reply(json.dumps(inner).encode(), status)):
        found = search.read(got)
        assert found.error in ("", "unavailable", "too_many_requests", "query_too_long", "invalid_tool_input")
        assert not (found.error and found.results)
        assert all(isinstance(row[k], str) for row in found.results for k in ("title", "url", "snippet"))
