"""Sending a refresh token, and keeping hold of what comes back.

The answer is noted in a file, in one system call, before anything else is done with it: a process that is killed later
than that has lost nothing, for its successor finds the note. Where the login itself lies sealed, so does the note.
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

from kirogw.convert import Providers
from kirogw.dialects.credential import Credential, fingerprint
from kirogw.dialects.provider import Refusal
from kirogw.errors import UpstreamFailed
from kirogw.logins import files, sealed
from kirogw.logins.sealed import Safe
from kirogw.store import StoreFailed
from kirogw.wire import Json, Reply, Request

Post = Callable[[Request], Reply]

PAUSE: Final = 0.5  # seconds before the second try, twice that before the third
PATIENCE: Final = 10.0  # seconds; no further try after that
OTHERS: Final = Refusal("later", "another process has taken the renewal over")


@dataclass(frozen=True, slots=True)
class Failed:
    """A renewal that came to nothing. `unsure`: some try ended without an answer, so the token may be redeemed."""

    refusal: Refusal
    unsure: bool


class Redeemer:
    """Of one account; to be used by who holds the lease. `path` is where an answer is noted; `private`: sealed."""

    def __init__(self, path: Path, providers: Providers, post: Post, now: Callable[[], float],
                 sleep: Callable[[float], None], safe: Safe, private: bool) -> None:  # fmt: skip
        self._path, self._providers, self._post, self._now, self._sleep = path, providers, post, now, sleep
        self._safe, self._private = safe, private

    def redeem(self, held: Credential, requests: tuple[Request, ...], tries: int,
               ours: Callable[[], bool] = lambda: True) -> Credential | Failed:  # fmt: skip
        """Send it to each address where it may belong, in order; dead is only what is dead at all of them. Nothing more
        is sent when it is no longer `ours` to renew.
        """
        with contextlib.suppress(OSError):  # before it matters
            files.folder(self._path.parent)
        worst, unsure = Refusal("later", "there was nowhere to send it"), False
        for request in requests:
            outcome, broken = self._send(held, request, tries, ours)
            unsure |= broken
            if isinstance(outcome, Credential):
                return outcome
            if outcome.cause in ("later", "blocked"):
                return Failed(outcome, unsure)
            worst = worst if worst.cause == "dead" else outcome
        return Failed(worst, unsure)

    def _send(self, held: Credential, request: Request, tries: int,
              ours: Callable[[], bool]) -> tuple[Credential | Refusal, bool]:  # fmt: skip
        """The outcome, and whether some try ended without an answer."""
        begun, broken = self._now(), False
        outcome: Credential | Refusal = Refusal("later", "no answer")
        for n in range(tries):
            if n:
                self._sleep(PAUSE * 2 ** (n - 1))
            if not ours():
                return OTHERS, broken
            try:
                reply = self._post(request)
            except UpstreamFailed as error:
                outcome, again = Refusal("later", str(error), error.wait), True
            else:
                if reply.status == 200:
                    self._note(held, reply.body)
                outcome = self._providers.of(held.kind).read_refresh(held, reply, self._now())
                again = reply.status >= 500
                if reply.status == 200 and isinstance(outcome, Refusal):
                    self.forget()  # whatever it was, it is no login
            broken |= again
            if not again or not 0 <= self._now() - begun < PATIENCE:
                break
        return outcome, broken

    def _note(self, held: Credential, answer: bytes) -> None:
        note = {"of": fingerprint(held.refresh), "at": self._now(), "answer": answer.decode("utf-8", "replace")}
        with contextlib.suppress(OSError, sealed.Unsealable, StoreFailed):  # then it is where it goes next, or nowhere
            data = json.dumps(note).encode()
            data = self._safe.seal(data).encode() if self._private else data
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, files.PRIVATE_FILE)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)

    def noted(self, held: Credential) -> Credential | None:
        """What came of this very token, if it was sent by somebody who has died since."""
        note = self._read()
        if note.get("of") != fingerprint(held.refresh):
            return None
        at = note.get("at")
        reply = Reply(200, {}, str(note.get("answer")).encode())
        outcome = self._providers.of(held.kind).read_refresh(held, reply, at if isinstance(at, float) else time.time())
        return outcome if isinstance(outcome, Credential) else None

    def _read(self) -> Json:
        """The note, empty when there is none."""
        try:
            data = self._path.read_bytes()
            if sealed.is_sealed(text := data.decode("utf-8", "replace")):
                data = self._safe.open(text)
            note = json.loads(data)
        except (OSError, ValueError, RecursionError, files.Unreadable):
            return {}
        return note if isinstance(note, dict) else {}

    def forget(self) -> None:
        """The answer is where it belongs."""
        with contextlib.suppress(OSError):
            self._path.unlink()
