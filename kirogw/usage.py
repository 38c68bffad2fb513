"""What was used: by day, account, key and model, each figure with where it comes from; and how long it will last.

A finished request becomes one entry of the log `usage` and some counters. Both go through `Sync`, so recording never
waits. Counters are `use|DAY|ACCOUNT|KEY|MODEL|WHAT` (days in UTC), and `metric|all|NAME|LABELS...|` for /metrics, which
never begin anew. Single requests go after USAGE_DAYS, the sums stay.
"""

from __future__ import annotations

import calendar
import functools
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from kirogw import errors
from kirogw.dialects.quota import Quota
from kirogw.store import Store
from kirogw.store.sync import Sync
from kirogw.wire import Json

LOG: Final = "usage"
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAY: Final = 86400.0
Source: TypeAlias = Literal["measured", "derived", "estimated"]
SOURCES: Final[tuple[Source, ...]] = ("measured", "derived", "estimated")
TOKENS: Final = ("input", "output", "cached")
OUTCOMES: Final = ("served", "left", "refused", "limited", "failed")
FAILURES: Final = (
    # outcome, errors, statuses where there is no error's name
    ("limited", (errors.Busy, errors.QuotaUsed), (402, 429)),
    ("refused", (errors.BadRequest, errors.BodyTooLarge, errors.WrongKey, errors.NotAllowed, errors.NotFound,
                 errors.WrongMethod), ()),
    ("failed", (errors.GatewayError,), ()),
)  # fmt: skip
MODELS: Final = 200  # names of models that are counted on their own; clients may send any
RECENT: Final = 7  # days that tell the pace
SHORTEST: Final = DAY / 4  # what is seen for less than that tells no pace
LONGEST: Final = 3650 * DAY  # what lasts longer lasts
SECONDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # bounds of the histograms
FIRST_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class UsageRecord:
    """One finished request. `at`: epoch seconds of its end; `outcome` as in the log: a reason to stop, "client left",
    a status, or the name of an error. `account` is its id, `model` the upstream's name, `provider` the account's; all
    may be "". `input` counts cached tokens too; `source` says where the tokens come from. `credits` are as metered,
    None or 0 when nothing was.
    """

    at: float
    request: str = ""
    key: str = ""
    account: str = ""
    model: str = ""
    face: str = ""
    outcome: str = ""
    stream: bool = False
    input: int = 0
    output: int = 0
    cached: int = 0
    credits: float | None = None
    source: Source = "estimated"
    ms: float = 0.0
    first_ms: float | None = None
    provider: str = ""


_MEMBERS: Final = tuple(member.name for member in fields(UsageRecord))
_values: Final = attrgetter(*_MEMBERS)


@functools.lru_cache(1024)
def outcome_of(word: str) -> str:
    """One of OUTCOMES. refused: by the client's own fault; limited: nobody had anything left; left: by the client."""
    if word == "client left":
        return "left"
    name, _, how = word.partition(" ")
    status = int(how or name) if (how or name).isdigit() else 500 if how == "in-band" else 0
    error = getattr(errors, name, None)
    for outcome, classes, statuses in FAILURES:
        if status in statuses or (isinstance(error, type) and issubclass(error, classes)):
            return outcome
    return "failed" if status >= 500 else "refused" if status >= 400 else "served"


class Usage:
    """Safe for all threads."""

    def __init__(self, sync: Sync, store: Store) -> None:
        self._sync, self._store = sync, store
        self._models: set[str] = set()
        self._lock = threading.Lock()

    def record(self, record: UsageRecord) -> None:
        """Once for each finished request; never waits."""
        record.model = self._model(record.model)
        self._sync.append(LOG, dict(zip(_MEMBERS, _values(record), strict=True)))
        self._sync.add(_amounts(record))

    def _model(self, name: str) -> str:
        if name not in self._models:
            if len(self._models) >= MODELS:
                return "other"
            with self._lock:
                self._models.add(name)
        return name

    def requests(self, limit: int = 100, before: int | None = None) -> list[Json]:
        """Single requests, the newest first; `number` is for the next page's `before`."""
        found = self._store.entries(LOG, before=before, limit=limit, newest=True)
        return [{"number": number, **entry} for number, entry in found]

    def prune(self, now: float, days: int) -> int:
        """Forget single requests that are older; how many they were."""
        return self._store.prune(LOG, older_than=now - days * DAY)

    # Sums

    def stats(self, now: float, days: int = 30, key: str | None = None) -> Json:
        """The last `days` days, today included; only those of `key` if it is given. What a request cost is measured by
        the upstream or not known: `requests_without_price` says for how many.
        """
        names = [_day(now - n * DAY) for n in reversed(range(days))]
        rows = [row for day in names for row in self._rows(day) if key is None or row[2] == key]
        return {
            "since": names[0], "until": names[-1], "days": days, "timezone": "UTC",
            "total": _sum(rows), "today": _sum([row for row in rows if row[0] == names[-1]]),
            "by_day": _by("day", rows, 0), "by_account": _by("account", rows, 1), "by_key": _by("key", rows, 2),
            "by_model": _by("model", rows, 3),
        }  # fmt: skip

    def _rows(self, day: str, account: str = "") -> list[_Row]:
        prefix = f"use|{day}|{_plain(account)}|" if account else f"use|{day}|"
        return [_row(name, amount) for name, amount in self._store.totals(prefix).items()]

    # Pace

    def pace(self, account: str, quota: Quota, now: float, points: Sequence[tuple[float, float]] = ()) -> Json | None:
        """How long what is left will last if it goes on as in the last days; None when nobody can tell, or it is a
        percentage of windows, which are full again before a pace means anything.

        `points` are times with credits used, as the provider told (Quotas.snapshot). Where they span too little time,
        what was metered here counts, and before that the average since the plan's last reset.
        """
        if quota.left is None or quota.windows:
            return None
        found = _by_points(points) or self._by_meter(account, now) or _by_period(quota, now)
        if found is None:
            return None
        rate, source, basis = found
        lasts = quota.left / rate * DAY if rate else LONGEST
        empty = now + lasts if lasts < LONGEST else None
        return {
            "credits_per_day": round(rate, 4), "source": source, "basis": basis, "left": round(quota.left, 4),
            "empty_at": empty, "resets_at": quota.resets_at, "says": _says(quota, rate, empty, now),
        }  # fmt: skip

    def _by_meter(self, account: str, now: float) -> Rate | None:
        names = [_day(now - n * DAY) for n in reversed(range(RECENT))]
        spent = {day: sum(row[5] for row in self._rows(day, account) if row[4] == "credits") for day in names}
        first = next((day for day in names if spent[day]), None)
        seconds = now - _start(first) if first else 0.0
        if seconds < SHORTEST:
            return None
        return sum(spent.values()) / seconds * DAY, "derived", f"metered here since {first}"


_Row: TypeAlias = tuple[str, str, str, str, str, float]  # day, account, key, model, what, amount


def _row(name: str, amount: float) -> _Row:
    _, day, account, key, model, what = name.split("|")
    return day, unquote(account), unquote(key), unquote(model), what, amount


def _by(label: str, rows: Iterable[_Row], place: int) -> list[Json]:
    groups: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[str(row[place])].append(row)
    return [{label: "" if name == "-" else name, **_sum(groups[name])} for name in sorted(groups)]


def _sum(rows: Iterable[_Row]) -> Json:
    sums: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        sums[row[4]] += row[5]
    timed, first = sums["timed"], sums["first_timed"]
    return {
        "requests": int(sum(sums[outcome] for outcome in OUTCOMES)),
        **{outcome: int(sums[outcome]) for outcome in OUTCOMES},
        "tokens": {kind: _tokens(kind, sums) for kind in TOKENS},
        "credits": {"value": round(sums["credits"], 6), "source": "measured",
                    "requests_without_price": int(sums["unpriced"])},
        "ms_mean": round(sums["ms"] / timed, 1) if timed else None,
        "first_ms_mean": round(sums["first_ms"] / first, 1) if first else None,
    }  # fmt: skip


def _tokens(kind: str, sums: Mapping[str, float]) -> Json:
    known: Json = {source: int(sums[f"{kind}.{source}"]) for source in SOURCES}
    return {"total": sum(known.values()), **known}


# One request

def _amounts(record: UsageRecord) -> dict[str, float]:
    """What is added to which counter."""
    outcome = outcome_of(record.outcome)
    account, key, model, face = map(_plain, (record.account, record.key, record.model, record.face))
    use, metric = f"use|{_day(record.at)}|{account}|{key}|{model}|", "metric|all|"
    found: dict[str, float] = {f"{use}{outcome}": 1, f"{metric}requests|{face}|{model}|{outcome}": 1}
    for kind in TOKENS:
        if amount := getattr(record, kind):
            found[f"{use}{kind}.{record.source}"] = amount
            found[f"{metric}tokens|{model}|{kind}|{record.source}"] = amount
    if record.account:
        found[f"{metric}account|{account}|{outcome}"] = 1
    if record.credits:
        found[f"{use}credits"] = found[f"{metric}credits|{account}|{model}"] = record.credits
    elif record.output:
        found[f"{use}unpriced"] = 1
    if outcome == "served":
        found[f"{use}timed"], found[f"{use}ms"] = 1, record.ms
        _observe(found, f"{metric}seconds|{model}", record.ms / 1000, SECONDS)
    if record.first_ms is not None:
        found[f"{use}first_timed"], found[f"{use}first_ms"] = 1, record.first_ms
        _observe(found, f"{metric}first|{model}", record.first_ms / 1000, FIRST_SECONDS)
    return found


def _observe(found: dict[str, float], name: str, value: float, bounds: tuple[float, ...]) -> None:
    """In the one bucket where it belongs, by number; they are summed up when somebody looks."""
    found[f"{name}|{bisect_left(bounds, value)}"] = 1
    found[f"{name}|sum"] = value


@functools.lru_cache(1024)
def _plain(name: str) -> str:
    """As a part of a counter's name: never empty, and without its separator."""
    if not name:
        return "-"
    return name[:100].replace("%", "%25").replace("|", "%7C")


def _day(at: float) -> str:
    return _named(int(at // DAY))


@functools.lru_cache(128)
def _named(day: int) -> str:
    moment = time.gmtime(day * DAY)
    return f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"


def _start(day: str) -> float:
    return float(calendar.timegm(time.strptime(day, "%Y-%m-%d")))


# Pace

Rate: TypeAlias = tuple[float, Source, str]  # credits a day, where that comes from, on what it rests


def _by_points(points: Sequence[tuple[float, float]]) -> Rate | None:
    """From the provider's own figures, which hold what is used elsewhere too."""
    recent = [point for point in points if point[0] >= points[-1][0] - RECENT * DAY]
    seconds = recent[-1][0] - recent[0][0] if recent else 0.0
    if seconds < SHORTEST:
        return None
    rate = max(0.0, recent[-1][1] - recent[0][1]) / seconds * DAY
    return rate, "derived", f"the provider's figures of the last {seconds / DAY:.1f} days"


def _by_period(quota: Quota, now: float) -> Rate | None:
    plan = next((bucket for bucket in quota.buckets if bucket.name == "plan"), None)
    if plan is None or plan.resets_at is None or plan.resets_at <= now:
        return None
    seconds = now - _month_before(plan.resets_at)
    if seconds < SHORTEST:
        return None
    return plan.used / seconds * DAY, "estimated", "the plan's average since its last reset"


def _month_before(at: float) -> float:
    moment = time.gmtime(at)
    year, month = (moment.tm_year, moment.tm_mon - 1) if moment.tm_mon > 1 else (moment.tm_year - 1, 12)
    date = min(moment.tm_mday, calendar.monthrange(year, month)[1])
    return float(calendar.timegm((year, month, date, moment.tm_hour, moment.tm_min, moment.tm_sec)))


def _says(quota: Quota, rate: float, empty: float | None, now: float) -> str:
    """One line for people, in UTC."""
    reset = quota.resets_at if quota.resets_at and quota.resets_at > now else None
    if quota.left == 0:
        return "nothing is left" + (f" until the reset on {_date(reset, now)}" if reset else "")
    if empty is not None and (reset is None or empty < reset):
        return f"at this rate empty on {_date(empty, now)}"
    if reset is None:
        return "at this rate it lasts"
    left = (quota.left or 0.0) - rate * (reset - now) / DAY
    return f"at this rate {left:.0f} credits are left at the reset on {_date(reset, now)}"


def _date(at: float, now: float) -> str:
    moment = time.gmtime(at)
    year = f" {moment.tm_year}" if moment.tm_year != time.gmtime(now).tm_year else ""
    return f"{moment.tm_mday} {MONTHS[moment.tm_mon - 1]}{year}"
