"""What can go wrong, as a table of cases: what the upstream does, to which accounts, how the gateway is set up.

Here Kiro is the upstream; `cases_chatgpt.py` has the other half.
"""

import contextlib
import datetime
import itertools
import json
import socket
import time
from dataclasses import dataclass, field

from kirogw.twin import as_ide_file
from kirogw.twin.kiro.mishaps import BUSY, NAMED
from tests.system.pauses import ENDLESS
from tests.system.talk import MODEL

TEXT = "one two three four five six seven eight nine ten"
PLAIN = [{"steps": [{"text": TEXT}], "repeat": True}]
HALVES = [{"steps": [{"text": TEXT[:14]}, {"delay": 0.5, "text": TEXT[14:]}], "repeat": True}]
MIDDLE = 4  # the frame after the pause: 0 opens the answer, 1 to 3 are words that the client has by then
EITHER = ("once", "always")
REFUSING = socket.socket()
REFUSING.bind(("127.0.0.1", 0))  # and nobody listens


COLUMNS = (("messages", True), ("messages", False), ("chat", True), ("chat", False))
WHOLES = (("messages", False), ("chat", False), ("responses", False))


def by_key(twin, home):
    return {"KIRO_API_KEY": ",".join(account.api_key for account in twin.accounts.all.values())}


def by_token(twin, home):
    return {"REFRESH_TOKEN": ",".join(account.refresh_token for account in twin.accounts.all.values())}


def by_file(seconds):
    """The IDE's file, whose access token ends in so many seconds."""

    def login(twin, home):
        ends = datetime.datetime.fromtimestamp(time.time() + seconds, datetime.UTC)
        path = home / "kiro-auth-token.json"
        path.write_text(json.dumps(as_ide_file(twin.account, ends.isoformat().replace("+00:00", "Z"))))
        return {"KIRO_CREDS_FILE": str(path)}

    return login


def nothing(*_):
    return {}


@dataclass(frozen=True)
class Case:
    """`faults`: members of the twin's faults; how often each comes is told by `when`, if it does not say so itself.
    `first` is done before the question, with the stand and the face. `text`: what a whole answer says. `columns`: in
    which APIs it is asked, streamed or not; `side`: the provider. `shared`: one gateway is asked for all columns, with
    the accounts' rests ended in between. `beats`: a pause lasts until the client has heard a sign of life.
    """

    name: str
    faults: tuple = ()
    when: tuple = EITHER
    script: list = field(default_factory=lambda: PLAIN)
    accounts: tuple = ("api_key",)
    options: dict = field(default_factory=dict)
    login: object = by_key
    more: object = nothing
    first: object = nothing
    agent: str = ""
    tools: bool = False
    text: str = TEXT
    columns: tuple = COLUMNS
    model: str = MODEL
    side: str = "Kiro"
    shared: bool = False
    beats: bool = False


def set_to(**settings):
    return lambda twin: settings


BEATING = set_to(HEARTBEAT=0.2)
LIMITED = set_to(HEARTBEAT=0.2, FIRST_TOKEN_TIMEOUT=8, STREAMING_READ_TIMEOUT=8)  # the try after it keeps to it, too
IMPATIENT = set_to(CONNECT_TIMEOUT=0.3)


def refused():
    """The question is answered with an error. A single account, which uses an API key."""
    for name, fault in NAMED.items():
        if "status" in fault and fault.get("operation") != "auth":
            yield Case(_label(name, fault), ({"name": name},), shared=True)
    yield Case("302", ({"status": 302, "body": ""},), shared=True)
    yield Case("418 of a type that nobody knows", ({"status": 418, "type": "TeapotException", "message": ""},), shared=True)


def _label(name, fault):
    """What Kiro says: status and reason, or words where no reason is known or it misleads."""
    status, body, reason = fault["status"], fault.get("body"), fault.get("reason")
    if name == reason:
        return f"{status} {reason}"
    if body is None:
        words = f'"{fault["message"]}"' if fault["message"] != BUSY else ""
        return " ".join(filter(None, [str(status), reason, words, WITH.get(name)]))
    if "html" in fault.get("content_type", ""):
        return f"{status} with a web page"
    with contextlib.suppress(ValueError):
        found = json.loads(body)
        body = found.get("error", found)["message"]
    return f'{status} "{body}"' if body else f"{status} without a body"


WITH = {"retry_after": "with Retry-After: 7", "unavailable_as_500": "ServiceUnavailableException"}


ENDS = {"open": "the connection is closed", "clean": "the body ends as it should", "reset": "the connection is reset"}
BREAKS = {
    **{name: {"cut_frame": 0, "end": end} for end, name in ENDS.items()},
    **{f"a wrong bit ({place})": {"corrupt": place, "frame": 0} for place in ("prelude", "length", "header", "payload", "message")},
    "an exception: ThrottlingException": {"exception": {"type": "ThrottlingException", "message": BUSY}, "frame": 0},
    "an exception: InternalServerException": {"exception": {"type": "InternalServerException", "message": "Encountered an unexpected error when processing the request, please try again."}, "frame": 0},
    "an exception: MODEL_TEMPORARILY_UNAVAILABLE": {"exception": {"type": "InternalServerException", "reason": "MODEL_TEMPORARILY_UNAVAILABLE"}, "frame": 0},
    "an exception: AccessDeniedException": {"exception": {"type": "AccessDeniedException", "message": "Invalid token"}, "frame": 0},
    "an exception: ContentLengthExceededException": {"exception": {"type": "ContentLengthExceededException", "message": "Output is too long."}, "frame": 0},
    "an exception of a type that nobody knows": {"exception": {"type": "BrandNewException"}, "frame": 0},
    "an error without a model": {"error": {"code": "InternalServerException", "message": "The stream broke."}, "frame": 0},
}  # fmt: skip


def broken():
    """The answer has begun with a status of 200, and breaks."""
    for name, fault in BREAKS.items():
        for where, frame, script in (("before the first word", 1, PLAIN), ("in mid-answer", MIDDLE, HALVES)):
            placed = {member: frame if member in ("frame", "cut_frame") else value for member, value in fault.items()}
            yield Case(f"{name}, {where}", (placed,), script=script)
    for end, bytes_ in itertools.product(("open", "clean", "reset"), (300, 800)):
        where, script = ("before the first word", PLAIN) if bytes_ == 300 else ("in mid-answer", HALVES)
        yield Case(f"{ENDS[end]} inside a frame, {where}", ({"cut": bytes_, "end": end},), script=script)
    yield Case("a stream without a frame", ({"name": "empty"},))
    yield Case("all words, but no metadataEvent, contextUsageEvent or meteringEvent", ({"name": "no_end"},), script=HALVES)
    yield Case("JSON in place of a stream", ({"name": "json_for_stream"},))
    yield Case("a web page in place of a stream", ({"name": "html_for_stream"},))
    yield Case("frames in pieces of seven bytes", ({"name": "sliced"},))


def known_for_metadata(stand, face):
    stand.ask(face, False)


STUMP = '{"path": "a.txt", "content": "half of wh'
WHOLE = '{"path": "a.txt", "content": "all"}'


def _call(arguments, *tail, finished=False):
    call = {"tool": "write", "input": arguments, "pieces": [12], "finished": finished, "delay": 0.3}
    return [{"steps": [{"text": TEXT}, call, *tail], "repeat": True}]


def endings():
    """How an answer ends by what Kiro says of it, and calls that are cut: a stump that can not be run goes out as it is."""
    for reason in ("MAX_TOKENS", "MODEL_CONTEXT_WINDOW_EXCEEDED", "CONTENT_FILTERED", "PAUSE_TURN", "STOP_SEQUENCE", "TOOL_USE", "MALFORMED_TOOL_USE", "UNKNOWN"):
        yield Case(f"stopReason {reason}, no call", (), ("always",), [{"steps": [{"text": TEXT}, {"stop": reason}], "repeat": True}])
    yield Case("the window is full", (), ("always",), [{"steps": [{"text": TEXT}, {"context": 100}], "repeat": True}])
    yield Case("no metadataEvent, from an account that never sent one", (), ("always",), options={"metadata": False})
    yield Case("no metadataEvent, from an account that sent one before", ({"name": "no_metadata", "after": 1},), ("always",), first=known_for_metadata)
    yield Case("nothing but a stop reason", (), ("always",), [{"steps": [{"stop": "END_TURN"}], "repeat": True}], text="")
    for name, tail in (("MAX_TOKENS", {"stop": "MAX_TOKENS"}), ("TOOL_USE", {"stop": "TOOL_USE"}), ("END_TURN", {"stop": "END_TURN"}), ("no end", {"end": False})):
        yield Case(f"half a call, then {name}", (), ("always",), _call(STUMP, tail), tools=True)
    yield Case("half a call that could be run, then MAX_TOKENS", (), ("always",), _call(WHOLE, {"stop": "MAX_TOKENS"}), tools=True)
    yield Case("half a call, and the connection is closed", ({"cut_frame": 13, "end": "open"},), EITHER, _call(WHOLE, finished=True), tools=True)
    yield Case("a whole call, then END_TURN", (), ("always",), _call(WHOLE, {"stop": "END_TURN"}, finished=True), tools=True)


def slow():
    """With a heartbeat of 0.2 s; where a limit (FIRST_TOKEN_TIMEOUT, STREAMING_READ_TIMEOUT) is met, it is 8 s."""
    yield Case("no head for more than a heartbeat", ({"slow": 0.7},), ("always",), more=BEATING, beats=True)
    yield Case("no word for more than a heartbeat", ({"stall": 0.7, "frame": 1},), ("always",), more=BEATING, beats=True)
    yield Case("more than a heartbeat of silence in mid-answer", ({"stall": 0.7, "frame": MIDDLE},), ("always",), more=BEATING, beats=True)
    yield Case("no head within FIRST_TOKEN_TIMEOUT", ({"slow": ENDLESS},), more=LIMITED)
    yield Case("no word within STREAMING_READ_TIMEOUT", ({"stall": ENDLESS, "frame": 1},), more=LIMITED)
    yield Case("silence in mid-answer for STREAMING_READ_TIMEOUT", ({"stall": ENDLESS, "frame": MIDDLE},), more=LIMITED)


def runtime(*urls):
    """KIRO_RUNTIME_URLS; `{twin}` is the twin, `{refusing}` an address where nobody listens."""
    places = {"refusing": f"http://127.0.0.1:{REFUSING.getsockname()[1]}"}
    return lambda twin: {"KIRO_RUNTIME_URLS": ",".join(url.format(twin=twin.url, region="{region}", **places) for url in urls)}


def way():
    """The network; an error whose body does not come within CONNECT_TIMEOUT; the list of models, which is dispensable."""
    yield Case("nobody listens", (), ("always",), more=runtime("{refusing}"))
    yield Case("the proxy does not listen", (), ("always",), more=set_to(VPN_PROXY_URL=f"http://127.0.0.1:{REFUSING.getsockname()[1]}"))
    yield Case("closed without an answer", ({"name": "hangup"},))
    yield Case("reset without an answer", ({"name": "reset"},))
    yield Case("the body of an error stops within", (STALLED,), more=IMPATIENT)
    for name in ("html_403", "unavailable", "hangup", "not_authorized"):
        yield Case(f"the list of models: {name}", ({"name": name, "operation": "models"},), ("always",))


HOSTS = runtime("{twin}/@runtime.{region}.kiro.dev", "{twin}/@q.{region}.amazonaws.com")
STALLED = {"status": 500, "stall": ENDLESS}
BY_HOST = {
    # a row of the decision table -> what the first host does
    "edge": {"name": "html_403"}, "wrong host": {"name": "unknown_operation"}, "unavailable": {"name": "unavailable"},
    "gateway": {"name": "bad_gateway"}, "strange": {"status": 302, "body": ""}, "timeout": STALLED, "connect": None,
}  # fmt: skip


def hosts():
    """Two hosts in KIRO_RUNTIME_URLS, and the first one fails each time."""
    for row, fault in BY_HOST.items():
        first = runtime("{refusing}", "{twin}") if fault is None else HOSTS
        more = (lambda twin, first=first: {**IMPATIENT(twin), **first(twin)}) if row == "timeout" else first
        yield Case(_told(fault), ({**fault, "host": "runtime."},) if fault else (), ("always",), more=more)


def _told(fault):
    if fault is None:
        return "nobody listens"
    if fault == STALLED:
        return "the body of an error stops within"
    return _label(fault["name"], NAMED[fault["name"]]) if "name" in fault else str(fault["status"])


BY_ACCOUNT = {
    # a row of the decision table -> what Kiro does with the first account
    "profile": {"name": "profile_required"}, "suspended": {"name": "TEMPORARILY_SUSPENDED"}, "quota": {"name": "MONTHLY_REQUEST_COUNT"},
    "credit rate": {"name": "CREDIT_CONSUMPTION_RATE_EXCEEDED"}, "rate": {"name": "USER_REQUEST_RATE_EXCEEDED"}, "edge": {"name": "html_403"},
    "token": {"name": "bearer_invalid"}, "not activated": {"name": "FEATURE_NOT_SUPPORTED"}, "plan": {"name": "subscription"},
    "not authorized": {"name": "not_authorized"}, "model": {"name": "INVALID_MODEL_ID"},
    "forbidden": {"name": "UNAUTHORIZED_CUSTOMIZATION_RESOURCE_ACCESS"}, "unavailable": {"name": "unavailable"},
    "gateway": {"name": "bad_gateway"}, "server": {"name": "unexpected"}, "strange": {"status": 302, "body": ""},
    "reset": {"name": "hangup"}, "damaged": {"name": "json_for_stream"}, "cut": {"name": "cut_open"}, "empty": {"name": "empty"},
    "timeout": STALLED,
}  # fmt: skip
WORDS = {"hangup": "closed without an answer", "json_for_stream": "JSON in place of a stream", "cut_open": "cut before the first word",
         "empty": "a stream without a frame"}  # fmt: skip


def accounts():
    """Two accounts, and the first one fails each time."""
    for row, fault in BY_ACCOUNT.items():
        name = WORDS.get(fault.get("name")) or _told(fault)
        yield Case(name, ({**fault, "account": "api_key-1"},), ("always",), accounts=("api_key",) * 2, more=IMPATIENT if row == "timeout" else nothing)
    for name in ("refresh_blocked", "invalid_grant"):
        yield Case(f"sign-in: {name}", ({"name": name},), ("once",), accounts=("social",) * 2, login=by_token)


BLIND = {"status": 500, "operation": "usage", "count": None}  # nobody tells what is left: that would not agree with a refusal that is made up


def refused_before(stand, face):
    stand.ask(face, False)


def resting():
    """What is asked next, of an only account that has just failed. Kiro would answer this time, if it were asked."""
    for name in ("MONTHLY_REQUEST_COUNT", "TEMPORARILY_SUSPENDED", "CREDIT_CONSUMPTION_RATE_EXCEEDED", "not_authorized", "INVALID_MODEL_ID"):
        yield Case(_told({"name": name}), ({"name": name}, BLIND), ("once",), first=refused_before)
    for name in ("USER_REQUEST_RATE_EXCEEDED", "bearer_invalid"):
        yield Case(_told({"name": name}), ({"name": name, "count": 2},), ("once",), first=refused_before)
    later = {"name": "retry_after", "headers": {"retry-after": "300"}}
    yield Case("429 USER_REQUEST_RATE_EXCEEDED with Retry-After: 300", ({**later, "count": 2},), ("once",), first=refused_before)
    for name in ("invalid_grant", "refresh_blocked"):
        yield Case(f"sign-in: {name}", ({"name": name},), ("once",), accounts=("social",), login=by_token, first=refused_before)


ISSUERS = ("invalid_grant", "refresh_unauthorized", "refresh_blocked", "refresh_busy", "refresh_broken", "refresh_lost")


def refused_early(stand, face):
    """The token ends before its time: nobody but Kiro knows."""
    stand.ask(face, False)
    stand.twin.accounts.expire()


def signing_in():
    """A Google or GitHub account, whose access token has run out, is due, or is refused before its time."""
    yield Case("the token is refused before its time, and renewed", (), ("always",), accounts=("social",), login=by_token, first=refused_early)
    for name in ISSUERS:
        yield Case(f"{name}, no token yet", ({"name": name},), accounts=("social",), login=by_token)
    yield Case("refresh_lost, no token yet, the old one is honoured", ({"name": "refresh_lost"},), accounts=("social",), login=by_token, options={"rotation": "grace"})
    for name in ISSUERS:
        yield Case(f"{name}, the token still lives", ({"name": name},), accounts=("social",), login=by_file(300))
    for name in ISSUERS:
        yield Case(f"{name}, the token is refused before its time", ({"name": name, "after": 1},), accounts=("social",), login=by_token, first=refused_early)


AGENTS = {
    "Claude Code": "claude-cli/2.1.330 (external, cli)", "Codex": "codex_exec/0.169.0 (Debian 12)",
    "OpenCode": "opencode/1.18.33 ai-sdk/provider-utils/4.0.1", "others": "OpenAI/Python 2.54.0",
}  # fmt: skip
DIALECTS = {
    "the plan is used up": {"name": "MONTHLY_REQUEST_COUNT"},
    "the plan is used up, Kiro names a time": {"name": "MONTHLY_REQUEST_COUNT", "headers": {"retry-after": "86400"}},
    "too many requests": {"name": "USER_REQUEST_RATE_EXCEEDED"},
    "too many requests, with a hint": {"name": "retry_after"},
    "credits are spent too fast": {"name": "CREDIT_CONSUMPTION_RATE_EXCEEDED"},
    "too long": {"name": "CONTENT_LENGTH_EXCEEDS_THRESHOLD"},
    "too long, with figures": {"status": 400, "message": "Bedrock error message: prompt is too long: 210000 tokens > 200000 maximum"},
    "no capacity": {"name": "INSUFFICIENT_MODEL_CAPACITY"},
    "the account is locked": {"name": "TEMPORARILY_SUSPENDED"},
    "the account needs a login": {"name": "bearer_invalid"},
}  # fmt: skip


def dialects():
    """The same errors, for each client."""
    for name, fault in DIALECTS.items():
        for client, agent in AGENTS.items():
            yield Case(f"{name} | {client}", (fault,), ("always",), agent=agent, columns=WHOLES, shared=True)


SECTIONS = {
    "Kiro refuses": refused, "The answer breaks": broken, "The answer ends": endings, "Silence": slow, "The way there": way,
    "Two hosts": hosts, "Two accounts": accounts, "The next question": resting, "Sign-in": signing_in, "Clients": dialects,
}  # fmt: skip
