"""The rows of the table: what is asked for in each, what is made of the outcomes, and what we want."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final, TypeAlias

from script import Script

# One round, one column: what the client says (finished, wrong, first, lag), with `cpu` (ns), `pss` (bytes), `asked`.
Outcome: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """`say` makes the table's cell of all rounds' outcomes. The faces of a held row share one crowd."""

    key: str
    title: str
    want: str
    size: str
    script: Script
    lanes: int
    requests: int
    say: Callable[[Row, list[Outcome]], str]
    ramp: float = 0.0
    workers: int = 1
    deadline: float = 25.0

    @property
    def warm_up(self) -> int:
        """Requests before the first that counts; a slow stream warms nothing that a fast one has not."""
        return 0 if self.script.pause else max(self.requests // 8, 8)


def digits(value: float) -> str:
    """Two significant digits below ten, one decimal below a hundred, whole above."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def of_rounds(outcomes: list[Outcome], pick: Callable[[Outcome], float]) -> float:
    return median(pick(outcome) for outcome in outcomes)


def _cpu_a_frame(row: Row, outcomes: list[Outcome]) -> str:
    """Over the text frames only, so that head and tail of the answer, and the request itself, are in the price."""
    if not outcomes[0]["cpu"]:
        return ""
    return f"{digits(of_rounds(outcomes, lambda o: o['cpu'] / 1e3 / o['asked'] / row.script.frames))} us"


def _cpu_a_request(row: Row, outcomes: list[Outcome]) -> str:
    if not outcomes[0]["cpu"]:
        return ""
    return f"{digits(of_rounds(outcomes, lambda o: o['cpu'] / 1e6 / o['asked']))} ms"


def _first(row: Row, outcomes: list[Outcome]) -> str:
    heard = [outcome for outcome in outcomes if outcome["first"]]
    return f"{digits(of_rounds(heard, lambda o: o['first']['p50']))} ms" if heard else "nothing came"


def _held(row: Row, outcomes: list[Outcome]) -> str:
    finished = int(of_rounds(outcomes, lambda o: o["finished"]))
    count = "all" if finished == outcomes[0]["asked"] else f"{finished:,} of {outcomes[0]['asked']:,}"
    heard = [outcome for outcome in outcomes if outcome["lag"]]
    lag = f"{digits(of_rounds(heard, lambda o: o['lag']['p99']))} ms" if heard else "nothing came"
    if not outcomes[0]["pss"]:
        return f"{count}, {lag}"
    memory = of_rounds(outcomes, lambda o: o["pss"]) / 1e6 / row.workers
    return f"{count}, {lag}, {memory:.0f} MB{' a worker' if row.workers > 1 else ''}"


def peak(outcomes: list[Outcome]) -> str:
    """The most that the tree took over a round's rows, those with held streams aside."""
    most = of_rounds(outcomes, lambda o: o["pss"]) if outcomes else 0
    return f"{most / 1e6:.0f} MB" if most else ""


PEAK_TITLE: Final = "peak memory (PSS) over the rows above"
PEAK_WANT: Final = "60 MB"

LOADS: Final = (
    Row("frames", "CPU per upstream frame, 200 frames at once", "10 us", "small", Script(200), 4, 80, _cpu_a_frame),
    Row("paced", "CPU per frame, 20 streams, a frame every 25 ms", "80 us", "small", Script(80, pause=0.025), 20, 20,
        _cpu_a_frame),
    Row("small", "CPU per request, 1 KB body, 10 frames", "0.5 ms", "small", Script(10), 4, 240, _cpu_a_request),
    Row("large", "CPU per request, 150 KB body (20 tools, 60 messages), 10 frames", "3 ms", "large", Script(10), 4, 80,
        _cpu_a_request),
    Row("tools", "CPU per request, 20 text frames and 40 tool parts", "1 ms", "small", Script(20, 40), 4, 120,
        _cpu_a_request),
    Row("first", "first event, one client, 1 KB body", "1.9 ms (direct 1.3)", "small", Script(10), 1, 80, _first),
    Row("first150", "first event, one client, 150 KB body", "4.0 ms (direct 1.5)", "large", Script(10), 1, 50, _first),
)
HELD: Final = (
    Row("held2000", "2,000 held streams, a frame every 200 ms: finished, lag p99, memory", "all, 50 ms, 110 MB",
        "small", Script(30, pause=0.2), 2000, 2000, _held, ramp=4.0, deadline=40),
    Row("held500", "500 held streams, a frame every 50 ms: finished, lag p99, memory", "all, 5 ms",
        "small", Script(60, pause=0.05), 500, 500, _held, ramp=1.5, deadline=30),
)
TWO: Final = replace(HELD[0], key="held2000x2", title="the same 2,000, two workers", want="all, 15 ms, 110 MB a worker",
                     workers=2)
WARM: Final = LOADS[2]  # what a contender is asked before it holds streams
KEYS: Final = tuple(row.key for row in (*LOADS, HELD[0], TWO, HELD[1]))
