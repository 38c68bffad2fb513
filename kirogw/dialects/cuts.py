"""Which answer was cut off: how a text is known again when the client sends it back, and what the model is told then.
(kiro 7.4)
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from typing import Final

from kirogw.conversation import Call, Conversation, Part, Result, Text, Turn
from kirogw.dialects import touch

HEAD: Final = 500  # characters: a client may go on with a cut text, but it does not change its start

CUT_CALL: Final = Text(
    "Note: the call above was cut off by a length limit before its arguments were whole. Do it in smaller steps."
)
CUT_TEXT: Final = Text("Note: your last answer was cut off by a length limit. Go on where it ends, in smaller pieces.")


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


def told(conversation: Conversation, cut: Container[str]) -> Conversation:
    """With a note for the model wherever an answer of its own was cut off: `cut` holds ids of calls and keys of texts.

    The note stands in the user's turn, never in the model's own, where it would be imitated: in front of the result of
    the call that was cut, or of all that follows the text that was.
    """
    if not cut:
        return conversation
    turns = list(conversation.turns)
    for n, turn in enumerate(turns):
        if turn.role == "user":
            turns[n] = touch.parts(turn, lambda part: _noted(part, cut))
        elif turn.role == "model" and n + 1 < len(turns) and turns[n + 1].role == "user":
            text = text_of(turn)
            if text and key(text) in cut and CUT_TEXT not in turns[n + 1].parts:
                turns[n + 1] = Turn("user", (CUT_TEXT, *turns[n + 1].parts))
    return touch.with_turns(conversation, turns)


def _noted(part: Part, cut: Container[str]) -> Part:
    if not isinstance(part, Result) or part.call not in cut or CUT_CALL in part.parts:
        return part
    return Result(part.call, (CUT_CALL, *part.parts), part.failed)
