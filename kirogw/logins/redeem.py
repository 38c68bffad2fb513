"""Sending a refresh token, and keeping hold of what comes back.

The answer is noted in a file, in one system call, before anything else is done with it: a process that is killed later
than that has lost nothing, for its successor finds the note.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kirogw.dialects.kiro import login
from kirogw.dialects.kiro.credential import Credential, fingerprint
from kirogw.dialects.kiro.login import Refusal
from kirogw.errors import UpstreamFailed
from kirogw.logins import files
from kirogw.wire import Reply, Request

Post = Callable[[Request], Reply]

PAUSE: Final = 0.5  # seconds before the second try, twice that before the third
PATIENCE: Final = 10.0  # seconds; no further try after that


@dataclass(frozen=True, slots=True)
class Failed:
    """A renewal that came to nothing. `unsure`: some try ended without an answer, so the token may be redeemed."""

    refusal: Refusal
    unsure: bool


class Redeemer:
    """Of one account; to be used by who holds its lease. `path` is where an answer is noted."""

    def __init__(self, path: Path, post: Post, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._path, self._post, self._now, self._sleep = path, post, now, sleep

    def redeem(self, held: Credential, requests: tuple[Request, ...], tries: int) -> Credential | Failed:
        """Send it to each address where it may belong, in order; dead is only what is dead at all of them."""
        worst, unsure = Refusal("later", "there was nowhere to send it"), False
        for request in requests:
            outcome, broken = self._send(held, request, tries)
            unsure |= broken
            if isinstance(outcome, Credential):
                return outcome
            if outcome.cause in ("later", "blocked"):
                return Failed(outcome, unsure)
            worst = worst if worst.cause == "dead" else outcome
        return Failed(worst, unsure)

    def _send(self, held: Credential, request: Request, tries: int) -> tuple[Credential | Refusal, bool]:
        """The outcome, and whether some try ended without an answer."""
        begun, broken = self._now(), False
        outcome: Credential | Refusal = Refusal("later", "no answer")
        for n in range(tries):
            if n:
                self._sleep(PAUSE * 2 ** (n - 1))
            try:
                reply = self._post(request)
            except UpstreamFailed as error:
                outcome, again = Refusal("later", str(error), error.wait), True
            else:
                if reply.status == 200:
                    self._note(held, reply.body)
                outcome = login.read_refresh(held, reply, self._now())
                again = reply.status >= 500
            broken |= again
            if not again or not 0 <= self._now() - begun < PATIENCE:
                break
        return outcome, broken

    def _note(self, held: Credential, answer: bytes) -> None:
        note = {"of": fingerprint(held.refresh), "at": self._now(), "answer": answer.decode("utf-8", "replace")}
        with contextlib.suppress(OSError):  # then the renewed login is where it goes next, or nowhere
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, files.PRIVATE_FILE)
            try:
                os.write(handle, json.dumps(note).encode())
            finally:
                os.close(handle)

    def noted(self, held: Credential) -> Credential | None:
        """What came of this very token, if it was sent by somebody who has died since."""
        try:
            note = files.read_json(self._path, patient=False)
        except files.Unreadable:
            return None
        if note.get("of") != fingerprint(held.refresh):
            return None
        at = note.get("at")
        reply = Reply(200, {}, str(note.get("answer")).encode())
        outcome = login.read_refresh(held, reply, at if isinstance(at, float) else time.time())
        return outcome if isinstance(outcome, Credential) else None

    def forget(self) -> None:
        """The answer is where it belongs."""
        with contextlib.suppress(OSError):
            self._path.unlink()
