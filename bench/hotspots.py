#!/usr/bin/env python3
"""Where a contender's time goes under one row of the bench: py-spy's samples as a table.

    .venv/bin/python bench/hotspots.py [--row ROW] [--face FACE] [--contender NAME] [--seconds S] [--lines] [--native]

Self: samples in the function itself; total: with what it called. Waiting is not counted.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import contenders
import procs
import rows
from contenders import OUT, Contender
from run import Bench

RATE: Final = 400  # samples a second; each stops the worker for some 50 us
WAITS: Final = ("acquire_with_timeout",)  # threads of gevent's pool without work, which py-spy takes for busy
_FRAME: Final = re.compile(r"^(?P<name>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")


def record(bench: Bench, who: Contender, row: rows.Row, face: str, options: argparse.Namespace) -> Path:
    """Keeps the row's load going while py-spy watches the only worker; returns the folded stacks."""
    stacks = OUT / f"stacks-{who.name}-{row.key}-{face}.txt"
    with bench.started(who) as at:
        assert at.pid is not None
        bench.prove(who, at, [row])
        bench.load(at.port, row, (face,), max(row.warm_up, 8))
        worker = max(set(procs.tree(at.pid)) - {at.pid})
        command = [
            str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(worker), "--rate", str(RATE),
            "--duration", str(options.seconds), "--format", "raw", "--output", str(stacks),
            *(["--native"] if options.native else []),
        ]
        spy = procs.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            while spy.poll() is None:
                bench.load(at.port, row, (face,), row.requests)
        finally:
            procs.stop(spy)
    return stacks


def _named(frame: str, lines: bool) -> str:
    """`name (file)` with the file from its package on; with the line if wanted."""
    found = _FRAME.match(frame)
    if found is None:
        return frame
    place = found["file"].rpartition("site-packages/")[2].removeprefix(f"{contenders.ROOT}/")
    return f"{found['name']} ({place}:{found['line']})" if lines else f"{found['name']} ({place})"


def table(stacks: Path, top: int, lines: bool) -> str:
    """The functions by their own share, the most expensive first."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_named(frame, lines) for frame in stack.split(";")]
        if frames[-1].startswith(WAITS):
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    samples = max(sum(own.values()), 1)
    out = [f"{samples} samples", "", "| self | total | function |", "| ---: | ---: | --- |"]
    ranked = sorted(total, key=lambda frame: (own[frame], total[frame]), reverse=True)[:top]
    out += [f"| {own[f] / samples:.1%} | {total[f] / samples:.1%} | `{f}` |" for f in ranked]
    out += ["", "| total | self | function |", "| ---: | ---: | --- |"]
    out += [f"| {count / samples:.1%} | {own[f] / samples:.1%} | `{f}` |" for f, count in total.most_common(top)]
    return "\n".join(out)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    watched = {row.key: row for row in (*rows.LOADS, *rows.HELD)}
    gateways = {who.name: who for who in contenders.CONTENDERS if "chat" in who.faces}
    parser.add_argument("--row", choices=watched, default="frames")
    parser.add_argument("--face", choices=contenders.ALL, default="messages")
    parser.add_argument("--contender", choices=gateways, default="kirogw")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--lines", action="store_true", help="tell lines apart, not only functions")
    parser.add_argument("--native", action="store_true", help="C functions too")
    options = parser.parse_args(argv)
    options.row, options.contender = watched[options.row], gateways[options.contender]
    return options


def main(argv: list[str]) -> None:
    options = arguments(argv)
    OUT.mkdir(exist_ok=True)
    procs.raise_limit()
    here = contenders.HERE
    with procs.talking(here / "upstream.py") as (_, said), procs.talking(here / "client.py") as client:
        bench = Bench(int(said.readline()), client)
        stacks = record(bench, options.contender, options.row, options.face, options)
    print(table(stacks, options.top, options.lines))


if __name__ == "__main__":
    main(sys.argv[1:])
