"""What a failed call means: from a table of rows, each with what the failure looks like and what is done about it.

Rows are looked for by reason first, then by words of the message, then by type, and by the status only when nothing
else is known, since the status often lies. Within each of these the first row wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kirogw.dialects.clients import ASKED_AGAIN
from kirogw.dialects.provider import Again, Fate, Verdict
from kirogw.dialects.said import Fault, figures, quoted
from kirogw.errors import BrokenAnswer, GatewayError, Overloaded, TimedOut, TooLong, UpstreamFailed
from kirogw.redact import clean

# Errors that may pass say "try again in" or "try again later", and no other does (see clients.ASKED_AGAIN).
SOON: Final = "Try again in a moment"
OWNER: Final = "The account's owner must look at it"
REPORT: Final = "Trying again will not help; with DEBUG_MODE=errors the gateway keeps such a request, please report it"


@dataclass(frozen=True, slots=True)
class Sign:
    """What a failure looks like; all members that are given must fit, one of their values is enough.

    `reasons`: whole, or up to a `*`. `words`: parts of the message, in lower case. `status` beside others narrows them
    down, but an exception inside a stream has none and passes. `page`: HTML, which comes from an edge in between.
    """

    reasons: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    page: bool = False
    types: tuple[str, ...] = ()
    status: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        return 0 if self.reasons else 1 if self.words or self.page else 2 if self.types else 3

    def fits(self, fault: Fault) -> bool:
        alone = self.rank == 3
        return (
            (not self.reasons or any(named(fault.reason, reason) for reason in self.reasons))
            and (not self.words or any(part in fault.said for part in self.words))
            and (not self.page or fault.page)
            and (not self.types or fault.type in self.types)
            and (not self.status or fault.status in self.status or (not alone and not fault.status))
        )


def named(reason: str, pattern: str) -> bool:
    return reason.startswith(pattern[:-1]) if pattern.endswith("*") else reason == pattern


@dataclass(frozen=True, slots=True)
class Row:
    """`says` and `advice` are what the client reads: what happened, and what to do. `wait`: seconds until the client
    should try again if the upstream does not say. The rest is as in Verdict.
    """

    name: str
    signs: tuple[Sign, ...]
    error: type[GatewayError]
    says: str
    advice: str
    again: Again = ""
    tries: int = 0
    waits: tuple[float, float] = (0.0, 0.0)
    host: bool = False
    elsewhere: bool = False
    fate: Fate = ""
    wait: float | None = None


def losses(who: str) -> dict[str, Row]:
    """What a call without a whole answer means, by the kind of the loss (see transport.Lost). `who`: the provider."""
    rows = (
        Row("connect", (), UpstreamFailed, f"{who} can not be reached",
            "Try again in a moment, and check the network, DNS and the certificates",
            again="same", tries=3, waits=(0.5, 2.0), host=True, elsewhere=True),
        Row("proxy", (), UpstreamFailed, "The proxy can not be reached or refused",
            "Try again in a moment, and check VPN_PROXY_URL or HTTPS_PROXY",
            again="same", tries=2, waits=(0.5, 2.0)),
        Row("reset", (), UpstreamFailed, f"{who} closed the connection without an answer", SOON,
            again="same", tries=3, waits=(0.5, 2.0), elsewhere=True),
        # The request that is given up goes on and is billed (kiro 4.7), so silence is answered by one more try at most.
        Row("timeout", (), TimedOut, f"{who} did not answer in time", "Try again later", host=True, elsewhere=True),
        Row("first_token", (), TimedOut, f"{who} did not begin to answer in time",
            "Try again in a moment, with a smaller request or a higher FIRST_TOKEN_TIMEOUT",
            again="same", tries=1, waits=(0.5, 2.0)),
        Row("idle", (), TimedOut, f"{who} fell silent in the middle of its answer",
            "Try again in a moment, with a smaller task or a higher STREAMING_READ_TIMEOUT",
            again="same", tries=1, waits=(0.5, 2.0)),
        Row("damaged", (), BrokenAnswer, f"{who}'s answer was damaged on its way", SOON,
            again="same", tries=2, waits=(0.5, 2.0), elsewhere=True),
        Row("cut", (), BrokenAnswer, f"{who}'s answer broke off", "What came is not whole, so try again in a moment",
            again="same", tries=2, waits=(0.5, 2.0), elsewhere=True),
        Row("empty", (), Overloaded, f"{who} gave an empty answer", SOON,
            again="same", tries=2, waits=(1.0, 4.0), elsewhere=True),
    )  # fmt: skip
    return {row.name: row for row in rows}


class Table:
    """The rows of one provider. `strange` is what fits none of them; `who` is the provider, for people."""

    def __init__(self, who: str, rows: Sequence[Row], strange: Row, losses: Mapping[str, Row]) -> None:
        self._who, self._strange, self._losses = who, strange, losses
        signs = ((sign, row) for row in rows for sign in row.signs)
        self._order = sorted(signs, key=lambda pair: pair[0].rank)

    def verdict(self, fault: Fault, model: str = "") -> Verdict:
        """`model`: the provider's name of the model that was asked."""
        row = next((row for sign, row in self._order if sign.fits(fault)), self._strange)
        return self._worded(row, fault, model)

    def lost(self, kind: str) -> Verdict:
        """A call without a whole answer: connect, proxy, reset, timeout (no head came), first_token, idle, damaged,
        cut, empty. An unknown kind counts as reset.
        """
        return self._worded(self._losses.get(kind, self._losses["reset"]), Fault(), "")

    def _worded(self, row: Row, fault: Fault, model: str) -> Verdict:
        hint = fault.hint
        waits = row.waits if hint is None else (max(hint, row.waits[0]), max(hint, row.waits[1]))
        return Verdict(
            self._error(row, fault, model), row.name, row.again, row.tries, waits, row.host, row.elsewhere, row.fate,
            hint or 0.0,
        )  # fmt: skip

    def _error(self, row: Row, fault: Fault, model: str) -> GatewayError:
        words = quoted(fault)
        if not row.error.passes and ASKED_AGAIN.search(words):
            words = ""
        said = f' ({self._who} says: "{words}")' if words else ""
        message = f"{row.says.format(model=clean(model)[:80] or 'that was asked for')}{said}. {row.advice}."
        if row.error is TooLong:
            tokens, limit = figures(fault.message)
            return TooLong(message, tokens=tokens, limit=limit, request_id=fault.request_id)
        wait = row.wait if fault.hint is None else fault.hint
        return row.error(message, wait=wait, request_id=fault.request_id)
