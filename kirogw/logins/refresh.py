"""One account's login, kept fresh: renewed ahead of its end, by one thread of one process at a time, and never lost.

The order of a renewal is what protects a refresh token that works only once:

1. under the lock of this process and the lease among processes, the source is read again: perhaps it is done already;
2. a note that the token leaves is put on the disk (which also shows that the disk takes what will come back);
3. the token is sent, and the answer noted as soon as it is here;
4. the new tokens are on the disk, at their source or in the record, before anybody sees them;
5. a refusal counts only if the source, read once more, still holds the token that was refused.

A process that dies in between leaves its notes. Its successor takes the answer from there; if there is none, it tries
the old token all the same (a service that rotates with grace takes it), and if that is refused, the owner is told that
the login was lost, and how.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from kirogw import log
from kirogw.dialects.kiro import login
from kirogw.dialects.kiro.credential import Credential, fingerprint, machine_id
from kirogw.dialects.kiro.login import Refusal
from kirogw.errors import GatewayError, NeedsLogin, UpstreamFailed
from kirogw.logins import files, record, tokens
from kirogw.logins.lease import Lease, NoLease, pause
from kirogw.logins.record import Record
from kirogw.logins.redeem import Failed, Post, Redeemer
from kirogw.logins.sources import Changed, Source
from kirogw.settings import Settings
from kirogw.wire import Request

LOOK: Final = 5.0  # seconds between two looks at whether the IDE or the command line has changed its login
WAIT: Final = 60.0  # seconds for another process that renews, when nothing serves meanwhile
SHORT_WAIT: Final = 5.0  # seconds for a lease that is needed only to write a note
ROUNDS: Final = 4  # times that somebody else may change the source while we renew
TRIES: Final = 3  # of one request, when nothing serves meanwhile


@dataclass(frozen=True, slots=True)
class View:
    """What was read at one moment: the login as the source has it, our record, and the login in force by the two."""

    raw: Credential
    record: Record
    held: Credential
    stamp: object = None


class Keeper:
    """Safe for all threads. `post` raises UpstreamFailed when there is no answer; `chance` (0 to 1) is this process's
    place in the spread of renewals.
    """

    def __init__(self, source: Source, settings: Settings, home: Path, post: Post, *, now: Callable[[], float],
                 sleep: Callable[[float], None] = pause, chance: float = 0.0) -> None:  # fmt: skip
        self.source = source
        self.problem = ""  # why the source gives no login
        self.missing = False  # nobody is signed in there
        self._settings, self._now, self._sleep, self._chance = settings, now, sleep, chance
        self._path = home / "logins" / f"{source.id}.json"
        self._lease = Lease(home / "locks" / f"{source.id}.lock")
        self._redeemer = Redeemer(home / "logins" / f"{source.id}.answer", post, now, sleep)
        self._lock = threading.Lock()
        self._view: View | None = None  # replaced whole
        self._looked = 0.0
        self._unsaved: tuple[str, Credential] | None = None  # the refresh token redeemed, and what came of it

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def memory(self) -> Record:
        """What is remembered of the account, as last read."""
        return self._view.record if self._view else Record()

    def held(self) -> Credential | None:
        """The login in force, alive or not; None when nobody is signed in. Looks at the source when it has changed.

        One that can not be read any more goes on serving as it was last read.
        """
        now, view = self._now(), self._view
        if view is None or not 0 <= now - self._looked < LOOK:
            self._looked = now
            if view is None or self._stamps() != view.stamp:
                with contextlib.suppress(files.Unreadable):
                    self._read()
        return self._view.held if self._view else None

    def fresh(self) -> Credential:
        """The login, renewed if it is due. While a renewal fails and the token lives, that one.

        Raises NeedsLogin, or UpstreamFailed when nothing serves just now.
        """
        held, now = self.held(), self._now()
        if held is None:
            raise self._no_login(self.problem)
        if self._serves(held, "", now):
            return held
        living = tokens.alive(held, now)
        if living and self._barred(held, self.memory, True):
            return held
        return self._renew("", held if living else None)

    def renew(self, spent: str) -> Credential:
        """Another access token than `spent`, which the service refused. If there is one already, nothing is sent."""
        return self._renew(spent, None)

    def due(self) -> bool:
        held = self.held()
        return held is not None and tokens.due(held, self._now(), self._settings.refresh_ahead, self._chance)

    def barred(self) -> GatewayError | None:
        """Why the login is not renewed just now, if it is not; for whoever shows the accounts."""
        held = self.held()
        return self._barred(held, self.memory, tokens.alive(held, self._now())) if held else None

    def machine(self) -> str:
        """The account's machine id, the same for ever. It is made of the first token that is seen."""
        if not self.memory.machine:
            self.note()
        return self.memory.machine

    def note(self, **members: Any) -> None:
        """Remember something of the account: on the disk if possible, else in this process only."""
        with self._lock, self._warned("what was learned of the account can not be kept"):
            self._remember(members)
            with self._lease.held(SHORT_WAIT, self._sleep) as mine:
                self._read()
                new = self._remember(members)
                if mine:
                    record.write(self._path, new)

    def _remember(self, members: dict[str, Any]) -> Record:
        view = self._view or self._read()
        new = replace(_settled(view), **members)
        self._view = replace(view, record=new)
        return new

    # reading

    def _stamps(self) -> object:
        with contextlib.suppress(OSError):
            kept = self._path.stat()
            return self.source.stamp(), kept.st_mtime_ns, kept.st_ino
        return self.source.stamp(), 0, 0

    def _read(self) -> View:
        """Raises files.Unreadable."""
        stamp = self._stamps()
        try:
            raw = self.source.read()
        except files.Unreadable as error:
            self.problem, self.missing = str(error), isinstance(error, files.Missing)
            raise
        known = self._read_record()
        self.problem, self.missing, self._view = "", False, View(raw, known, known.over(raw), stamp)
        return self._view

    def _read_record(self) -> Record:
        try:
            return record.read(self._path)
        except files.Unreadable as error:
            aside = self._path.with_suffix(".damaged")
            log.logger.error("account %s: %s; it is put aside as %s", self.id, error, aside.name)
            with contextlib.suppress(OSError):
                self._path.replace(aside)
            return Record()

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
            addresses = " ".join(request.url for request in login.refresh_requests(held, self._settings, ""))
        except NeedsLogin:
            return ""
        return f"{addresses} {fingerprint(held.client_id + held.client_secret)}"

    def _no_login(self, why: str) -> NeedsLogin:
        return NeedsLogin(f"account {self.id} has no login: {why}; {self.source.mend}")

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

    def _renew(self, spent: str, living: Credential | None) -> Credential:
        """Renew, or wait for whoever does. `living`: what serves meanwhile, so that nobody need wait."""
        seen, wait = self._view, 0.0 if living else WAIT
        if self._lock.acquire(timeout=wait) if wait else self._lock.acquire(blocking=False):
            try:
                view = self._view
                if view is not seen and view and self._serves(view.held, spent, self._now()):
                    return view.held  # by another thread, while this one was waiting
                with self._lease.held(wait, self._sleep) as mine:
                    if mine:
                        return self._renew_alone(spent)
            except NoLease as error:
                if living is None:
                    raise UpstreamFailed(f"account {self.id} can not be renewed: {error}") from error
            finally:
                self._lock.release()
        if living:
            return living
        raise UpstreamFailed(
            f"another process has been renewing account {self.id} for long; try again in a moment", wait=2.0
        )

    def _renew_alone(self, spent: str) -> Credential:
        """Steps 1 to 5; the lock and the lease are ours."""
        for _ in range(ROUNDS):
            try:
                view = self._read()
            except files.Unreadable as error:
                last = self._view.held if self._view else None
                if last and last.access != spent and tokens.alive(last, self._now()):
                    return last
                raise self._no_login(str(error)) from None
            held, now = view.held, self._now()
            if self._serves(held, spent, now) or held.kind == "key":
                return held
            living = held.access != spent and tokens.alive(held, now)
            try:
                return self._renewed(view, living)
            except Changed:
                continue
            except GatewayError as error:
                if not living:
                    raise
                log.logger.debug("account %s: the token that lives goes on serving: %s", self.id, error)
                return held
        raise UpstreamFailed(
            f"another program keeps changing the login in {self.source.place}; try again in a moment", wait=5.0
        )

    def _renewed(self, view: View, living: bool) -> Credential:
        """Raises GatewayError, or Changed when the source holds another login by now."""
        if self._unsaved and self._unsaved[0] == view.held.refresh:
            return self._keep(view, self._unsaved[1])
        if noted := self._noted(view):
            self._keep(view, noted)
            raise Changed  # it may be old by now
        if error := self._barred(view.held, view.record, living):
            raise error
        outcome = self._redeem(view, living)
        if isinstance(outcome, Credential):
            return self._keep(view, outcome)
        with contextlib.suppress(files.Unreadable):
            if self._read().held.refresh != view.held.refresh:
                raise Changed
        raise self._refused(view, outcome, living)

    def _noted(self, view: View) -> Credential | None:
        """The answer to a renewal that somebody began and did not live to finish."""
        noted = self._redeemer.noted(view.held) if view.record.sent == fingerprint(view.held.refresh) else None
        if noted is None or noted.refresh == view.held.refresh:
            return None
        log.logger.info("account %s: the answer to a renewal that was cut off has been found", self.id)
        return noted

    def _redeem(self, view: View, living: bool) -> Credential | Failed:
        """Steps 2 and 3. Raises GatewayError when it can not be sent at all."""
        held, known = view.held, _settled(view)
        if held.client_ends is not None and held.client_ends <= self._now():
            return Failed(Refusal("client", "its client registration has run out"), False)
        requests = self._requests(held, known.machine)
        mark = fingerprint(held.refresh)
        hanging = known.sent == mark  # an earlier renewal never came to its end
        self._write(replace(known, sent=mark, sent_at=self._now()))
        outcome = self._redeemer.redeem(held, requests, 1 if living else TRIES)
        return replace(outcome, unsure=True) if hanging and isinstance(outcome, Failed) else outcome

    def _requests(self, held: Credential, machine: str) -> tuple[Request, ...]:
        try:
            return login.refresh_requests(held, self._settings, machine)
        except NeedsLogin as error:
            raise NeedsLogin(f"account {self.id} can not be renewed: {error}") from None

    def _write(self, new: Record) -> None:
        """The record, on the disk. Raises UpstreamFailed: then nothing has been sent, and nothing can be lost."""
        try:
            record.write(self._path, new)
        except OSError as error:
            raise UpstreamFailed(
                f"account {self.id} is not renewed, because {self._path.parent} takes no files ({error.strerror})"
                " and the new token could not be kept; make room there, or mend its permissions"
            ) from error

    def _keep(self, view: View, new: Credential) -> Credential:
        """Put the new tokens on the disk, then give them out. Raises Changed or UpstreamFailed."""
        self._unsaved, saved = None, False
        with self._warned(f"{self.source.place} can not be written; the renewed login is kept in KIROGW_HOME"):
            saved = self.source.save(new, view.raw.refresh)
        after = _settled(view).renewed(new, "" if saved else view.raw.refresh)
        try:
            record.write(self._path, after)
        except OSError as error:
            if not saved:
                self._unsaved = (view.held.refresh, new)
                raise UpstreamFailed(
                    f"the renewed login of account {self.id} could not be saved ({error.strerror}); make room on the"
                    " disk, or mend its permissions, before the gateway stops"
                ) from error
            log.logger.warning("account %s: its record can not be written: %s", self.id, error.strerror)
        self._redeemer.forget()
        self._view = View(view.raw, after, new)  # without a stamp: the next look reads what was written
        log.logger.info("account %s: renewed for %.0f s", self.id, (new.expires_at or 0.0) - self._now())
        return new

    def _refused(self, view: View, failed: Failed, living: bool) -> GatewayError:
        """Remember a renewal that failed, and say so. `living`: the access token still serves."""
        now, refusal, known = self._now(), failed.refusal, _settled(view)
        sent = fingerprint(view.held.refresh) if failed.unsure else ""
        if refusal.cause in ("later", "blocked"):
            new = replace(known, failures=known.failures + 1, failed_at=now, why=refusal.reason,
                          hint=refusal.wait or 0.0, sent=sent, sent_at=now if sent else 0.0)  # fmt: skip
        else:
            new = replace(known, refused=fingerprint(view.held.refresh), refused_at=now, lost=failed.unsure, failures=0,
                          refused_by=self._way(view.held), why=refusal.reason, sent="", sent_at=0.0)  # fmt: skip
        with self._warned("a renewal that failed can not be noted"):
            record.write(self._path, new)
        self._view = replace(view, record=new, stamp=None)
        error = self._failing(new, tokens.pause(new.failures, living, new.hint)) if new.failures else self._dead(new)
        log.logger.warning("%s", error)
        return error

    @contextlib.contextmanager
    def _warned(self, what: str) -> Iterator[None]:
        """A disk that does not take something: said in the log, and no reason to stop."""
        try:
            yield
        except (OSError, files.Unreadable, NoLease) as error:
            why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
            log.logger.warning("account %s: %s (%s)", self.id, what, why)


def _settled(view: View) -> Record:
    """The record with its machine id."""
    return view.record if view.record.machine else replace(view.record, machine=machine_id(view.raw))
