"""When a token is renewed, and how long to wait after a renewal that failed. Pure: time and chance come in.

Source: kiro 1.13. A token of unknown end is used until the service refuses it.
"""

from __future__ import annotations

from typing import Final

from kirogw.dialects.credential import Credential

LIFE: Final = 3600.0  # seconds, of a token that somebody else renewed: nobody wrote down how long it lives in all
SKEW: Final = 5.0  # seconds for a clock that is a little off, and for the way to the service
LIVING_WAITS: Final = (300.0, 1800.0, 7200.0)  # seconds, while the old token still serves
SPENT_WAITS: Final = (2.0, 5.0, 15.0, 60.0, 300.0)  # seconds, while nothing serves: each request would ask again
LONGEST_WAIT: Final = 2 * 3600.0
REFUSED_FOR: Final = 6 * 3600.0  # seconds; after that even a token that was called dead is tried once more
WARN: Final = 7 * 86400.0  # seconds before a client registration ends, its owner is told


def ahead(credential: Credential, most: float) -> float:
    """So many seconds before its end a token is due: `most`, or a fifth of its life if that is less."""
    begun, ends = credential.issued_at, credential.expires_at
    life = ends - begun if begun is not None and ends is not None and ends > begun else LIFE
    return min(most, life / 5)


def due(credential: Credential, now: float, most: float, chance: float) -> bool:
    """Whether to renew now. `chance` (0 to 1) spreads workers and accounts over the last third of the time left."""
    if not credential.refresh:
        return False
    if not credential.access:
        return True
    if credential.expires_at is None:
        return False
    return now >= credential.expires_at - ahead(credential, most) * (1 - chance / 3)


def alive(credential: Credential, now: float) -> bool:
    """Whether the access token may still be sent."""
    if not credential.access or credential.expires_at is None:
        return bool(credential.access)
    return now < credential.expires_at - min(SKEW, ahead(credential, SKEW))


def pause(failures: int, living: bool, hint: float | None) -> float:
    """Seconds until the next try, after `failures` (1, 2...) in a row. A hint of the service counts if longer."""
    waits = LIVING_WAITS if living else SPENT_WAITS
    return min(max(waits[min(failures, len(waits)) - 1], hint or 0.0), LONGEST_WAIT)
