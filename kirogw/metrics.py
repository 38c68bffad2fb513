"""The figures of all processes and machines, as Prometheus reads them (text format 0.0.4).

What is counted lies in the store (`metric|all|...`, written by usage.py) and never begins anew, so it does not matter
which worker is asked, or how many there are or were. What is true just now comes from the pool and the quotas, which
every process shares within a second. No label holds a secret, a mail address or anything that a client may make up.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from kirogw.dialects.quota import Quota
from kirogw.store import Store
from kirogw.usage import FIRST_SECONDS, SECONDS

TYPE: Final = "text/plain; version=0.0.4"
STATES: Final = ("ready", "cooling", "exhausted", "suspended", "login", "disabled")
PREFIX: Final = "metric|all|"

COUNTERS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    # in the store: name, help, labels
    "requests": ("kirogw_requests_total", "Requests that have ended.", ("face", "model", "outcome")),
    "account": ("kirogw_account_requests_total", "Requests by the account that served last.", ("account", "outcome")),
    "tokens": ("kirogw_tokens_total", "Tokens, by where their figure comes from; cached ones are input too.",
               ("model", "kind", "source")),
    "credits": ("kirogw_credits_total", "Credits as metered by the upstream.", ("account", "model")),
}  # fmt: skip
HISTOGRAMS: Final[dict[str, tuple[str, str, tuple[float, ...]]]] = {
    "seconds": ("kirogw_request_seconds", "Seconds from a request's arrival to its answer's end.", SECONDS),
    "first": ("kirogw_first_event_seconds", "Seconds to the first event of an answer.", FIRST_SECONDS),
}

Counted = dict[tuple[str, ...], float]
"""By the parts of the name after the first: labels, and for a histogram the bucket."""


def text(store: Store, accounts: Iterable[Mapping[str, Any]], quotas: Mapping[str, Quota], *, version: str,
         started: float) -> str:  # fmt: skip
    """`accounts`: rows of Pool.status; of them id, state and in_flight are used. `quotas` by account id. `started`:
    epoch seconds. Raises StoreFailed.
    """
    counted: defaultdict[str, Counted] = defaultdict(dict)
    for name, amount in store.totals(PREFIX).items():
        kind, *parts = map(unquote, name.removeprefix(PREFIX).split("|"))
        counted[kind][tuple(parts)] = amount
    lines: list[str] = []
    for kind, (name, meaning, labels) in COUNTERS.items():
        lines += _counter(name, meaning, labels, counted[kind])
    for kind, (name, meaning, bounds) in HISTOGRAMS.items():
        lines += _histogram(name, meaning, bounds, counted[kind])
    lines += _live(list(accounts), quotas)
    lines += _gauge("kirogw_info", "Always 1.", [({"version": version}, 1)])
    lines += _gauge("kirogw_worker_start_time_seconds", "When the worker that answers was started.", [({}, started)])
    return "\n".join(lines) + "\n"


def _counter(name: str, meaning: str, labels: tuple[str, ...], counted: Counted) -> Iterator[str]:
    yield from _head(name, meaning, "counter")
    for parts, amount in sorted(counted.items()):
        if len(parts) == len(labels):
            yield _line(name, dict(zip(labels, parts, strict=True)), amount)


def _histogram(name: str, meaning: str, bounds: tuple[float, ...], counted: Counted) -> Iterator[str]:
    yield from _head(name, meaning, "histogram")
    for model in sorted({parts[0] for parts in counted}):
        so_far = 0.0
        for n, bound in enumerate((*bounds, math.inf)):
            so_far += counted.get((model, str(n)), 0.0)
            yield _line(f"{name}_bucket", {"model": model, "le": _number(bound)}, so_far)
        yield _line(f"{name}_sum", {"model": model}, counted.get((model, "sum"), 0.0))
        yield _line(f"{name}_count", {"model": model}, so_far)


def _live(accounts: list[Mapping[str, Any]], quotas: Mapping[str, Quota]) -> Iterator[str]:
    states = [({"account": a["id"], "state": s}, float(a["state"] == s)) for a in accounts for s in STATES]
    yield from _gauge("kirogw_account_state", "1 for the state that the account is in.", states)
    running = [({"account": a["id"]}, float(a["in_flight"])) for a in accounts]
    yield from _gauge("kirogw_account_in_flight", "Answers on their way, in all processes.", running)
    told = [(a["id"], quota) for a in accounts if (quota := quotas.get(a["id"])) and quota.buckets]
    known = [(id, quota) for id, quota in told if not quota.windows]
    for what, meaning in (("left", "Credits left"), ("used", "Credits used"), ("limit", "Credits that there are")):
        rows = [({"account": id, "bucket": bucket}, amount) for id, quota in known
                for bucket, amount in _by_bucket(quota, what).items()]  # fmt: skip
        yield from _gauge(f"kirogw_quota_{what}_credits", f"{meaning}, as the upstream told.", rows)
    yield from _windows([(id, quota) for id, quota in told if quota.windows])
    asked = [({"account": id}, quota.asked_at) for id, quota in told]
    yield from _gauge("kirogw_quota_asked_time_seconds", "When the upstream told so.", asked)
    resets = [({"account": id}, quota.resets_at) for id, quota in known if quota.resets_at]
    yield from _gauge("kirogw_quota_reset_time_seconds", "When the plan is full again.", resets)


def _windows(known: list[tuple[str, Quota]]) -> Iterator[str]:
    each = [({"account": id, "window": bucket.name}, bucket) for id, quota in known for bucket in quota.buckets]
    left = [(labels, bucket.left) for labels, bucket in each]
    yield from _gauge("kirogw_quota_window_left_percent", "What is left of a window, as the upstream told.", left)
    resets = [(labels, bucket.resets_at) for labels, bucket in each if bucket.resets_at]
    yield from _gauge("kirogw_quota_window_reset_time_seconds", "When the window is full again.", resets)


def _by_bucket(quota: Quota, what: str) -> dict[str, float]:
    """Bonuses of the same name are one: a series must not be there twice."""
    sums: defaultdict[str, float] = defaultdict(float)
    for bucket in quota.buckets:
        sums[bucket.name] += getattr(bucket, what)
    return sums


def _gauge(name: str, meaning: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield from _head(name, meaning, "gauge")
    for labels, value in rows:
        yield _line(name, labels, value)


def _head(name: str, meaning: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


@functools.lru_cache(4096)
def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
