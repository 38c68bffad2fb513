"""What the services that issue tokens have in common: devices that wait for their users, and the ledger."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kirogw.twin.book import A, Book
from kirogw.twin.chains import Grant
from kirogw.twin.state import Journal, Seen


@dataclass
class Device:
    """A login that waits for its user. `answer`: "", or what the user did: approved, denied, expired."""

    code: str
    user_code: str
    ends: float
    polls: int = 0
    answer: str = ""


D = TypeVar("D", bound=Device)


class Issuer(Generic[A, D]):
    """`polls`: what the next polls of devices hear, whatever their users did: a word of the service's table of answers,
    or approved.
    """

    def __init__(self, accounts: Book[A], journal: Journal) -> None:
        self.accounts = accounts
        self.options = accounts.options
        self.journal = journal
        self.devices: dict[str, D] = {}
        self.polls: deque[str] = deque()

    @property
    def url(self) -> str:
        """Where the pages are on which a user signs in or approves."""
        return self.accounts.url

    def redeem(self, seen: Seen, token: str, kinds: Iterable[str], client: str | None = None) -> Grant[A]:
        """Redeem, and write it down: the ledger has the order in which it was decided."""
        with self.journal.lock:
            grant = self.accounts.redeem(token, kinds, client)
            self.journal.redeemed(seen, grant.account.name if grant.account else "", grant.generation, grant.outcome)
        return grant

    def polled(self, device: D) -> str:
        """What a poll hears. A device whose user does nothing is approved after as many polls as the options say."""
        device.polls += 1
        if self.polls:
            return self.polls.popleft()
        if device.ends < time.time():
            return "expired"
        if not device.answer and device.polls > self.options.device_polls:
            device.answer = "approved"
        return device.answer or "pending"
