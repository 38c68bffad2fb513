"""Sign-ins to ChatGPT over the administration's API of a real gateway with two workers, up to the first answer."""

import json

import pytest
import requests

from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.browser import browser
from tests.system.running import free_port, running
from tests.system.test_signin import ADMIN, ended, start
from tests.system.test_signin import serves as serves_claude


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    ports, file = f"{free_port()},{free_port()}", tmp_path_factory.mktemp("codex") / "auth.json"
    with CodexTwin(accounts=["codex"], device_polls=1, any_port=True, consent="page") as twin:
        file.write_text(json.dumps(as_codex_file(twin.account, "x")))  # without any account it would be the demo
        settings = {**twin.settings(), "CODEX_AUTH_FILE": str(file), "SERVER_WORKERS": 2, "ADMIN_API_KEY": ADMIN["Authorization"][7:], "CODEX_PORTS": ports}
        with running(**settings) as gateway:
            yield twin, gateway


WAYS = [({"kind": "chatgpt", "label": "mine"}, "siwc"), ({"kind": "codex"}, "codex")]


@pytest.mark.parametrize(("body", "kind"), WAYS, ids=["chatgpt", "codex"])
def test_a_real_browser_signs_in_and_the_account_serves(pair, body, kind):
    """Its page comes back to whichever worker began."""
    twin, gateway = pair
    shown = start(gateway, **body)
    with browser() as page:
        page.open(shown["url"])
        assert page.text().startswith("Sign in to OpenAI")
        page.click("allow")
        page.wait("document.title == 'kirogw: Signed in'")
    shown = gateway.get(f"/api/logins/{shown['id']}", headers=ADMIN).json()
    assert shown["state"] == "done" and shown["account"].startswith(f"{kind}-") and shown["reason"].startswith("plus"), shown
    account = list(twin.accounts.all.values())[-1]
    assert account.kind == kind and serves(gateway, shown["account"])
    assert account.name in {seen.account for seen in twin.seen("generate")}


def serves(gateway, account):
    """Both workers have heard of it before long, and Claude's API reaches it."""
    return serves_claude(gateway, account, model="gpt-5.5")


def test_a_code_serves(pair):
    _, gateway = pair
    shown = ended(gateway, start(gateway, kind="codex", how="device"))
    assert shown["state"] == "done" and serves(gateway, shown["account"]), shown


def test_an_address_is_pasted_on_a_machine_without_a_screen(pair):
    _, gateway = pair
    shown = start(gateway, kind="chatgpt")
    last = requests.get(f"{shown['url']}&choice=allow", timeout=100, allow_redirects=False).headers["location"]
    wrong = gateway.post(f"/api/logins/{shown['id']}/paste", {"url": last.replace("state=", "state=0")}, headers=ADMIN)
    assert wrong.status_code == 400 and "belongs to another login" in wrong.json()["error"]["message"]
    shown = gateway.post(f"/api/logins/{shown['id']}/paste", {"url": last}, headers=ADMIN).json()
    assert shown["state"] == "done", shown
    got = requests.delete(f"{gateway.url}/api/accounts/{shown['account']}", headers={**ADMIN, "Content-Type": "application/json"}, timeout=100)
    assert got.status_code == 200 and pair[0].counts["revoke"] == 1, got.text
