"""Pauses that a test ends: a twin goes on when its client has heard what came before, however slow the machine is."""

import contextlib
import functools
import threading
from dataclasses import replace

from kirogw.twin.server import Piece, Streamed

ENDLESS = 90.0  # seconds of a twin's silence that no gateway sits out; it ends when the gateway leaves


class Pauses:
    """Pauses of twins: a script's delay and pace, a fault's slow and stall. One of ENDLESS is none of them."""

    def __init__(self, *twins):
        self._gate = None
        for twin in twins:
            twin.service.answer = functools.partial(self._answer, twin.service.answer)

    @contextlib.contextmanager
    def held(self):
        """Gives what ends one pause: that of now, or the next. At the end all go on; otherwise they last as they say."""
        gate = self._gate = threading.Semaphore(0)
        try:
            yield gate.release
        finally:
            self._gate = None
            gate.release(1000)

    @contextlib.contextmanager
    def until(self, heard):
        """Gives what is to be told all data so far: as soon as that is `heard`, nothing is held any more."""
        with self.held() as go_on:
            yield lambda data: self._let_go(go_on) if heard(data) else None

    def _let_go(self, go_on):
        self._gate = None
        go_on(1000)

    def _answer(self, answer, incoming, seen):
        given, wait = answer(incoming, seen)
        if isinstance(given, Streamed):
            given = replace(given, pieces=map(self._piece, given.pieces))
        return given, self._left(wait)

    def _piece(self, piece):
        return replace(piece, wait=self._left(piece.wait)) if isinstance(piece, Piece) else piece

    def _left(self, seconds):
        gate = self._gate
        if gate is None or not 0 < seconds < ENDLESS:
            return seconds
        gate.acquire(timeout=ENDLESS)
        return 0.0
