"""Which account a conversation is on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST: Final = 20_000  # sessions that are remembered at once


@dataclass(slots=True)
class Bound:
    """`at`: the last request; `told`: when other processes heard of it last."""

    account: str
    at: float
    told: float = 0.0


class Sessions:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bound: dict[str, Bound] = {}  # the one used last is the last
        self._news: list[str] = []

    def find(self, session: str, now: float) -> str:
        """The account's id, "" where there is none."""
        bound = self._bound.get(session)
        return bound.account if bound and now < bound.at + self._seconds else ""

    def bind(self, session: str, account: str, now: float) -> str:
        """The session is on `account` now. Gives the account that it was on until now, "" if that is the same."""
        bound = self._bound.pop(session, None)
        before = ""
        if bound is None:
            bound = Bound(account, now)
            if len(self._bound) >= MOST:
                del self._bound[next(iter(self._bound))]
        elif bound.account != account:
            before, bound.account, bound.told = bound.account, account, 0.0
        bound.at = now
        self._bound[session] = bound
        if now >= bound.told + self._seconds / 4:
            bound.told = now
            self._news.append(session)
        return before

    def hear(self, session: str, account: str, at: float, now: float) -> None:
        """Another process has seen the session on `account` at that time."""
        bound = self._bound.get(session)
        if bound is None or bound.at < at:
            self._bound.pop(session, None)
            self._bound[session] = Bound(account, at, now)

    def known(self, session: str) -> bool:
        return session in self._bound

    def news(self) -> list[tuple[str, Bound]]:
        """What other processes should hear, each once."""
        news, self._news = self._news, []
        return [(session, self._bound[session]) for session in news if session in self._bound]
