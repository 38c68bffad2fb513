"""Accounts in the store: logins that the gateway holds itself, and what its owner has set for any account.

Kind `account`: `{"label", "enabled", "weight", "limit", "created_at", "source", "login", "was"}`. `login` is
the sealed credential, absent for an account that is found on the machine or in the settings and has only been given a
name or a weight. `was` holds the fingerprints of the refresh tokens that this login has had, the newest last: one that
is brought in again is known by it, spent or not.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from kirogw.dialects.credential import KINDS, Credential, fingerprint
from kirogw.errors import BadRequest, NotFound
from kirogw.logins import files
from kirogw.logins.memory import LOGIN, Away
from kirogw.logins.sealed import Safe
from kirogw.logins.source import Changed
from kirogw.store import Conflict, Delete, Doc, Store, StoreFailed
from kirogw.wire import Json

ACCOUNT: Final = "account"
MENDS: Final = {
    # the beginning of an account's id, which is the kind of the login that it was made with
    "codex": "sign in again with `kirogw.py login codex`", "siwc": "sign in again with `kirogw.py login chatgpt`",
}  # fmt: skip
MEND: Final = "sign in again with `kirogw.py login kiro`"
TRIES: Final = 50
WAS: Final = 64  # refresh tokens that are remembered; there is one an hour at most
LONGEST_LABEL: Final = 100
HEAVIEST: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account's owner has set for it. `limit`: answers at once, None for that of the settings."""

    label: str = ""
    enabled: bool = True
    weight: float = 1.0
    limit: int | None = None
    source: str = ""
    created_at: float = 0.0


def terms(members: Mapping[str, Any]) -> Terms:
    """As kept. Members of a wrong type count as missing."""
    label, weight, limit, made = (members.get(name) for name in ("label", "weight", "limit", "created_at"))
    return Terms(
        label=label[:LONGEST_LABEL] if isinstance(label, str) else "", enabled=members.get("enabled") is not False,
        weight=float(weight) if _number(weight) and 0 <= weight <= HEAVIEST else 1.0,  # type: ignore[operator, arg-type]
        limit=limit if type(limit) is int and limit >= 0 else None,
        source=str(members.get("source") or ""),
        created_at=float(made) if _number(made) else 0.0,  # type: ignore[arg-type]
    )  # fmt: skip


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def packed(credential: Credential) -> bytes:
    known = {name: value for name, value in asdict(credential).items() if value not in ("", None, ())}
    return json.dumps(known).encode()


def unpacked(data: bytes) -> Credential:
    """Raises ValueError for what is no credential. Members of a newer version are left out."""
    members = json.loads(data)
    if not isinstance(members, dict) or members.get("kind") not in KINDS:
        raise ValueError("no login")
    shapes = {field.name: getattr(EMPTY, field.name) for field in fields(Credential)}
    return Credential(**{name: _shaped(value, shapes[name]) for name, value in members.items() if name in shapes})


EMPTY: Final = Credential("social")


def _shaped(value: Any, like: Any) -> Any:
    if like is None:
        return float(value) if _number(value) else None
    if isinstance(like, tuple):
        return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
    return value if isinstance(value, str) else ""


def seed(credential: Credential) -> str:
    """What tells this login from others: the fingerprint of what renews it, or of the key."""
    return fingerprint(credential.refresh or credential.access)


@dataclass(frozen=True)
class Held:
    """An account in the store, as a source of its login."""

    id: str
    book: Book
    private = True  # its tokens lie nowhere in the clear

    @property
    def mend(self) -> str:
        return MENDS.get(self.id.partition("-")[0], MEND)

    @property
    def place(self) -> str:
        return self.book.store.place

    def stamp(self) -> object:
        return 0  # whoever reads looks at the store's marks besides

    def read(self) -> Credential:
        doc = self.book.doc(self.id)
        if doc is None or "login" not in doc.value:
            raise files.Missing(f"account {self.id} is not in {self.place} any more")
        return self.book.opened(self.id, doc)

    def save(self, credential: Credential, before: str) -> bool:
        """What the owner sets at the same moment is kept; a login that he brings in at the same moment wins."""

        def change(doc: Doc) -> Json:
            if "login" not in doc.value or self.book.opened(self.id, doc).refresh != before:
                raise Changed
            return self.book.with_login(doc.value, credential)

        try:
            self.book.change(self.id, change)
        except NotFound:
            raise Changed from None
        except StoreFailed as error:
            raise OSError(0, str(error)) from error
        return True


@dataclass(frozen=True)
class Book:
    """The accounts in the store. Raises StoreFailed, and sealed.Unsealable for a login that can not be opened."""

    store: Store
    safe: Safe
    now: Callable[[], float]

    def doc(self, id: str) -> Doc | None:
        try:
            return self.store.get(ACCOUNT, id)
        except StoreFailed as error:
            raise Away(str(error)) from None

    def opened(self, id: str, doc: Doc) -> Credential:
        try:
            return unpacked(self.safe.open(str(doc.value["login"])))
        except ValueError:
            raise files.Unreadable(f"what is kept of account {id} is no login") from None

    def with_login(self, value: Json, credential: Credential) -> Json:
        was = [mark for mark in _was(value) if mark != seed(credential)]
        return {**value, "login": self.safe.seal(packed(credential)), "was": [*was, seed(credential)][-WAS:]}

    def change(self, id: str, change: Callable[[Doc], Json]) -> None:
        """Put `change` of the document in its place; on the disk when this returns. Raises NotFound."""
        for _ in range(TRIES):
            if (doc := self.store.get(ACCOUNT, id)) is None:
                raise NotFound(f"there is no account {id}")
            if (new := change(doc)) == doc.value:
                return
            with contextlib.suppress(Conflict):
                self.store.put(ACCOUNT, id, new, if_version=doc.version)
                return
        raise StoreFailed(f"account {id} is changed by others all the time; try again")

    def add(self, credential: Credential, label: str, source: str, id: str) -> str:
        """Its id. A login of somebody who has an account here already renews that one, and what is set for it stays.
        One that this account has had before changes nothing: what came of it is kept.
        """
        for _ in range(TRIES):
            docs = self.store.all(ACCOUNT)
            at = id or self._same(docs, credential) or f"{credential.kind}-{seed(credential)[:8]}"
            doc = docs.get(at)
            if doc and "login" in doc.value and seed(credential) in _was(doc.value):
                return at
            value = doc.value if doc else {"enabled": True, "weight": 1.0, "limit": None, "created_at": self.now()}
            known = terms(value)
            value = {**value, "label": known.label or label, "source": source or known.source}
            with contextlib.suppress(Conflict):
                self.store.put(ACCOUNT, at, self.with_login(value, credential), if_version=doc.version if doc else 0)
                return at
        raise StoreFailed("the accounts are changed by others all the time; try again")

    def _same(self, docs: Mapping[str, Doc], credential: Credential) -> str:
        """The account that is this login's already, "" for none."""
        for id, doc in docs.items():
            if seed(credential) in _was(doc.value):
                return id
        if not (credential.email or credential.user):
            return ""
        return next((id for id, doc in docs.items() if "login" in doc.value and self._is_of(id, doc, credential)), "")

    def _is_of(self, id: str, doc: Doc, credential: Credential) -> bool:
        try:
            return _same_owner(self.opened(id, doc), credential)
        except files.Unreadable:
            return False

    def set(self, id: str, members: Json) -> None:
        """For an account in the store or one that is found: `members` of its document."""
        for _ in range(TRIES):
            with contextlib.suppress(NotFound):
                return self.change(id, lambda doc: {**doc.value, **members})
            with contextlib.suppress(Conflict):
                self.store.put(ACCOUNT, id, {"created_at": self.now(), **members}, if_version=0)
                return None
        raise StoreFailed(f"account {id} is changed by others all the time; try again")

    def remove(self, id: str) -> None:
        self.store.apply([Delete(ACCOUNT, id), Delete(LOGIN, id)])


def _was(value: Mapping[str, Any]) -> list[str]:
    was = value.get("was")
    return [mark for mark in was if isinstance(mark, str)] if isinstance(was, list) else []


def spent(docs: Mapping[str, Doc]) -> set[str]:
    """The fingerprints of all refresh tokens that logins in the store have had."""
    return {mark for doc in docs.values() if "login" in doc.value for mark in _was(doc.value)}


def _same_owner(one: Credential, other: Credential) -> bool:
    """Whether two logins are of the same person, where they say whose they are. Several people share a workspace of
    ChatGPT, and one person may be in several.
    """
    if _where(one) != _where(other):
        return False
    if one.user and other.user:
        return one.user == other.user
    return bool(one.email) and one.email.casefold() == other.email.casefold()


def _where(credential: Credential) -> tuple[str, ...]:
    return credential.kind, credential.provider.casefold(), credential.start_url, credential.workspace


def checked(label: str | None, enabled: bool | None, weight: float | None, limit: int | None) -> Json:
    """The members that are to change. A negative limit takes it back. Raises BadRequest."""
    if label is not None and (len(label) > LONGEST_LABEL or any("\ud800" <= letter <= "\udfff" for letter in label)):
        raise BadRequest(f"a label is a text of at most {LONGEST_LABEL} characters", param="label")
    if weight is not None and not (_number(weight) and 0 <= weight <= HEAVIEST):
        raise BadRequest(f"a weight is a number from 0 to {HEAVIEST:g}", param="weight")
    if limit is not None and type(limit) is not int:
        raise BadRequest("a limit is a whole number of answers at once", param="limit")
    given = {"label": label, "enabled": enabled, "weight": weight, "limit": limit}
    members = {name: value for name, value in given.items() if value is not None}
    return {**members, "limit": None} if limit is not None and limit < 0 else members


