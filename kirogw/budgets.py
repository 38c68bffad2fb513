"""What named keys may use: reserved before a request is sent, settled after it, in one place for all APIs.

A request is let in when what is used and reserved leaves room for it: for its input, which is counted, and for its
output and price, which are guessed by the answers before it. An answer is not cut when it takes more than that, so a
budget can be exceeded by what the requests on their way take beyond their reservations, and by no more. What a process
reserves counts there at once and everywhere else within a second. A reservation whose process is killed stays: what it
was for has been asked of the upstream. Days and months are UTC's, and a request belongs to those in which it began.
"""

from __future__ import annotations

import calendar
import contextlib
import functools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from kirogw import log
from kirogw.answer import Beat, CallDelta, Event, TextDelta, ThoughtDelta, Usage
from kirogw.conversation import Conversation
from kirogw.errors import Busy, FormatMissed, GatewayError, QuotaUsed
from kirogw.logins.named import Caller
from kirogw.store import Put, Store, StoreFailed, alive, owner
from kirogw.store.counts import Counts
from kirogw.stream import Source
from kirogw.wire import Json

T = TypeVar("T")

MICRO: Final = 1_000_000  # credits are counted in millionths
PERIODS: Final = {"day": "%Y-%m-%d", "month": "%Y-%m"}
NAMES: Final = {"day": "daily", "month": "monthly"}
UNITS: Final = {"tokens": 1, "credits": MICRO}
DAY: Final = 86400
WINDOW: Final = 60  # seconds in which requests are counted
RUNNING: Final = "callers"  # the kind of what each process tells of its running requests
RUNNING_LIFE: Final = 20.0  # seconds after which a process that tells nothing more is gone; on this machine at once
RUNNING_TOLD: Final = 5.0  # seconds between two such words where nothing changed
IDLE: Final = 60.0  # seconds after the last request of a named key when nobody looks any more
STALE: Final = 5.0  # seconds after which a request looks itself at what others have used
OUTPUT: Final = 500.0  # tokens of an answer, before one of the model was seen
PRICE: Final = 0.05 * MICRO  # and its price, as it is charged where none was told
DEAR: Final = 0.25 * MICRO  # and as it is reserved: many may be on their way before the first price is known
LEARN: Final = 0.2  # weight of the latest answer
MODELS: Final = 256
SHARE: Final = 10  # no guess takes more than this part of a budget
SOON: Final = 2.0  # seconds to wait for requests that run
CHARS: Final = 4  # in a token, about


class Every(Protocol):
    """What is asked of store.sync.Sync."""

    def every(self, seconds: float, work: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class Reservation:
    """What is held for one request. `held`: amounts by group and unit."""

    key: str = ""
    model: str = ""
    tokens: int = 0  # of its input
    guess: int = 0  # of its input and output
    price: int = 0  # the guess of it, in millionths
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    open: bool = True


FREE: Final = Reservation(open=False)  # of callers whose use nobody counts


class Budgets:
    """All budgets of this process. Safe for all threads; `sync` calls it twice a second."""

    def __init__(self, sync: Every, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._lock = threading.Lock()
        self._counts = Counts(store)
        self._running: dict[str, int] = {}
        self._told: tuple[dict[str, int], float] = {}, 0.0
        self._others: dict[str, int] = {}
        self._held: dict[tuple[str, str], int] = {}  # of all reservations that are open here
        self._typical: dict[str, tuple[float, float]] = {}  # model -> tokens and price of an answer
        self._asked, self._looked = 0.0, 0.0  # the last request of a named key, the last exchange; epoch seconds
        self._day, self._minute = "", 0
        sync.every(0.0, self.exchange)

    # a request

    def metered(self, source: Source, caller: Caller, estimate: int, conversation: Conversation,
                noted: Callable[[], Mapping[str, Any]] = dict) -> Source:  # fmt: skip
        """`source`, paid from the budget of `caller`. Nothing is reserved before it is asked for its first batch.

        `noted` gives what is known of an answer that has no figures of its own, since its client left: `in`, `out`
        and `credits`; nothing when it had not begun.
        """
        return self._metered(source, caller, conversation, _Meter(estimate, noted)) if caller.id else source

    def _metered(self, source: Source, caller: Caller, conversation: Conversation, meter: _Meter) -> Source:
        most = conversation.max_tokens
        reservation = self.reserve(caller, meter.input, conversation.model, self._now(), most=most)
        try:
            with contextlib.closing(source):
                for batch in source:
                    if batch and not isinstance(batch, Beat):
                        meter.see(batch)
                    yield batch
        except FormatMissed:
            meter.missed = True
            raise
        finally:
            self.settle(reservation, *meter.used(reservation), whole=meter.metered)

    def reserve(self, caller: Caller, tokens: int, model: str, now: float, *, most: int | None = None) -> Reservation:
        """Room for a request with `tokens` of input and at most `most` of output (None: nobody knows).

        Raises Busy while other requests stand in the way, QuotaUsed when a budget is used up; both with `wait`.
        """
        if not caller.id:
            return FREE
        self._look_again(now)
        with self._lock:
            reservation = self._wanted(caller, tokens, model, now, most)
            error = self._running_out(caller) or self._too_fast(caller, now) or self._too_much(caller, reservation, now)
            if error is None:
                self._take(caller, reservation, now)
        if error:
            raise error
        return reservation

    def settle(self, reservation: Reservation, tokens: int, credits: float, *, whole: bool = True) -> None:
        """What the request took in truth; nothing, when it failed. Only the first call for a reservation counts.
        `whole`: the figures are of a whole answer, so the next guess can rest on them.
        """
        with self._lock:
            if not reservation.open:
                return
            reservation.open = False
            took = {"tokens": tokens, "credits": round(credits * MICRO)}
            for (group, unit), amount in reservation.held.items():
                self._counts.add(group, unit, took[unit] - amount)
                _less(self._held, (group, unit), amount)
            _less(self._running, reservation.key, 1)
            if whole and tokens > reservation.tokens:
                self._learn(reservation.model, max(0, tokens - reservation.tokens), took["credits"])

    def _wanted(self, caller: Caller, tokens: int, model: str, now: float, most: int | None) -> Reservation:
        output, price = self._typical.get(model, (OUTPUT, PRICE))
        dear = price if model in self._typical else DEAR
        guesses = {"tokens": min(output, math.inf if most is None else most), "credits": dear}
        reservation = Reservation(caller.id, model, tokens, tokens + math.floor(guesses["tokens"]), round(price))
        for group, period in _groups(caller.id, int(now) // DAY).items():
            for unit in UNITS:
                limit = _limit(caller, period, unit)
                known = tokens if unit == "tokens" else 0
                guess = min(guesses[unit], limit / SHARE)
                reservation.held[group, unit] = known + math.floor(guess) if limit else 0
        return reservation

    def _take(self, caller: Caller, reservation: Reservation, now: float) -> None:
        for (group, unit), amount in reservation.held.items():
            self._counts.add(group, unit, amount)
            if amount:
                self._held[group, unit] = self._held.get((group, unit), 0) + amount
        self._running[caller.id] = self._running.get(caller.id, 0) + 1
        if caller.limits.minute:
            self._counts.add(_rate(caller, now), str(int(now)), 1)

    def _learn(self, model: str, output: int, price: int) -> None:
        if len(self._typical) >= MODELS and model not in self._typical:
            self._typical.clear()
        known = self._typical.get(model)
        if known is None:
            self._typical[model] = output, price
        else:
            self._typical[model] = known[0] + LEARN * (output - known[0]), known[1] + LEARN * (price - known[1])

    # what stands in its way

    def _running_out(self, caller: Caller) -> GatewayError | None:
        most = caller.limits.concurrent
        if most and self._running.get(caller.id, 0) + self._others.get(caller.id, 0) >= most:
            return Busy(f"{most} requests of the key {caller.name!r} are running, and more it may not have at once; "
                        "try again when one of them has ended", wait=SOON)  # fmt: skip
        return None

    def _too_fast(self, caller: Caller, now: float) -> GatewayError | None:
        most = caller.limits.minute
        if not most:
            return None
        seen = {**self._counts.items(_rate(caller, now - WINDOW)), **self._counts.items(_rate(caller, now))}
        recent = sorted((int(second), count) for second, count in seen.items() if int(second) >= int(now) - WINDOW)
        over = sum(count for _, count in recent) - most + 1
        for second, count in recent:  # the first `over` of them must be gone
            over -= count
            if over <= 0 < over + count:
                wait = second + WINDOW + 1 - now
                return Busy(f"the key {caller.name!r} may make {most} requests a minute, which is its rate limit; try "
                            f"again in {math.ceil(wait)} seconds", wait=wait)  # fmt: skip
        return None

    def _too_much(self, caller: Caller, wanted: Reservation, now: float) -> GatewayError | None:
        """The error that lasts longest."""
        errors = []
        periods = _groups(caller.id, int(now) // DAY)
        for (group, unit), need in wanted.held.items():
            limit = _limit(caller, periods[group], unit)
            used = self._counts.of(group, unit)
            if limit and used + need > limit:
                settled = used - self._held.get((group, unit), 0)
                errors.append(_used_up(caller, periods[group], unit, need, settled, now))
        return max(errors, key=lambda error: error.wait or 0.0, default=None)

    # other processes

    def exchange(self) -> None:
        """Tell the other processes, and hear from them. Raises StoreFailed."""
        now = self._now()
        if now - self._asked < IDLE or self._running or self._told[0] or self._counts.waiting():
            self._looked = now
            self._counts.exchange(_prefixes(now))
            self._tell_running(now)
            self._hear_running()
            self._tidy(now)

    def close(self) -> None:
        """For the end of the process: nothing that was counted is lost."""
        with contextlib.suppress(StoreFailed):
            self.exchange()

    def _look_again(self, now: float) -> None:
        """The first request of a named key after a while: this process does not know what the others have used. It
        only reads, for no request waits for a write.
        """
        self._asked = now
        if now - self._looked >= STALE:
            self._looked = now
            try:
                self._counts.read(_prefixes(now))
                self._hear_running()
            except StoreFailed as error:
                log.logger.debug("what the keys have used elsewhere is not known just now: %s", error)

    def _tell_running(self, now: float) -> None:
        with self._lock:
            mine = dict(self._running)
        if mine != self._told[0] or (mine and now - self._told[1] >= RUNNING_TOLD):
            self._store.apply([Put(RUNNING, self._me(), dict(mine), ttl=RUNNING_LIFE)], durable=False)
            self._told = mine, now

    def _me(self) -> str:
        return f"{owner()}|{id(self):x}"

    def _hear_running(self) -> None:
        others: dict[str, int] = {}
        for name, doc in self._store.all(RUNNING).items():
            for key, count in doc.value.items() if name != self._me() and alive(name) else ():
                others[key] = others.get(key, 0) + int(count)
        with self._lock:
            self._others = others

    def _tidy(self, now: float) -> None:
        """Away with counters of times that are over: all of them once a day and at the first look, a minute's soon."""
        day, minute = time.strftime(PERIODS["day"], time.gmtime(now)), int(now) // WINDOW
        if day != self._day:
            kept = _prefixes(now) | _prefixes(now - DAY)
            names = (name for kind in ("budget|", "rate|") for name in self._store.totals(kind))
            for prefix in {"|".join(name.split("|")[:2]) + "|" for name in names} - kept:
                self._store.forget(prefix)
        elif minute != self._minute:
            self._store.forget(f"rate|{minute - 3}|")
        self._day, self._minute = day, minute


@dataclass(slots=True)
class _Meter:
    """What an answer takes, as far as it has come."""

    input: int
    noted: Callable[[], Mapping[str, Any]]
    usage: Usage | None = None
    chars: int = 0
    begun: bool = False
    missed: bool = False

    @property
    def metered(self) -> bool:
        """Whether the figures are of a whole answer: one that was cut here has no price."""
        return self.usage is not None and self.usage.credits > 0

    def see(self, batch: Sequence[Event]) -> None:
        self.begun = True
        for event in batch:
            kind = type(event)
            if kind in SIZES:
                self.chars += len(getattr(event, SIZES[kind]))
            elif kind is Usage:
                self.usage = event  # type: ignore[assignment]

    def used(self, reservation: Reservation) -> tuple[int, float]:
        """Tokens and credits. An answer that was left, cut or broke off counts as far as it came, at the usual price;
        one that missed its format twice was paid for twice.
        """
        price = reservation.price / MICRO
        if self.usage:
            return self.usage.input + self.usage.output, self.usage.credits or price
        if noted := self.noted():
            return noted["in"] + noted["out"], noted["credits"] or price
        if self.missed:
            return 2 * reservation.guess, 2 * price
        return (self.input + self.chars // CHARS, price) if self.begun else (0, 0.0)


SIZES: Final[dict[type, str]] = {TextDelta: "text", ThoughtDelta: "text", CallDelta: "json"}


def _less(amounts: dict[T, int], name: T, amount: int) -> None:
    """What is left is nothing: then the name is gone."""
    if amount:
        amounts[name] -= amount
        if not amounts[name]:
            del amounts[name]


def _limit(caller: Caller, period: str, unit: str) -> int:
    """0: none. Credits in millionths."""
    amount: float = getattr(caller.limits, f"{period}_{unit}")
    return round(amount * UNITS[unit])


@functools.lru_cache(1024)
def _groups(key: str, day: int) -> dict[str, str]:
    """The groups of a key's counters, and the period of each. `day` since the epoch."""
    date = time.gmtime(day * DAY)
    return {f"budget|{time.strftime(form, date)}|{key}": period for period, form in PERIODS.items()}


def _rate(caller: Caller, now: float) -> str:
    return f"rate|{int(now) // WINDOW}|{caller.id}"


def _prefixes(now: float) -> set[str]:
    """Of the counters that matter at a time."""
    day = time.gmtime(now)
    minutes = (int(now) // WINDOW, int(now) // WINDOW - 1)
    return {f"budget|{time.strftime(form, day)}|" for form in PERIODS.values()} | {f"rate|{n}|" for n in minutes}


def _used_up(caller: Caller, period: str, unit: str, need: int, used: int, now: float) -> GatewayError:
    limit, scale = _limit(caller, period, unit), UNITS[unit]
    what = f"the {NAMES[period]} budget of the key {caller.name!r}, {said(limit / scale)} {unit},"
    if used + need <= limit:
        return Busy(f"{what} is held by its requests that run; try again when one of them has ended", wait=SOON)
    ends = resets_at(period, now)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ends))
    left = f"{said(max(0, limit - used) / scale)} are left, and it needs about {said(need / scale)}"
    more = ", more than there ever are" if need > limit else f". All are there again on {when}"
    return QuotaUsed(f"{what} has no room for this request: {left}{more}", wait=ends - now)


def said(amount: float) -> str:
    """12,500 or 0.05, never 1e+06."""
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def resets_at(period: str, now: float) -> float:
    """When the day or month of `now` ends, in epoch seconds."""
    year, month, day = time.gmtime(now)[:3]
    next_ = (year, month, day + 1) if period == "day" else (year + month // 12, month % 12 + 1, 1)
    return float(calendar.timegm((*next_, 0, 0, 0)))


def spent(store: Store, key: str, now: float) -> Json:
    """What the key with this id has used in this day and month, running requests included; in tokens and credits."""
    found: dict[str, Any] = {}
    for period, form in PERIODS.items():
        prefix = f"budget|{time.strftime(form, time.gmtime(now))}|{key}|"
        totals = store.totals(prefix)
        found[period] = {
            "tokens": round(totals.get(f"{prefix}tokens", 0.0)), "resets_at": resets_at(period, now),
            "credits": round(totals.get(f"{prefix}credits", 0.0) / MICRO, 6),
        }  # fmt: skip
    return found
