"""Who says what: parts that stand in a turn of somebody who has no slot for them, and turns of one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from kirogw.conversation import Call, Conversation, Part, Role, Text, Thought, Turn
from kirogw.dialects import clean, touch
from kirogw.dialects.calls import arguments


def sorted_out(conversation: Conversation, model: frozenset[type], user: frozenset[type]) -> Conversation:
    """With only parts of the kinds in `model` in the model's turns, and of those in `user` in all others.

    What a model turn may not hold goes into a user turn behind it. A call in a user turn is told in words.
    """
    fine = all((model if turn.role == "model" else user).issuperset(map(type, turn.parts))
               for turn in conversation.turns)  # fmt: skip
    return conversation if fine else touch.with_turns(conversation, list(_sorted_turns(conversation.turns, model)))


def _sorted_turns(turns: Iterable[Turn], model: frozenset[type]) -> Iterator[Turn]:
    for turn in turns:
        if turn.role != "model":
            yield touch.parts(turn, _in_words)
            continue
        yield touch.with_parts(turn, [part for part in turn.parts if type(part) in model])
        if strange := tuple(part for part in turn.parts if type(part) not in model):
            yield Turn("user", strange)


def _in_words(part: Part) -> Part:
    if isinstance(part, Call):
        return Text(f"The tool {clean.text(part.name)} was called with {arguments(part)}")
    return Text(part.text) if isinstance(part, Thought) else part


def joined(conversation: Conversation, *roles: Role) -> Conversation:
    """With one turn where one of these roles had several in a row."""
    turns = conversation.turns
    if not any(one.role == other.role and one.role in roles for one, other in pairwise(turns)):
        return conversation
    joint: list[Turn] = []
    for turn in turns:
        if joint and turn.role == joint[-1].role and turn.role in roles:
            joint[-1] = Turn(turn.role, joint[-1].parts + turn.parts)
        else:
            joint.append(turn)
    return replace(conversation, turns=tuple(joint))
