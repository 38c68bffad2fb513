"""What one request has tried so far, and what the verdict on a failed try allows next."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field

from kirogw import log
from kirogw.conversation import Conversation
from kirogw.dialects.dialect import Again, Verdict
from kirogw.dialects.kiro.request import Prepared
from kirogw.errors import GatewayError
from kirogw.pool import Account


def _invocation() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Tries:
    """What one request has tried so far. `shown`: the client has got something, so nothing can be tried any more."""

    entry: log.Entry
    conversation: Conversation | None  # None once it can not be asked again: a long one should not outlive its use
    deadline: float
    hosts: int
    pace: float = 1.0
    hold: bool = False  # nothing is shown before the answer is whole
    shown: bool = False
    account: Account | None = None
    error: GatewayError | None = None  # of the account that was tried last
    again: Again = ""  # how the next try asks the same account
    host: int = 0
    fresh: bool = False  # over new connections only: a kept one was found dead
    unsealed: bool = False
    plain: bool = False
    tried: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    prepared: dict[tuple[str, bool, bool], Prepared] = field(default_factory=dict)
    invocation: str = field(default_factory=_invocation)

    @property
    def model(self) -> str:
        """The model as the client named it."""
        return self.conversation.model if self.conversation else ""

    def show(self) -> None:
        """The client gets something: from now on there is nothing to try."""
        self.shown, self.conversation = True, None
        self.prepared.clear()

    def next(self, verdict: Verdict, now: float) -> float:
        """Seconds to pause before the next try, which this sets up. Raises the verdict's error if there is none."""
        done, self.again = self.counts.get(verdict.rule, 0), ""
        self.counts[verdict.rule] = done + 1
        if verdict.again and done < verdict.tries:
            pause: float = min(verdict.waits[1], verdict.waits[0] * 2**done) * random.uniform(1.0, 1.25) * self.pace
            if now + pause <= self.deadline:
                self.unsealed |= verdict.again == "unsealed"
                self.plain |= verdict.again == "plain"
                self.again = verdict.again
                if not verdict.error.passes:  # refused as it was: what comes now is another request
                    self.invocation = _invocation()
                return pause
        if verdict.host and self.host + 1 < self.hosts:
            self.host += 1
            return 0.0
        self.error = verdict.error
        if verdict.elsewhere and self.account and now < self.deadline:
            self.tried.add(self.account.id)
            self.account, self.host = None, 0
            self.counts.clear()
            return 0.0
        raise verdict.error
