"""A pool whose every decision is checked by somebody who keeps his own books, and asks nothing but its status."""

from collections import Counter
from dataclasses import dataclass, field

from kirogw.pool import Full, Nobody, Place, Pool
from kirogw.pool.health import PROBED
from kirogw.pool.schedule import PATIENCE
from kirogw.settings import Settings


@dataclass
class Watched:
    """`limits`: answers at once by account, 0 for no limit. `rotates`: several accounts of Sign in with ChatGPT are used
    in turn. Raises AssertionError when a rule is broken.
    """

    pool: Pool
    limits: dict
    seconds: float = Settings().session_seconds
    running: Counter = field(default_factory=Counter)
    probes: Counter = field(default_factory=Counter)
    homes: dict = field(default_factory=dict)
    most: Counter = field(default_factory=Counter)
    beside: Counter = field(default_factory=Counter)  # a session's requests on their way at its account
    bindings: dict = field(default_factory=dict)
    moves: int = 0
    rotates: bool = False

    def take(self, want, now):
        rows = {row["id"]: row for row in self.pool.status(now)}
        found = self.pool.take(want, now)
        if isinstance(found, Place):
            assert found.account.id in rows
            self._placed(found, want, rows, now)
        elif isinstance(found, Full):
            assert self._could(want, rows, now) or self._guesses(want, rows, now)
            assert 0 < found.wait <= 1
        else:
            assert isinstance(found, Nobody)
            assert not self._could(want, rows, now), "somebody can serve"
            assert found.until is None or found.until >= now
            assert all(state == "disabled" or reason for state, reason, _ in found.reasons.values())
        return found

    def _placed(self, place, want, rows, now):
        id, could = place.account.id, self._could(want, rows, now)
        limit, row = self.limits[id], rows[id]
        assert id not in want.tried and (want.only is None or id in want.only), "asked for somebody else"
        assert row["enabled"], "a disabled account"
        assert id in could or not could, f"{id} is {row['state']}, and {could} can serve"
        assert not limit or self.running[id] < limit, "more than its limit"
        home, at, binding = self.homes.get(want.session, ("", 0.0, 0))
        stays = want.session and not want.begins and home in could and now < at + self.seconds
        guest = False
        if stays and id != home:
            busy = self.limits[home] and self.running[home] >= self.limits[home]
            assert want.waited >= PATIENCE and (busy or rows[home]["pace"]), "the session's own account can serve"
            guest = self.beside[want.session, binding] > 0
        self.running[id] += 1
        self.most[id] = max(self.most[id], self.running[id])
        self.probes[id] += place.probe
        if want.session and not guest:
            moved = home not in ("", id) and now < at + self.seconds and not want.begins
            assert place.moved_from == (home if moved else "")
            self.moves += moved
            binding += id != home
            self.homes[want.session] = id, now, binding
            self.beside[want.session, binding] += 1
            self.bindings[place] = binding

    def leave(self, place, now):
        id = place.account.id
        self.running[id] -= 1
        self.probes[id] -= place.probe
        if binding := self.bindings.pop(place, 0):
            self.beside[place.session, binding] -= 1
        self.pool.leave(place, now)

    def _could(self, want, rows, now):
        """Who may be asked: nothing speaks against them, or their rest is over and nobody is trying them yet."""
        asked = [row for id, row in rows.items()
                 if row["enabled"] and id not in want.tried and (want.only is None or id in want.only)]  # fmt: skip
        have = [row for row in asked if not any(m["model"] == want.model and m["reason"] == "model" for m in row["models"])]
        return self._alone([row for row in have or asked if self._fit(row, now)])

    def _alone(self, rows):
        """Of those that are each for their owner only the first, in the order in which the pool has them."""
        first = next((row["id"] for row in rows if row["kind"] == "siwc"), "")
        return {row["id"] for row in rows if self.rotates or row["kind"] != "siwc" or row["id"] == first}

    def _fit(self, row, now):
        if row["state"] == "ready":
            return True
        after = row["until"] + (PROBED if row["state"] == "suspended" else 0)
        return now >= after and not self.probes[row["id"]]

    def _guesses(self, want, rows, now):
        """Who may be asked if nobody else can."""
        return [id for id, row in rows.items() if row["enabled"] and id not in want.tried]

    def check(self):
        """At any time."""
        for row in self.pool.status(0.0):
            assert row["in_flight"] == self.running[row["id"]]
