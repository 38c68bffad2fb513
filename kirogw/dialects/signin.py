"""What signing in is made of, whoever's service it is: a code that the user compares, an address that the browser ends
at, and the reasons for which there are no tokens (yet). Does no I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from kirogw.dialects.replied import HTML, is_html
from kirogw.wire import Reply

SLOWER: Final = 5.0  # seconds more after each "slow down", for good
CODE: Final = 4096  # characters: no code is longer
PASSING: Final = (408, 425, 429)  # and 5xx
NO_ADDRESS: Final = "that is no address; paste the whole line of the browser's address bar"
NO_STATE: Final = "the address has no `state`; paste the whole address that the browser ended at"
NO_CODE: Final = "the address has no `code`; paste the whole address that the browser ended at"

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


def parameters(query: str) -> dict[str, str]:
    """Those of an address that the browser ended at. Raises NotACallback."""
    if not query.isprintable():  # half a surrogate pair, say: it could not be sent on
        raise NotACallback(NO_ADDRESS)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=30)
    except ValueError:
        raise NotACallback(NO_ADDRESS) from None
    named = dict(pairs)
    if len(named) != len(pairs):
        raise NotACallback("the address holds a parameter twice; start the login again")
    return named


def unable(reply: Reply, code: str, known: Mapping[str, tuple[Outcome, str]], wait: float | None) -> Unable:
    """Why an answer brings nothing: what its code is known to mean, since statuses are not reliable; without one that
    is known the status counts.
    """
    if code in known:
        return Unable(*known[code], wait)
    if is_html(reply):
        return Unable("later", f"the service answered with HTTP {reply.status}, {HTML}", wait)
    what = code or ("no reason given" if reply.status != 200 else "an answer without tokens")
    passing = reply.status in PASSING or reply.status >= 500 or reply.status == 200
    return Unable("later" if passing else "failed", f"the service answered with HTTP {reply.status}, {what}", wait)


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
