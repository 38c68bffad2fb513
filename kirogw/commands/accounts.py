"""`accounts`: what there is, how it is, and what its owner sets. Works on the store; no gateway needs to run."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from kirogw.commands.left import UNKNOWN, credits, left, windows
from kirogw.commands.opened import opened
from kirogw.commands.tables import NO_ACCOUNT, complain, print_json, table, when
from kirogw.desk import Desk
from kirogw.errors import BadRequest, GatewayError
from kirogw.logins import files, imports
from kirogw.settings import load
from kirogw.wire import Json

FAILED: Final = 1  # exit code when it did not work, or an account is not well
COLUMNS: Final = {
    "id": "ID", "label": "LABEL", "provider": "PROVIDER", "name": "WHOSE", "plan": "PLAN", "state": "STATE",
    "until": "UNTIL", "left": "LEFT", "in_flight": "NOW", "weight": "WEIGHT", "limit": "LIMIT", "reason": "WHY",
}  # fmt: skip


def run(words: Sequence[str]) -> int:
    args = form().parse_args(words)
    with opened(load()) as desk:
        return ACTS[args.act](desk, args)


def form() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("kirogw.py accounts", description="The accounts of this installation.")
    acts = top.add_subparsers(dest="act", required=True, metavar="ACT")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")

    def act(name: str, text: str, *more: tuple[str, Mapping[str, Any]]) -> None:
        one = acts.add_parser(name, help=text, description=text, parents=[common])
        for flag, how in more:
            one.add_argument(flag, **how)

    account = ("account", {"help": "its id, or a label that only it has"})
    several = ("accounts", {"nargs": "*", "help": "ids or labels; without any: all"})
    these = ("accounts", {"nargs": "+", "help": "ids, or labels that only they have"})
    label = ("--label", {"default": "", "help": "a name for it"})
    act("list", "all accounts in a table")
    act("show", "all that is known of one", account)
    act("add", "bring in a refresh token or an API key: it is asked for, or read from the input", label)
    act("import", "bring in the logins of a file", ("file", {"help": "- for the input"}), label,
        ("--dry-run", {"action": "store_true", "help": "only say what is in it"}))  # fmt: skip
    act("export", "write logins with their secrets", several, ("--output", {"help": "file (0600); without it: print"}))
    act("remove", "remove accounts", these)
    act("enable", "let them serve", these)
    act("disable", "let them not serve", these)
    act("rename", "give it a name", account, ("label", {"help": "the name; \"\" for none"}))
    act("weight", "its part under SCHEDULING_MODE=weighted", account, ("weight", {"type": float}))
    act("limit", "its answers at once", account,
        ("limit", {"help": "a number; 0: no limit; default: as the settings say"}))  # fmt: skip
    act("refresh", "renew their tokens and ask what they have left", these)
    act("test", "ask the upstream whether it works; costs nothing", several)
    act("clear", "end their rests", these, ("--model", {"help": "only those for this model"}))
    return top


# what is shown


def _list(desk: Desk, args: argparse.Namespace) -> int:
    rows = desk.accounts()
    if args.json:
        print_json({"accounts": rows})
    elif rows:
        print(table([_line(row) for row in rows], COLUMNS))
    else:
        print(NO_ACCOUNT)
    return 0


def _line(row: Json) -> Json:
    wrong = row["login"]["state"] != "ready"
    return {**row, "until": when(row["until"]), "left": left(row["quota"]),
            "reason": row["login"]["reason"] if wrong else row["evidence"] or row["reason"]}  # fmt: skip


def _show(desk: Desk, args: argparse.Namespace) -> int:
    row = desk.account(args.account)
    if args.json:
        print_json(row)
    else:
        _print_account(row)
    return 0


def _print_account(row: Json) -> None:
    login, quota = row["login"], row["quota"] or {}
    pairs = {
        "id": row["id"], "label": row["label"], "whose": row["name"], "provider": row["provider"],
        "login": row["source"], "enabled": row["enabled"], "weight": row["weight"],
        "limit": "as the settings say" if row["limit"] is None else row["limit"] or "none",
        "state": row["state"], "since": when(row["since"]), "until": when(row["until"]), "why": row["reason"],
        "evidence": row["evidence"], "upstream's request": row["upstream_request"], "failures": row["failures"],
        "token": f"{login['state']}{_ends(login)}", "token's trouble": login["reason"],
        "answers now": row["in_flight"], "last used": when(row["last_used"]), "plan": row["plan"],
        "left": UNKNOWN if left(row["quota"]) == UNKNOWN else "", "credits left": credits(quota),
        **dict(windows(quota)), "plan resets": when(quota.get("resets_at")) if credits(quota) else "",
        "pace": (quota.get("pace") or {}).get("says"), "told": when(quota.get("asked_at")),
        "not told": quota.get("error"),
    }  # fmt: skip
    rows = [{"name": name, "value": value} for name, value in pairs.items() if value not in (None, "", 0)]
    print(table(rows, {"name": "", "value": ""}).lstrip("\n"))
    for mark in row["models"]:
        print(f"for {mark['model']}: {mark['state']}, {when(mark['until'])}: {mark['evidence'] or mark['reason']}")


def _ends(login: Json) -> str:
    return f"; the access token ends {when(login['expires_at'])}" if login["expires_at"] else ""


# what is changed


def _add(desk: Desk, args: argparse.Namespace) -> int:
    text = getpass.getpass("refresh token or API key: ") if sys.stdin.isatty() else _given()
    return _brought_in(desk, imports.read(text), args)


def _import(desk: Desk, args: argparse.Namespace) -> int:
    rows = imports.read(_given()) if args.file == "-" else imports.read_file(Path(args.file).expanduser())
    return _brought_in(desk, rows, args)


def _given() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise BadRequest("the input is not text in UTF-8") from None


def _brought_in(desk: Desk, rows: Sequence[imports.Row], args: argparse.Namespace) -> int:
    dry = getattr(args, "dry_run", False)
    found = desk.add(rows, args.label, dry_run=dry)
    if args.json:
        print_json(found)
    else:
        for one in found["accounts"]:
            what = "would be brought in" if dry else "is new" if one["new"] else "was here already"
            print(f"{one['id'] or one['where'] or '-'}  {one['name']}  {what}")
        for setting in found["settings"]:
            print(f"not taken over, set it yourself: {setting['name']}={setting['value'] or '(a secret)'}")
        for problem in found["problems"]:
            complain(problem)
    return 0 if found["accounts"] and not found["problems"] else FAILED


def _export(desk: Desk, args: argparse.Namespace) -> int:
    data = orjson.dumps(desk.export(args.accounts or None), option=orjson.OPT_INDENT_2)
    if not args.output:
        print(data.decode())
        return 0
    try:
        files.replace(Path(args.output).expanduser(), data)
    except OSError as error:
        raise BadRequest(f"{args.output} can not be written ({error.strerror}); is its folder there?") from None
    print(f"{args.output}: it holds secrets, whoever reads it has the accounts", file=sys.stderr)
    return 0


def _each(act: Callable[[Desk, str, argparse.Namespace], None]) -> Callable[[Desk, argparse.Namespace], int]:
    """`act` with the id of each account that is meant, then how they stand. One that does not work does not keep out
    the others.
    """

    def acted(desk: Desk, args: argparse.Namespace) -> int:
        ids = [desk.find(name) for name in getattr(args, "accounts", None) or [args.account]]
        failed = set()
        for id in ids:
            try:
                act(desk, id, args)
            except GatewayError as error:
                failed.add(id)
                complain(f"{id}: {error}")
        rows = [row for row in desk.accounts() if row["id"] in ids and row["id"] not in failed]
        if args.json:
            print_json(rows[0] if hasattr(args, "account") and rows else {"accounts": rows})
        elif rows:
            print(table([_line(row) for row in rows], COLUMNS))
        return FAILED if failed else 0

    return acted


def _change(**members: Any) -> Callable[[Desk, argparse.Namespace], int]:
    """What is given changes; what is callable is asked for its value."""

    def changed(desk: Desk, id: str, args: argparse.Namespace) -> None:
        desk.change(id, {name: value(args) if callable(value) else value for name, value in members.items()})

    return _each(changed)


def _limit(args: argparse.Namespace) -> int | None:
    if args.limit == "default":
        return None
    if not args.limit.isascii() or not args.limit.isdigit():
        form().error("a limit is a whole number, or default")
    return int(args.limit)


def _remove(desk: Desk, id: str, args: argparse.Namespace) -> None:
    desk.remove(id)
    if not args.json:
        print(f"{id} is removed")


def _refresh(desk: Desk, id: str, args: argparse.Namespace) -> None:
    desk.refresh(id)
    desk.ask_quota(id)


def _clear(desk: Desk, id: str, args: argparse.Namespace) -> None:
    desk.clear(id, args.model)


def _test(desk: Desk, args: argparse.Namespace) -> int:
    found = [desk.test(name) for name in args.accounts or [row["id"] for row in desk.accounts()]]
    if args.json:
        print_json({"accounts": found})
    else:
        rows = [{**one, "what": "works" if one["ok"] else one["steps"][-1]["step"],
                 "message": one["steps"][-1]["message"]} for one in found]  # fmt: skip
        print(table(rows, {"id": "ID", "what": "FOUND", "ms": "MS", "message": "SAID"}))
    return 0 if found and all(one["ok"] for one in found) else FAILED


ACTS: Final[dict[str, Callable[[Desk, argparse.Namespace], int]]] = {
    "list": _list, "show": _show, "add": _add, "import": _import, "export": _export, "remove": _each(_remove),
    "enable": _change(enabled=True), "disable": _change(enabled=False),
    "rename": _change(label=lambda args: args.label), "weight": _change(weight=lambda args: args.weight),
    "limit": _change(limit=_limit), "refresh": _each(_refresh), "test": _test, "clear": _each(_clear),
}  # fmt: skip
