"""`keys`: clients' named keys, with what each may use. Works on the store; gateways hear of it in a second or two."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from kirogw.budgets import said, spent
from kirogw.commands.tables import cell, complain, print_json, table, when
from kirogw.logins.named import NO_LIMITS, OVERLAP, Limits, Record, Register, Terms, WrongTerms
from kirogw.settings import load
from kirogw.store import Conflict, Store, open_store
from kirogw.wire import Json

SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
SECONDS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kM]?)")
SCALES: Final = {"": 1, "k": 1000, "M": 1_000_000}
EVENTS: Final = "events"
DONE: Final = {"add": "key added", "set": "key changed", "rotate": "key rotated", "revoke": "key revoked"}
RULES: Final = ("aliases", "fallbacks")
COLUMNS: Final = {"name": "KEY", "state": "STATE", "scopes": "SCOPES", "models": "MODELS", "accounts": "ACCOUNTS",
                  "limits": "LIMITS", "day": "TODAY", "month": "THIS MONTH", "expires": "EXPIRES",
                  "note": "NOTE"}  # fmt: skip
LIMITS: Final[dict[str, tuple[str, str]]] = {
    # the member of Limits -> the option, and how it is said
    "minute": ("--rpm", "requests a minute"),
    "concurrent": ("--concurrent", "requests at once"),
    "day_tokens": ("--daily-tokens", "tokens a day (UTC)"),
    "day_credits": ("--daily-credits", "credits a day (UTC)"),
    "month_tokens": ("--monthly-tokens", "tokens a month (UTC)"),
    "month_credits": ("--monthly-credits", "credits a month (UTC)"),
}


def run(words: Sequence[str]) -> int:
    args = form().parse_args(words)
    try:
        with contextlib.closing(open_store(load())) as store:
            ACTS[args.act](Register(store), args, store)
            if args.act in DONE:
                store.append(EVENTS, [{"at": time.time(), "did": DONE[args.act], "key": args.name}])
        return 0
    except Conflict:
        complain("somebody else changed this key at the same moment; look at it and try again")
    except WrongTerms as error:
        complain(error)
    return 1


def form() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("kirogw.py keys", description="Named API keys: whom they let in, to what, how much.")
    acts = top.add_subparsers(dest="act", required=True, metavar="add|list|show|set|rotate|revoke")
    add = _act(acts, "add", "make a key, and print it once")
    set_ = _act(acts, "set", "change what a key may; what is not named stays")
    for act in (add, set_):
        _terms_form(act)
    _act(acts, "list", "all keys, and what they have used", of_one=False).add_argument(
        "--all", action="store_true", help="those that were revoked too"
    )
    _act(acts, "show", "one key")
    _act(acts, "revoke", "a key opens nothing any more; at once, in all processes")
    _act(acts, "rotate", "another secret for the same key, printed once").add_argument(
        "--overlap", type=_span, default=OVERLAP, metavar="TIME", help="the old one works so long (24h); 0s: not at all"
    )
    return top


def _act(acts: Any, name: str, text: str, *, of_one: bool = True) -> argparse.ArgumentParser:
    act: argparse.ArgumentParser = acts.add_parser(name, help=text, description=text.capitalize() + ".")
    if of_one:
        act.add_argument("name", help="letters, digits, dot, dash and underscore")
    act.add_argument("--json", action="store_true", help="print JSON")
    return act


def _terms_form(act: argparse.ArgumentParser) -> None:
    act.add_argument("--models", type=_list, metavar="A,B*", help="models it may use, `*` for any letters; empty: all")
    act.add_argument("--accounts", type=_list, metavar="A,B", help="accounts by id or label; empty: all")
    act.add_argument("--alias", dest="aliases", action="append", type=_list, metavar="NAME=MODEL",
                     help="its own name for a model, `*` at its end for any letters; may be given again; empty: none")
    act.add_argument("--fallback", dest="fallbacks", action="append", type=_list, metavar="MODEL=NEXT>NEXT",
                     help="what it gets when no account can serve a model; may be given again; empty: none")
    act.add_argument("--scopes", type=_list, metavar="api,admin", help="what it opens: the APIs (api), /api/ (admin)")
    act.add_argument("--expires", dest="expires_at", type=_moment, metavar="WHEN",
                     help="2026-12-31 (its last day, UTC), 2026-12-31T12:00Z, 30d from now, or never")  # fmt: skip
    act.add_argument("--note", help="whose it is, what for")
    for name, (option, text) in LIMITS.items():
        kind: Callable[[str], float] = _credits if name.endswith("credits") else _count
        act.add_argument(option, dest=name, type=kind, metavar="N", help=f"{text}; 0: no limit")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _span(text: str) -> float:
    found = SPAN.fullmatch(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90min, 24h or 30d")
    return float(found[1]) * SECONDS[found[2]]


def _credits(text: str) -> float:
    found = NUMBER.fullmatch(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: write 500, 20k or 1.5M")
    return float(found[1]) * SCALES[found[2]]


def _count(text: str) -> int:
    return round(_credits(text))


def _moment(text: str) -> float:
    """Epoch seconds; infinity for never."""
    text = text.strip()
    if text.lower() == "never":
        return float("inf")
    if SPAN.fullmatch(text):
        return time.time() + _span(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-12-31, 30d or never") from None
    last_day = 86400.0 if re.fullmatch(r"[\d-]+", text) else 0.0
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp() + last_day


def _terms(args: argparse.Namespace, before: Terms) -> dict[str, Any]:
    """The members of Terms that were named."""
    given = vars(args)
    terms = {name: given[name] for name in ("models", "accounts", "scopes", "note") if given[name] is not None}
    if args.expires_at is not None:
        terms["expires_at"] = None if args.expires_at == float("inf") else args.expires_at
    rules = {name: tuple(rule for rules in given[name] for rule in rules) for name in RULES if given[name] is not None}
    terms.update(rules)
    limits = {name: given[name] for name in LIMITS if given[name] is not None}
    if limits:
        terms["limits"] = replace(before.limits, **limits)
    return terms


def _add(register: Register, args: argparse.Namespace, store: Store) -> None:
    terms = Terms(**_terms(args, Terms(limits=NO_LIMITS)))
    _print_new(*register.add(args.name, terms), args, "this is its secret, shown this once")


def _rotate(register: Register, args: argparse.Namespace, store: Store) -> None:
    key, record = register.rotate(args.name, args.overlap)
    ends = when(time.time() + args.overlap) if args.overlap else "now"
    _print_new(key, record, args, f"this is its new secret, shown this once; the old one ends {ends}")


def _print_new(key: str, record: Record, args: argparse.Namespace, words: str) -> None:
    """The key alone stands on standard output, so that a script can take it."""
    if args.json:
        print_json({"key": key, "record": record.described(time.time())})
    else:
        print(f"kirogw: the key {record.name!r}; {words}:", file=sys.stderr)
        print(key)


def _list_all(register: Register, args: argparse.Namespace, store: Store) -> None:
    now = time.time()
    rows = [_described(one, store, now) for one in register.all() if args.all or one.state(now) != "revoked"]
    if args.json:
        print_json({"keys": rows})
    elif rows:
        print(table(list(map(_row, rows)), COLUMNS))
    else:
        print("There are no named keys. `kirogw.py keys add NAME` makes one; `kirogw.py key` prints the main key.")


def _show(register: Register, args: argparse.Namespace, store: Store) -> None:
    _print(register.find(args.name), args, store)


def _set(register: Register, args: argparse.Namespace, store: Store) -> None:
    terms = _terms(args, register.find(args.name).terms)
    if not terms:
        raise WrongTerms("nothing to change was named; `kirogw.py keys set --help` lists what there is")
    _print(register.change(args.name, **terms), args, store)


def _revoke(register: Register, args: argparse.Namespace, store: Store) -> None:
    _print(register.revoke(args.name), args, store)


def _print(record: Record, args: argparse.Namespace, store: Store) -> None:
    described = _described(record, store, time.time())
    if args.json:
        print_json(described)
        return
    row = _row(described)
    secrets = (f"{one['hint']}{', ends ' + when(one['until']) if one['until'] else ''}" for one in described["secrets"])
    rules = {name.upper(): ", ".join(described[name]) for name in RULES if described[name]}
    lines = {**{heading: row[name] for name, heading in COLUMNS.items()}, **rules, "SECRETS": "; ".join(secrets)}
    for heading, value in lines.items():
        print(f"{heading.lower():<12}{cell(value)}")


def _described(record: Record, store: Store, now: float) -> Json:
    return {**record.described(now), "used": spent(store, record.id, now)}


def _row(described: Json) -> Json:
    used, limits = described["used"], Limits(**described["limits"])
    return {
        **described, "scopes": ",".join(described["scopes"]), "models": ",".join(described["models"]) or "all",
        "accounts": ",".join(described["accounts"]) or "all", "expires": when(described["expires_at"]) or "never",
        "limits": _limits(limits) or "none",
        "day": _used(used["day"], limits.day_tokens, limits.day_credits),
        "month": _used(used["month"], limits.month_tokens, limits.month_credits),
    }  # fmt: skip


def _limits(limits: Limits) -> str:
    """Those that are not budgets; a budget stands beside what is used of it."""
    return ", ".join(f"{amount} {text}" for name in ("minute", "concurrent")
                     if (amount := getattr(limits, name)) and (text := LIMITS[name][1]))  # fmt: skip


def _used(used: Mapping[str, float], tokens: float, credits: float) -> str:
    pairs = ((used["tokens"], tokens, "tokens"), (used["credits"], credits, "credits"))
    return ", ".join(f"{said(n)}{f' of {said(limit)}' if limit else ''} {unit}" for n, limit, unit in pairs)


ACTS: Final[dict[str, Callable[[Register, argparse.Namespace, Store], None]]] = {
    "add": _add, "list": _list_all, "show": _show, "set": _set, "rotate": _rotate, "revoke": _revoke,
}  # fmt: skip
