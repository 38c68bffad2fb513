"""The model list, as the OpenAI API gives it."""

from __future__ import annotations

from collections.abc import Sequence

from kirogw.dialects.clients import CREATED
from kirogw.dialects.dialect import Model
from kirogw.wire import Json


def openai_model(model: Model, created: int = CREATED) -> Json:
    """`context_window` and `max_output_tokens` are not OpenAI's: other gateways have them, and clients read them."""
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "kiro",
        "name": model.name or model.id,
        "context_window": model.window,
        "max_output_tokens": model.max_output,
    }


def openai_models(models: Sequence[Model], created: int = CREATED) -> Json:
    return {"object": "list", "data": [openai_model(model, created) for model in models]}
