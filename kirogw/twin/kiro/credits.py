"""An account's credits: what it may spend, and how GetUsageLimits tells it.

An answer is paid from the trial, then from the bonuses, then from the plan; with overage beyond the plan, to the cap.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin.kiro.accounts import Account
from kirogw.wire import Json

STATUS: Final = {
    "": {True: "ENABLED", False: "DISABLED"},
    "long": {True: "OVERAGE_ENABLED", False: "OVERAGE_DISABLED"},
}


@dataclass(frozen=True)
class Telling:
    """The forms that are met. `milliseconds`: all times are in them, not only the trial's end. `precise`: the figures
    with fractions are there, beside those that are rounded down. `overage`: which spelling, "" or "long". `kind` is the
    type of the breakdown that counts credits; `before` are breakdowns of other kinds, listed before it. `strange` is
    the whole answer, in place of all that.
    """

    milliseconds: bool = False
    precise: bool = True
    overage: str = ""
    kind: str = "CREDIT"
    before: tuple[str, ...] = ()
    strange: Any = None


def left(account: Account) -> float:
    """Without overage."""
    rows: list[Json] = [*_extras(account), {"limit": account.limit, "used": account.used}]
    return float(sum(max(0.0, row["limit"] - row["used"]) for row in rows))


def gone(account: Account) -> bool:
    if left(account) > 0:
        return False
    return not account.overage or account.used - account.limit >= account.overage_cap


def spend(account: Account, credits: float) -> None:
    for row in _extras(account):
        paid = min(credits, max(0.0, row["limit"] - row["used"]))
        row["used"] += paid
        credits -= paid
    account.used += credits


def _extras(account: Account) -> Iterator[Json]:
    yield from (row for row in (account.trial, *account.bonuses) if row.get("status") == "ACTIVE")


def usage(account: Account, email: str | None) -> Any:
    """The answer of GetUsageLimits."""
    told, reset, now = Telling(**account.usage), _next_month(), time.time()
    if told.strange is not None:
        return told.strange
    plan = {
        "subscriptionTitle": "KIRO PRO", "type": "Q_DEVELOPER_STANDALONE_PRO", "overageCapability": "OVERAGE_CAPABLE",
        "upgradeCapability": "UPGRADE_CAPABLE", "subscriptionManagementTarget": "MANAGE",
    }  # fmt: skip
    others = [_row(told, kind, 1.0, 1.0, reset) for kind in told.before]
    return {
        "nextDateReset": _time(reset, told.milliseconds), "daysUntilReset": max(0, int((reset - now) / 86400)),
        "subscriptionInfo": plan, "overageConfiguration": {"overageStatus": STATUS[told.overage][account.overage]},
        "usageBreakdownList": [*others, _credit(told, account, reset)],
        "userInfo": {"userId": f"d-9067.{account.name}", "email": email},
    }  # fmt: skip


def _credit(told: Telling, account: Account, reset: float) -> Json:
    bonuses = [{**_amounts(told, row["used"], row["limit"]), "bonusCode": row["code"], "status": row["status"],
                "expiresAt": _time(row["expires_at"], told.milliseconds)} for row in account.bonuses]  # fmt: skip
    return {
        **_row(told, told.kind, account.used, account.limit, reset),
        "currentOverages": max(0, int(account.used - account.limit)), "overageCap": account.overage_cap,
        "overageRate": 0.04, "overageCharges": 0.0, "freeTrialInfo": _trial(told, account.trial), "bonuses": bonuses,
        "overageCredits": [],
    }  # fmt: skip


def _trial(told: Telling, trial: Json) -> Json | None:
    if not trial:
        return None
    end = _time(trial["expires_at"], True)
    return {"freeTrialStatus": trial["status"], "freeTrialExpiry": end, **_amounts(told, trial["used"], trial["limit"])}


def _row(told: Telling, kind: str, used: float, limit: float, reset: float) -> Json:
    return {
        "resourceType": kind, "displayName": kind.title(), "displayNamePlural": f"{kind.title()}s",
        "unit": "INVOCATIONS", "currency": "USD", **_amounts(told, used, limit),
        "nextDateReset": _time(reset, told.milliseconds),
    }  # fmt: skip


def _amounts(told: Telling, used: float, limit: float) -> Json:
    precise = {"currentUsageWithPrecision": round(used, 4), "usageLimitWithPrecision": float(limit)}
    return {"currentUsage": int(used), "usageLimit": int(limit)} | (precise if told.precise else {})


def _time(seconds: float, milliseconds: bool) -> float:
    return int(seconds * 1000) if milliseconds else float(seconds)


def _next_month() -> float:
    now = time.gmtime()
    return float(calendar.timegm((now.tm_year + now.tm_mon // 12, now.tm_mon % 12 + 1, 1, 0, 0, 0)))
