#!/usr/bin/env python3
"""Kirogw's speed beside nginx's and a naive gateway's: one table from one run.

    make bench        or    .venv/bin/python bench/run.py [--quick] [--only ROW,..] [--skip-held] [--contenders A,B]

A fast upstream with frames encoded beforehand (upstream.py), the contenders in front of it one at a time
(contenders.py), a load client that checks each answer (client.py). Each round starts each contender anew, in another
order, and takes every row from it; a cell is the median of the rounds. CPU is the kernel's account of the contender's
whole process tree from just before the first request to just after the last answer; memory is PSS of that tree. The
table goes to standard output and, with all outcomes, to bench/out/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import check
import contenders
import procs
import rows
from contenders import OUT, Contender, Running
from rows import Outcome, Row

ROUNDS: Final = 5
QUICK: Final = 2
TITLES: Final = {"codex": "kirogw to Codex"}


class Bench:
    """The upstream and the load client, and all outcomes so far by (row, contender, face)."""

    def __init__(self, upstream: int, client: tuple[IO[str], IO[str]]) -> None:
        self.upstream = upstream
        self.outcomes: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
        self.faults: dict[str, int] = defaultdict(int)
        self._jobs, self._answers = client
        self._serial = 0
        self._checked: set[tuple[str, str]] = set()

    def load(self, port: int, row: Row, faces: tuple[str, ...], requests: int) -> dict[str, Outcome]:
        job = {
            "port": port, "faces": faces, "size": row.size, "script": asdict(row.script), "requests": requests,
            "lanes": min(row.lanes, requests), "ramp": row.ramp, "deadline": row.deadline, "serial": self._serial,
        }
        self._serial += requests
        print(json.dumps(job), file=self._jobs, flush=True)
        said = self._answers.readline()
        if not said:
            raise SystemExit("the load client has ended; what it said stands above")
        outcome: dict[str, Outcome] = json.loads(said)
        return outcome

    def measure(self, who: Contender, at: Running, row: Row, faces: tuple[str, ...]) -> None:
        """Takes one row from a running contender, over these faces at once."""
        before = procs.cpu(at.pid) if at.pid else 0
        with procs.Peak(at.pid, 0.25) as memory:
            outcome = self.load(at.port, row, faces, row.requests)
            time.sleep(0.03)  # what a server does after its last byte belongs to the request
        spent = procs.cpu(at.pid) - before if at.pid else 0
        for number, (face, one) in enumerate(outcome.items()):
            asked = len(range(number, row.requests, len(faces)))
            one.update(cpu=spent / len(faces), pss=memory.bytes, asked=asked)
            self.outcomes[row.key, who.name, face].append(one)
            for reason, count in one["wrong"].items():
                self.faults[f"{who.name}, {face}, {row.key}: {reason}"] += count

    def prove(self, who: Contender, at: Running, wanted: Iterable[Row]) -> None:
        """Compares a whole answer of each kind with its script, once a run. Raises check.WrongAnswer."""
        for row in wanted:
            if (who.name, row.key) not in self._checked:
                for face in who.faces:
                    check.check(at.port, face, row.size, row.script)
                self._checked.add((who.name, row.key))

    @contextmanager
    def blamed(self, who: Contender) -> Iterator[None]:
        """A contender that does not start or answers wrongly is named below the table; the others go on."""
        try:
            yield
        except (check.WrongAnswer, RuntimeError, OSError, ValueError, LookupError) as error:
            self.faults[f"{who.name}: {type(error).__name__}: {error}"] += 1

    @contextmanager
    def started(self, who: Contender) -> Iterator[Running]:
        with tempfile.TemporaryDirectory(prefix="kirogw-bench-") as home, who.start(self.upstream, Path(home)) as at:
            yield at

    def take_loads(self, who: Contender, wanted: list[Row]) -> None:
        with self.blamed(who), self.started(who) as at:
            self.prove(who, at, wanted)
            for row in wanted:
                for face in who.faces:
                    if row.warm_up:
                        self.load(at.port, row, (face,), row.warm_up)
                    self.measure(who, at, row, (face,))

    def take_held(self, who: Contender, row: Row) -> None:
        with self.blamed(who), self.started(who) as at:
            self.prove(who, at, [rows.WARM])
            for face in who.faces:
                self.load(at.port, rows.WARM, (face,), rows.WARM.warm_up)
            self.measure(who, at, row, who.faces)


def rounds(bench: Bench, chosen: list[Contender], wanted: set[str], count: int) -> None:
    """All rows from all contenders, `count` times, each time beginning with another contender."""
    loads = [row for row in rows.LOADS if row.key in wanted]
    held = [(who, row) for row in rows.HELD if row.key in wanted for who in chosen]
    if rows.TWO.key in wanted and any(who.name == "kirogw" for who in chosen):
        held.append((contenders.TWO_WORKERS, rows.TWO))
    for number in range(count):
        print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
        for who in _rotated(chosen, number) if loads else ():
            bench.take_loads(who, loads)
        for who, row in _rotated(held, number):
            bench.take_held(who, row)


def _rotated(items: list[Any], by: int) -> list[Any]:
    by %= max(len(items), 1)
    return items[by:] + items[:by]


def table(bench: Bench, chosen: list[Contender]) -> str:
    """Markdown: a column for each contender and face, a row for each that was taken."""
    columns = [(who.name, face) for who in chosen for face in who.faces]
    named = [name if face == "kiro" else f"{TITLES.get(name, name)}, {face}" for name, face in columns]
    titles = ["one worker each", *named, "we want"]
    cells = [[row.title, *(_cell(bench, row, *column) for column in columns), row.want] for row in rows.LOADS]
    cells.append([rows.PEAK_TITLE, *(_peak(bench, *column) for column in columns), rows.PEAK_WANT])
    for row in (rows.HELD[0], rows.TWO, rows.HELD[1]):
        cells.append([row.title, *(_cell(bench, row, *column) for column in columns), row.want])
    taken = [line for line in cells if any(line[1:-1])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (titles, ["---"] * len(titles), *taken))


def _cell(bench: Bench, row: Row, name: str, face: str) -> str:
    if row is rows.TWO:
        name = contenders.TWO_WORKERS.name if name == "kirogw" else ""
    outcomes = bench.outcomes.get((row.key, name, face))
    return row.say(row, outcomes) if outcomes else ""


def _peak(bench: Bench, name: str, face: str) -> str:
    """By round, the most over all load rows of that face."""
    runs = [bench.outcomes.get((row.key, name, face), []) for row in rows.LOADS]
    return rows.peak([max(taken, key=lambda one: one["pss"]) for taken in zip(*filter(None, runs), strict=False)])


def machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, load {load}"


def keep(bench: Bench, text: str) -> None:
    """Everything under bench/out/, by the time of the run."""
    stem = time.strftime("%Y%m%d-%H%M%S")
    (OUT / f"{stem}.md").write_text(text + "\n")
    found = [{"row": row, "who": who, "face": face, "rounds": taken}
             for (row, who, face), taken in bench.outcomes.items()]
    (OUT / f"{stem}.json").write_text(json.dumps(found, indent=1))


def arguments(argv: list[str]) -> argparse.Namespace:
    names = ",".join(who.name for who in contenders.CONTENDERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each row is taken ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds")
    parser.add_argument("--only", help=f"these rows: {','.join(rows.KEYS)}")
    parser.add_argument("--skip-held", action="store_true", help="no rows with held streams")
    parser.add_argument("--contenders", default=names, help=f"these of {names}")
    return parser.parse_args(argv)


def rows_wanted(args: argparse.Namespace) -> set[str]:
    wanted = set(args.only.split(",")) if args.only else set(rows.KEYS)
    if unknown := wanted - set(rows.KEYS):
        sys.exit(f"--only: no such row: {', '.join(sorted(unknown))}; there are {', '.join(rows.KEYS)}")
    return {key for key in wanted if not (args.skip_held and key.startswith("held"))}


def main(argv: list[str]) -> int:
    args = arguments(argv)
    wanted = rows_wanted(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that what was started is stopped
    OUT.mkdir(exist_ok=True)
    procs.raise_limit()
    chosen, notes = contenders.available(args.contenders.split(","))
    count = QUICK if args.quick else args.rounds
    begun = time.monotonic()
    here = contenders.HERE
    with procs.talking(here / "upstream.py") as (_, said), procs.talking(here / "client.py") as client:
        bench = Bench(int(said.readline()), client)
        about = machine()
        rounds(bench, chosen, wanted, count)
    notes += [f"{fault} ({times})" for fault, times in bench.faults.items()]
    facts = f"Medians of {count} rounds in {time.monotonic() - begun:.0f} s; {about}."
    text = "\n".join([table(bench, chosen), "", facts, *notes])
    print(text)
    keep(bench, text)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
