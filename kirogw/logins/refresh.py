"""One account's login, kept fresh: renewed ahead of its end, by one thread of one process at a time, and never lost.

The order of a renewal is what protects a refresh token that works only once:

1. under the lock of this process and the lease among processes and machines, the source is read again: perhaps it is
   done already;
2. a note that the token leaves is in the store (which also shows that the store takes what will come back);
3. the token is sent, and the answer noted as soon as it is here;
4. the new tokens are on the disk, at their source or in the store, before anybody sees them;
5. a refusal counts only if the source, read once more, still holds the token that was refused.

A process that dies in between leaves its notes. Its successor takes the answer from there; if there is none, it tries
the old token all the same (a service that rotates with grace takes it), and if that is refused, the owner is told that
the login was lost, and how.

The lease is that of the token, not of the account: a login that lies in two places is renewed once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kirogw import log
from kirogw.convert import Providers
from kirogw.dialects.credential import Credential, fingerprint
from kirogw.dialects.provider import Refusal
from kirogw.errors import GatewayError, NeedsLogin, UpstreamFailed
from kirogw.logins import files, tokens
from kirogw.logins.lease import Lease, NoLease, pause
from kirogw.logins.memory import Memory, NotKept
from kirogw.logins.record import Record
from kirogw.logins.redeem import Failed, Post, Redeemer
from kirogw.logins.source import Changed, Source
from kirogw.logins.view import View, Viewer
from kirogw.settings import Settings
from kirogw.store import StoreFailed
from kirogw.wire import Request

WAIT: Final = 60.0  # seconds for another process that renews, when nothing serves meanwhile
ROUNDS: Final = 4  # times that somebody else may change the source while we renew
AGAIN: Final = 2.0  # seconds between two renewals that are begun beside requests, while others may be at it
NOTHING_NEW: Final = Failed(Refusal("later", "the answer held no new access token"), False)
TRIES: Final = 3  # of one request, when nothing serves meanwhile


class Keeper(Viewer):
    """Safe for all threads. `post` raises UpstreamFailed when there is no answer; `chance` (0 to 1) is this process's
    place in the spread of renewals.
    """

    def __init__(self, source: Source, settings: Settings, memory: Memory, post: Post, *, now: Callable[[], float],
                 sleep: Callable[[float], None] = pause, chance: float = 0.0, marks: Callable[[], object] = tuple,
                 patient: Callable[[], bool] = lambda: False, providers: Providers | None = None) -> None:  # fmt: skip
        super().__init__(source, memory, now, marks, patient)
        self._settings, self._sleep, self._chance = settings, sleep, chance
        self._providers, note = providers or Providers(settings), memory.old.with_suffix(".answer")
        self._redeemer = Redeemer(note, self._providers, post, now, sleep, memory.safe, source.private)
        self._unsaved: tuple[str, Credential] | None = None  # the refresh token redeemed, and what came of it
        self._begun = 0.0  # when a renewal was last begun beside the requests

    def fresh(self) -> Credential:
        """The login, renewed if it is due. While a renewal fails and the token lives, that one.

        Raises NeedsLogin, or UpstreamFailed when nothing serves just now.
        """
        held, now = self.held(), self._now()
        if held is None:
            raise self._no_login()
        if self._serves(held, "", now):
            return held
        living = tokens.alive(held, now)
        if living and self._barred(held, self.memory, True):
            return held
        if living and self._patient():
            self._renew_beside(held, now)
            return held
        return self._renew("", held if living else None)

    def _renew_beside(self, living: Credential, now: float) -> None:
        """In a thread of its own, since what lives serves meanwhile."""
        if not 0 <= now - self._begun < AGAIN:
            self._begun = now
            threading.Thread(target=self._renewed_beside, args=(living,), daemon=True).start()

    def _renewed_beside(self, living: Credential) -> None:
        try:
            self._renew("", living)
        except GatewayError as error:
            log.logger.debug("account %s: the token that lives goes on serving: %s", self.id, error)

    def renew(self, spent: str, forced: bool = False) -> Credential:
        """Another access token than `spent`, which the service refused. If there is one already, nothing is sent.

        `forced`: somebody wants it tried although it failed lately.
        """
        return self._renew(spent, None, forced)

    def due(self) -> bool:
        held = self.held()
        return held is not None and tokens.due(held, self._now(), self._settings.refresh_ahead, self._chance)

    def barred(self) -> GatewayError | None:
        """Why the login is not renewed just now, if it is not; for whoever shows the accounts."""
        held = self.held()
        return self._barred(held, self.memory, tokens.alive(held, self._now())) if held else None

    # deciding

    def _serves(self, held: Credential, spent: str, now: float) -> bool:
        """Whether it can be given out: not if it was refused, nor if it is due (after a refusal it need only live)."""
        if held.access == spent or not tokens.alive(held, now):
            return False
        return bool(spent) or not tokens.due(held, now, self._settings.refresh_ahead, self._chance)

    def _barred(self, held: Credential, known: Record, living: bool) -> GatewayError | None:
        """Why a renewal is not worth a try just now: this very token was refused, or the last one failed lately."""
        now = self._now()
        if known.refused and known.refused == fingerprint(held.refresh) and known.refused_by == self._way(held):
            return self._dead(known) if 0 <= now - known.refused_at < tokens.REFUSED_FOR else None
        left = known.failed_at + tokens.pause(known.failures, living, known.hint) - now if known.failures else 0.0
        return self._failing(known, left) if 0 < left <= tokens.LONGEST_WAIT else None

    def _way(self, held: Credential) -> str:
        """Where and as which client it is renewed: refused on one way it may be taken on another, once that is set."""
        try:
            requests = self._providers.of(held.kind).refresh_requests(held, "")
        except NeedsLogin:
            return ""
        addresses = " ".join(request.url for request in requests)
        return f"{addresses} {fingerprint(held.client_id + held.client_secret)}"

    def _no_login(self) -> GatewayError:
        if self.away:
            return UpstreamFailed(f"account {self.id} can not be used just now: {self.problem}", wait=2.0)
        return NeedsLogin(f"account {self.id} has no login: {self.problem}{self.mend}")

    def _dead(self, known: Record) -> NeedsLogin:
        how = f"the service refuses to renew it ({known.why})"
        if known.lost:
            how = (f"a renewal was cut off before its answer was on the disk, and now {how}:"
                   " the new token was lost on the way")  # fmt: skip
        return NeedsLogin(f"account {self.id} needs a login, because {how}; {self.source.mend}")

    def _failing(self, known: Record, wait: float) -> UpstreamFailed:
        return UpstreamFailed(
            f"account {self.id} could not be renewed ({known.why}); the gateway tries again by itself, and you may try"
            " again in a moment", wait=wait,
        )  # fmt: skip

    # renewing

    def _renew(self, spent: str, living: Credential | None, forced: bool = False) -> Credential:
        """Renew, or wait for whoever does. `living`: what serves meanwhile, so that nobody need wait."""
        seen, wait, got = self._view, 0.0 if living else WAIT, None
        if self._lock.acquire(timeout=wait) if wait else self._lock.acquire(blocking=False):
            try:
                view = self._view
                if view is not seen and view and self._serves(view.held, spent, self._now()):
                    return view.held  # by another thread, while this one was waiting
                got = self._renew_in_turn(spent, wait, forced)
            except NoLease as error:
                if living is None:
                    raise UpstreamFailed(f"account {self.id} can not be renewed: {error}") from error
            finally:
                self._lock.release()
        if got or living:
            return got or living  # type: ignore[return-value]
        raise UpstreamFailed(
            f"another process has been renewing account {self.id} for long; try again in a moment", wait=2.0
        )

    def _renew_in_turn(self, spent: str, wait: float, forced: bool) -> Credential | None:
        """Under the lease of the token that the source shows; None when that can not be had. The lock is ours."""
        for _ in range(ROUNDS):
            if isinstance(view := self._newest(spent), Credential):
                return view
            if self._done(view, spent):
                return view.held
            lease = Lease(self._memory.store, f"refresh:{fingerprint(view.raw.refresh)}")
            with lease.held(wait, self._sleep) as mine:
                if not mine:
                    return None
                with contextlib.suppress(Changed):
                    return self._renew_alone(spent, forced, lease, view.raw.refresh)
        raise UpstreamFailed(
            f"another program keeps changing the login in {self.source.place}; try again in a moment", wait=5.0
        )

    def _newest(self, spent: str) -> View | Credential:
        """What the source holds now; if it can not be read, a login that was read before and still lives."""
        try:
            return self._read()
        except files.Unreadable:
            last = self._view.held if self._view else None
            if last and last.access != spent and tokens.alive(last, self._now()):
                return last
            raise self._no_login() from None

    def _done(self, view: View, spent: str) -> bool:
        return view.held.kind == "key" or self._serves(view.held, spent, self._now())

    def _renew_alone(self, spent: str, forced: bool, lease: Lease, token: str) -> Credential:
        """Steps 1 to 5; the lock is ours, and so is the lease for what came of `token`. Raises Changed when that is not
        what is to be renewed any more.
        """
        if isinstance(view := self._newest(spent), Credential):
            return view
        if self._done(view, spent):
            return view.held
        if view.raw.refresh != token:
            raise Changed
        living = view.held.access != spent and tokens.alive(view.held, self._now())
        try:
            return self._renewed(view, living, forced, lease)
        except GatewayError as error:
            if not living:
                raise
            log.logger.debug("account %s: the token that lives goes on serving: %s", self.id, error)
            return view.held

    def _renewed(self, view: View, living: bool, forced: bool, lease: Lease) -> Credential:
        """Raises GatewayError, or Changed when the source holds another login by now."""
        if self._unsaved and self._unsaved[0] == view.held.refresh:
            return self._keep(view, self._unsaved[1])
        if noted := self._noted(view):
            self._keep(view, noted)
            raise Changed  # it may be old by now
        if not forced and (error := self._barred(view.held, view.record, living)):
            raise error
        outcome = self._redeem(view, living, lease)
        if isinstance(outcome, Credential):
            kept = self._keep(view, outcome)
            if kept.access != view.held.access:
                return kept
            raise self._refused(self._view or view, NOTHING_NEW, living)  # the refresh token may be another by now
        with contextlib.suppress(files.Unreadable):
            if self._read().held.refresh != view.held.refresh:
                raise Changed
        raise self._refused(view, outcome, living)

    def _noted(self, view: View) -> Credential | None:
        """The answer to a renewal that somebody began and did not live to finish."""
        noted = self._redeemer.noted(view.held)
        if noted is None or noted.refresh == view.held.refresh:
            return None
        log.logger.info("account %s: the answer to a renewal that was cut off has been found", self.id)
        return noted

    def _redeem(self, view: View, living: bool, lease: Lease) -> Credential | Failed:
        """Steps 2 and 3. Raises GatewayError when it can not be sent at all."""
        held = view.held
        if held.client_ends is not None and held.client_ends <= self._now():
            return Failed(Refusal("client", "its client registration has run out"), False)
        requests = self._requests(held, self._settled(view.raw, view.record).machine)
        mark = fingerprint(held.refresh)
        hanging = self._mark_sent(view, mark)
        self._unchanged(view)
        outcome = self._redeemer.redeem(held, requests, 1 if living else TRIES, lease.still)
        return replace(outcome, unsure=True) if hanging and isinstance(outcome, Failed) else outcome

    def _unchanged(self, view: View) -> None:
        """The note took its time: whoever else renews may have done so. Raises Changed."""
        with contextlib.suppress(files.Unreadable):
            if self.source.read().refresh != view.raw.refresh:
                raise Changed

    def _requests(self, held: Credential, machine: str) -> tuple[Request, ...]:
        try:
            return self._providers.of(held.kind).refresh_requests(held, machine)
        except NeedsLogin as error:
            raise NeedsLogin(f"account {self.id} can not be renewed: {error}") from None

    def _mark_sent(self, view: View, mark: str) -> bool:
        """The note that the token leaves, on the disk; whether there was one already, so that an earlier renewal never
        came to its end. Raises UpstreamFailed: then nothing has been sent, and nothing can be lost.
        """
        hanging = view.record.sent == mark
        try:
            if self.source.private:
                self._memory.safe.seal(b"")  # what comes back will have to be
            self._change(view, lambda known: replace(known, sent=mark, sent_at=self._now()))
        except (NotKept, StoreFailed, files.Unreadable) as error:
            raise UpstreamFailed(
                f"account {self.id} is not renewed, because the new token could not be kept ({error})"
            ) from error
        return hanging

    def _keep(self, view: View, new: Credential) -> Credential:
        """Put the new tokens on the disk, then give them out. Raises Changed or UpstreamFailed."""
        self._unsaved, saved = None, False
        with self._warned(f"{self.source.place} can not be written; the renewed login is kept in the store"):
            saved = self.source.save(new, view.raw.refresh)
        instead_of = "" if saved else view.raw.refresh
        try:
            after = self._change(view, lambda known: known.renewed(new, instead_of))
        except (NotKept, files.Unreadable) as error:
            if not saved:
                self._unsaved = (view.held.refresh, new)
                raise UpstreamFailed(
                    f"the renewed login of account {self.id} could not be saved ({error}); make room on the disk, or"
                    " mend its permissions, before the gateway stops"
                ) from error
            after = self._settled(view.raw, view.record).renewed(new, instead_of)
            log.logger.warning("account %s: its record can not be written: %s", self.id, error)
        if not (self.source.private and self._settings.state_url):
            self._redeemer.forget()  # else it stays until the next one: a Redis that crashes may lose its last second
        self._show(View(view.raw, after, new), next(self._tickets))  # no stamp: the next look reads it
        if new.access != view.held.access:
            until = "an unknown time" if new.expires_at is None else f"{new.expires_at - self._now():.0f} s"
            log.logger.info("account %s: renewed for %s", self.id, until)
        return new

    def _refused(self, view: View, failed: Failed, living: bool) -> GatewayError:
        """Remember a renewal that failed, and say so. `living`: the access token still serves."""
        now, refusal, mark = self._now(), failed.refusal, fingerprint(view.held.refresh)

        def change(known: Record) -> Record:
            if refusal.cause in ("later", "blocked"):
                return replace(known, failures=known.failures + 1, failed_at=now, why=refusal.reason,
                               hint=refusal.wait or 0.0, sent=mark if failed.unsure else "",
                               sent_at=now if failed.unsure else 0.0)  # fmt: skip
            return replace(known, refused=mark, refused_at=now, lost=failed.unsure, failures=0, why=refusal.reason,
                           refused_by=self._way(view.held), sent="", sent_at=0.0)  # fmt: skip

        new = change(self._settled(view.raw, view.record))
        self._show(replace(view, record=new, stamp=None), next(self._tickets))
        with self._warned("a renewal that failed can not be noted"):
            new = self._change(view, change)
        error = self._failing(new, tokens.pause(new.failures, living, new.hint)) if new.failures else self._dead(new)
        log.logger.warning("%s", error)
        return error
