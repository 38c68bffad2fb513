"""Reading what a service has answered: JSON in which what is not as it should be counts as missing."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from kirogw.wire import Json, Reply

HTML: Final = "an HTML page, so it comes from a proxy or a block on the way"


def parsed(body: str | bytes) -> Json | None:
    """The object that it is, None for anything else. Takes what strict readers refuse (NaN, half a surrogate pair):
    tokens that somebody has just been given exist nowhere else.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_object(body: str | bytes) -> Json:
    """The same, empty for anything else."""
    return parsed(body) or {}


def is_html(reply: Reply) -> bool:
    """Whether a page came where JSON should: that is not the service's own word."""
    return reply.body.lstrip()[:1] == b"<"


def object_of(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


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
