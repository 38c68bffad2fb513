"""What renewing a login is made of, whoever's service it is. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kirogw.dialects.credential import Credential
from kirogw.dialects.provider import Cause, Refusal
from kirogw.dialects.replied import HTML, is_html
from kirogw.errors import NeedsLogin
from kirogw.wire import Reply

ALONE: Final = {"Connection": "close"}  # a kept connection that dies makes one send again, and that costs the login
STATUSES: Final[Mapping[int, Cause]] = {401: "dead", 403: "blocked", 407: "blocked", 451: "blocked"}


def must_be_renewable(credential: Credential) -> None:
    """Raises NeedsLogin where there is no refresh token, or only a piece of one."""
    if not credential.refresh:
        raise NeedsLogin("the login has no refresh token, so it ends with its access token; sign in again")
    if "..." in credential.refresh or "…" in credential.refresh:
        raise NeedsLogin("the refresh token was cut short when it was copied (it holds dots); copy the whole token")


def refusal(reply: Reply, known: Cause | None, said: str, wait: float | None) -> Refusal:
    """Why there are no new tokens. `known` is what the service's own words mean, where that is known; else the status
    counts, but a page in HTML proves no login dead. `said`: those words, for people.
    """
    html = is_html(reply)
    by_status: Cause = "later" if html and reply.status == 401 else STATUSES.get(reply.status, "later")
    words = HTML if html else said or "no reason given"
    return Refusal(known or by_status, f"HTTP {reply.status}, {words}", wait)
