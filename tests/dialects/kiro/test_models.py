import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.kiro.models import FALLBACK, list_request, read_models, resolve
from kirogw.dialects.provider import Login, Model, Target
from kirogw.settings import Settings
from kirogw.twin.kiro import models as twin
from tests.dialects.kiro.talk import SHAPE

BY_ID = {model.id: model for model in FALLBACK}
BIG = Model("claude-sonnet-4.5-1m", window=1_000_000)
MODELS = (*FALLBACK, BIG)

KNOWN = [
    # the name, the model, whether the big window is meant
    pytest.param("claude-opus-5", "claude-opus-5", False, id="as listed"),
    pytest.param(" Claude-Opus-4.8 ", "claude-opus-4.8", False, id="case and blanks"),
    pytest.param("claude-opus-4-8", "claude-opus-4.8", False, id="dashes"),
    pytest.param("claude-opus-4-8[1m]", "claude-opus-4.8", True, id="[1m]"),
    pytest.param("claude-opus-4-8[1M]", "claude-opus-4.8", True, id="[1M]"),
    pytest.param("claude-sonnet-4.5[200k]", "claude-sonnet-4.5", False, id="[200k]"),
    pytest.param("claude-sonnet-4-5[1m]", "claude-sonnet-4.5-1m", True, id="a listed one with the big window"),
    pytest.param("claude-sonnet-4.5-1m", "claude-sonnet-4.5-1m", False, id="as listed, like a mark"),
    pytest.param("claude-opus-5-1m", "claude-opus-5", True, id="opus 5, not 5.1"),
    pytest.param("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", False, id="date"),
    pytest.param("claude-sonnet-4-20250514", "claude-sonnet-4", False, id="date, no minor"),
    pytest.param("claude-haiku-4-5@20251001", "claude-haiku-4.5", False, id="@date"),
    pytest.param("claude-haiku-4-5-latest", "claude-haiku-4.5", False, id="-latest"),
    pytest.param("claude-4.5-opus", "claude-opus-4.5", False, id="family behind"),
    pytest.param("claude-4-5-sonnet", "claude-sonnet-4.5", False, id="family behind, dashes"),
    pytest.param("minimax-m2-5", "minimax-m2.5", False, id="dashes elsewhere"),
    pytest.param("glm-5", "glm-5", False, id="nothing to do"),
    pytest.param("gpt-5-6-luna", "gpt-5.6-luna", False, id="GPT"),
]
UNKNOWN = [
    # the name, what goes upstream
    pytest.param("gpt-5.2", "gpt-5.2", id="another's"),
    pytest.param(" Vendor/X:free", "Vendor/X:free", id="as written"),
    pytest.param("claude-haiku-5-5", "claude-haiku-5.5", id="a Claude that is not listed yet"),
    pytest.param("claude-3-7-sonnet-20250219", "claude-3.7-sonnet", id="a hidden one"),
    pytest.param("claude-opus-4-1-20250805", "claude-opus-4.1", id="an old one is not another version"),
]


@pytest.mark.parametrize(("name", "id", "big"), KNOWN)
def test_known_names(name, id, big):
    model = next(model for model in MODELS if model.id == id)
    assert resolve(name, MODELS) == Target(model, True, big=big)


@pytest.mark.parametrize(("name", "id"), UNKNOWN)
def test_unknown_names_pass(name, id):
    target = resolve(name, MODELS)
    assert (target.model, target.known) == (Model(id, id), False)


def test_an_unknown_name_may_ask_for_a_big_window():
    assert resolve("claude-new-7[1m]", MODELS) == Target(Model("claude-new-7", "claude-new-7", 1_000_000), False, big=True)


@given(st.text(max_size=30))
def test_any_name_means_something(name):
    target = resolve(name, MODELS)
    assert target.known == (target.model in MODELS)


ROW = {
    "modelId": "claude-opus-5", "modelName": "Claude Opus 5", "description": "d", "rateMultiplier": 2.2, "rateUnit": "Credit",
    "tokenLimits": {"maxInputTokens": 1000000, "maxOutputTokens": 128000}, "supportedInputTypes": ["TEXT", "IMAGE"],
    "additionalModelRequestFieldsSchema": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
}  # fmt: skip
WHOLE = Model("claude-opus-5", "Claude Opus 5", 1_000_000, 128_000, True, ROW["additionalModelRequestFieldsSchema"], 2.2, "d")


@pytest.mark.parametrize(("changes", "model"), [
    pytest.param({}, {}, id="whole"),
    pytest.param({"additionalModelRequestFieldsSchema": json.dumps(WHOLE.fields)}, {}, id="schema as text"),
    pytest.param({"additionalModelRequestFieldsSchema": "{"}, {"fields": None}, id="schema as damaged text"),
    pytest.param({"additionalModelRequestFieldsSchema": {"properties": {}}}, {"fields": None}, id="empty schema"),
    pytest.param({"additionalModelRequestFieldsSchema": None}, {"fields": None}, id="no schema"),
    pytest.param({"tokenLimits": {"maxInputTokens": 200000, "maxOutputTokens": None}}, {"window": 200_000, "max_output": None}, id="null"),
    pytest.param({"tokenLimits": None, "rateMultiplier": None, "modelName": None, "description": 3},
                 {"window": 200_000, "max_output": None, "rate": None, "name": "", "description": ""}, id="little"),
    pytest.param({"supportedInputTypes": ["TEXT"]}, {"images": False}, id="blind"),
    pytest.param({"supportedInputTypes": None}, {"images": True}, id="not said"),
])  # fmt: skip
def test_read_models(changes, model):
    assert read_models({"models": [{**ROW, **changes}]}) == [replace(WHOLE, **model)]


@pytest.mark.parametrize(("id", "efforts", "effort"), [
    ("claude-opus-4.7", "low medium high xhigh max", "xhigh"), ("claude-opus-4.6", "low medium high max", "high"),
    ("gpt-5.6-sol", "none low medium high xhigh max", "high"), ("claude-opus-4.5", "", ""),
])  # fmt: skip
def test_the_levels_that_a_model_takes(id, efforts, effort):
    assert (BY_ID[id].efforts, BY_ID[id].effort) == (tuple(efforts.split()), effort)
    live = next(model for model in read_models({"models": twin.catalogue()}) if model.id == id)
    assert (live.efforts, live.effort) == (tuple(efforts.split()), effort)


def test_strange_rows_are_passed_over():
    assert read_models({"models": [None, {}, {"modelId": ""}, {"modelId": 3}, ROW]}) == [WHOLE]
    assert read_models({"models": None}) == read_models({}) == []


def test_the_table_says_what_the_catalogue_says():
    """The twin's catalogue was written by someone else from the same sources."""
    live = {model.id: model for model in read_models({"models": twin.catalogue()})}
    for id, model in live.items():
        mine = BY_ID[id]
        assert (mine.window, mine.images) == (model.window, model.images), id
        assert _kinds(mine.fields) == _kinds(model.fields), id


def _kinds(fields):
    properties = (fields or {}).get("properties", {})
    return {name: inner for name, inner in properties.items() if name != "max_tokens"}


def test_list_request():
    login = Login("idc", "tok", "arn:aws:codewhisperer:us-east-1:1:profile/A", machine="f" * 64)
    request = list_request(login, "https://management.us-east-1.kiro.dev/", Settings(), "next")
    agent = request.headers["User-Agent"]
    assert (request.method, request.url) == ("POST", "https://management.us-east-1.kiro.dev/")
    assert json.loads(request.body) == {
        "origin": "AI_EDITOR", "maxResults": 100, "profileArn": login.profile, "nextToken": "next"}
    assert dict(request.headers) == {
        "Authorization": "Bearer tok", "tokentype": "SSO_OIDC", "Content-Type": "application/x-amz-json-1.0",
        "Accept": "application/json", "x-amz-target": "AmazonCodeWhispererService.ListAvailableModels",
        "User-Agent": agent, "x-amz-user-agent": f"aws-sdk-js/1.0.0 KiroIDE-{SHAPE.version}-{'f' * 64}",
        "amz-sdk-request": "attempt=1; max=1",
    }  # fmt: skip
    assert agent.startswith(f"aws-sdk-js/1.0.0 ua/2.1 os/{SHAPE.os} ")
    assert agent.endswith(f" KiroIDE-{SHAPE.version}-{'f' * 64}")


def test_list_request_without_profile_and_token():
    assert json.loads(list_request(Login("key", "ksk"), "http://x", Settings()).body) == {"origin": "AI_EDITOR", "maxResults": 100}
