"""Rules about calls and their results: every call is answered, once, behind it."""

from __future__ import annotations

from dataclasses import replace

from kirogw.conversation import Call, Conversation, Part, Result, Turn
from kirogw.dialects import touch
from kirogw.dialects.calls import NOT_RUN, stray
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.obey import concerns
from kirogw.dialects.responses.items import found_in


@concerns(Result)
def results_follow_their_calls(conversation: Conversation, terms: Terms) -> Conversation:
    """An output whose call does not stand before it is refused, as is a second one. They become text. (codex 5.3)"""
    waiting: set[str] = set()
    answered: set[str] = set()
    fresh = []
    for turn in conversation.turns:
        parts: list[Part] = []
        for part in turn.parts:
            if type(part) is Call:
                waiting.add(part.id)
            if type(part) is not Result:
                parts.append(part)
            elif part.call in waiting:
                waiting.remove(part.call)
                answered.add(part.call)
                parts.append(part)
            else:
                parts += stray(part, part.call in answered)
        fresh.append(touch.with_parts(turn, parts))
    return touch.with_turns(conversation, fresh)


@concerns(Call)
def every_call_is_answered(conversation: Conversation, terms: Terms) -> Conversation:
    """A call without an output is refused. (codex 5.3)

    A client that was interrupted sends such histories. The call stays, with an answer that says it did not run.
    """
    answered = {part.call for turn in conversation.turns for part in turn.parts if type(part) is Result}
    fresh: list[Turn] = []
    for turn in conversation.turns:
        fresh.append(turn)
        missing = [part.id for part in turn.parts if type(part) is Call and part.id not in answered]
        if missing:
            fresh.append(Turn("user", tuple(Result(id_, (NOT_RUN,), True) for id_ in missing)))
    return touch.with_turns(conversation, fresh)


@concerns(Call)
def searches_for_tools_have_found_some(conversation: Conversation, terms: Terms) -> Conversation:
    """The output of a search for tools holds definitions and nothing else. One that has words, for it failed or was cut
    off, is that of a plain function. (codex 5.3)
    """
    answers = {part.call: part for turn in conversation.turns for part in turn.parts if type(part) is Result}

    def change(part: Part) -> Part:
        if type(part) is not Call or part.kind != "search" or found_in(answers[part.id]) is not None:
            return part
        return replace(part, kind="function")

    return touch.turns(conversation, lambda turn: touch.parts(turn, change) if turn.role == "model" else turn)
