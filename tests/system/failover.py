"""The failover table: each class of error on one of three accounts, and on all three of them.

`python -m tests.system.failover` prints it, as docs/failover.md has it.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.system import cases
from tests.system.raw import eventually
from tests.system.stand import Verdicts, standing

FORMS = (("messages", True), ("chat", False))
AT_ONCE = 8
BUSY = "Too many requests, please wait before trying again."
LIMITS = ("MONTHLY_REQUEST_COUNT", "DAILY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED", "monthly_as_403", "quota")
HEAD = """# Failover

What becomes of a request when one of three accounts fails, and when all do. Printed by `make failover`: every line is a
question that was asked over HTTP, in both APIs, streamed and not, to a gateway of its own with three accounts before the
simulator of Kiro, which was told to fail. SCHEDULING_MODE is fill-first, so the first account is asked first. Pauses
between tries are cut short there.

* **asked**: the accounts in the order in which they were asked, each number a try. Before the first byte that the client
  sees a failure moves to the next account that fits, and none is asked again that was given up; afterwards never.
* **client**: *whole* is an answer without a trace of the failure; else status and type (Messages), status and code (Chat).
* **afterwards**: the first account's state, and for how long it is left alone. *of this model*: other models are not
  concerned. A rest that is a guess of the gateway's ends early when no other account can serve.
* **next**: which account served the next question, when Kiro had stopped to fail.

The classes are those of the decision table (`kirogw/dialects/kiro/faults.py`), the states those of
`kirogw/pool/health.py`. What no account's fault is makes none rest: the request's own faults, and Kiro's.
"""


@dataclass(frozen=True)
class Case:
    """`faults`: members of the twin's faults, for the account that fails. `used_up`: its plan shows nothing left, too.
    `before` is done to the twin with the account's name.
    """

    name: str
    faults: tuple = ()
    kind: str = "api_key"
    used_up: bool = False
    before: object = None
    script: list = field(default_factory=lambda: cases.PLAIN)
    more: object = cases.nothing


def said(*names, label="", **more):
    return tuple(Case(label or _label(name), ({"name": name},), **more) for name in names)


def _label(name):
    if name in cases.ISSUERS:
        return f"sign-in: {name}"
    return cases.WORDS.get(name) or cases._told({"name": name})


def expired(twin, name):
    twin.accounts.expire(name)


def expired_and_refused(twin, name):
    expired(twin, name)
    twin.accounts.revoke(name)


CLASSES = {
    "The plan is used up": said(*LIMITS, used_up=True),
    "The plan is used up, says the request, and the look at the plan finds something left": said("MONTHLY_REQUEST_COUNT"),
    "The account is asked too often": said("USER_REQUEST_RATE_EXCEEDED", "retry_after"),
    "The account spends credits too fast": said("CREDIT_CONSUMPTION_RATE_EXCEEDED"),
    "The model is short": said("SERVICE_REQUEST_RATE_EXCEEDED", "INSUFFICIENT_MODEL_CAPACITY", "MODEL_TEMPORARILY_UNAVAILABLE",
                               "high_load"),
    "Kiro is down": said("unavailable", "unexpected", "bad_gateway"),
    "The account is locked": said("TEMPORARILY_SUSPENDED", "locked"),
    "The token is refused, renewed, and taken": (Case("the access token has ended before its time", kind="social", before=expired),),
    "The token is refused, and so is its renewal": (
        Case("the access token and the refresh token are withdrawn", kind="social", before=expired_and_refused),),
    "The key or the token is refused": said("bearer_invalid", "key_dead"),
    "The sign-in service does not renew the token": said("invalid_grant", "refresh_blocked", "refresh_broken", kind="social"),
    "The account needs its owner": said("not_authorized", "subscription"),
    "The profile or its region is not activated": said("FEATURE_NOT_SUPPORTED", "profile_required"),
    "The account lacks the model": said("INVALID_MODEL_ID"),
    "An edge refuses the machine": said("html_403"),
    "The way there": said("hangup", "empty", "cut_open", "json_for_stream"),
    "The conversation is too long": said("CONVERSATION_LIMIT_EXCEEDED", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
    "The request is at fault": said("improper", "IMAGE_SIZE_EXCEEDED"),
    "Broken off after the first word": (
        Case("the connection is closed in mid-answer", ({"cut_frame": cases.MIDDLE, "end": "open"},), script=cases.HALVES),
        Case("an exception in mid-answer: ThrottlingException",
             ({"exception": {"type": "ThrottlingException", "message": BUSY}, "frame": cases.MIDDLE},), script=cases.HALVES),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """`asked`, `served` and `after` are numbers of accounts, from 1; `served` and `after` 0 where none did."""

    heard: object
    rules: tuple
    asked: tuple
    served: int
    state: str
    evidence: str
    after: int
    words: str


def play(verdicts, case, form, everywhere=False):
    face, stream = form
    login = cases.by_token if case.kind == "social" else cases.by_key
    more = {"SCHEDULING_MODE": "fill-first", **case.more(None)}
    with standing(verdicts, (case.kind,) * 3, {}, login, lambda twin: more) as stand:
        twin, pool = stand.twin, stand.state.pool
        order = {account.id: n for n, account in enumerate(pool.all(), 1)}
        names = _names(twin, pool)
        twin.script(case.script)
        if case.before:
            stand.ask(face, False)  # the first account has a token by then
            twin.reset()
            twin.script(case.script)
        for name in names.values() if everywhere else (names[1],):
            _break(twin, case, name)
        heard = stand.ask(face, stream)
        asked = tuple(n for seen in twin.seen("generate") for n, name in names.items() if name == seen.account)
        first = pool.all()[0]
        if case.used_up:
            eventually(lambda: first.health.told, 20)
        state, evidence = _state(first), _evidence(first)
        twin.faults.clear()
        later = None if everywhere else stand.ask(face, False)
        served = [order.get(one.headers.get("x-kirogw-account"), 0) if one and one.clean else 0 for one in (heard, later)]
        words = re.sub(r"\b(key|token)-[0-9a-f]{8}\b", lambda found: f"account {order[found[0]]}", heard.words)
        return Result(heard, heard.rules, asked, served[0], state, evidence, served[1], words)


def _names(twin, pool):
    """number of an account, in the gateway's order -> its name at the twin."""
    given = [account.name for account in twin.accounts.all.values()]
    assert len(given) == len(pool.all())
    return dict(enumerate(given, 1))


def _break(twin, case, name):
    for fault in case.faults:
        issuing = fault.get("name") in cases.ISSUERS  # who asks them is known by the token alone
        whom = {"match": twin.accounts.all[name].refresh_token} if issuing else {"account": name}
        twin.faults.add(**{"count": None, **fault, **whom})
    if case.used_up:
        account = twin.accounts.all[name]
        account.used = account.limit
    if case.before:
        case.before(twin, name)


def _state(account):
    marks = [f"{_rest(mark)} of this model" for mark in account.marks.values()]
    return " and ".join(marks) if marks else _rest(account.health)


def _rest(found):
    if found.state == "ready":
        return "ready"
    return f"{found.state} until the plan is reset" if found.told else f"{found.state} {_span(found.until - found.at)}"


def _span(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _evidence(account):
    return " ".join(found.evidence for found in (account.health, *account.marks.values()) if found.state != "ready")


def table(classes=CLASSES):
    """class -> [(case, {form: Result with one account failing}, {form: Result with all three})]."""
    verdicts = Verdicts()
    with verdicts.listening(), ThreadPoolExecutor(AT_ONCE) as executor:
        going = {
            name: [(case, *({form: executor.submit(play, verdicts, case, form, all_) for form in FORMS} for all_ in (False, True)))
                   for case in rows]
            for name, rows in classes.items()
        }  # fmt: skip
        return {
            name: [(case, *({form: one.result() for form, one in results.items()} for results in both)) for case, *both in rows]
            for name, rows in going.items()
        }  # fmt: skip


def markdown(played):
    lines = [HEAD, "\n## One of three accounts fails\n\n", "| what happens | Kiro says | row | client | asked | served by | afterwards | next |\n",
             "|---|---|---|---|---|---|---|---|\n"]  # fmt: skip
    for name, rows in played.items():
        lines += _lines(name, [(case, _one(one)) for case, one, _ in rows])
    lines += ["\n## All three fail\n\n", "The status is that of the account that can serve first, and Retry-After says when that is.\n\n",
              "| what happens | Kiro says | Messages | Chat | asked | words |\n", "|---|---|---|---|---|---|\n"]  # fmt: skip
    for name, rows in played.items():
        lines += _lines(name, [(case, _all(results)) for case, _, results in rows])
    return "".join(lines)


def _lines(name, rows):
    """What nobody can tell apart stands in one line."""
    same = {}
    for case, cells in rows:
        same.setdefault(tuple(map(stable, cells)), (cells, []))[1].append(case.name)
    for n, (cells, names) in enumerate(same.values()):
        yield f"| {name if n == 0 else ''} | {'; '.join(names)} | {' | '.join(cells)} |\n"


def _one(results):
    seen = [(", ".join(dict.fromkeys(one.rules)), _client(one.heard), " ".join(map(str, one.asked)), str(one.served or "none"),
             one.state, str(one.after or "none")) for one in results.values()]  # fmt: skip
    return tuple(" / ".join(dict.fromkeys(cells)) for cells in zip(*seen, strict=True))


def _all(results):
    heard = [_client(one.heard) for one in results.values()]
    asked = " / ".join(dict.fromkeys(" ".join(map(str, one.asked)) for one in results.values()))
    return (*heard, asked, results["messages", True].words)


def _client(heard):
    if heard.in_band:
        return f"in-band {heard.code or heard.type}"
    if heard.failed:
        wait = "" if heard.wait is None else f", wait {_rounded(heard.wait)}"
        return f"{heard.status} {heard.code or heard.type}{wait}"
    return "whole" if heard.clean and heard.text == cases.TEXT else f"ends {heard.stop}"


def _rounded(seconds):
    """A rest has begun some moments before."""
    return f"{round(seconds, -1) if seconds >= 60 else seconds}"


def stable(page):
    """A page without what changes from one minute to the next."""
    return re.sub(r"(wait|\(for|again in) \d+( days| h| min| s)?", r"\1 some time", page)


if __name__ == "__main__":
    sys.stdout.write(markdown(table()))
