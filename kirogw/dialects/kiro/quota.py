"""What an account may still use: asking GetUsageLimits, and reading its answer. Does no I/O.

The plan, an active trial and active bonuses are one sum. What can not be read is not known; it is never nothing.

Source: kiro 2.2 (GetUsageLimits), 5.4 (a locked account answers this call with 403 and says so).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kirogw.dialects.kiro import faults
from kirogw.dialects.kiro.credential import text
from kirogw.dialects.kiro.login import control_request
from kirogw.dialects.provider import Login, Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.dialects.replied import list_of, number_of, object_of, parsed
from kirogw.settings import Settings
from kirogw.wire import Json, Reply, Request

KINDS: Final = ("AGENTIC_REQUEST", "CREDIT")  # of a breakdown: which of them counts credits, the best first
ENABLED: Final = frozenset({"ENABLED", "OVERAGE_ENABLED"})
MILLISECONDS: Final = 1e11  # a time above this is no time in seconds: that would be the year 5138


def request(login: Login, base: str, settings: Settings, profile: str = "") -> Request:
    """GetUsageLimits. `base` may hold {region}. `profile`: the ARN where it is not the login's own, as for an API key,
    which has one only on the control plane, and for a Builder ID, which may send none elsewhere.
    """
    body: Json = {"origin": settings.kiro_origin, "resourceType": KINDS[0], "isEmailRequired": True}
    placeholder = settings.kiro_placeholder_arn if login.kind == "builder" else ""
    if arn := profile or login.profile or placeholder:
        body["profileArn"] = arn
    return control_request("GetUsageLimits", login, base, settings, body)


def read(reply: Reply, now: float) -> Quota | Verdict:
    """What the account has left, as told at `now`; or what the refusal means, a suspension among others."""
    if reply.status != 200:
        return faults.judge(reply.status, reply.headers, reply.body)
    body = parsed(reply.body)
    return faults.lost("damaged") if body is None else _quota(body, now)


def _quota(body: Json, now: float) -> Quota:
    plan, person = object_of(body.get("subscriptionInfo")), object_of(body.get("userInfo"))
    overage = text(object_of(body.get("overageConfiguration")), "overageStatus").upper() in ENABLED
    row = _breakdown(body)
    resets_at = _when(row.get("nextDateReset")) or _when(body.get("nextDateReset"))
    buckets = _buckets(row, resets_at)
    beyond, used, limit = _figure(row, "currentOverages"), _figure(row, "currentUsage"), _figure(row, "usageLimit")
    if beyond is None and used is not None and limit is not None:
        beyond = max(0.0, used - limit)
    return Quota(
        now, buckets, text(plan, "subscriptionTitle") or text(plan, "type"),
        overage=overage, overage_cap=_figure(row, "overageCap") or None, overage_used=beyond or 0.0,
        resets_at=resets_at, email=text(person, "email"), user=text(person, "userId"),
    )  # fmt: skip


def _breakdown(body: Json) -> Json:
    """The row that counts credits: by its type, for the order of rows means nothing."""
    rows = [row for row in list_of(body.get("usageBreakdownList")) if isinstance(row, dict)]
    fit = (row for kind in KINDS for row in rows if text(row, "resourceType").upper() == kind)
    return next((row for row in fit if _figure(row, "usageLimit") is not None), {})


def _buckets(row: Json, resets_at: float | None) -> tuple[Bucket, ...]:
    """All that counts now. None at all when one of them can not be read and the others are used up: then nobody knows
    whether anything is left."""
    found = [_bucket("plan", row, resets_at), *_extras(row)]
    known = tuple(bucket for bucket in found if bucket is not None)
    return known if len(known) == len(found) or any(bucket.left for bucket in known) else ()


def _extras(row: Json) -> Iterator[Bucket | None]:
    trial = object_of(row.get("freeTrialInfo"))
    if text(trial, "freeTrialStatus") == "ACTIVE":
        yield _bucket("trial", trial, _when(trial.get("freeTrialExpiry")))
    for bonus in map(object_of, list_of(row.get("bonuses"))):
        if text(bonus, "status") == "ACTIVE":
            name = f"bonus {text(bonus, 'bonusCode')}".rstrip()
            yield _bucket(name, bonus, _when(bonus.get("expiresAt")))


def _bucket(name: str, row: Json, resets_at: float | None) -> Bucket | None:
    """None: it can not be read. A plan whose limit is 0 says nothing of how much there is."""
    used, limit = _figure(row, "currentUsage"), _figure(row, "usageLimit")
    if used is None or limit is None or (name == "plan" and not limit):
        return None
    return Bucket(name, used, limit, resets_at)


def _figure(row: Json, name: str) -> float | None:
    """The precise member if there is one: the other is rounded down."""
    return next((n for key in (f"{name}WithPrecision", name) if (n := number_of(row.get(key))) is not None), None)


def _when(value: Any) -> float | None:
    """Epoch seconds. `freeTrialExpiry` comes in milliseconds, all others in seconds; the size tells."""
    seconds = number_of(value) or 0.0
    if seconds > MILLISECONDS:
        seconds /= 1000
    return seconds if 0 < seconds <= MILLISECONDS else None
