"""Reading what a service has answered: JSON in which what is not as it should be counts as missing."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import orjson

from kirogw.wire import Json, Reply

HTML: Final = "an HTML page, so it comes from a proxy or a block on the way"


def parsed(body: str | bytes) -> Json | None:
    """The object that it is, None for anything else; JSON to the letter, since what is in it is written again."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def json_object(body: bytes) -> Json:
    """The object that it is, empty for anything else. Takes what strict readers refuse (NaN, half a surrogate pair):
    tokens that were made for this answer are in no other.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def is_html(reply: Reply) -> bool:
    """Whether a page came where JSON should: that is not the service's own word."""
    return reply.body.lstrip()[:1] == b"<"


def object_of(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number_of(value: Any) -> float | None:
    """Finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
