"""The walk of a sign-in, step by step: what the user is shown, what is asked next and when, and how it ends.

A `Flow` is a value that can be kept anywhere; `Walk` takes one and gives the next. What is said to whom is in the
`ways`, one for each provider. Nothing here waits for the user: who drives it (the command line, the admin API) asks
again when `next_at` has come. Nothing that a stranger can bring about (a wrong `state`, nonsense for an address) ends a
flow.

    begin -> device -> keep -> done        device flows
    begin -> browser -> exchange -> keep -> done
             browser -> device             the user chose Builder ID or Identity Center on the page
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from kirogw.dialects.credential import Credential
from kirogw.dialects.quota import Quota
from kirogw.dialects.signin import SLOWER, Callback, NotACallback, Unable, same
from kirogw.errors import BadRequest, GatewayError, NotFound, UpstreamFailed
from kirogw.logins import files
from kirogw.logins.redeem import Post
from kirogw.logins.stored import packed, unpacked
from kirogw.logins.way import PAUSE, Flow, Means, Outcome, Way, ended, failed, param
from kirogw.logins.ways.chatgpt import ChatGpt
from kirogw.logins.ways.kiro import Kiro
from kirogw.logins.whose import whose
from kirogw.settings import Settings
from kirogw.store import StoreFailed

Add: TypeAlias = Callable[..., str]
"""`add(credential, *, label, source, id) -> account id`: auth.Logins.add."""

KINDS: Final = (*Kiro.kinds, *ChatGpt.kinds)
PATHS: Final = (*Kiro.paths, *ChatGpt.paths)
BROWSER_LIFE: Final = 600.0  # seconds that the user has on the web page
KEEP_LIFE: Final = 900.0  # seconds for which a login that came is offered to a store that fails
LONGEST_PAUSE: Final = 60.0
NOBODY: Final = 41455  # a port for an address that will be pasted, where none of this machine can be had
TOO_LATE: Final[Mapping[str, str]] = {
    "device": "nobody approved the login in time; start it again",
    "browser": "nobody finished the sign-in page in time; start the login again",
    "exchange": "the sign-in was not finished in time; start the login again",
    "keep": "the login came, but it could not be kept; start it again",
}  # fmt: skip


def unnamed() -> str:
    raise BadRequest("this installation has no name, so it can not sign in this way")


def unknown(account: str) -> Credential | None:
    return None


class Walk:
    """`post` sends a request and reads the whole reply, or raises UpstreamFailed; `add` keeps the login that came;
    `host()` names this installation, `known(id)` is the login of an account. `port`: where Kiro's page comes back to,
    if not where it always does.
    """

    def __init__(self, settings: Settings, post: Post, add: Add, now: Callable[[], float],
                 sleep: Callable[[float], None], port: int = 0, *, host: Callable[[], str] = unnamed,
                 known: Callable[[str], Credential | None] = unknown) -> None:  # fmt: skip
        self._settings, self._post, self._add, self._now = settings, post, add, now
        means = Means(settings, post, now, sleep, host, known)
        ways: tuple[Way, ...] = (Kiro(means, port), ChatGpt(means))
        self._ways = {kind: way for way in ways for kind in way.kinds}
        self._known = known

    # beginning

    def start(self, kind: str, params: Mapping[str, Any]) -> Flow:
        """Kinds and their params: `begin` of the ways. `label` names the account; `account` is one that gets this
        login. The flow has failed already when the service refuses. Raises BadRequest for params that make no sense.
        """
        if kind not in self._ways:
            raise BadRequest(f"there is no sign-in {kind!r}; there are {', '.join(KINDS)}", param="kind")
        flow = Flow(secrets.token_urlsafe(16), kind, "device", self._now() + BROWSER_LIFE,
                    label=param(params, "label"), into=param(params, "account"))  # fmt: skip
        try:
            known = self._known(flow.into) if flow.into else None
        except NotFound as error:
            raise BadRequest(str(error), param="account") from None
        if known and known.kind not in self._ways[kind].logins:
            raise BadRequest(f"the login of {flow.into} is another provider's, so this one can not take its place",
                             param="account")  # fmt: skip
        flow = self._ways[kind].begin(flow, params)
        return self.at(flow, self.ports(flow)[0] or NOBODY) if flow.step == "browser" else flow

    def ports(self, flow: Flow) -> tuple[int, ...]:
        """Of this machine, that the page may come back to, in order of trial; 0 is any; none where it does not."""
        return self._ways[flow.kind].ports(flow) if flow.how == "browser" or flow.step == "browser" else ()

    def at(self, flow: Flow, port: int) -> Flow:
        """The flow, with a page that comes back to `port`."""
        flow = replace(flow, port=port)
        return replace(flow, url=self._ways[flow.kind].page(flow))

    # waiting

    def poll(self, flow: Flow) -> Flow:
        """The next of `flow`. Sends at most one poll, and none before `next_at`."""
        now = self._now()
        if not flow.due(now):
            return flow
        if now >= flow.ends_at:
            return failed(flow, TOO_LATE[flow.step] + (f" ({flow.notice})" if flow.notice else ""))
        return self.finished(flow) if flow.step == "keep" else self._polled(flow, now)

    def _polled(self, flow: Flow, now: float) -> Flow:
        outcome: Outcome
        try:
            outcome = self._ways[flow.kind].polled(flow, now)
        except UpstreamFailed as error:
            outcome = Unable("later", str(error), error.wait)
        if isinstance(outcome, Unable) and outcome.outcome in ("pending", "slower", "later"):
            return _later(flow, outcome, self._now())
        return self._next(flow, outcome)

    def _next(self, flow: Flow, outcome: Outcome) -> Flow:
        if isinstance(outcome, Unable):
            return failed(flow, outcome.reason)
        return outcome if isinstance(outcome, Flow) else self._came(flow, outcome)

    # coming back from the page

    def arrived(self, flow: Flow, url: str) -> tuple[Flow, Callback]:
        """The browser ended at `url`: the flow that is now to be `exchanged`. Raises BadRequest for what is not this
        flow's, which then goes on as it was.
        """
        if flow.step != "browser":
            raise BadRequest("this login does not wait for an address" + (f": {flow.reason}" if flow.reason else ""))
        try:
            back = self._ways[flow.kind].arrived(flow, url)
        except NotACallback as error:
            raise BadRequest(str(error)) from None
        if back.state and not same(back.state, flow.state):
            raise BadRequest("this address belongs to another login (its `state` is not ours); start the login again")
        return replace(flow, step="exchange", notice=""), back

    def exchanged(self, flow: Flow, back: Callback) -> Flow:
        """What came of it: a login to be `finished`, or a device flow that now waits."""
        if back.error:
            denied = "denied" in back.error
            return failed(flow, "the login was refused on the sign-in page" if denied else
                          f"the sign-in page reported an error ({back.error}); start the login again")  # fmt: skip
        return self._next(flow, self._ways[flow.kind].exchanged(flow, back, self._now()))

    # the end

    def _came(self, flow: Flow, credential: Credential) -> Flow:
        now = self._now()
        return replace(
            flow, step="keep", credential=json.loads(packed(credential)), provider=credential.provider, notice="",
            device="", client={}, state="", verifier="", nonce="", stumbles=0, next_at=now, ends_at=now + KEEP_LIFE,
        )  # fmt: skip

    def finished(self, flow: Flow) -> Flow:
        """The login gets its place. One that can not be kept just now is offered again later."""
        credential = unpacked(json.dumps(flow.credential).encode())
        told = whose(credential, self._settings, self._post, self._now())
        if isinstance(told, Quota) and told.email:
            credential = replace(credential, email=told.email)
        try:
            account = self._add(credential, label=flow.label, source="login", id=flow.into)
        except (GatewayError, StoreFailed, files.Unreadable, OSError) as error:
            reason = str(error) if not isinstance(error, OSError) else (error.strerror or type(error).__name__)
            return _later(flow, Unable("later", f"the login came, but can not be kept just now: {reason}"), self._now())
        return replace(flow, step="done", account=account, who=credential.who, credential={}, url="", code="",
                       notice="", reason=_result(told))  # fmt: skip

    def cancelled(self, flow: Flow) -> Flow:
        return flow if flow.over else ended(flow, "cancelled", "the login was cancelled")


def _result(told: Quota | str) -> str:
    """How the login was checked, in a sentence."""
    if isinstance(told, str):
        return f"signed in, but its quota could not be asked for: {told}"
    plan = told.plan or "its plan is not named"
    if told.left is None:
        return plan
    if told.windows:
        return f"{plan}, " + ", ".join(f"{bucket.name}: {bucket.left:.0f} % left" for bucket in told.buckets)
    return f"{plan}, {told.left:g} of {sum(bucket.limit for bucket in told.buckets):g} credits left"


def _later(flow: Flow, why: Unable, now: float) -> Flow:
    """Once more after the interval; after each failure in a row twice as late."""
    interval = flow.interval + (SLOWER if why.outcome == "slower" else 0.0)
    if why.outcome in ("pending", "slower"):
        return replace(flow, interval=interval, next_at=now + max(interval, why.wait or 0.0), stumbles=0, notice="")
    pause = min(max(interval, PAUSE) * 2.0 ** min(flow.stumbles, 10), LONGEST_PAUSE)
    wait = max(pause, min(why.wait or 0.0, LONGEST_PAUSE))
    return replace(flow, next_at=now + wait, stumbles=flow.stumbles + 1, notice=why.reason)
