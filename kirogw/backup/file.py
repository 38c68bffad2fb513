"""The form of a backup, which is JSON. Does no I/O.

Secrets that lie sealed in the store are opened for it, so that it can be read where another key seals; hence either the
whole content is encrypted with a pass phrase (scrypt, AES-256-GCM), or the file is a secret.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from kirogw import __version__
from kirogw.errors import BadRequest
from kirogw.wire import Json

NAME: Final = "kirogw backup"
FORMAT: Final = 1
OPENED: Final = "$opened"  # a member of this name stands for a sealed text: its content, in UTF-8
COST: Final = (1 << 16, 8, 1)  # scrypt's n, r, p: 64 MB and an eighth of a second
DEAREST: Final = 1 << 20  # the highest n that a file may ask for
SALT: Final = 16  # bytes
NONCE: Final = 12
FASTEST: Final = 1  # of zlib's levels; figures shrink to a tenth by it
SHORTEST: Final = 8  # characters of a pass phrase


class WrongBackup(BadRequest):
    """The file is no backup, is damaged, or needs another pass phrase. Nothing was changed."""


class Vault(Protocol):
    """What seals secrets at rest. `open` raises any exception when it can not."""

    def seal(self, data: bytes) -> str: ...

    def open(self, text: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Content:
    """What a backup holds. In `store` sealed texts are open; `files` are those of KIROGW_HOME, by their names."""

    made_at: float
    store: Json = field(repr=False)
    files: Mapping[str, str] = field(repr=False)


def written(content: Content, phrase: str = "") -> bytes:
    """The file. Without a pass phrase it holds the secrets as they are."""
    head: Json = {"name": NAME, "format": FORMAT, "version": __version__, "made_at": content.made_at}
    inner = {"store": content.store, "files": dict(content.files)}
    if not phrase:
        return orjson.dumps({**head, "encrypted": False, "content": inner}, option=orjson.OPT_INDENT_2)
    if len(phrase) < SHORTEST:
        raise BadRequest(f"the pass phrase is too short: take {SHORTEST} characters or more", param="passphrase")
    salt, nonce, (n, r, p) = os.urandom(SALT), os.urandom(NONCE), COST
    head |= {"encrypted": True, "scrypt": {"n": n, "r": r, "p": p, "salt": _text(salt)}, "nonce": _text(nonce)}
    packed = zlib.compress(orjson.dumps(inner), FASTEST)
    sealed = _cipher(phrase, salt, n, r, p).encrypt(nonce, packed, _canonical(head))
    return orjson.dumps({**head, "content": _text(sealed)}, option=orjson.OPT_INDENT_2)


def read(data: bytes, phrase: str = "") -> Content:
    """The content of a file. Raises WrongBackup."""
    try:
        outer: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise WrongBackup("this is no backup of kirogw: it is no JSON; it may be cut off", param="backup") from None
    if not isinstance(outer, dict) or outer.get("name") != NAME:
        raise WrongBackup("this is no backup of kirogw: the file was made by something else", param="backup")
    if outer.get("format") != FORMAT:
        raise WrongBackup(
            f"the backup has format {outer.get('format')!r}, and this version reads {FORMAT}; take the version of"
            " kirogw that made it", param="backup",
        )  # fmt: skip
    content = outer.pop("content", None)
    inner = _decrypted(outer, content, phrase) if outer.get("encrypted") else content
    made_at = outer.get("made_at")
    if not isinstance(inner, dict) or not isinstance(made_at, int | float):
        raise _damaged()
    store, files = inner.get("store"), inner.get("files")
    if not (isinstance(store, dict) and isinstance(files, dict) and all(isinstance(f, str) for f in files.values())):
        raise _damaged()
    return Content(float(made_at), store, files)


def opened(value: Any, is_sealed: Callable[[str], bool], vault: Vault) -> Any:
    """`value` with every sealed text opened. Raises what `vault.open` raises."""
    if isinstance(value, str):
        return {OPENED: vault.open(value).decode()} if is_sealed(value) else value
    if isinstance(value, dict):
        return {name: opened(member, is_sealed, vault) for name, member in value.items()}
    return [opened(member, is_sealed, vault) for member in value] if isinstance(value, list) else value


def resealed(value: Any, vault: Vault) -> Any:
    """The other way round, with the key that is in force here. Raises WrongBackup."""
    if isinstance(value, list):
        return [resealed(member, vault) for member in value]
    if not isinstance(value, dict):
        return value
    if OPENED not in value:
        return {name: resealed(member, vault) for name, member in value.items()}
    if len(value) != 1 or not isinstance(value[OPENED], str):
        raise _damaged()
    return vault.seal(value[OPENED].encode())


def _decrypted(head: Json, content: Any, phrase: str) -> Any:
    if not phrase:
        raise WrongBackup("the backup is encrypted: give its pass phrase", param="passphrase")
    cost = head.get("scrypt")
    if not isinstance(cost, dict):
        raise _damaged()
    n, r, p = (cost.get(name) for name in "nrp")
    if not (type(n) is type(r) is type(p) is int and 1 < n <= DEAREST and n & (n - 1) == 0 and (r, p) == COST[1:]):
        raise _damaged()
    salt, nonce, sealed = _bytes(cost.get("salt")), _bytes(head.get("nonce")), _bytes(content)
    if len(nonce) != NONCE or len(salt) != SALT:
        raise _damaged()
    cipher = _cipher(phrase, salt, n, r, p)
    try:
        return orjson.loads(zlib.decompress(cipher.decrypt(nonce, sealed, _canonical(head))))
    except Exception:  # cryptography's InvalidTag, which is not imported here
        raise WrongBackup("the pass phrase is not that of this backup, or the file is damaged",
                          param="passphrase") from None  # fmt: skip


def _canonical(head: Json) -> bytes:
    """What else must not be changed. Whoever passes JSON on may put its members into another order."""
    return orjson.dumps(head, option=orjson.OPT_SORT_KEYS)


def _cipher(phrase: str, salt: bytes, n: int, r: int, p: int) -> Any:
    """Loaded when it is needed: it takes 8 MB of memory."""
    scrypt = importlib.import_module("cryptography.hazmat.primitives.kdf.scrypt").Scrypt
    key = scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(phrase.encode("utf-8", "surrogatepass"))
    return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(key)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _damaged() from None


def _damaged() -> WrongBackup:
    return WrongBackup("the backup is damaged: parts of it are missing or of a wrong shape", param="backup")
