"""Names of tools and ids of calls, made such that providers take them. The same name always becomes the same name.

Names: 1 to 64 letters, digits, `_` and `-`, the first a letter (kiro 3.7: first-party clients want it so; OpenAI's
limit is the same). Ids: the same, but any of them may be the first. What does not fit keeps its beginning and gets a
piece of its SHA-256 behind it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kirogw.conversation import Call, Choice, Conversation

LONGEST: Final = 64
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch
is_id: Final = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_DIGITS: Final = 10
_ID_DIGITS: Final = 16


def table(conversation: Conversation) -> dict[str, str]:
    """The provider's name for every name that it would refuse; all others stay as they are.

    A made name never meets a name that the client uses, nor another made one.
    """
    names = dict.fromkeys(_used(conversation))
    return {} if all(map(_NAME, names)) else made((name for name in names if not _NAME(name)), filter(_NAME, names))


def fits(name: str) -> bool:
    return _NAME(name) is not None


def made(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """A name that fits for each of `names`, none of them among those in `taken`."""
    used, table = set(taken), {}
    for name in dict.fromkeys(names):
        table[name] = next(new for new in _candidates(name) if new not in used)
        used.add(table[name])
    return table


def chosen(choice: Choice, table: Mapping[str, str]) -> Choice:
    """The choice by the new names."""
    return Choice(choice.mode, table.get(choice.name, choice.name), choice.parallel,
                  tuple(table.get(name, name) for name in choice.allowed))  # fmt: skip


def _used(conversation: Conversation) -> Iterator[str]:
    yield from (tool.name for tool in conversation.tools)
    for turn in conversation.turns:
        if turn.role == "model":
            yield from (part.name for part in turn.parts if type(part) is Call)


def _candidates(name: str) -> Iterator[str]:
    salt = 0
    while True:
        digits = _digest(name if not salt else f"{salt} {name}", _NAME_DIGITS)
        start = _STRANGE.sub("_", name)
        if not start[:1].isalpha():
            start = f"tool_{start}"
        yield f"{start[: LONGEST - _NAME_DIGITS - 1].rstrip('_')}_{digits}"
        salt += 1


def call_id(id_: str) -> str:
    """The id itself when it is taken. Ids of other APIs hold bars, dots and colons, or are longer (kiro 3.7)."""
    if is_id(id_):
        return id_
    return f"{_STRANGE.sub('_', id_)[: LONGEST - _ID_DIGITS - 1]}_{_digest(id_, _ID_DIGITS)}"


def renamed(id_: str, taken: Iterable[str]) -> str:
    """Another id for a second call of the same id: the next free of id_2, id_3..."""
    start, n = id_[: LONGEST - 6], 2
    while f"{start}_{n}" in taken:
        n += 1
    return f"{start}_{n}"


def _digest(value: str, digits: int) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
