"""Either twin as a program of its own."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from kirogw.twin.codex import CodexTwin
from kirogw.twin.codex import accounts as codex_accounts
from kirogw.twin.kiro import accounts
from kirogw.twin.kiro.upstream import Twin


def main(argv: Sequence[str] | None = None) -> int:
    """Run until interrupted; prints one line with the URL and a token that works."""
    given = _parser().parse_args(argv)
    make: type[Twin] | type[CodexTwin] = CodexTwin if given.codex else Twin
    twin = make(host=given.host, port=given.port, accounts=given.accounts and given.accounts.split(","),
                script=given.script, rotation=given.rotation, pace=given.pace, open=given.open,
                keep=given.keep)  # fmt: skip
    with twin:
        print("twin", twin.url, twin.secrets(), flush=True)
        try:
            while not given.until_eof or sys.stdin.read(1):
                time.sleep(0 if given.until_eof else 3600)
        except KeyboardInterrupt:
            pass
    return 0


def _parser() -> argparse.ArgumentParser:
    kinds = f"{', '.join(accounts.KINDS)}; with --codex of {', '.join(codex_accounts.KINDS)}"
    about = "Run kirogw's own simulator of Kiro or ChatGPT."
    parser = argparse.ArgumentParser(prog="kirogw.py twin", description=about)
    parser.add_argument("--codex", action="store_true", help="play ChatGPT (Codex) instead of Kiro")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any that is free")
    parser.add_argument("--script", metavar="FILE", help="a script in JSON, or 'agent' for the built-in agent's loop")
    parser.add_argument("--accounts", metavar="KINDS", help=f"comma separated, of {kinds}")
    parser.add_argument("--rotation", default="strict", choices=("strict", "grace", "none"))
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between two pieces of a text")
    parser.add_argument("--keep", type=int, default=10, help="requests that GET /_twin/state shows whole")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends")
    parser.add_argument("--open", action="store_true", help="take any bearer token")
    return parser
