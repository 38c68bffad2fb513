"""Everything the gateway keeps, in one file, and back again: the store, and its own keys in KIROGW_HOME.

Nothing is touched before all of a file was read and found good, and then the store changes in one transaction. A login
never goes back to an older one: its refresh token would have been redeemed, and the account would be lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kirogw.backup.file import Content, Vault, WrongBackup, opened, read, resealed, written
from kirogw.logins import files
from kirogw.logins.sealed import is_sealed
from kirogw.store import Conflict, Store, StoreFailed, snapshots
from kirogw.wire import Json

__all__ = ["FILES", "Found", "WrongBackup", "look", "put_back", "take"]

FILES: Final = ("key", "admin-key", "secret")  # of KIROGW_HOME; the key that seals stays where it is
LOGINS: Final = ("login", "kept")  # kinds that hold what a renewal has changed
KINDS: Final = (*LOGINS, "account")
TRIES: Final = 20
OWN: Final = ("login", "was")  # what they are of an account that lies in the store
SEAL: Final = ("setting", "seal")  # names the key that seals here


@dataclass(frozen=True, slots=True)
class Found:
    """What a backup holds. `newer`: logins of here that are newer than those of the file, and stay; `gone`: accounts
    whose logins lie here, and not in the file.
    """

    made_at: float
    documents: Mapping[str, int]
    files: tuple[str, ...]
    newer: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def take(store: Store, vault: Vault, home: Path, now: float, phrase: str = "") -> bytes:
    """The file. Without a pass phrase it holds all secrets as they are. Raises StoreFailed, BadRequest, Unsealable."""
    snapshot = store.snapshot()
    snapshot["docs"] = opened(_without_seal(snapshot["docs"]), is_sealed, vault)  # nothing else holds sealed texts
    return written(Content(now, snapshot, _own_files(home)), phrase)


def look(store: Store, vault: Vault, data: bytes, phrase: str = "") -> Found:
    """What is in a file, and what `put_back` would do; nothing is changed. Raises WrongBackup."""
    content = _checked(data, phrase)
    return _planned(store, vault, content)[1]


def put_back(store: Store, vault: Vault, home: Path, data: bytes, phrase: str = "") -> Found:
    """In the place of all there is here. Raises WrongBackup before anything is touched, else StoreFailed."""
    content = _checked(data, phrase)
    found = _restored(store, vault, content)
    for name, text in content.files.items():
        if name in FILES and _read(home / name) != text:
            files.replace(files.folder(home) / name, text.encode())
    return found


def _restored(store: Store, vault: Vault, content: Content) -> Found:
    """A login that is renewed meanwhile is seen, and it is looked at again."""
    for _ in range(TRIES):
        marks = dict(zip(KINDS, store.mark(KINDS), strict=True))
        snapshot, found = _planned(store, vault, content)
        with contextlib.suppress(Conflict):
            store.restore(snapshot, if_marks=marks)
            return found
    raise StoreFailed("the logins keep changing; nothing was restored, try again")


def _planned(store: Store, vault: Vault, content: Content) -> tuple[Json, Found]:
    """What is to be restored here."""
    docs = resealed(content.store["docs"], vault)
    here = {kind: _docs(store, kind) for kind in (*KINDS, "key", SEAL[0])}
    newer = _keep_newer(docs, here)
    _keep_revoked(docs.get("key", {}), here["key"])
    gone = {id for id, doc in here["account"].items() if "login" in doc["value"]} - docs.get("account", {}).keys()
    kind, id = SEAL
    if seal := here[kind].get(id):
        docs.setdefault(kind, {})[id] = seal
    return {**content.store, "docs": docs}, _found(content, newer, sorted(gone))


def _docs(store: Store, kind: str) -> Json:
    """As a snapshot has them."""
    return {id: {"value": doc.value, "at": doc.at} for id, doc in store.all(kind).items()}


def _checked(data: bytes, phrase: str) -> Content:
    content = read(data, phrase)
    try:
        snapshots.check(content.store)
    except ValueError as error:
        raise WrongBackup(f"{error}; nothing was changed", param="backup") from None
    return content


def _found(content: Content, newer: Sequence[str], gone: Sequence[str]) -> Found:
    counts = {kind: len(docs) for kind, docs in sorted(content.store["docs"].items()) if docs}
    held = tuple(name for name in FILES if name in content.files)
    return Found(content.made_at, counts, held, tuple(newer), tuple(gone))


def _keep_newer(docs: Json, here: Json) -> list[str]:
    """Put into `docs` what renewals have changed here since. Which documents that was. What is kept of a login that
    lies elsewhere stays even if the file knows nothing of it: it was renewed for the first time since.
    """
    newer = []
    stored = {id for id, doc in here.get("account", {}).items() if "login" in doc["value"]}
    for kind in LOGINS:
        for id, doc in here.get(kind, {}).items():
            other = docs.get(kind, {}).get(id)
            if doc["at"] > other["at"] if other else id not in stored:
                docs.setdefault(kind, {})[id] = doc
                newer.append(id)
    for id, doc in here.get("account", {}).items():
        other = docs.get("account", {}).get(id)
        if other and {"login"} <= doc["value"].keys() & other["value"].keys() and _is_newer(doc, other):
            other["value"] = {**other["value"], **{name: doc["value"][name] for name in OWN if name in doc["value"]}}
            newer.append(id)
    return sorted(set(newer))


def _keep_revoked(keys: Json, here: Json) -> None:
    """A client's key that was revoked here since opens nothing again."""
    for name, doc in here.items():
        other = keys.get(name)
        if other and doc["value"].get("revoked_at") and other["value"].get("id") == doc["value"].get("id"):
            other["value"] = {**other["value"], "revoked_at": doc["value"]["revoked_at"]}


def _is_newer(doc: Json, other: Json) -> bool:
    """By what came of what, where that is known: a clock may have been set back."""
    mine, others = doc["value"].get("was") or [""], other["value"].get("was") or [""]
    if mine[-1] != others[-1] and (others[-1] in mine or mine[-1] in others):
        return others[-1] in mine
    return bool(doc["at"] > other["at"])


def _without_seal(docs: Mapping[str, Any]) -> Json:
    kind, name = SEAL
    return {**docs, kind: {id: doc for id, doc in docs.get(kind, {}).items() if id != name}}


def _own_files(home: Path) -> dict[str, str]:
    found = {name: _read(home / name) for name in FILES}
    return {name: text for name, text in found.items() if text}


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return ""
