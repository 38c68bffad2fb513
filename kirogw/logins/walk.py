"""The walk of a sign-in, step by step: what the user is shown, what is asked next and when, and how it ends.

A `Flow` is a value that can be kept anywhere; `Walk` takes one and gives the next. Nothing here waits for the user: who
drives it (the command line, the admin API) asks again when `next_at` has come. Nothing that a stranger can bring about
(a wrong `state`, nonsense for an address) ends a flow.

    begin -> device -> keep -> done        device flows
    begin -> browser -> exchange -> keep -> done
             browser -> device             the user chose Builder ID or Identity Center on the page
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from kirogw.dialects.credential import Credential
from kirogw.dialects.dialect import Quota
from kirogw.dialects.kiro import signin
from kirogw.dialects.kiro.login import BUILDER_REGION
from kirogw.dialects.kiro.signin import Client, Device, Unable
from kirogw.errors import BadRequest, GatewayError, UpstreamFailed
from kirogw.logins.redeem import Post
from kirogw.logins.stored import packed, unpacked
from kirogw.logins.whose import whose
from kirogw.settings import Settings
from kirogw.store import StoreFailed
from kirogw.wire import Json, Reply, Request

Step: TypeAlias = Literal["device", "browser", "exchange", "keep", "done", "failed", "cancelled"]
Add: TypeAlias = Callable[..., str]
"""`add(credential, *, label, source, id) -> account id`: auth.Logins.add."""

KINDS: Final = ("builder-id", "idc", "social", "portal")
HOWS: Final = ("device", "browser", "link")
BROWSER_LIFE: Final = 600.0  # seconds that the user has on the web page
KEEP_LIFE: Final = 900.0  # seconds for which a login that came is offered to a store that fails
TRIES: Final = 3
PAUSE: Final = 1.0  # seconds before the second try, twice that before the third
LONGEST_PAUSE: Final = 60.0
OVER: Final = ("done", "failed", "cancelled")
STATES: Final[Mapping[str, str]] = {"done": "done", "failed": "failed", "cancelled": "cancelled"}
TOO_LATE: Final[Mapping[str, str]] = {
    "device": "nobody approved the login in time; start it again",
    "browser": "nobody finished the sign-in page in time; start the login again",
    "exchange": "the sign-in was not finished in time; start the login again",
    "keep": "the login came, but it could not be kept; start it again",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in on its way. Times in epoch seconds; `interval` and all that is secret stay inside.

    `url` is what to open, `code` what to type or compare there. `notice` is what its user should know meanwhile,
    `reason` why it failed, or what the login is worth; `who` whose it is, `account` the account that it became.
    `into` is the account that is to be renewed, whoever signs in. Until `claimed` somebody is at the next step.
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


class Walk:
    """`post` sends a request and reads the whole reply, or raises UpstreamFailed; `add` keeps the login that came."""

    def __init__(self, settings: Settings, post: Post, add: Add, now: Callable[[], float],
                 sleep: Callable[[float], None], port: int = signin.PORT) -> None:  # fmt: skip
        self._settings, self._post, self._add, self._now, self._sleep = settings, post, add, now, sleep
        self.port = port

    # beginning

    def start(self, kind: str, params: Mapping[str, Any]) -> Flow:
        """`builder-id`; `idc` with start_url and region; `social` with provider (google, github) and how (device, the
        default; browser; link); `portal`: the user chooses on the page. `label` names the account; `account` is one
        that gets this login. The flow has failed already when the service refuses. Raises BadRequest for params that
        make no sense.
        """
        if kind not in KINDS:
            raise BadRequest(f"there is no sign-in {kind!r}; there are {', '.join(KINDS)}", param="kind")
        flow = Flow(secrets.token_urlsafe(16), kind, "device", self._now() + BROWSER_LIFE,
                    label=_text(params, "label"), into=_text(params, "account"))  # fmt: skip
        if kind == "builder-id":
            return self._aws(replace(flow, start_url=signin.BUILDER_URL, region=BUILDER_REGION))
        if kind == "idc":
            return self._aws(_organisation(flow, params))
        flow = _social(flow, params) if kind == "social" else replace(flow, how="browser")
        return self._social_device(flow) if flow.how == "device" else self._browser(flow)

    def _aws(self, flow: Flow) -> Flow:
        """A registration of its own for each login: they end together."""
        client = self._asked(signin.register_request(self._settings, flow.region), signin.read_client)
        if isinstance(client, Unable):
            return _failed(flow, client.reason)
        request = signin.device_request(self._settings, flow.region, client, flow.start_url)
        device = self._asked(request, signin.read_device)
        if isinstance(device, Unable):
            return _failed(flow, device.reason)
        return self._waiting(replace(flow, client=asdict(client)), device)

    def _social_device(self, flow: Flow) -> Flow:
        request = signin.social_device_request(self._settings, flow.provider)
        device = self._asked(request, signin.read_device)
        if isinstance(device, Unable):
            return _failed(flow, f"{device.reason}; the sign-in page in the browser may work")
        return self._waiting(flow, device)

    def _waiting(self, flow: Flow, device: Device) -> Flow:
        now = self._now()
        return replace(
            flow, step="device", how="device", device=device.code, code=device.user_code, url=device.link,
            interval=device.interval, next_at=now + device.interval, ends_at=now + device.life, notice="", stumbles=0,
        )  # fmt: skip

    def _browser(self, flow: Flow) -> Flow:
        state, verifier = secrets.token_hex(16), secrets.token_urlsafe(48)
        if flow.how == "link":
            url = signin.app_url(self._settings, state, verifier, flow.provider)
        else:
            url = signin.portal_url(self._settings, state, verifier, flow.provider, self.port)
        return replace(flow, step="browser", state=state, verifier=verifier, url=url)

    def _asked(self, request: Request, read: Callable[[Reply], Any]) -> Any:
        """What `read` makes of the reply; what may pass is tried again."""
        outcome: Any = Unable("later", "no answer")
        for n in range(TRIES):
            if n:
                wait = getattr(outcome, "wait", None) or 0.0
                self._sleep(min(max(PAUSE * 2 ** (n - 1), wait), 5.0))
            try:
                outcome = read(self._post(request))
            except UpstreamFailed as error:
                outcome = Unable("later", str(error), error.wait)
            if not isinstance(outcome, Unable) or outcome.outcome not in ("later", "slower"):
                break
        return outcome

    # waiting

    def poll(self, flow: Flow) -> Flow:
        """The next of `flow`. Sends at most one poll, and none before `next_at`."""
        now = self._now()
        if not flow.due(now):
            return flow
        if now >= flow.ends_at:
            return _failed(flow, TOO_LATE[flow.step] + (f" ({flow.notice})" if flow.notice else ""))
        return self.finished(flow) if flow.step == "keep" else self._polled(flow, now)

    def _polled(self, flow: Flow, now: float) -> Flow:
        try:
            outcome = self._poll_reply(flow, now)
        except UpstreamFailed as error:
            outcome = Unable("later", str(error), error.wait)
        if isinstance(outcome, Credential):
            return self._came(flow, outcome)
        if outcome.outcome in ("expired", "denied", "failed"):
            return _failed(flow, outcome.reason)
        return _later(flow, outcome, self._now())

    def _poll_reply(self, flow: Flow, now: float) -> Credential | Unable:
        if not flow.client:
            reply = self._post(signin.social_poll_request(self._settings, flow.device))
            return signin.social_credential(flow.provider, reply, now)
        client = Client(**flow.client)
        reply = self._post(signin.poll_request(self._settings, flow.region, client, flow.device))
        return signin.aws_credential(client, flow.region, flow.start_url, reply, now)

    # coming back from the page

    def arrived(self, flow: Flow, url: str) -> tuple[Flow, signin.Callback]:
        """The browser ended at `url`: the flow that is now to be `exchanged`. Raises BadRequest for what is not this
        flow's, which then goes on as it was.
        """
        if flow.step != "browser":
            raise BadRequest("this login does not wait for an address" + (f": {flow.reason}" if flow.reason else ""))
        try:
            back = signin.read_callback(url, self.port)
        except signin.NotACallback as error:
            raise BadRequest(str(error)) from None
        if not signin.same(back.state, flow.state):
            raise BadRequest("this address belongs to another login (its `state` is not ours); start the login again")
        return replace(flow, step="exchange", notice=""), back

    def exchanged(self, flow: Flow, back: signin.Callback) -> Flow:
        """What came of it: a login to be `finished`, or a device flow that now waits."""
        if back.error:
            denied = "denied" in back.error
            return _failed(flow, "the login was refused on the sign-in page" if denied else
                           f"the sign-in page reported an error ({back.error}); start the login again")  # fmt: skip
        if back.start_url:
            return self._aws(replace(flow, start_url=back.start_url, region=back.region, state="", verifier=""))
        now = self._now()
        provider = back.provider or flow.provider
        request = signin.exchange_request(self._settings, back.code, flow.verifier, back.uri)
        outcome = self._asked(request, lambda reply: signin.social_credential(provider, reply, now))
        return _failed(flow, outcome.reason) if isinstance(outcome, Unable) else self._came(flow, outcome)

    # the end

    def _came(self, flow: Flow, credential: Credential) -> Flow:
        now = self._now()
        return replace(
            flow, step="keep", credential=json.loads(packed(credential)), provider=credential.provider, notice="",
            device="", client={}, state="", verifier="", stumbles=0, next_at=now, ends_at=now + KEEP_LIFE,
        )  # fmt: skip

    def finished(self, flow: Flow) -> Flow:
        """The login gets its place. One that can not be kept just now is offered again later."""
        credential = unpacked(json.dumps(flow.credential).encode())
        told = whose(credential, self._settings, self._post, self._now())
        if isinstance(told, Quota) and told.email:
            credential = replace(credential, email=told.email)
        try:
            account = self._add(credential, label=flow.label, source="login", id=flow.into)
        except (GatewayError, StoreFailed, OSError) as error:
            reason = str(error) if not isinstance(error, OSError) else (error.strerror or type(error).__name__)
            return _later(flow, Unable("later", f"the login came, but can not be kept just now: {reason}"), self._now())
        return replace(flow, step="done", account=account, who=credential.who, credential={}, url="", code="",
                       notice="", reason=_result(told))  # fmt: skip

    def cancelled(self, flow: Flow) -> Flow:
        return flow if flow.over else _ended(flow, "cancelled", "the login was cancelled")


def _result(told: Quota | str) -> str:
    """How the login was checked, in a sentence."""
    if isinstance(told, str):
        return f"signed in, but its quota could not be asked for: {told}"
    plan, whole = told.plan or "its plan is not named", sum(bucket.limit for bucket in told.buckets)
    return plan if told.left is None else f"{plan}, {told.left:g} of {whole:g} credits left"


def _later(flow: Flow, why: Unable, now: float) -> Flow:
    """Once more after the interval; after each failure in a row twice as late."""
    interval = flow.interval + (signin.SLOWER if why.outcome == "slower" else 0.0)
    if why.outcome in ("pending", "slower"):
        return replace(flow, interval=interval, next_at=now + max(interval, why.wait or 0.0), stumbles=0, notice="")
    pause = min(max(interval, PAUSE) * 2.0 ** min(flow.stumbles, 10), LONGEST_PAUSE)
    wait = max(pause, min(why.wait or 0.0, LONGEST_PAUSE))
    return replace(flow, next_at=now + wait, stumbles=flow.stumbles + 1, notice=why.reason)


def _failed(flow: Flow, reason: str) -> Flow:
    return _ended(flow, "failed", reason)


def _ended(flow: Flow, step: Step, reason: str) -> Flow:
    """Nothing secret is kept."""
    return replace(flow, step=step, reason=reason, url="", code="", device="", client={}, state="", verifier="",
                   credential={}, notice="")  # fmt: skip


def _organisation(flow: Flow, params: Mapping[str, Any]) -> Flow:
    start, region = _text(params, "start_url"), _text(params, "region")
    if not start or not region:
        raise BadRequest("Identity Center needs start_url and region", param="start_url" if region else "region")
    if fault := signin.wrong_idc(start, region):
        raise BadRequest(fault, param="start_url" if "URL" in fault else "region")
    return replace(flow, start_url=start, region=region)


def _social(flow: Flow, params: Mapping[str, Any]) -> Flow:
    provider, how = _text(params, "provider"), _text(params, "how") or "device"
    if provider not in signin.SOCIAL:
        raise BadRequest(f"provider is one of {', '.join(signin.SOCIAL)}", param="provider")
    if how not in HOWS:
        raise BadRequest(f"how is one of {', '.join(HOWS)}", param="how")
    return replace(flow, provider=provider, how=how)


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} must be text", param=name)
    return (value or "").strip()
