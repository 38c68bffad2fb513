"""Changing a conversation without copying what stays: a rule that finds nothing to do gives back the same object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import is_ as same
from typing import TypeAlias, TypeVar

from kirogw.conversation import Conversation, Part, Result, Tool, Turn

__all__ = ["Change", "parts", "same", "tools", "turns", "with_parts", "with_tools", "with_turns", "within"]

T = TypeVar("T")
Change: TypeAlias = Callable[[T], T]


def turns(conversation: Conversation, change: Change[Turn]) -> Conversation:
    return with_turns(conversation, [change(turn) for turn in conversation.turns])


def with_turns(conversation: Conversation, fresh: Sequence[Turn]) -> Conversation:
    if len(fresh) == len(conversation.turns) and all(map(same, fresh, conversation.turns)):
        return conversation
    return replace(conversation, turns=tuple(fresh))


def parts(turn: Turn, change: Change[Part]) -> Turn:
    return with_parts(turn, [change(part) for part in turn.parts])


def with_parts(turn: Turn, fresh: Sequence[Part]) -> Turn:
    if len(fresh) == len(turn.parts) and all(map(same, fresh, turn.parts)):
        return turn
    return Turn(turn.role, tuple(fresh))


def within(result: Result, change: Change[Part]) -> Result:
    """`change` for each part of the result."""
    fresh = [change(part) for part in result.parts]
    return result if all(map(same, fresh, result.parts)) else Result(result.call, tuple(fresh), result.failed)


def tools(conversation: Conversation, change: Change[Tool]) -> Conversation:
    return with_tools(conversation, [change(tool) for tool in conversation.tools])


def with_tools(conversation: Conversation, fresh: Sequence[Tool]) -> Conversation:
    if len(fresh) == len(conversation.tools) and all(map(same, fresh, conversation.tools)):
        return conversation
    return replace(conversation, tools=tuple(fresh))
