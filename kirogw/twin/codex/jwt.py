"""Signed tokens (RS256) and the key that verifies them."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kirogw.wire import Json

KEY_ID: Final = "twin-1"


@cache
def _key() -> rsa.RSAPrivateKey:
    """One for the whole process: to make it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(claims: Json) -> str:
    head = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
    body = ".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return f"{body}.{encoded(_key().sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def key_set() -> Json:
    """The public half, as /.well-known/jwks.json shows it."""
    numbers = _key().public_key().public_numbers()
    modulus = encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
    return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": modulus, "e": "AQAB"}]}
