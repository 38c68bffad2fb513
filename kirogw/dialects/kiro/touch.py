"""Changing a conversation without copying what stays: a rule that finds nothing to do gives back the same object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import is_ as same
from typing import TypeAlias, TypeVar

from kirogw.conversation import Conversation, Part, Result, Turn

__all__ = ["Change", "parts", "same", "turns", "with_parts", "with_turns", "within"]

T = TypeVar("T")
Change: TypeAlias = Callable[[T], T]


def turns(conversation: Conversation, change: Change[Turn]) -> Conversation:
    return with_turns(conversation, [change(turn) for turn in conversation.turns])


def with_turns(conversation: Conversation, changed: Iterable[Turn]) -> Conversation:
    fresh = tuple(changed)
    if len(fresh) == len(conversation.turns) and all(map(same, fresh, conversation.turns)):
        return conversation
    return replace(conversation, turns=fresh)


def with_parts(turn: Turn, changed: Iterable[Part]) -> Turn:
    fresh = tuple(changed)
    if len(fresh) == len(turn.parts) and all(map(same, fresh, turn.parts)):
        return turn
    return Turn(turn.role, fresh)


def parts(turn: Turn, change: Change[Part]) -> Turn:
    return with_parts(turn, [change(part) for part in turn.parts])


def within(result: Result, changed: Iterable[Part]) -> Result:
    fresh = tuple(changed)
    if len(fresh) == len(result.parts) and all(map(same, fresh, result.parts)):
        return result
    return Result(result.call, fresh, result.failed)
