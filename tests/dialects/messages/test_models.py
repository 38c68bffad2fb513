import pytest
from anthropic.types import ModelInfo

from kirogw.dialects.listing import Listed
from kirogw.dialects.messages.models import anthropic_model, anthropic_models, token_count
from kirogw.dialects.provider import Model
from kirogw.errors import BadRequest

ROWS = [Listed(Model(f"m{n}", f"Model {n}", 200_000, 64_000), "kiro") for n in range(5)]


def test_model():
    body = anthropic_model(Listed(Model("m", "", 1_000_000, None), "kiro"), 1_767_225_600)
    assert body == {
        "type": "model", "id": "m", "display_name": "m", "created_at": "2026-01-01T00:00:00Z", "lifecycle": "active",
        "max_input_tokens": 1_000_000, "max_tokens": None, "context_window": 1_000_000, "context_length": 1_000_000,
        "max_model_len": 1_000_000, "max_output_tokens": None,
    }  # fmt: skip
    ModelInfo.model_validate(body)


PAGES = [
    # the query, the ids, whether there is more
    pytest.param(None, "01234", False, id="all"),
    pytest.param({"limit": "1000"}, "01234", False, id="Claude Code"),
    pytest.param({"limit": "2"}, "01", True, id="first page"),
    pytest.param({"limit": "2", "after_id": "m1"}, "23", True, id="second page"),
    pytest.param({"limit": "2", "after_id": "m3"}, "4", False, id="last page"),
    pytest.param({"limit": "2", "after_id": "m4"}, "", False, id="behind the last"),
    pytest.param({"limit": "2", "before_id": "m4"}, "23", True, id="backwards"),
    pytest.param({"limit": "2", "before_id": "m1"}, "0", False, id="backwards to the first"),
    pytest.param({"after_id": "m0", "before_id": "m3"}, "12", False, id="between"),
]


@pytest.mark.parametrize(("query", "ids", "more"), PAGES)
def test_pages(query, ids, more):
    page = anthropic_models(ROWS, query)
    names = [f"m{n}" for n in ids]
    assert [model["id"] for model in page["data"]] == names
    assert (page["first_id"], page["last_id"], page["has_more"]) == (
        names[0] if names else None, names[-1] if names else None, more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"limit": "x"}, "limit"), ({"after_id": "z"}, "after_id"),
     ({"before_id": "z"}, "before_id")],
)
def test_wrong_pages(query, param):
    with pytest.raises(BadRequest) as refusal:
        anthropic_models(ROWS, query)
    assert refusal.value.param == param


def test_token_count():
    assert token_count(7) == {"input_tokens": 7}
