"""Stop sequences, which Kiro does not know: the text is cut exactly before the first that it says."""

from __future__ import annotations

from kirogw.answer import Event, TextDelta
from kirogw.flow.tally import Count, Tally


class Stops:
    """Lets events through, and holds back only the end of a text that may be the beginning of a stop sequence.

    The sequence that is complete first counts; of two that end together, the longer one. They are looked for in the
    text, across deltas of one part, and neither in thinking nor in the arguments of calls. `done`: one was met; the
    events given so far end with Usage (estimated) and Stop, and nothing comes after them.
    """

    def __init__(self, sequences: tuple[str, ...], count: Count, estimate: int) -> None:
        self.done = False
        self._sequences = tuple(filter(None, sequences))
        self._firsts = frozenset(sequence[0] for sequence in self._sequences)
        self._reach = max(map(len, self._sequences), default=1) - 1  # characters that can be held back
        self._held = ""
        self._part = 0
        self._tally = Tally(count, estimate)

    def feed(self, events: list[Event]) -> list[Event]:
        given: list[Event] = []
        for event in events:
            if self.done:
                break
            if type(event) is TextDelta:
                self._text(event, given)
            else:
                self._release(given)
                self._give(event, given)
        self._tally.fold()
        return given

    def _text(self, event: TextDelta, given: list[Event]) -> None:
        if self._held and event.part != self._part:
            self._release(given)
        self._part = event.part
        text = self._held + event.text
        if met := self._met(text):
            begin, sequence = met
            self._held = text[:begin]
            self._release(given)
            given += self._tally.ending("stop_sequence", sequence)
            self.done = True
            return
        keep = self._tail(text)
        self._held = text[keep:]
        if keep == len(event.text) == len(text):
            self._give(event, given)
        elif keep:
            self._give(TextDelta(event.part, text[:keep]), given)

    def _met(self, text: str) -> tuple[int, str] | None:
        found = [(at + len(one), at, one) for one in self._sequences if (at := text.find(one)) >= 0]
        return min(found)[1:] if found else None

    def _tail(self, text: str) -> int:
        """Where the end of `text` begins that may go on to a stop sequence."""
        for at in range(max(0, len(text) - self._reach), len(text)):
            if text[at] in self._firsts and any(one.startswith(text[at:]) for one in self._sequences):
                return at
        return len(text)

    def _release(self, given: list[Event]) -> None:
        if self._held:
            text, self._held = self._held, ""
            self._give(TextDelta(self._part, text), given)

    def _give(self, event: Event, given: list[Event]) -> None:
        self._tally.add(event)
        given.append(event)
