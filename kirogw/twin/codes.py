"""Codes that a sign-in sends to the client and the client exchanges for tokens: once, and with PKCE."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

G = TypeVar("G")

LIFE: Final = 300.0
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass
class Code(Generic[G]):
    """An authorisation that waits to be exchanged. `given`: what was settled when the user signed in."""

    challenge: str
    uri: str
    ends: float
    given: G


class Codes(dict[str, Code[G]]):
    """Those that wait."""

    def new(self, asked: Mapping[str, str], given: G, uri: str = "") -> str:
        """For the redirect URI that was asked for, or for `uri`."""
        code = f"ac_{secrets.token_urlsafe(32)}"
        self[code] = Code(asked["code_challenge"], uri or asked["redirect_uri"], time.time() + LIFE, given)
        return code

    def spend(self, asked: Mapping[str, Any]) -> tuple[G | None, str]:
        """What was settled, or why the exchange is refused. The first try uses a code up, right or wrong."""
        code = self.pop(str(asked.get("code")), None)
        if code is None or code.ends < time.time():
            return None, "the code is unknown, was used, or has run out"
        if asked.get("redirect_uri") != code.uri:
            return None, "redirect_uri is not the one of the authorization"
        if challenge_of(str(asked.get("code_verifier"))) != code.challenge:
            return None, "code_verifier does not fit the challenge"
        return code.given, ""


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def fault(asked: Mapping[str, str]) -> str:
    """What is wrong with the PKCE and the state of an authorisation, "" for nothing."""
    if asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        return "code_challenge must be S256"
    return "" if len(asked.get("state", "")) >= 16 else "state is missing or can be guessed"
