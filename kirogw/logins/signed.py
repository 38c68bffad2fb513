"""Whether a token is what its service has signed: a JWT with RS256, and the service's public keys (a JWK set).

`cryptography` takes 8 MB of memory, so it is loaded when somebody signs in.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kirogw.dialects.codex.claims import claims, decoded
from kirogw.wire import Json

SHORTEST: Final = 2048  # bits of a key


class Unproven(Exception):
    """The message says why, in a few words."""


class UnknownKey(Unproven):
    """It names a key that is not in the set: there may be a newer set."""


def verified(token: str, keys: Sequence[Mapping[str, Any]]) -> Json:
    """The claims of a token whose signature is good; what they say is still to be judged. Raises Unproven.

    The algorithm is ours to say, not the token's.
    """
    head, body, signature = _parts(token)
    if head.get("alg") != "RS256" or "crit" in head:
        raise Unproven("it is signed in another way than RS256")
    if not _verifies(_key(head, keys), signature, body):
        raise Unproven("its signature is wrong")
    return claims(token)


def _verifies(key: Any, signature: bytes, body: bytes) -> bool:
    padding, hashes = _part("primitives.asymmetric.padding"), _part("primitives.hashes")
    try:
        key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except importlib.import_module("cryptography.exceptions").InvalidSignature:
        return False
    return True


def _part(name: str) -> Any:
    return importlib.import_module(f"cryptography.hazmat.{name}")


def _parts(token: str) -> tuple[Json, bytes, bytes]:
    """The header, what is signed, and the signature."""
    body, _, signature = token.rpartition(".")
    try:
        head = json.loads(decoded(body.partition(".")[0]))
        if body.count(".") == 1 and isinstance(head, dict):
            return head, body.encode(), decoded(signature)
    except (ValueError, RecursionError):
        pass
    raise Unproven("it is no signed token")


def _key(head: Json, keys: Sequence[Mapping[str, Any]]) -> Any:
    """The public key that the token names."""
    for key in keys:
        if key.get("kid") == head.get("kid") and key.get("kty") == "RSA" and key.get("use", "sig") == "sig":
            return _public(key)
    raise UnknownKey("it is signed with a key that the service does not show")


def _public(key: Mapping[str, Any]) -> Any:
    try:
        n, e = (int.from_bytes(decoded(str(key[name])), "big") for name in ("n", "e"))
        public = _part("primitives.asymmetric.rsa").RSAPublicNumbers(e, n).public_key()
    except (KeyError, ValueError):
        raise Unproven("the service shows a key that is none") from None
    if public.key_size < SHORTEST:
        raise Unproven("the service shows a key that is too short")
    return public
