"""Refresh tokens as they follow one another: which was redeemed for which, and which of them live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

A = TypeVar("A")  # an account


@dataclass(eq=False)
class Refresh(Generic[A]):
    """One refresh token of a chain. `parent` is the one that was redeemed for it."""

    token: str
    account: A
    generation: int
    parent: Refresh[A] | None = None
    children: list[Refresh[A]] = field(default_factory=list)
    dead: str = ""  # why it is taken no more: superseded, revoked


@dataclass(eq=False)
class Access(Generic[A]):
    token: str
    account: A
    expires: float
    beside: Refresh[A]  # the refresh token that came with it


@dataclass(frozen=True)
class Grant(Generic[A]):
    """What a redemption gave. `access` is None when it was denied; `outcome` as in the ledger."""

    outcome: str
    generation: int
    account: A | None = None
    access: Access[A] | None = None
    refresh: Refresh[A] | None = None


def confirm(holder: Refresh[A]) -> None:
    """`holder` has reached its owner: what came before it and beside it is dead."""
    while (parent := holder.parent) is not None and not parent.dead:
        parent.dead = "superseded"
        for sibling in parent.children:
            if sibling is not holder:
                _kill(sibling)
        holder = parent


def _kill(refresh: Refresh[A]) -> None:
    refresh.dead = "superseded"
    for child in refresh.children:
        _kill(child)


def barred(refresh: Refresh[A], rotation: str) -> str:
    """Why the token is taken no more under this kind of rotation: revoked, reused, superseded; "" while it lives."""
    if refresh.dead == "revoked":
        return "revoked"
    if refresh.dead or (refresh.children and rotation == "strict"):
        return "reused" if refresh.children else "superseded"
    return ""
