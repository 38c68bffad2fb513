"""A conversation that is longer than its model's window, for clients that would rather lose its beginning than compact.

That is `truncation: "auto"` of OpenAI's Responses API: what was said first goes first, the system prompt and what is to
be answered stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kirogw import tokens
from kirogw.conversation import Conversation, Result, Turn

ANSWER: Final = 8192  # tokens to leave for an answer whose length is not limited
SLACK: Final = 0.15  # of the window: the count is an estimate, and may be too low by as much


def fitting(conversation: Conversation, window: int) -> Conversation:
    """`conversation` itself where its client does not ask for this, or it fits; where not even what is to be answered
    fits, it is left to the provider to say so.
    """
    if conversation.options.get("truncation") != "auto":
        return conversation
    room = window * (1 - SLACK) - min(conversation.max_tokens or ANSWER, window // 4)
    over = tokens.count_conversation(conversation) - room
    if over <= 0:
        return conversation
    bare = replace(conversation, system=(), tools=())
    last, first = _question(conversation.turns), 0
    while first < last and (over > 0 or not _speaks(conversation.turns[first])):
        over -= tokens.count_conversation(replace(bare, turns=(conversation.turns[first],)))
        first += 1
    return replace(conversation, turns=conversation.turns[first:])


def _question(turns: tuple[Turn, ...]) -> int:
    """Where the user's last word stands: what comes after it belongs to its answer."""
    return next((n for n in range(len(turns) - 1, 0, -1) if _speaks(turns[n])), 0)


def _speaks(turn: Turn) -> bool:
    """A turn that a conversation can begin with: the user's, without results of calls that would be missing."""
    return turn.role == "user" and not any(type(part) is Result for part in turn.parts)
