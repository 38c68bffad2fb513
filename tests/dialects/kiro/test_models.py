import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.dialect import Login, Model, Target
from kirogw.dialects.kiro.models import FALLBACK, list_request, listed, read_models, resolve
from kirogw.twin import models as twin
from tests.dialects.kiro.talk import SHAPE

BY_ID = {model.id: model for model in FALLBACK}
BIG = Model("claude-sonnet-4.5-1m", window=1_000_000)
MODELS = (*FALLBACK, BIG)
ALIASES = {"auto-kiro": "auto", "Fast": "claude-haiku-4-5", "loop": "loop2", "loop2": "loop"}

KNOWN = [
    # the client's name, the model, wishes
    pytest.param("claude-opus-5", "claude-opus-5", "", id="as listed"),
    pytest.param(" Claude-Opus-4.8 ", "claude-opus-4.8", "", id="case and blanks"),
    pytest.param("kiro/claude-opus-5", "claude-opus-5", "", id="prefix"),
    pytest.param("anthropic/gpt-5.6-sol", "gpt-5.6-sol", "", id="prefix that Claude Code wants"),
    pytest.param("auto-kiro", "auto", "", id="alias"),
    pytest.param("FAST-thinking", "claude-haiku-4.5", "thinking", id="alias with a wish"),
    pytest.param("claude-opus-4-8", "claude-opus-4.8", "", id="dashes"),
    pytest.param("claude-opus-4-8[1m]", "claude-opus-4.8", "big", id="[1m]"),
    pytest.param("claude-opus-4-8[1M]", "claude-opus-4.8", "big", id="[1M]"),
    pytest.param("claude-sonnet-4.5[200k]", "claude-sonnet-4.5", "", id="[200k]"),
    pytest.param("claude-sonnet-4-5[1m]", "claude-sonnet-4.5-1m", "big", id="a listed one with the big window"),
    pytest.param("claude-opus-5-1m", "claude-opus-5", "big", id="opus 5, not 5.1"),
    pytest.param("claude-sonnet-4.5-thinking", "claude-sonnet-4.5", "thinking", id="-thinking"),
    pytest.param("claude-opus-4-8-thinking[1m]", "claude-opus-4.8", "big thinking", id="both"),
    pytest.param("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", "", id="date"),
    pytest.param("claude-sonnet-4-20250514", "claude-sonnet-4", "", id="date, no minor"),
    pytest.param("claude-haiku-4-5@20251001", "claude-haiku-4.5", "", id="@date"),
    pytest.param("claude-haiku-4-5-latest", "claude-haiku-4.5", "", id="-latest"),
    pytest.param("claude-4.5-opus-high", "claude-opus-4.5", "", id="family behind, and more"),
    pytest.param("claude-4-5-sonnet", "claude-sonnet-4.5", "", id="family behind"),
    pytest.param("minimax-m2-5", "minimax-m2.5", "", id="dashes elsewhere"),
    pytest.param("glm-5", "glm-5", "", id="nothing to do"),
    pytest.param("openai/gpt-5-6-luna", "gpt-5.6-luna", "", id="GPT"),
]
UNKNOWN = [
    # the client's name, what goes upstream
    pytest.param("gpt-5.2", "gpt-5.2", id="another's"),
    pytest.param("Vendor/X:free", "Vendor/X:free", id="as written"),
    pytest.param("kiro/My-Model-thinking", "My-Model", id="as written, without prefix and wish"),
    pytest.param("claude-haiku-5-5", "claude-haiku-5.5", id="a Claude that is not listed yet"),
    pytest.param("claude-3-7-sonnet-20250219", "claude-3.7-sonnet", id="a hidden one"),
    pytest.param("claude-opus-4-1-20250805", "claude-opus-4.1", id="an old one is not another version"),
    pytest.param("loop", "loop2", id="aliases are followed once"),
]


@pytest.mark.parametrize(("name", "id", "wishes"), KNOWN)
def test_known_names(name, id, wishes):
    model = next(model for model in MODELS if model.id == id)
    assert resolve(name, MODELS, ALIASES) == Target(model, True, "thinking" in wishes, "big" in wishes)


@pytest.mark.parametrize(("name", "id"), UNKNOWN)
def test_unknown_names_pass(name, id):
    target = resolve(name, MODELS, ALIASES)
    assert (target.model, target.known) == (Model(id, id), False)


def test_an_unknown_name_may_ask_for_a_big_window():
    assert resolve("claude-new-7[1m]", MODELS, {}) == Target(
        Model("claude-new-7", "claude-new-7", 1_000_000), False, False, True)


@given(st.text(max_size=30))
def test_any_name_means_something(name):
    target = resolve(name, MODELS, ALIASES)
    assert target.known == (target.model in MODELS)


def test_what_is_listed_works():
    rows = listed(FALLBACK, hidden=("glm-5",))
    names = [model.id for model in rows]
    assert len(names) == len(set(names))
    assert "glm-5" not in names
    for row in rows:
        target = resolve(row.id, FALLBACK, {})
        assert target.known
        assert replace(target.model, id=row.id) == row


def test_the_names_of_one_model():
    small = Model("claude-haiku-4.5")
    assert [m.id for m in listed([BY_ID["claude-opus-4.8"], BY_ID["claude-opus-5"], small, BY_ID["gpt-5.6-sol"]])] == [
        "claude-opus-4.8", "claude-opus-4-8", "claude-opus-4-8[1m]", "claude-opus-5", "claude-opus-5[1m]",
        "claude-haiku-4.5", "claude-haiku-4-5", "gpt-5.6-sol"]  # fmt: skip


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
    request = list_request(login, "https://management.us-east-1.kiro.dev/", SHAPE, "next")
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
    assert json.loads(list_request(Login("key", "ksk"), "http://x", SHAPE).body) == {"origin": "AI_EDITOR", "maxResults": 100}
