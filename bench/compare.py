#!/usr/bin/env python3
"""What a change costs: the CPU per request of this checkout beside that of an older commit, in many short turns.

    .venv/bin/python bench/compare.py [--commit 5259cf5] [--turns 40] [--row small] [--accounts 1,8]

Both gateways run all the time, with one worker each, and are asked in turns, so that whatever else the machine does
falls upon both. A line has the median of all turns of each and that of their quotients turn by turn, with the middle
half of them; then the same of the quietest tenth of the turns of each, since what others do on the machine only ever
makes a turn dearer. 5259cf5 is the last commit before there was a pool of accounts with shared state.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import contenders
import procs
import rows
from contenders import OUT, ROOT, Contender, Running
from run import Bench, machine


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The tree of a commit, in a folder that is gone afterwards."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory(prefix="kirogw-bench-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
        yield Path(folder)


def turns(bench: Bench, pair: list[tuple[Contender, Running]], row: rows.Row, face: str, count: int) -> list[float]:
    """CPU of the second through that of the first, turn by turn; each begins every other turn."""
    for _, at in pair:
        bench.load(at.port, row, (face,), row.requests)
    for number in range(count):
        for who, at in pair if number % 2 else pair[::-1]:
            bench.measure(who, at, row, (face,))
    old, new = (bench.outcomes[row.key, who.name, face] for who, _ in pair)
    return [b["cpu"] / a["cpu"] for a, b in zip(old, new, strict=True)]


def line(bench: Bench, pair: list[tuple[Contender, Running]], row: rows.Row, face: str, quotients: list[float]) -> str:
    spent = [[one["cpu"] / one["asked"] / 1e3 for one in bench.outcomes[row.key, who.name, face]] for who, _ in pair]
    old, new = map(median, spent)
    low, middle, high = quantiles(quotients, n=4)
    quiet, now_quiet = (quantiles(one, n=10)[0] for one in spent)
    return (f"| {old:.0f} us | {new:.0f} us | {middle - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%})"
            f" | {quiet:.0f} us | {now_quiet:.0f} us | {now_quiet / quiet - 1:+.1%} |")  # fmt: skip


def arguments(argv: list[str]) -> argparse.Namespace:
    loads = {row.key: row for row in rows.LOADS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="5259cf5")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--row", choices=loads, default="small")
    parser.add_argument("--accounts", default="1,8", help="with so many accounts each (1,8)")
    options = parser.parse_args(argv)
    options.row = loads[options.row]
    return options


def main(argv: list[str]) -> int:
    options = arguments(argv)
    OUT.mkdir(exist_ok=True)
    procs.raise_limit()
    here, faults = contenders.HERE, 0
    print(f"{options.row.title}; {options.turns} turns of {options.row.requests} requests; {machine()}\n")
    print(f"| accounts, API | {options.commit} | now | more | quiet: {options.commit} | now | more |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
    with (procs.talking(here / "upstream.py") as (_, said), procs.talking(here / "client.py") as client,
          checkout(options.commit) as older):  # fmt: skip
        port = int(said.readline())
        for accounts in map(int, options.accounts.split(",")):
            bench = Bench(port, client)
            who = [Contender(name, contenders.BOTH, partial(contenders.kirogw, accounts=accounts, root=root))
                   for name, root in ((options.commit, older), ("now", ROOT))]
            with bench.started(who[0]) as old, bench.started(who[1]) as new:
                pair = [(who[0], old), (who[1], new)]
                for one, at in pair:
                    bench.prove(one, at, [options.row])
                for face in contenders.BOTH:
                    quotients = turns(bench, pair, options.row, face, options.turns)
                    print(f"| {accounts}, {face} {line(bench, pair, options.row, face, quotients)}", flush=True)
            faults += len(bench.faults)
            print(*bench.faults, sep="\n", end="\n" if bench.faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
