"""Which accounts a request may use: those that its key allows, and of these the one that it names itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from kirogw.errors import BadRequest, NotAllowed
from kirogw.pool import Account

HEADER: Final = "x-kirogw-account"


def pinned(name: str, allowed: Collection[str], accounts: Iterable[Account]) -> frozenset[str] | None:
    """Ids; None for all. `name`: id or label, as in the header, "" for none; `allowed`: ids or labels, empty for all.

    Raises BadRequest for an account that is not there, NotAllowed for one that the key does not cover.
    """
    if not name and not allowed:
        return None
    covered = [account for account in accounts if not allowed or _is(account, allowed)]
    if allowed and not covered:
        raise NotAllowed("none of the accounts that this API key covers is set up; its owner must name others")
    if not name:
        return frozenset(account.id for account in covered)
    ids = frozenset(account.id for account in covered if _is(account, (name, _as_typed(name))))
    if not ids and allowed:
        raise NotAllowed(f"this API key does not cover the account that the header {HEADER} names; leave it out")
    if not ids:
        raise BadRequest(f"there is no account as the header {HEADER} names it; give the id or the label of one")
    return ids


def _is(account: Account, names: Collection[str]) -> bool:
    return account.id in names or (bool(account.label) and account.label in names)


def _as_typed(name: str) -> str:
    """WSGI hands a header down as if its bytes were Latin-1."""
    return name.encode("latin-1", "replace").decode("utf-8", "replace")


def shown(account: Account) -> str:
    """An account as clients may see it, in a header: its label if it fits there, without a person's address; its id."""
    label = account.label
    return label if label and label.isascii() and label.isprintable() and "@" not in label else account.id
