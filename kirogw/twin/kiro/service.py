"""One request in, one answer out: which operation it is, whether it may, what is done, what goes wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from kirogw.twin import demo, faults, replies, script
from kirogw.twin.ask import Ask, text
from kirogw.twin.kiro import auth, control, credits, mcp, mishaps, models, pages, refusals
from kirogw.twin.kiro.accounts import Account, Accounts
from kirogw.twin.kiro.identity import DENIALS, identify
from kirogw.twin.kiro.play import Player
from kirogw.twin.server import Answer, End, Piece, Streamed
from kirogw.twin.state import Incoming, Journal, Options, Refusal, Seen
from kirogw.wire import Json, Reply

EVENTS: Final = "application/vnd.amazon.eventstream"

# (method, path in lower case) of the REST form
PATHS: Final = {
    ("POST", "/generateassistantresponse"): "generate",
    ("POST", "/sendmessagestreaming"): "generate",
    ("POST", "/mcp"): "mcp",
    ("POST", "/mcp/stream"): "mcp",
    ("GET", "/listavailablemodels"): "models",
    ("POST", "/listavailablemodels"): "models",
    ("GET", "/list-available-models"): "models",
    ("POST", "/list-available-models"): "models",
    ("POST", "/listavailableprofiles"): "profiles",
    ("POST", "/list-available-profiles"): "profiles",
    ("GET", "/getusagelimits"): "usage",
    ("GET", "/get-usage-limits"): "usage",
    ("POST", "/getusagelimits"): "usage",
    ("POST", "/setuserpreference"): "preference",
    ("POST", "/getuserinfo"): "user",
    ("POST", "/refreshtoken"): "refresh",
    ("POST", "/oauth/device/authorization"): "social_device",
    ("POST", "/oauth/device/poll"): "social_poll",
    ("POST", "/client/register"): "register",
    ("POST", "/device_authorization"): "device",
    ("POST", "/token"): "token",
    ("POST", "/idp/token"): "idp",
    ("POST", "/oauth/token"): "exchange",
    ("GET", "/login"): "app_login",
    ("GET", "/signin"): "portal",
    ("GET", "/signin/continue"): "portal_choice",
    ("GET", "/device"): "approval",
    ("GET", "/device/decide"): "decide",
}
DATA: Final = ("AmazonCodeWhispererStreamingService", "AmazonQDeveloperStreamingService", "KiroRuntimeService")
CONTROL: Final = ("AmazonCodeWhispererService", "KiroControlPlaneBearerService")
TARGETS: Final = {
    **{f"{service}.GenerateAssistantResponse": "generate" for service in DATA},
    "AmazonQDeveloperStreamingService.SendMessage": "generate",
    **{f"{service}.InvokeMCP": "mcp" for service in DATA},
    **{f"{service}.ListAvailableModels": "models" for service in CONTROL},
    **{f"{service}.ListAvailableProfiles": "profiles" for service in CONTROL},
    **{f"{service}.GetUsageLimits": "usage" for service in CONTROL},
    **{f"{service}.GetProfile": "profile" for service in CONTROL},
}
ISSUERS: Final = ("refresh", "social_device", "social_poll", "register", "device", "token", "idp")
PAGES: Final = ("exchange", "app_login", "portal", "portal_choice", "approval", "decide")
HOSTS: Final = {  # what each host serves, where the request says which was meant; q. and codewhisperer. serve all
    "runtime.": ("generate", "mcp"),
    "management.": ("models", "profiles", "profile", "usage", "preference", "user"),
    "prod.": ("refresh", "social_device", "social_poll", "exchange", "app_login"),
    "app.": ("portal", "portal_choice"),
    "oidc.": ("register", "device", "token"),
}
UNKNOWN: Final = (404, "UnknownOperationException", "The requested operation is not recognized by the service.")


class Service:
    """The state of one twin and the way of a request through it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.journal = Journal(options.keep)
        self.accounts = Accounts(options)
        self.auth = auth.Auth(self.accounts, self.journal)
        self.pages = pages.Pages(self.accounts, self.auth)
        self.faults = faults.Faults()
        self.catalogue = models.catalogue()
        self.search: mcp.Search = mcp.made_up
        self.script: script.Script | None = None

    def play(self, source: Any) -> None:
        """Play a script: JSON, the path of a file, or the name of a built-in one; None for the demo."""
        self.script = None if source is None else script.load(source)

    def sent(self, seen: Seen) -> None:
        """The answer to a request has been written."""
        if seen.operation in ("refresh", "token", "idp"):
            with self.journal.lock:
                for entry in self.journal.ledger:
                    entry.delivered = entry.delivered or entry.number == seen.number

    def answer(self, incoming: Incoming, seen: Seen) -> tuple[Answer, float]:
        """The answer and the seconds before its headers leave."""
        operation = operation_of(incoming)
        self.journal.count(seen, operation or "unknown")
        known = self.accounts.bearer(incoming.bearer) if operation not in ISSUERS else None
        seen.account = known[0].name if known else ""
        fault = self.faults.take(incoming, operation, seen.account)
        if fault is None:
            return self._done(incoming, operation, seen), 0.0
        seen.fault = fault.name or "fault"
        answer = faults.before(fault) or faults.after(fault, self._done(incoming, operation, seen))
        return answer, fault.slow

    def _done(self, incoming: Incoming, operation: str, seen: Seen) -> Answer:
        if operation in ISSUERS or operation in PAGES:
            room = self.auth if operation in ISSUERS else self.pages
            issue: Callable[[Incoming, Seen], Reply] = getattr(room, operation)
            return issue(incoming, seen)
        if not operation:
            return replies.fault(*UNKNOWN)
        account, denial = identify(incoming, operation, self.accounts)
        if denial or account is None:
            row = denial or next(row for row in DENIALS if row.name == "unknown_bearer")
            return self._no(self.journal.denials, row.name, seen, row.status, row.kind, row.message, row.reason)
        if operation == "generate":
            return self._generate(incoming, account, seen)
        if operation == "mcp":
            return mcp.invoke(incoming, self.search)
        return self._control(operation, incoming, account)

    def _control(self, operation: str, incoming: Incoming, account: Account) -> Reply:
        if operation == "models":
            return control.models(incoming, account, self.catalogue)
        asked: Callable[[Incoming, Account], Reply] = getattr(control, operation)
        return asked(incoming, account)

    def _no(self, book: list[Refusal], row: str, seen: Seen, status: int, kind: str, message: str,
            reason: str | None) -> Reply:  # fmt: skip
        with self.journal.lock:
            book.append(Refusal(row, status, message, seen.number))
        return replies.fault(status, kind, message, reason)

    # generation

    def _generate(self, incoming: Incoming, account: Account, seen: Seen) -> Answer:
        if (limit := self.options.max_body) is not None and len(incoming.body) > limit:
            fault = faults.before(faults.Fault(**mishaps.NAMED["too_large"]))
            self.journal.refusals.append(Refusal("body_too_large", 413, "length limit exceeded", seen.number))
            return fault or replies.fault(*UNKNOWN)
        if not _content_type_fits(incoming):
            return self._refuse("content_type", refusals.IMPROPER, "REQUEST_BODY_INVALID", seen)
        payload = refusals.parse(incoming.body)
        ask = Ask(payload, incoming.body)
        ask.model = self._model(ask, account)
        if verdict := refusals.refused(ask):
            return self._refuse(*verdict, seen)
        if credits.gone(account):
            fault = faults.before(faults.Fault(**mishaps.NAMED["MONTHLY_REQUEST_COUNT"]))
            return fault or replies.fault(*UNKNOWN)
        return Streamed(self._stream_headers(ask), self._played(ask, account))

    def _refuse(self, row: str, message: str, reason: str | None, seen: Seen) -> Reply:
        return self._no(self.journal.refusals, row, seen, 400, "ValidationException", message, reason)

    def _model(self, ask: Ask, account: Account) -> Json:
        """The row of the model, {} if there is none or the account may not use it."""
        name = models.HIDDEN.get(ask.model_id, ask.model_id)
        if account.models and name not in account.models:
            return {}
        return next((row for row in self.catalogue if row["modelId"] == name), {})

    def _stream_headers(self, ask: Ask) -> dict[str, str]:
        said = replies.served({}, False).headers["x-amzn-requestid"]
        conversation = text(ask.state.get("conversationId"))
        return {"content-type": EVENTS, "x-amzn-requestid": said,
                "x-amzn-codewhisperer-conversation-id": conversation or said}  # fmt: skip

    def _played(self, ask: Ask, account: Account) -> Iterator[Piece | End]:
        chosen = self.script.choose(ask) if self.script else None
        player = Player(ask, self.options)
        yield from player.play(demo.steps(ask) if chosen is None else chosen)
        credits.spend(account, player.credits)


def operation_of(incoming: Incoming) -> str:
    """The operation, "" when this host has none such. A path wins over a target, which may stand beside it."""
    operation = PATHS.get((incoming.method, incoming.path.lower().rstrip("/")), "")
    if not operation and incoming.method == "POST" and incoming.path == "/":
        operation = TARGETS.get(incoming.headers.get("x-amz-target", ""), "")
    served: Any = next((names for host, names in HOSTS.items() if incoming.host.startswith(host)), None)
    return operation if served is None or operation in served else ""


def _content_type_fits(incoming: Incoming) -> bool:
    """JSON for the REST form, x-amz-json-1.0 for the target form; a path with a target beside it may be either."""
    kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if incoming.path == "/":
        return kind == "application/x-amz-json-1.0"
    return kind == "application/json" or (kind == "application/x-amz-json-1.0" and "x-amz-target" in incoming.headers)
