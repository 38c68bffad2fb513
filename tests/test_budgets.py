"""What named keys may use: what is let in, what is given back, and that the sums are right whatever happens."""

import calendar
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from kirogw.answer import BEAT, CallDelta, Stop, TextDelta, Usage
from kirogw.budgets import FREE, IDLE, MICRO, OUTPUT, SHARE, SOON, Budgets, resets_at, spent
from kirogw.conversation import Conversation
from kirogw.errors import Busy, FormatMissed, QuotaUsed, UpstreamFailed
from kirogw.logins.named import Caller, Limits
from kirogw.settings import Settings
from kirogw.store import StoreFailed, open_store
from tests.store.servers import redis_server

NOW = float(calendar.timegm((2026, 11, 22, 10, 30, 0)))
MAIN = Caller("main", frozenset({"api"}))


class Jobs:
    """Sync, as far as budgets ask it: here the test says when."""

    def __init__(self):
        self.work = []

    def every(self, seconds, work):
        self.work.append(work)


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def caller(name="ci", **limits):
    return Caller(name, frozenset({"api"}), limits=Limits(**limits), id=f"id-of-{name}")


@pytest.fixture
def clock():
    return Clock()


def processes(settings_, clock):
    """Budgets of one process after another, all of one state."""
    stores = []

    def made():
        stores.append(open_store(settings_, clock))
        return Budgets(Jobs(), stores[-1], clock)

    yield made
    for store in stores:
        store.close()


@pytest.fixture
def make(tmp_path, clock):
    yield from processes(Settings(kirogw_home=str(tmp_path)), clock)


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def engine(request, tmp_path_factory):
    """Settings of a new state."""
    home = str(tmp_path_factory.mktemp("home"))
    if request.param == "sqlite":
        return lambda: Settings(kirogw_home=str(tmp_path_factory.mktemp("home")))
    server = request.getfixturevalue("redis")

    def emptied():
        server.command("FLUSHALL")
        return Settings(kirogw_home=home, state_url=server.url)

    return emptied


@pytest.fixture
def machines(engine, clock):
    yield from processes(engine(), clock)


@pytest.fixture
def budgets(make):
    return make()


def reserve(budgets, who, tokens=10, model="m", **more):
    return budgets.reserve(who, tokens, model, budgets._now(), **more)


def used(budgets, who=None):
    """Of the day and of the month, in tokens and credits, as the store has it."""
    budgets.exchange()
    found = spent(budgets._store, (who or caller()).id, budgets._now())
    return [found[period][unit] for period in ("day", "month") for unit in ("tokens", "credits")]


def test_the_owners_use_is_not_counted(budgets):
    source = iter([])
    assert reserve(budgets, MAIN) is FREE and budgets.metered(source, MAIN, 1, Conversation("m", ())) is source
    budgets.settle(FREE, 100, 1.0)
    assert used(budgets, MAIN) == [0, 0, 0, 0]


def test_what_is_used_is_counted_without_a_limit_too(budgets):
    """So that one which is set later knows of it."""
    budgets.settle(reserve(budgets, caller()), 120, 0.25)
    assert used(budgets) == [120, 0.25, 120, 0.25]
    with pytest.raises(QuotaUsed):
        reserve(budgets, caller(day_tokens=120))


BUDGETS = [
    # the limit, what is used of it, what is said of it, when it is full again
    ({"day_tokens": 100}, (95, 0.0), "the daily budget of the key 'ci', 100 tokens, has no room for this request: 5 are left, and it needs "
     "about 20. All are there again on 2026-11-23 00:00 UTC", 13.5 * 3600),
    ({"month_tokens": 1000}, (1000, 0.0), "monthly budget of the key 'ci', 1,000 tokens, has no room for this request: 0 are left, and it "
     "needs about 110. All are there again on 2026-12-01 00:00 UTC", (8 * 24 + 13.5) * 3600),
    ({"day_credits": 0.5}, (9, 0.5), "daily budget of the key 'ci', 0.5 credits, has no room for this request: 0 are left, and it needs "
     "about 0.05. All are there again on 2026-11-23", 13.5 * 3600),
    ({"month_credits": 2.0}, (9, 2.5), "monthly budget of the key 'ci', 2 credits, has no room for this request: 0 are left", (8 * 24 + 13.5) * 3600),
    ({"day_tokens": 100, "month_credits": 1.0}, (100, 1.0), "monthly budget", (8 * 24 + 13.5) * 3600),
    ({"day_tokens": 2_000_000}, (1_999_995, 0.0), "2,000,000 tokens, has no room for this request: 5 are left, and it needs about 510", 13.5 * 3600),
    ({"day_tokens": 5}, (1, 0.0), "4 are left, and it needs about 10, more than there ever are", 13.5 * 3600),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "took", "said", "wait"), BUDGETS, ids=lambda v: str(v)[:24])
def test_a_budget_that_is_used_up(budgets, limits, took, said, wait):
    budgets.settle(reserve(budgets, caller()), *took, whole=False)
    with pytest.raises(QuotaUsed) as failure:
        reserve(budgets, caller(**limits))
    assert said in str(failure.value) and failure.value.wait == wait
    assert used(budgets)[:2] == [took[0], took[1]]


def test_each_key_has_its_own(budgets):
    budgets.settle(reserve(budgets, caller("a", day_tokens=50)), 50, 0.0)
    with pytest.raises(QuotaUsed):
        reserve(budgets, caller("a", day_tokens=50))
    assert reserve(budgets, caller("b", day_tokens=50)).open


def test_what_runs_holds_its_part(budgets):
    """Who comes meanwhile is told to come again soon, since it may be given back."""
    who = caller(day_tokens=100)
    first = reserve(budgets, who, 80)
    with pytest.raises(Busy, match="held by its requests that run; try again") as failure:
        reserve(budgets, who, 20)
    assert failure.value.wait == SOON and used(budgets)[0] == 90
    budgets.settle(first, 0, 0.0)
    assert used(budgets) == [0, 0, 0, 0] and reserve(budgets, who, 20).open


def test_only_the_first_settlement_counts(budgets):
    first, second = reserve(budgets, caller()), reserve(budgets, caller())
    budgets.settle(first, 50, 0.5)
    budgets.settle(first, 70, 0.7)
    assert used(budgets) == [50, 0.5, 50, 0.5]
    budgets.settle(second, 0, 0)
    assert budgets._running == {} == budgets._held


def test_the_guess_rests_on_answers_of_the_model_and_on_what_was_asked_for(budgets):
    who = caller(day_tokens=10**6, day_credits=100.0)
    groups = lambda one: {unit: amount for (group, unit), amount in one.held.items() if "2026-11-22" in group}  # noqa: E731
    assert groups(reserve(budgets, who, 10)) == {"tokens": 10 + OUTPUT, "credits": 250_000}
    assert groups(reserve(budgets, who, 10, most=20))["tokens"] == 30
    budgets.settle(reserve(budgets, who, 10), 2010, 0.4)
    assert groups(reserve(budgets, who, 10)) == {"tokens": 2010, "credits": 400_000}
    assert groups(reserve(budgets, who, 10, "another"))["tokens"] == 10 + OUTPUT
    for _ in range(50):
        budgets.settle(reserve(budgets, who, 10), 110, 0.1)
    assert 110 <= groups(reserve(budgets, who, 10))["tokens"] <= 112


def test_a_guess_takes_no_more_than_a_tenth(budgets):
    """A small budget is used up to its end, though nobody knows how long an answer will be."""
    assert set(reserve(budgets, caller(day_tokens=100, month_credits=0.1)).held.values()) == {20, 0, round(0.1 * MICRO / SHARE)}


def test_requests_at_once(budgets):
    who = caller(concurrent=2)
    first, _ = reserve(budgets, who), reserve(budgets, who)
    with pytest.raises(Busy, match="2 requests of the key 'ci' are running") as failure:
        reserve(budgets, who)
    assert failure.value.wait == SOON
    budgets.settle(first, 0, 0)
    assert reserve(budgets, who).open


def test_requests_a_minute(budgets, clock):
    who = caller(minute=3)
    for after in (0.0, 10.0, 20.0):
        clock.now = NOW + after
        budgets.settle(reserve(budgets, who), 0, 0)
    clock.now = NOW + 30.0
    with pytest.raises(Busy, match=r"3 requests a minute, which is its rate limit; try again in 31 seconds") as failure:
        reserve(budgets, who)
    assert failure.value.wait == 31.0
    clock.now += failure.value.wait
    budgets.settle(reserve(budgets, who), 0, 0)
    with pytest.raises(Busy) as failure:
        reserve(budgets, who)
    assert failure.value.wait == 10.0


@given(gaps=st.lists(st.floats(0, 40), max_size=60), most=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_never_more_than_so_many_in_any_minute_and_the_wait_is_right(tmp_path_factory, gaps, most):
    clock, let_in = Clock(), []
    store = open_store(Settings(kirogw_home=str(tmp_path_factory.mktemp("home"))), clock)
    budgets, who = Budgets(Jobs(), store, clock), caller(minute=most)
    for gap in gaps:
        clock.now += gap
        try:
            budgets.settle(reserve(budgets, who), 1, 0)
        except Busy as busy:
            assert 0 < busy.wait <= 61
            clock.now += busy.wait
            budgets.settle(reserve(budgets, who), 1, 0)  # comes in after exactly that time
        let_in.append(clock.now)
        if gap < 1:
            budgets.exchange()
    for n, first in enumerate(let_in):
        assert sum(when - first < 60 for when in let_in[n:]) <= most
    store.close()


def test_a_day_and_a_month_begin_anew(budgets, clock):
    clock.now = float(calendar.timegm((2026, 12, 31, 23, 59, 59)))
    who = caller(day_tokens=100, month_tokens=100)
    late = reserve(budgets, who, 10)
    budgets.settle(reserve(budgets, who, 10), 60, 0.5)
    clock.now += 1
    early = reserve(budgets, who, 20)
    budgets.settle(late, 40, 0.1)
    budgets.settle(early, 50, 0.2)
    budgets.exchange()
    totals = budgets._store.totals("budget|")
    assert totals["budget|2026-12-31|id-of-ci|tokens"] == totals["budget|2026-12|id-of-ci|tokens"] == 100
    assert totals["budget|2027-01-01|id-of-ci|tokens"] == totals["budget|2027-01|id-of-ci|tokens"] == 50


@pytest.mark.parametrize(("when", "period", "ends"), [
    ((2026, 11, 22, 10, 30, 0), "day", (2026, 11, 23)), ((2026, 11, 22, 0, 0, 0), "day", (2026, 11, 23)),
    ((2026, 12, 31, 23, 59, 59), "day", (2027, 1, 1)), ((2028, 2, 28, 1, 0, 0), "day", (2028, 2, 29)),
    ((2026, 11, 22, 10, 30, 0), "month", (2026, 12, 1)), ((2026, 12, 1, 0, 0, 0), "month", (2027, 1, 1)),
])  # fmt: skip
def test_when_a_period_ends(when, period, ends):
    assert resets_at(period, calendar.timegm(when)) == calendar.timegm((*ends, 0, 0, 0))


def test_counters_of_times_that_are_over_go(budgets, clock):
    who = caller(minute=100)
    budgets.settle(reserve(budgets, who), 10, 0)
    budgets.exchange()
    clock.now += 40 * 86400
    budgets.settle(reserve(budgets, who), 20, 0)
    budgets.exchange()
    names = {"|".join(name.split("|")[:2]) for kind in ("budget|", "rate|") for name in budgets._store.totals(kind)}
    assert names == {"budget|2027-01-01", "budget|2027-01", f"rate|{int(clock.now) // 60}"}
    for _ in range(5):
        clock.now += 60
        reserve(budgets, who)
        budgets.exchange()
    assert len(budgets._store.totals("rate|")) <= 4


# several processes


def test_what_one_process_uses_another_knows_after_an_exchange(machines):
    one, other = machines(), machines()
    who = caller(day_tokens=100, minute=100, concurrent=100)
    for budgets in (one, other):
        budgets.settle(reserve(budgets, who), 0, 0)
    running = reserve(one, who, 80)
    one.exchange()
    other.exchange()
    with pytest.raises(QuotaUsed):
        reserve(other, who, 80)
    with pytest.raises(Busy, match="at once"):
        reserve(other, replace(who, limits=Limits(concurrent=1)))
    with pytest.raises(Busy, match="a minute"):
        reserve(other, replace(who, limits=Limits(minute=3)))
    one.settle(running, 10, 0.0)
    one.exchange()
    other.exchange()
    assert reserve(other, replace(who, limits=Limits(concurrent=1, day_tokens=100)), 70).open


def test_a_process_that_begins_knows_at_once_what_was_used(machines):
    one = machines()
    budgets, who = machines(), caller(day_tokens=100)
    one.settle(reserve(one, who), 100, 0.0)
    one.close()
    with pytest.raises(QuotaUsed):
        reserve(budgets, who)


def test_after_a_while_without_requests_a_process_looks_again(make, clock):
    one, other, who = make(), make(), caller(day_tokens=100)
    for budgets in (one, other):
        budgets.settle(reserve(budgets, who), 0, 0)
        budgets.exchange()
    clock.now += 2 * IDLE
    one.settle(reserve(one, who), 100, 0.0)
    one.exchange()
    with pytest.raises(QuotaUsed):
        reserve(other, who)


def test_what_a_killed_process_had_running_ends_by_itself_and_stays_counted(make, clock):
    """What it had reserved was asked of the upstream, so it counts; that it runs is believed for a while."""
    killed, other = make(), make()
    who = caller(concurrent=1, day_tokens=1000)
    reserve(killed, who, 100)
    killed.exchange()
    with pytest.raises(Busy):
        reserve(other, who)
    clock.now += 30
    other.exchange()
    assert reserve(other, who).open and used(other)[0] == 200 + 110


class ReadOnly:
    """A store as a request may use it."""

    def __init__(self, store):
        self.all, self.totals = store.all, store.totals


def test_no_request_waits_for_a_write(make):
    one, budgets, who = make(), make(), caller(day_tokens=100, minute=100, concurrent=5)
    one.settle(reserve(one, who), 30, 0.0)
    one.exchange()
    here, budgets._store, budgets._counts._store = budgets._store, ReadOnly(budgets._store), ReadOnly(budgets._store)
    budgets.settle(reserve(budgets, who), 30, 0.0)
    with pytest.raises(QuotaUsed):
        reserve(budgets, who, 50)
    budgets._store = budgets._counts._store = here
    assert used(budgets)[0] == 60


class Away:
    """A store that is away."""

    def __getattr__(self, name):
        def fail(*args, **more):
            raise StoreFailed("it is away")

        return fail


def test_requests_never_notice_a_store_that_fails(make, clock):
    budgets, who = make(), caller(day_tokens=100, concurrent=1)
    budgets.settle(reserve(budgets, who), 30, 0.0)
    here, budgets._store, budgets._counts._store = budgets._store, Away(), Away()
    clock.now += 2 * IDLE
    budgets.settle(reserve(budgets, who), 30, 0.0)
    with pytest.raises(StoreFailed):
        budgets.exchange()
    with pytest.raises(Busy):
        _, _ = reserve(budgets, who), reserve(budgets, who)
    budgets._store = budgets._counts._store = here
    assert used(budgets)[0] == 60 + 20


class Processes(RuleBasedStateMachine):
    """Three processes with one key: whatever they do, no more is used than the budget and what was not known."""

    reservations = Bundle("reservations")
    LIMIT = 1000

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        given = self.engine()
        self.stores = [open_store(given, self.clock) for _ in range(3)]
        self.processes = [Budgets(Jobs(), store, self.clock) for store in self.stores]
        self.who = caller(day_tokens=self.LIMIT, concurrent=6)
        for budgets in self.processes:
            budgets.settle(reserve(budgets, self.who), 0, 0)  # from now on each looks what the others do
        self.open = []  # (process, reservation, what it will take)
        self.taken = 0  # settled
        self.given_back = [0, 0, 0]  # by each since all have last exchanged
        self.unknown = [0, 0, 0]  # let in by each since all have last exchanged
        self.known = 0  # what was used and reserved then

    @rule(target=reservations, n=st.integers(0, 2), tokens=st.integers(1, 300), share=st.floats(0, 1))
    def ask(self, n, tokens, share):
        budgets = self.processes[n]
        try:
            reservation = reserve(budgets, self.who, tokens)
        except Busy:
            assert self.open
            return None
        except QuotaUsed:
            assert self.all() + sum(self.given_back) + tokens + self.LIMIT / SHARE > self.LIMIT
            return None
        held = reservation.held[KEY]
        self.unknown[n] += held
        entry = n, reservation, int(held * share)  # no more than was reserved
        self.open.append(entry)
        return entry

    @rule(entry=consumes(reservations))
    def end(self, entry):
        if entry is not None:
            n, reservation, takes = entry
            self.processes[n].settle(reservation, takes, 0.0, whole=False)
            self.open.remove(entry)
            self.taken += takes
            self.given_back[n] += reservation.held[KEY] - takes

    @rule(n=st.integers(0, 2))
    def exchange_one(self, n):
        self.processes[n].exchange()

    @precondition(lambda self: any(self.unknown) or any(self.given_back))
    @rule(seconds=st.floats(0, 1))
    def a_second(self, seconds):
        self.clock.now += seconds
        for _ in range(2):  # what was written by the last is heard by the first
            for budgets in self.processes:
                budgets.exchange()
        self.unknown, self.given_back, self.known = [0, 0, 0], [0, 0, 0], self.all()
        assert len({budgets._counts.of(*KEY) for budgets in self.processes}) == 1

    def all(self):
        return self.taken + sum(reservation.held[KEY] for _, reservation, _ in self.open)

    @invariant()
    def the_sums_are_right(self):
        assert self.all() <= max(self.LIMIT, self.known) + sum(self.unknown) - max(self.unknown)
        for n, budgets in enumerate(self.processes):
            assert budgets._running.get(self.who.id, 0) == sum(1 for entry in self.open if entry[0] == n) <= 6
            assert all(amount > 0 for amount in budgets._held.values())

    def teardown(self):
        for n, reservation, takes in self.open:
            self.processes[n].settle(reservation, takes, 0.0)
            self.taken += takes
        for budgets in self.processes:
            budgets.close()
        assert round(sum(self.stores[0].totals("budget|2026-11-22|id-of-ci|tokens").values())) == self.taken
        for store in self.stores:
            store.close()


KEY = "budget|2026-11-22|id-of-ci", "tokens"


def test_never_over_budget_by_more_than_the_reservations_of_others(engine):
    Processes.engine = staticmethod(engine)
    machine = Processes.TestCase()
    machine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
    machine.runTest()


def test_exact_among_threads(budgets):
    """Fifty threads, each asking for a fiftieth of what is there, twice: as many come in as there is room for."""
    who, let_in, start = caller(day_tokens=5000), [], threading.Barrier(50)
    reserve_ = lambda: budgets.reserve(who, 90, "m", NOW, most=10)  # noqa: E731

    def ask():
        start.wait()
        for _ in range(2):
            try:
                reservation = reserve_()
            except (Busy, QuotaUsed):
                continue
            let_in.append(reservation)
            budgets.settle(reservation, 100, 0.0, whole=False)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 50 and used(budgets)[0] == 5000


# an answer


def answer(*batches, fails=None):
    yield from batches
    if fails:
        raise fails


USAGE = Usage(input=100, output=23, credits=0.25, source="measured")
ANSWERS = [
    # what comes, how many batches are read of it (None: all), what is counted
    pytest.param([[TextDelta(0, "hi")], BEAT, [], [USAGE, Stop("end")]], None, [123, 0.25], id="whole"),
    pytest.param([BEAT, BEAT, [TextDelta(0, "hi"), USAGE, Stop("end")]], 2, [0, 0], id="left before anything came"),
    pytest.param([[TextDelta(0, "x" * 80)], [CallDelta(1, "y" * 20)], [USAGE]], 2, [100 + 25, 0.05], id="left in the middle"),
    pytest.param([[TextDelta(0, "x" * 40)], [Stop("end")]], None, [100 + 10, 0.05], id="no figures"),
    pytest.param([[TextDelta(0, "x" * 40)], [Usage(100, 10), Stop("max_tokens")]], None, [110, 0.05], id="cut here, without a price"),
    pytest.param([[USAGE, Stop("end")]], 0, [0, 0], id="never asked for"),
]


@pytest.mark.parametrize(("batches", "read", "counted"), ANSWERS)
def test_an_answer_is_paid_as_far_as_it_came(budgets, batches, read, counted):
    closed = []

    def source():
        try:
            yield from answer(*batches)
        finally:
            closed.append(True)

    metered = budgets.metered(source(), caller(day_tokens=10_000), 100, Conversation("m", ()))
    got = [next(metered) for _ in range(len(batches) if read is None else read)]
    if read is None:
        assert list(metered) == []
    metered.close()
    assert got == batches[: len(got)] and closed == ([True] if read != 0 else [])
    assert used(budgets) == counted * 2 and budgets._running == {} == budgets._held


@pytest.mark.parametrize(("batches", "counted"), [([], [0, 0]), ([BEAT], [0, 0]), ([[TextDelta(0, "x" * 8)]], [102, 0.05])], ids=str)
def test_a_request_that_fails_gives_its_reservation_back(budgets, batches, counted):
    who = caller(concurrent=1)
    metered = budgets.metered(answer(*batches, fails=UpstreamFailed("gone")), who, 100, Conversation("m", ()))
    with pytest.raises(UpstreamFailed):
        list(metered)
    assert used(budgets) == counted * 2 and reserve(budgets, who).open


def test_an_answer_that_misses_its_format_is_paid_for_twice(budgets):
    metered = budgets.metered(answer([], BEAT, [], fails=FormatMissed("twice over")), caller(), 100, Conversation("m", ()))
    with pytest.raises(FormatMissed):
        list(metered)
    assert used(budgets) == [2 * (100 + OUTPUT), 0.1] * 2


@pytest.mark.parametrize(("noted", "counted"), [({}, [0, 0]), ({"in": 90, "out": 7, "credits": 0.0}, [97, 0.05]),
                                                ({"in": 90, "out": 7, "credits": 0.2}, [97, 0.2])])  # fmt: skip
def test_who_leaves_an_answer_that_is_held_back_pays_what_is_known_of_it(budgets, noted, counted):
    """The client has seen nothing of it, and the upstream has begun."""
    metered = budgets.metered(answer([], [], [USAGE]), caller(), 100, Conversation("m", ()), lambda: noted)
    assert [next(metered), next(metered)] == [[], []]
    metered.close()
    assert used(budgets) == counted * 2


def test_what_was_cut_teaches_nothing(budgets):
    list(budgets.metered(answer([Usage(100, 1), Stop("max_tokens")]), caller(), 100, Conversation("m", ())))
    assert budgets._typical == {}
    list(budgets.metered(answer([USAGE, Stop("end")]), caller(), 100, Conversation("m", ())))
    assert budgets._typical == {"m": (23, 250_000)}


def test_over_the_limit_nothing_is_sent(budgets):
    sent = []

    def source():
        sent.append(True)
        yield []

    metered = budgets.metered(source(), caller(day_tokens=10), 100, Conversation("m", ()))
    with pytest.raises(QuotaUsed):
        next(metered)
    assert not sent and budgets._running == {}
