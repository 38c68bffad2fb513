"""What accounts have left: asked at the twin, known to all processes, never lost by a failure."""

import threading
import time
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.convert import Providers
from kirogw.dialects.provider import Login
from kirogw.dialects.quota import Bucket, Quota
from kirogw.errors import Forbidden, GatewayError, NeedsLogin
from kirogw.quotas import HEARD, Quotas, Snapshot, dumped, loaded, next_time, outdated, viewed
from kirogw.quotas.snapshot import merged
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.transport import Transport
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin

KINDS = {"api_key": "key"}
SOON = 2000000000.0


class Bearers:
    """The logins of a twin's accounts, as auth.Logins gives them."""

    def __init__(self, twin):
        self.twin, self.renewed, self.spent = twin, [], {}

    def fresh(self, name):
        account = self.twin.accounts.all[name]
        if account.kind in ("codex", "siwc"):
            return Login(account.kind, self.spent.get(name) or account.access_token, machine="m" * 64, workspace=account.workspace)
        token = self.spent.get(name) or account.api_key or account.access_token
        profile = "" if account.kind == "api_key" else account.profile_arn
        return Login(KINDS.get(account.kind, account.kind), token, profile, account.region, "m" * 64)

    def renew(self, name, spent):
        self.renewed.append((name, spent))
        self.spent.pop(name, None)
        return self.fresh(name)

    def profile(self, name):
        return getattr(self.twin.accounts.all[name], "own_arn", "")


class Account(NamedTuple):
    id: str
    kind: str
    state: str


class Process:
    """What one gateway process has of it."""

    def __init__(self, twin, home, **set):
        self.settings = load({"KIROGW_HOME": str(home), **twin.settings(), **set}, {}, None)
        self.store = open_store(self.settings)
        self.sync = Sync(self.store)
        self.logins = Bearers(twin)
        self.states = dict.fromkeys(twin.accounts.all, "ready")
        self.kinds = {name: KINDS.get(account.kind, account.kind) for name, account in twin.accounts.all.items()}
        self.told, self.locked = [], []
        transport = Transport(self.settings)
        self.quotas = Quotas(
            self.settings, Providers(self.settings), transport.call, self.logins, self.store, self.sync,
            accounts=lambda: {id: Account(id, self.kinds.get(id, ""), state) for id, state in self.states.items()},
            told=lambda id, quota: self.told.append((id, quota)), locked=lambda id, verdict: self.locked.append((id, verdict.rule)))

    def close(self):
        self.sync.close()
        self.store.close()


@pytest.fixture
def twin():
    with Twin(accounts=["idc", "social"]) as running:
        yield running


@pytest.fixture
def process(twin, tmp_path):
    made = []

    def make(**set):
        made.append(Process(twin, tmp_path / "home", **set))
        return made[-1]

    yield make
    for one in made:
        one.close()


def row(used, limit, status="ACTIVE", **members):
    return {"used": used, "limit": limit, "status": status, "expires_at": SOON, **members}


FORMS = [
    # how the twin tells it, what else the account has, the buckets, overage
    pytest.param({}, {}, [("plan", 12.5, 1000.0)], False, id="as captured"),
    pytest.param({"milliseconds": True}, {"trial": row(106.5, 500)}, [("plan", 12.5, 1000.0), ("trial", 106.5, 500.0)], False, id="ms"),
    pytest.param({"precise": False}, {}, [("plan", 12.0, 1000.0)], False, id="whole figures"),
    pytest.param({"overage": "long"}, {"overage": True}, [("plan", 12.5, 1000.0)], True, id="overage, long"),
    pytest.param({}, {"overage": True}, [("plan", 12.5, 1000.0)], True, id="overage"),
    pytest.param({"kind": "AGENTIC_REQUEST", "before": ["SPEC", "CREDIT"]}, {}, [("plan", 12.5, 1000.0)], False, id="after others"),
    pytest.param({}, {"trial": row(1, 500, "EXPIRED"), "bonuses": [row(0, 9, "EXPIRED", code="A"), row(2, 9, code="B")]},
                 [("plan", 12.5, 1000.0), ("bonus B", 2.0, 9.0)], False, id="what is active"),
    pytest.param({"strange": {"usageBreakdownList": {"CREDIT": 5}}}, {}, [], False, id="strange"),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "members", "buckets", "overage"), FORMS)
def test_each_form_is_read(twin, process, usage, members, buckets, overage):
    account, one = twin.account, process()
    account.used, account.usage = 12.5, usage
    for name, value in members.items():
        setattr(account, name, value)
    quota = one.quotas.refresh(account.name)
    assert [(b.name, b.used, b.limit) for b in quota.buckets] == buckets
    assert (quota.overage, quota.exhausted) == (overage, False)
    ends = {b.resets_at for b in quota.buckets if b.name != "plan"}
    assert ends <= {SOON}
    assert quota.resets_at is None if not buckets else 0 < quota.resets_at - time.time() < 32 * 86400
    assert one.told == [(account.name, quota)]


@pytest.mark.parametrize("kind", ["social", "idc", "builder", "external", "api_key"])
def test_every_kind_of_account_is_let_in(kind, tmp_path):
    with Twin(accounts=[kind], check_agent=True) as twin:
        one = Process(twin, tmp_path)
        try:
            assert one.quotas.refresh(twin.account.name).left == 1000
            assert not twin.denials
        finally:
            one.close()


def test_what_one_process_was_told_all_know(twin, process):
    name = twin.account.name
    one, two = process(), process()
    quota = one.quotas.refresh(name)
    one.sync.flush()
    assert two.quotas.of(name) is None
    two.quotas.look()
    two.quotas.look()
    assert quota.email == f"{name}@localhost"
    quota = replace(quota, email="", user="")  # whose it is nobody else needs to know
    assert (two.quotas.of(name), two.told) == (quota, [(name, quota)])
    assert len(twin.seen("usage")) == 1
    three = process()
    three.sync.start()
    wait_for(lambda: three.quotas.of(name) == quota)


def wait_for(holds):
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


@pytest.mark.parametrize("fault", ["INTERNAL", "HANG_UP", "STRANGE"])
def test_a_failure_never_loses_what_was_known(twin, process, fault):
    name, one = twin.account.name, process()
    twin.account.used = 7.0
    known = one.quotas.refresh(name)
    if fault == "STRANGE":
        twin.account.usage = {"strange": {"usage": 0}}
        assert one.quotas.refresh(name).left is None
    else:
        members = {"status": 500} if fault == "INTERNAL" else {"hangup": "reset"}
        twin.faults.add(operation="usage", count=4, **members)
        with pytest.raises(GatewayError):
            one.quotas.refresh(name)
    assert one.quotas.of(name) == known
    now = time.time()
    shown = one.quotas.view(name, now)
    assert (shown["left"], shown["known"], bool(shown["error"])) == (993.0, True, True)
    one.sync.flush()
    two = process()
    two.quotas.look()
    assert two.quotas.view(name, now) == shown
    twin.account.usage = {}
    twin.faults.clear()
    assert one.quotas.refresh(name).left == 993.0
    assert one.quotas.view(name, time.time())["error"] == ""


def test_what_a_reset_has_overtaken_is_told_to_nobody(twin, process):
    """A gateway that starts on the first of a month finds what was used up on the last."""
    name, one = twin.account.name, process()
    twin.account.used = 1000.0
    assert one.quotas.refresh(name).exhausted
    one.sync.flush()
    for later, told in ((0.0, True), (40 * 86400.0, False)):
        two = process()
        two.quotas._now = lambda: time.time() + later
        two.quotas.look()
        assert bool(two.told) is told
        assert two.quotas.view(name, two.quotas._now())["exhausted"] is told
        assert (name in two.quotas.due(two.quotas._now())) is not told


def test_a_locked_account_is_told(twin, process):
    name, one = twin.account.name, process()
    twin.account.suspended = True
    with pytest.raises(Forbidden, match="locked"):
        one.quotas.refresh(name)
    assert (one.locked, one.told) == ([(name, "suspended")], [])


def test_a_token_that_is_refused_is_renewed_once(twin, process):
    name, one = twin.account.name, process()
    one.logins.spent[name] = "aoaOLD"
    assert one.quotas.refresh(name).left == 1000
    assert one.logins.renewed == [(name, "aoaOLD")]
    twin.account.access_token = "aoaNEVER"
    with pytest.raises(NeedsLogin):
        one.quotas.refresh(name)


def test_another_host_is_asked_when_one_does_not_know_the_call(twin, process):
    one = process(KIRO_CONTROL_URLS=f"{twin.url}/@telemetry.us-east-1.kiro.dev,{twin.url}")
    assert one.quotas.refresh(twin.account.name).left == 1000


def test_threads_that_ask_together_share_an_answer(twin, process):
    name, one = twin.account.name, process()
    for seconds in (0.3, 3.0, 12.0):  # a busy machine may have begun some of them too late for the first
        before = len(twin.seen("usage"))
        twin.faults.add(operation="usage", slow=seconds, count=1)
        threads = [threading.Thread(target=one.quotas.refresh, args=(name,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked = len(twin.seen("usage")) - before
        if asked <= 2:
            break
    assert 1 <= asked <= 2


# When


def test_all_are_asked_but_those_of_whom_nothing_new_can_be_heard(twin, process):
    one = process()
    one.states = {"ready": "ready", "cooling": "cooling", "disabled": "disabled", "suspended": "suspended", "login": "login", "used": "exhausted"}
    for name in one.states:
        twin.add_account("idc", name)
    now = time.time()
    one.quotas._keep("used", Snapshot(Quota(now, (Bucket("plan", 1, 1, now + 900),), resets_at=now + 900), now))
    assert set(one.quotas.refresh_all()) == {"ready", "cooling"}
    one.quotas._keep("used", Snapshot(Quota(now, (Bucket("plan", 1, 1, now - 9),), resets_at=now - 9), now + 1))
    assert set(one.quotas.refresh_all()) == {"ready", "cooling", "used"}
    assert set(one.quotas.refresh_all(force=True)) == set(one.states)


def test_even_a_fault_of_our_own_stops_nothing_else(twin, process):
    one = process()
    one.states["nobody"] = "ready"  # the logins raise KeyError
    found = one.quotas.refresh_all()
    assert type(found.pop("nobody")) is GatewayError
    assert [quota.left for quota in found.values()] == [1000, 1000]


def test_one_failure_does_not_keep_the_others_from_being_asked(twin, process):
    one = process()
    twin.account.suspended = True
    found = one.quotas.refresh_all(force=True)
    assert isinstance(found.pop(twin.account.name), Forbidden)
    assert [quota.left for quota in found.values()] == [1000]


def test_the_schedule(twin, process):
    one = process()
    names = list(twin.accounts.all)
    assert set(one.quotas.due(time.time())) == set(names)
    one.quotas.scheduled(lambda: True)
    assert one.quotas.due(time.time()) == []
    assert one.quotas.due(time.time() + 235) == []
    assert set(one.quotas.due(time.time() + 301)) == set(names)
    one.states[names[0]] = "disabled"
    assert one.quotas.due(time.time() + 301) == [names[1]]
    assert process(QUOTA_INTERVAL="0").quotas.due(time.time()) == []


def test_a_clock_that_was_set_back_delays_nothing(twin, process):
    name, one = twin.account.name, process()
    one.quotas._now = lambda: time.time() + 86400
    one.quotas.refresh(name)
    one.quotas._now = time.time
    assert name in one.quotas.due(time.time())
    twin.account.used = 5.0
    assert one.quotas.refresh(name).left == one.quotas.of(name).left == one.told[-1][1].left == 995
    assert name not in one.quotas.due(time.time())


def test_nothing_is_asked_by_who_does_not_lead_any_more(twin, process):
    process().quotas.scheduled(lambda: False)
    assert twin.seen("usage") == []


def test_a_refused_request_makes_its_process_ask(twin, process):
    name, one = twin.account.name, process()
    one.quotas.wanted(name)
    one.quotas.errands()
    assert (len(twin.seen("usage")), len(one.told), one.quotas.has_errands()) == (1, 1, False)
    one.quotas.wanted(name)
    one.quotas.errands()  # not again at once, but it is not forgotten
    assert (len(twin.seen("usage")), one.quotas.has_errands()) == (1, True)


def test_what_another_process_asks_is_waited_for(twin, process):
    name, one, two = twin.account.name, process(), process()
    assert two.store.lease(f"quota:{name}", "another|machine|1|2", 60)
    two.quotas.wanted(name)
    two.quotas.errands()
    assert (twin.seen("usage"), two.quotas.has_errands()) == ([], True)
    quota = one.quotas.refresh(name)
    one.sync.flush()
    two.quotas.look()
    two.quotas.errands()
    assert (len(twin.seen("usage")), two.quotas.has_errands(), two.told) == (1, False, [(name, replace(quota, email="", user=""))])


def test_an_account_that_is_gone_is_forgotten_in_the_end(twin, process):
    name, one = twin.account.name, process()
    one.quotas.refresh(name)
    one.states.pop(name)
    one.quotas.prune(time.time())
    assert one.quotas.of(name)
    one.quotas.prune(time.time() + 31 * 86400)
    one.sync.flush()
    assert (one.quotas.of(name), one.store.all("quota")) == (None, {})


times = st.floats(1.7e9, 1.9e9)
figures = st.floats(0, 1e6)
quotas = st.builds(
    Quota, asked_at=times, plan=st.text(max_size=5), overage=st.booleans(), overage_cap=st.none() | figures, overage_used=figures,
    resets_at=st.none() | times, windows=st.booleans(),
    buckets=st.lists(st.builds(Bucket, st.text(max_size=5), figures, figures, st.none() | times, st.none() | figures), max_size=3).map(tuple))  # fmt: skip
snapshots = st.builds(
    Snapshot, st.none() | quotas, times, st.text(max_size=5), st.integers(0, 20),
    st.lists(st.tuples(times, figures), max_size=4).map(tuple))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(snapshots, st.floats(0, 1), st.sampled_from([60.0, 300.0, 3600.0]))
def test_the_next_look_comes_neither_too_soon_nor_too_late(kept, chance, interval):
    when = next_time(kept, interval, lambda: chance)
    wait = when - kept.tried
    parts = [b.resets_at for b in kept.quota.buckets] + [kept.quota.resets_at] if kept.quota else []
    ahead = [at for at in parts if at and at > kept.tried]
    usual = kept.failures == 0 and not (kept.quota and kept.quota.exhausted)
    assert not ahead or when <= min(ahead) + 30.001
    if not ahead or min(ahead) > kept.tried + 7200:
        assert 0.8 * min(interval, 30) - 0.001 <= wait <= max(interval, 3600) + 0.001
        assert not usual or 0.8 * interval - 0.001 <= wait <= interval + 0.001


def test_after_failures_it_is_asked_more_seldom():
    waits = [next_time(Snapshot(None, 1.7e9, "x", n), 300.0, lambda: 1.0) - 1.7e9 for n in (1, 2, 3, 4, 5, 900)]
    assert waits == [30, 60, 120, 240, 300, 300]


@settings(max_examples=150, deadline=None)
@given(snapshots)
def test_the_store_gives_back_what_it_was_given(kept):
    assert loaded(dumped(kept)) == kept


json_values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=4)


@settings(max_examples=150, deadline=None)
@given(snapshots, st.sampled_from(["tried", "error", "failures", "points", "quota", "other"]), json_values)
def test_what_another_version_wrote_breaks_nothing(kept, member, value):
    found = loaded({**dumped(kept), member: value})
    viewed(found, 1.8e9)
    next_time(found, 300.0, lambda: 0.5)


# ChatGPT


@pytest.fixture
def chatgpt():
    with CodexTwin(accounts=["codex", "siwc"]) as running:
        yield running


def test_windows_are_read_by_their_length(chatgpt, tmp_path):
    """Whatever slot they stand in; an account may have one only."""
    account, one = chatgpt.account, Process(chatgpt, tmp_path)
    ends = time.time() + 3000
    try:
        account.primary, account.secondary = {"used": 60.0, "seconds": 604_800, "resets_at": ends}, {}
        quota = one.quotas.refresh(account.name)
        assert [(b.name, b.used, b.limit, b.seconds) for b in quota.buckets] == [("week", 60.0, 100.0, 604_800.0)]
        assert (quota.plan, quota.left, quota.exhausted, quota.windows) == ("plus", 40.0, False, True)
        account.primary, account.secondary = {"used": 100.0, "seconds": 18_000, "resets_at": ends}, account.primary
        quota = one.quotas.refresh(account.name)
        assert ([b.name for b in quota.buckets], quota.exhausted) == (["5 hours", "week"], True)
        assert quota.opens_at == pytest.approx(ends, abs=3)
        assert one.quotas.snapshot(account.name).points == ()
        assert [told.exhausted for _, told in one.told] == [False, True]
        one.quotas.refresh(account.name)
        account.credits |= {"has_credits": True, "balance": "12.5"}
        assert not one.quotas.refresh(account.name).exhausted
    finally:
        one.close()


def test_a_login_of_which_nobody_tells_is_asked_for_by_nobody(chatgpt, tmp_path):
    one, now = Process(chatgpt, tmp_path), time.time()
    one.states = {"siwc-2": "ready"}
    try:
        one.quotas.wanted("siwc-2")
        one.quotas.errands()
        assert (one.quotas.due(now + 1e6), one.quotas.refresh_all(force=True), one.quotas.has_errands()) == ([], {}, False)
        assert one.quotas.refresh("siwc-2").left is None
        assert (chatgpt.seen("usage"), one.told) == ([], [])
        view = one.quotas.view("siwc-2", now)
        assert (view["known"], view["error"]) == (False, "ChatGPT tells no program what such a login has left; see chatgpt.com/settings/usage")
    finally:
        one.close()


def test_a_check_asks_somebody_in_any_case(chatgpt, tmp_path):
    """For its models, where nobody tells what it has left."""
    one = Process(chatgpt, tmp_path)
    try:
        one.quotas.check("codex-1")
        one.quotas.check("siwc-2")
        assert (len(chatgpt.seen("usage")), len(chatgpt.seen("models"))) == (1, 1)
        chatgpt.faults.add("account_deactivated", operation="models")
        with pytest.raises(Forbidden):
            one.quotas.check("siwc-2")
    finally:
        one.close()


@pytest.mark.parametrize(("fault", "error", "locked"), [
    ("token_invalidated", NeedsLogin, []), ("account_deactivated", Forbidden, [("codex-1", "suspended")]), ("server_error", GatewayError, []),
])  # fmt: skip
def test_what_chatgpt_refuses(chatgpt, tmp_path, fault, error, locked):
    one = Process(chatgpt, tmp_path)
    chatgpt.faults.add(fault, operation="usage", count=None)
    try:
        with pytest.raises(error):
            one.quotas.refresh("codex-1")
        assert (one.locked, one.told, len(one.logins.renewed)) == (locked, [], fault == "token_invalidated")
    finally:
        one.close()


# What heads of answers tell


def heads(left, at, name="5 hours", plan="", resets_at=None):
    return Quota(at, (Bucket(name, 100.0 - left, 100.0, resets_at, 18_000.0),), plan, windows=True)


def told(one, *quotas):
    """Which of them counted, by what the account then has left."""
    for quota in quotas:
        one.quotas.told("a", quota)
    return [quota.left for _, quota in one.told]


def test_what_a_head_says_is_known_to_all_and_puts_off_the_next_question(process):
    one, two, now = process(), process(), time.time()
    one.states = {"a": "ready"}
    assert told(one, heads(70.0, now)) == [70.0]
    assert (one.quotas.of("a").left, one.quotas.due(now + 200), one.quotas.due(now + 301)) == (70.0, [], ["a"])
    one.sync.flush()
    two.quotas.look()
    assert two.quotas.of("a") == one.quotas.of("a")
    assert two.quotas.snapshot("a").points == ()


def test_heads_count_now_and_then_and_at_once_when_all_is_used_up(process):
    one, now = process(), time.time()
    quotas = [heads(70.0, now), heads(69.0, now + 1), heads(68.0, now + HEARD - 1), heads(67.0, now + HEARD), heads(0.0, now + HEARD + 1),
              heads(0.0, now + HEARD + 2), heads(66.0, now + HEARD + 3), Quota(now + 60), heads(65.0, now - 60)]  # fmt: skip
    assert told(one, *quotas) == [70.0, 67.0, 0.0, 66.0, 65.0]  # the last one: the clock was set back


MERGED = [
    # what was known, what a head tells, what is known then
    pytest.param(None, heads(50.0, 2.0), heads(50.0, 2.0), id="nothing was known"),
    pytest.param(heads(80.0, 1.0, plan="plus"), heads(50.0, 2.0), heads(50.0, 2.0, plan="plus"), id="the plan stays"),
    pytest.param(Quota(1.0, (Bucket("plan", 1.0, 9.0),)), heads(50.0, 2.0), heads(50.0, 2.0), id="credits are something else"),
    pytest.param(heads(80.0, 1.0, "week", resets_at=9.0), heads(50.0, 2.0),
                 Quota(2.0, (heads(50.0, 2.0).buckets[0], heads(80.0, 1.0, "week", resets_at=9.0).buckets[0]), windows=True), id="a window not named"),
    pytest.param(heads(80.0, 1.0, "week", resets_at=2.0), heads(50.0, 2.0), heads(50.0, 2.0), id="it was reset"),
    pytest.param(heads(0.0, 1.0, "week", resets_at=9.0), heads(50.0, 2.0), heads(50.0, 2.0), id="it was used up, and the account answers"),
]  # fmt: skip


@pytest.mark.parametrize(("known", "told", "then"), MERGED)
def test_a_head_leaves_something_out(known, told, then):
    assert merged(known, told) == then


def test_a_window_that_was_reset_is_not_used_up_any_more():
    quota = Quota(100.0, (Bucket("day", 100.0, 100.0, 300.0), Bucket("hour", 10.0, 100.0, 200.0)), windows=True)
    assert [outdated(quota, now) for now in (150.0, 250.0, 300.0)] == [False, False, True]
    assert [viewed(Snapshot(quota, 100.0), now)["exhausted"] for now in (250.0, 300.0)] == [True, False]


def test_the_history_begins_anew_with_the_plan(twin, process):
    name, one = twin.account.name, process()
    clock = iter(range(10**9, 2 * 10**9, 2 * 3600))
    one.quotas._now = lambda: float(next(clock))
    used = []
    for twin.account.used in (1.0, 2.0, 3.0, 4.0, 5.0):
        one.quotas.refresh(name)
        used.append([point[1] for point in one.quotas.snapshot(name).points])
    assert used[-1][0] == 1.0
    assert used[-1][-1] == 5.0
    assert used[-1] == sorted(used[-1])
    twin.account.used = 0.5
    one.quotas.refresh(name)
    assert [point[1] for point in one.quotas.snapshot(name).points] == [0.5]
