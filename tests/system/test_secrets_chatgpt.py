"""No secret of a ChatGPT account comes out: planted, driven through every feature and failure, and searched for, as in
`test_secrets.py`.
"""

import json
import subprocess
import sys
import urllib.parse

import pytest
import requests

from kirogw.logins.sealed import new_key
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.system.raw import eventually
from tests.system.running import TOP, environment, free_port, running
from tests.system.talk import EVERY, every_ask
from tests.system.test_secrets import ADMIN, MAIN, found, processes, written

MODEL = "gpt-5.5"
OUTCOMES = ["usage_limit_reached", "unauthorized", "token_invalidated", "account_deactivated", "invalid_workspace", "cloudflare", "not_eligible"]


class Planted:
    """All secrets there are, by what they are; those of the twin as it makes them."""

    def __init__(self, twin):
        self.twin, self.known = twin, {"main key": MAIN, "owner's key": ADMIN, "secret key": new_key()}

    def all(self):
        yield from self.known.items()
        accounts, auth = self.twin.accounts, self.twin.auth
        yield from (("access token", token) for token in accounts._access)
        yield from (("refresh token", token) for token in accounts._refresh)
        yield from ((f"ID token of {account.name}", account.id_token) for account in accounts.all.values())
        yield from (("code", code) for code in auth.codes)
        yield from (("device", device) for device in auth.devices)


class Driver:
    """Uses the gateway, and keeps what it said. What is meant to hold a secret is left out."""

    def __init__(self, gateway, twin, planted, home, settings):
        self.gateway, self.twin, self.planted, self.home, self.settings = gateway, twin, planted, home, settings
        self.said = {}

    def http(self, method, path, body=None, key=ADMIN, keep=True):
        reply = requests.request(method, self.gateway.url + path, json=body, headers={"x-api-key": key, "content-type": "application/json"}, timeout=100)
        if keep:
            self.said[f"{len(self.said)} {method} {path} {reply.status_code}"] = reply.content + repr(dict(reply.headers)).encode()
        return reply

    def command(self, *words, given=None):
        done = subprocess.run([sys.executable, str(TOP / "kirogw.py"), *words], cwd=self.home, input=given, capture_output=True, text=True, timeout=100,
                              env=environment(self.home, {**self.settings, "LOG_LEVEL": "debug"}))  # fmt: skip
        self.said[f"{len(self.said)} {' '.join(words)}"] = (done.stdout + done.stderr).encode()

    def accounts(self):
        """Beside the one that is followed: one of Sign in with ChatGPT, as our export, and one as CLIRO wrote it; and bad ones."""
        siwc, cliro = list(self.twin.accounts.all.values())[1:3]
        own = {"credential": {"kind": "siwc", "access": siwc.access_token, "refresh": siwc.refresh_token, "id_token": siwc.id_token, "client_id": siwc.client_id}}
        entry = {"provider": "codex", "accessToken": cliro.access_token, "refreshToken": cliro.refresh_token, "idToken": cliro.id_token}
        added = self.http("POST", "/api/accounts", {"text": json.dumps([own, entry])}).json()
        assert (len(added["accounts"]), added["problems"]) == (2, [])
        cut = {**entry, "refreshToken": cliro.refresh_token[:15] + "..."}
        for text in (json.dumps([cut]), json.dumps(entry)[:-9], json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": cliro.refresh_token})):
            self.http("POST", "/api/accounts", {"text": text, "dry_run": True})
        self.command("accounts", "import", "-", "--dry-run", given=json.dumps(as_codex_file(cliro, "x")))
        return [row["id"] for row in self.http("GET", "/api/accounts").json()["accounts"]]

    def sign_ins(self):
        """Each way in: finished, refused, cancelled, with a wrong address, and with an upstream that says what it heard."""
        for way in ({"kind": "chatgpt"}, {"kind": "codex"}):
            for last in (None, "http://localhost/auth/callback?code=nonsense&state=nonsense"):
                begun = self.http("POST", "/api/logins", way, keep=False).json()
                url = last or requests.get(begun["url"], timeout=100, allow_redirects=False).headers["location"]
                self.http("POST", f"/api/logins/{begun['id']}/paste", {"url": url})
                self.http("DELETE", f"/api/logins/{begun['id']}")
            begun = self.http("POST", "/api/logins", way, keep=False).json()
            url = requests.get(begun["url"], timeout=100, allow_redirects=False).headers["location"]
            code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))["code"]
            for operation in ("token", "siwc_token"):
                self.twin.faults.add(operation=operation, status=400, body=json.dumps({"error": code, "error_description": code}), count=None)
            self.http("POST", f"/api/logins/{begun['id']}/paste", {"url": url})
            self.twin.faults.clear()
        for answer in ("approved", "denied", ""):
            begun = self.http("POST", "/api/logins", {"kind": "codex", "how": "device"}, keep=False).json()
            for device in self.twin.auth.devices.values():
                device.answer = device.answer or answer
            if answer:
                assert eventually(lambda: self.http("GET", f"/api/logins/{begun['id']}").json()["state"] != "pending", 100.0, 0.5)
            self.http("DELETE", f"/api/logins/{begun['id']}")

    def echo(self):
        """What a careless service would say: all that it was sent."""
        return "bad token " + " ".join(f"{account.access_token} {account.refresh_token}" for account in self.twin.accounts.all.values())

    def requests(self):
        for face in EVERY:
            for stream in (True, False):
                self.http("POST", EVERY[face], every_ask(face, stream=stream, model=MODEL), key=MAIN)
        for n, outcome in enumerate(OUTCOMES):
            self.twin.faults.add(outcome, count=None, message=self.echo())
            face = list(EVERY)[n % 4]
            self.http("POST", EVERY[face], every_ask(face, stream=n % 3 == 0, model=MODEL), key=MAIN)
            self.twin.faults.clear()
            self.state()
            for row in self.http("GET", "/api/accounts").json()["accounts"]:
                self.http("POST", f"/api/accounts/{row['id']}/clear", keep=False)

    def renewals(self, ids):
        """Those that work, and each way in which they do not."""
        dead = json.dumps({"error": {"code": "refresh_token_reused", "message": self.echo()}})
        for members in ({}, {"status": 500, "body": self.echo()}, {"status": 200, "body": dead}, {"status": 401, "body": dead}):
            for operation in ("token", "siwc_token") if members else ():
                self.twin.faults.add(operation=operation, count=None, **members)
            for id in ids:
                self.http("POST", f"/api/accounts/{id}/refresh")
                self.http("POST", f"/api/accounts/{id}/test")
            self.twin.faults.clear()
            self.state()

    def state(self):
        for path in ("/api/accounts", "/api/state", "/api/requests", "/api/settings", "/api/events", "/api/quotas"):
            self.http("GET", path)
        for path in ("/v1/accounts/status", "/v1/stats", "/metrics", "/v1/models"):
            self.http("GET", path, key=MAIN)

    def commands(self, ids):
        for words in (["status", "--json"], ["doctor", "--json"], ["settings"], ["accounts", "list"], ["accounts", "test"],
                      *(["accounts", "show", id, "--json"] for id in ids)):  # fmt: skip
            self.command(*words)


@pytest.mark.timeout(900)
def test_no_secret_comes_out(tmp_path):
    with CodexTwin(accounts=["codex", "siwc", "codex"], any_port=True) as twin:
        planted = Planted(twin)
        file = tmp_path / "auth.json"
        file.write_text(json.dumps(as_codex_file(twin.account, "2026-11-20T10:00:00Z")))
        settings = {
            **twin.settings(), "CODEX_AUTH_FILE": str(file), "PROXY_API_KEY": MAIN, "ADMIN_API_KEY": ADMIN, "DEBUG_MODE": "all", "LOG_LEVEL": "debug",
            "KIROGW_SECRET_KEY": planted.known["secret key"], "RETRY_BUDGET": 0.5, "RETRY_PACE": 0.01, "CHATGPT_ROTATION": "true",
            "CODEX_PORTS": f"{free_port()},{free_port()}",
        }  # fmt: skip
        with running(home=tmp_path, **settings) as gateway:
            driver = Driver(gateway, twin, planted, tmp_path, settings)
            ids = driver.accounts()
            driver.sign_ins()
            driver.requests()
            driver.renewals(ids)
            driver.commands(ids)
            for id in ids[1:]:
                driver.http("DELETE", f"/api/accounts/{id}")
            driver.state()
            driver.said |= processes(gateway)
            gateway.stop()
        (tmp_path / "sealed.json").touch()
        places = {**driver.said, **written(tmp_path, None)}
        assert found(planted, places) == []
        heard = {int(name.split()[-1]) for name in driver.said if " POST /v1/" in name}
        assert 200 in heard and heard - {200}, "requests that went well, and others"
        assert twin.counts["revoke"] == 1 and b"***" in b"".join(places.values()), "the upstream told secrets, and they were taken out"
        assert found(planted, {"place": twin.account.refresh_token.encode()}), "a search that can not find is worth nothing"
