"""Which answer was cut off: how a text is known again when the client sends it back (kiro 7.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from kirogw.conversation import Call, Conversation, Text, Turn

HEAD: Final = 500  # characters: a client may go on with a cut text, but it does not change its start


def key(text: str) -> str:
    """The key of an answer's whole text; a call that was cut off is known by its id."""
    return hashlib.sha256(text[:HEAD].encode("utf-8", "surrogatepass")).hexdigest()


def keys(conversation: Conversation) -> Iterator[str]:
    """All keys under which the model's turns may have been remembered."""
    for turn in conversation.turns:
        if turn.role == "model":
            yield from (part.id for part in turn.parts if type(part) is Call)
            if text := text_of(turn):
                yield key(text)


def text_of(turn: Turn) -> str:
    return "".join(part.text for part in turn.parts if type(part) is Text)
