"""A twin as an object: started and closed, told what to do, asked what it saw."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Any, ClassVar, Generic, Self

from kirogw.twin import panel, replies
from kirogw.twin.book import A, Book
from kirogw.twin.server import Answer, Server
from kirogw.twin.service import Service
from kirogw.twin.state import Incoming, Ledger, Refusal, Seen
from kirogw.wire import Json


class Simulator(ABC, Generic[A]):
    """An upstream on a port of its own, in threads of this process. Use it as a context manager, or start and close it.

    `accounts`: a kind or a mapping of Account's members, for each; None for one of the first kind. `options`: members
    of Options. The models in `catalogue` may be changed in place.
    """

    title: ClassVar[str]
    accounts: Book[A]

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, accounts: Iterable[str | Json] | None = None,
                 script: Any = None, **options: Any) -> None:  # fmt: skip
        service = self.made(options)
        self.service = service
        self.options, self.faults, self.catalogue = service.options, service.faults, service.catalogue
        self.accounts, self.auth = service.accounts, service.auth
        self._journal = service.journal
        self._server = Server(host, port, self._journal.saw, self._handle, self._journal.sent, self._now)
        self.accounts.url = self.url
        for account in self.accounts.kinds[:1] if accounts is None else accounts:
            self.add_account(**({"kind": account} if isinstance(account, str) else account))
        self.script(script)

    @abstractmethod
    def made(self, options: Json) -> Service: ...

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """The gateway's settings that point it here."""

    @abstractmethod
    def secrets(self) -> str:
        """What a client needs of the first account, for people: `token TOKEN ...`."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def start(self) -> None:
        self._server.start()

    def close(self) -> None:
        """Drops every connection, also those that wait; no thread is left."""
        self._server.close()

    def _handle(self, incoming: Incoming, seen: Seen) -> tuple[Answer, float]:
        if incoming.path.startswith(panel.PREFIX) and self.options.control:
            self._journal.forget(seen)
            return panel.answer(self.service, incoming), 0.0
        if incoming.path == "/" and incoming.method in ("GET", "HEAD"):
            return replies.text(200, f"This is kirogw's own simulator of {self.title}. Nothing here is real.\n"), 0.0
        return self.service.answer(incoming, seen)

    def _now(self) -> float:
        return time.time() + self.options.ahead

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def account(self) -> A:
        """The first account."""
        return next(iter(self.accounts.all.values()))

    def add_account(self, kind: str = "", name: str = "", **members: Any) -> A:
        return self.accounts.add(kind, name, **members)

    # what it is to do

    def script(self, source: Any) -> None:
        """Play a script: JSON, the path of a file, or the name of a built-in one; None for the demo."""
        self.service.play(source)

    def reset(self) -> None:
        """Forget what was seen, the faults and the script; accounts and tokens stay."""
        self.service.reset()

    # what it saw

    @property
    def requests(self) -> list[Seen]:
        with self._journal.lock:
            return list(self._journal.requests)

    def seen(self, operation: str = "generate") -> list[Seen]:
        return self._journal.of(operation)

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._journal.counts)

    @property
    def refusals(self) -> list[Refusal]:
        """Requests that were malformed."""
        return list(self._journal.refusals)

    @property
    def denials(self) -> list[Refusal]:
        """Requests whose caller was not let in."""
        return list(self._journal.denials)

    @property
    def ledger(self) -> Ledger:
        with self._journal.lock:
            return Ledger(self._journal.ledger)
