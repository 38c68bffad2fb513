"""`restore`: put a backup in the place of everything the gateway keeps."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from kirogw.backup import WrongBackup
from kirogw.commands.backup import phrase
from kirogw.commands.opened import opened
from kirogw.commands.tables import print_json
from kirogw.settings import load
from kirogw.wire import Json


def run(words: Sequence[str]) -> int:
    form = argparse.ArgumentParser(
        "kirogw.py restore", description="Replace all accounts, keys and figures by those of a backup. A gateway that"
        " runs goes on with them; its main key and the owner's count from its next start.",
    )  # fmt: skip
    form.add_argument("file", help="as `kirogw.py backup` wrote it; - for the input")
    form.add_argument("--dry-run", action="store_true", help="only look whether it is good, and what is in it")
    form.add_argument("--yes", action="store_true", help="do not ask")
    form.add_argument("--passphrase-file", default="", help="its first line; without: it is asked for")
    form.add_argument("--json", action="store_true", help="print JSON")
    args = form.parse_args(words)
    found = _restored(args)
    if args.json:
        print_json(found)
    else:
        _print(found)
    return 0


def _restored(args: argparse.Namespace) -> Json:
    try:
        data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).expanduser().read_bytes()
    except OSError as error:
        raise WrongBackup(f"{args.file} can not be read: {error.strerror}") from None
    chosen = phrase(args.passphrase_file) if _encrypted(data) else ""
    with opened(load()) as desk:
        found = desk.restore(data, chosen, dry_run=True)
        if args.dry_run:
            return found
        lost = f" The logins of {', '.join(found['gone'])} are not in the file, and go." if found["gone"] else ""
        if not (args.yes or _agreed(f"Everything in {desk.store.place} is replaced.{lost} Go on? [y/N] ")):
            raise WrongBackup("nothing was changed; say --yes to go on without a question")
        return desk.restore(data, chosen)


def _encrypted(data: bytes) -> bool:
    try:
        return bool(orjson.loads(data)["encrypted"])
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return False


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _print(found: Json) -> None:
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found["made_at"]))
    counts = ", ".join(f"{count} {kind}" for kind, count in found["documents"].items())
    print(f"a backup of {made}: {counts or 'no documents'}; files: {', '.join(found['files']) or 'none'}")
    if found["newer"]:
        print(f"newer here, and left as they are: {', '.join(found['newer'])}")
    if found["gone"]:
        print(f"not in the file, and so gone: {', '.join(found['gone'])}")
    print("nothing was changed" if found["dry_run"] else "it is in force now")
