"""The twin as an object."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from kirogw.twin import panel, replies
from kirogw.twin.faults import Faults
from kirogw.twin.kiro.accounts import Account, Accounts
from kirogw.twin.kiro.auth import Auth
from kirogw.twin.kiro.service import Service
from kirogw.twin.server import Answer, Server
from kirogw.twin.state import Incoming, Ledger, Options, Refusal, Seen
from kirogw.wire import Json

HELLO = "This is kirogw's own simulator of the Kiro service. Nothing here is real.\n"


class Twin:
    """A simulator on a port of its own, in threads of this process. Use it as a context manager, or start and close it.

    `accounts`: a kind (social, idc, builder, external, api_key) or a mapping of Account's members, for each.
    `options`: members of `state.Options`.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, accounts: Iterable[str | Json] = ("social",),
                 script: Any = None, **options: Any) -> None:  # fmt: skip
        chosen = Options()
        chosen.change(options)
        self.service = Service(chosen)
        self._server = Server(host, port, self.service.journal.saw, self._handle, self.service.sent, self._now)
        self.accounts.token_endpoint = f"{self.url}/idp/token"
        self.auth.url = self.url
        for account in accounts:
            self.add_account(**({"kind": account} if isinstance(account, str) else account))
        if script is not None:
            self.script(script)

    def __enter__(self) -> Twin:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def start(self) -> None:
        self._server.start()

    def close(self) -> None:
        self._server.close()

    def _handle(self, incoming: Incoming, seen: Seen) -> tuple[Answer, float]:
        if incoming.path.startswith(panel.PREFIX) and self.options.control:
            self.service.journal.forget(seen)
            return panel.answer(self.service, incoming), 0.0
        if incoming.path == "/" and incoming.method in ("GET", "HEAD"):
            return replies.text(200, HELLO), 0.0
        return self.service.answer(incoming, seen)

    def _now(self) -> float:
        return time.time() + self.options.ahead

    # what it is

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def options(self) -> Options:
        return self.service.options

    @property
    def accounts(self) -> Accounts:
        return self.service.accounts

    @property
    def auth(self) -> Auth:
        return self.service.auth

    @property
    def faults(self) -> Faults:
        return self.service.faults

    @property
    def catalogue(self) -> list[Json]:
        """The models that are listed; may be changed in place."""
        return self.service.catalogue

    @property
    def account(self) -> Account:
        """The first account."""
        return next(iter(self.accounts.all.values()))

    def add_account(self, kind: str = "social", name: str = "", **members: Any) -> Account:
        return self.accounts.add(kind, name, **members)

    def settings(self, hosts: bool = False) -> dict[str, str]:
        """The gateway's settings that point it here; with `hosts` the twin hears which host and region is meant."""
        def at(host: str) -> str:
            return f"{self.url}/@{host}" if hosts else self.url

        return {
            "KIRO_RUNTIME_URLS": at("runtime.{region}.kiro.dev"),
            "KIRO_CONTROL_URLS": at("management.{region}.kiro.dev"),
            "KIRO_AUTH_URL": at("prod.{region}.auth.desktop.kiro.dev"),
            "AWS_OIDC_URL": at("oidc.{region}.amazonaws.com"),
            "KIRO_PORTAL_URL": at("app.kiro.dev"),
        }

    # what it is to do

    def script(self, source: Any) -> None:
        """Play a script: JSON, the path of a file, or the name of a built-in one; None for the demo."""
        self.service.play(source)

    def search(self, results: list[Json]) -> None:
        """What web_search finds from now on."""
        self.service.search = lambda query: results

    def reset(self) -> None:
        """Forget what was seen, the faults and the script; accounts and tokens stay."""
        self.service.journal.clear()
        self.service.faults.clear()
        self.service.script = None

    # what it saw

    @property
    def requests(self) -> list[Seen]:
        with self.service.journal.lock:
            return list(self.service.journal.requests)

    def seen(self, operation: str = "generate") -> list[Seen]:
        return self.service.journal.of(operation)

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.service.journal.counts)

    @property
    def refusals(self) -> list[Refusal]:
        """Requests that were malformed."""
        return list(self.service.journal.refusals)

    @property
    def denials(self) -> list[Refusal]:
        """Requests whose caller was not let in."""
        return list(self.service.journal.denials)

    @property
    def ledger(self) -> Ledger:
        with self.service.journal.lock:
            return Ledger(self.service.journal.ledger)
