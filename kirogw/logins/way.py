"""What a way of signing in is: one sign-in as a value, and what each provider does in its steps.

What is the same for all of them, the steps themselves, is in `walk.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

from kirogw.dialects.credential import Credential
from kirogw.dialects.signin import Callback, Device, Unable
from kirogw.errors import BadRequest, UpstreamFailed
from kirogw.logins.redeem import Post
from kirogw.settings import Settings
from kirogw.wire import Json, Reply, Request

T = TypeVar("T")

Step: TypeAlias = Literal["device", "browser", "exchange", "keep", "done", "failed", "cancelled"]
OVER: Final = ("done", "failed", "cancelled")
STATES: Final[Mapping[str, str]] = {"done": "done", "failed": "failed", "cancelled": "cancelled"}
TRIES: Final = 3
PAUSE: Final = 1.0  # seconds before the second try, twice that before the third


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in on its way. Times in epoch seconds; `interval` and all that is secret stay inside.

    `url` is what to open, `code` what to type or compare there. `notice` is what its user should know meanwhile,
    `reason` why it failed, or what the login is worth; `who` whose it is, `account` the account that it became.
    `into` is the account that is to be renewed, whoever signs in. Until `claimed` somebody is at the next step.
    `port` is that of this machine which the browser comes back to.
    """

    id: str
    kind: str
    step: Step
    ends_at: float
    how: str = ""
    provider: str = ""
    start_url: str = ""
    region: str = ""
    label: str = ""
    into: str = ""
    url: str = ""
    code: str = ""
    notice: str = ""
    reason: str = ""
    account: str = ""
    who: str = ""
    interval: float = 0.0
    next_at: float = 0.0
    stumbles: int = 0
    claimed: float = 0.0
    device: str = field(default="", repr=False)
    client: Json = field(default_factory=dict, repr=False)
    state: str = field(default="", repr=False)
    verifier: str = field(default="", repr=False)
    nonce: str = field(default="", repr=False)
    port: int = 0
    credential: Json = field(default_factory=dict, repr=False)

    @property
    def over(self) -> bool:
        return self.step in OVER

    def due(self, now: float) -> bool:
        """Whether `Walk.poll` has something to do."""
        if self.over or now < self.claimed:
            return False
        return now >= self.ends_at or (self.step in ("device", "keep") and now >= self.next_at)

    def as_json(self) -> Json:
        return asdict(self)

    @classmethod
    def of(cls, members: Json) -> Flow:
        return cls(**members)

    def shown(self) -> Json:
        """For its user: no secret but the address that only he should open."""
        waits = not self.over
        return {
            "id": self.id, "kind": self.kind, "state": STATES.get(self.step, "pending"), "step": self.step,
            "url": self.url if waits else "", "code": self.code if waits else "", "provider": self.provider,
            "start_url": self.start_url, "region": self.region, "paste": self.step == "browser",
            "ends_at": self.ends_at, "again_at": self.next_at if self.step in ("device", "keep") else None,
            "notice": self.notice if waits else "", "reason": self.reason, "account": self.account, "who": self.who,
        }  # fmt: skip


Outcome: TypeAlias = Credential | Unable | Flow
"""What a step brought: the login; why there is none (yet); or the flow with what comes next."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a way may use. `post` sends a request and reads the whole reply, or raises UpstreamFailed; `host()` is the
    name of this installation; `known(id)` is `auth.Logins.known`.
    """

    settings: Settings
    post: Post
    now: Callable[[], float]
    sleep: Callable[[float], None]
    host: Callable[[], str]
    known: Callable[[str], Credential | None]

    def asked(self, request: Request, read: Callable[[Reply], T | Unable]) -> T | Unable:
        """What `read` makes of the reply; what may pass is tried again."""
        outcome: T | Unable = Unable("later", "no answer")
        for n in range(TRIES):
            if n:
                wait = getattr(outcome, "wait", None) or 0.0
                self.sleep(min(max(PAUSE * 2 ** (n - 1), wait), 5.0))
            try:
                outcome = read(self.post(request))
            except UpstreamFailed as error:
                outcome = Unable("later", str(error), error.wait)
            if not isinstance(outcome, Unable) or outcome.outcome not in ("later", "slower"):
                break
        return outcome


class Way(Protocol):
    """The sign-ins of one provider."""

    @property
    def kinds(self) -> tuple[str, ...]: ...

    @property
    def logins(self) -> frozenset[str]:
        """The kinds of logins of this provider: only an account of one of them can be renewed this way."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Of this machine, where the browser comes back to."""

    def begin(self, flow: Flow, params: Mapping[str, Any]) -> Flow:
        """One that waits for its user, by a code or on a page; or has failed. Raises BadRequest."""

    def ports(self, flow: Flow) -> tuple[int, ...]:
        """Of this machine, that the page may come back to, in order of trial; 0 is any."""

    def page(self, flow: Flow) -> str:
        """Where the user signs in, once the flow has its port."""

    def polled(self, flow: Flow, now: float) -> Outcome:
        """One poll of a flow that waits for a code to be approved. Raises UpstreamFailed."""

    def arrived(self, flow: Flow, url: str) -> Callback:
        """What the address holds. Raises signin.NotACallback."""

    def exchanged(self, flow: Flow, back: Callback, now: float) -> Outcome:
        """What comes of it; there is no error in it."""


def waiting(flow: Flow, device: Device, now: float) -> Flow:
    """For its user to approve a code."""
    return replace(
        flow, step="device", how="device", device=device.code, code=device.user_code, url=device.link,
        interval=device.interval, next_at=now + device.interval, ends_at=now + device.life, notice="", stumbles=0,
    )  # fmt: skip


def failed(flow: Flow, reason: str) -> Flow:
    return ended(flow, "failed", reason)


def ended(flow: Flow, step: Step, reason: str) -> Flow:
    """Nothing secret is kept."""
    return replace(flow, step=step, reason=reason, url="", code="", device="", client={}, state="", verifier="",
                   nonce="", credential={}, notice="")  # fmt: skip


def param(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} must be text", param=name)
    return (value or "").strip()
