"""One request in, one answer out: which operation it is, whether it may, what is done, what goes wrong with it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final

from kirogw.twin import faults, replies, script
from kirogw.twin.ask import text
from kirogw.twin.codex import auth, demo, limits, mishaps, models, pages, refusals
from kirogw.twin.codex.accounts import Account, Accounts
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.case import Case
from kirogw.twin.codex.faults import Fault
from kirogw.twin.codex.identity import DENIALS, body_of, identify
from kirogw.twin.codex.play import Player
from kirogw.twin.codex.state import Options
from kirogw.twin.kiro.refusals import UNREAD, parse
from kirogw.twin.server import Answer, End, Piece, Streamed
from kirogw.twin.state import Incoming, Journal, Refusal, Seen
from kirogw.wire import Json, Reply

EVENTS: Final = "text/event-stream; charset=utf-8"
REMEMBERED: Final = 10_000  # items that followed reasoning, conversations with a cache
BACKEND: Final = "/backend-api"
PATHS: Final = {
    ("POST", f"{BACKEND}/codex/responses"): "generate",
    ("GET", f"{BACKEND}/codex/models"): "models",
    ("GET", f"{BACKEND}/wham/usage"): "usage",
    ("POST", "/v1/responses"): "siwc_generate",
    ("GET", "/v1/models"): "siwc_models",
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
DOORS: Final = {"generate": ("codex", "generate"), "models": ("codex", "models"), "usage": ("codex", "usage"),
                "siwc_generate": ("siwc", "generate"), "siwc_models": ("siwc", "models")}  # fmt: skip
ISSUERS: Final = ("token", "siwc_token", "revoke", "usercode", "device_token", "discovery", "keys")
PAGES: Final = ("authorize", "siwc_authorize", "device_page")


class Service:
    """The state of one twin and the way of a request through it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.journal = Journal(options.keep)
        self.accounts = Accounts(options)
        self.auth = auth.Auth(self.accounts, self.journal)
        self.pages = pages.Pages(self.accounts, self.auth)
        self.faults = faults.Faults(Fault, mishaps.NAMED)
        self.catalogue = models.catalogue()
        self.script: script.Script | None = None
        self._thoughts: dict[str, str] = {}
        self._cache: dict[tuple[str, str], int] = {}  # tokens of the last prompt, by account and prompt_cache_key

    def play(self, source: Any) -> None:
        """Play a script: JSON, the path of a file, or the name of a built-in one; None for the demo."""
        self.script = None if source is None else script.load(source)

    def sent(self, seen: Seen) -> None:
        """The answer to a request has been written."""
        if seen.operation in ("token", "siwc_token"):
            with self.journal.lock:
                for entry in self.journal.ledger:
                    entry.delivered = entry.delivered or entry.number == seen.number

    def answer(self, incoming: Incoming, seen: Seen) -> tuple[Answer, float]:
        """The answer and the seconds before its headers leave."""
        path = PATHS.get((incoming.method, incoming.path.rstrip("/")), "")
        door, operation = DOORS.get(path, ("", path))
        self.journal.count(seen, operation or "unknown")
        known = self.accounts.bearer(incoming.bearer) if door else None
        seen.account = known[0].name if known else ""
        fault = self.faults.take(incoming, operation, seen.account)
        if fault is None:
            return self._done(incoming, door, operation, seen), 0.0
        seen.fault = fault.name or "fault"
        answer = faults.before(fault) or faults.after(fault, self._done(incoming, door, operation, seen))
        return answer, fault.slow

    def _done(self, incoming: Incoming, door: str, operation: str, seen: Seen) -> Answer:
        if operation in ISSUERS or operation in PAGES:
            room = self.auth if operation in ISSUERS else self.pages
            issue: Callable[[Incoming, Seen], Reply] = getattr(room, operation)
            return issue(incoming, seen)
        if not operation:
            return self._nowhere(incoming, seen)
        account, denial = identify(incoming, door, self.accounts)
        if denial is not None or account is None:
            row = denial or DENIALS[0]
            return self._no(self.journal.denials, row.name, row.status, row.body, seen)
        if operation == "generate":
            return self._generate(incoming, account, seen)
        if operation == "usage":
            return replies.plain(200, limits.usage(account))
        return self._models(incoming, account)

    def _nowhere(self, incoming: Incoming, seen: Seen) -> Reply:
        known = self.accounts.bearer(incoming.bearer)
        if known is None or known[0].kind != "siwc" or not incoming.path.startswith("/v1/"):
            return replies.plain(404, {"detail": "Not Found"})
        return self._no(self.journal.denials, "route", *body_of("route_not_supported"), seen)

    def _no(self, book: list[Refusal], row: str, status: int, body: Json, seen: Seen) -> Reply:
        with self.journal.lock:
            book.append(Refusal(row, status, refusals.message_of(body), seen.number))
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
        ask = Ask(None if payload is UNREAD else payload, incoming.body)
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
