"""An account's usage windows as ChatGPT tells them: the usage endpoint, the headers, the event in a stream."""

from __future__ import annotations

import time
from typing import Any

from kirogw.twin.codex.accounts import Account
from kirogw.wire import Json


def is_full(account: Account) -> Json:
    """The window that is used up and has not begun anew, {} while there is room (or credit)."""
    if account.credits.get("has_credits") or account.credits.get("unlimited"):
        return {}
    return next((window for window in (account.primary, account.secondary)
                 if window and used(window) >= 100), {})  # fmt: skip


def used(window: Json) -> float:
    """Percent; a window whose end has passed is fresh."""
    return 0.0 if 0 < window.get("resets_at", 0) <= time.time() else float(window["used"])


def spend(account: Account, percent: float) -> None:
    for window in (account.primary, account.secondary):
        if window:
            window["used"] = min(100.0, used(window) + percent)


def usage(account: Account) -> Json:
    """The body of GET /wham/usage."""
    families = [{"limit_name": limit["name"], "metered_feature": limit["feature"],
                 "rate_limit": _rate_limit(limit.get("primary") or {}, limit.get("secondary") or {})}
                for limit in account.more_limits]  # fmt: skip
    full = is_full(account)
    return {
        "user_id": account.user, "account_id": account.workspace, "email": account.email, "plan_type": account.plan,
        "rate_limit": _rate_limit(account.primary, account.secondary, bool(full)),
        "code_review_rate_limit": None, "additional_rate_limits": families or None,
        "credits": {**account.credits, "approx_local_messages": [0, 0], "approx_cloud_messages": [0, 0]},
        "rate_limit_reached_type": {"type": account.reached or "rate_limit_reached"} if full else None,
        "rate_limit_reset_credits": {"available_count": 0},
    }  # fmt: skip


def _rate_limit(primary: Json, secondary: Json, reached: bool | None = None) -> Json:
    reached = any(window and used(window) >= 100 for window in (primary, secondary)) if reached is None else reached
    return {"allowed": not reached, "limit_reached": reached, "primary_window": _window(primary),
            "secondary_window": _window(secondary)}  # fmt: skip


def _window(window: Json) -> Json | None:
    if not window:
        return None
    ends = int(window["resets_at"])
    return {"used_percent": used(window), "limit_window_seconds": window["seconds"],
            "reset_after_seconds": max(0, ends - int(time.time())), "reset_at": ends}  # fmt: skip


def headers(account: Account) -> dict[str, str]:
    """x-codex-* of an answer."""
    said = {"plan-type": account.plan, "active-limit": "premium"}
    for slot, window in (("primary", account.primary), ("secondary", account.secondary)):
        said |= _headers(slot, window)
    if account.primary and account.secondary:
        said["primary-over-secondary-limit-percent"] = "0"
    for limit in account.more_limits:
        family = limit["feature"].removeprefix("codex_").replace("_", "-")  # codex_bengalfox: x-codex-bengalfox-...
        said[f"{family}-limit-name"] = limit["name"]
        for slot in ("primary", "secondary"):
            said |= _headers(f"{family}-{slot}", limit.get(slot) or {})
    said |= {f"credits-{name.replace('_', '-')}": str(account.credits.get(name))
             for name in ("has_credits", "unlimited", "balance")}  # fmt: skip
    return {f"x-codex-{name}": value for name, value in said.items()}


def _headers(slot: str, window: Json) -> dict[str, str]:
    if not window:
        return {}
    ends = int(window["resets_at"])
    return {f"{slot}-used-percent": f"{used(window):g}", f"{slot}-window-minutes": str(window["seconds"] // 60),
            f"{slot}-reset-after-seconds": str(max(0, ends - int(time.time()))),
            f"{slot}-reset-at": str(ends)}  # fmt: skip


def event(account: Account) -> Json:
    """The members of a codex.rate_limits event."""
    def told(window: Json) -> Json | None:
        if not window:
            return None
        return {"used_percent": used(window), "window_minutes": window["seconds"] // 60,
                "reset_at": int(window["resets_at"])}  # fmt: skip

    full = bool(is_full(account))
    limits: Json = {"allowed": not full, "limit_reached": full, "primary": told(account.primary),
                    "secondary": told(account.secondary)}  # fmt: skip
    return {"plan_type": account.plan, "rate_limits": limits, "code_review_rate_limits": None,
            "credits": account.credits, "metered_limit_name": "codex", "promo": None}  # fmt: skip


def exceeded(account: Account, window: Json) -> Json:
    """The error of a 429 when `window` is full."""
    if account.kind == "siwc":  # no time is told
        return {"type": "usage_limit_reached", "code": "subscription_sharing_usage_limit_exceeded",
                "message": "The usage limit of the subscription has been reached.", "param": None}  # fmt: skip
    ends: Any = int(window["resets_at"])
    return {
        "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": account.plan,
        "resets_at": ends, "resets_in_seconds": max(0, ends - int(time.time())), "eligible_promo": None,
    }  # fmt: skip
