"""Rules about calls that all providers share: what their arguments are, and what tells them apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final

from kirogw.conversation import Call, Conversation, Part, Result, Text
from kirogw.dialects import names, touch
from kirogw.dialects.fields import compact
from kirogw.dialects.obey import concerns

UNPARSED: Final = "unparsed_arguments"
NOT_RUN: Final = Text("The tool call did not run, or its result was lost.")


def arguments(call: Call) -> str:
    return call.raw if call.raw is not None else compact(call.input)


def stray(result: Result, again: bool) -> tuple[Part, ...]:
    """A result that can be none where it stands, in words. `again`: its call is answered already."""
    words = f"Another result of the tool call {result.call}:" if again else \
        f"Result of the tool call {result.call}, which is not part of this conversation:"  # fmt: skip
    return Text(words), *result.parts


@concerns(Call)
def arguments_are_objects(conversation: Conversation, terms: object) -> Conversation:
    """A call's input must be an object. (kiro 3.8.13)

    A client that got a call which was cut off sends its arguments back as the text that they are, and so they go.
    """
    return touch.turns(conversation, lambda turn: touch.parts(turn, _object) if turn.role == "model" else turn)


def _object(part: Part) -> Part:
    if type(part) is Call and part.raw is not None:
        return replace(part, input={"input" if part.kind == "custom" else UNPARSED: part.raw}, raw=None)
    return part


@concerns(Call, Result)
def ids_are_plain(conversation: Conversation, terms: object) -> Conversation:
    """Ids of other APIs (`call_1|fc_2`, `functions.Write:0`) are refused and wedge the session. (kiro 3.7)"""
    plain = all(
        (type(part) is not Call or names.is_id(part.id)) and (type(part) is not Result or names.is_id(part.call))
        for turn in conversation.turns for part in turn.parts
    )  # fmt: skip
    return conversation if plain else touch.turns(conversation, lambda turn: touch.parts(turn, _plain))


def _plain(part: Part) -> Part:
    if type(part) is Call and (id_ := names.call_id(part.id)) != part.id:
        return replace(part, id=id_)
    if type(part) is Result and (id_ := names.call_id(part.call)) != part.call:
        return Result(id_, part.parts, part.failed)
    return part


@concerns(Call)
def ids_are_unique(conversation: Conversation, terms: object) -> Conversation:
    """The same id in two calls is refused; clients that compact their history make such. (kiro 3.7, 8.17)

    The later call gets another id, and so does the result that belongs to it: of those behind a call, the first.
    """
    ids = [part.id for turn in conversation.turns if turn.role == "model" for part in turn.parts if type(part) is Call]
    if len(ids) == len(set(ids)):
        return conversation
    waiting: defaultdict[str, list[str]] = defaultdict(list)  # by the client's id: ours, the next to be answered first
    given: dict[str, str] = {}  # ours, to the client's id
    fresh = []
    for turn in conversation.turns:
        calls: defaultdict[str, list[str]] = defaultdict(list)
        parts: list[Part] = []
        for part in turn.parts:
            if type(part) is Call:
                new = names.renamed(part.id, given) if part.id in given else part.id
                given[new] = part.id
                calls[part.id].append(new)
                part = part if new == part.id else replace(part, id=new)
            elif type(part) is Result and waiting[part.call]:
                new = waiting[part.call].pop(0)
                part = part if new == part.call else Result(new, part.parts, part.failed)
            parts.append(part)
        for id_, new_ids in calls.items():
            waiting[id_] = new_ids + waiting[id_]
        fresh.append(touch.with_parts(turn, parts))
    return touch.with_turns(conversation, fresh)
