"""The jobs of the gateway at their work: real logins, pool and quotas before a twin, and nobody who asks anything."""

import time
from functools import partial
from pathlib import Path

import pytest

from kirogw.auth import Logins
from kirogw.background import Background, standard
from kirogw.catalog import Catalog
from kirogw.convert import Providers
from kirogw.dialects.kiro import faults
from kirogw.kept import Kept
from kirogw.pool import Pool
from kirogw.quotas import Quotas
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.store.sync import Sync
from kirogw.transport import Transport
from kirogw.twin import Twin
from kirogw.usage import Usage, UsageRecord


def wait_for(holds):
    deadline = time.monotonic() + 100
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


class Process:
    """A gateway without its web."""

    def __init__(self, twin: Twin, home: Path, **set: str) -> None:
        self.ahead = 0.0
        self.settings = load({"KIROGW_HOME": str(home), "BACKGROUND_REFRESH_INTERVAL": "0.2", **twin.settings(), **set}, {}, None)
        transport = Transport(self.settings)
        self.store = open_store(self.settings)
        self.sync = Sync(self.store)
        self.logins = Logins(self.settings, transport.post, self.store, home=home)
        self.pool = Pool(self.logins.accounts(), self.settings, store=self.store, sync=self.sync)
        self.quotas = Quotas(
            self.settings, Providers(self.settings), transport.call, self.logins, self.store, self.sync,
            accounts=lambda: {account.id: account for account in self.pool.all()},
            told=lambda id, quota: self.pool.quota(id, quota, self.now()),
            locked=lambda id, verdict: self.pool.failed(id, verdict, "", self.now()), now=self.now)
        self.catalog = Catalog(self.settings, Providers(self.settings), transport.call, self.sync)
        self.usage = Usage(self.sync, self.store)
        self.kept = Kept(self.settings, self.sync, self.logins.safe.seal, self.logins.safe.open)
        self.jobs = standard(self.settings, self.store, logins=self.logins, pool=self.pool, quotas=self.quotas,
                             catalog=self.catalog, usage=self.usage, kept=self.kept, now=self.now)  # fmt: skip
        self.background = Background(self.store, self.jobs, tick=0.02)

    def now(self) -> float:
        return time.time() + self.ahead

    def start(self) -> None:
        self.pool.start()
        self.sync.start()
        self.background.start()

    def close(self) -> None:
        self.background.stop()
        self.sync.close()
        self.store.close()

    def state(self, id: str) -> str:
        return next(account.state for account in self.pool.all() if account.id == id)

    def do(self, name: str) -> None:
        next(job for job in self.jobs if job.name == name).work(lambda: True)


@pytest.fixture
def twin():
    with Twin(accounts=["social", "api_key"]) as running:
        yield running


@pytest.fixture
def process(twin, tmp_path):
    made = []
    social, key = twin.accounts.all.values()
    known = {"REFRESH_TOKEN": social.refresh_token, "KIRO_API_KEY": key.api_key}

    def make(**set):
        made.append(Process(twin, tmp_path / "home", **known, **set))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_all_is_fresh_before_anybody_asks(twin, process):
    one = process()
    one.start()
    ids = {account.id for account in one.pool.all()}
    assert len(ids) == 2
    wait_for(lambda: set(one.quotas.quotas()) == ids and all(a.quota for a in one.pool.all()))
    wait_for(lambda: len(one.store.all("catalogue")) == 2 and len(one.store.all("quota")) == 2)  # written, so that others know
    assert [len(twin.seen(name)) for name in ("refresh", "usage", "models")] == [1, 2, 2]
    two = process()
    two.start()  # which hears all that from the first
    wait_for(lambda: set(two.quotas.quotas()) == ids and all(a.quota for a in two.pool.all()))
    for id in ids:
        assert len(two.catalog.models(id, partial(two.logins.fresh, id))) == len(twin.catalogue)
    assert [len(twin.seen(name)) for name in ("refresh", "usage", "models")] == [1, 2, 2]


def test_a_token_is_renewed_before_it_ends(twin, process):
    twin.options.access_life = 5.0  # so it is due when one second is left
    one = process(REFRESH_AHEAD="4.5")
    one.start()
    wait_for(lambda: len(twin.seen("refresh")) >= 2)
    assert twin.ledger.reuses == 0


def test_a_login_that_is_dead_is_known_before_a_request_meets_it(twin, process):
    one = process()
    social = next(iter(twin.accounts.all.values()))
    twin.accounts.revoke(social.name)
    one.do("tokens")
    states = {account.kind: account.state for account in one.pool.all()}
    assert states == {"social": "login", "key": "ready"}
    [health] = [account.health for account in one.pool.all() if account.state == "login"]
    assert "needs a login" in health.evidence
    one.do("tokens")
    assert [account.health for account in one.pool.all() if account.state == "login"] == [health]  # once is enough


def test_an_account_that_was_locked_is_found_free_again(twin, process):
    one = process()
    social = next(iter(twin.accounts.all.values()))
    social.suspended = True
    for account in one.pool.all():
        one.quotas.attempt(account.id)
    [locked] = [account.id for account in one.pool.all() if account.state == "suspended"]
    asked = len(twin.seen("usage"))
    one.do("quotas")
    one.do("probes")
    assert len(twin.seen("usage")) == asked  # its time has not come
    one.ahead = 25.0
    one.do("probes")
    assert (len(twin.seen("usage")), one.state(locked)) == (asked + 1, "suspended")
    one.ahead += 60.0
    one.do("probes")
    assert len(twin.seen("usage")) == asked + 1  # the second time it rests longer
    social.suspended = False
    one.ahead += 300.0
    one.do("probes")
    assert one.state(locked) == "ready"


def test_an_account_that_is_used_up_comes_back_with_its_plan(twin, process):
    one = process()
    social = next(iter(twin.accounts.all.values()))
    social.used = social.limit
    for account in one.pool.all():
        one.quotas.attempt(account.id)
    [used] = [account.id for account in one.pool.all() if account.state == "exhausted"]
    reset = one.quotas.of(used).resets_at
    one.ahead = reset - 20 - time.time()
    asked = len(twin.seen("usage"))
    social.used = 0.0
    one.do("quotas")
    once = len(twin.seen("usage"))
    assert once >= asked  # the seldom look at what is used up, and the other account
    one.ahead += 55
    one.do("quotas")
    assert (one.quotas.of(used).left, one.state(used)) == (1000, "ready")


def test_a_plan_that_only_seemed_used_up_serves_again_at_once(twin, process):
    """"Too many requests" is also what Kiro says of a plan that is used up; its own figures tell which was meant."""
    one = process()
    id = one.pool.all()[0].id
    body = b'{"reason": "MONTHLY_REQUEST_COUNT", "message": "x"}'
    one.pool.failed(id, faults.judge(402, {}, body), "auto", time.time() - 1)
    one.quotas.wanted(id)
    assert one.state(id) == "exhausted"
    one.do("errands")
    assert one.state(id) == "ready"


def test_what_is_old_goes(twin, process):
    one = process()
    one.usage.record(UsageRecord(time.time(), outcome="end_turn"))
    one.store.append("events", [{"what": "x"}])
    one.sync.flush()
    one.do("pruning")
    assert len(one.usage.requests()) == 1
    one.ahead = 91 * 86400.0
    one.do("pruning")
    assert (one.usage.requests(), len(one.store.entries("events"))) == ([], 1)


def test_it_stops_in_the_middle_of_its_work(twin, process):
    one = process()
    twin.faults.add(operation="usage", slow=1.5, count=None)
    one.start()
    wait_for(lambda: twin.seen("usage"))
    began = time.monotonic()
    one.background.stop(0.5)
    assert time.monotonic() - began < 60
    assert one.store.holder("background") == ""
