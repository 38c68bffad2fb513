"""How an account is, and what changes that. Pure: one table from what a verdict says to what becomes of the account.

An account that fails for a reason of its own rests; each further failure of the kind in a row makes the rest longer.
A rest never needs a person or a restart to end: after it, one request tries the account anew while the others still go
elsewhere (half open), and any success, or a fresh look at what is left of its plan, ends it before its time. What is
the request's fault, the network's or the model's never makes an account rest. (kiro 5.4, 5.5)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

from kirogw import errors
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Quota
from kirogw.errors import GatewayError
from kirogw.wire import Json

State: TypeAlias = Literal["ready", "cooling", "login", "exhausted", "suspended", "disabled"]
GRAVITY: Final[dict[str, int]] = {name: n for n, name in enumerate(get_args(State))}


@dataclass(frozen=True, slots=True)
class Step:
    """What a failure makes of an account. `rests`: seconds after the first, second... failure of the kind in a row.

    `soft`: how long is a guess of ours, so when nobody else can serve, the account is asked all the same. `mark`: it
    concerns the account and this model only; "lacks": the account is asked last for it; "short": others are asked
    first, but a conversation stays. `pace`: the account's next requests start at distances. `look`: a fresh quota shows
    that it is over.
    """

    state: State
    rests: tuple[float, ...]
    soft: bool = False
    mark: Literal["", "lacks", "short"] = ""
    pace: bool = False
    look: bool = True


LADDER: Final = (300.0, 1800.0, 7200.0)
STEPS: Final[dict[str, Step]] = {
    # rows of the provider's table of faults that need their own word
    "capacity": Step("cooling", (5.0, 15.0, 30.0), soft=True, mark="short", look=False),
    "unavailable": Step("cooling", (5.0, 15.0, 30.0), soft=True, mark="short", look=False),
    "refresh-failed": Step("cooling", LADDER, soft=True),
    "renew-failed": Step("cooling", LADDER, soft=True),
    "token": Step("login", (30.0, *LADDER), soft=True),
    # what else a verdict says of the account: its fate
    "slow": Step("cooling", (8.0, 30.0, 120.0), soft=True, pace=True, look=False),
    "exhausted": Step("exhausted", LADDER),
    "suspended": Step("suspended", (20.0, 300.0, 1800.0, 21600.0)),
    "login": Step("login", LADDER, soft=True),
    "attention": Step("cooling", (30.0, 300.0, 1800.0), soft=True),
    "lacks": Step("cooling", (600.0,), soft=True, mark="lacks", look=False),
}
SIGN_IN: Final = frozenset({"login", "refresh-failed", "renew-failed"})  # what whoever keeps the logins sees himself
LOGINS: Final = SIGN_IN | {"token"}  # what a new login ends
ASKED_FOR: Final = 600.0  # seconds for which the upstream's own word is taken; after that one try tells more
JUMP: Final = 10.0  # seconds by which something lies in the future only if the clock was set back
BURST: Final = 1.0  # seconds within which failures are one: requests that ran side by side fail together
PROBED: Final = 60.0  # seconds that a locked account is left to the probe with a look at its quota, before a request is
USED_UP: Final = "Wait for its reset, raise its limit or add an account"
LONGEST_PLAN: Final = 40 * 86400.0  # no plan is reset later than that; more is a mistake
RAISED: Final[dict[str, type[GatewayError]]] = {
    cls.__name__: cls
    for cls in (errors.Busy, errors.QuotaUsed, errors.Overloaded, errors.NeedsLogin, errors.Forbidden,
                errors.UnknownModel, errors.UpstreamFailed, errors.TimedOut)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Health:
    """Times are epoch seconds. `since`: when the state began; `at`: when something last changed or was confirmed.

    `until`: when one request may try again; `barred`: the end of that part of it that is no guess. `kind` is the row of
    STEPS; `reason` the provider's row, `evidence` its words, `request` its id, `error` the class of what clients hear.
    `told`: `until` is a reset that the provider told. `doubted`: a look at the quota has ended this rest once, and was
    wrong.
    """

    state: State = "ready"
    since: float = 0.0
    until: float = 0.0
    barred: float = 0.0
    kind: str = ""
    reason: str = ""
    evidence: str = ""
    request: str = ""
    error: str = ""
    failures: int = 0
    soft: bool = False
    told: bool = False
    doubted: bool = False
    at: float = 0.0

    def resting(self, now: float) -> bool:
        return now < self.until

    def newer(self, other: Health) -> bool:
        """Whether this is later news, or the graver ones of the same moment."""
        return _order(self) > _order(other)

    def opens(self, now: float) -> float:
        """When it may be asked if nobody else can serve."""
        return self.barred if self.soft and self.barred > now else self.until


READY: Final = Health()


def _order(health: Health) -> tuple[float, ...]:
    return health.at, GRAVITY[health.state], health.until, health.failures, -health.since


def step_of(verdict: Verdict) -> tuple[str, Step] | None:
    """The row for a verdict, with its name; None when it says nothing of the account."""
    for kind in (verdict.rule, verdict.fate):
        if step := STEPS.get(kind):
            return kind, step
    return None


def failed(
    health: Health, verdict: Verdict, now: float, *, began: float | None = None, reset: float | None = None
) -> Health:
    """Health after a failure of a request that began at `began`. `reset`: when a used-up plan is full again, if known;
    what the refusal itself says of that counts more.

    A grave state does not become a mild one by the failure of another request that was on its way.
    """
    found = step_of(verdict)
    if found is None or (GRAVITY[found[1].state] < GRAVITY[health.state] and health.resting(now)):
        return health
    kind, step = found
    same = health.kind == kind
    together = same and health.state != "ready" and (now - BURST if began is None else began) < health.at
    failures = max(1, health.failures + (not together)) if same else 1
    until = now + max(step.rests[min(failures, len(step.rests)) - 1], min(verdict.error.wait or 0.0, ASKED_FOR))
    barred = now + min(verdict.hint, ASKED_FOR) if verdict.hint else 0.0
    if together:
        until, barred = max(until, health.until), max(barred, health.barred)
    reset = now + verdict.hint if verdict.hint else reset
    if told := kind == "exhausted" and _soon(reset, now):
        until = reset or until
    return Health(
        step.state, health.since if same and health.state == step.state else now, until, barred,
        kind, verdict.rule, str(verdict.error), verdict.error.upstream_id, _class(verdict.error), failures,
        soft=step.soft, told=told, doubted=same and (health.doubted or (health.state == "ready" and failures > 1)),
        at=now,
    )  # fmt: skip


def _soon(reset: float | None, now: float) -> bool:
    return reset is not None and now < reset < now + LONGEST_PLAN


def _class(error: GatewayError) -> str:
    return next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in RAISED), "Forbidden")


def looked(health: Health, quota: Quota, now: float) -> Health:
    """Health after a fresh look at what the account has left.

    A look that finds nothing left is a guess until a request is refused. One that finds something, or that worked at
    all, ends a rest once; if the next request fails all the same, its word is not taken again before a success.
    """
    if quota.asked_at < health.at:
        return health
    if quota.exhausted:
        return _used_up(health, quota, now)
    step = STEPS.get(health.kind)
    unknown = health.state == "exhausted" and quota.left is None
    if health.state == "ready" or step is None or not step.look or unknown or health.doubted:
        return health
    return mended(health, now)


def mended(health: Health, now: float) -> Health:
    """It should work again, but nobody has seen that yet: if it does not, it rests longer than the last time."""
    return replace(READY, since=now, kind=health.kind, failures=health.failures, at=now)


def _used_up(health: Health, quota: Quota, now: float) -> Health:
    if health.state in ("suspended", "login") and health.resting(now):
        return health
    opens = quota.opens_at
    if opens is not None and opens <= now:
        return health  # that was before
    told = _soon(opens, now)
    until = opens if told and opens else now + LADDER[0]
    if health.state == "exhausted":
        same = health.until == until if told else health.resting(now)
        return health if same else replace(health, until=until, told=told, at=now)
    return Health("exhausted", now, until, kind="exhausted", reason="quota", error="QuotaUsed", soft=True, told=told,
                  evidence=f"The account's plan is used up: {_figures(quota)}. {USED_UP}.", at=now)  # fmt: skip


def _figures(quota: Quota) -> str:
    if quota.windows:
        return ", ".join(f"all of {bucket.name}" for bucket in quota.buckets if not bucket.left)
    used = sum(bucket.used for bucket in quota.buckets)
    return f"{used:g} of {sum(bucket.limit for bucket in quota.buckets):g} credits"


def set_back(health: Health, now: float) -> Health:
    """What was noted before the clock was set back lies in the future: as if it were of now. That an account was well
    is no news then.
    """
    ahead = health.at - now
    if ahead <= 0:
        return health
    if health.state == "ready":
        return replace(health, at=0.0, since=min(health.since, now))
    return replace(
        health, at=now, since=min(health.since, now), until=health.until if health.told else health.until - ahead,
        barred=max(0.0, health.barred - ahead),
    )  # fmt: skip


def served(now: float) -> Health:
    """A success ends everything. What is kept is its time, so that older news of another process do not win."""
    return replace(READY, since=now, at=now)


def error(health: Health, now: float) -> GatewayError:
    """What a client hears of an account that rests. `wait` is told where the end of the rest means something."""
    raised = RAISED.get(health.error, errors.Forbidden)(health.evidence)
    if not isinstance(raised, errors.QuotaUsed) or health.told:  # else our rest only ends with a look
        raised.wait = max(1.0, health.opens(now) - now)
    return raised


def written(health: Health) -> Json:
    """As the store keeps it: what is not as in READY."""
    return {name: value for name in Health.__slots__ if (value := getattr(health, name)) != getattr(READY, name)}


def read(kept: Json, now: float) -> Health:
    """Back from `written`. What is missing or of no use, because another version wrote it, counts as not said; what
    comes from the future, because a clock is wrong, as of now.
    """
    known: dict[str, Any] = {}
    for name in Health.__slots__:
        value, usual = kept.get(name), getattr(READY, name)
        if isinstance(value, type(usual)) or (isinstance(usual, float) and type(value) is int):
            known[name] = value
    if known.get("state", "ready") not in GRAVITY:
        known["state"] = "ready"
    found = Health(**known)
    return set_back(found, now) if found.state != "ready" else replace(found, at=min(found.at, now))
