"""The model list, as the OpenAI API gives it."""

from __future__ import annotations

from collections.abc import Sequence

from kirogw.dialects.clients import CREATED
from kirogw.dialects.listing import Listed, limits
from kirogw.wire import Json


def openai_model(row: Listed, created: int = CREATED) -> Json:
    """What follows `owned_by` is not OpenAI's."""
    model = row.model
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": row.owner,
        "name": model.name or model.id,
        **limits(model),
    }


def openai_models(rows: Sequence[Listed], created: int = CREATED) -> Json:
    return {"object": "list", "data": [openai_model(row, created) for row in rows]}
