"""What the pool never does, whatever happens: never a resting account while another can serve, never more at once than
allowed, never another account for a session whose own can serve; and every rest ends by itself.
"""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kirogw.dialects.codex import faults as codex
from kirogw.dialects.kiro import faults as kiro
from kirogw.dialects.quota import Bucket, Quota
from kirogw.dialects.said import Fault
from kirogw.pool import Account, Place, Pool, Want
from kirogw.pool.health import ASKED_FOR, READY, STEPS, failed, read, served, step_of, written
from kirogw.pool.turns import RANKS
from kirogw.settings import Settings
from tests.pool.watched import Watched

NAMES = ("one", "two", "three", "four")
INNOCENT = {
    # rows that say nothing of the account: what is the request's fault, the network's or the provider's
    kiro: {"overflow", "signature", "fields", "tool use format", "edge", "image", "document", "tools", "encryption", "malformed", "wrong host",
           "invalid", "gateway", "server", "strange", "connect", "proxy", "reset", "timeout", "first_token", "idle", "damaged", "cut", "empty"},
    codex: {"sealed", "form", "overflow", "overloaded", "unknown model", "route", "image", "content", "parameter", "edge", "invalid",
            "wrong host", "server", "strange", "connect", "proxy", "reset", "timeout", "first_token", "idle", "damaged", "cut", "empty"},
}  # fmt: skip
BY_TABLE = {table: [table._ALL._worded(row, Fault(), "m") for row in (*table.TABLE, table.STRANGE, *table.LOST.values())] for table in INNOCENT}
VERDICTS = [verdict for verdicts in BY_TABLE.values() for verdict in verdicts]
AGAINST = [verdict for verdict in VERDICTS if step_of(verdict)]  # those that say something of the account
MODELS = st.sampled_from(("m", "n"))
SESSIONS = st.sampled_from(("", "s", "t", "u"))
SECONDS = st.one_of(st.floats(0.01, 3.0), st.floats(3.0, 400.0), st.just(4000.0))
SOME = st.sets(st.sampled_from(NAMES), max_size=3)


class Laws(RuleBasedStateMachine):
    """Requests, failures and time in any order, with someone watching who keeps his own books."""

    @initialize(mode=st.sampled_from(sorted(RANKS)), limits=st.lists(st.sampled_from((0, 1, 2, 3)), min_size=4, max_size=4),
                kinds=st.lists(st.sampled_from(("social", "codex", "siwc")), min_size=4, max_size=4), rotates=st.booleans())  # fmt: skip
    def start(self, mode, limits, kinds, rotates):
        self.now = 1.8e9
        self.kinds = dict(zip(NAMES, kinds, strict=True))
        self.rows = {name: Account(name, self.kinds[name], limit=limit) for name, limit in zip(NAMES, limits, strict=True)}
        pool = Pool(self.rows.values(), Settings(scheduling_mode=mode, chatgpt_rotation=rotates), chance=lambda: self.now % 1)
        self.pool = Watched(pool, dict(zip(NAMES, limits, strict=True)), rotates=rotates)
        self.places = []

    @rule(model=MODELS, session=SESSIONS, tried=SOME, waited=st.sampled_from((0.0, 2.0)), begins=st.booleans())
    def take(self, model, session, tried, waited, begins):
        found = self.pool.take(Want(model, session, None, frozenset(tried), waited, begins), self.now)
        if isinstance(found, Place):
            self.places.append(found)

    @rule(model=MODELS, session=SESSIONS, only=SOME)
    def take_pinned(self, model, session, only):
        found = self.pool.take(Want(model, session, frozenset(only)), self.now)
        if isinstance(found, Place):
            self.places.append(found)

    @precondition(lambda self: self.places)
    @rule(data=st.data(), how=st.sampled_from(("served", "left", "late")))
    def end(self, data, how):
        place = self.places.pop(data.draw(st.integers(0, len(self.places) - 1)))
        if how != "left":
            began = place.began if how == "served" else None
            self.pool.pool.served(place.account.id, place.model, self.now, began)
        self.pool.leave(place, self.now)

    @precondition(lambda self: self.places)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), known=st.booleans())
    def fail(self, data, verdict, known):
        place = self.places.pop(data.draw(st.integers(0, len(self.places) - 1)))
        self.pool.pool.failed(place.account.id, verdict, place.model, self.now, place.began if known else None)
        self.pool.leave(place, self.now)

    @rule(seconds=SECONDS)
    def pass_time(self, seconds):
        self.now += seconds

    @rule(name=st.sampled_from(NAMES), left=st.sampled_from((0.0, 20.0)), reset=st.sampled_from((None, -5.0, 3600.0)))
    def look(self, name, left, reset):
        at = None if reset is None else self.now + reset
        windows = self.kinds[name] == "codex"
        self.pool.pool.quota(name, Quota(self.now, (Bucket("plan", 50.0 - left, 50.0, at),), resets_at=at, windows=windows), self.now)

    @rule(name=st.sampled_from(NAMES))
    def clear(self, name):
        self.pool.pool.clear(name, now=self.now)
        row = next(row for row in self.pool.pool.status(self.now) if row["id"] == name)
        assert (row["state"], row["models"], row["pace"]) == ("ready" if row["enabled"] else "disabled", [], 0)

    @rule(name=st.sampled_from(NAMES), enabled=st.booleans(), limit=st.sampled_from((0, 1, 2, 3)))
    def set_up(self, name, enabled, limit):
        self.rows[name] = Account(name, self.kinds[name], enabled=enabled, limit=limit)
        self.pool.limits[name] = limit
        self.pool.pool.replace(self.rows.values())

    @invariant()
    def books_agree(self):
        if hasattr(self, "pool"):
            self.pool.check()

    def teardown(self):
        """Nobody needs to restart anything: when all have gone, and time has passed, each account is asked again."""
        if not hasattr(self, "pool"):
            return
        for place in self.places:
            self.pool.leave(place, self.now)
        self.now += 41 * 86400.0
        for name, row in self.rows.items():
            found = self.pool.take(Want("m", only={name}), self.now)
            assert isinstance(found, Place) is row.enabled


Laws.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLaws = Laws.TestCase


@pytest.mark.parametrize("mode", sorted(RANKS))
@settings(max_examples=50, deadline=None)
@given(resting=SOME, verdicts=st.lists(st.sampled_from(AGAINST), min_size=4, max_size=4))
def test_never_a_resting_account_while_another_can(mode, resting, verdicts):
    pool = Pool([Account(name) for name in NAMES], Settings(scheduling_mode=mode, account_concurrency=0), chance=lambda: 0.7)
    for name, verdict in zip(sorted(resting), verdicts, strict=False):
        pool.failed(name, verdict, "m", 100.0)
    served = {pool.take(Want("m"), 100.0 + n / 100).account.id for n in range(40)}
    assert not served & resting


@settings(max_examples=50, deadline=None)
@given(limit=st.integers(1, 5), mode=st.sampled_from(sorted(RANKS)), ends=st.lists(st.booleans(), min_size=50, max_size=50))
def test_never_more_than_its_limit_in_flight(limit, mode, ends):
    pool = Watched(Pool([Account(name) for name in NAMES], Settings(scheduling_mode=mode, account_concurrency=limit)), dict.fromkeys(NAMES, limit))
    places = []
    for n, end in enumerate(ends):
        if end and places:
            pool.leave(places.pop(0), float(n))
            continue
        place = pool.take(Want("m"), float(n))
        assert isinstance(place, Place) is (len(places) < 4 * limit)
        places += [place] if isinstance(place, Place) else []
    assert max(pool.most.values()) <= limit


@settings(max_examples=50, deadline=None)
@given(mode=st.sampled_from(sorted(RANKS)), sessions=st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_a_session_stays_while_its_account_is_ready(mode, sessions):
    pool = Pool([Account(name) for name in NAMES], Settings(scheduling_mode=mode), chance=lambda: 0.3)
    homes = {}
    for n, session in enumerate(sessions):
        place = pool.take(Want("m", session), float(n))
        assert homes.setdefault(session, place.account.id) == place.account.id
        pool.leave(place, n + 0.5)


def test_every_row_of_the_table_is_reached():
    """And what is the request's fault, or nobody's, reaches none."""
    met = {step_of(verdict)[0] for verdict in AGAINST}
    extra = {"refresh-failed", "renew-failed", "login"}  # these come from the sign-in
    assert met | extra == set(STEPS)
    for table, innocent in INNOCENT.items():
        assert {verdict.rule for verdict in BY_TABLE[table] if not step_of(verdict)} == innocent


@settings(max_examples=100, deadline=None)
@given(verdict=st.sampled_from(AGAINST), hint=st.sampled_from((0.0, 7.0, 300.0, 1e6)), pauses=st.lists(st.floats(0.0, 5000.0), min_size=6, max_size=6))
def test_rests_grow_and_have_an_end(verdict, hint, pauses):
    """However often it fails, and whatever it is told, an account is asked again within six hours, or when its plan is
    reset, if that is what it was told.
    """
    if verdict.fate == "exhausted":
        hint = 0.0
    told = replace(verdict, hint=hint, error=type(verdict.error)("no", wait=hint or None))
    state, now, rests = READY, 1.8e9, []
    for pause in pauses:
        state = failed(state, told, now)
        rests.append(state.until - now)
        assert 0 < rests[-1] <= 6 * 3600.0 and state.barred - now <= ASKED_FOR
        now = state.until + pause
    assert rests == sorted(rests)
    assert read(orjson.loads(orjson.dumps(written(state))), now) == state
    assert served(now).failures == 0
