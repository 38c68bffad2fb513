"""Sign-ins driven from outside, by several workers on one store."""

import json
import socket
import threading
import time
from dataclasses import replace

import pytest
import requests

from kirogw.errors import BadRequest, Busy, NotFound
from kirogw.logins import flows as module
from kirogw.logins.flows import KEPT, KIND, MOST, Flows
from kirogw.logins.sealed import Safe, Seal
from kirogw.store import open_store
from kirogw.store.sqlite import SqliteStore
from kirogw.twin import Twin
from tests.logins import support
from tests.logins.test_callback import is_free, waited
from tests.store.servers import redis_server
from tests.system.running import free_port


class House:
    """A folder that several workers share. The clock is ours; `kept` is what became of the logins."""

    def __init__(self, twin, folder):
        self.twin, self.folder, self.clock = twin, folder, time.time()
        self.settings = support.settings(twin, folder / "home")
        self.port, self.kept, self.workers = free_port(), [], []
        self.seal = Seal(b"k" * 32)
        self.gate = None  # what a request to the services waits for

    def worker(self, **more):
        store = SqliteStore(self.folder / "state.sqlite3", lambda: self.clock)
        network = support.Network()

        def post(request):
            if self.gate:
                self.gate(request)
            return network(request)

        made = Flows(self.settings, post, store, self.seal, self.add, now=lambda: self.clock, sleep=lambda s: None, port=self.port)
        self.workers.append((made, store))
        return made

    def add(self, credential, **more):
        self.kept.append(credential)
        return f"account-{len(self.kept)}"

    def docs(self):
        return self.workers[0][1].all(KIND)

    def at(self, shown):
        """The time that it names has come."""
        self.clock = max(self.clock, shown["again_at"] or 0.0)

    def choose(self, shown, choice):
        """The address that the page sends the browser to."""
        url = shown["url"].replace("/signin?", "/signin/continue?") + f"&choice={choice}"
        return requests.get(url, timeout=60, allow_redirects=False).headers["location"]


@pytest.fixture
def house(tmp_path):
    with Twin(accounts=[], device_polls=1) as twin:
        made = House(twin, tmp_path)
        yield made
        for worker, store in made.workers:
            worker.close()
            store.close()
        assert is_free(made.port)


GOOGLE = {"provider": "google"}


@pytest.mark.parametrize(("kind", "params"), [
    ("builder-id", {}), ("idc", {"start_url": "https://acme.awsapps.com/start", "region": "eu-west-1"}), ("social", GOOGLE)])
def test_any_worker_does_the_next_step(house, kind, params):
    one, other = house.worker(), house.worker()
    shown = one.start(kind, params)
    assert shown["state"] == "pending" and shown["code"] in shown["url"] and shown["paste"] is False
    for turn in (other, one, other):
        house.at(shown)
        shown = turn.state(shown["id"])
    assert (shown["state"], shown["account"], len(house.kept)) == ("done", "account-1", 1)
    assert one.state(shown["id"]) == shown and "credits left" in shown["reason"]


def test_asking_more_often_than_the_service_wants_asks_it_no_more_often(house):
    worker = house.worker()
    shown = worker.start("social", GOOGLE)
    for _ in range(20):
        assert worker.state(shown["id"]) == shown
    assert house.twin.counts.get("social_poll", 0) == 0


def test_of_many_who_are_asked_at_once_one_polls(house):
    workers = [house.worker() for _ in range(4)]
    shown = workers[0].start("social", GOOGLE)
    house.at(shown)
    start, got, slow = threading.Barrier(8), [], threading.Event()
    house.gate = lambda request: slow.wait(60)

    def ask(worker):
        start.wait()
        got.append(worker.state(shown["id"])["state"])
        if len(got) == 7:
            slow.set()  # all but the one that polls

    threads = [threading.Thread(target=ask, args=(workers[n % 4],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["pending"] * 8 and house.twin.counts["social_poll"] == 1


def test_a_worker_that_dies_in_the_middle_is_replaced(house):
    one, other = house.worker(), house.worker()
    shown = one.start("social", GOOGLE)
    house.at(shown)

    def die(request):
        raise KeyboardInterrupt

    house.gate = die
    with pytest.raises(KeyboardInterrupt):
        one.state(shown["id"])
    house.gate = None
    assert other.state(shown["id"])["state"] == "pending" and house.twin.counts.get("social_poll", 0) == 0
    house.clock += module.CLAIM
    other.state(shown["id"])
    assert house.twin.counts["social_poll"] == 1


def test_tokens_that_came_outlive_the_worker_that_got_them(house):
    one, other = house.worker(), house.worker()
    shown = one.start("social", GOOGLE)
    house.twin.auth.polls.append("approved")
    house.at(shown)

    def die(request):
        if "auth" not in request.url:
            raise KeyboardInterrupt  # while it asks whose they are

    house.gate = die
    with pytest.raises(KeyboardInterrupt):
        one.state(shown["id"])
    house.gate = None
    house.clock += module.CLAIM
    shown = other.state(shown["id"])
    assert shown["state"] == "done" and house.kept[0].access == house.twin.account.access_token


def test_nothing_lies_in_the_store_in_the_clear(house):
    worker = house.worker()
    shown = worker.start("social", {**GOOGLE, "label": "mine"})
    device = next(iter(house.twin.auth.devices))
    house.twin.auth.polls.append("approved")
    house.at(shown)
    before = json.dumps([doc.value for doc in house.docs().values()])
    worker.state(shown["id"])
    after = json.dumps([doc.value for doc in house.docs().values()])
    raw = b"".join(path.read_bytes() for path in house.folder.glob("state.sqlite3*"))
    for text in (device, shown["code"], house.kept[0].access, house.kept[0].refresh):
        assert text not in before + after and text.encode() not in raw


def test_another_key_can_not_read_it(house):
    one = house.worker()
    house.seal = Seal(b"x" * 32)
    other = house.worker()
    shown = one.start("social", GOOGLE)
    with pytest.raises(NotFound):
        other.state(shown["id"])


# the browser


def test_the_browser_comes_back_by_itself(house):
    worker = house.worker()
    shown = worker.start("portal", {})
    assert shown["paste"] and shown["notice"] == "" and not is_free(house.port)
    got = requests.get(house.choose(shown, "google"), timeout=60)
    assert got.status_code == 200 and "<h1>Signed in</h1>" in got.text and "Google, so***@localhost" in got.text
    assert worker.state(shown["id"])["state"] == "done" and house.kept[0].provider == "Google"
    assert waited(lambda: is_free(house.port)), "no port is held after the end"


def test_two_at_once_share_the_port(house):
    one, other = house.worker(), house.worker()
    first, second, third = one.start("portal", {}), one.start("portal", {}), other.start("portal", {})
    assert [flow["notice"] for flow in (first, second, third)] == [""] * 3
    for flow, choice in ((third, "github"), (first, "google"), (second, "google")):
        assert requests.get(house.choose(flow, choice), timeout=60).ok
        assert other.state(flow["id"])["state"] == "done"
    assert [kept.provider for kept in house.kept] == ["Github", "Google", "Google"]
    assert waited(lambda: is_free(house.port))


def test_the_page_hands_over_to_a_code(house):
    worker = house.worker()
    shown = worker.start("portal", {})
    got = requests.get(house.choose(shown, "awsidc"), timeout=60)
    shown = worker.state(shown["id"])
    assert (shown["step"], shown["region"]) == ("device", "eu-west-1")
    assert shown["code"] in got.text and f'href="{shown["url"]}"' in got.text
    assert waited(lambda: is_free(house.port))
    while shown["state"] == "pending":
        house.at(shown)
        shown = worker.state(shown["id"])
    assert house.kept[0].kind == "idc"


def test_what_is_not_ours_is_turned_away(house):
    worker = house.worker()
    shown = worker.start("portal", {})
    base = f"http://127.0.0.1:{house.port}"
    for path in ("/oauth/callback?code=stolen&state=" + "0" * 32, "/oauth/callback?error=access_denied&state=" + "0" * 32,
                 "/oauth/callback?code=x", "/signin/callback?login_option=builderid&state=<script>"):  # fmt: skip
        got = requests.get(base + path, timeout=60)
        assert got.status_code == 400 and "<script" not in got.text
    assert worker.state(shown["id"])["state"] == "pending" and house.twin.counts.get("exchange", 0) == 0
    assert requests.get(house.choose(shown, "google"), timeout=60).ok and worker.state(shown["id"])["state"] == "done"


def test_a_browser_that_calls_twice_is_answered_twice(house):
    worker = house.worker()
    shown, slow, asked = worker.start("portal", {}), threading.Event(), threading.Event()
    url, pages = house.choose(shown, "google"), []

    def wait(request):
        asked.set()
        slow.wait(60)

    house.gate = wait
    first = threading.Thread(target=lambda: pages.append(requests.get(url, timeout=60).text))
    first.start()
    assert asked.wait(60)
    again = requests.get(url, timeout=60)
    assert again.status_code == 200 and "being finished already" in again.text
    slow.set()
    first.join()
    assert "Signed in" in pages[0] and len(house.kept) == 1 and house.twin.counts["exchange"] == 1


def test_the_user_who_says_no_is_told_so(house):
    worker = house.worker()
    shown = worker.start("portal", {})
    got = requests.get(house.choose(shown, "deny"), timeout=60)
    assert got.status_code == 400 and "was refused on the sign-in page" in got.text
    assert worker.state(shown["id"])["reason"] == "the login was refused on the sign-in page"


def test_an_address_can_be_pasted_to_any_worker(house):
    one, other = house.worker(), house.worker()
    shown = one.start("portal", {})
    url = house.choose(shown, "google")
    with pytest.raises(BadRequest, match="belongs to another login"):
        other.paste(shown["id"], url.replace("state=", "state=0"))
    with pytest.raises(BadRequest, match="no `code`"):
        other.paste(shown["id"], url.replace("code=", "cod="))
    shown = other.paste(shown["id"], f"  {url}\n")
    assert shown["state"] == "done" and len(house.kept) == 1
    with pytest.raises(BadRequest, match="does not wait for an address"):
        one.paste(shown["id"], url)
    assert waited(lambda: is_free(house.port)), "the worker that listened hears of it"


def test_the_older_form_is_pasted(house):
    worker = house.worker()
    shown = worker.start("social", {**GOOGLE, "how": "link"})
    assert is_free(house.port), "it comes back to no port"
    url = requests.get(shown["url"], timeout=60, allow_redirects=False).headers["location"]
    assert url.startswith("kiro://") and worker.paste(shown["id"], url)["state"] == "done"


def test_a_port_that_is_taken_leaves_the_paste(house):
    with socket.create_server(("127.0.0.1", house.port)):
        worker = house.worker()
        shown = worker.start("portal", {})
        assert shown["state"] == "pending" and shown["notice"].startswith(f"port {house.port} of this machine is taken")
        assert worker.state(shown["id"])["notice"] == shown["notice"]
        assert worker.paste(shown["id"], house.choose(shown, "google"))["state"] == "done"


# ends


@pytest.mark.parametrize("kind", ["portal", "builder-id"])
def test_cancelled_by_another_worker(house, kind):
    one, other = house.worker(), house.worker()
    shown = one.start(kind, {})
    assert other.cancel(shown["id"])["state"] == "cancelled" == one.state(shown["id"])["state"]
    assert other.cancel(shown["id"])["state"] == "cancelled" and waited(lambda: is_free(house.port))


def test_cancelled_while_a_poll_is_on_its_way(house):
    worker, other = house.worker(), house.worker()
    shown = worker.start("social", GOOGLE)
    house.twin.auth.polls.append("approved")
    house.at(shown)
    house.gate = lambda request: other.cancel(shown["id"]) if request.url.endswith("/poll") else None
    assert worker.state(shown["id"])["state"] == "cancelled" and house.kept == []


def test_nobody_comes(house):
    worker = house.worker()
    portal, device = worker.start("portal", {}), worker.start("builder-id", {})
    house.twin.options.change({"device_polls": 10_000})
    house.clock += 600
    assert waited(lambda: is_free(house.port)), "even if nobody asks"
    for shown in (portal, device):
        assert worker.state(shown["id"])["state"] == "failed" and "in time" in worker.state(shown["id"])["reason"]


def test_what_is_over_goes_away_by_itself(house):
    worker = house.worker()
    shown = worker.start("social", GOOGLE)
    worker.cancel(shown["id"])
    house.clock = shown["ends_at"] + KEPT + 1
    with pytest.raises(NotFound):
        worker.state(shown["id"])
    assert house.docs() == {}


@pytest.mark.parametrize("act", ["state", "cancel"])
def test_a_login_that_is_not_there(house, act):
    with pytest.raises(NotFound, match="start it again"):
        getattr(house.worker(), act)("nothing")
    with pytest.raises(NotFound):
        house.worker().paste("nothing", "http://localhost:3128/oauth/callback?code=a&state=b")


def test_so_many_and_no_more(house):
    worker = house.worker()
    started = [worker.start("social", {**GOOGLE, "how": "link"}) for _ in range(MOST)]
    with pytest.raises(Busy):
        worker.start("builder-id", {})
    worker.cancel(started[0]["id"])
    assert worker.start("builder-id", {})["state"] == "pending"


def test_a_real_safe_seals_them_too(house, tmp_path):
    store = SqliteStore(tmp_path / "other.sqlite3", lambda: house.clock)
    flows = Flows(house.settings, support.Network(), store, Safe(house.settings, tmp_path, store), house.add, now=lambda: house.clock)
    shown = flows.start("builder-id", {})
    assert flows.state(shown["id"])["state"] == "pending"
    store.close()


def test_what_another_version_wrote_is_not_there(house):
    worker = house.worker()
    shown = worker.start("builder-id", {})
    store = house.workers[0][1]
    store.put(KIND, shown["id"], {"flow": house.seal.seal(b'{"id": "x", "colour": "blue"}')})
    store.put(KIND, "other", {"flow": 7})
    with pytest.raises(NotFound):
        worker.state(shown["id"])
    assert worker.start("portal", {})["state"] == "pending"


def test_on_redis(house, tmp_path):
    """The same two workers, as of two machines."""
    with redis_server() as server:
        stores = [open_store(replace(house.settings, state_url=server.url)) for _ in range(2)]
        one, other = [Flows(house.settings, support.Network(), store, house.seal, house.add, now=lambda: house.clock, port=house.port)
                      for store in stores]  # fmt: skip
        shown = one.start("portal", {})
        assert other.paste(shown["id"], house.choose(shown, "github"))["state"] == "done" == one.state(shown["id"])["state"]
        shown = one.start("builder-id", {})
        while shown["state"] == "pending":
            house.at(shown)
            shown = other.state(shown["id"])
        assert (shown["state"], len(house.kept)) == ("done", 2)
        one.close()
        for store in stores:
            store.close()
