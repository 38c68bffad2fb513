"""`backup`: everything the gateway keeps, in one file."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kirogw.commands.opened import opened
from kirogw.commands.tables import complain, print_json
from kirogw.errors import GatewayError
from kirogw.logins import files
from kirogw.settings import load


def run(words: Sequence[str]) -> int:
    form = argparse.ArgumentParser("kirogw.py backup", description="Write all that the gateway keeps to one file.")
    form.add_argument("file", nargs="?", default=time.strftime("kirogw-backup-%Y%m%d-%H%M%S.json"), help="where to")
    form.add_argument("--plain", action="store_true", help="do not encrypt it: whoever reads it has the accounts")
    form.add_argument("--passphrase-file", default="", help="its first line; without: it is asked for")
    form.add_argument("--json", action="store_true", help="print JSON")
    args = form.parse_args(words)
    path = Path(args.file).expanduser()
    try:
        chosen = "" if args.plain else new_phrase(args.passphrase_file)
        with opened(load()) as desk:
            data = desk.backup(chosen)
        files.replace(path, data)
    except OSError as error:
        complain(f"{path} can not be written: {error.strerror}")
        return 1
    if args.json:
        print_json({"file": str(path), "bytes": len(data), "encrypted": bool(chosen)})
    else:
        print(f"{path}: {len(data):,} bytes, " + ("encrypted" if chosen else "with all secrets in the clear"))
    return 0


def phrase(path: str) -> str:
    """The first line of the file, or asked for where there is a terminal; "" for none. Raises GatewayError."""
    if not path:
        return getpass.getpass("pass phrase: ") if sys.stdin.isatty() else ""
    try:
        return (Path(path).expanduser().read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as error:
        raise GatewayError(f"{path} can not be read ({type(error).__name__})") from None


def new_phrase(path: str) -> str:
    """One that is asked for is asked for twice. Raises GatewayError where there is none."""
    first = phrase(path)
    if not first:
        raise GatewayError("a pass phrase is needed: --passphrase-file FILE, or --plain to write secrets in the clear")
    if not path and getpass.getpass("once more: ") != first:
        raise GatewayError("the two pass phrases differ; nothing was written")
    return first
