"""Walking through a provider's rules, and what several of them do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from kirogw.conversation import Conversation
from kirogw.dialects import clean

T = TypeVar("T")


def obey(rules: Sequence[Callable[[Conversation, T], Conversation]], conversation: Conversation,
         terms: T) -> tuple[Conversation, tuple[str, ...]]:  # fmt: skip
    """The conversation as the provider takes it, and the names of the rules that had something to do."""
    notes = []
    for rule in rules:
        obeyed = rule(conversation, terms)
        if obeyed is not conversation:
            notes.append(rule.__name__)
            conversation = obeyed
    return conversation, tuple(notes)


def saying(conversation: Conversation, words: str, **changes: object) -> Conversation:
    """`words` behind the system text, and `changes`, for what has been said need not be said again."""
    return replace(conversation, system=(*conversation.system, words), **changes)  # type: ignore[arg-type]


def missing_server_tools_are_told(conversation: Conversation, terms: object) -> Conversation:
    """A server tool that the client asked for and nobody here has: a model that is not told makes its results up."""
    if not conversation.left_out:
        return conversation
    names = ", ".join(map(clean.text, conversation.left_out))
    return saying(conversation, f"These tools are not available in this session: {names}.", left_out=())
