"""What a filter has let through, so that an answer that it ends early still has a usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kirogw.answer import CallDelta, Event, Reason, Stop, TextDelta, ThoughtDelta, Usage

Count: TypeAlias = Callable[[str], int]
"""How many tokens a text has; never more than it has bytes."""
MANY: Final = 16  # pieces that are left apart, at least
MORE: Final = 128  # characters of the first for each of more: it is copied a few times only, however long it gets


def fold(pieces: list[str]) -> None:
    """Many pieces become one, in place: the short ones that an answer comes in take ten times what they say."""
    if len(pieces) > MANY and len(pieces) > len(pieces[0]) // MORE:
        pieces[:] = ["".join(pieces)]


class Tally:
    """`estimate`: the input's tokens as estimated before the answer began."""

    def __init__(self, count: Count, estimate: int) -> None:
        self._count = count
        self._estimate = estimate
        self.texts: list[str] = []
        self._thoughts: list[str] = []

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self.texts.append(event.text)
        elif isinstance(event, CallDelta):
            self.texts.append(event.json)
        elif isinstance(event, ThoughtDelta):
            self._thoughts.append(event.text)

    def fold(self) -> None:
        fold(self.texts)
        fold(self._thoughts)

    def ending(self, reason: Reason, sequence: str = "") -> list[Event]:
        """The last events of an answer that ends here."""
        thinking = self._count("".join(self._thoughts)) if self._thoughts else 0
        output = self._count("".join(self.texts)) + thinking if self.texts else thinking
        return [Usage(self._estimate, output, thinking=thinking), Stop(reason, sequence)]
