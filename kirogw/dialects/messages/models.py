"""The model list and the token count, as the Messages API gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from kirogw.dialects.clients import CREATED
from kirogw.dialects.dialect import Model
from kirogw.errors import BadRequest
from kirogw.wire import Json

PAGE: Final = 20
MOST: Final = 1000  # Claude Code asks for all at once


def anthropic_model(model: Model, created: int = CREATED) -> Json:
    """`context_window` and `max_output_tokens` are not Anthropic's: other gateways have them, and clients read them."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.window,
        "max_tokens": model.max_output,
        "context_window": model.window,
        "max_output_tokens": model.max_output,
    }


def anthropic_models(models: Sequence[Model], query: Mapping[str, str] | None = None, created: int = CREATED) -> Json:
    """One page of the list. `query` may hold limit, after_id and before_id, as they stand in the URL."""
    query = query or {}
    limit, ids = _limit(query.get("limit")), [model.id for model in models]
    first, last = 0, len(ids)
    if after := query.get("after_id"):
        first = _place(ids, after, "after_id") + 1
    if before := query.get("before_id"):
        last = _place(ids, before, "before_id")
    between = models[first:last]
    page = between[-limit:] if before else between[:limit]  # the page that ends before it, or the first one
    return {
        "data": [anthropic_model(model, created) for model in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(page) < len(between),
    }


def token_count(tokens: int) -> Json:
    return {"input_tokens": tokens}


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise BadRequest(f"must be a number from 1 to {MOST}", param="limit")
    return int(text)


def _place(ids: list[str], id_: str, param: str) -> int:
    if id_ not in ids:
        raise BadRequest("names no model of this list", param=param)
    return ids.index(id_)
