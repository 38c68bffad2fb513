"""Who serves how much: thousands of requests in each mode, to accounts that are limited, used up, locked and short.

`python -m tests.pool.fairness` prints docs/scheduling.md. Time is simulated, so an hour takes a second, and each decision
is checked by `watched`.
"""

import heapq
import itertools
import random
import sys
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.errors import BadRequest, Busy, Forbidden, Overloaded, QuotaUsed, UnknownModel
from kirogw.pool import Account, Full, Place, Pool, Want
from kirogw.pool.health import LOGINS, STEPS
from kirogw.pool.schedule import FIRST_GAP, LONGEST_GAP, PATIENCE, QUIET
from kirogw.settings import FIELDS, Settings
from tests.pool.watched import Watched

REQUESTS = 10_000
MODES = next(spec.metadata["choices"] for spec in FIELDS if spec.name == "scheduling_mode")
START = 1.8e9
BUDGET = 60.0  # seconds in which a request may be tried and wait
SERVING = 8.0  # seconds an answer takes, in the middle
PACE = 2.0  # requests a second, where there are no conversations
TALKS = 24  # conversations at a time; each goes on some seconds after an answer
THINKING = 4.0
REFUSAL = 0.3  # seconds until a refusal is here

RATE = Verdict(Busy("too many requests", wait=8.0), "rate", elsewhere=True, fate="slow")
USED_UP = Verdict(QuotaUsed("used up"), "quota", elsewhere=True, fate="exhausted")
LOCKED = Verdict(Forbidden("locked"), "suspended", elsewhere=True, fate="suspended")
LACKING = Verdict(UnknownModel("no such model"), "model", elsewhere=True, fate="lacks")
CROWDED = Verdict(Overloaded("no capacity"), "capacity")
WRONG = Verdict(BadRequest("wrong"), "invalid")


@dataclass
class Upstream:
    """How an account is in truth. Times are seconds from the start; `again`: chance that a rate limit follows on one
    before, by the seconds since (kiro 5.5).
    """

    plan: float = 1e9
    resets: float | None = None
    locked: tuple = (-1.0, -1.0)
    lacks: str = ""
    limited: float = 0.0  # chance of a rate limit without one before
    short: tuple = (-1.0, -1.0)  # no capacity for opus
    used: float = 0.0
    last: float = -1e9
    window: float = 0.0  # the plan is that of a window so long
    told: bool = True  # somebody tells what is left
    began: float = 0.0

    def verdict(self, model, now, chance):
        if self.locked[0] <= now < self.locked[1]:
            return LOCKED
        if self.resets is not None and now >= self.resets:
            self.used, self.resets = 0.0, None
        if self.window and now >= self.began + self.window:
            self.used, self.began = 0.0, now // self.window * self.window
        if self.used >= self.plan:
            return replace(USED_UP, hint=self.began + self.window - now) if self.window and self.told else USED_UP
        if model == self.lacks:
            return LACKING
        if model == "opus" and self.short[0] <= now < self.short[1]:
            return CROWDED
        if self.limited and chance() < self._limit(now):
            self.last = now
            return RATE
        return WRONG if chance() < 0.01 else None

    def _limit(self, now):
        since = now - self.last
        return next((share for until, share in AGAIN if since < until), self.limited)

    def quota(self, now):
        """None where nobody tells."""
        if not self.told:
            return None
        if self.window:
            percent, ends = 100 * min(1.0, self.used / self.plan), START + self.began + self.window
            return Quota(START + now, (Bucket("window", percent, 100.0, ends, self.window),), windows=True)
        resets = None if self.resets is None else START + self.resets
        return Quota(START + now, (Bucket("plan", min(self.used, self.plan), self.plan, resets),), resets_at=resets)


AGAIN = ((1, 0.47), (2, 0.36), (3, 0.31), (5, 0.27), (8, 0.19), (20, 0.16), (45, 0.12), (120, 0.06))
CALM = {
    # name: what the pool is told, how it is in truth
    "plain": (Account("plain"), Upstream(plan=4000.0)),
    "plain too": (Account("plain too"), Upstream(plan=4000.0)),
    "weight 3": (Account("weight 3", weight=3.0, limit=8), Upstream(plan=4000.0)),
    "big plan": (Account("big plan"), Upstream(plan=5000.0)),
}
ROUGH = {
    **CALM,
    "rate limited": (Account("rate limited"), Upstream(plan=4000.0, limited=0.009)),
    "small plan": (Account("small plan"), Upstream(plan=120.0, resets=2400.0)),
    "locked for a while": (Account("locked for a while"), Upstream(plan=4000.0, locked=(900.0, 2700.0))),
    "without opus": (Account("without opus"), Upstream(plan=4000.0, lacks="opus")),
}
MIXED = {
    "Kiro, large": (Account("Kiro, large", "social"), Upstream(plan=2500.0)),
    "Kiro, small": (Account("Kiro, small", "key"), Upstream(plan=500.0)),
    "Codex, one": (Account("Codex, one", "codex"), Upstream(plan=400.0, window=1800.0)),
    "Codex, two": (Account("Codex, two", "codex"), Upstream(plan=200.0, window=1800.0)),
    "ChatGPT, first": (Account("ChatGPT, first", "siwc"), Upstream(plan=100.0, window=1800.0, told=False)),
    "ChatGPT, second": (Account("ChatGPT, second", "siwc"), Upstream(plan=100.0, window=1800.0, told=False)),
}


@dataclass
class Request:
    came: float
    model: str
    session: str
    talks: bool = True  # the conversation goes on with its answer
    tried: set = field(default_factory=set)
    since: float | None = None  # when it began to wait for a place
    waited: float = 0.0


@dataclass
class Outcome:
    answered: Counter = field(default_factory=Counter)  # by account
    refused: Counter = field(default_factory=Counter)  # by row
    told: Counter = field(default_factory=Counter)  # what clients heard
    waits: list = field(default_factory=list)
    takes: int = 0
    gone: int = 0
    pool: Watched | None = None


class Simulation:
    """One mode. Events are (time, number, what to call)."""

    def __init__(self, mode, accounts, *, sessions, requests=REQUESTS, limit=4, seed=7):
        self.dice = random.Random(f"{mode} {seed}")
        settings = Settings(scheduling_mode=mode, sticky_sessions=sessions, account_concurrency=limit)
        self.truth = {name: Upstream(**vars(truth)) for name, (_, truth) in accounts.items()}
        rows = [row for row, _ in accounts.values()]
        pool = Pool(rows, settings, chance=self.dice.random)
        limits = {row.id: limit if row.limit is None else row.limit for row in rows}
        self.pool = Watched(pool, limits)
        self.outcome = Outcome(pool=self.pool)
        self.events, self.numbers, self.waiting = [], itertools.count(), deque()
        self.left, self.running = requests, 0
        for n in range(TALKS if sessions else 1):
            self.at(self.dice.random(), self.talk, f"session {n}." if sessions else "")
        self.at(0.0, self.look)
        self.at(5.0, self.probe)

    def run(self):
        while self.events:
            now, _, call, arguments = heapq.heappop(self.events)
            call(now, *arguments)
        assert not self.waiting and not +self.pool.running
        return self.outcome

    def at(self, when, call, *arguments):
        heapq.heappush(self.events, (when, next(self.numbers), call, arguments))

    def talk(self, now, session):
        """A question; now and then several at once, and now and then somebody begins something new."""
        if session and self.dice.random() < 0.05:
            session += "+"
        for _ in range(4 if session and self.dice.random() < 0.03 else 1):
            if self.left:
                self.left -= 1
                self.running += 1
                model = "opus" if self.dice.random() < 0.2 else "sonnet"
                self.start(now, Request(now, model, session, talks=not _))
        if not session and self.left:
            self.at(now + self.dice.expovariate(PACE), self.talk, "")

    def over(self, now, request):
        self.running -= 1
        if request.session and request.talks:
            self.at(now + self.dice.expovariate(1 / THINKING), self.talk, request.session)

    def start(self, now, request):
        want = Want(request.model, request.session, None, frozenset(request.tried), request.waited)
        found = self.pool.take(want, START + now)
        self.outcome.takes += 1
        if isinstance(found, Place):
            if request.waited:
                self.outcome.waits.append(request.waited)
            self.serve(now, request, found)
        elif isinstance(found, Full) and now - request.came < BUDGET:
            self.waiting.append((now, request))
            self.at(now + found.wait, self.again, request)
        else:
            self.outcome.told["no place in time" if isinstance(found, Full) else type(found.error).__name__] += 1
            self.over(now, request)

    def again(self, now, request):
        """It has waited long enough, or heard that a place is free."""
        for entry in self.waiting:
            if entry[1] is request:
                self.waiting.remove(entry)
                request.waited += now - entry[0]
                self.start(now, request)
                return

    def serve(self, now, request, place):
        verdict = self.truth[place.account.id].verdict(request.model, now, self.dice.random)
        if verdict is None:
            seconds = min(120.0, SERVING * self.dice.lognormvariate(0.0, 0.8))
            leaves = self.dice.random() < 0.02  # the client, before the answer's end
            self.at(now + min(seconds, 1.0), self.begun, place, leaves)
            self.at(now + seconds * (0.1 if leaves else 1.0), self.end, request, place, leaves)
        else:
            self.at(now + REFUSAL, self.refused, request, place, verdict, now)

    def begun(self, now, place, leaves):
        if not leaves:
            self.pool.pool.served(place.account.id, place.model, START + now, place.began)
        truth = self.truth[place.account.id]
        if truth.window and truth.told:  # the head of the answer says so
            self.pool.pool.quota(place.account.id, truth.quota(now), START + now)

    def end(self, now, request, place, leaves):
        credits = 0.3 * self.dice.lognormvariate(0.0, 0.5)
        self.truth[place.account.id].used += credits
        if leaves:
            self.outcome.gone += 1
        else:
            self.outcome.answered[place.account.id] += 1
        self.pool.leave(place, START + now)
        self.over(now, request)
        self.free(now)

    def refused(self, now, request, place, verdict, began):
        id = place.account.id
        self.outcome.refused[verdict.rule] += 1
        self.pool.pool.failed(id, verdict, request.model, START + now, START + began)
        self.pool.leave(place, START + now)
        if verdict.fate == "exhausted" and self.truth[id].told:
            self.pool.pool.quota(id, self.truth[id].quota(now), START + now)
        if verdict.elsewhere and now - request.came < BUDGET:
            request.tried.add(id)
            self.start(now, request)
        else:
            self.outcome.told[type(verdict.error).__name__] += 1
            self.over(now, request)
        self.free(now)

    def free(self, now):
        for _, request in list(self.waiting):
            self.again(now, request)

    def look(self, now):
        """All quotas, as the background does it."""
        for id, truth in self.truth.items():
            if not truth.locked[0] <= now < truth.locked[1]:
                truth.verdict("", now, lambda: 1.0)
                if truth.told:
                    self.pool.pool.quota(id, truth.quota(now), START + now)
        if self.left or self.running:
            self.at(now + 300.0, self.look)

    def probe(self, now):
        for id in self.pool.pool.probe_due(START + now):
            truth = self.truth[id]
            if truth.locked[0] <= now < truth.locked[1]:
                self.pool.pool.failed(id, LOCKED, "", START + now)
            elif truth.told:
                self.pool.pool.quota(id, truth.quota(now), START + now)
        if self.left or self.running:
            self.at(now + 5.0, self.probe)


def played(mode, requests=REQUESTS):
    """Without faults and sessions, with both, and of two providers."""
    calm = {name: (Account(name, weight=row.weight), truth) for name, (row, truth) in CALM.items()}
    calm = Simulation(mode, calm, sessions=False, requests=requests, limit=0).run()
    mixed = Simulation(mode, MIXED, sessions=False, requests=requests, limit=0).run()
    return calm, Simulation(mode, ROUGH, sessions=True, requests=requests).run(), mixed


HEAD = """# Scheduling and health

Whose turn it is, and what an account's failures do. Printed by `python -m tests.pool.fairness`; the figures come from
simulated requests through the pool itself (`kirogw/pool/`), each decision of which is checked by somebody else's books.
A request pays about 3 µs of CPU for it, 10 with a hundred accounts, and 20 when it begins a conversation
(`python bench/pool.py`).

## Modes

`SCHEDULING_MODE` says who is next among the accounts that can serve alike:

| mode | next is |
|---|---|
| `round-robin` | whoever has waited longest |
| `fill-first` | the first in the order of the settings that has a place |
| `least-used` | whoever had the fewest requests lately: one of ten minutes ago counts half; one on its way counts twice |
| `most-quota-left` | whoever has the most credits left, by the last look at its plan and what was used since. Where some accounts have windows of time and no credits, all are compared by the part of it that is left, of several windows by the one with the least |
| `weighted` | each in proportion to its weight |
| `random` | anyone |

An account that comes back after a rest, or is new, gets its share from then on, and not what it has missed.

* **Accounts of several providers** are one pool: those serve a request whose provider has its model.
* **Several accounts of Sign in with ChatGPT are not used in turn**: each is for its owner. The first of them that can
  serve does, also for conversations that began on another one while it could not; one that is busy is waited for. The
  others are used when a request or a key names them, or with `CHATGPT_ROTATION=true`.
* **A conversation stays on its account** (`STICKY_SESSIONS`) while that can serve: its cache and its signed thinking are
  there. It moves when it must, and is then on the new one. If all places of its account are taken, it waits {patience:g} s
  before it moves; if it is its own requests that fill them, another account answers this one as a guest.
  If its requests are for models of two providers, it has an account of its own at each.
* **Places**: an account gives `ACCOUNT_CONCURRENCY` answers at once, or its own limit, in all processes together (what
  others have on their way is heard within about a second).
* **Distances**: after a rate limit an account's requests start {first:g} s apart, with each further burst of refusals
  twice that, up to {longest:g} s; half of it after each {quiet:g} s without one.

## What a failure does

What is the request's fault, the network's or the model's does nothing to an account, nor does a client that leaves.

| what happened | the account | first, second... time in a row | serves if nobody else can | ends by |
|---|---|---|---|---|
"""
WORDS = {
    # row of kirogw/pool/health.py: what happened
    "capacity": "no capacity for this model", "unavailable": "503 without a reason",
    "refresh-failed": "its login could not be renewed just now", "renew-failed": "the same, after its token was refused",
    "token": "its renewed token is refused", "slow": "a rate limit (429)", "exhausted": "its plan or a window is used up (402, 429)",
    "suspended": "it is locked (403, 423)", "login": "somebody must sign in", "attention": "it is refused otherwise (403)",
    "lacks": "it does not have this model",
}
MARKS = {
    "": "{state}", "lacks": "is asked last for this model", "short": "is asked later for this model; conversations stay",
}
AFTER = """
* **Half open**: after its rest one request tries the account, while the others go elsewhere until they know more. A
  locked one is first looked at with a call that costs nothing.
* **A success ends everything**, also one of another process. So does `accounts clear`. A new login ends what was
  held against the old one.
* **A look at the quota** that finds something left ends a rest of those marked; but if the next request fails all the
  same, it is not believed again before a success. One that finds nothing left makes the account `exhausted` until the
  reset (of windows: until the last of those used up is full again); until a request was really refused, it still
  serves when nobody else can. ChatGPT tells what is left with each answer, too.
* What the upstream itself asks for (Retry-After) is kept, for ten minutes at most; then one request tells more. Only when
  a plan is used up, the time that is told with that (`resets_at`) is kept to the end.
* Failures of requests that ran side by side count once.
* When nobody can serve, the client hears the earliest time at which somebody can, and of each account why.

"""


def seconds(value):
    return next(f"{value / unit:g} {name}" for unit, name in ((3600, "h"), (60, "min"), (1, "s")) if value >= unit)


def rules():
    for kind, step in STEPS.items():
        ends = ["success"] + ["quota"] * step.look + ["new login"] * (kind in LOGINS)
        rests = ", ".join(map(seconds, step.rests)) + (", or the reset if known" if kind == "exhausted" else "")
        yield f"| {WORDS[kind]} | {MARKS[step.mark].format(state=step.state)} | {rests} | {'yes' if step.soft else 'no'} | {', '.join(ends)} |\n"


def shares(title, accounts, outcomes):
    yield f"{title}\n\n| answers by | " + " | ".join(MODES) + " |\n|---|" + "---:|" * len(MODES) + "\n"
    for name in accounts:
        cells = [f"{100 * outcome.answered[name] / outcome.answered.total():.1f} %" for outcome in outcomes]
        yield f"| {name} | " + " | ".join(cells) + " |\n"


def figures(outcomes):
    waits = [sorted(outcome.waits) for outcome in outcomes]
    rows = {
        "answered": [outcome.answered.total() for outcome in outcomes],
        "the client left": [outcome.gone for outcome in outcomes],
        "errors of the request": [outcome.told["BadRequest"] for outcome in outcomes],
        "other errors": [outcome.told.total() - outcome.told["BadRequest"] for outcome in outcomes],
        "refused and served elsewhere": [outcome.refused.total() - outcome.refused["invalid"] for outcome in outcomes],
        **{f"of these: {rule}": [outcome.refused[rule] for outcome in outcomes] for rule in ("rate", "quota", "suspended", "model")},
        "waited for a place": [len(wait) for wait in waits],
        "seconds they waited (median)": [f"{wait[len(wait) // 2]:.2f}" if wait else "" for wait in waits],
        "conversations moved": [outcome.pool.moves for outcome in outcomes],
        "most at once: limit of 4": [max(most for name, most in outcome.pool.most.items() if name != "weight 3") for outcome in outcomes],
        "most at once: limit of 8": [outcome.pool.most["weight 3"] for outcome in outcomes],
        "decisions checked": [outcome.takes for outcome in outcomes],
        "a resting account, though another could": [0] * len(outcomes),  # the first would have ended this
        "a conversation moved, though its account could": [0] * len(outcomes),
    }  # fmt: skip
    yield "\n| | " + " | ".join(MODES) + " |\n|---|" + "---:|" * len(MODES) + "\n"
    for name, cells in rows.items():
        yield f"| {name} | " + " | ".join(map(str, cells)) + " |\n"


CALM_WORDS = "All accounts well, no limits, no conversations:"
ROUGH_WORDS = """
With conversations (24 at a time, of about 20 questions; now and then four at once), so modes only choose where one begins
or moves to; with limits (4 at once, 8 for "weight 3"), rate limits as measured at Kiro, a plan that is used up until its
reset, an account that is locked for half an hour, and one without a model. Clients leave, and some requests are wrong.
Other errors would be those of requests that found nobody."""


MIXED_WORDS = """
Two providers' accounts: two Kiro plans of 2,500 and 500 credits, two Codex logins whose windows of half an hour hold as
much as 400 and 200 credits, and two of Sign in with ChatGPT with 100 each, of which nobody tells what is left and only the
first that can serve does:"""


def refusals(outcomes):
    yield "| refused and served elsewhere | " + " | ".join(str(outcome.refused["quota"]) for outcome in outcomes) + " |\n"


def words():
    """What is told before the figures."""
    told = HEAD.format(patience=PATIENCE, first=FIRST_GAP, longest=LONGEST_GAP, quiet=QUIET)
    return "".join([told, *rules(), AFTER])


def markdown(requests=REQUESTS):
    calm, rough, mixed = zip(*(played(mode, requests) for mode in MODES), strict=True)
    parts = [words(), f"## Shares of {requests:,} requests\n\n", *shares(CALM_WORDS, CALM, calm)]
    return "".join([*parts, *shares(ROUGH_WORDS, ROUGH, rough), *figures(rough), *shares(MIXED_WORDS, MIXED, mixed), *refusals(mixed)])


if __name__ == "__main__":
    sys.stdout.write(markdown(int(sys.argv[1]) if sys.argv[1:] else REQUESTS))
