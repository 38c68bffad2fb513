"""What ChatGPT's twin does: which operation a request is, whether the caller may, and what comes of it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from typing import Any, Final

from kirogw.twin import replies, service
from kirogw.twin.ask import UNREAD, parse, text
from kirogw.twin.codex import demo, limits, mishaps, models, refusals
from kirogw.twin.codex.accounts import Account, Accounts
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.auth import Auth
from kirogw.twin.codex.case import Case
from kirogw.twin.codex.faults import Fault
from kirogw.twin.codex.identity import Denial, body_of, identify
from kirogw.twin.codex.pages import Pages
from kirogw.twin.codex.play import Player
from kirogw.twin.codex.state import Options
from kirogw.twin.faults import Faults
from kirogw.twin.server import Answer, End, Piece, Streamed
from kirogw.twin.state import Incoming, Refusal, Seen
from kirogw.wire import Json, Reply

EVENTS: Final = "text/event-stream; charset=utf-8"
REMEMBERED: Final = 10_000  # items that followed reasoning, conversations with a cache
BACKEND: Final = "/backend-api"
SIWC: Final = "/v1/"  # where the door of Sign in with ChatGPT begins
PATHS: Final = {
    ("POST", f"{BACKEND}/codex/responses"): "generate",
    ("GET", f"{BACKEND}/codex/models"): "models",
    ("GET", f"{BACKEND}/wham/usage"): "usage",
    ("POST", f"{SIWC}responses"): "generate",
    ("GET", f"{SIWC}models"): "models",
    ("GET", "/oauth/authorize"): "authorize",
    ("POST", "/oauth/token"): "token",
    ("POST", "/oauth/revoke"): "revoke",
    ("POST", "/api/accounts/deviceauth/usercode"): "usercode",
    ("POST", "/api/accounts/deviceauth/token"): "device_token",
    ("GET", "/codex/device"): "device_page",
    ("GET", "/api/accounts/authorize"): "siwc_authorize",
    ("POST", "/api/accounts/oauth/token"): "siwc_token",
    ("POST", "/api/accounts/oauth/revoke"): "revoke",
    ("GET", "/.well-known/openid-configuration"): "discovery",
    ("GET", "/.well-known/jwks.json"): "keys",
}


class Service(service.Service):
    options: Options
    accounts: Accounts

    def __init__(self, options: Options) -> None:
        super().__init__(options, Faults(Fault, mishaps.NAMED), models.catalogue())
        self.accounts = Accounts(options)
        self.auth = auth = Auth(self.accounts, self.journal)
        pages = Pages(auth)
        self.open = {
            "token": auth.token, "siwc_token": auth.siwc_token, "revoke": auth.revoke, "usercode": auth.usercode,
            "device_token": auth.device_token, "discovery": auth.discovery, "keys": auth.keys,
            "authorize": pages.authorize, "siwc_authorize": pages.siwc_authorize, "device_page": pages.device_page,
        }  # fmt: skip
        self._thoughts: dict[str, str] = {}
        self._cache: dict[tuple[str, str], int] = {}  # tokens of the last prompt, by account and prompt_cache_key

    def operation_of(self, incoming: Incoming) -> str:
        return PATHS.get((incoming.method, incoming.path.rstrip("/")), "")

    def serve(self, incoming: Incoming, operation: str, seen: Seen) -> Answer:
        if not operation:
            return self._nowhere(incoming, seen)
        caller = identify(incoming, "siwc" if incoming.path.startswith(SIWC) else "codex", self.accounts)
        if isinstance(caller, Denial):
            return self._no(self.journal.denials, caller.name, caller.status, caller.body, seen)
        if operation == "generate":
            return self._generate(incoming, caller, seen)
        if operation == "usage":
            return replies.plain(200, limits.usage(caller))
        return self._models(incoming, caller)

    def _nowhere(self, incoming: Incoming, seen: Seen) -> Reply:
        known = self.accounts.bearer(incoming.bearer)
        if known is None or known[0].kind != "siwc" or not incoming.path.startswith(SIWC):
            return replies.plain(404, {"detail": "Not Found"})
        return self._no(self.journal.denials, "route", *body_of("route_not_supported"), seen)

    def _no(self, book: list[Refusal], row: str, status: int, body: Json, seen: Seen) -> Reply:
        self.journal.refuse(book, row, status, refusals.message_of(body), seen)
        return replies.plain(status, body, _ids())

    def _models(self, incoming: Incoming, account: Account) -> Reply:
        """The catalogue as this client's version may see it; a client that is too old gets an empty list."""
        listed = [entry for entry in self.catalogue if not account.models or entry["slug"] in account.models]
        if account.kind == "codex":
            version = models.version_of(incoming.query.get("client_version"))
            if version is None:
                detail = [{"type": "missing", "loc": ["query", "client_version"], "msg": "Field required"}]
                return replies.plain(400, {"detail": detail})
            listed = [entry for entry in listed if models.is_new_enough(entry, version)]
        tag = f'W/"{hashlib.sha256(repr(listed).encode()).hexdigest()[:16]}"'
        if incoming.headers.get("if-none-match") == tag:
            return Reply(304, {"etag": tag}, b"")
        return replies.plain(200, {"models": listed}, {"etag": tag, **_ids()})

    # generation

    def _generate(self, incoming: Incoming, account: Account, seen: Seen) -> Answer:
        if (limit := self.options.max_body) is not None and len(incoming.body) > limit:
            return self._no(self.journal.refusals, "body_too_large", 413, {"detail": "Request body is too large"}, seen)
        payload = parse(incoming.body)
        ask = Ask(payload, incoming.body)
        ask.model = next((entry for entry in self.catalogue if entry["slug"] == ask.model_id), {})
        if verdict := refusals.refused(Case(ask, account, incoming, self.options, payload is not UNREAD,
                                                  self._thoughts)):  # fmt: skip
            return self._no(self.journal.refusals, *verdict, seen)
        if full := limits.is_full(account):
            error = {"error": limits.exceeded(account, full)}
            return replies.plain(429, error, {**self._limit_headers(account), **_ids()})
        limits.spend(account, self.options.spend)
        return Streamed(self._stream_headers(ask, account), self._played(ask, account))

    def _limit_headers(self, account: Account) -> dict[str, str]:
        return limits.headers(account) if self.options.limit_headers and account.kind == "codex" else {}

    def _stream_headers(self, ask: Ask, account: Account) -> dict[str, str]:
        said = {"content-type": EVENTS, "openai-model": ask.model_id, **_ids(), **self._limit_headers(account)}
        if account.kind == "codex":
            said["x-codex-turn-state"] = secrets.token_urlsafe(32)
        return said

    def _played(self, ask: Ask, account: Account) -> Iterator[Piece | End]:
        chosen = self.script.choose(ask) if self.script else None
        player = Player(ask, self.options, account, self._cached(ask, account))
        yield from player.play(demo.steps(ask) if chosen is None else chosen)
        with self.journal.lock:
            self._thoughts.update(player.thoughts)
            _trim(self._thoughts)

    def _cached(self, ask: Ask, account: Account) -> int:
        """How much of the prompt the account's cache holds: what the last request under the same key sent."""
        key = (account.name, text(ask.payload.get("prompt_cache_key")))
        if not key[1]:
            return 0
        with self.journal.lock:
            before = self._cache.get(key, 0)
            self._cache[key] = ask.tokens
            _trim(self._cache)
        return before // 128 * 128


def _trim(remembered: dict[Any, Any]) -> None:
    """The oldest are forgotten."""
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]


def _ids() -> dict[str, str]:
    return {"x-request-id": secrets.token_hex(16), "x-oai-request-id": secrets.token_hex(16)}
