"""Claude Code begins its system text with a line of billing data that changes with each request."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kirogw.conversation import Conversation

START: Final = "x-anthropic-billing-header:"


def without(conversation: Conversation) -> Conversation:
    """The conversation without that line: no cache outlives it, and no model needs it."""
    if not any(block.startswith(START) for block in conversation.system):
        return conversation
    kept = (block.partition("\n")[2].lstrip("\n") if block.startswith(START) else block
            for block in conversation.system)  # fmt: skip
    return replace(conversation, system=tuple(filter(None, kept)))
