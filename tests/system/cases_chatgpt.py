"""What can go wrong at ChatGPT, as a table of cases. The accounts are Codex logins, and some of Sign in with ChatGPT."""

import functools
import json

from kirogw.twin.codex.mishaps import BUSY, CAPACITY, NAMED, OVERLOADED, POLICY, TOO_LONG, UNVERIFIED
from tests.system import cases
from tests.system.cases import BEATING, EITHER, HALVES, IMPATIENT, LIMITED, PLAIN, REFUSING, STALLED, WHOLES, set_to
from tests.system.pauses import ENDLESS
from tests.system.stand import brought_in

MODEL = "gpt-5.5"
MIDDLE = 8  # the frame after the pause of HALVES: 0 to 4 open the answer, 5 to 7 are words that the client has by then
WORD = 5
COLUMNS = (*cases.COLUMNS, ("responses", True), ("responses", False))
Case = functools.partial(cases.Case, accounts=("codex",), login=brought_in, columns=COLUMNS, model=MODEL, side="ChatGPT", shared=True)
Fresh = functools.partial(Case, shared=False)  # where kept connections or tokens make a difference
SUBSCRIBED = {"subscription_limit", "not_eligible", "route_not_supported", "scope_not_authorized", "invalid_context", "invalid_user", "admission",
          "unsupported_capability", "usage_unavailable"}  # faults that only Sign in with ChatGPT knows  # fmt: skip
WITH = {"retry_after": "with Retry-After: 7"}
UNHEARD = {"status": 403, "type": "unheard_of", "message": "No."}


def refused():
    """The question is answered with an error. A single account: a Codex login, or of Sign in with ChatGPT where only that
    knows the error.
    """
    for name, fault in NAMED.items():
        if "status" in fault and fault.get("operation") != "auth":
            yield Case(label(name), ({"name": name},), accounts=("siwc" if name in SUBSCRIBED else "codex",))
    yield Case("302", ({"status": 302, "body": ""},))
    yield Case("400 invalid_type", ({"status": 400, "type": "invalid_request_error", "code": "invalid_type", "message": "Not a list."},))
    yield Case('404 "Not Found"', ({"status": 404, "detail": "Not Found"},))
    yield Case("403 of a kind that nobody knows", (UNHEARD,))
    yield Case("429 in words that nobody knows", ({"status": 429, "type": "unheard_of", "message": "Slower."},))


def label(name):
    """What ChatGPT says: status and code, or words where there is none."""
    fault = NAMED[name]
    status, detail, body = fault["status"], fault.get("detail"), fault.get("body")
    if "html" in fault.get("content_type", ""):
        said = "with a web page"
    elif body is not None:
        said = f'"{json.loads(body)["error"]["message"]}"' if body.startswith("{") else f'"{body}"' if body else "without a body"
    elif detail is not None:
        said = detail["code"] if isinstance(detail, dict) else f'"{detail}"'
    else:
        said = fault["code"] or (fault["type"] if fault["type"].startswith("usage") else f'"{fault["message"]}"')
    return " ".join(filter(None, [str(status), said, WITH.get(name)]))


def _failed(code, message, **more):
    return {"exception": {"code": code, "message": message, **more}, "frame": 0}


BREAKS = {
    **{name: {"cut_frame": 0, "end": end} for end, name in cases.ENDS.items()},
    "JSON that can not be read": {"corrupt": "payload", "frame": 0},
    "response.failed: usage_limit_reached": _failed("usage_limit_reached", "The usage limit has been reached", resets_in_seconds=3600),
    "response.failed: rate_limit_exceeded": _failed("rate_limit_exceeded", BUSY),
    "response.failed: server_is_overloaded": _failed("server_is_overloaded", OVERLOADED),
    "response.failed: the model is at capacity": _failed("server_error", CAPACITY),
    "response.failed: server_error": _failed("server_error", "An error occurred while processing your request."),
    "response.failed: context_length_exceeded": _failed("context_length_exceeded", TOO_LONG),
    "response.failed: invalid_encrypted_content": _failed("invalid_encrypted_content", UNVERIFIED),
    "response.failed: cyber_policy": _failed("cyber_policy", POLICY),
    "response.failed: a code that nobody knows": _failed("brand_new", "Something new."),
    "an error event: usage_limit_reached": {
        "error": {"status": 429, "error": {"type": "usage_limit_reached", "code": None, "message": "The usage limit has been reached",
                                           "resets_in_seconds": 3600}}, "frame": 0},
    "an error event: rate_limit_exceeded": {"error": {"code": "rate_limit_exceeded", "message": BUSY, "param": None}, "frame": 0},
}  # fmt: skip
WHERE = (("before the first word", WORD, PLAIN), ("in mid-answer", MIDDLE, HALVES))


def broken():
    """The answer has begun with a status of 200, and breaks."""
    for name, fault in BREAKS.items():
        for where, frame, script in WHERE:
            placed = {member: frame if member in ("frame", "cut_frame") else value for member, value in fault.items()}
            yield Case(f"{name}, {where}", (placed,), script=script)
    subscription = _failed("subscription_sharing_usage_limit_exceeded", "The usage limit has been reached.", type="usage_limit_reached")
    for where, frame, script in WHERE:
        yield Case(f"response.failed: {subscription['exception']['code']}, {where}", ({**subscription, "frame": frame - 1},), accounts=("siwc",),
                   script=script)  # fmt: skip
    yield Case("nothing but the opening events", ({"name": "only_handshake"},))
    yield Case("no opening events", ({"name": "no_handshake"},))
    yield Case("all words, but no response.completed", ({"name": "no_end"},), script=HALVES)
    yield Case("no deltas, only what is done", ({"name": "no_deltas"},))
    yield Case("a stream without an event", ({"name": "empty"},))
    yield Case("inside an event the connection is closed", ({"name": "cut_bytes"},))
    yield Case("JSON in place of a stream", ({"name": "json_for_stream"},))
    yield Case("a web page in place of a stream", ({"name": "html_for_stream"},))
    yield Case("events in pieces of seven bytes", ({"name": "sliced"},))


def endings():
    """How an answer ends by what ChatGPT says of it."""
    for reason in ("max_output_tokens", "content_filter", "interrupted", "brand_new"):
        yield Case(f"response.incomplete: {reason}", (), ("always",), [{"steps": [*HALVES[0]["steps"], {"stop": reason}], "repeat": True}])
    yield Case("nothing at all was said", (), ("always",), [{"steps": [], "repeat": True}])
    yield Case("nothing but thinking", (), ("always",), [{"steps": [{"thinking": "Hm."}], "repeat": True}], text="")
    call = [{"steps": [*HALVES[0]["steps"], {"tool": "write", "input": cases.WHOLE, "pieces": [12]}], "repeat": True}]
    yield Case("a whole call", (), ("always",), call, tools=True)
    closed = {"cut_frame": "response.function_call_arguments.done", "end": "open"}
    yield Case("half a call, and the connection is closed", (closed,), EITHER, call, tools=True)


def slow():
    """With a heartbeat of 0.2 s; where a limit (FIRST_TOKEN_TIMEOUT, STREAMING_READ_TIMEOUT) is met, it is 8 s."""
    yield Case("no head for more than a heartbeat", ({"slow": 0.7},), ("always",), more=BEATING, beats=True)
    yield Case("more than a heartbeat of silence in mid-answer", ({"stall": 0.7, "frame": MIDDLE},), ("always",), more=BEATING, beats=True)
    yield Fresh("no head within FIRST_TOKEN_TIMEOUT", ({"slow": ENDLESS},), more=LIMITED)
    yield Fresh("no word within STREAMING_READ_TIMEOUT", ({"stall": ENDLESS, "frame": WORD},), more=LIMITED)
    yield Fresh("silence in mid-answer for STREAMING_READ_TIMEOUT", ({"stall": ENDLESS, "frame": MIDDLE},), more=LIMITED)


def way():
    """The network; an error whose body does not come within CONNECT_TIMEOUT; the list of models, which is dispensable."""
    nowhere = f"http://127.0.0.1:{REFUSING.getsockname()[1]}"
    yield Fresh("nobody listens", (), ("always",), more=set_to(CODEX_API_URL=nowhere))
    yield Fresh("the proxy does not listen", (), ("always",), more=set_to(VPN_PROXY_URL=nowhere))
    yield Fresh("closed without an answer", ({"name": "hangup"},))
    yield Fresh("reset without an answer", ({"name": "reset"},))
    yield Fresh("the body of an error stops within", (STALLED,), more=IMPATIENT)
    for name in ("cloudflare", "unavailable", "hangup", "unauthorized"):
        yield Fresh(f"the list of models: {name}", ({"name": name, "operation": "models"},), ("always",))


SILENT = {"drop": ("response.output_item.added", "response.content_part.added", "response.output_text.delta", "response.output_text.done",
                   "response.content_part.done", "response.output_item.done")}  # fmt: skip
BY_ACCOUNT = {
    # a row of the decision table -> what ChatGPT does with the first account
    "quota": {"name": "usage_limit_reached"}, "plan": {"name": "usage_not_included"}, "suspended": {"name": "account_deactivated"},
    "consent": {"name": "invalid_workspace"}, "token": {"name": "token_invalidated"}, "capacity": {"name": "capacity"},
    "overloaded": {"name": "overloaded"}, "rate": {"name": "rate_limit_exceeded"}, "model": {"name": "model_not_supported"},
    "version": {"name": "newer_version"}, "unknown model": {"name": "model_not_found"}, "edge": {"name": "cloudflare"},
    "wrong host": {"status": 404, "detail": "Not Found"}, "forbidden": UNHEARD,
    "unavailable": {"name": "unavailable"}, "server": {"name": "server_error"}, "strange": {"status": 302, "body": ""},
    "reset": {"name": "hangup"}, "damaged": {"name": "json_for_stream"}, "cut": {"cut_frame": WORD, "end": "open"}, "empty": SILENT,
    "timeout": STALLED,
}  # fmt: skip
WORDS = {"hangup": "closed without an answer", "json_for_stream": "JSON in place of a stream"}


def told(fault):
    if fault == STALLED:
        return "the body of an error stops within"
    if fault == SILENT:
        return "an answer that says nothing"
    if "cut_frame" in fault:
        return "cut before the first word"
    name = fault.get("name")
    if name:
        return WORDS.get(name) or label(name)
    said = fault.get("detail") or fault.get("message")
    return f'{fault["status"]} "{said}"' if said else str(fault["status"])


IN_ORDER, IMPATIENT_IN_ORDER = set_to(SCHEDULING_MODE="fill-first"), set_to(SCHEDULING_MODE="fill-first", CONNECT_TIMEOUT=0.3)


def accounts():
    """Two Codex logins, and the first one fails each time."""
    for row, fault in BY_ACCOUNT.items():
        more = IMPATIENT_IN_ORDER if row == "timeout" else IN_ORDER
        yield Case(told(fault), ({**fault, "account": "codex-1"},), ("always",), accounts=("codex",) * 2, more=more)


def resting():
    """What is asked next, of an only account that has just failed. ChatGPT would answer this time, if it were asked."""
    for name in ("usage_limit_reached", "usage_not_included", "account_deactivated", "model_not_supported"):
        yield Fresh(label(name), ({"name": name}, cases.BLIND), ("once",), first=first)
    words = {"name": "rate_limit_exceeded", "message": "Rate limit reached. Please try again in 300s."}
    for name, fault in (
        (f"{label('rate_limit_exceeded')}, with 300s in its words", words),
        ("429 rate_limit_exceeded with Retry-After: 300", {"name": "retry_after", "headers": {"retry-after": "300"}}),
        (label("token_invalidated"), {"name": "token_invalidated"}),
    ):
        yield Fresh(name, ({**fault, "count": 2},), ("once",), first=first)


def first(stand, face):
    stand.ask(face, False, model=MODEL)


def outlived(stand, face):
    """The token ends before its time: nobody but ChatGPT knows."""
    stand.twin.accounts.expire()


ISSUERS = tuple(name for name, fault in NAMED.items() if fault.get("operation") == "auth")


def signing_in():
    """A login whose access token is refused before its time."""
    for kind in ("codex", "siwc"):
        yield Fresh(f"the token is refused, renewed, and taken ({kind})", (), ("always",), accounts=(kind,), first=outlived)
    for name in ISSUERS:
        yield Fresh(name, ({"name": name},), first=outlived)


DIALECTS = {
    "the plan is used up": {"name": "usage_limit_reached", "more": {}},
    "the plan is used up, ChatGPT names a time": {"name": "usage_limit_reached"},
    "too many requests": {"status": 429, "type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Too many requests."},
    "too many requests, with a hint": {"name": "retry_after"},
    "too long": {"name": "context_length_exceeded"},
    "no capacity": {"name": "overloaded"},
    "the account is closed": {"name": "account_deactivated"},
    "the account needs a login": {"name": "token_invalidated"},
}  # fmt: skip


def dialects():
    """The same errors, for each client."""
    for name, fault in DIALECTS.items():
        for client, agent in cases.AGENTS.items():
            yield Case(f"{name} | {client}", (fault,), ("always",), agent=agent, columns=WHOLES)


SECTIONS = {
    "ChatGPT refuses": refused, "ChatGPT's answer breaks": broken, "ChatGPT's answer ends": endings, "Silence at ChatGPT": slow,
    "The way to ChatGPT": way, "Two accounts of ChatGPT": accounts, "The next question to ChatGPT": resting, "ChatGPT's sign-in": signing_in,
    "Clients and ChatGPT": dialects,
}  # fmt: skip
