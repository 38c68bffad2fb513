from openai.types import Model as OpenAIModel

from kirogw.dialects.chat.models import openai_model, openai_models
from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Model


def test_models():
    body = openai_models([Listed(Model("a", "A", 200_000, 64_000), "kiro"), Listed(Model("b"), "codex")], 5)
    assert body == {"object": "list", "data": [
        {"id": "a", "object": "model", "created": 5, "owned_by": "kiro", "name": "A", "context_window": 200_000,
         "context_length": 200_000, "max_model_len": 200_000, "max_output_tokens": 64_000},
        {"id": "b", "object": "model", "created": 5, "owned_by": "codex", "name": "b", "context_window": 200_000,
         "context_length": 200_000, "max_model_len": 200_000, "max_output_tokens": None},
    ]}  # fmt: skip
    OpenAIModel.model_validate(openai_model(Listed(Model("a"), "kiro")))
