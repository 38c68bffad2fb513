"""No secret comes out: secrets of every kind are planted, every feature and failure is driven, and all that the gateway
has said or written is searched.

A secret may stand in three places: the key files of KIROGW_HOME (0600), an export or a backup that was asked for, and
the one answer that shows a new key. Sealed or hashed it may stand anywhere.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import redis
import requests

from kirogw.logins.sealed import new_key
from kirogw.twin import Twin
from tests.store.servers import redis_server
from tests.system.raw import eventually
from tests.system.running import TOP, environment, running
from tests.system.talk import FACES, PATHS, ask
from tests.system.test_logs import PASSWORD, proxy

MAIN = "no-prefix-tells-that-this-is-the-main-key"
ADMIN = "neither-does-one-that-this-is-the-owners"
PHRASE = "pass-phrase-of-the-backup-0123456789"
REDIS_PASSWORD = "password-of-the-redis-server-0123"
KEY_FILES = {"key", "admin-key", "secret", "secret-key"}
OUTCOMES = ["", "USER_REQUEST_RATE_EXCEEDED", "bearer_invalid", "TEMPORARILY_SUSPENDED", "monthly_as_400", "improper", "unexpected",
            "key_dead", "invalid_profile", "locked"]  # fmt: skip


class Planted:
    """All secrets there are, by what they are; those of the twin as it makes them."""

    def __init__(self, twin):
        self.twin = twin
        self.known = {"main key": MAIN, "owner's key": ADMIN, "pass phrase": PHRASE, "proxy password": PASSWORD,
                      "redis password": REDIS_PASSWORD, "secret key": new_key()}  # fmt: skip

    def add(self, what, secret):
        self.known[f"{what} {len(self.known)}"] = secret

    def all(self):
        accounts = self.twin.accounts
        yield from self.known.items()
        for account in accounts.all.values():
            yield from ((f"{name} of {account.name}", getattr(account, name)) for name in ("api_key", "client_secret") if getattr(account, name))
        yield from (("access token", token) for token in accounts._access)
        yield from (("refresh token", token) for token in accounts._refresh)
        yield from (("client secret", client.secret) for client in accounts.clients.values())
        yield from (("device code", code) for code in self.twin.auth.devices)


def spellings(secret):
    """As it is, and as it could be hidden without being safe."""
    data = secret.encode()
    yield data
    yield urllib.parse.quote(secret, safe="").encode()
    yield data.hex().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):  # wherever it stands in what was encoded
            whole = encode(b"\0" * shift + data)
            yield whole[4 if shift else 0 : len(whole) // 4 * 4 - 4]
    yield json.dumps(secret[::-1]).encode()[1:-1]


def found(planted, places):
    """(what, where) for each secret that stands where it should not. `places`: name -> bytes."""
    return [(what, where) for what, secret in planted.all() for where, data in places.items()
            if any(form in data for form in set(spellings(secret)) if len(form) > 9)]  # fmt: skip


class Driver:
    """Uses the gateway in every way, and keeps what it said. What is meant to hold a secret is left out."""

    def __init__(self, gateway, twin, planted, home, settings):
        self.gateway, self.twin, self.planted, self.home, self.settings = gateway, twin, planted, home, settings
        self.said = {}

    def http(self, method, path, body=None, key=ADMIN, keep=True, **more):
        reply = requests.request(method, self.gateway.url + path, json=body, headers={"x-api-key": key, "content-type": "application/json"}, timeout=100, **more)
        if keep:
            self.said[f"{len(self.said)} {method} {path} {reply.status_code}"] = reply.content + repr(dict(reply.headers)).encode()
        return reply

    def command(self, *words, given=None, keep=True):
        done = subprocess.run([sys.executable, str(TOP / "kirogw.py"), *words], cwd=self.home, input=given, capture_output=True, text=True, timeout=100,
                              env=environment(self.home, {**self.settings, "LOG_LEVEL": "debug"}))  # fmt: skip
        if keep:
            self.said[f"{len(self.said)} {' '.join(words)}"] = (done.stdout + done.stderr).encode()
        return done

    # accounts in

    def accounts(self):
        """One of each kind, by the routes and by the command line, good ones and bad ones."""
        brought = [as_export(account) for account in list(self.twin.accounts.all.values())[2:]]
        added = self.http("POST", "/api/accounts", {"text": json.dumps(brought[:-1]), "label": ""}).json()
        assert (len(added["accounts"]), added["problems"]) == (len(brought) - 1, [])
        self.command("accounts", "import", "-", "--label", "from the command line", given=json.dumps(brought[-1]))
        bad = {**brought[0], "clientId": 5, "region": brought[0]["refreshToken"], "profileArn": brought[0]["accessToken"]}
        for text in (json.dumps([bad]), json.dumps(bad)[:-9], brought[0]["refreshToken"][:15] + "...", "ksk_x", json.dumps({"accounts": [brought[0]["refreshToken"] * 2]})):
            self.http("POST", "/api/accounts", {"text": text, "dry_run": True})
        self.command("accounts", "import", "-", "--dry-run", given=json.dumps([bad, brought[0]["refreshToken"][:15] + "..."]))
        self.http("POST", "/api/accounts", {"text": brought[0]["refreshToken"], "refreshToken": brought[0]["refreshToken"]})
        return {row["kind"]: row["id"] for row in self.http("GET", "/api/accounts").json()["accounts"]}

    def sign_ins(self):
        """Each way in: one that is finished, one that is refused, one that is cancelled, one with a wrong address."""
        ways = [{"kind": "builder-id"}, {"kind": "idc", "start_url": "https://acme.awsapps.com/start", "region": "eu-west-1"},
                {"kind": "social", "provider": "google"}, {"kind": "social", "provider": "github", "how": "link"}]  # fmt: skip
        for n, way in enumerate(ways):
            begun = self.http("POST", "/api/logins", way, keep=False).json()
            for device in self.twin.auth.devices.values():
                device.answer = device.answer or ("approved" if n % 2 == 0 else "denied")
            if not begun["paste"]:
                assert eventually(lambda: self.http("GET", f"/api/logins/{begun['id']}").json()["state"] != "pending", 100.0, 0.5)
            self.http("POST", f"/api/logins/{begun['id']}/paste", {"url": "kiro://kiro.kiroAgent/authenticate-success?code=nonsense&state=nonsense"})
            self.http("DELETE", f"/api/logins/{begun['id']}")

    # requests, and what can go wrong with them

    def requests(self):
        for face in FACES:
            for stream in (True, False):
                self.ask(face, stream)
        for n, outcome in enumerate(OUTCOMES):
            self.twin.faults.add(outcome, count=None, message=self.echo(), **({} if outcome else {"status": 400}))
            self.ask(FACES[n % 2], n % 3 == 0)
            self.twin.faults.clear()
            self.state()
            for row in self.http("GET", "/api/accounts").json()["accounts"]:
                self.http("POST", f"/api/accounts/{row['id']}/clear", keep=False)
        for fault in ("cut_reset", "exception_frame", "html_for_stream"):
            self.twin.faults.add(fault, count=None)
            self.ask("messages", True)
            self.twin.faults.clear()

    def echo(self, sent="access"):
        """What a careless service would say: all that it was sent. `sent`: access, or refresh for those that renew."""
        accounts = self.twin.accounts.all.values()
        if sent == "access":
            return "bad token " + " ".join(account.access_token or account.api_key for account in accounts)
        return " ".join(f"bad token {account.refresh_token} of client {account.client_id} ({account.client_secret})" for account in accounts if account.refresh_token)

    def ask(self, face, stream):
        for key in (MAIN, "almost-" + MAIN):
            self.http("POST", PATHS[face], ask("Hello.", stream=stream), key=key)
        self.http("POST", PATHS[face] + "?api_key=" + MAIN, ask(stream=stream, model=3), key=ADMIN)

    def renewals(self, ids):
        """Those that work, and each way in which they do not."""
        dead = json.dumps({"error": "invalid_grant", "error_description": self.echo("refresh")})
        for members in ({}, {"status": 400, "body": dead}, {"status": 500, "body": self.echo("refresh")}, {"status": 200, "body": dead}):
            if members:
                self.twin.faults.add(operation="auth", count=None, **members)
            for id in ids.values():
                self.http("POST", f"/api/accounts/{id}/refresh")
                self.http("POST", f"/api/accounts/{id}/test")
            self.twin.faults.clear()
            self.state()
        for members in ({"status": 403, "message": self.echo()}, {"status": 500, "body": self.echo()}):
            self.twin.faults.add(operation="control", count=None, **members)
            self.http("POST", "/api/quotas/refresh", {"force": True})
            self.http("GET", "/v1/models", key=MAIN)
            self.twin.faults.clear()
            self.state()
        self.http("POST", "/api/quotas/refresh", {"force": True})

    # keys, backups

    def keys(self):
        made = self.http("POST", "/api/keys", {"name": "friend", "limits": {"minute": 1}, "models": ["claude-*"]}, keep=False).json()["key"]
        self.planted.add("named key", made)
        for _ in range(3):
            self.http("POST", PATHS["chat"], ask(), key=made)
        self.http("POST", PATHS["chat"], ask(model="auto"), key=made)
        self.http("GET", "/api/keys", key=made)
        self.planted.add("named key", self.http("POST", "/api/keys/friend/rotate", {"overlap_seconds": 0}, keep=False).json()["key"])
        self.http("POST", PATHS["messages"], ask(), key=made)
        self.command("keys", "list")
        self.http("DELETE", "/api/keys/friend")
        self.http("POST", PATHS["messages"], ask(), key=made)

    def backups(self):
        plain = self.http("POST", "/api/backup", {}, keep=False).json()
        assert found(self.planted, {"backup": json.dumps(plain).encode()}), "it holds them all"
        self.http("POST", "/api/restore", {"backup": plain, "dry_run": True})
        self.http("POST", "/api/restore", {"backup": plain})
        plain["content"]["store"]["docs"]["account"]["x"] = {"value": 5}
        self.http("POST", "/api/restore", {"backup": plain})
        sealed = self.http("POST", "/api/backup", {"passphrase": PHRASE}).json()
        self.http("POST", "/api/restore", {"backup": sealed, "passphrase": PHRASE + "wrong"})
        self.http("POST", "/api/restore", {"backup": sealed, "passphrase": PHRASE})
        outside = self.home / "not-searched"
        outside.mkdir(mode=0o700)
        (outside / "phrase").write_text(PHRASE)
        self.command("backup", "sealed.json", "--passphrase-file", str(outside / "phrase"))
        self.command("restore", "sealed.json", "--passphrase-file", str(outside / "phrase"), "--yes")
        self.command("backup", str(outside / "plain.json"), "--plain")
        self.command("accounts", "export", "--output", str(outside / "export.json"))
        self.http("POST", "/api/accounts/export", {}, keep=False)

    # what can be looked at

    def state(self):
        for path in ("/health", "/api/nowhere"):
            self.http("GET", path)
        for path in ("/v1/accounts/status", "/v1/stats", "/metrics"):
            self.http("GET", path, key=MAIN)
        for path in ("/api/accounts", "/api/state", "/api/requests", "/api/settings", "/api/events", "/api/quotas", "/api/keys"):
            self.http("GET", path)

    def commands(self, ids):
        for words in (["status", "--json"], ["doctor", "--json"], ["settings"], ["accounts", "list"], ["accounts", "test"],
                      ["accounts", "show", ids["social"], "--json"], ["secret", "--show-place"]):  # fmt: skip
            self.command(*words)


def as_export(account):
    """As account managers write it."""
    members = {"refreshToken": account.refresh_token, "accessToken": account.access_token, "email": f"{account.name}@example.com",
               "authMethod": {"external": "external_idp", "social": "social"}.get(account.kind, "IdC")}  # fmt: skip
    if account.client_id:
        members |= {"clientId": account.client_id, "clientSecret": account.client_secret, "region": account.sso_region}
    if account.kind == "external":
        members |= {"tokenEndpoint": account.token_endpoint}
    if account.kind == "idc":
        members |= {"startUrl": "https://acme.awsapps.com/start"}
    return members if not account.api_key else {"apiKey": account.api_key}


def written(home, server):
    """Every file of the gateway's but its keys, its log, the encrypted backup, and what Redis holds."""
    own = home / ".kirogw"
    paths = [path for path in own.rglob("*") if path.is_file() and not (path.parent == own and path.name in KEY_FILES)]
    places = {str(path.relative_to(home)): path.read_bytes() for path in [*paths, home / "log.txt", home / "sealed.json"]}
    if server:
        with contextlib.closing(redis.Redis(port=server.port, password=REDIS_PASSWORD)) as client:
            for key in client.scan_iter():
                places[f"redis {key}"] = key + held(client, key)
    return places


def held(client, key):
    read = {b"string": client.get, b"hash": client.hgetall, b"list": lambda key: client.lrange(key, 0, -1), b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1), b"stream": client.xrange}  # fmt: skip
    value = read[client.type(key)](key)
    return value if isinstance(value, bytes) else b" ".join(flat(value))


def flat(value):
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from flat(list(pair))
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from flat(one)


def processes(gateway):
    """What other users of the machine see of it."""
    return {f"process {pid}": Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (gateway.process.pid, *gateway.workers())}


@pytest.mark.parametrize(("engine", "mode"), [("sqlite", "all"), ("redis", "errors")])
@pytest.mark.timeout(900)
def test_no_secret_comes_out(tmp_path, engine, mode):
    kinds = ["api_key", "social", "idc", "builder", "external", "social", "social"]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(redis_server("--requirepass", REDIS_PASSWORD)) if engine == "redis" else None
        twin = stack.enter_context(Twin(accounts=kinds))
        address, _ = stack.enter_context(proxy())
        planted = Planted(twin)
        key, social = list(twin.accounts.all.values())[:2]
        settings = {
            **twin.settings(), "KIRO_API_KEY": key.api_key, "REFRESH_TOKEN": social.refresh_token, "PROXY_API_KEY": MAIN, "ADMIN_API_KEY": ADMIN,
            "VPN_PROXY_URL": address, "KIROGW_SECRET_KEY": planted.known["secret key"], "DEBUG_MODE": mode, "LOG_LEVEL": "debug", "HEARTBEAT": 0.2,
            "RETRY_BUDGET": 2, "STATE_URL": server.url.replace("redis://", f"redis://:{REDIS_PASSWORD}@") if server else None,
        }  # fmt: skip
        gateway = stack.enter_context(running(twin, home=tmp_path, **settings))
        driver = Driver(gateway, twin, planted, tmp_path, settings)
        ids = driver.accounts()
        driver.sign_ins()
        driver.requests()
        driver.keys()
        driver.renewals(ids)
        driver.commands(ids)
        driver.backups()
        driver.state()
        driver.said |= processes(gateway)
        gateway.stop()
        places = {**driver.said, **written(tmp_path, server)}
        assert found(planted, places) == []
        heard = {int(name.split()[-1]) for name in driver.said if " POST /v1/" in name}
        assert heard >= {200, 400, 401, 403, 429}, "requests of all kinds were driven"
        assert b"***" in b"".join(places.values()), "the upstream told secrets, and they were taken out"
    assert len(places) > 150 and len(places["log.txt"]) > 10_000
    assert sum(name.startswith(".kirogw/debug/") for name in places) > 10
    assert any(name.startswith("redis " if server else ".kirogw/state.sqlite3") for name in places)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / ".kirogw").iterdir() if path.name in KEY_FILES} <= {0o600}


def test_the_search_finds_what_it_looks_for(tmp_path):
    """A search that can not find is worth nothing."""
    with Twin(accounts=["social"]) as twin:
        planted = Planted(twin)
        token = twin.account.refresh_token
        for hidden in (token.encode(), base64.b64encode(b"xy" + token.encode() + b"z"), token.encode().hex().encode(), urllib.parse.quote(MAIN + "/", safe="").encode()):
            assert found(planted, {"place": b"before " + hidden + b" after"})
        assert found(planted, {"place": b"nothing", "other": os.urandom(1000)}) == []
