"""What Kiro's twin does: which operation a request is, whether the caller may, and what comes of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Final

from kirogw.twin import service
from kirogw.twin.ask import parse, text
from kirogw.twin.faults import Faults
from kirogw.twin.kiro import control, credits, demo, mcp, mishaps, models, refusals, replies
from kirogw.twin.kiro.accounts import Account, Accounts
from kirogw.twin.kiro.ask import Ask
from kirogw.twin.kiro.auth import Auth
from kirogw.twin.kiro.faults import Fault
from kirogw.twin.kiro.identity import Denial, identify
from kirogw.twin.kiro.pages import Pages
from kirogw.twin.kiro.play import Player
from kirogw.twin.kiro.state import Options
from kirogw.twin.server import Answer, End, Piece, Streamed
from kirogw.twin.state import Incoming, Seen
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
# what each host serves, where the request says which was meant; q. and codewhisperer. serve all
HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "runtime.": ("generate", "mcp"),
    "management.": ("models", "profiles", "profile", "usage", "preference", "user"),
    "prod.": ("refresh", "social_device", "social_poll", "exchange", "app_login"),
    "app.": ("portal", "portal_choice"),
    "oidc.": ("register", "device", "token"),
}
UNKNOWN: Final = (404, "UnknownOperationException", "The requested operation is not recognized by the service.")


class Service(service.Service):
    options: Options
    accounts: Accounts

    def __init__(self, options: Options) -> None:
        super().__init__(options, Faults(Fault, mishaps.NAMED), models.catalogue())
        self.accounts = Accounts(options)
        self.auth = auth = Auth(self.accounts, self.journal)
        self.pages = pages = Pages(auth)
        self.search: mcp.Search = mcp.made_up
        self.open = {
            "refresh": auth.refresh, "social_device": auth.social_device, "social_poll": auth.social_poll,
            "register": auth.register, "device": auth.device, "token": auth.token, "idp": auth.idp,
            "exchange": pages.exchange, "app_login": pages.app_login, "portal": pages.portal,
            "portal_choice": pages.portal_choice, "approval": pages.approval, "decide": pages.decide,
        }  # fmt: skip

    def operation_of(self, incoming: Incoming) -> str:
        """"" where this host has none such. A path wins over a target, which may stand beside it."""
        operation = PATHS.get((incoming.method, incoming.path.lower().rstrip("/")), "")
        if not operation and incoming.method == "POST" and incoming.path == "/":
            operation = TARGETS.get(incoming.headers.get("x-amz-target", ""), "")
        served = next((names for host, names in HOSTS.items() if incoming.host.startswith(host)), None)
        return operation if served is None or operation in served else ""

    def serve(self, incoming: Incoming, operation: str, seen: Seen) -> Answer:
        if not operation:
            return replies.fault(*UNKNOWN)
        caller = identify(incoming, operation, self.accounts)
        if isinstance(caller, Denial):
            self.journal.refuse(self.journal.denials, caller.name, caller.status, caller.message, seen)
            return replies.fault(caller.status, caller.kind, caller.message, caller.reason)
        if operation == "generate":
            return self._generate(incoming, caller, seen)
        if operation == "mcp":
            return mcp.invoke(incoming, self.search)
        if operation == "models":
            return control.models(incoming, caller, self.catalogue)
        return control.ACTS[operation](incoming, caller)

    # generation

    def _generate(self, incoming: Incoming, account: Account, seen: Seen) -> Answer:
        if (limit := self.options.max_body) is not None and len(incoming.body) > limit:
            self.journal.refuse(self.journal.refusals, "body_too_large", 413, "length limit exceeded", seen)
            return Fault(**mishaps.NAMED["too_large"]).instead()
        if not _content_type_fits(incoming):
            return self._refuse("content_type", refusals.IMPROPER, "REQUEST_BODY_INVALID", seen)
        ask = Ask(parse(incoming.body), incoming.body)
        ask.model = self._model(ask, account)
        if verdict := refusals.refused(ask):
            return self._refuse(*verdict, seen)
        if credits.gone(account):
            return Fault(**mishaps.NAMED["MONTHLY_REQUEST_COUNT"]).instead()
        return Streamed(_headers(ask), self._played(ask, account))

    def _refuse(self, row: str, message: str, reason: str | None, seen: Seen) -> Reply:
        self.journal.refuse(self.journal.refusals, row, 400, message, seen)
        return replies.fault(400, "ValidationException", message, reason)

    def _model(self, ask: Ask, account: Account) -> Json:
        """The row of the model, {} if there is none or the account may not use it."""
        name = models.HIDDEN.get(ask.model_id, ask.model_id)
        if account.models and name not in account.models:
            return {}
        return next((row for row in self.catalogue if row["modelId"] == name), {})

    def _played(self, ask: Ask, account: Account) -> Iterator[Piece | End]:
        chosen = self.script.choose(ask) if self.script else None
        player = Player(ask, self.options)
        yield from player.play(demo.steps(ask) if chosen is None else chosen)
        credits.spend(account, player.credits)


def _headers(ask: Ask) -> dict[str, str]:
    said = secrets.token_hex(16)
    conversation = text(ask.state.get("conversationId")) or said
    return {"content-type": EVENTS, "x-amzn-requestid": said, "x-amzn-codewhisperer-conversation-id": conversation}


def _content_type_fits(incoming: Incoming) -> bool:
    """JSON for the REST form, x-amz-json-1.0 for the target form; a path with a target beside it may be either."""
    kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if incoming.path == "/":
        return kind == "application/x-amz-json-1.0"
    return kind == "application/json" or (kind == "application/x-amz-json-1.0" and "x-amz-target" in incoming.headers)
