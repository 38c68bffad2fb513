"""Several workers of a gateway that runs, administered over HTTP and by commands: what one is told all of them do."""

import json
import subprocess
import sys

import pytest
import requests

from kirogw.twin import Twin
from tests.system.raw import eventually
from tests.system.running import KEY, TOP, environment, running
from tests.system.talk import PATHS, ask

ADMIN = "the-owners-key-for-this-test-only"
WORKERS = 3
SETTINGS = {"HEARTBEAT": 0.5, "SERVER_WORKERS": WORKERS, "ADMIN_API_KEY": ADMIN, "ACCOUNT_CONCURRENCY": 2}
MANY = 24  # requests over connections of their own: each worker gets some of them


@pytest.fixture
def pair(tmp_path):
    with Twin(accounts=["api_key", "social"]) as twin, running(twin, home=tmp_path, **SETTINGS) as gateway:
        yield twin, gateway


@pytest.fixture
def api(pair):
    def call(method, path, body=None):
        reply = requests.request(method, pair[1].url + path, json=body or {}, headers={"x-api-key": ADMIN}, timeout=100)
        assert reply.ok, reply.text
        return reply.json()

    return call


def everywhere(gateway, path, true, key=ADMIN):
    """Whether what `path` says is so, whichever worker answers, and goes on to be."""
    def all_say():
        return all(true(requests.get(gateway.url + path, headers={"x-api-key": key}, timeout=100)) for _ in range(MANY))

    return eventually(all_say, 100.0, 0.2)


def labels(reply):
    return [row["label"] for row in reply.json()["accounts"]]


def test_what_one_worker_is_told_all_know(pair, api):
    twin, gateway = pair
    token = list(twin.accounts.all.values())[1].refresh_token
    id = api("POST", "/api/accounts", {"text": token, "label": "second"})["accounts"][0]["id"]
    assert everywhere(gateway, "/api/accounts", lambda reply: labels(reply) == ["", "second"])
    api("PATCH", f"/api/accounts/{id}", {"enabled": False})
    assert everywhere(gateway, "/v1/accounts/status", lambda reply: reply.json()["states"] == {"disabled": 1, "ready": 1}, KEY)
    key = api("POST", "/api/keys", {"name": "friend"})["key"]
    assert everywhere(gateway, "/v1/models", lambda reply: reply.ok, key)
    api("DELETE", "/api/keys/friend")
    assert everywhere(gateway, "/v1/models", lambda reply: reply.status_code == 401, key)
    api("DELETE", "/api/accounts/second")
    assert everywhere(gateway, "/api/accounts", lambda reply: labels(reply) == [""])


def test_figures_and_load_are_those_of_all(pair, api):
    """Answers on their way in any worker count, and so do those that have ended."""
    twin, gateway = pair
    twin.script([{"steps": [{"text": "first "}, {"delay": 600.0, "text": "never"}], "repeat": True}])
    streams = [gateway.post(PATHS["chat"], ask(stream=True), stream=True) for _ in range(2)]
    assert everywhere(gateway, "/v1/accounts/status", lambda reply: reply.json()["in_flight"] == 2, KEY)
    for stream in streams:
        stream.close()
    assert everywhere(gateway, "/v1/accounts/status", lambda reply: reply.json()["in_flight"] == 0, KEY)
    assert everywhere(gateway, "/v1/stats", lambda reply: reply.json()["total"]["left"] == 2, KEY)
    shown = api("GET", "/api/state")
    assert len(shown["processes"]) <= WORKERS and shown["store"].endswith("state.sqlite3")
    assert eventually(lambda: api("GET", "/api/state")["leader"])


def test_a_backup_is_taken_and_put_back_while_it_serves(pair, api):
    twin, gateway = pair
    token = list(twin.accounts.all.values())[1].refresh_token
    id = api("POST", "/api/accounts", {"text": token, "label": "second"})["accounts"][0]["id"]
    api("POST", f"/api/accounts/{id}/refresh")
    made = api("POST", "/api/backup", {"passphrase": "a phrase to pass by"})
    api("POST", f"/api/accounts/{id}/refresh")
    api("PATCH", f"/api/accounts/{id}", {"label": "renamed"})
    found = api("POST", "/api/restore", {"backup": made, "passphrase": "a phrase to pass by"})
    assert id in found["newer"], "its token was renewed since"
    assert everywhere(gateway, "/api/accounts", lambda reply: labels(reply) == ["", "second"])
    for _ in range(MANY):
        assert gateway.post(PATHS["messages"], ask()).status_code == 200
    api("POST", f"/api/accounts/{id}/refresh")
    assert twin.ledger.reuses == 0


def test_a_command_changes_a_gateway_that_runs(pair, tmp_path):
    twin, gateway = pair
    settings = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "STATE_URL": None}
    command = [sys.executable, str(TOP / "kirogw.py"), "accounts", "disable", "--json"]
    id = gateway.get("/v1/accounts/status").json()["accounts"][0]["id"]
    done = subprocess.run([*command, id], cwd=tmp_path, env=environment(tmp_path, settings), capture_output=True, text=True, timeout=100)
    assert json.loads(done.stdout)["accounts"][0]["enabled"] is False, done.stderr
    assert everywhere(gateway, "/v1/accounts/status", lambda reply: reply.json()["healthy"] == 0, KEY)
    assert gateway.post(PATHS["chat"], ask()).status_code >= 400
