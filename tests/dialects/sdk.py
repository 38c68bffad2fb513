"""What the SDKs' types say a request may hold: every member by a short name, and requests made at random from them.

Names: `thinking:enabled.budget_tokens` is the member of the object that has this `type`; blocks, tools and messages are
named by their kind alone (`image.source:url.url`), as they stand in several places. Dates of kinds are left off.
"""

import types
import typing
from typing import NotRequired, Required

from typing_extensions import get_type_hints, is_typeddict

BY_KIND = {"content", "system", "tools", "messages", "definition", "tool_changes", "tool_references", "tool"}


def members(request):
    """The name of every member of the TypedDict `request`, however deep; without the discriminators type and role."""
    found, seen = [], set()

    def visit(box, path):
        if (box, path) in seen:
            return
        seen.add((box, path))
        for name, hint in get_type_hints(box).items():
            if name in ("type", "role") and literals(hint):
                continue
            key = f"{path}.{name}" if path else name
            found.append(key)
            for inner in boxes(hint):
                label = kind(inner)
                if name in BY_KIND and label:
                    visit(inner, label)
                else:
                    visit(inner, f"{key}:{label}" if label else key)

    visit(request, "")
    return list(dict.fromkeys(found))


def kinds(request, name):
    """The kinds that the members called `name` may hold."""
    found = {}

    def visit(box):
        for field, hint in get_type_hints(box).items():
            for inner in boxes(hint):
                if field == name and kind(inner):
                    found[kind(inner)] = inner
                if inner not in seen:
                    seen.add(inner)
                    visit(inner)

    seen = {request}
    visit(request)
    return found


def kind(box):
    hints = get_type_hints(box)
    for name in ("role", "type"):
        if words := literals(hints.get(name)):
            return undated(words[0])
    return ""


def undated(word):
    name, _, date = word.rpartition("_")
    return name if len(date) == 8 and date.isdigit() else word


def literals(hint):
    """The words of a Literal, also inside an Optional; empty for anything else."""
    if typing.get_origin(hint) is typing.Literal:
        return [word for word in typing.get_args(hint) if isinstance(word, str)]
    if typing.get_origin(hint) in (typing.Union, types.UnionType, Required, NotRequired):
        return [word for inner in typing.get_args(hint) for word in literals(inner)]
    return []


def boxes(hint):
    """The TypedDicts in a hint."""
    if is_typeddict(hint):
        return [hint]
    return [box for inner in typing.get_args(hint) for box in boxes(inner)]
