"""The failover table: each class of error on one of three accounts, on all three of them, and on one of two providers.

`python -m tests.system.failover` prints it, as docs/failover.md has it.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tests.system import cases, cases_chatgpt
from tests.system.cases import BLIND
from tests.system.cases_chatgpt import MIDDLE, WORD
from tests.system.raw import eventually
from tests.system.stand import Verdicts, brought_in, standing
from tests.system.talk import MODEL

AT_ONCE = 8
BUSY = "Too many requests, please wait before trying again."
LIMITS = ("MONTHLY_REQUEST_COUNT", "DAILY_REQUEST_COUNT", "OVERAGE_REQUEST_LIMIT_EXCEEDED", "monthly_as_403", "quota")
BOTH = "gpt-5.6-sol"  # a model that Kiro has, and ChatGPT too
FORMS = {
    "Kiro": (("messages", True), ("chat", False)), "ChatGPT": (("messages", False), ("responses", True)),
    "Both": (("messages", True), ("chat", False), ("responses", True)),
}  # fmt: skip
NAMES = {"messages": "Messages", "chat": "Chat", "responses": "Responses"}
HEAD = """# Failover

What becomes of a request when one of several accounts fails, and when all do. Printed by `make failover`: every line is a
question that was asked over HTTP, in two or three APIs, streamed and not, to a gateway of its own before the simulators of
Kiro and ChatGPT, which were told to fail. SCHEDULING_MODE is fill-first, so the first account is asked first. Pauses
between tries are cut short there.

* **asked**: the accounts in the order in which they were asked, each number a try. Before the first byte that the client
  sees a failure moves to the next account that fits, and none is asked again that was given up; afterwards never.
* **client**: *whole* is an answer without a trace of the failure; else status and type (Messages), status and code (Chat,
  Responses).
* **afterwards**: the first account's state, and for how long it is left alone. *of this model*: other models are not
  concerned. A rest that is a guess of the gateway's ends early when no other account can serve.
* **next**: which account served the next question, when the provider had stopped to fail.

The classes are those of the decision tables (`kirogw/dialects/kiro/faults.py`, `kirogw/dialects/codex/faults.py`), the
states those of `kirogw/pool/health.py`. What no account's fault is makes none rest: the request's own faults, and the
provider's.
"""


@dataclass(frozen=True)
class Case:
    """`faults`: members of the twin's faults, for the account that fails. `used_up`: its plan shows nothing left, too.
    `before` is done to the twin with the account's name. `accounts`: kinds, in order; `side`: whose fault it is.
    """

    name: str
    faults: tuple = ()
    kind: str = "api_key"
    used_up: bool = False
    before: object = None
    script: list = field(default_factory=lambda: cases.PLAIN)
    more: object = cases.nothing
    side: str = "Kiro"
    model: str = MODEL
    accounts: tuple = ()

    @property
    def kinds(self):
        return self.accounts or (self.kind,) * 3

    @property
    def forms(self):
        return FORMS["Both" if self.accounts else self.side]


def said(*names, label="", **more):
    return tuple(Case(label or _label(name), ({"name": name},), **more) for name in names)


def _label(name, told=cases._told):
    if name in cases.ISSUERS or name in cases_chatgpt.ISSUERS:
        return f"sign-in: {name}"
    if name in WITHIN:
        return f"in a stream, before the first word: {WITHIN[name]}"
    return cases.WORDS.get(name) or told({"name": name})


WITHIN = {
    "first_usage_limit": "usage_limit_reached", "first_error_event": "an error event, usage_limit_reached", "first_rate_limit": "rate_limit_exceeded",
    "first_overloaded": "server_is_overloaded", "first_context_length": "context_length_exceeded",
}  # fmt: skip


def expired(twin, name):
    twin.accounts.expire(name)


def expired_and_refused(twin, name):
    expired(twin, name)
    twin.accounts.revoke(name)


def full(twin, name):
    twin.accounts.all[name].primary["used"] = 100.0


def at_chatgpt(*names, kind="codex", also=(), **more):
    more |= {"kind": kind, "side": "ChatGPT", "model": cases_chatgpt.MODEL}
    return tuple(Case(_label(name, cases_chatgpt.told), ({"name": name}, *also), **more) for name in names)


def chatgpt(name, *faults, **more):
    return Case(name, faults, **{"kind": "codex", "side": "ChatGPT", "model": cases_chatgpt.MODEL, **more})


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
CHATGPT = {
    "The plan is used up": (*at_chatgpt("usage_limit_reached", "first_usage_limit", "first_error_event", also=(BLIND,)),
                            chatgpt("the window of five hours is full", before=full), *at_chatgpt("subscription_limit", kind="siwc")),
    "The account is asked too often": at_chatgpt("rate_limit_exceeded", "retry_after", "first_rate_limit"),
    "The model is short": at_chatgpt("capacity"),
    "ChatGPT is overloaded or down": at_chatgpt("overloaded", "first_overloaded", "unavailable", "server_error", "bad_gateway"),
    "The account or its workspace is closed": at_chatgpt("account_deactivated", "deactivated_workspace"),
    "The token is refused, renewed, and taken": (chatgpt("the access token has ended before its time", before=expired),),
    "The token is refused, and so is its renewal": (
        chatgpt("the access token and the refresh token are withdrawn", before=expired_and_refused),
        *at_chatgpt("refresh_token_reused", "refresh_token_invalidated", "refresh_blocked", "refresh_broken", before=expired)),
    "The token is refused, though it was renewed": at_chatgpt("token_invalidated"),
    "The login does not cover this use": (*at_chatgpt("invalid_workspace", "missing_scopes"), *at_chatgpt("scope_not_authorized", kind="siwc")),
    "The plan does not include this use": (*at_chatgpt("usage_not_included"), *at_chatgpt("not_eligible", kind="siwc")),
    "The account lacks the model": at_chatgpt("model_not_supported", "newer_version"),
    "ChatGPT does not know the model": at_chatgpt("model_not_found"),
    "An edge refuses the machine": at_chatgpt("cloudflare"),
    "The way there": (*at_chatgpt("hangup", "json_for_stream"), chatgpt("cut before the first word", {"cut_frame": WORD, "end": "open"}),
                      chatgpt("an answer that says nothing", cases_chatgpt.SILENT)),
    "The conversation is too long": at_chatgpt("context_length_exceeded", "first_context_length"),
    "The thinking of an earlier turn is not believed": at_chatgpt("invalid_encrypted_content"),
    "The request is at fault": at_chatgpt("invalid_image", "cyber_policy", "unsupported_parameter"),
    "Broken off after the first word": (
        chatgpt("the connection is closed in mid-answer", {"cut_frame": MIDDLE, "end": "open"}, script=cases.HALVES),
        chatgpt("response.failed in mid-answer: usage_limit_reached",
                {"exception": {"code": "usage_limit_reached", "message": "The usage limit has been reached", "resets_in_seconds": 3600},
                 "frame": MIDDLE}, BLIND, script=cases.HALVES),
    ),
}  # fmt: skip


def beside(classes, *accounts):
    """The same failures of an account that has one of the other provider beside it, and a model that both have."""
    return tuple(replace(case, accounts=accounts, model=BOTH) for name in classes for case in classes[name][:2])


OF_KIRO = ("The plan is used up", "The account is asked too often", "Kiro is down", "The account is locked", "The key or the token is refused",
           "The account lacks the model", "An edge refuses the machine", "The way there", "The request is at fault",
           "Broken off after the first word")  # fmt: skip
OF_CHATGPT = ("The plan is used up", "The account is asked too often", "ChatGPT is overloaded or down", "The account or its workspace is closed",
              "The token is refused, and so is its renewal", "The account lacks the model", "An edge refuses the machine", "The way there",
              "The request is at fault", "Broken off after the first word")  # fmt: skip
MIXED = {
    "A Kiro account fails, a ChatGPT account has the model too": beside({name: CLASSES[name] for name in OF_KIRO}, "api_key", "codex"),
    "A ChatGPT account fails, a Kiro account has the model too": beside({name: CHATGPT[name] for name in OF_CHATGPT}, "codex", "api_key"),
}


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
    login = cases.by_token if case.kind == "social" else cases.by_key if case.kinds == ("api_key",) * 3 else brought_in
    more = {"SCHEDULING_MODE": "fill-first", **case.more(None)}
    with standing(verdicts, case.kinds, {}, login, lambda twin: more) as stand:
        pool = stand.state.pool
        order = {account.id: n for n, account in enumerate(pool.all(), 1)}
        names = _names(stand, pool)
        for twin in stand.twins:
            twin.script(case.script)
        if case.before:
            stand.ask(face, False, model=case.model)  # the first account has a token by then
            for twin in stand.twins:
                twin.reset()
                twin.script(case.script)
        for twin, name in names.values() if everywhere else (names[1],):
            _break(twin, case, name)
        heard = stand.ask(face, stream, model=case.model)
        asked = tuple(n for seen in stand.seen() for n, (_, name) in names.items() if name == seen.account)
        first = pool.all()[0]
        if case.used_up:
            eventually(lambda: first.health.told, 60)
        state, evidence = _state(first), _evidence(first)
        _prolong(first)
        for twin in stand.twins:
            twin.faults.clear()
        later = None if everywhere else stand.ask(face, False, model=case.model)
        served = [order.get(one.headers.get("x-kirogw-account"), 0) if one and one.clean else 0 for one in (heard, later)]
        words = re.sub(r"\b(key|token|codex|siwc)-[0-9a-f]{8}\b", lambda found: f"account {order[found[0]]}", heard.words)
        return Result(heard, heard.rules, asked, served[0], state, evidence, served[1], words)


def _names(stand, pool):
    """number of an account, in the gateway's order -> its twin, and its name there."""
    given = [(twin, account.name) for twin in stand.twins for account in twin.accounts.all.values()]
    assert len(given) == len(pool.all())
    return dict(enumerate(given, 1))


def _break(twin, case, name):
    for fault in case.faults:
        issuing = fault.get("name") in (*cases.ISSUERS, *cases_chatgpt.ISSUERS)  # who asks them is known by the token alone
        whom = {"match": twin.accounts.all[name].refresh_token} if issuing else {"account": name}
        twin.faults.add(**{"count": None, **fault, **whom})
    if case.used_up:
        account = twin.accounts.all[name]
        account.used = account.limit
    if case.before:
        case.before(twin, name)


def _prolong(account):
    """A rest of seconds is not over when the next question comes, however slow the machine is."""
    account.health = _longer(account.health)
    account.marks = {model: _longer(mark) for model, mark in account.marks.items()}


def _longer(found):
    return replace(found, until=found.until + 3600) if found.state != "ready" else found


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


def table(classes=CLASSES, everywhere=True):
    """class -> [(case, {form: Result with one account failing}, {form: Result with all of them, if so})]."""
    verdicts, whom = Verdicts(), (False, True) if everywhere else (False,)
    with verdicts.listening(), ThreadPoolExecutor(AT_ONCE) as executor:
        going = {
            name: [(case, *({form: executor.submit(play, verdicts, case, form, all_) for form in case.forms} for all_ in whom)) for case in rows]
            for name, rows in classes.items()
        }  # fmt: skip
        return {
            name: [(case, *({form: one.result() for form, one in results.items()} for results in both)) for case, *both in rows]
            for name, rows in going.items()
        }  # fmt: skip


def played():
    """Of both providers, and of the two together."""
    return {"Kiro": table(), "ChatGPT": table(CHATGPT), "Both": table(MIXED, everywhere=False)}


def markdown(tables):
    lines = [HEAD]
    for side in ("Kiro", "ChatGPT"):
        lines += _of_one(side, tables[side])
    for name, rows in tables["Both"].items():
        says = "Kiro says" if rows[0][0].side == "Kiro" else "ChatGPT says"
        lines += [f"\n## {name}\n\n", f"Asked for {BOTH}, in three APIs. Account 1 fails, account 2 is the other provider's.\n\n",
                  f"| {says} | row | client | asked | served by | afterwards | next |\n", "|---|---|---|---|---|---|---|\n"]  # fmt: skip
        lines += [line.removeprefix("|  ") for line in _lines("", [(case, _one(one)) for case, one in rows])]
    return "".join(lines)


def _of_one(side, classes):
    lines = [f"\n## One of three accounts at {side} fails\n\n",
             f"| what happens | {side} says | row | client | asked | served by | afterwards | next |\n",
             "|---|---|---|---|---|---|---|---|\n"]  # fmt: skip
    for name, rows in classes.items():
        lines += _lines(name, [(case, _one(one)) for case, one, _ in rows])
    faces = " | ".join(NAMES[face] for face, _ in FORMS[side])
    lines += [f"\n## All three fail at {side}\n\n", "The status is that of the account that can serve first, and Retry-After says when that is.\n\n",
              f"| what happens | {side} says | {faces} | asked | words |\n", "|---|---|---|---|---|---|\n"]  # fmt: skip
    for name, rows in classes.items():
        lines += _lines(name, [(case, _all(results)) for case, _, results in rows])
    return lines


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
    return (*heard, asked, next(iter(results.values())).words)


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
    sys.stdout.write(markdown(played()))
