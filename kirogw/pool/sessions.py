"""Which account a conversation is on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST: Final = 20_000  # sessions that are remembered at once


@dataclass(slots=True)
class Bound:
    """`since`: when it came to this account; `at`: the last request; `told`: when other processes heard of it last."""

    account: str
    since: float
    at: float
    told: float = 0.0


class Sessions:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bound: dict[str, Bound] = {}  # the one used last is the last
        self._news: list[tuple[str, bool]] = []

    def find(self, session: str, now: float) -> str:
        """The account's id, "" where there is none."""
        bound = self._bound.get(session)
        return bound.account if bound and now < bound.at + self._seconds else ""

    def bind(self, session: str, account: str, now: float) -> str:
        """The session is on `account` now. Gives the account that it was on until now, "" if that is the same."""
        bound = self._bound.pop(session, None)
        before = ""
        if bound is None:
            bound = Bound(account, now, now)
            if len(self._bound) >= MOST:
                del self._bound[next(iter(self._bound))]
        elif bound.account != account:
            before, bound.account, bound.since, bound.told = bound.account, account, now, 0.0
        bound.at = now
        self._bound[session] = bound
        if now >= bound.told + self._seconds / 4:
            bound.told = now
            self._news.append((session, bool(before)))
        return before

    def hear(self, session: str, account: str, since: float, now: float) -> None:
        """In another process the session came to `account` at that time."""
        bound = self._bound.get(session)
        if bound is None:
            self._bound[session] = Bound(account, since, now, now)
        elif bound.since < since:
            bound.account, bound.since = account, since

    def known(self, session: str) -> bool:
        return session in self._bound

    def news(self) -> list[tuple[str, Bound, bool]]:
        """What other processes should hear, and whether it is a move, each once."""
        news, self._news = self._news, []
        return [(session, self._bound[session], moved) for session, moved in news if session in self._bound]
