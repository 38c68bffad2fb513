"""What signing in is made of, whoever's service it is: a code that the user compares, an address that the browser ends
at, and the reasons for which there are no tokens (yet). Does no I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

SLOWER: Final = 5.0  # seconds more after each "slow down", for good

Outcome: TypeAlias = Literal["pending", "slower", "expired", "denied", "failed", "later"]
"""Of a poll or an exchange without tokens: the user has not decided; so, and ask less often; too late; the user said
no; it can not work; it may work if the same is sent later."""


@dataclass(frozen=True, slots=True)
class Device:
    """A login that waits for its user. `uri` is where to type `user_code`; `link` has it filled in. Seconds."""

    code: str = field(repr=False)
    user_code: str
    uri: str
    link: str
    interval: float
    life: float


@dataclass(frozen=True, slots=True)
class Unable:
    """No tokens, no client, no device. `reason` is for people; `wait` in seconds where the service says how long."""

    outcome: Outcome
    reason: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """What the browser came back with. `state` must be ours; "" where a user pasted a bare code. With `code` it is to
    be exchanged, naming `uri`, as the client `client` where the service issued one; with `start_url` the user chose
    Builder ID or Identity Center; with `error` nothing came of it.
    """

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    uri: str = ""
    provider: str = ""
    start_url: str = ""
    region: str = ""
    error: str = ""
    client: str = ""


class NotACallback(Exception):
    """One line that says what the address lacks."""


def challenge(verifier: str) -> str:
    """S256, as PKCE calls it."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def is_page(url: str) -> bool:
    """Whether a browser may be sent there: it is shown, and opened, as it came."""
    good = url.startswith(("https://", "http://127.0.0.1:")) and len(url) < 2000
    return good and url.isprintable() and " " not in url


def words(error: str) -> str:
    """An error code from an address that anybody may have made."""
    return "".join(letter for letter in error if letter.isalnum() or letter in " _-.")[:60]
