"""`status`: how it all stands, read from the store; no gateway needs to run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from kirogw.commands.left import left
from kirogw.commands.opened import opened
from kirogw.commands.tables import NO_ACCOUNT, print_json, table, when
from kirogw.settings import load
from kirogw.wire import Json

COLUMNS: Final = {
    "id": "ID", "label": "LABEL", "provider": "PROVIDER", "name": "WHOSE", "plan": "PLAN", "state": "STATE",
    "until": "UNTIL", "left": "LEFT", "in_flight": "NOW", "last": "LAST USED", "reason": "WHY",
}  # fmt: skip


def run(words: Sequence[str]) -> int:
    """0 when an account can serve, else 1."""
    form = argparse.ArgumentParser("kirogw.py status", description="How accounts and gateways stand, and today's use.")
    form.add_argument("--json", action="store_true", help="print JSON")
    args = form.parse_args(words)
    with opened(load()) as desk:
        found = {**desk.everything(), **desk.status(), "today": desk.stats(days=1)["today"]}
    if args.json:
        print_json(found)
    else:
        _print(found)
    return 0 if found["healthy"] else 1


def _print(found: Json) -> None:
    today = found["today"]
    print(f"{found['healthy']} of {found['total']} accounts can serve; mode {found['mode']}")
    print(f"{found['in_flight']} answers on their way; processes: {len(found['processes'])}; state in {found['store']}")
    tokens, credits = today["tokens"], today["credits"]["value"]
    print(f"today (UTC): {today['requests']} requests, {tokens['input']['total']:,} tokens in,"
          f" {tokens['output']['total']:,} out, {credits:g} credits")  # fmt: skip
    if found["accounts"]:
        print("\n" + table([_line(row) for row in found["accounts"]], COLUMNS))
    else:
        print(NO_ACCOUNT)


def _line(row: Json) -> Json:
    return {**row, "until": when(row["until"]), "last": when(row["last_used"]), "left": left(row["quota"])}
