"""What a provider is: an upstream. Between our words and the upstream's JSON.

Providers are pure: no I/O, no clock, no chance; ids and times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from kirogw.answer import Event, Usage
from kirogw.conversation import Conversation
from kirogw.dialects.credential import Credential, Kind
from kirogw.dialects.quota import Quota
from kirogw.errors import GatewayError
from kirogw.wire import Json, Reply, Request


@dataclass(frozen=True, slots=True)
class Login:
    """What a provider may see of an account: a bearer token that is fresh, and where it belongs.

    `kind` decides which provider it is for, and how it says who calls; `machine` is the 64 hex digits of the account's
    one machine id. Of Kiro: `profile` is the profile ARN or "", `region` the API region. Of ChatGPT: `workspace` is the
    account id that its calls name.
    """

    kind: Kind
    token: str = field(repr=False)
    profile: str = ""
    region: str = "us-east-1"
    machine: str = ""
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the upstream's catalogue describes it. `window` and `max_output` are in tokens.

    `fields` is the schema of Kiro's `additionalModelRequestFields`, None when the model takes none. `efforts` are the
    levels that the model takes, the least first, `effort` the one that it has by itself; `lite`: it wants Responses
    Lite. `hidden`: it works, and is not listed.
    """

    id: str
    name: str = ""
    window: int = 200_000
    max_output: int | None = None
    images: bool = True
    fields: Json | None = None
    rate: float | None = None
    description: str = ""
    efforts: tuple[str, ...] = ()
    effort: str = ""
    lite: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a client's name means at one provider. `known`: it is in the catalogue. `thinking`, `big`: the name asked
    for thinking, for a window of a million tokens. `effort`: the one that the name asked for, "" for none.
    """

    model: Model
    known: bool
    thinking: bool = False
    big: bool = False
    effort: str = ""


Again: TypeAlias = Literal["", "same", "refresh", "profile", "unsealed", "plain"]
"""How to ask the same account once more: as it was; with a renewed token; with the profile looked up anew; without the
thoughts of earlier turns; without additionalModelRequestFields."""

Fate: TypeAlias = Literal["", "slow", "exhausted", "suspended", "login", "attention", "lacks"]
"""What a failure says about the account: nothing; rate limited; out of credits; locked; must sign in; its owner must
look at it; it lacks this model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed call means. The error is what the client hears if nothing else helps.

    `again` up to `tries` times after a pause between `waits[0]` and `waits[1]` seconds (doubling); then, if `host`,
    once at the next host; then, if `elsewhere`, with another account. Only while nothing has reached the client.
    `hint` is how long the upstream itself asked to be left alone, in seconds.
    """

    error: GatewayError
    rule: str  # the name of the row of the table that was met
    again: Again = ""
    tries: int = 0
    waits: tuple[float, float] = (0.0, 0.0)
    host: bool = False
    elsewhere: bool = False
    fate: Fate = ""
    hint: float = 0.0


class Refused(Exception):
    """The upstream failed, before its answer began or in the middle of it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.error))
        self.verdict = verdict


class Reader(Protocol):
    """Reads one answer of a provider. `receive` takes bytes in any cut and gives the events that they complete; `close`
    is called when the bytes have ended as they should, and gives the last events, among them Usage and Stop.

    Both raise Refused when the upstream says so or the bytes are no whole answer.

    `visible`: the answer has begun, so that the account has served. `whole`: the upstream has said the end, whatever
    its connection does: `close` may be called, and nothing that still comes counts. `learned`: the answer ended with
    what tells a whole one from a cut one, which from now on is expected of this account. `cut_calls`, `cut_text`: what
    was cut off in it: ids of calls, and the text's end.
    """

    visible: bool
    whole: bool
    learned: bool
    cut_calls: list[str]
    cut_text: str

    def receive(self, data: bytes) -> list[Event]: ...

    def close(self) -> list[Event]: ...

    def usage(self) -> Usage:
        """As far as it is known, for an answer that nobody waits for any more."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides over a request beside the conversation; the same for all tries with one account.

    `kind`: of the login. `mark`: the account's in seals (see seals.mark), "" for any. `session`, `turn`: UUIDs that
    stay the same through a conversation, and through the tool calls that the user's last word set off. `cut`: ids of
    calls and keys of texts (`cuts.key`) that are known to have been cut off. `unsealed`: without the thoughts of
    earlier turns; `plain`: without what the model may not take (see Again).
    """

    kind: Kind
    mark: str = ""
    session: str = ""
    turn: str = ""
    cut: Container[str] = frozenset()
    unsealed: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """`body` is JSON, as far as it does not depend on the login; `state` is what the provider needs to read the answer;
    `notes` are the names of the rules that changed something.
    """

    body: bytes
    state: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader must know beside what was sent. `count` counts a text's tokens; `estimate`: of the input.
    `learned`: see Reader; `mark`: the account's, for seals.
    """

    model: Model
    count: Callable[[str], int]
    estimate: int = 0
    learned: bool = False
    mark: str = ""


Cause: TypeAlias = Literal["dead", "client", "region", "blocked", "later"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no new tokens: the refresh token is used up or withdrawn; the client's registration is; this is not
    the region of the session; something between us and the service refuses; it may work later. `reason` is fit for a
    log and for people. `wait` in seconds, where the service says how long.
    """

    cause: Cause
    reason: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """Which documents go as files: of which media types, how large (bytes), how many in a conversation. Others are told
    as text.
    """

    media: frozenset[str]
    size: int
    count: int


class Provider(Protocol):
    """An upstream, as this installation talks to it: made once from the settings; pure.

    A request is made in two steps: `prepare` once for all tries with an account, `request` for each try.
    """

    name: str
    title: str  # for people: Kiro, ChatGPT
    plans: str  # the page where an owner sees the plan and its limits
    kinds: frozenset[str]  # of the logins that are its
    stream: str  # the content type of an answer
    searches: bool  # it has a web search of its own: conversation.search needs no help
    formats: bool  # its models keep to a JSON schema: conversation.format needs no help
    documents: Documents
    fallback: tuple[Model, ...]  # what it offers, where it does not say

    # an answer

    def hosts(self, login: Login) -> tuple[str, ...]:
        """The addresses that generate, in order of trial."""

    def prepare(self, conversation: Conversation, target: Target, terms: Terms) -> Prepared:
        """Raises BadRequest for what the provider takes in no form, TooLong for what is surely too much."""

    def request(self, prepared: Prepared, login: Login, host: str, *, session: str, invocation: str,
                attempt: int) -> Request:  # fmt: skip
        """One try. `session` as in Terms; `invocation` stays the same while tries fail and nothing is refused;
        `attempt` counts from 1.
        """

    def reader(self, prepared: Prepared, given: Reading) -> Reader: ...

    def judge(self, status: int, headers: Mapping[str, str], body: bytes, model: str = "") -> Verdict:
        """What an answer that is none means. Header names are in lower case."""

    def lost(self, kind: str) -> Verdict:
        """What a failure of the network means: kinds as in transport.Lost, and `idle`."""

    # what it offers

    def resolve(self, name: str, known: Sequence[Model]) -> Target:
        """The model that a client's name means: of `known`, else as it stands, not known."""

    def list_hosts(self, login: Login) -> tuple[str, ...]:
        """The addresses that know which models there are, in order of trial."""

    def list_request(self, login: Login, host: str, page: str = "") -> Request: ...

    def read_list(self, reply: Reply) -> tuple[list[Model], str]:
        """The models of a page, and the mark of the next, "" for none. Raises LookupError when it can not be read."""

    # what is left

    def quota_hosts(self, login: Login) -> tuple[str, ...]:
        """The addresses that know what the account has left, in order of trial; none where nobody can be asked."""

    def quota_request(self, login: Login, host: str, profile: str) -> Request: ...

    def read_quota(self, reply: Reply, now: float) -> Quota | Verdict: ...

    def told_quota(self, headers: Mapping[str, str], now: float) -> Quota | None:
        """What the head of an answer tells of it, None when it tells nothing."""

    # its logins

    def refresh_requests(self, credential: Credential, machine: str) -> tuple[Request, ...]:
        """The requests that may renew it, in order of trial; only when all have failed it is dead. Raises NeedsLogin
        when there is none.
        """

    def read_refresh(self, credential: Credential, reply: Reply, now: float) -> Credential | Refusal: ...

    def login(self, credential: Credential, profile: str, machine: str) -> Login: ...
