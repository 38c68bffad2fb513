"""The values that /api/ gives, by name: the schemas of the OpenAPI document, to which tests hold the answers.

Times are in epoch seconds. None has a place for a secret but Export, Backup and NewKey, which are asked for as such.
"""

from __future__ import annotations

from typing import Final

from kirogw.logins.walk import KINDS as SIGN_INS
from kirogw.web.admin.shape import by_name, many, maybe, named, number, record, text, truth, whole
from kirogw.wire import Json

STATES: Final = ("ready", "cooling", "exhausted", "suspended", "login", "disabled")
SOURCES: Final = ("measured", "derived", "estimated")
KINDS: Final = ("social", "idc", "builder", "external", "key", "codex", "siwc", "")
PROVIDERS: Final = ("kiro", "codex", "")
HEAVIEST: Final = 1000.0
LABEL: Final = text(maxLength=100)
NAME: Final = text(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
GROUPS: Final = ("day", "account", "key", "model")
WHEN: Final = maybe(number("epoch seconds"))
FREE: Final[Json] = {"type": "object"}

_SOURCE: Final = text(enum=list(SOURCES))
_HEALTH: Final[Json] = {
    "state": text(enum=list(STATES)), "since": WHEN, "until": maybe(number("when it may serve again, epoch seconds")),
    "seconds": whole("until then"), "reason": text("the rule that was met"), "evidence": text("what was said then"),
    "upstream_request": text("the upstream's id of that request"), "failures": whole("in a row"),
}  # fmt: skip
_LOAD: Final[Json] = {
    "can_serve": truth(), "half_open": truth("its rest is over, and the next request finds out"),
    "in_flight": whole("answers on their way, in all processes"), "last_used": WHEN,
}  # fmt: skip
_WHO: Final[Json] = {
    "id": text(), "label": text(), "kind": text(enum=list(KINDS)), "provider": text(enum=list(PROVIDERS)),
    "name": text("whose it is, masked"), "plan": text("as its provider calls it; empty: not known"),
}  # fmt: skip
_LIMIT: Final = maybe(whole("answers at once; 0: no limit; null: as the settings say"))
_LIMITS: Final[Json] = {
    "minute": whole("requests in any 60 seconds", minimum=0, maximum=100_000),
    "concurrent": whole("requests at once", minimum=0, maximum=10**6),
    "day_tokens": whole(minimum=0, maximum=10**14), "day_credits": number(minimum=0, maximum=1e12),
    "month_tokens": whole(minimum=0, maximum=10**14), "month_credits": number(minimum=0, maximum=1e12),
}  # fmt: skip
TERMS: Final[Json] = {
    "scopes": many(text(enum=["api", "admin"]), maxItems=2),
    "models": many(text(minLength=1, maxLength=128), "patterns with * and ?; empty: all", maxItems=100),
    "accounts": many(text(minLength=1, maxLength=200), "ids or labels; empty: all", maxItems=100),
    "expires_at": maybe(number("epoch seconds; null: never", minimum=0, maximum=1e11)),
    "limits": record({}, _LIMITS, about="0: no limit; days and months are UTC's"), "note": text(maxLength=500),
    "aliases": many(text(minLength=3, maxLength=300), "its own names for models: name=model", maxItems=100),
    "fallbacks": many(text(minLength=3, maxLength=2000), "what it gets when no account can serve: model=next>next",
                      maxItems=100),
}  # fmt: skip

SCHEMAS: Final[Json] = {
    "Account": record(
        {
            **_WHO, "source": text("where its login lies"), "stored": truth("its login lies in the gateway's store"),
            "enabled": truth(), "weight": number(), "limit": _LIMIT, "login": named("Login"), **_HEALTH, **_LOAD,
            "pace": number("seconds between two starts after a rate limit"),
            "requests": whole("of this process"), "successes": whole(), "failed": whole(),
            "models": many(named("ModelHealth")), "quota": maybe(named("Quota")),
        },
    ),
    "Accounts": record({"accounts": many(named("Account"))}),
    "Login": record(
        {
            "state": text(enum=["ready", "failing", "waiting", "login"]), "reason": text(),
            "expires_at": maybe(number("when its access token ends, epoch seconds")),
        },
        about="Of the login alone: whether it can be renewed",
    ),
    "ModelHealth": record({"model": text(), **_HEALTH}),
    "Quota": record(
        {"known": truth(), "tried_at": number(), "error": text("why the last question brought nothing")},
        {
            "source": _SOURCE, "asked_at": number("epoch seconds"), "age_seconds": whole(),
            "plan": text(), "unit": text("of windows it is percent, and left, used and limit are those of the one that "
                                         "has the least", enum=["credits", "percent"]),
            "left": maybe(number()), "used": number(), "limit": number(),
            "buckets": many(named("Bucket")), "exhausted": truth(), "resets_at": WHEN,
            "overage": record({"enabled": truth(), "cap": maybe(number()), "used": number()}),
            "pace": maybe(named("Pace")),
        },
    ),
    "Bucket": record(
        {
            "name": text(), "used": number(), "limit": number(), "left": number(), "resets_at": WHEN,
            "seconds": maybe(number("how long a window is")),
        },
    ),
    "Pace": record(
        {
            "credits_per_day": number(), "source": _SOURCE, "basis": text(), "left": number(),
            "empty_at": WHEN, "resets_at": WHEN, "says": text("for people"),
        },
    ),
    "Added": record(
        {
            "accounts": many(record({"id": text("empty in a dry run"), "kind": text(enum=list(KINDS)), "name": text(),
                                     "new": truth(), "where": text("its place in the file")})),
            "problems": many(text("what could not be taken, and why")),
            "settings": many(record({"name": text(), "value": text("empty for a secret")}),
                             "of another gateway, for its owner to take over"),
        },
    ),
    "Export": record({"kirogw_accounts": whole(), "exported_at": number(), "count": whole(), "accounts": many(FREE)}),
    "Tested": record(
        {
            "id": text(), "ok": truth(), "ms": whole(),
            "steps": many(record({"step": text(), "ok": truth(), "message": text()})),
        },
    ),
    "Asked": record({"asked": many(text("account")), "failed": by_name(text("why"), "by account")}),
    "Status": record(
        {
            "mode": text(), "sticky_sessions": truth(), "total": whole(), "healthy": whole("that can serve now"),
            "states": by_name(whole()), "in_flight": whole(), "accounts": many(named("AccountStatus")),
        },
    ),
    "AccountStatus": record(
        {
            **_WHO, **{name: _HEALTH[name] for name in ("state", "reason", "since", "until", "seconds")}, **_LOAD,
            "limit": _LIMIT, "models": many(named("ModelHealth")), "quota": maybe(named("Quota")),
        },
    ),
    "SignIn": record(
        {
            "id": text(), "kind": text(enum=list(SIGN_INS)),
            "state": text(enum=["pending", "done", "failed", "cancelled"]), "step": text(),
            "url": text("what to open"), "code": text("what to type or compare there"), "provider": text(),
            "start_url": text(), "region": text(), "paste": truth("whether an address may be pasted"),
            "ends_at": number(), "again_at": maybe(number("when to ask again")), "notice": text(), "reason": text(),
            "account": text("the account that it became"), "who": text("whose it is, masked"),
        },
    ),
    "Key": record(
        {
            "name": text(), "id": text(), "state": text(enum=["active", "expired", "revoked"]), **TERMS,
            "secrets": many(record({"hint": text("its last letters"), "made_at": number(), "until": WHEN})),
            "created_at": number(), "revoked_at": WHEN,
        },
    ),
    "NewKey": record({"key": text("the key itself, shown this once"), "record": named("Key")}),
    "Sums": record(
        {
            **{name: whole() for name in ("requests", "served", "left", "refused", "limited", "failed")},
            "tokens": record({kind: named("Tokens") for kind in ("input", "output", "cached")}),
            "credits": record({"value": number(), "source": _SOURCE, "requests_without_price": whole()}),
            "ms_mean": maybe(number()), "first_ms_mean": maybe(number()),
        },
        {name: text() for name in GROUPS},
    ),
    "Tokens": record({"total": whole(), **{source: whole() for source in SOURCES}}),
    "Stats": record(
        {
            "since": text(), "until": text(), "days": whole(), "timezone": text(), "total": named("Sums"),
            "today": named("Sums"), **{f"by_{name}": many(named("Sums")) for name in GROUPS},
        },
    ),
    "State": record(
        {
            "version": text(), "store": text("where the state lies"), "leader": text("who works for all"),
            "processes": many(text()), "demo": truth(),
        },
    ),
    "Setting": record(
        {
            "name": text(), "value": text("empty for a secret"), "default": text(), "secret": truth(),
            "set": truth("it is not the default"), "group": text(), "help": text(),
        },
    ),
    "Event": record({"number": whole(), "event": FREE}),
    "Backup": {**FREE, "description": "A file for POST /api/restore", "required": ["name", "format", "content"]},
    "Restored": record(
        {
            "made_at": number(), "documents": by_name(whole(), "how many of each kind"), "files": many(text()),
            "newer": many(text("logins of here that are newer, and stay")),
            "gone": many(text("accounts whose logins are here and not in the file")), "dry_run": truth(),
        },
    ),
    "Done": record({"done": truth()}),
}  # fmt: skip
