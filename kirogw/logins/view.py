"""What is known of one account's login: as its source has it, and as it is remembered in the store."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from kirogw import log
from kirogw.dialects.credential import Credential, fingerprint, machine_id
from kirogw.logins import files
from kirogw.logins.memory import Away, Memory, NotKept
from kirogw.logins.record import Record
from kirogw.logins.sealed import Unsealable
from kirogw.logins.source import Source

SOON: Final = 5.0  # seconds in which whoever follows the store has seen a change
LOOK: Final = 2.0  # seconds between two looks at whether the IDE or the command line has changed its login


@dataclass(frozen=True, slots=True)
class View:
    """What was read at one moment: the login as the source has it, our record, and the login in force by the two."""

    raw: Credential
    record: Record
    held: Credential
    stamp: object = None


class Viewer:
    """Safe for all threads. `marks` gives another value once the store may hold something new; where `patient` is true,
    what is learned of the account is written by `write_notes`, which somebody else calls.
    """

    def __init__(self, source: Source, memory: Memory, now: Callable[[], float], marks: Callable[[], object],
                 patient: Callable[[], bool]) -> None:  # fmt: skip
        self.source = source
        self._memory, self._now, self._marks, self._patient = memory, now, marks, patient
        self._lock = threading.Lock()  # whoever changes the account's login or record has it
        self._swap = threading.Lock()  # for the moment in which `_view` or `_notes` is replaced
        self._view: View | None = None  # replaced whole
        self._tickets = itertools.count(1)
        self._shown = 0  # the ticket that `_view` was learned with
        self._fault: files.Unreadable | None = None
        self._missed: float | None = None  # since when nobody is signed in, where somebody was
        self._looked = 0.0
        self._wrote = 0.0
        self._notes: dict[str, Any] = {}  # not written yet

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def problem(self) -> str:
        """Why the source gives no login, "" when it does."""
        return str(self._fault or "")

    @property
    def mend(self) -> str:
        """What its owner can do about that, after a semicolon; "" where the problem says it."""
        return "" if isinstance(self._fault, Unsealable | Away) else f"; {self.source.mend}"

    @property
    def away(self) -> bool:
        """Whether it is the store that can not be asked."""
        return isinstance(self._fault, Away)

    @property
    def missing(self) -> bool:
        """Whether nobody is signed in there."""
        return isinstance(self._fault, files.Missing)

    @property
    def memory(self) -> Record:
        """What is remembered of the account, as last read, and what was learned since."""
        notes, view = self._notes, self._view  # in this order: what is written leaves the notes when the view has it
        return _noticed(view.record if view else Record(), notes)

    @property
    def mark(self) -> str:
        """The fingerprint of what its source holds, "" when that is not known."""
        raw = self._view.raw if self._view else None
        return fingerprint(raw.refresh or raw.access) if raw else ""

    def held(self) -> Credential | None:
        """The login in force, alive or not; None when nobody is signed in. Looks at the source when it has changed.

        One that can not be read any more goes on serving as it was last read; where nobody is signed in any more, none
        does.
        """
        now, view = self._now(), self._view
        if view is None or not 0 <= now - self._looked < LOOK:
            self._looked = now
            if view is None or (self._stamps() != view.stamp and not self._soon(view, now)):
                self.look()
        return self._view.held if self._view else None

    def _soon(self, view: View, now: float) -> bool:
        """Whether what this process has just written will be read by whoever follows the store."""
        return view.stamp is None and self._patient() and 0 <= now - self._wrote < SOON

    def look(self) -> None:
        """Read it anew, now."""
        with contextlib.suppress(files.Unreadable):
            self._read()

    def machine(self) -> str:
        """The account's machine id, the same for ever. It is made of the first token that is seen."""
        if not self.memory.machine and self.held():
            self.note(machine=machine_id(self._view.raw) if self._view else "")
        return self.memory.machine

    def note(self, **members: Any) -> None:
        """Remember something of the account: in the store, soon; until then, and if it fails, in this process only."""
        with self._swap:
            self._notes = {**self._notes, **members}  # replaced whole, since others may be reading it
        if not self._patient():
            with self._lock:
                self._write_notes()

    def write_notes(self) -> None:
        """Put what was learned into the store, if there is something, and nobody renews just now."""
        if self._notes and self._lock.acquire(blocking=False):
            try:
                self._write_notes()
            finally:
                self._lock.release()

    def _write_notes(self) -> None:
        with self._warned("what was learned of the account can not be kept"):
            view = self._view or self._read()
            self._change(view, lambda known: known)

    def _change(self, view: View, change: Callable[[Record], Record]) -> Record:
        """Change the record in the store and here. Raises NotKept or files.Unreadable."""
        notes = dict(self._notes)
        new = self._memory.change(view.raw, lambda known: change(self._settled(view.raw, known)))
        self._wrote = self._now()
        with self._swap:
            if self._view and self._view.raw == view.raw:  # else somebody has signed in or out meanwhile
                self._shown, self._view = next(self._tickets), replace(self._view, record=new, stamp=None)
            self._notes = {name: value for name, value in self._notes.items() if notes.get(name) != value}
        return new

    def _settled(self, raw: Credential, known: Record) -> Record:
        """The record with its machine id, and with what is not written yet."""
        known = _noticed(known, self._notes)
        return known if known.machine else replace(known, machine=machine_id(raw))

    # reading

    def _stamps(self) -> object:
        return self.source.stamp(), self._marks()

    def _read(self) -> View:
        """Raises files.Unreadable."""
        ticket, stamp = next(self._tickets), self._stamps()
        try:
            raw = self.source.read()
            known = self._memory.read(raw)
        except files.Unreadable as error:
            self._fault = error
            self._drop_if_gone(error, ticket)
            raise
        self._missed = None
        known = _noticed(known, self._notes)
        view = View(raw, known, known.over(raw), stamp)
        if self._show(view, ticket):
            self._fault = None
        return view

    def _show(self, view: View | None, ticket: int) -> bool:
        """Whether that is what is known from now on: not if it has been renewed, or read anew, since the ticket was
        drawn.
        """
        with self._swap:
            newest = ticket > self._shown
            if newest:
                self._shown, self._view = ticket, view
        return newest

    def _drop_if_gone(self, fault: files.Unreadable, ticket: int) -> None:
        """Whoever signs out is to find that nothing is done in his name any more. It must stay so for a while: some
        programs take their file away for a moment, to write it anew.
        """
        now = self._now()
        if not isinstance(fault, files.Missing):
            self._missed = None
        elif self._view is None:
            self._missed, self._notes = None, {}
        elif self._missed is None:
            self._missed = now
        elif not 0 <= now - self._missed < LOOK and self._show(None, ticket):
            log.logger.warning("account %s serves no more: %s%s", self.id, fault, self.mend)

    @contextlib.contextmanager
    def _warned(self, what: str) -> Iterator[None]:
        """A disk that does not take something: said in the log, and no reason to stop."""
        try:
            yield
        except (OSError, files.Unreadable, NotKept) as error:
            why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
            log.logger.warning("account %s: %s (%s)", self.id, what, why)


def _noticed(known: Record, notes: Mapping[str, Any]) -> Record:
    """A machine id that somebody else has written is the account's."""
    new = {name: value for name, value in notes.items() if name != "machine" or not known.machine}
    return replace(known, **new) if new else known
