"""What an upstream said when it failed, and what of it may be shown: the same for every provider."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from kirogw.redact import clean

LONGEST_HINT: Final = 31 * 86400.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure as it was read. `said` is the message in lower case, `hint` seconds to wait as the upstream asked for.

    `reason` and `type` are the words that its provider knows failures by, as that provider's reader took them.
    """

    status: int = 0
    type: str = ""
    reason: str = ""
    message: str = ""
    said: str = ""
    page: bool = False
    hint: float | None = None
    request_id: str = ""


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body[:200].lstrip()[:1] == b"<"


def seconds(value: Any, unit: float = 1.0) -> float | None:
    """A number, or the text of one, in seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value) / unit
    except (ValueError, OverflowError):
        return None
    return min(found, LONGEST_HINT) if math.isfinite(found) and found >= 0 else None


def until(then: str, now: str) -> float | None:
    """From the server's own `Date` to the date that it names, so that nobody's clock matters."""
    try:
        return seconds((parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds(), 1.0)
    except (ValueError, TypeError, OverflowError):
        return None


_PRIVATE: Final = re.compile(
    r"(?i:(?<=user id )\([^)]*\))"
    r"|arn:[\w:/.*-]+|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|(?=[\w+/=.:~-]*\d)[\w+/=.:~-]{32,}",  # a long word with a digit: an id, a key, a piece of one
    re.ASCII,
)


def quoted(fault: Fault) -> str:
    """The upstream's own words, as far as they may be shown: one line, short, without ids or anything secret."""
    words = " ".join(_PRIVATE.sub("...", clean(fault.message[:2000])).split()).replace('"', "'").rstrip(".")
    return words if len(words) <= 200 else f"{words[:197]}..."


_FIGURES: Final = (
    re.compile(r"(\d{1,12}) tokens? > (\d{1,12})"),
    re.compile(r"(\d{1,12}) \+ (\d{1,12}) > (\d{1,12})"),  # input and max_tokens together
)


def figures(message: str) -> tuple[int | None, int | None]:
    """How many tokens there are, and how many there may be."""
    for pattern in _FIGURES:
        if match := pattern.search(message.replace(",", "")):
            *tokens, limit = map(int, match.groups())
            return sum(tokens), limit
    return None, None
