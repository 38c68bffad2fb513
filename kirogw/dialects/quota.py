"""What an account has left of its plan: the same words for all providers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bucket:
    """A part of what an account may use, in credits (or in percent, where a provider tells no more). `resets_at`: epoch
    seconds when it is full again, or gone; None when nobody knows. `seconds`: how long a window is, where it is one.
    """

    name: str  # plan, trial, bonus WELCOME, 5 hours, week...
    used: float
    limit: float
    resets_at: float | None = None
    seconds: float | None = None

    @property
    def left(self) -> float:
        return max(0.0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account has left, as its provider told at `asked_at` (epoch seconds). Only buckets that count now.

    With `overage` the account serves beyond its buckets, up to `overage_cap` credits (None: no cap is known), of which
    `overage_used` are used. No buckets at all mean that nothing is known, never that nothing is left.

    `windows`: the buckets are windows of time, in percent, and each of them must have something left; else they add up.
    """

    asked_at: float
    buckets: tuple[Bucket, ...] = ()
    plan: str = ""
    overage: bool = False
    overage_cap: float | None = None
    overage_used: float = 0.0
    resets_at: float | None = None
    email: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    windows: bool = False

    @property
    def left(self) -> float | None:
        """What is left, in credits, or in percent of windows; None when it is not known."""
        if not self.buckets:
            return None
        return (min if self.windows else sum)(bucket.left for bucket in self.buckets)

    @property
    def opens_at(self) -> float | None:
        """When one that is exhausted has something again: epoch seconds, None when nobody knows."""
        if not self.windows:
            return self.resets_at
        ends = [bucket.resets_at for bucket in self.buckets if not bucket.left]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    @property
    def exhausted(self) -> bool:
        if self.left is None or self.left > 0:
            return False
        return not self.overage or (self.overage_cap is not None and self.overage_used >= self.overage_cap)
