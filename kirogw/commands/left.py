"""What an account has left, for people: credits, or windows of time with their ends."""

from __future__ import annotations

from typing import Final

from kirogw.commands.tables import span, when
from kirogw.wire import Json

UNKNOWN: Final = "not known"


def left(quota: Json | None) -> str:
    """For a table: `993.5 credits`, `5 hours 77 %, week 40 %`; "" where nobody has asked yet."""
    if quota is None:
        return ""
    if quota.get("left") is None:
        return UNKNOWN
    if quota["unit"] == "credits":
        return f"{quota['left']:,.2f}".rstrip("0").rstrip(".") + " credits"
    return ", ".join(f"{bucket['name']} {bucket['left']:.0f} %" for bucket in quota["buckets"])


def credits(quota: Json | None) -> str:
    """`993.5 of 1000 (plan 943.5, trial 50)`; "" for windows, and where nothing is known."""
    if not quota or quota.get("left") is None or quota["unit"] != "credits":
        return ""
    parts = ", ".join(f"{bucket['name']} {bucket['left']:g}" for bucket in quota["buckets"])
    return f"{quota['left']:g} of {quota['limit']:g} ({parts})"


def windows(quota: Json | None) -> list[tuple[str, str]]:
    """By name: `77 % left of 5 h, full in 3 h`."""
    if not quota or quota.get("unit") != "percent":
        return []
    return [(bucket["name"], _window(bucket)) for bucket in quota["buckets"]]


def _window(bucket: Json) -> str:
    long = f" of {span(bucket['seconds'])}" if bucket["seconds"] else ""
    full = f", full {when(bucket['resets_at'])}" if bucket["resets_at"] else ""
    return f"{bucket['left']:.0f} % left{long}{full}"
