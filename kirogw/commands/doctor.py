"""`doctor`: what is wrong with this installation, and how to mend it; for scripts, by its exit code too."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import Final

from kirogw import log
from kirogw.commands.tables import cell, print_json
from kirogw.doctor import SECONDS, Finding, Patient, examine, worst
from kirogw.doctor.findings import fail
from kirogw.redact import clean
from kirogw.settings import WrongSetting, load
from kirogw.store import StoreFailed
from kirogw.transport import Transport

WORDS: Final = ("all is well", "something should be looked at", "something does not work")


def run(words: Sequence[str]) -> int:
    args = form().parse_args(words)
    try:
        found = _examined(args)
    except WrongSetting as error:
        found = [fail("settings", clean(str(error)), "correct it: `kirogw.py settings --markdown` lists all settings")]
    code = worst(found)
    if args.json:
        print_json({"result": WORDS[code], "exit_code": code, "findings": [_as_json(one) for one in found]})
    else:
        _print(found, code)
    return code


def form() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "kirogw.py doctor", description="Look at files, clock, network, accounts, port and service; say what to mend.",
        epilog="Exit code: 0 all is well, 1 something should be looked at, 2 something does not work.",
    )  # fmt: skip
    top.add_argument("--offline", action="store_true", help="ask nobody outside of this machine")
    top.add_argument("--timeout", type=float, default=SECONDS, metavar="SECONDS", help="for all of it (30)")
    top.add_argument("--json", action="store_true", help="print JSON")
    return top


def _examined(args: argparse.Namespace) -> list[Finding]:
    settings = load()
    log.set_up("error", settings.log_format)
    patient = Patient(settings, Transport(settings), offline=args.offline)
    try:
        return examine(patient, args.timeout)
    finally:
        if patient.store:
            with contextlib.suppress(StoreFailed):
                patient.store.close()


def _print(found: Sequence[Finding], code: int) -> None:
    width = max((len(one.check) for one in found), default=0)
    for one in found:
        print(f"{one.level:<6}{one.check:<{width}}  {cell(one.said)}")
        if one.mend:
            print(f"{'':<6}{'':<{width}}  -> {cell(one.mend)}")
    print(f"\n{WORDS[code].capitalize()}.")


def _as_json(one: Finding) -> dict[str, str]:
    return {"level": one.level, "check": one.check, "said": one.said, "mend": one.mend}
