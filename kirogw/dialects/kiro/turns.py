"""Rules about turns: who speaks when, and what a turn may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kirogw.conversation import Call, Conversation, Document, Image, Native, Result, Text, Thought, Turn
from kirogw.dialects import clean, cuts, speakers, touch
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.obey import concerns
from kirogw.dialects.seals import unseal

GO_ON: Final = "Continue"
"""What the user says where Kiro wants a word and the client sent none. Neutral, because models take it as meant."""

_MEDIA: Final = frozenset({Image, Document})
_OF_THE_MODEL: Final = frozenset({Text, Thought, Call})
_OF_THE_USER: Final = frozenset({Text, Image, Document, Result})


@concerns(Native)
def native_items_are_for_others(conversation: Conversation, terms: Terms) -> Conversation:
    """An item that only the Responses API has a word for, such as OpenAI's compaction, is refused. (kiro 3.3, 3.4)

    Kiro's messages have no slot for it, and what is in it is encrypted for OpenAI's own models.
    """
    if not any(type(part) is Native for turn in conversation.turns for part in turn.parts):
        return conversation
    left = ((turn, [part for part in turn.parts if type(part) is not Native]) for turn in conversation.turns)
    turns = (touch.with_parts(turn, parts) for turn, parts in left if parts or not turn.parts)
    return replace(conversation, turns=tuple(turns))


@concerns(Thought, Call, Image, Document, Result, Native)
def parts_stand_with_who_may_say_them(conversation: Conversation, terms: Terms) -> Conversation:
    """A model's message has no slot for pictures, documents and results, a user's none for calls. (kiro 3.3, 3.4)"""
    return speakers.sorted_out(conversation, _OF_THE_MODEL, _OF_THE_USER)


def cut_answers_are_told(conversation: Conversation, terms: Terms) -> Conversation:
    """A model that does not hear that its answer was cut off does the same again. (kiro 7.4; see cuts)"""
    return cuts.told(conversation, terms.cut)


def only_user_and_model_speak(conversation: Conversation, terms: Terms) -> Conversation:
    """Kiro knows two roles. A system message in mid-conversation stays in place, as words of the user's. (kiro 3.8.4)

    Claude Code sends many. The tags say whose words they are.
    """
    return touch.turns(conversation, _spoken)


def _spoken(turn: Turn) -> Turn:
    if turn.role != "system":
        return turn
    return Turn("user", tuple(
        Text(f"<system-message>\n{part.text}\n</system-message>") if isinstance(part, Text) and part.text else part
        for part in turn.parts
    ))  # fmt: skip


def turns_alternate(conversation: Conversation, terms: Terms) -> Conversation:
    """Two entries of the same role in a row are refused, so neighbours become one. (kiro 3.8, invariant 3)"""
    return speakers.joined(conversation, "user", "model")


def the_user_begins(conversation: Conversation, terms: Terms) -> Conversation:
    """A history that begins with the model is refused. The new turn takes the system text, or a word. (kiro 3.8, 1)"""
    if conversation.turns and conversation.turns[0].role == "user":
        return conversation
    return replace(conversation, turns=(Turn("user", ()), *conversation.turns))


def the_user_ends(conversation: Conversation, terms: Terms) -> Conversation:
    """The current message is the user's. An answer that the client began (prefill) goes into the history. (kiro 3.8.2)

    The empty turn takes the results that its calls lack, or a word.
    """
    if conversation.turns and conversation.turns[-1].role == "user":
        return conversation
    return replace(conversation, turns=(*conversation.turns, Turn("user", ())))


@concerns(Thought)
def thoughts_are_sealed_by_this_model(conversation: Conversation, terms: Terms) -> Conversation:
    """A thought goes back only with Kiro's own seal, to the model and account that thought it, and alone in its turn.

    There is one slot a turn (kiro 7.3). Without its seal, with another's, or with its neighbour missing, it gets the
    whole request refused; under `auto` nobody knows who thought it. It can not become text: models imitate what their
    turns say.
    """
    return touch.turns(conversation, lambda turn: _thinking(turn, terms))


def _thinking(turn: Turn, terms: Terms) -> Turn:
    thoughts = [part for part in turn.parts if type(part) is Thought]
    if not thoughts or (len(thoughts) == 1 and not terms.unsealed and _believed(thoughts[0], terms)):
        return turn
    return Turn(turn.role, tuple(part for part in turn.parts if type(part) is not Thought))


def _believed(thought: Thought, terms: Terms) -> bool:
    found = unseal(thought.seal) if thought.seal else None
    if found is None or found.model != terms.model.id or found.model == "auto":
        return False
    if found.mark and terms.mark and found.mark != terms.mark:
        return False
    return found.kind == "s" or (found.kind == "r" and clean.is_base64(found.value))


def no_turn_is_empty(conversation: Conversation, terms: Terms) -> Conversation:
    """A user turn needs text or results, a model turn text or calls. (kiro 3.8, invariant 7; 3.8.8)

    The model's filler is one space: anything that can be read would be imitated.
    """
    return touch.turns(conversation, _filled)


def _filled(turn: Turn) -> Turn:
    for part in turn.parts:
        kind = type(part)
        if kind is Result or kind is Call or (kind is Text and part.text and not part.text.isspace()):  # type: ignore[union-attr]
            return turn
    said = [part for part in turn.parts if type(part) is Text]
    wordless = [part for part in turn.parts if type(part) is not Text]
    if turn.role == "model":
        return turn if said == [_SILENCE] else Turn("model", (*wordless, _SILENCE))
    return Turn("user", (*wordless, _SEE if any(type(part) in _MEDIA for part in wordless) else Text(GO_ON)))


_SILENCE: Final = Text(" ")
_SEE: Final = Text("See what is attached.")
