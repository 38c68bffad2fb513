"""Ids that stay the same as long as what they name does: made from the client's words, with the gateway's secret."""

from __future__ import annotations

import hashlib

from kirogw.conversation import Conversation, Result, Text


def session_id(secret: bytes, session: str, first_text: str) -> str:
    """A UUID that stays the same through a session: GPT's cached price goes by it. (kiro 3.2)

    By the client's own session key, else by the text that the session began with, which never changes.
    """
    return _uuid(secret, f"session {session}" if session else f"text {first_text}")


def first_text(conversation: Conversation) -> str:
    """What stays the same through a session: the first text that it holds, "" where it holds none."""
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                return part.text
    return ""


def turn_id(secret: bytes, conversation: Conversation) -> str:
    """A UUID for the user's last word, the same through the loop of tool calls that it set off. (kiro 3.2)"""
    for n in range(len(conversation.turns) - 1, -1, -1):
        turn = conversation.turns[n]
        if turn.role == "user" and not any(type(part) is Result for part in turn.parts):
            words = "\n".join(part.text for part in turn.parts if type(part) is Text)
            return _uuid(secret, f"turn {conversation.session} {n} {words}")
    return _uuid(secret, f"turn {conversation.session}")


def _uuid(secret: bytes, text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return uuid(hashlib.blake2b(data, key=secret[:64], digest_size=16).hexdigest())


def uuid(digits: str) -> str:
    """32 hexadecimal digits as a UUID of version 4: its version and its variant stand in two of them."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
