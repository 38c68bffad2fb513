"""Sign-ins to ChatGPT driven from outside, by several workers on one store."""

import socket
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from kirogw.errors import BadRequest
from kirogw.logins.flows import KIND
from kirogw.twin.codex import CodexTwin
from tests.logins import support
from tests.logins.test_callback import is_free, waited
from tests.logins.test_flows import House
from tests.system.running import free_port


class CodexHouse(House):
    """`ports` are those of the Codex client's page."""

    def __init__(self, twin, folder):
        super().__init__(twin, folder)
        self.ports = free_port(), free_port()
        self.settings = support.settings(twin, folder / "home", codex_ports=",".join(map(str, self.ports)))


@pytest.fixture
def house(tmp_path):
    with CodexTwin(accounts=[], device_polls=1, any_port=True) as twin:
        made = CodexHouse(twin, tmp_path)
        yield made
        for worker, store in made.workers:
            worker.close()
            store.close()
        assert all(map(is_free, made.ports))


def back(shown):
    """Where the page comes back to, as it was told."""
    return urlsplit(dict(parse_qsl(urlsplit(shown["url"]).query))["redirect_uri"])


def clicked(shown):
    return requests.get(shown["url"], timeout=60, allow_redirects=False).headers["location"]


def test_any_worker_does_the_next_step_of_a_code(house):
    one, other = house.worker(), house.worker()
    shown = one.start("codex", {"how": "device"})
    polls = 0
    while shown["state"] == "pending":
        house.at(shown)
        shown, polls = (other if polls % 2 else one).state(shown["id"]), polls + 1
    assert (shown["state"], shown["account"], len(house.kept)) == ("done", "account-1", 1)
    assert house.kept[0].kind == "codex" and house.twin.counts["device_token"] == 2


@pytest.mark.parametrize(("kind", "login"), [("chatgpt", "siwc"), ("codex", "codex")])
def test_the_browser_comes_back_by_itself(house, kind, login):
    worker = house.worker()
    shown = worker.start(kind, {})
    assert shown["paste"] and shown["notice"] == "" and not is_free(back(shown).port)
    assert back(shown).hostname == ("127.0.0.1" if kind == "chatgpt" else "localhost") and back(shown).path == "/auth/callback"
    got = requests.get(shown["url"], timeout=60)
    assert "<h1>Signed in</h1>" in got.text and worker.state(shown["id"])["state"] == "done"
    assert house.kept[0].kind == login and waited(lambda: is_free(back(shown).port)), "no port is held after the end"


@pytest.mark.parametrize("kind", ["chatgpt", "codex"])
def test_an_address_can_be_pasted_to_any_worker(house, kind):
    one, other = house.worker(), house.worker()
    shown = one.start(kind, {})
    url = clicked(shown)
    for wrong, said in ((url.replace("state=", "state=0"), "belongs to another login"), ("hello there", "neither")):
        with pytest.raises(BadRequest, match=said):
            other.paste(shown["id"], wrong)
    assert other.paste(shown["id"], url)["state"] == "done" and len(house.kept) == 1
    assert waited(lambda: is_free(back(shown).port)), "the worker that listened hears of it"


def test_workers_share_the_ports_of_the_codex_client(house):
    """The one that has the first serves the flows of all; nobody needs the second."""
    one, other = house.worker(), house.worker()
    first, second = one.start("codex", {}), other.start("codex", {})
    assert [back(shown).port for shown in (first, second)] == [house.ports[0]] * 2 and is_free(house.ports[1])
    for shown in (second, first):
        assert "Signed in" in requests.get(shown["url"], timeout=60).text
        assert other.state(shown["id"])["state"] == "done"


def test_each_worker_has_a_port_for_sign_in_with_chatgpt(house):
    one, other = house.worker(), house.worker()
    flows = [one.start("chatgpt", {}), one.start("chatgpt", {}), other.start("chatgpt", {})]
    ports = [back(shown).port for shown in flows]
    assert ports[0] == ports[1] != ports[2]
    for shown in flows:
        assert "Signed in" in requests.get(shown["url"], timeout=60).text
    assert [one.state(shown["id"])["state"] for shown in flows] == ["done"] * 3 and waited(lambda: all(map(is_free, ports)))


@pytest.mark.parametrize("taken", [1, 2])
def test_ports_that_are_taken(house, taken):
    """By Codex CLI, say. The second serves; without it the paste is left, and told."""
    holders = [socket.create_server(("127.0.0.1", port)) for port in house.ports[:taken]]
    try:
        worker = house.worker()
        shown = worker.start("codex", {})
        assert back(shown).port == house.ports[taken % 2] and bool(shown["notice"]) is (taken == 2)
        if taken == 2:
            assert shown["notice"].startswith(f"port {house.ports[0]} of this machine is taken")
            shown = worker.paste(shown["id"], clicked(shown))
        else:
            assert "Signed in" in requests.get(shown["url"], timeout=60).text
        assert worker.state(shown["id"])["state"] == "done"
    finally:
        for holder in holders:
            holder.close()


def test_the_workers_are_one_installation(house):
    urls = [house.worker().start("chatgpt", {})["url"] for _ in range(2)]
    assert len({dict(parse_qsl(urlsplit(url).query))["ext_agent_host_id"] for url in urls}) == 1


def test_what_is_not_ours_is_turned_away(house):
    worker = house.worker()
    shown = worker.start("chatgpt", {})
    base = f"http://127.0.0.1:{back(shown).port}"
    for path in ("/auth/callback?code=stolen&client_id=x&state=" + "0" * 43, "/auth/callback?error=access_denied&state=0", "/auth/callback?code=x",
                 "/auth/callback?code=x&state=<script>"):  # fmt: skip
        got = requests.get(base + path, timeout=60)
        assert got.status_code == 400 and "<script" not in got.text
    assert requests.get(f"{base}/cancel", timeout=60).status_code == 404
    assert worker.state(shown["id"])["state"] == "pending" and house.twin.counts.get("siwc_token", 0) == 0
    assert "Signed in" in requests.get(shown["url"], timeout=60).text


def test_nothing_lies_in_the_store_in_the_clear(house):
    worker = house.worker()
    begun = [worker.start(kind, {}) for kind in ("chatgpt", "codex")]
    begun.append(worker.start("codex", {"how": "device"}))
    secrets = {dict(parse_qsl(urlsplit(shown["url"]).query)).get("state", shown["code"]) for shown in begun}
    docs = repr(house.docs())
    assert len(house.workers[0][1].all(KIND)) == 3 and not any(secret in docs for secret in secrets)
