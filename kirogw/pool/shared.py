"""What the pools of several processes tell each other, through the store: health, sessions, and who is busy with what.

Nothing here waits for a write, and all news are merged by the time of what happened, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from kirogw import log
from kirogw.pool import health
from kirogw.pool.account import Account
from kirogw.pool.schedule import Schedule
from kirogw.pool.sessions import Bound
from kirogw.store import Doc, StoreFailed, alive
from kirogw.wire import Json

EVERY: Final = 0.5  # seconds between two words on how much is in flight, if that has changed
AGAIN: Final = 4.0  # seconds after which it is said again, or the others take this process for dead
ALIVE: Final = 15.0  # seconds for which such a word counts
LISTEN: Final = 1.0  # seconds in which all have heard of each other: then again each may take its part of free places
IDLE: Final = 60.0  # seconds after which a process that has nothing in flight says that it is there
MOVES: Final = 60.0  # seconds for which it is told that a session has moved
MOST_MOVES: Final = 200
MOST_ASKED: Final = 1000  # sessions of which it is known that the store does not know them
A_MARK: Final = 900.0  # seconds for which the store keeps that nothing more speaks against an account and model


class Reads(Protocol):
    """The part of the store that is used here. Raises StoreFailed."""

    def get(self, kind: str, id: str) -> Doc | None: ...
    def all(self, kind: str) -> dict[str, Doc]: ...


class Writes(Protocol):
    """The part of `store.sync.Sync` that is used here; nothing of it waits."""

    @property
    def deaf(self) -> bool: ...
    def put(self, kind: str, id: str, value: Json, ttl: float | None = None) -> None: ...
    def delete(self, kind: str, id: str) -> None: ...
    def append(self, log: str, entry: Json) -> None: ...
    def watch(self, kind: str, callback: Callable[[], None]) -> None: ...
    def every(self, seconds: float, work: Callable[[], None]) -> None: ...
    def flush(self) -> bool: ...


class Shared:
    """Between one process's schedule and the store. What is called `tell` only queues; what is called `hear` takes
    documents that were read before, and belongs under the pool's lock.
    """

    def __init__(self, store: Reads, sync: Writes, name: Callable[[], str]) -> None:
        """`name` is this process's own, another one after a fork."""
        self._store, self._sync, self._name = store, sync, name
        self._asked: dict[str, None] = {}  # sessions that the store did not know; requests go in and out without a lock
        self._moves: dict[str, tuple[str, float]] = {}
        self._versions: dict[str, int] = {}  # of the documents on health that were heard
        self._said: tuple[Json, float] = ({}, 0.0)
        self._heard = self._counted = 0.0

    def tell_health(self, account: Account, model: str, now: float) -> None:
        """To the other processes, and to those who want to know later what happened when."""
        self.put_health(account, model, now)
        state = account.health
        if not model:
            self._sync.append("events", {"at": now, "account": account.id, "state": state.state, "reason": state.reason,
                                         "until": state.until, "evidence": state.evidence})  # fmt: skip

    def put_health(self, account: Account, model: str, now: float) -> None:
        """To the other processes."""
        held = health.written(account.held(model))
        if model:
            self._sync.put("health", f"{account.id}|{model}", held, ttl=max(A_MARK, held.get("until", 0.0) - now))
            return
        more = {"cleared": account.cleared, "gap": account.gap, "limited": account.limited if account.gap else 0.0}
        self._sync.put("health", account.id, held | {name: value for name, value in more.items() if value})

    def forget(self, account: str) -> None:
        """It is gone."""
        self._sync.delete("health", account)

    def hear_health(self, schedule: Schedule, docs: Mapping[str, Doc], now: float) -> bool:
        """Whether something was news. What is older than what is known here is set right."""
        heard = False
        for id, doc in docs.items():
            name, _, model = id.partition("|")
            account = schedule.accounts.get(name)
            if account is None:
                continue
            if self._versions.get(id) == doc.version:
                continue  # it was heard: what it says of the future, because a clock is wrong, is as of then
            self._versions[id] = doc.version
            schedule.set_back(account, now)
            heard |= self._hear(schedule, account, model, doc.value, now)
        self._versions = {id: version for id, version in self._versions.items() if id in docs}
        return heard

    def _hear(self, schedule: Schedule, account: Account, model: str, kept: Json, now: float) -> bool:
        new, held = health.read(kept, now), account.held(model)
        if new.kind and new.kind not in health.STEPS:
            return False
        if model and model not in account.marks and not new.resting(now):
            account.cure(model, new.at)
            return False
        heard = not model and schedule.hear_cleared(account, min(_number(kept, "cleared"), now))
        if held.newer(new):
            self.put_health(account, model, now)
        if not new.newer(held):
            return heard
        if not model:
            account.gap, account.limited = _number(kept, "gap"), min(_number(kept, "limited"), now)
        schedule.hear(account, model, new)
        return True

    def tell_session(self, session: str, bound: Bound, moved: bool, seconds: float) -> None:
        """Under the pool's lock, as `tell_process`."""
        self._sync.put("session", session, {"account": bound.account, "since": bound.since}, ttl=seconds)
        if moved:
            self._moves[session] = (bound.account, bound.since)
            if len(self._moves) > MOST_MOVES:
                del self._moves[next(iter(self._moves))]

    def look_up(self, session: str) -> tuple[str, float] | None:
        """The account where another process has the session, and since when. The one read on the way of a request."""
        if session in self._asked or self._sync.deaf:
            return None
        try:
            doc = self._store.get("session", session)
        except StoreFailed as error:
            log.logger.debug("where a session is can not be read: %s", error)
            return None
        account = doc.value.get("account") if doc else None
        if isinstance(account, str) and doc:
            return account, _number(doc.value, "since")
        if len(self._asked) >= MOST_ASKED:
            self._asked = {}
        self._asked[session] = None
        return None

    def tell_process(self, accounts: Mapping[str, Account], now: float) -> bool:
        """That this process is there, and how many answers it has in flight. Whether there was something to tell."""
        flight = {account.id: account.in_flight for account in accounts.values() if account.in_flight}
        self._moves = {session: move for session, move in list(self._moves.items()) if move[1] > now - MOVES}
        word = {"in_flight": flight, "moved": {session: list(move) for session, move in self._moves.items()}}
        before, at = self._said
        pause = AGAIN if flight else IDLE
        if word != before or not 0 <= now - at < pause:
            self._said = word, now
            self._sync.put("process", f"{self._name()}|pool", {"at": now, **word}, ttl=ALIVE - AGAIN + pause)
            return True
        return False

    def listen_due(self, now: float) -> bool:
        """Nobody tells that a process has died, or that a second is over."""
        return not 0 <= now - self._heard < LISTEN

    def hear_processes(self, schedule: Schedule, docs: Mapping[str, Doc], now: float) -> bool:
        """Whether there is a place where there was none."""
        sums: dict[str, int] = {}
        mine, self._heard, processes = self._name(), now, 1
        for id, doc in docs.items():
            owner, _, part = id.rpartition("|")
            if part != "pool" or owner == mine or not alive(owner):
                continue  # what has ended the store leaves out, by its own clock: machines' clocks differ
            processes += 1
            flight, moved = _object(doc.value, "in_flight"), _object(doc.value, "moved")
            for name in flight:
                sums[name] = sums.get(name, 0) + int(_number(flight, name))
            for session, move in moved.items():
                if schedule.sessions.known(session) and isinstance(move, list) and len(move) == 2:
                    schedule.sessions.hear(session, str(move[0]), _float(move[1]), now)
        again = not 0 <= now - self._counted < LISTEN or processes != schedule.processes
        self._counted, schedule.processes = now if again else self._counted, processes
        freed = [schedule.count(account, sums.get(account.id, 0), again) for account in schedule.accounts.values()]
        return any(freed)


def _number(kept: Json, name: str) -> float:
    return _float(kept.get(name))


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _object(kept: Json, name: str) -> Json:
    value = kept.get(name)
    return value if isinstance(value, dict) else {}
