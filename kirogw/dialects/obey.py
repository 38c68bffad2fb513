"""Walking through a provider's rules, and what several of them do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from kirogw.conversation import Conversation, Result, Tool
from kirogw.dialects import clean

T = TypeVar("T")
Rule = TypeVar("Rule", bound=Callable[[Conversation, Any], Conversation])

_concerned: Final[dict[Callable[..., Conversation], frozenset[type]]] = {}


def concerns(*kinds: type) -> Callable[[Rule], Rule]:
    """A rule that has nothing to do where a conversation holds no part of these kinds (or no Tool): it is not asked
    there. Most conversations hold few kinds.
    """

    def marked(rule: Rule) -> Rule:
        _concerned[rule] = frozenset(kinds)
        return rule

    return marked


def obey(rules: Sequence[Callable[[Conversation, T], Conversation]], conversation: Conversation,
         terms: T) -> tuple[Conversation, tuple[str, ...]]:  # fmt: skip
    """The conversation as the provider takes it, and the names of the rules that had something to do."""
    notes, held = [], kinds(conversation)
    for rule in rules:
        concerned = _concerned.get(rule)
        if concerned and concerned.isdisjoint(held):
            continue
        obeyed = rule(conversation, terms)
        if obeyed is not conversation:
            notes.append(rule.__name__)
            conversation, held = obeyed, kinds(obeyed)
    return conversation, tuple(notes)


def kinds(conversation: Conversation) -> set[type]:
    """Of its parts, those inside results included; and Tool, where it declares any."""
    held: set[type] = {type(part) for turn in conversation.turns for part in turn.parts}
    if Result in held:
        held.update(type(inner) for turn in conversation.turns for part in turn.parts if type(part) is Result
                    for inner in part.parts)  # fmt: skip
    if conversation.tools:
        held.add(Tool)
    return held


def saying(conversation: Conversation, words: str, **changes: object) -> Conversation:
    """`words` behind the system text, and `changes`, for what has been said need not be said again."""
    return replace(conversation, system=(*conversation.system, words), **changes)  # type: ignore[arg-type]


def missing_server_tools_are_told(conversation: Conversation, terms: object) -> Conversation:
    """A server tool that the client asked for and nobody here has: a model that is not told makes its results up."""
    if not conversation.left_out:
        return conversation
    names = ", ".join(map(clean.text, conversation.left_out))
    return saying(conversation, f"These tools are not available in this session: {names}.", left_out=())
