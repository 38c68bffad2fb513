"""What an account of ChatGPT's has left: two windows of time at most, in percent, told by an address of its own and by
the head of every answer (codex 8.2, 8.3). Does no I/O.

Which window is which tells its length alone; the slot does not: an account may have only the week, in the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kirogw.dialects.codex import faults
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.dialects.replied import number_of, object_of, parsed, text_of
from kirogw.wire import Json, Reply

NAMES: Final = {5 * 3600: "5 hours", 24 * 3600: "day", 7 * 86400: "week", 30 * 86400: "month"}
SLOTS: Final = ("primary", "secondary")
FULL: Final = 100.0


def name_of(length: float | None) -> str:
    """Of a window, by its length in seconds. Lengths that are told in minutes may be off by one."""
    if not length:
        return "plan"
    near = next((name for known, name in NAMES.items() if abs(known - length) <= 60), "")
    return near or f"{round(length / 60)} minutes"


def read(reply: Reply, now: float) -> Quota | Verdict:
    """The answer of `wham/usage`, or what the refusal means."""
    if reply.status != 200:
        return faults.judge(reply.status, reply.headers, reply.body)
    body = parsed(reply.body)
    return faults.lost("damaged") if body is None else _quota(body, now)


def _quota(body: Json, now: float) -> Quota:
    limit, credits = object_of(body.get("rate_limit")), object_of(body.get("credits"))
    buckets = tuple(filter(None, (_window(object_of(limit.get(f"{slot}_window")), now) for slot in SLOTS)))
    if limit.get("limit_reached") is True and buckets and all(bucket.left for bucket in buckets):
        buckets = ()  # a limit that the windows do not show: then nobody knows what is left
    overage = _beyond(credits.get("unlimited"), credits.get("has_credits"), credits.get("balance"))
    return Quota(
        now, _sorted(buckets), text_of(body.get("plan_type")), overage=overage,
        email=text_of(body.get("email")), user=text_of(body.get("user_id")), windows=True,
    )  # fmt: skip


def _window(row: Json, now: float) -> Bucket | None:
    used, length = _number(row.get("used_percent")), _number(row.get("limit_window_seconds"))
    return None if used is None else _bucket(used, length, row.get("reset_at"), row.get("reset_after_seconds"), now)


def told(headers: Mapping[str, str], now: float) -> Quota | None:
    """What the head of an answer says; None where it says nothing. Header names are in lower case."""
    buckets = []
    for slot in SLOTS:
        start = f"x-codex-{slot}-"
        used, minutes = _number(headers.get(f"{start}used-percent")), _number(headers.get(f"{start}window-minutes"))
        if used is not None and minutes:  # a slot that is not in use comes with zeros
            ends = headers.get(f"{start}reset-at"), headers.get(f"{start}reset-after-seconds")
            buckets.append(_bucket(used, minutes * 60, *ends, now))
    if not buckets:
        return None
    overage = _beyond(*(headers.get(f"x-codex-credits-{name}") for name in ("unlimited", "has-credits", "balance")))
    plan = headers.get("x-codex-plan-type", "")
    return Quota(now, _sorted(tuple(buckets)), plan, overage=overage, windows=True)


def _beyond(unlimited: Any, has: Any, balance: Any) -> bool:
    """Whether credits serve where the windows are used up: each is told as JSON or as text."""
    return _is_true(unlimited) or (_is_true(has) and _number(balance) != 0)


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _bucket(used: float, length: float | None, at: Any, after: Any, now: float) -> Bucket:
    """`after` goes before `at`: it does not depend on our clock."""
    left, ends = _number(after), _number(at)
    resets_at = now + left if left is not None else ends
    return Bucket(name_of(length), min(used, FULL), FULL, resets_at or None, length or None)


def _sorted(buckets: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
    return tuple(sorted(buckets, key=lambda bucket: bucket.seconds or 0.0))


def _number(value: Any) -> float | None:
    """Finite and not negative; headers hold it as text."""
    try:
        return number_of(float(value) if isinstance(value, str) else value)
    except ValueError:
        return None
