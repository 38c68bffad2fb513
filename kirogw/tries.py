"""What one request has tried so far, and what the verdict on a failed try allows next."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Set
from dataclasses import dataclass, field

from kirogw import log
from kirogw.conversation import Conversation
from kirogw.dialects import ids
from kirogw.dialects.provider import Again, Login, Verdict
from kirogw.errors import GatewayError
from kirogw.pool import Place, Want
from kirogw.routing import Route


def invocation() -> str:
    """What a request is called at the upstream. No other may have it, but it is no secret."""
    return ids.uuid(f"{random.getrandbits(128):032x}")


@dataclass(slots=True)
class Tries:
    """What one request has tried so far. `shown`: the client has got something, so nothing can be tried any more.

    `session` is the conversation's id; `begins`: it is only known by its first words, and these
    are all there is so far. `only`: the accounts that may serve, None for all.
    """

    entry: log.Entry
    conversation: Conversation | None  # None once it can not be asked again: a long one should not outlive its use
    routes: tuple[Route, ...]  # what is asked, in this order; none: any account will do, for no model
    deadline: float
    pace: float = 1.0
    hold: bool = False  # nothing is shown before the answer is whole
    estimate: int = 0  # of the input's tokens
    session: str = ""
    begins: bool = False
    allowed: Set[str] | None = None
    only: Set[str] | None = None
    at: int = 0  # the route that is being tried
    links: list[tuple[Route, GatewayError]] = field(default_factory=list)  # routes that are given up, and why
    shown: bool = False
    place: Place | None = None  # at the account that is being tried
    login: Login | None = None  # which it is tried with
    began: float = 0.0  # the try that is on its way, epoch seconds
    error: GatewayError | None = None  # of the account that was tried last
    again: Again = ""  # how the next try asks the same account
    host: int = 0
    hosts: int = 1  # of the account that is being tried
    fresh: bool = False  # over new connections only: a kept one was found dead
    unsealed: bool = False
    plain: bool = False
    failed: dict[str, GatewayError] = field(default_factory=dict)  # accounts that are given up, in order
    counts: dict[str, int] = field(default_factory=dict)
    invocation: str = field(default_factory=invocation)

    @property
    def route(self) -> Route | None:
        return self.routes[self.at] if self.routes else None

    @property
    def model(self) -> str:
        """What the accounts' marks are kept by."""
        return self.routes[self.at].model if self.routes else ""

    @property
    def home(self) -> str:
        """What keeps the conversation on its account: at each provider it has one, and requests for models of two in
        turn do not drive it from either.
        """
        return f"{self.session}/{'+'.join(sorted(self.route.providers))}" if self.session and self.route else ""

    def want(self, waited: float) -> Want:
        return Want(self.model, self.home, self.only, self.failed.keys(), waited, self.begins)

    def begin(self, now: float) -> None:
        """One more try, with a login that is still to be had."""
        self.login, self.began = None, now
        self.entry.tries += 1

    def show(self) -> None:
        """The client gets something: from now on there is nothing to try. An answer that is held shows nothing."""
        if not self.hold:
            self.shown, self.conversation = True, None

    def next(self, verdict: Verdict, now: float) -> float:
        """Seconds to pause before the next try, which this sets up: with the same account, or with another one when it
        is in `failed` now. Raises the verdict's error if there is none.
        """
        done, self.again = self.counts.get(verdict.rule, 0), ""
        self.counts[verdict.rule] = done + 1
        if verdict.again and done < verdict.tries:
            pause: float = min(verdict.waits[1], verdict.waits[0] * 2**done) * random.uniform(1.0, 1.25) * self.pace
            if now + pause <= self.deadline:
                self.unsealed |= verdict.again == "unsealed"
                self.plain |= verdict.again == "plain"
                self.again = verdict.again
                if not verdict.error.passes:  # refused as it was: what comes now is another request
                    self.invocation = invocation()
                return pause
        if verdict.host and self.host + 1 < self.hosts:
            self.host += 1
            return 0.0
        if not (verdict.elsewhere and now < self.deadline):
            raise verdict.error
        self.give_up(verdict.error)
        return 0.0

    def follow(self, error: GatewayError) -> bool:
        """Nobody can serve the route, for this reason. Whether there is a next one, which is tried now: an account that
        has failed may serve another model.
        """
        if self.at + 1 >= len(self.routes):
            return False
        self.links.append((self.routes[self.at], error))
        self.entry.links += 1
        self.at += 1
        self.failed = {}
        self.error, self.again, self.host, self.unsealed, self.plain = None, "", 0, False, False
        self.invocation = invocation()
        self.counts.clear()
        return True

    def told(self, last: GatewayError) -> GatewayError:
        """What the client hears when no link can serve: of all of them why, as the error of the one that can serve
        first. `last`: why the present one can not.
        """
        if all(str(error) == str(last) for _, error in self.links):
            return last
        links = [*self.links, (self.routes[self.at], last)]
        told = copy.copy(min((error for _, error in links), key=_order))
        told.args = (" ".join(f"{route.model}: {_sentence(str(error))}" for route, error in links),)
        return told

    def give_up(self, error: GatewayError) -> None:
        """The next try asks another account."""
        if self.place:
            self.failed[self.place.account.id] = error
        self.error, self.again, self.host = error, "", 0
        self.invocation = invocation()
        self.counts.clear()


def _order(error: GatewayError) -> tuple[bool, float]:
    return not error.passes, math.inf if error.wait is None else error.wait


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
