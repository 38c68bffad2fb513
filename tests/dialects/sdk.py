"""What the SDKs' types say a request may hold: every member by a short name, and requests made at random from them.

Names: `thinking:enabled.budget_tokens` is the member of the object that has this `type`; blocks, tools and messages are
named by their kind alone (`image.source:url.url`), as they stand in several places. Dates of kinds are left off.
"""

import collections.abc
import types
import typing
from typing import NotRequired, Required

from hypothesis import strategies as st
from typing_extensions import get_type_hints, is_typeddict

BY_KIND = {"content", "system", "tools", "messages", "definition", "tool_changes", "tool_references", "tool", "output"}


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


def requests(request, members=None):
    """Requests at random, as the TypedDict `request` allows them. `members`: strategies for members by their names,
    where the type allows any text, so that ids meet and pictures are some."""
    return _values(request, {}, members or {})


def _values(hint, known, members):
    """Values of a type hint; nothing() for what JSON can not hold, such as open files and the packages' own models."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if is_typeddict(hint):
        if hint not in known:
            known[hint] = st.deferred(lambda: _boxes(hint, known, members))
        return known[hint]
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin in (Required, NotRequired, typing.Annotated):
        return _values(inner[0], known, members)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([_values(one, known, members) for one in inner])
    if origin in (dict, collections.abc.Mapping):
        return st.dictionaries(WORDS, _values(inner[1], known, members), max_size=2)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        return st.lists(_values(inner[0], known, members), max_size=3)
    if getattr(hint, "__name__", "") == "SequenceNotStr":
        return st.lists(WORDS, max_size=2)
    return PLAIN.get(hint, st.nothing())


def _boxes(box, known, members):
    hints = get_type_hints(box, include_extras=True)
    values = {name: members[name] if name in members and _is_any_text(hint) else _values(hint, known, members)
              for name, hint in hints.items()}  # fmt: skip
    must = {name: values[name] for name, hint in hints.items() if typing.get_origin(hint) is Required}
    free = {name: value for name, value in values.items() if name not in must}
    return st.fixed_dictionaries(must, optional={name: value for name, value in free.items() if not value.is_empty})


def _is_any_text(hint):
    if typing.get_origin(hint) in (Required, NotRequired, typing.Annotated, typing.Union, types.UnionType):
        return any(map(_is_any_text, typing.get_args(hint)))
    return hint is str


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = {
    str: WORDS, int: st.integers(-1, 3000), bool: st.booleans(), float: st.floats(0, 2), type(None): st.none(),
    object: st.none() | WORDS | st.integers(0, 9), typing.Any: st.none() | WORDS,
}  # fmt: skip
