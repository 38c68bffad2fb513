"""OpenAI's sign-in: both doors, the device flow, and what becomes of a refresh token."""

import base64
import hashlib
import json
import secrets
import threading
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kirogw.twin.codex import CodexTwin, as_codex_file
from kirogw.twin.codex.accounts import CODEX_CLIENT
from tests.twin.codex import payloads as p

RESOURCE = "https://api.openai.com/v1"
SCOPE = "openid profile email offline_access"
SIWC_SCOPE = f"{SCOPE} resource.invoke chatgpt.tokens.use.direct"
HOST_ID = "urn:uuid:01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def twin():
    with CodexTwin(accounts=["codex", "siwc"]) as running:
        yield running


def claims(token):
    """The claims of a token; the padding is put back."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def verified(twin, token):
    """The claims, if the signature is that of the key set."""
    key = requests.get(f"{twin.url}/.well-known/jwks.json", timeout=60).json()["keys"][0]
    number = int.from_bytes(base64.urlsafe_b64decode(key["n"] + "=="), "big")
    body, _, mark = token.rpartition(".")
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"] == key["kid"]
    public = rsa.RSAPublicNumbers(65537, number).public_key()
    public.verify(base64.urlsafe_b64decode(mark + "=="), body.encode(), padding.PKCS1v15(), hashes.SHA256())
    return claims(token)


def redeem(twin, account, token=None, form=False, **changed):
    token = account.refresh_token if token is None else token
    asked = {"grant_type": "refresh_token", "refresh_token": token, "client_id": account.client_id, **changed}
    if account.kind == "siwc":
        return requests.post(f"{twin.url}/api/accounts/oauth/token", data={"resource": RESOURCE, **asked}, timeout=60)
    return requests.post(f"{twin.url}/oauth/token", **{"data" if form else "json": asked}, timeout=60)


def works(twin, account, token):
    return p.ask(twin, account=account, authorization=f"Bearer {token}").status_code == 200


def outcomes(twin):
    return [(entry.account, entry.generation, entry.outcome) for entry in twin.ledger]


# tokens


def test_claims(twin):
    account = twin.add_account("codex", name="anna", plan="team", workspace="ws-1", fedramp=True)
    told = claims(account.id_token)
    auth = told["https://api.openai.com/auth"]
    assert (told["email"], told["sub"], told["aud"]) == ("anna@localhost", account.subject, [CODEX_CLIENT])
    assert (auth["chatgpt_account_id"], auth["chatgpt_plan_type"], auth["chatgpt_user_id"]) == ("ws-1", "team", account.user)
    access = claims(account.access_token)
    assert access["exp"] - access["iat"] == 864_000
    assert access["https://api.openai.com/auth"]["chatgpt_account_id"] == "ws-1"
    assert claims(twin.accounts.all["siwc-2"].access_token)["exp"] - access["iat"] <= 3601


def test_two_people_of_one_workspace(twin):
    one, two = (twin.add_account("codex", name=name, workspace="ws") for name in ("a", "b"))
    assert one.workspace == two.workspace and one.user != two.user and one.identity != two.identity


def test_the_file_of_codex_cli(twin):
    file = as_codex_file(twin.account, "2026-11-22T10:00:00Z")
    assert (file["auth_mode"], file["OPENAI_API_KEY"], file["tokens"]["account_id"]) == ("chatgpt", None, twin.account.workspace)


# refresh


@pytest.mark.parametrize("kind", ["codex-1", "siwc-2"])
def test_a_refresh_gives_new_tokens(twin, kind):
    account = twin.accounts.all[kind]
    before = account.refresh_token, account.access_token, account.id_token
    reply = redeem(twin, account)
    told = reply.json()
    after = told["refresh_token"], told["access_token"], told["id_token"]
    assert reply.status_code == 200 and not set(before) & set(after)
    assert works(twin, account, told["access_token"])
    assert outcomes(twin) == [(kind, 0, "ok")]
    assert p.waited(lambda: twin.ledger[0].delivered)


def test_a_form_is_taken_too(twin):
    assert redeem(twin, twin.account, form=True, scope=SCOPE).status_code == 200


@pytest.mark.parametrize(("gives", "names"), [
    ("access", {"access_token"}), ("access refresh", {"access_token", "refresh_token"}), ("id", {"id_token"}), ("", set()),
])  # fmt: skip
def test_any_token_may_be_left_out(twin, gives, names):
    """Where no refresh token is told the old one goes on."""
    twin.options.refresh_gives, twin.options.expires_in = gives, False
    old = twin.account.refresh_token
    assert set(redeem(twin, twin.account).json()) == names
    assert redeem(twin, twin.account, twin.account.refresh_token if "refresh" in gives else old).status_code == 200


@pytest.mark.parametrize("kind", ["codex-1", "siwc-2"])
def test_a_spent_token(twin, kind):
    account = twin.accounts.all[kind]
    old = account.refresh_token
    redeem(twin, account)
    reply = redeem(twin, account, old)
    if kind == "codex-1":
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "refresh_token_reused")
    else:
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    assert outcomes(twin) == [(kind, 0, "ok"), (kind, 0, "reused")]
    assert twin.ledger.reuses == 1


def test_grace(twin):
    """The old token is taken until one of the new ones has been used."""
    twin.options.rotation = "grace"
    account = twin.account
    old = account.refresh_token
    redeem(twin, account)
    second = redeem(twin, account, old).json()
    assert outcomes(twin)[-1][2] == "again"
    assert works(twin, account, second["access_token"])
    assert redeem(twin, account, old).json()["error"]["code"] == "refresh_token_reused"
    assert redeem(twin, account, second["refresh_token"]).status_code == 200


def test_many_at_once_redeem_a_token_once(twin):
    token = twin.account.refresh_token
    threads = [threading.Thread(target=redeem, args=(twin, twin.account, token)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.outcome for entry in twin.ledger) == ["ok", *["reused"] * 7]


@pytest.mark.parametrize(("shape", "place"), [
    ("nested", lambda told: told["error"]["code"]), ("string", lambda told: told["error"]), ("top", lambda told: told["code"]),
])  # fmt: skip
def test_where_the_code_stands(twin, shape, place):
    twin.options.auth_errors = shape
    twin.accounts.revoke("codex-1")
    assert place(redeem(twin, twin.account).json()) == "refresh_token_invalidated"


@pytest.mark.parametrize(("changed", "status"), [
    ({"refresh_token": "rt_x"}, 401), ({"client_id": "app_other"}, 401), ({"grant_type": "password"}, 400),
])  # fmt: skip
def test_refreshes_that_are_refused(twin, changed, status):
    assert redeem(twin, twin.account, **changed).status_code == status


def test_doors_do_not_mix(twin):
    codex, siwc = twin.accounts.all.values()
    assert redeem(twin, codex, siwc.refresh_token).status_code == 401
    assert redeem(twin, siwc, codex.refresh_token).status_code == 400
    assert redeem(twin, siwc, resource="https://other").json()["error"] == "invalid_target"
    assert redeem(twin, siwc, client_id="oaiapp_other").json()["error"] == "invalid_grant"


@pytest.mark.parametrize("path", ["/oauth/revoke", "/api/accounts/oauth/revoke"])
def test_sign_out(twin, path):
    account = twin.accounts.all["siwc-2" if "api" in path else "codex-1"]
    asked = {"token": account.refresh_token, "token_type_hint": "refresh_token", "client_id": account.client_id}
    assert requests.post(twin.url + path, data={**asked, "client_id": "other"}, timeout=60).status_code == 400
    assert requests.post(twin.url + path, data=asked, timeout=60).status_code == 200
    assert not works(twin, account, account.access_token)
    assert redeem(twin, account).status_code in (400, 401)
    assert requests.post(twin.url + path, data={**asked, "token": "unknown"}, timeout=60).status_code == 200


# pages


def pkce():
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def door(challenge, siwc=False, **changed):
    asked = {"response_type": "code", "state": "s" * 32, "code_challenge": challenge, "code_challenge_method": "S256"}
    if siwc:
        asked |= {"client_id": "dynamic_agent_client", "agent_name_hint": "kirogw", "ext_agent_host_id": HOST_ID,
                  "scope": SIWC_SCOPE, "resource": RESOURCE, "nonce": "n1",
                  "redirect_uri": "http://127.0.0.1:4711/auth/callback"}  # fmt: skip
    else:
        asked |= {"client_id": CODEX_CLIENT, "scope": SCOPE, "redirect_uri": "http://localhost:1455/auth/callback",
                  "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true", "originator": "kirogw"}  # fmt: skip
    return {name: value for name, value in {**asked, **changed}.items() if value is not None}


def visit(twin, asked):
    path = "/oauth/authorize" if asked.get("client_id", "").startswith("app_") else "/api/accounts/authorize"
    return requests.get(f"{twin.url}{path}?{urlencode(asked)}", allow_redirects=False, timeout=60)


def landed(reply):
    """Where the browser is sent, and with what."""
    assert reply.status_code == 302, reply.text
    url = urlsplit(reply.headers["location"])
    return f"{url.scheme}://{url.netloc}{url.path}", dict(parse_qsl(url.query))


def exchange(twin, code, verifier, siwc=False, **changed):
    asked = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "client_id": CODEX_CLIENT,
             "redirect_uri": "http://localhost:1455/auth/callback"}  # fmt: skip
    if siwc:
        asked |= {"resource": RESOURCE, "redirect_uri": "http://127.0.0.1:4711/auth/callback"}
    path = "/api/accounts/oauth/token" if siwc else "/oauth/token"
    return requests.post(twin.url + path, data={**asked, **changed}, timeout=60)


def test_the_codex_door(twin):
    verifier, challenge = pkce()
    home, told = landed(visit(twin, door(challenge)))
    assert (home, told["state"]) == ("http://localhost:1455/auth/callback", "s" * 32)
    reply = exchange(twin, told["code"], verifier).json()
    account = twin.accounts.all["codex-3"]
    assert (reply["access_token"], reply["refresh_token"]) == (account.access_token, account.refresh_token)
    assert works(twin, account, reply["access_token"])
    assert exchange(twin, told["code"], verifier).json()["error"] == "invalid_grant"  # once only


@pytest.mark.parametrize("changed", [{"code_verifier": "x"}, {"redirect_uri": "http://localhost:1457/auth/callback"}])
def test_a_code_is_used_up_by_a_wrong_try(twin, changed):
    verifier, challenge = pkce()
    code = landed(visit(twin, door(challenge)))[1]["code"]
    assert exchange(twin, code, verifier, **changed).json()["error"] == "invalid_grant"
    assert exchange(twin, code, verifier).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(("siwc", "changed"), [
    (False, {"redirect_uri": "http://127.0.0.1:1455/auth/callback"}), (False, {"redirect_uri": "http://localhost:1456/auth/callback"}),
    (False, {"redirect_uri": "http://localhost:1455/callback"}), (False, {"client_id": "app_other"}),
    (False, {"code_challenge_method": "plain"}), (False, {"code_challenge": "short"}), (False, {"state": None}),
    (False, {"response_type": "token"}), (False, {"scope": "openid"}), (False, {"codex_cli_simplified_flow": None}),
    (True, {"redirect_uri": "http://localhost:4711/auth/callback"}), (True, {"redirect_uri": "http://127.0.0.1/auth/callback"}),
    (True, {"redirect_uri": "http://127.0.0.1:4711/callback"}), (True, {"client_id": "oaiapp_unknown"}),
    (True, {"agent_name_hint": None}), (True, {"ext_agent_host_id": "abc"}), (True, {"resource": None}),
    (True, {"scope": SCOPE}), (True, {"nonce": None}), (True, {"code_challenge_method": "plain"}),
])  # fmt: skip
def test_what_the_page_refuses(twin, siwc, changed):
    assert visit(twin, door(pkce()[1], siwc, **changed)).status_code == 400


def test_any_port_where_a_test_needs_it(twin):
    twin.options.any_port = True
    asked = door(pkce()[1], redirect_uri="http://localhost:4712/auth/callback")
    assert landed(visit(twin, asked))[0] == "http://localhost:4712/auth/callback"


def test_sign_in_with_chatgpt(twin):
    verifier, challenge = pkce()
    home, told = landed(visit(twin, door(challenge, siwc=True)))
    client = told["client_id"]
    assert home == "http://127.0.0.1:4711/auth/callback" and client.startswith("oaiapp_")
    reply = exchange(twin, told["code"], verifier, siwc=True, client_id=client).json()
    identity = verified(twin, reply["id_token"])
    assert (identity["aud"], identity["nonce"], identity["iss"]) == (client, "n1", twin.url)
    assert "chatgpt.tokens.use.direct" in reply["scope"] and reply["expires_in"] == 3600
    assert works(twin, twin.accounts.all["siwc-3"], reply["access_token"])


def test_the_dynamic_client_exchanges_nothing(twin):
    verifier, challenge = pkce()
    code = landed(visit(twin, door(challenge, siwc=True)))[1]["code"]
    assert exchange(twin, code, verifier, siwc=True, client_id="dynamic_agent_client").json()["error"] == "invalid_client"


def test_to_sign_in_again(twin):
    """The registration tells whose it is."""
    account = twin.accounts.all["siwc-2"]
    verifier, challenge = pkce()
    told = landed(visit(twin, door(challenge, siwc=True, client_id=account.client_id, agent_name_hint=None)))[1]
    assert told["client_id"] == account.client_id
    reply = exchange(twin, told["code"], verifier, siwc=True, client_id=account.client_id).json()
    assert claims(reply["id_token"])["sub"] == account.subject and len(twin.accounts.all) == 2


def test_identity_without_the_plan(twin):
    twin.options.plan_use = False
    verifier, challenge = pkce()
    told = landed(visit(twin, door(challenge, siwc=True)))[1]
    reply = exchange(twin, told["code"], verifier, siwc=True, client_id=told["client_id"]).json()
    assert "chatgpt.tokens.use.direct" not in reply["scope"]
    refused = p.ask(twin, account=twin.accounts.all["siwc-3"])
    assert refused.json()["error"]["code"] == "chatpass_v2_scope_not_authorized"


@pytest.mark.parametrize("siwc", [False, True])
def test_a_page_to_click_on(twin, siwc):
    twin.options.consent = "page"
    asked = door(pkce()[1], siwc)
    assert visit(twin, asked).text.count("<a ") == 2
    assert "code" in landed(visit(twin, {**asked, "choice": "allow"}))[1]
    twin.options.consent = "deny"
    assert landed(visit(twin, asked))[1] == {"error": "access_denied", "error_description": "The user denied the request",
                                             "state": "s" * 32}  # fmt: skip


def test_who_signs_in_may_be_named(twin):
    twin.options.signs_in = "codex-1"
    verifier, challenge = pkce()
    old = twin.account.refresh_token
    reply = exchange(twin, landed(visit(twin, door(challenge)))[1]["code"], verifier).json()
    assert reply["refresh_token"] == twin.account.refresh_token != old
    assert len(twin.accounts.all) == 2


def test_discovery(twin):
    told = requests.get(f"{twin.url}/.well-known/openid-configuration", timeout=60).json()
    assert told["issuer"] == twin.url
    assert told["token_endpoint"] == f"{twin.url}/api/accounts/oauth/token"
    assert told["jwks_uri"] == f"{twin.url}/.well-known/jwks.json"


# devices


def begin(twin, **changed):
    asked = {"client_id": CODEX_CLIENT, **changed}
    return requests.post(f"{twin.url}/api/accounts/deviceauth/usercode", json=asked, timeout=60)


def poll(twin, device):
    asked = {name: device[name] for name in ("device_auth_id", "user_code")}
    return requests.post(f"{twin.url}/api/accounts/deviceauth/token", json=asked, timeout=60)


def test_a_device_signs_in(twin):
    device = begin(twin).json()
    assert isinstance(device["interval"], str)
    assert [poll(twin, device).status_code for _ in range(2)] == [403, 403]
    told = poll(twin, device).json()
    callback = f"{twin.url}/deviceauth/callback"
    reply = exchange(twin, told["authorization_code"], told["code_verifier"], redirect_uri=callback).json()
    assert works(twin, twin.accounts.all["codex-3"], reply["access_token"])
    assert poll(twin, device).status_code == 404


def test_the_user_decides_on_a_device(twin):
    twin.options.device_polls = 99
    one, two = begin(twin).json(), begin(twin).json()
    page = f"{twin.url}/codex/device"
    assert one["user_code"] in requests.get(page, timeout=60).text
    for device, choice in ((one, "approved"), (two, "denied")):
        assert requests.get(page, params={"user_code": device["user_code"], "choice": choice}, timeout=60).status_code == 200
    assert requests.get(page, params={"user_code": "x", "choice": "approved"}, timeout=60).status_code == 400
    assert (poll(twin, one).status_code, poll(twin, two).status_code) == (200, 400)


def test_polls_may_be_told_what_to_hear(twin):
    device = begin(twin).json()
    twin.auth.polls.extend(["404", "429", "500", "html", "approved"])
    assert [poll(twin, device).status_code for _ in range(5)] == [404, 429, 500, 403, 200]


def test_a_device_that_nobody_answers_runs_out(twin):
    device = begin(twin).json()
    twin.auth.devices[device["device_auth_id"]].ends = 0
    assert poll(twin, device).json()["error"]["code"] == "expired_token"


def test_a_code_is_for_one_door(twin):
    device = begin(twin).json()
    twin.auth.polls.append("approved")
    told = poll(twin, device).json()
    asked = {"grant_type": "authorization_code", "code": told["authorization_code"], "resource": RESOURCE,
             "code_verifier": told["code_verifier"], "redirect_uri": f"{twin.url}/deviceauth/callback"}  # fmt: skip
    reply = requests.post(f"{twin.url}/api/accounts/oauth/token", data=asked, timeout=60)
    assert (reply.status_code, reply.json()["error"], len(twin.accounts.all)) == (400, "invalid_grant", 2)


def test_devices_that_get_nothing(twin):
    assert begin(twin, client_id="app_other").status_code == 400
    assert poll(twin, {"device_auth_id": "x", "user_code": "y"}).status_code == 404
    twin.options.device_login = False
    assert begin(twin).status_code == 404


def test_a_query_keeps_its_values(twin):
    """What comes back is encoded as a browser expects it."""
    asked = door(pkce()[1], state="a+b/c=" + "x" * 10)
    url = urlsplit(visit(twin, asked).headers["location"])
    assert parse_qs(url.query)["state"] == [asked["state"]]
