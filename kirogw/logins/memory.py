"""Where an account's record lies: in the store. A record is changed, never overwritten: whoever changes it at the same
moment keeps what he wrote.

Kind `login`, id of the account: the record, in which nothing is secret. Kind `kept`, fingerprint of the refresh token
that its source goes on showing: the renewed tokens in its place, sealed. So the same token in the settings of two
machines, or of two accounts, has one living successor.

Before there was a store, all of it lay in KIROGW_HOME/logins/<id>.json; such a file is taken over when it is met.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kirogw import log
from kirogw.dialects.credential import Credential, fingerprint, moment
from kirogw.logins import files, record
from kirogw.logins.record import Record
from kirogw.logins.sealed import Safe, Unsealable
from kirogw.store import Change, Conflict, Delete, Doc, Put, Store, StoreFailed
from kirogw.wire import Json

LOGIN: Final = "login"
KEPT: Final = "kept"
TRIES: Final = 50


class Away(files.Unreadable):
    """The store can not be asked just now."""


class NotKept(Exception):
    """The store does not take it. The message is one line for people."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one account. `old` is the file of a version without a store. Raises files.Unreadable for what can not be read,
    NotKept for what can not be written.
    """

    store: Store
    safe: Safe
    account: str
    old: Path

    def read(self, raw: Credential) -> Record:
        """What is remembered, for the login as its source has it."""
        return self._read(raw)[0]

    def change(self, raw: Credential, change: Callable[[Record], Record]) -> Record:
        """Put `change` of the newest record in its place; on the disk when this returns."""
        try:
            for _ in range(TRIES):
                now, doc, kept = self._read(raw)
                new = change(now)
                with contextlib.suppress(Conflict):
                    self.store.apply([self._put(new, doc), *self._put_kept(now, new, kept)])
                    return new
        except (StoreFailed, Unsealable) as error:
            raise NotKept(str(error)) from error
        raise NotKept(f"{self.store.place} is changed by others all the time")

    def _put(self, new: Record, doc: Doc | None) -> Put:
        return Put(LOGIN, self.account, record.written(new), if_version=doc.version if doc else 0)

    def _put_kept(self, was: Record, new: Record, kept: Doc | None) -> list[Change]:
        """Its tokens, if they have changed."""
        if new.tokens == was.tokens and new.instead_of == was.instead_of:
            return []
        if new.tokens:
            sealed = self.safe.seal(json.dumps(new.tokens).encode())
            return [Put(KEPT, new.instead_of, {"account": self.account, "sealed": sealed})]
        return [Delete(KEPT, was.instead_of)] if kept else []

    def _read(self, raw: Credential) -> tuple[Record, Doc | None, Doc | None]:
        try:
            self._take_over()
            doc, mark = self.store.get(LOGIN, self.account), fingerprint(raw.refresh)
            kept = self.store.get(KEPT, mark) if raw.refresh else None
        except StoreFailed as error:
            raise Away(str(error)) from None
        known = record.read(doc.value) if doc else Record()
        if kept:
            known = replace(known, tokens=self._opened(kept), instead_of=mark)
        return known, doc, kept

    def _opened(self, kept: Doc) -> Json:
        try:
            opened = json.loads(self.safe.open(str(kept.value.get("sealed"))))
        except ValueError:
            raise files.Unreadable(f"the renewed tokens of account {self.account} can not be read") from None
        return opened if isinstance(opened, dict) else {}

    # the files of before

    def _take_over(self) -> None:
        """What lies in the file moves to the store, and only then the file goes."""
        if not files.is_file(self.old):
            return
        try:
            found = record.read(files.read_json(self.old))
        except files.Missing:
            return  # another process was quicker
        except files.Unreadable as error:
            aside = self.old.with_suffix(".damaged")
            log.logger.error("account %s: %s; it is put aside as %s", self.account, error, aside.name)
            with contextlib.suppress(OSError):
                self.old.replace(aside)
            return
        self._moved(found)
        with contextlib.suppress(OSError):
            self.old.unlink()
        log.logger.info("account %s: its record has moved from %s to %s", self.account, self.old, self.store.place)

    def _moved(self, found: Record) -> None:
        for _ in range(TRIES):
            doc, kept = self.store.get(LOGIN, self.account), self.store.get(KEPT, found.instead_of)
            changes: list[Change] = [] if doc else [self._put(found, None)]
            if found.tokens and found.instead_of and not (kept and self._newer(kept, found)):
                sealed = self.safe.seal(json.dumps({"issued_at": found.issued_at, **found.tokens}).encode())
                value = {"account": self.account, "sealed": sealed}
                changes.append(Put(KEPT, found.instead_of, value, if_version=kept.version if kept else 0))
            with contextlib.suppress(Conflict):
                self.store.apply(changes)
                return
        raise StoreFailed(f"{self.store.place} is changed by others all the time; try again")

    def _newer(self, kept: Doc, found: Record) -> bool:
        return (moment(self._opened(kept).get("issued_at")) or 0.0) >= found.issued_at
