"""The twin as an object, over HTTP, and as a program."""

import subprocess
import sys

import pytest
import requests

from kirogw.twin.codex import CodexTwin
from tests.twin.codex import payloads as p


@pytest.fixture
def twin():
    with CodexTwin() as running:
        yield running


def test_settings_point_at_it(twin):
    base = twin.settings()
    assert p.ask(twin).status_code == 200
    assert base == {"CODEX_API_URL": f"{twin.url}/backend-api", "OPENAI_API_URL": f"{twin.url}/v1", "CODEX_AUTH_URL": twin.url}


def test_it_remembers(twin):
    p.ask(twin, p.body(p.user("remember me")))
    p.ask(twin, p.body(model="no-such"))
    p.ask(twin, authorization=None)
    assert [(seen.account, seen.status) for seen in twin.seen()] == [("codex-1", 200), ("codex-1", 400), ("", 401)]
    assert "remember me" in str(twin.requests[0].payload)
    assert (twin.counts, [row.row for row in twin.refusals], [row.row for row in twin.denials]) == (
        {"generate": 3}, ["model"], ["no_bearer"])  # fmt: skip
    twin.reset()
    assert (twin.requests, twin.refusals, twin.denials, twin.ledger) == ([], [], [], [])


def test_a_client_that_leaves_is_noted(twin):
    twin.script([[{"text": "a"}, {"text": "b", "delay": 30}]])
    sent = {"content-type": "application/json", **p.headers(twin.account)}
    with requests.post(f"{p.address(twin, twin.account)}/responses", json=p.body(), headers=sent, stream=True, timeout=60) as reply:
        next(reply.iter_content(10))
    assert p.waited(lambda: twin.seen()[0].gone)


def test_it_can_be_told_over_http(twin):
    def tell(what, value=None):
        reply = requests.post(f"{twin.url}/_twin/{what}", json=value, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()

    tell("faults", {"name": "overloaded"})
    assert p.ask(twin).status_code == 503
    tell("script", [[{"text": "from afar"}]])
    assert "afar" in p.ask(twin).text
    added = tell("accounts", {"kind": "siwc", "plan": "pro"})
    assert (added["plan"], added["client_id"][:7]) == ("pro", "oaiapp_")
    assert p.ask(twin, account=twin.accounts.all[added["name"]]).status_code == 200
    tell("account", {"name": "codex-1", "suspended": "account_deactivated"})
    assert p.ask(twin).status_code == 401
    tell("config", {"rotation": "grace"})
    tell("expire")
    tell("revoke", {"name": "codex-1"})
    assert twin.accounts.living("codex-1") == []
    assert requests.get(f"{twin.url}/_twin/state", timeout=60).json()["counts"]["generate"] == 4
    tell("reset")
    assert requests.post(f"{twin.url}/_twin/config", json={"no_such": 1}, timeout=60).status_code == 400


def test_as_a_program():
    command = [sys.executable, "-m", "kirogw.twin", "--codex", "--accounts", "codex,siwc", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        _, url, _, token, _, _, _, workspace = running.stdout.readline().split()
        sent = {"authorization": f"Bearer {token}", "chatgpt-account-id": workspace}
        assert requests.get(f"{url}/backend-api/wham/usage", headers=sent, timeout=60).json()["plan_type"] == "plus"
        running.stdin.close()
        assert running.wait(60) == 0
