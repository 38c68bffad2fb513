"""Clients' keys: the main one, the owner's for administration, and named ones with terms of their own.

A named key lies in the store as its SHA-256, under its name; it is shown once, when it is made. Its 256 random bits
can not be guessed, so a slow hash would only cost time at each request. A process knows all keys by their hashes, hears
of changes through Sync within a second or two, and looks itself when it is given one that it has never seen.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Protocol

from kirogw import log
from kirogw.logins.keys import PREFIX, Key
from kirogw.routing import Rules
from kirogw.store import Doc, Store, StoreFailed
from kirogw.wire import Json

KIND: Final = "key"
SCOPES: Final = ("api", "admin")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PATTERN: Final = re.compile(r"[A-Za-z0-9._:/*?-]{1,128}")
RULE: Final = re.compile(r"[^=,>\s][^=,>]{0,127}=[^=,>\s][^=,>]{0,127}(?:>[^=,>]{1,128})*")
LISTS: Final = ("scopes", "models", "accounts", "aliases", "fallbacks")
TAKEN: Final = frozenset({"main", "admin"})
OVERLAP: Final = 86400.0  # seconds for which a key that was rotated still works, unless told otherwise
LOOK: Final = 0.2  # seconds between two looks for a key that nobody knows
FOR_EVER: Final = float("inf")
LAST: Final = 1e11  # epoch seconds, in the year 5138: the last time that a key can expire


class WrongTerms(Exception):
    """A name or term that can not be. One line for people."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; 0: no limit. `minute`: requests in any 60 seconds; days and months are UTC's."""

    minute: int = 0
    concurrent: int = 0
    day_tokens: int = 0
    day_credits: float = 0.0
    month_tokens: int = 0
    month_credits: float = 0.0


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key is good for. `models`: patterns with `*` and `?` of the catalogues' ids, empty: all; `accounts`: ids
    or labels, empty: all; `expires_at`: epoch seconds, None: never. `aliases` and `fallbacks` are written as in the
    settings, and go before them.
    """

    scopes: tuple[str, ...] = ("api",)
    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    expires_at: float | None = None
    limits: Limits = NO_LIMITS
    note: str = ""
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from. `id` tells apart keys that bore one name after another; "" for the two of the owner,
    whose use nobody counts.
    """

    name: str
    scopes: frozenset[str]
    models: tuple[str, ...] = ()
    accounts: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    id: str = ""
    _models: re.Pattern[str] | None = field(default=None, repr=False, compare=False)
    rules: Rules | None = field(default=None, repr=False, compare=False)

    def may_use(self, model: str) -> bool:
        """`model` as the catalogue calls it, with dots or dashes."""
        return self._models is None or self._models.fullmatch(_plain(model)) is not None


@dataclass(frozen=True, slots=True)
class Hash:
    """One secret of a key: its SHA-256 in hex digits, its last letters to know it by, when it ends (None: never)."""

    hash: str
    hint: str
    made_at: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A named key as it is kept. The last of its hashes is the newest."""

    name: str
    id: str
    hashes: tuple[Hash, ...]
    terms: Terms
    created_at: float
    revoked_at: float | None = None

    def caller(self) -> Caller:
        terms = self.terms
        pattern = re.compile("|".join(map(_regex, terms.models))) if terms.models else None
        accounts = frozenset(terms.accounts) or None
        rules = Rules(terms.aliases, terms.fallbacks) if terms.aliases or terms.fallbacks else None
        return Caller(self.name, frozenset(terms.scopes), terms.models, accounts, terms.limits, self.id, pattern, rules)

    def state(self, now: float) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        ends = self.terms.expires_at
        return "expired" if ends is not None and now >= ends else "active"

    def described(self, now: float) -> Json:
        """For people and programs: all of it but the hashes."""
        secrets_ = [{"hint": f"...{one.hint}", "made_at": one.made_at, "until": one.until}
                    for one in self.hashes if self.revoked_at is None and (one.until or FOR_EVER) > now]  # fmt: skip
        return {"name": self.name, "id": self.id, "state": self.state(now), **asdict(self.terms), "secrets": secrets_,
                "created_at": self.created_at, "revoked_at": self.revoked_at}  # fmt: skip


def _plain(name: str) -> str:
    return name.lower().replace(".", "-")


def _regex(pattern: str) -> str:
    return re.escape(_plain(pattern)).replace(r"\*", ".*").replace(r"\?", ".")


def _written(record: Record) -> Json:
    value = asdict(record)
    del value["name"]
    return value


def _read(name: str, value: Mapping[str, Any]) -> Record:
    """Members that a later version may have added are passed over."""
    terms = _known(Terms, value["terms"])
    terms.update((member, tuple(terms[member])) for member in LISTS if member in terms)
    terms["limits"] = Limits(**_known(Limits, terms.get("limits", {})))
    hashes = tuple(Hash(**_known(Hash, one)) for one in value["hashes"])
    return Record(name, value["id"], hashes, Terms(**terms), value["created_at"], value.get("revoked_at"))


def _known(shape: type, value: Mapping[str, Any]) -> Json:
    return {name: value[name] for name in shape.__dataclass_fields__ if name in value}  # type: ignore[attr-defined]


def check(terms: Terms) -> None:
    """Raises WrongTerms."""
    if not terms.scopes or (strange := set(terms.scopes) - set(SCOPES)):
        raise WrongTerms(f"a scope is one of {', '.join(SCOPES)}" + (f", not {min(strange)!r}" if terms.scopes else ""))
    for model in terms.models:
        if not PATTERN.fullmatch(model):
            raise WrongTerms(f"{model!r} is no model: write its id, such as claude-sonnet-4.6, or claude-* for several")
    for rule in (*terms.aliases, *terms.fallbacks):
        found = RULE.fullmatch(rule)
        if not found or (rule in terms.aliases and ">" in rule):
            raise WrongTerms(f"{rule!r} is no rule: an alias is written name=model, a chain model=next>next")
    if terms.expires_at is not None and not 0 <= terms.expires_at <= LAST:
        raise WrongTerms("a key can expire between the years 1970 and 5138; without a time it never does")
    for name, value in asdict(terms.limits).items():
        if not 0 <= value < 1e15:
            raise WrongTerms(f"the limit {name} is {value:g}, but must be a number from 0 (no limit) up")
    if terms.limits.minute > 100_000:
        raise WrongTerms("more than 100,000 requests a minute are no limit: leave it at 0")


class Register:
    """The named keys in the store, and what their owner does with them. Each change is on the disk when it returns.

    Raises WrongTerms, StoreFailed, and Conflict when somebody else changed the same key at the same moment.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now

    def all(self) -> list[Record]:
        return sorted((_read(name, doc.value) for name, doc in self._store.all(KIND).items()), key=lambda r: r.name)

    def find(self, name: str) -> Record:
        return self._find(name)[0]

    def add(self, name: str, terms: Terms) -> tuple[str, Record]:
        """A new key, and what was kept of it. A name that was revoked may be taken again."""
        if not NAME.fullmatch(name) or name in TAKEN:
            raise WrongTerms(f"{name!r} can not be a key's name: letters, digits, dot, dash and underscore, up to 64, "
                             f"and neither of {', '.join(sorted(TAKEN))}")  # fmt: skip
        check(terms)
        old = self._store.get(KIND, name)
        if old and _read(name, old.value).revoked_at is None:
            raise WrongTerms(f"there is a key {name!r} already; rotate it, or revoke it first")
        key, now = _new(), self._now()
        record = Record(name, secrets.token_hex(6), (_hash(key, now),), terms, now)
        self._keep(record, old)
        return key, record

    def change(self, name: str, **terms: Any) -> Record:
        """Other terms. `limits` are given whole."""
        record, doc = self._living(name)
        changed = replace(record, terms=replace(record.terms, **terms))
        check(changed.terms)
        self._keep(changed, doc)
        return changed

    def rotate(self, name: str, overlap: float = OVERLAP) -> tuple[str, Record]:
        """Another secret for the same key; those before it work for `overlap` seconds more."""
        record, doc = self._living(name)
        if not 0 <= overlap < 1e10:
            raise WrongTerms("the overlap is a time in seconds, 0 or more")
        key, now = _new(), self._now()
        ends = now + overlap
        old = (replace(one, until=min(ends, one.until or ends)) for one in record.hashes)
        living = tuple(one for one in old if one.until and one.until > now)
        changed = replace(record, hashes=(*living, _hash(key, now)))
        self._keep(changed, doc)
        return key, changed

    def revoke(self, name: str) -> Record:
        """From now on it opens nothing. What is known of it stays, to tell whoever still sends it."""
        record, doc = self._find(name)
        if record.revoked_at is None:
            record = replace(record, revoked_at=self._now())
            self._keep(record, doc)
        return record

    def _find(self, name: str) -> tuple[Record, Doc]:
        doc = self._store.get(KIND, name)
        if doc is None:
            raise WrongTerms(f"there is no key {name!r}; `kirogw.py keys list` shows all")
        return _read(name, doc.value), doc

    def _living(self, name: str) -> tuple[Record, Doc]:
        record, doc = self._find(name)
        if record.revoked_at is not None:
            raise WrongTerms(f"the key {name!r} has been revoked; add it anew")
        return record, doc

    def _keep(self, record: Record, old: Doc | None) -> None:
        self._store.put(KIND, record.name, _written(record), if_version=old.version if old else 0)


def _new() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _hash(key: str, now: float) -> Hash:
    return Hash(hashlib.sha256(key.encode()).hexdigest(), key[-4:], now)


class Watcher(Protocol):
    """What is asked of store.sync.Sync."""

    @property
    def deaf(self) -> bool: ...

    def watch(self, kind: str, callback: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class _Held:
    digest: bytes
    caller: Caller
    until: float
    why: str = ""  # what is wrong with it after `until`


class Keys:
    """Whose key it is that somebody holds. Safe for all threads."""

    def __init__(self, store: Store, sync: Watcher, main: Key, admin: Key,
                 now: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._store, self._sync, self._now = store, sync, now
        digests = main.digest, admin.digest
        self._own = {digest: _Held(digest, _owners(digest, main, admin), FOR_EVER) for digest in digests}
        self._known = self._own
        self._mark: tuple[int, ...] | None = None
        self._looked = -FOR_EVER
        self._lock, self._reading = threading.Lock(), threading.Lock()
        sync.watch(KIND, self.reload)

    def caller(self, given: str) -> Caller | None:
        """Whose key `given` is, as WSGI hands it down: its bytes as if they were Latin-1. None when nobody's, or when
        it is no longer good.
        """
        held = self._find(given)
        return held.caller if held is not None and self._now() < held.until else None

    def why(self, given: str) -> str:
        """What is wrong with a key that was somebody's once, "" when it never was."""
        held = self._find(given)
        return held.why if held else ""

    def reload(self) -> None:
        """Read all keys. Raises StoreFailed; those that are known go on then."""
        with self._reading:  # or what was read first could be written last, and a key that was revoked live on
            mark = self._store.mark((KIND,))
            known: dict[bytes, _Held] = {}
            for name, doc in self._store.all(KIND).items():
                try:
                    known.update((held.digest, held) for held in _held(_read(name, doc.value)))
                except (KeyError, TypeError, ValueError, OverflowError, OSError):  # the last two: a time of no calendar
                    log.logger.error("the key %s in the store can not be read, and opens nothing", name)
            self._known, self._mark = {**known, **self._own}, mark

    def _find(self, given: str) -> _Held | None:
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        held = self._known.get(digest)
        if held is None and not given.isascii():
            digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
            held = self._known.get(digest)
        if held is None and given.startswith(PREFIX) and self._look():
            held = self._known.get(digest)
        return held if held is not None and hmac.compare_digest(held.digest, digest) else None

    def _look(self) -> bool:
        """Whether there is something new: a key may be used in the second after it was made, before Sync tells."""
        with self._lock:
            if time.monotonic() - self._looked < LOOK or self._sync.deaf:
                return False
            self._looked = time.monotonic()
        before = self._known
        try:
            if self._mark is None or self._store.mark((KIND,)) != self._mark:
                self.reload()
        except StoreFailed as error:
            log.logger.debug("the keys could not be read: %s", error)  # Sync says so, once
        return self._known is not before


def _owners(digest: bytes, main: Key, admin: Key) -> Caller:
    """The owner's two keys; one that is set for both is good for both."""
    scopes = {scope for scope, key in (("api", main), ("admin", admin)) if key.digest == digest}
    return Caller("main" if "api" in scopes else "admin", frozenset(scopes))


def _held(record: Record) -> list[_Held]:
    caller, ends = record.caller(), record.terms.expires_at
    held = []
    for one in record.hashes:
        until, why = FOR_EVER, ""
        if one.until is not None:
            until, why = one.until, f"was replaced by another one, and ended on {_day(one.until)}"
        if ends is not None and ends <= until:
            until, why = ends, f"has expired on {_day(ends)}"
        if record.revoked_at is not None:
            until, why = -FOR_EVER, f"was revoked on {_day(record.revoked_at)}"
        held.append(_Held(bytes.fromhex(one.hash), caller, until, why))
    return held


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
