"""Encrypted reasoning: the same string for the same thought in every run, good for the account that thought it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

SECRET: Final = b"the twin's own seal of reasoning"
HEAD: Final = "gAAAAAB"


def sealed(identity: str, model: str, thought: str) -> str:
    """`identity` is of the account; the text of the thought itself is not in it."""
    told = f"{identity}\n{model}\n{hashlib.sha256(thought.encode('utf-8', 'surrogatepass')).hexdigest()}".encode()
    return HEAD + base64.urlsafe_b64encode(_mac(told) + told).decode()


def owner(value: Any) -> str | None:
    """The identity that it was sealed for; None when it was not sealed here, or was changed."""
    if not isinstance(value, str) or not value.startswith(HEAD):
        return None
    try:
        data = base64.urlsafe_b64decode(value.removeprefix(HEAD))
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(data[:32], _mac(data[32:])):
        return None
    return data[32:].decode().partition("\n")[0]


def _mac(data: bytes) -> bytes:
    return hmac.new(SECRET, data, hashlib.sha256).digest()
