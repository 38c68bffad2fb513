"""The values of the pool: an account as it stands, what a request wants, and what it gets."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from kirogw.dialects.quota import Quota
from kirogw.errors import GatewayError
from kirogw.pool.health import READY, Health
from kirogw.pool.sessions import Bound

ALONE: Final = frozenset({"siwc"})
"""Kinds of logins that are each for their owner: several are not used in turn, unless the owner wants it so."""
PROBE_AGAIN: Final = 60.0  # seconds between two looks at an account that does not answer them
MOST_MARKS: Final = 200  # models that are remembered per account
LOOK_AGAIN: Final = 6 * 3600.0  # seconds after which a used-up plan is looked at again: credits can be bought


class Row(Protocol):
    """An account as whoever keeps the logins tells it. `limit`: answers at once; None: see the settings, 0: none.
    `state`: "ready" where nothing is wrong with its login.
    """

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def weight(self) -> float: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def state(self) -> str: ...


@dataclass(slots=True, eq=False)
class Account:
    """What the pool knows of an account. Only the pool changes it, under its lock; `learned` is the gateway's."""

    id: str
    kind: str = ""
    provider: str = ""  # Provider.name, by the kind
    name: str = ""
    label: str = ""
    enabled: bool = True
    weight: float = 1.0
    limit: int | None = None
    learned: bool = False  # has sent a metadataEvent once, so its absence means a cut

    health: Health = READY
    marks: dict[str, Health] = field(default_factory=dict)  # by model
    cured: dict[str, float] = field(default_factory=dict)  # by model: when nothing spoke against it any more
    cleared: float = 0.0  # likewise for all models, because its owner said so
    quota: Quota | None = None

    in_flight: int = 0
    elsewhere: int = 0  # in flight in other processes, as last heard
    room: float = 1.0  # how many more may start
    probing: int = 0  # requests on their way that try whether it works again
    gap: float = 0.0  # seconds between two starts, as of `limited`
    limited: float = 0.0  # when it was told last to go slower
    next_start: float = 0.0

    order: int = 0
    rank: float = 0.0  # the smallest is next
    turn: int = 0  # number of its last start
    passed: float = 0.0  # shares of its weight that it has had
    used: float = 0.0  # requests, of which older ones count less
    spent: float = 0.0  # credits, or percent of a window, since the last look at its quota

    whole: float = 1.0  # what of its quota is the unit in which accounts are compared: a credit, or all that there is

    looked_for: float = 0.0  # when to look at it again at the earliest
    requests: int = 0
    successes: int = 0
    failures: int = 0
    last_used: float = 0.0

    @property
    def state(self) -> str:
        return self.health.state if self.enabled else "disabled"

    def ready(self, now: float) -> bool:
        """Whether it can be asked; after a rest, that is found out by asking."""
        return self.enabled and not self.health.resting(now)

    def held(self, model: str) -> Health:
        """What is held against it for the model ("": whatever it is asked for), or since when nothing is."""
        if not model:
            return self.health
        return self.marks.get(model) or Health(at=max(self.cleared, self.cured.get(model, 0.0)))

    def cure(self, model: str, at: float) -> None:
        """Words on the model of before then speak no more against it, although they may still come."""
        self.cured[model] = max(at, self.cured.pop(model, 0.0))
        if len(self.cured) > MOST_MARKS:
            del self.cured[next(iter(self.cured))]

    def look_due(self, now: float) -> bool:
        """Whether a look at its quota would tell something: it is locked and should be tried, or used up and nobody has
        looked since, or not for long.
        """
        if not self.enabled or now < self.looked_for <= now + PROBE_AGAIN:
            return False
        asked = self.quota.asked_at if self.quota else None
        stale = asked is None or asked < self.health.since or now - asked >= LOOK_AGAIN
        rested = not self.health.resting(now)
        return (self.health.state == "suspended" and rested) or (self.health.state == "exhausted" and (rested or stale))


class Want(NamedTuple):
    """`only`: no other account may serve. `tried`: those that this request has failed on. `waited`: seconds that it has
    waited for a place so far. `begins`: the first word of a session; one of the same name is another one.
    """

    model: str
    session: str = ""
    only: Set[str] | None = None
    tried: Set[str] = frozenset()
    waited: float = 0.0
    begins: bool = False


@dataclass(slots=True, eq=False)
class Place:
    """A request's place at an account, from `began` until it is given back. `probe`: it tries the account anew."""

    account: Account
    model: str
    session: str
    began: float
    probe: bool = False
    moved_from: str = ""  # the account that its session was on before
    bound: Bound | None = None
    given_back: bool = False


class Full(NamedTuple):
    """Accounts fit, but each is at its limit, or must not be asked again so soon: come again after `wait` seconds, or
    when `Pool.wait(wait, seen)` returns.
    """

    wait: float
    seen: int = 0


class Nobody(NamedTuple):
    """No account can serve. `until`: when one can at the earliest, None when nobody knows. `reasons`: account id ->
    state, reason, until; the reason of one that is ready is "tried" where only this request has failed there, or why it
    lacks the model. `error`: what the client should hear; None when no account rests.
    """

    until: float | None
    reasons: dict[str, tuple[str, str, float]]
    error: GatewayError | None
