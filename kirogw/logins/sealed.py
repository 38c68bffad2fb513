"""Secrets at rest: AES-256-GCM, and the keys for it.

A sealed text is `kgs1.MARK.NONCE+DATA`: the mark names the key, so that several can be in use while they are changed.
The key comes from KIROGW_SECRET_KEY, else from KIROGW_HOME/secret-key, else from the system's key ring; where there is
none yet, one is made, in the key ring if there is one and in the file (0600) if not. `cryptography` takes 8 MB of
memory, so it is loaded when the first thing is sealed or opened.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import importlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kirogw.logins import files, keys
from kirogw.logins.filelock import FileLock, NoLock
from kirogw.settings import Settings, WrongSetting
from kirogw.store import Conflict, Put, Store, StoreFailed

FORM: Final = "kgs1"
SIZE: Final = 32  # bytes of a key
NONCE: Final = 12
KEY_FILE: Final = "secret-key"
RING: Final = "kirogw"  # the service's name in the key ring
KINDS: Final = ("account", "kept", "login", "setting")  # what may hold sealed texts and is to outlive a change of keys
CHECK: Final = ("setting", "seal")  # a document by which a process sees whether its key is the store's
NO_RING: Final = ("keyring.backends.fail", "keyring.backends.null")
TRIES: Final = 20
ROTATION: Final = 20.0  # seconds to wait for somebody else who changes the keys


class Unsealable(files.Unreadable):
    """It was sealed with a key that is not here, or it is damaged. The message is one line that says what to do."""


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(SIZE)).decode().rstrip("=")


def mark_of(key: bytes) -> str:
    """Names a key without giving it away."""
    return hashlib.sha256(b"kirogw-key:" + key).hexdigest()[:8]


def read_keys(text: str) -> list[bytes]:
    """Keys as `new_key` writes them, separated by commas or white space. Raises ValueError."""
    found = []
    for word in text.replace(",", " ").split():
        try:
            key = base64.urlsafe_b64decode(word.encode("ascii") + b"==")
        except (binascii.Error, UnicodeEncodeError):
            key = b""
        if len(key) != SIZE:
            raise ValueError("no key")
        found.append(key)
    return found


class Seal:
    """Seals with the first of its keys and opens with each. Never shown by repr."""

    __slots__ = ("_keys", "mark")

    def __init__(self, *several: bytes) -> None:
        self._keys = {mark_of(key): key for key in several}
        self.mark = mark_of(several[0])

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def seal(self, data: bytes) -> str:
        nonce = secrets.token_bytes(NONCE)
        sealed = nonce + _aead(self._keys[self.mark]).encrypt(nonce, data, self.mark.encode())
        return f"{FORM}.{self.mark}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, text: str) -> bytes:
        """Raises Unsealable."""
        mark, data = _taken_apart(text)
        if mark not in self._keys:
            raise Unsealable(f"it is sealed with the key {mark}, which is not here; `kirogw.py secret --show-place`"
                             " says where keys are looked for")  # fmt: skip
        try:
            return bytes(_aead(self._keys[mark]).decrypt(data[:NONCE], data[NONCE:], mark.encode()))
        except Exception as error:  # cryptography's InvalidTag, which is not imported here
            raise Unsealable(f"what is sealed with the key {mark} is damaged") from error


def is_sealed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(f"{FORM}.")


def _taken_apart(text: str) -> tuple[str, bytes]:
    form, _, rest = text.partition(".")
    mark, _, data = rest.partition(".")
    with contextlib.suppress(binascii.Error, UnicodeEncodeError, ValueError):
        decoded = base64.b64decode(data.encode("ascii"), altchars=b"-_", validate=True)
        if form == FORM and len(mark) == 8 and len(decoded) > NONCE:
            return mark, decoded
    raise Unsealable("what should be sealed is damaged")


def _aead(key: bytes) -> Any:
    return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(key)


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys lie. `write` is None where we can not: then it is the owner's to change them."""

    name: str
    read: Callable[[], str]
    write: Callable[[str], None] | None = None


def place_of(settings: Settings, home: Path) -> Place:
    """The one that holds a key; if none does, the one that is to hold it."""
    if settings.kirogw_secret_key:
        return Place("KIROGW_SECRET_KEY", lambda: settings.kirogw_secret_key)
    file = _file(home)
    if file.read():
        return file
    return _ring(home) or file


def _file(home: Path) -> Place:
    path = home / KEY_FILE

    def read() -> str:
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Unsealable(f"{path} can not be read: {error.strerror}") from None

    return Place(str(path), read, lambda text: files.replace(path, f"{text}\n".encode()))


def _ring(home: Path) -> Place | None:
    """The system's key ring, if the package `keyring` is there and has more than a pretence of one."""
    try:
        ring: Any = importlib.import_module("keyring")
        backend = ring.get_keyring()
        if backend.priority <= 0 or type(backend).__module__.startswith(NO_RING):
            return None
        name = os.path.realpath(home)
        ring.get_password(RING, name)  # one that is locked, or has no session, says so here
    except Exception:  # whatever a foreign back end may raise
        return None
    return Place(
        f"the key ring ({type(backend).__name__}), entry {RING} of {name}",
        lambda: ring.get_password(RING, name) or "", lambda text: ring.set_password(RING, name, text),
    )  # fmt: skip


class Safe:
    """The seal of this installation. Looks for its keys when the first thing is sealed or opened, and again when one
    turns up that it does not know. Safe for all threads.
    """

    def __init__(self, settings: Settings, home: Path, store: Store) -> None:
        self._settings, self._home, self._store = settings, home, store
        self._lock = threading.Lock()
        self._seal: Seal | None = None
        self._text = ""

    def seal(self, data: bytes) -> str:
        """Raises Unsealable where the store's secrets are sealed with a key that is not here, and StoreFailed."""
        return self._current(again=True).seal(data)

    def open(self, text: str) -> bytes:
        """Raises Unsealable."""
        seal = self._current()
        if _taken_apart(text)[0] not in seal.marks:
            seal = self._current(again=True)  # it was changed meanwhile
        return seal.open(text)

    def place(self) -> Place:
        return place_of(self._settings, self._home)

    def in_use(self) -> list[bytes]:
        """All that are here, that which seals first; none before something was sealed. Raises Unsealable."""
        place = self.place()
        return _understood(place, text) if (text := place.read()) else []

    def _current(self, again: bool = False) -> Seal:
        seal = self._seal
        if seal and not again:
            return seal
        with self._lock:
            place = self.place()
            text = place.read() or self._made(place)
            if place.write is None:  # what was sealed before it was set still opens
                text += f" {_file(self._home).read()}"
            if not self._seal or text != self._text:
                seal = Seal(*_understood(place, text))
                self._checked(seal)
                self._seal, self._text = seal, text
            return self._seal

    def _made(self, place: Place) -> str:
        if (check := self._store.get(*CHECK)) is not None:
            if text := place.read():  # another worker has just made it
                return text
            raise Unsealable(_strange(str(check.value.get("place")), str(check.value.get("mark"))))
        if place.write is None or place.name == str(self._home / KEY_FILE):
            return keys.once(self._home, KEY_FILE, new_key)
        place.write(new_key())
        return place.read()

    def _checked(self, seal: Seal) -> None:
        """What one machine seals the others must be able to open."""
        for _ in range(TRIES):
            found = self._store.get(*CHECK)
            if found is not None:
                if found.value.get("mark") not in seal.marks:
                    raise Unsealable(_strange(str(found.value.get("place")), str(found.value.get("mark"))))
                return
            with contextlib.suppress(Conflict):
                self._store.put(*CHECK, self._check(seal), if_version=0)
                return

    def _check(self, seal: Seal) -> dict[str, str]:
        return {"mark": seal.mark, "place": self.place().name}

    # changing keys

    def rotate(self) -> int:
        """Put a new key first (where the keys are ours to write) and seal everything with it; the old ones still open.
        How many documents were sealed anew. Raises WrongSetting, Unsealable or StoreFailed.
        """
        with self._alone():
            place = self.place()
            if place.write:
                self._current(again=True)
                place.write(" ".join([new_key(), *place.read().replace(",", " ").split()]))
            seal = self._current(again=True)
            count = self._reseal(seal)
            self._store.put(*CHECK, self._check(seal))
            return count

    def forget(self) -> int:
        """Drop all keys but the first, after sealing with it whatever is not. How many were dropped."""
        with self._alone():
            place = self.place()
            if place.write is None:
                raise WrongSetting(f"the keys are in {place.name}; take the old ones away there")
            seal = self._current(again=True)
            self._reseal(seal)
            words = place.read().replace(",", " ").split()
            place.write(words[0])
            return len(words) - 1

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Of two who change the keys at once, one would write over the key with which the other has just sealed."""
        try:
            with FileLock(self._home / "locks" / "secret-rotation.lock").held(ROTATION) as mine:
                if not mine:
                    raise Unsealable("somebody else is changing the keys just now; try again in a moment")
                yield
        except NoLock as error:
            raise Unsealable(str(error)) from error

    def closed(self) -> int:
        """How many sealed texts in the store can not be opened with the keys that are here."""
        texts = [text for kind in KINDS for doc in self._store.all(kind).values() for text in sealed_texts(doc.value)]
        return sum(not self._opens(text) for text in texts)

    def _opens(self, text: str) -> bool:
        try:
            self.open(text)
        except Unsealable:
            return False
        return True

    def _reseal(self, seal: Seal) -> int:
        return sum(self._resealed(seal, kind, id) for kind in KINDS for id in self._store.all(kind))

    def _resealed(self, seal: Seal, kind: str, id: str) -> bool:
        for _ in range(TRIES):
            doc = self._store.get(kind, id)
            if doc is None or (value := anew(seal, doc.value)) == doc.value:
                return False
            with contextlib.suppress(Conflict):
                self._store.apply([Put(kind, id, value, if_version=doc.version)])
                return True
        raise StoreFailed(f"{kind} {id} keeps changing; try again")


def sealed_texts(value: Any) -> list[str]:
    """All that is sealed in it."""
    if isinstance(value, dict | list):
        members = value.values() if isinstance(value, dict) else value
        return [text for member in members for text in sealed_texts(member)]
    return [value] if is_sealed(value) else []


def anew(seal: Seal, value: Any) -> Any:
    """`value` with each sealed text in it sealed with the first key."""
    if isinstance(value, dict):
        return {name: anew(seal, member) for name, member in value.items()}
    if isinstance(value, list):
        return [anew(seal, member) for member in value]
    if is_sealed(value) and _taken_apart(value)[0] != seal.mark:
        return seal.seal(seal.open(value))
    return value


def _understood(place: Place, text: str) -> list[bytes]:
    try:
        if found := read_keys(text):
            return found
    except ValueError:
        pass
    raise Unsealable(f"{place.name} holds no key as `kirogw.py secret --new` prints it (43 letters, digits, - and _)")


def _strange(place: str, mark: str) -> str:
    return (f"the store's secrets are sealed with the key {mark}, which is not here; it was in {place}: bring it back,"
            " or set KIROGW_SECRET_KEY to it (`kirogw.py secret --show` where it is)")  # fmt: skip
