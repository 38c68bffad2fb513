"""`secret`: the key that seals secrets at rest. Works on the store; running gateways find the new key by themselves."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from kirogw.commands.tables import complain, print_json
from kirogw.logins import files
from kirogw.logins.sealed import Safe, Unsealable, mark_of, new_key
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.wire import Json


def run(words: Sequence[str]) -> int:
    """0 when it is done and everything sealed can be opened."""
    form = argparse.ArgumentParser("kirogw.py secret", description=(__doc__ or "").partition(": ")[2])
    what = form.add_mutually_exclusive_group(required=True)
    what.add_argument("--new", action="store_true", help="print a new key, for KIROGW_SECRET_KEY; changes nothing")
    what.add_argument("--show-place", action="store_true", help="where the key lies, and whether it opens everything")
    what.add_argument("--show", action="store_true", help="print the key itself, to take it to another machine")
    what.add_argument("--rotate", action="store_true", help="seal everything with a new key; the old one still opens")
    what.add_argument("--forget", action="store_true", help="drop the old keys, once all gateways run with the new one")
    form.add_argument("--json", action="store_true", help="print JSON")
    args = form.parse_args(words)
    if args.new:
        return _say({"key": new_key()}, "{key}", args.json)
    task, text = next(TASKS[name] for name in TASKS if getattr(args, name))
    settings = load()
    home = Path(settings.kirogw_home).expanduser()
    try:
        with closing(open_store(settings)) as store:
            found = task(Safe(settings, files.folder(home), store))
    except OSError as error:
        complain(error)
        return 1
    _say(found, text, args.json)
    return 1 if found.get("closed") else 0


def _say(found: Json, text: str, as_json: bool) -> int:
    if as_json:
        print_json(found)
    else:
        print(text.format(**found))
    return 0


def _place(safe: Safe) -> Json:
    marks, closed = [mark_of(key) for key in safe.in_use()], safe.closed()
    return {"place": safe.place().name, "keys": ", ".join(marks) or "none yet", "closed": closed,
            "problem": f"\n{closed} sealed texts can not be opened with what is here" if closed else ""}  # fmt: skip


def _show(safe: Safe) -> Json:
    keys = [base64.urlsafe_b64encode(key).decode().rstrip("=") for key in safe.in_use()]
    if not keys:
        raise Unsealable("there is no key yet: one is made when the first secret is kept")
    return {"key": ",".join(keys)}


def _rotate(safe: Safe) -> Json:
    count = safe.rotate()
    return {"sealed": count, "place": safe.place().name, "keys": mark_of(safe.in_use()[0])}


def _forget(safe: Safe) -> Json:
    return {"forgotten": safe.forget(), "place": safe.place().name}


TASKS: Final[dict[str, tuple[Callable[[Safe], Json], str]]] = {
    # what is asked for -> what is done, and how it is said
    "show_place": (_place, "secrets are sealed with a key in {place} (keys: {keys}){problem}"),
    "show": (_show, "{key}"),
    "rotate": (_rotate, "{sealed} documents were sealed anew with the key {keys} in {place}. The old key still opens"
               " what a gateway may be sealing with it just now: take it away with --forget, in a minute or later"),
    "forget": (_forget, "{forgotten} old keys were taken away from {place}"),
}  # fmt: skip

