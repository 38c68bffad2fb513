"""What accounts have left, as Codex CLI asks for it: as a body under its base URL, and in the head of an answer.

Codex knows windows of time, of which so much in a hundred is used until they begin anew. A plan with credits is such a
window as well, of a month. All numbers are whole in the body, or the whole body counts for nothing (Codex 0.169).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kirogw.dialects.quota import Quota
from kirogw.wire import Json

MONTH: Final = 30 * 86400
PLANS: Final = frozenset({
    "guest", "free", "go", "plus", "pro", "prolite", "free_workspace", "team", "business", "education", "quorum", "k12",
    "enterprise", "edu", "self_serve_business_usage_based", "enterprise_cbp_usage_based",
})  # fmt: skip
SLOTS: Final = ("primary", "secondary")


@dataclass(frozen=True, slots=True)
class Held:
    """An account's share. `title`: of its provider, for people; `ready`: it can serve now."""

    title: str
    ready: bool
    quota: Quota | None


@dataclass(frozen=True, slots=True)
class _Window:
    percent: float
    seconds: int
    resets_at: float


def usage(rows: Sequence[Held], now: float) -> Json:
    """All of them together. The windows of time come first; what else there is are further limits."""
    groups: defaultdict[str, list[Held]] = defaultdict(list)
    for row in rows:
        groups[row.title].append(row)
    ordered = sorted(groups.items(), key=lambda group: not any(row.quota and row.quota.windows for row in group[1]))
    limits = [(title, _limit(group, now)) for title, group in ordered]
    return {
        "plan_type": _plan([row for _, group in ordered for row in group]),
        "rate_limit": limits[0][1] if limits else None,
        "additional_rate_limits": [
            {"limit_name": title, "metered_feature": title.lower(), "rate_limit": limit} for title, limit in limits[1:]
        ],
        "credits": {"has_credits": False, "unlimited": False, "balance": None},
        "rate_limit_reached_type": None,
    }  # fmt: skip


def headers(quota: Quota | None, now: float) -> Mapping[str, str]:
    """Of the account that answers, as ChatGPT's own backend tells it; nothing when nothing is known."""
    if quota is None:
        return {}
    said: dict[str, str] = {}
    for slot, window in zip(SLOTS, _windows([quota], now), strict=False):
        said[f"x-codex-{slot}-used-percent"] = f"{window.percent:.1f}"
        said[f"x-codex-{slot}-window-minutes"] = str(window.seconds // 60)
        said[f"x-codex-{slot}-reset-at"] = str(int(window.resets_at))
    return said


def _limit(rows: Sequence[Held], now: float) -> Json:
    windows = _windows([row.quota for row in rows if row.quota], now)
    told: list[Json | None] = [_told(window, now) for window in windows[: len(SLOTS)]]
    told += [None] * (len(SLOTS) - len(told))
    used_up = all(row.quota is not None and row.quota.exhausted for row in rows)
    return {"allowed": any(row.ready for row in rows), "limit_reached": used_up,
            **{f"{slot}_window": window for slot, window in zip(SLOTS, told, strict=True)}}  # fmt: skip


def _told(window: _Window, now: float) -> Json:
    return {
        "used_percent": round(window.percent), "limit_window_seconds": window.seconds,
        "reset_after_seconds": max(0, math.ceil(window.resets_at - now)), "reset_at": int(window.resets_at),
    }  # fmt: skip


def _windows(quotas: Sequence[Quota], now: float) -> list[_Window]:
    """Those of all accounts, each length once, the shortest first. What resets nobody knows when does so in its length
    at the latest; several accounts have more when the first of them does.
    """
    used: defaultdict[int, float] = defaultdict(float)
    limits: defaultdict[int, float] = defaultdict(float)
    resets: defaultdict[int, list[float]] = defaultdict(list)
    for quota in quotas:
        for bucket in quota.buckets:
            seconds = int(bucket.seconds or MONTH)
            used[seconds] += bucket.used
            limits[seconds] += bucket.limit
            at = bucket.resets_at or (None if quota.windows else quota.resets_at)
            if at and at > now:
                resets[seconds].append(at)
    return [
        _Window(min(100.0, 100 * used[seconds] / limits[seconds]), seconds, min(resets[seconds], default=now + seconds))
        for seconds in sorted(limits) if limits[seconds] > 0
    ]  # fmt: skip


def _plan(rows: Sequence[Held]) -> str:
    """One of those that Codex knows: the plan of ChatGPT, else free or not."""
    plans = [row.quota.plan.lower() for row in rows if row.quota and row.quota.plan]
    known = next((plan for plan in plans if plan in PLANS), "")
    return known or ("unknown" if not plans else "pro" if any("free" not in plan for plan in plans) else "free")
