"""The model list and the token count, as the Messages API gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from kirogw.dialects.clients import CREATED
from kirogw.dialects.listing import Listed, limits
from kirogw.errors import BadRequest
from kirogw.wire import Json

PAGE: Final = 20
MOST: Final = 1000  # Claude Code asks for all at once


def anthropic_model(row: Listed, created: int = CREATED) -> Json:
    """What follows `max_tokens` is not Anthropic's."""
    model = row.model
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.window,
        "max_tokens": model.max_output,
        **limits(model),
    }


def anthropic_models(rows: Sequence[Listed], query: Mapping[str, str] | None = None, created: int = CREATED) -> Json:
    """One page of the list. `query` may hold limit, after_id and before_id, as they stand in the URL."""
    query = query or {}
    limit, ids = _limit(query.get("limit")), [row.model.id for row in rows]
    first, last = 0, len(ids)
    if after := query.get("after_id"):
        first = _place(ids, after, "after_id") + 1
    if before := query.get("before_id"):
        last = _place(ids, before, "before_id")
    between = rows[first:last]
    page = between[-limit:] if before else between[:limit]  # the page that ends before it, or the first one
    return {
        "data": [anthropic_model(row, created) for row in page],
        "first_id": page[0].model.id if page else None,
        "last_id": page[-1].model.id if page else None,
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
