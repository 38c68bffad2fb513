"""An account as people see it: a row without a secret, for the status pages, the command line and the figures."""

from __future__ import annotations

from dataclasses import asdict

from kirogw.dialects.quota import Quota
from kirogw.pool.account import Account
from kirogw.pool.health import Health
from kirogw.pool.schedule import gap
from kirogw.wire import Json


def row(account: Account, now: float) -> Json:
    """`half_open`: its rest is over, and the next request finds out. `in_flight` counts all processes, as last heard.
    Times are epoch seconds, None where there is none.
    """
    return {
        "id": account.id, "kind": account.kind, "provider": account.provider, "name": account.name,
        "label": account.label, "enabled": account.enabled, "weight": account.weight, "limit": account.limit,
        **_health(account.health, now), "state": account.state,
        "half_open": account.enabled and account.health.state != "ready" and not account.health.resting(now),
        "can_serve": account.ready(now),
        "in_flight": account.in_flight + account.elsewhere, "pace": round(gap(account, now), 3),
        "requests": account.requests, "successes": account.successes, "failed": account.failures,
        "last_used": account.last_used or None,
        "models": [{"model": model, **_health(m, now)} for model, m in account.marks.items() if m.resting(now)],
        "quota": _quota(account.quota) if account.quota else None,
    }  # fmt: skip


def _health(health: Health, now: float) -> Json:
    wrong = health.state != "ready"
    return {
        "state": health.state, "reason": health.reason if wrong else "", "since": health.since or None,
        "until": health.until if wrong else None, "seconds": max(0, round(health.until - now)) if wrong else 0,
        "evidence": health.evidence if wrong else "", "upstream_request": health.request if wrong else "",
        "failures": health.failures if wrong else 0,
    }  # fmt: skip


def _quota(quota: Quota) -> Json:
    return {
        "asked_at": quota.asked_at, "plan": quota.plan, "left": quota.left, "exhausted": quota.exhausted,
        "resets_at": quota.opens_at, "windows": quota.windows, "overage": quota.overage,
        "buckets": [asdict(bucket) for bucket in quota.buckets],
    }  # fmt: skip
