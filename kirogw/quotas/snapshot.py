"""What is known of an account's quota: a value, its form in the store and for people, and when to ask again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from kirogw.dialects.quota import Bucket, Quota
from kirogw.wire import Json

JITTER: Final = (0.8, 1.0)  # parts of the interval
AGAIN: Final = 30.0  # seconds after a question that brought nothing, doubling up to the interval
EXHAUSTED: Final = 3600.0  # with nothing left an account is looked at this seldom: its owner may buy more any time
AFTER_RESET: Final = (2.0, 30.0)
POINTS: Final = 64
EACH: Final = 3 * 3600.0  # seconds between two points of the history


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`quota`: the last that was told, None before the first. `tried`: when it was last asked for or told; `error` says
    why that brought nothing, `failures` how often in a row. `points`: time and credits used since the plan's last
    reset; none of windows, which are full again before a pace can be seen.
    """

    quota: Quota | None = None
    tried: float = 0.0
    error: str = ""
    failures: int = 0
    points: tuple[tuple[float, float], ...] = ()


NOTHING: Final = Snapshot()


def outdated(quota: Quota, now: float) -> bool:
    """What it says of being used up is not true any more, since a part of it was reset. Of windows it is when all that
    were used up have been.
    """
    resets = [quota.opens_at] if quota.windows and quota.exhausted else [] if quota.windows else _resets(quota)
    return any(reset is not None and quota.asked_at < reset <= now for reset in resets)


def _resets(quota: Quota) -> Iterator[float]:
    return (reset for reset in (quota.resets_at, *(bucket.resets_at for bucket in quota.buckets)) if reset)


def next_time(kept: Snapshot, interval: float, chance: Callable[[], float]) -> float:
    """After an answer an interval, a little less by chance; after a failure sooner; and when a part is full again."""
    quota = kept.quota
    wait = min(interval, AGAIN * 2.0 ** min(kept.failures - 1, 10)) if kept.failures else interval
    if quota and quota.exhausted and not kept.failures:
        wait = max(wait, EXHAUSTED)
    when = kept.tried + wait * _between(JITTER, chance)
    soonest = min((reset for reset in _resets(quota) if reset > kept.tried), default=None) if quota else None
    return when if soonest is None else min(when, soonest + _between(AFTER_RESET, chance))


def _between(ends: tuple[float, float], chance: Callable[[], float]) -> float:
    return ends[0] + (ends[1] - ends[0]) * chance()


def points(known: tuple[tuple[float, float], ...], quota: Quota) -> tuple[tuple[float, float], ...]:
    """The history with one more point, begun anew after a reset. The last point always is the newest."""
    if not quota.buckets or quota.windows:
        return known
    used = sum(bucket.used for bucket in quota.buckets)
    kept = known if not known or used >= known[-1][1] else ()
    if len(kept) > 1 and kept[-1][0] - kept[-2][0] < EACH:
        kept = kept[:-1]
    return (*kept, (quota.asked_at, used))[-POINTS:]


def merged(known: Quota | None, told: Quota) -> Quota:
    """What the head of an answer `told`, with what it does not say and is still true: it may leave out the plan, and
    windows. One that was used up and is not named any more is over: the account has just answered.
    """
    if known is None or known.windows != told.windows:
        return told
    named = {bucket.name for bucket in told.buckets}
    others = (bucket for bucket in known.buckets if bucket.name not in named and bucket.left)
    still = [bucket for bucket in others if not 0 < (bucket.resets_at or 0.0) <= told.asked_at]
    return replace(
        told, buckets=(*told.buckets, *still), plan=told.plan or known.plan, overage=told.overage or known.overage,
        overage_cap=known.overage_cap, overage_used=known.overage_used, resets_at=told.resets_at or known.resets_at,
        email=told.email or known.email, user=told.user or known.user,
    )  # fmt: skip


# As the store keeps it: all but whose account it is


def dumped(kept: Snapshot) -> Json:
    value: Json = {"tried": kept.tried, "error": kept.error, "failures": kept.failures, "points": list(kept.points)}
    if (quota := kept.quota) is not None:
        value["quota"] = {
            "asked_at": quota.asked_at, "buckets": [_row(bucket) for bucket in quota.buckets],
            "plan": quota.plan, "overage": quota.overage, "overage_cap": quota.overage_cap,
            "overage_used": quota.overage_used, "resets_at": quota.resets_at,
        }  # fmt: skip
        if quota.windows:
            value["quota"]["windows"] = True
    return value


def _row(bucket: Bucket) -> list[Any]:
    row = [bucket.name, bucket.used, bucket.limit, bucket.resets_at]
    return row if bucket.seconds is None else [*row, bucket.seconds]


def loaded(value: Json) -> Snapshot:
    """Back from the store; what another version has written otherwise counts as never asked for."""
    try:
        quota = _quota(value["quota"]) if "quota" in value else None
        history = tuple((float(at), float(used)) for at, used in value["points"])
        return Snapshot(quota, float(value["tried"]), str(value["error"]), int(value["failures"]), history)
    except (TypeError, ValueError, KeyError):
        return NOTHING


def _quota(value: Json) -> Quota:
    return Quota(
        float(value["asked_at"]), tuple(_bucket(*row) for row in value["buckets"]), str(value["plan"]),
        bool(value["overage"]), _maybe(value["overage_cap"]), float(value["overage_used"]), _maybe(value["resets_at"]),
        windows=bool(value.get("windows", False)),
    )  # fmt: skip


def _bucket(name: Any, used: Any, limit: Any, resets_at: Any, seconds: Any = None) -> Bucket:
    return Bucket(str(name), float(used), float(limit), _maybe(resets_at), _maybe(seconds))


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)


# For people and programs


def viewed(kept: Snapshot, now: float) -> Json:
    """`source`: all figures are the provider's own. `unit` is credits or percent; of windows, `left`, `used` and
    `limit` are those of the one that has the least.
    """
    quota, asked = kept.quota, {"tried_at": kept.tried, "error": kept.error}
    if quota is None:
        return {"known": False, **asked}
    rows = [{"name": b.name, "used": round(b.used, 4), "limit": b.limit, "left": round(b.left, 4),
             "resets_at": b.resets_at, "seconds": b.seconds} for b in quota.buckets]  # fmt: skip
    counted = sorted(quota.buckets, key=lambda bucket: bucket.left)[:1] if quota.windows else quota.buckets
    left = quota.left
    return {
        "known": left is not None, "source": "measured", "asked_at": quota.asked_at,
        "age_seconds": round(max(0.0, now - quota.asked_at)), **asked, "plan": quota.plan,
        "unit": "percent" if quota.windows else "credits",
        "left": None if left is None else round(left, 4), "used": round(sum(b.used for b in counted), 4),
        "limit": sum(b.limit for b in counted), "buckets": rows,
        "resets_at": counted[0].resets_at if quota.windows and counted else quota.resets_at,
        "exhausted": quota.exhausted and not outdated(quota, now),
        "overage": {"enabled": quota.overage, "cap": quota.overage_cap, "used": quota.overage_used},
    }  # fmt: skip
