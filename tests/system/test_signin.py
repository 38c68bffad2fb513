"""Sign-ins over the administration's API of a real gateway with two workers, up to the first answer of the new account."""

import time

import pytest
import requests

from kirogw.twin import Twin
from tests.system.running import running

ADMIN = {"Authorization": "Bearer kgw_for-the-owner-only-0123456789abcdef"}
IDC = {"start_url": "https://acme.awsapps.com/start", "region": "eu-west-1"}


@pytest.fixture(scope="module")
def pair():
    with Twin(accounts=["api_key"], device_polls=1) as twin, running(twin, SERVER_WORKERS=2, ADMIN_API_KEY=ADMIN["Authorization"][7:]) as gateway:
        yield twin, gateway


def start(gateway, **body):
    got = gateway.post("/api/logins", body, headers=ADMIN)
    assert got.status_code == 201, got.text
    return got.json()


def ended(gateway, shown):
    """Asked again and again, of whichever worker, until it is over."""
    deadline = time.monotonic() + 100
    while shown["state"] == "pending" and time.monotonic() < deadline:
        time.sleep(0.1)
        shown = gateway.get(f"/api/logins/{shown['id']}", headers=ADMIN).json()
    return shown


def serves(gateway, account, model="claude-sonnet-4.6"):
    """Both workers have heard of it before long."""
    deadline, told, good = time.monotonic() + 100, "", 0
    while good < 8:
        assert time.monotonic() < deadline, told
        with requests.Session() as session:  # a new connection, so either worker may take it
            got = session.post(gateway.url + "/v1/messages", headers={**gateway.headers, "x-kirogw-account": account}, timeout=100,
                               json={"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]})  # fmt: skip
        told, good = got.text, good + 1 if got.status_code == 200 else 0
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(("body", "kind"), [
    ({"kind": "builder-id", "label": "mine"}, "builder"), ({"kind": "idc", **IDC}, "idc"), ({"kind": "social", "provider": "github"}, "social")])
def test_a_login_by_a_code_serves(pair, body, kind):
    twin, gateway = pair
    shown = ended(gateway, start(gateway, **body))
    assert shown["state"] == "done" and shown["account"].startswith(f"{kind}-"), shown
    account = list(twin.accounts.all.values())[-1]
    assert account.kind == kind and serves(gateway, shown["account"])
    assert account.name in {seen.account for seen in twin.seen("generate")}


def test_a_login_by_the_page_is_pasted_and_serves(pair):
    _, gateway = pair
    shown = start(gateway, kind="portal")
    assert shown["paste"] is True
    url = shown["url"].replace("/signin?", "/signin/continue?") + "&choice=google"
    last = requests.get(url, timeout=100, allow_redirects=False).headers["location"]
    wrong = gateway.post(f"/api/logins/{shown['id']}/paste", {"url": last.replace("state=", "state=0")}, headers=ADMIN)
    assert wrong.status_code == 400 and "belongs to another login" in wrong.json()["error"]["message"]
    shown = gateway.post(f"/api/logins/{shown['id']}/paste", {"url": last}, headers=ADMIN).json()
    assert shown["state"] == "done" and serves(gateway, shown["account"])


def test_one_that_is_cancelled(pair):
    _, gateway = pair
    shown = start(gateway, kind="builder-id")
    got = requests.delete(f"{gateway.url}/api/logins/{shown['id']}", headers={**ADMIN, "Content-Type": "application/json"}, timeout=100)
    assert got.status_code == 200 and got.json()["state"] == "cancelled", got.text
    assert gateway.get(f"/api/logins/{shown['id']}", headers=ADMIN).json()["state"] == "cancelled"


def test_clients_may_not(pair):
    _, gateway = pair
    assert gateway.post("/api/logins", {"kind": "builder-id"}).status_code in (401, 403)


def test_no_secret_is_told(pair):
    """Neither the log nor the files have any token of those who signed in, or what they signed in with."""
    twin, gateway = pair
    secrets = {account.access_token for account in twin.accounts.all.values()} | {account.refresh_token for account in twin.accounts.all.values()}
    secrets |= {client.secret for client in twin.accounts.clients.values()} | {account.api_key for account in twin.accounts.all.values()}
    words = [secret.encode() for secret in secrets if secret]
    assert len(words) > 8
    for path in gateway.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [word for word in words if word in data], path
