"""Rules about calls and their results: every call is answered, once, in the turn behind it, under an id of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kirogw.conversation import Call, Conversation, Part, Result, Text, Turn
from kirogw.dialects import clean, touch
from kirogw.dialects.calls import NOT_RUN, arguments, stray
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.obey import concerns

FAILED: Final = Text("The tool call failed.")
SILENT: Final = Text("(no output)")


@concerns(Result)
def failed_results_say_so(conversation: Conversation, terms: Terms) -> Conversation:
    """The status of a result does not reach the model; only its text does. (kiro 3.5)"""
    return touch.turns(conversation, lambda turn: touch.parts(turn, _honest) if turn.role == "user" else turn)


def _honest(part: Part) -> Part:
    if type(part) is not Result or not part.failed or FAILED in part.parts or part.parts == (NOT_RUN,):
        return part
    return Result(part.call, (FAILED, *part.parts), True)


@concerns(Result)
def every_result_says_something(conversation: Conversation, terms: Terms) -> Conversation:
    """Many commands print nothing. An empty text is no content for the models behind Kiro, so it is said. (kiro 3.5)"""
    return touch.turns(conversation, lambda turn: touch.parts(turn, _spoken) if turn.role == "user" else turn)


def _spoken(part: Part) -> Part:
    if type(part) is not Result:
        return part
    for inner in part.parts:
        if type(inner) is not Text or inner.text:
            return part
    return Result(part.call, (SILENT,), part.failed)


@concerns(Result)
def results_stand_behind_their_calls(conversation: Conversation, terms: Terms) -> Conversation:
    """A result belongs into the turn behind its call, in the order of the calls. (kiro 3.8, invariants 5 and 6; 3.8.5)

    One that stands elsewhere is moved there. One whose call is nowhere, or was answered before, becomes text in place.
    """
    turns = conversation.turns
    if all(_in_place(turns[n - 1] if n else None, turn) for n, turn in enumerate(turns)):
        return conversation
    home = {part.id: n + 1 for n, turn in enumerate(turns) if turn.role == "model"
            for part in turn.parts if type(part) is Call}  # fmt: skip
    chosen: dict[str, tuple[int, Result]] = {}
    for n, part in ((n, part) for n, turn in enumerate(turns) for part in turn.parts if type(part) is Result):
        place = home.get(part.call, len(turns))
        old = chosen.get(part.call)
        if place < len(turns) and (old is None or (n == place and old[0] != n)):
            chosen[part.call] = (n, part)
    return touch.with_turns(conversation, [_arranged(n, turns, chosen) for n in range(len(turns))])


def _calls(turn: Turn | None) -> list[str]:
    return [part.id for part in turn.parts if type(part) is Call] if turn and turn.role == "model" else []


def _in_place(before: Turn | None, turn: Turn) -> bool:
    if turn.role != "user":
        return True
    results = [part.call for part in turn.parts if type(part) is Result]
    if not results:
        return True
    called = iter(_calls(before))
    return all(id_ in called for id_ in results)  # consumes `called`, so the order is looked at too


def _arranged(n: int, turns: Sequence[Turn], chosen: dict[str, tuple[int, Result]]) -> Turn:
    """The turn `n` with the results of the calls before it in front, and every other result as text."""
    turn = turns[n]
    if turn.role != "user":
        return turn
    own = [chosen[id_][1] for id_ in _calls(turns[n - 1] if n else None) if id_ in chosen]
    rest: list[Part] = []
    for part in turn.parts:
        if type(part) is not Result:
            rest.append(part)
        elif part.call not in chosen:
            rest += stray(part, again=False)
        elif chosen[part.call][1] is not part:
            rest += stray(part, again=True)
    return touch.with_parts(turn, (*own, *rest))


@concerns(Call)
def every_call_is_answered(conversation: Conversation, terms: Terms) -> Conversation:
    """A call without a result in the next turn is refused with TOOL_USE_RESULT_MISMATCH. (kiro 3.8, invariant 4)

    A client that was interrupted sends such histories. The call stays, with an answer that says it did not run.
    """
    turns = list(conversation.turns)
    for n, turn in enumerate(turns[:-1]):
        if calls := _calls(turn):
            answers = {part.call: part for part in turns[n + 1].parts if type(part) is Result}
            if len(answers) < len(calls):
                results = [answers.get(id_) or Result(id_, (NOT_RUN,), True) for id_ in calls]
                rest = [part for part in turns[n + 1].parts if type(part) is not Result]
                turns[n + 1] = Turn("user", (*results, *rest))
    return touch.with_turns(conversation, turns)


@concerns(Call)
def without_tools_no_tool_turns(conversation: Conversation, terms: Terms) -> Conversation:
    """Calls in the history of a request that declares no tool are refused, so they become text. (kiro 3.8.7, 8.15)

    Compaction, titles and `tool_choice: none` ask so. The text stands in the user's turns: in the model's own it would
    be imitated.
    """
    if conversation.tools:
        return conversation
    calls = {part.id: part for turn in conversation.turns if turn.role == "model"
             for part in turn.parts if type(part) is Call}  # fmt: skip
    if not calls:
        return conversation
    return touch.turns(conversation, lambda turn: touch.with_parts(turn, _told(turn.parts, calls)))


def _told(parts: Iterable[Part], calls: dict[str, Call]) -> list[Part]:
    told: list[Part] = []
    for part in parts:
        if type(part) is Result and (call := calls.get(part.call)):
            told += (Text(f"The tool {clean.text(call.name)} was called with {arguments(call)} and gave:"), *part.parts)
        elif type(part) is not Call:
            told.append(part)
    return told
