"""Which account a conversation is on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST: Final = 20_000  # sessions that are remembered at once


@dataclass(slots=True)
class Bound:
    """A session on an account. `since`: when it came there; `at`: its last request; `running`: its requests there that
    are on their way; `told`: when other processes heard of it last.
    """

    account: str
    since: float
    at: float
    told: float = 0.0
    running: int = 0


class Sessions:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bound: dict[str, Bound] = {}  # the one used last is the last
        self._news: list[tuple[str, bool]] = []

    def find(self, session: str, now: float) -> Bound | None:
        bound = self._bound.get(session)
        return bound if bound and now < bound.at + self._seconds else None

    def bind(self, session: str, account: str, now: float) -> tuple[Bound, str]:
        """The session is on `account` now. Also gives the account that it was on until now, "" if that is the same."""
        bound = self._bound.pop(session, None)
        before = ""
        if bound is None or bound.account != account:
            before = bound.account if bound and now < bound.at + self._seconds else ""
            bound = Bound(account, now, now)
            if len(self._bound) >= MOST:
                del self._bound[next(iter(self._bound))]
        bound.at = now
        self._bound[session] = bound
        if now >= bound.told + self._seconds / 4:
            bound.told = now
            self._news.append((session, bool(before)))
        return bound, before

    def hear(self, session: str, account: str, since: float, now: float) -> None:
        """In another process the session came to `account` at that time."""
        bound = self._bound.get(session)
        if bound is None or (bound.since < since and bound.account != account):
            self._bound[session] = Bound(account, since, now, now)

    def known(self, session: str) -> bool:
        return session in self._bound

    def news(self) -> list[tuple[str, Bound, bool]]:
        """What other processes should hear, and whether it is a move, each once."""
        news, self._news = self._news, []
        return [(session, self._bound[session], moved) for session, moved in news if session in self._bound]
