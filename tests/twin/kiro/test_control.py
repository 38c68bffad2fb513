"""The control plane and the search, in each spelling."""

import json
import time

import pytest
import requests

from kirogw.twin import Twin
from tests.twin.kiro import payloads as p

MODELS = [
    # how it is asked, method, path, target
    pytest.param("GET", "/List-Available-Models?origin=KIRO_CLI", "", id="REST"),
    pytest.param("GET", "/ListAvailableModels?origin=AI_EDITOR", "", id="legacy"),
    pytest.param("POST", "/", "AmazonCodeWhispererService.ListAvailableModels", id="target"),
    pytest.param("POST", "/", "KiroControlPlaneBearerService.ListAvailableModels", id="new target"),
]  # fmt: skip


@pytest.fixture
def twin():
    with Twin(accounts=["idc"]) as running:
        yield running


def call(twin, method, path, target="", body=None):
    sent = p.headers(twin.account)
    sent.pop("x-amz-target")
    if target:
        sent["x-amz-target"] = target
    data = json.dumps({"origin": "AI_EDITOR"} if body is None else body) if method == "POST" else None
    return requests.request(method, twin.url + path, data=data, headers=sent, timeout=60)


@pytest.mark.parametrize(("method", "path", "target"), MODELS)
def test_models(twin, method, path, target):
    reply = call(twin, method, path, target)
    listed = reply.json()
    assert reply.headers["content-type"] == ("application/x-amz-json-1.0" if target else "application/json")
    assert (listed["defaultModel"], listed["nextToken"]) == ({"modelId": "auto"}, None)
    rows = {row["modelId"]: row for row in listed["models"]}
    assert rows["claude-opus-5"]["tokenLimits"] == {"maxInputTokens": 1_000_000, "maxOutputTokens": 128_000}
    assert rows["claude-haiku-4.5"]["additionalModelRequestFieldsSchema"] is None
    efforts = rows["gpt-5.6-sol"]["additionalModelRequestFieldsSchema"]["properties"]["reasoning"]["properties"]["effort"]
    assert efforts["enum"] == ["none", "low", "medium", "high", "xhigh", "max"]
    assert rows["glm-5"]["supportedInputTypes"] == ["TEXT"]


def test_models_come_in_pages(twin):
    names, token = [], "0"
    while token is not None:
        page = call(twin, "POST", "/", "AmazonCodeWhispererService.ListAvailableModels",
                    {"origin": "CLI", "maxResults": 10, "nextToken": token}).json()
        assert len(page["models"]) <= 10
        names += [row["modelId"] for row in page["models"]]
        token = page["nextToken"]
    assert names == [row["modelId"] for row in twin.catalogue]


def test_models_need_an_origin(twin):
    reply = call(twin, "GET", "/ListAvailableModels")
    assert (reply.status_code, reply.json()["reason"]) == (400, "REQUEST_BODY_INVALID")


def test_an_account_may_have_fewer_models(twin):
    account = twin.add_account("idc", models=("auto", "claude-sonnet-4.6"))
    reply = requests.get(twin.url + "/ListAvailableModels?origin=CLI", headers=p.headers(account), timeout=60)
    assert [row["modelId"] for row in reply.json()["models"]] == ["auto", "claude-sonnet-4.6"]
    assert p.ask(twin, account=account).status_code == 200
    assert p.ask(twin, p.payload(p.user(modelId="claude-opus-5")), account).json()["reason"] == "INVALID_MODEL_ID"


@pytest.mark.parametrize(("path", "target"), [
    ("/List-Available-Profiles", ""), ("/ListAvailableProfiles", ""), ("/", "AmazonCodeWhispererService.ListAvailableProfiles")])
def test_profiles(twin, path, target):
    [profile] = call(twin, "POST", path, target, {}).json()["profiles"]
    assert (profile["arn"], profile["status"]) == (twin.account.profile_arn, "ACTIVE")


def test_a_profile(twin):
    target = "AmazonCodeWhispererService.GetProfile"
    assert call(twin, "POST", "/", target, {}).json()["profile"]["arn"] == twin.account.profile_arn
    assert call(twin, "POST", "/", target, {"profileArn": "arn"}).status_code == 403
    assert call(twin, "POST", "/GetProfile", "", {}).status_code == 404


@pytest.mark.parametrize(("method", "path", "target"), [
    ("GET", "/getUsageLimits", ""), ("GET", "/Get-Usage-Limits", ""), ("POST", "/", "AmazonCodeWhispererService.GetUsageLimits")])
def test_usage(twin, method, path, target):
    p.ask(twin)
    p.ask(twin)
    arn = twin.account.profile_arn
    body = {"profileArn": arn, "isEmailRequired": True, "origin": "AI_EDITOR"}
    usage = call(twin, method, f"{path}?profileArn={arn}&isEmailRequired=true", target, body).json()
    [credit] = usage["usageBreakdownList"]
    assert (credit["resourceType"], credit["usageLimitWithPrecision"]) == ("CREDIT", 1000.0)
    assert 0 < credit["currentUsageWithPrecision"] == round(twin.account.used, 4) < 1
    assert usage["userInfo"] == {"userId": f"d-9067.{twin.account.name}", "email": f"{twin.account.name}@localhost"}
    assert 0 < usage["nextDateReset"] - time.time() < 32 * 86400
    assert usage["overageConfiguration"] == {"overageStatus": "DISABLED"}


def test_a_quota_that_is_used_up(twin):
    twin.account.used = twin.account.limit
    reply = p.ask(twin)
    assert (reply.status_code, reply.json()["reason"]) == (402, "MONTHLY_REQUEST_COUNT")
    body = {"profileArn": twin.account.profile_arn, "overageConfiguration": {"overageStatus": "ENABLED"}}
    assert call(twin, "POST", "/setUserPreference", "", body).status_code == 200
    assert p.ask(twin).status_code == 200
    assert call(twin, "POST", "/setUserPreference", "", {"overageConfiguration": 1}).status_code == 400


def test_user(twin):
    assert call(twin, "POST", "/GetUserInfo").json() == {"email": f"{twin.account.name}@localhost"}


def test_unknown_operations(twin):
    for target in ("AmazonCodeWhispererService.GenerateAssistantResponse", "KiroRuntimeService.Nothing", ""):
        reply = call(twin, "POST", "/", target)
        assert (reply.status_code, reply.json()["__type"].split("#")[1]) == (404, "UnknownOperationException")


def rpc(twin, method, params=None, **more):
    body = {"id": "web_search_tooluse_1", "jsonrpc": "2.0", "method": method, "profileArn": twin.account.profile_arn, **more}
    return call(twin, "POST", *WAYS[0], {**body, "params": params} if params else body)


WAYS = [("/mcp", ""), ("/mcp/stream", ""), ("/", "KiroRuntimeService.InvokeMCP")]
SEARCH = {"name": "web_search", "arguments": {"query": "zig 0.16"}}


@pytest.mark.parametrize(("path", "target"), WAYS)
def test_search(twin, path, target):
    body = {"id": "7", "jsonrpc": "2.0", "method": "tools/call", "params": SEARCH, "profileArn": twin.account.profile_arn}
    answer = call(twin, "POST", path, target, body).json()
    assert (answer["id"], answer["jsonrpc"], answer["result"]["isError"]) == ("7", "2.0", False)
    found = json.loads(answer["result"]["content"][0]["text"])
    assert (found["query"], found["totalResults"], found["error"]) == ("zig 0.16", 3, None)
    assert set(found["results"][0]) == {"title", "url", "snippet", "publishedDate", "id", "domain", "maxVerbatimWordLimit",
                                        "publicDomain"}
    assert "zig 0.16" in found["results"][0]["title"]


def test_search_finds_what_it_is_told(twin):
    twin.search([{"title": "a"}])
    answer = rpc(twin, "tools/call", SEARCH).json()
    assert json.loads(answer["result"]["content"][0]["text"])["results"] == [{"title": "a"}]


@pytest.mark.parametrize(("method", "params", "key", "value"), [
    pytest.param("initialize", None, "result", "2025-06-18", id="initialize"),
    pytest.param("tools/list", None, "result", "web_search", id="list"),
    pytest.param("tools/call", {"name": "web_fetch", "arguments": {}}, "error", -32602, id="unknown tool"),
    pytest.param("tools/call", {"name": "web_search", "arguments": {}}, "error", -32602, id="no query"),
    pytest.param("prompts/list", None, "error", -32601, id="unknown method"),
])
def test_other_methods(twin, method, params, key, value):
    assert str(value) in json.dumps(rpc(twin, method, params).json()[key])


def test_a_notification_has_no_answer_and_other_bodies_are_refused(twin):
    reply = rpc(twin, "notifications/initialized")
    assert (reply.status_code, reply.content) == (202, b"")
    assert rpc(twin, "tools/list", jsonrpc="1.0").status_code == 400
