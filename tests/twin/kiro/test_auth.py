"""The services that issue tokens: their bodies, and what becomes of a refresh token in each mode of rotation."""

import threading
import time

import pytest
import requests

from kirogw.twin import Twin, as_ide_file
from tests.twin.kiro import payloads as p

SOCIAL, OIDC, IDP = "social", "idc", "external"
KINDS = [SOCIAL, OIDC, IDP]
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def twin():
    with Twin(accounts=[{"kind": kind, "name": kind} for kind in [*KINDS, "builder"]]) as running:
        yield running


def redeem(twin, kind, token=None, host="", **more):
    """The status and the body, in the social service's spelling whichever it was."""
    account = twin.accounts.all[kind]
    token = account.refresh_token if token is None else token
    if kind == SOCIAL:
        reply = requests.post(f"{twin.url}/refreshToken", json={"refreshToken": token, **more}, timeout=60)
    elif kind == IDP:
        form = {"grant_type": "refresh_token", "client_id": account.client_id, "refresh_token": token, "scope": "a", **more}
        reply = requests.post(account.token_endpoint, data=form, timeout=60)
    else:
        body = {"clientId": account.client_id, "clientSecret": account.client_secret, "refreshToken": token,
                "grantType": "refresh_token", **more}  # fmt: skip
        reply = requests.post(f"{twin.url}{host}/token", json=body, timeout=60)
    names = {"access_token": "accessToken", "refresh_token": "refreshToken", "expires_in": "expiresIn"}
    return reply.status_code, {names.get(name, name): value for name, value in reply.json().items()}


def works(twin, kind, token):
    account = twin.accounts.all[kind]
    return p.ask(twin, account=account, headers={"authorization": f"Bearer {token}"}).status_code == 200


def outcomes(twin):
    return [(entry.account, entry.generation, entry.outcome) for entry in twin.ledger]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refresh_gives_a_new_pair(twin, kind):
    old = twin.accounts.all[kind].refresh_token
    status, pair = redeem(twin, kind)
    assert (status, pair["expiresIn"]) == (200, 3600)
    assert pair["refreshToken"] not in ("", old)
    assert len(pair["refreshToken"]) > 100  # shorter ones are taken for truncated by clients
    assert works(twin, kind, pair["accessToken"])
    assert outcomes(twin) == [(kind, 0, "ok")]
    assert p.waited(lambda: twin.ledger[0].delivered)
    assert pair.get("profileArn") == (twin.accounts.all[kind].profile_arn if kind == SOCIAL else None)


@pytest.mark.parametrize("kind", KINDS)
def test_strict_a_token_works_once(twin, kind):
    old = twin.accounts.all[kind].refresh_token
    _, pair = redeem(twin, kind)
    status, error = redeem(twin, kind, old)
    assert (status, error["error"], "accessToken" in error) == (400, "invalid_grant", False)
    assert redeem(twin, kind, pair["refreshToken"])[0] == 200
    assert outcomes(twin) == [(kind, 0, "ok"), (kind, 0, "reused"), (kind, 1, "ok")]
    assert (twin.ledger.redeemed, twin.ledger.reuses) == (2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_grace_the_old_token_works_until_the_new_pair_is_used(twin, kind):
    twin.options.change({"rotation": "grace"})
    old = twin.accounts.all[kind].refresh_token
    _, lost = redeem(twin, kind)  # its answer never arrived
    status, pair = redeem(twin, kind, old)
    assert status == 200
    assert works(twin, kind, pair["accessToken"])
    assert redeem(twin, kind, old)[0] == 400
    assert redeem(twin, kind, lost["refreshToken"])[0] == 400  # its sibling was used
    assert redeem(twin, kind, pair["refreshToken"])[0] == 200
    assert [outcome for _, _, outcome in outcomes(twin)] == ["ok", "again", "reused", "superseded", "ok"]


def test_grace_redeeming_the_new_token_kills_the_old(twin):
    twin.options.change({"rotation": "grace"})
    old = twin.account.refresh_token
    _, pair = redeem(twin, SOCIAL)
    assert redeem(twin, SOCIAL, pair["refreshToken"])[0] == 200
    assert redeem(twin, SOCIAL, old)[0] == 400
    assert twin.accounts.living(SOCIAL) == [pair["refreshToken"], twin.account.refresh_token]


def test_grace_the_old_access_token_kills_nothing(twin):
    twin.options.change({"rotation": "grace"})
    first, old = twin.account.access_token, twin.account.refresh_token
    redeem(twin, SOCIAL)
    assert works(twin, SOCIAL, first)
    assert redeem(twin, SOCIAL, old)[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_none_the_token_stays(twin, kind):
    twin.options.change({"rotation": "none"})
    for _ in range(2):
        status, pair = redeem(twin, kind)
        assert (status, "refreshToken" in pair) == (200, False)
    assert works(twin, kind, pair["accessToken"])
    assert outcomes(twin) == [(kind, 0, "ok")] * 2


def test_of_many_redeemers_one_wins(twin):
    start, statuses = threading.Barrier(16), []

    def run():
        start.wait()
        statuses.append(redeem(twin, SOCIAL, token)[0])

    token = twin.account.refresh_token
    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 15
    assert (twin.ledger.redeemed, twin.ledger.reuses) == (1, 15)


def test_access_tokens_run_out(twin):
    _, pair = redeem(twin, SOCIAL)
    assert works(twin, SOCIAL, pair["accessToken"])
    twin.options.change({"access_life": 0.05})
    _, pair = redeem(twin, SOCIAL)
    time.sleep(0.06)
    assert not works(twin, SOCIAL, pair["accessToken"])
    assert twin.denials[-1].row == "expired"


def test_expire_one_account_leaves_the_others(twin):
    twin.accounts.expire(SOCIAL)
    alive = [kind for kind in KINDS if works(twin, kind, twin.accounts.all[kind].access_token)]
    assert alive == [OIDC, IDP]


@pytest.mark.parametrize(("kind", "status", "error"), [
    (SOCIAL, 401, {"message": "Unauthorized"}),
    (OIDC, 400, {"error": "invalid_grant", "error_description": "Invalid refresh token provided"}),
    (IDP, 400, {"error": "invalid_grant", "error_description": "The refresh token is invalid or has been used"}),
])
def test_a_revoked_login(twin, kind, status, error):
    twin.accounts.revoke(kind)
    assert redeem(twin, kind) == (status, error)
    assert outcomes(twin) == [(kind, 0, "revoked")]
    assert works(twin, kind, twin.accounts.all[kind].access_token)  # until it runs out


WRONG = [
    pytest.param(SOCIAL, {"token": "aor..."}, 400, "invalid_grant", id="social, cut short"),
    pytest.param(SOCIAL, {"refreshToken": None}, 400, None, id="social, none"),
    pytest.param(OIDC, {"token": "aor"}, 400, "invalid_grant", id="oidc, unknown"),
    pytest.param(OIDC, {"clientSecret": "x"}, 401, "invalid_client", id="oidc, wrong secret"),
    pytest.param(OIDC, {"clientId": "x"}, 401, "invalid_client", id="oidc, unknown client"),
    pytest.param(OIDC, {"grantType": "password"}, 400, "unsupported_grant_type", id="oidc, wrong grant"),
    pytest.param(OIDC, {"host": "/@oidc.eu-west-1.amazonaws.com"}, 400, "invalid_request", id="oidc, wrong region"),
    pytest.param(IDP, {"client_id": "x"}, 400, "invalid_grant", id="idp, wrong client"),
    pytest.param(IDP, {"grant_type": "x"}, 400, "unsupported_grant_type", id="idp, wrong grant"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "more", "status", "error"), WRONG)
def test_wrong_refreshes(twin, kind, more, status, error):
    got, body = redeem(twin, kind, **more)
    assert (got, body.get("error")) == (status, error)
    assert redeem(twin, kind)[0] == 200  # nothing was used up


def test_the_right_region(twin):
    assert redeem(twin, OIDC, host="/@oidc.us-east-1.amazonaws.com")[0] == 200


def test_families_do_not_mix(twin):
    token = twin.accounts.all[OIDC].refresh_token
    assert redeem(twin, SOCIAL, token)[0] == 400
    assert redeem(twin, OIDC, twin.accounts.all["builder"].refresh_token)[0] == 400  # another's registration
    assert [entry.outcome for entry in twin.ledger] == ["unknown", "foreign client"]


def test_a_form_is_no_json_and_json_no_form(twin):
    body = {"refreshToken": twin.account.refresh_token}
    assert requests.post(twin.url + "/refreshToken", data=body, timeout=60).status_code == 400
    idc = twin.accounts.all[OIDC]
    form = {"clientId": idc.client_id, "clientSecret": idc.client_secret, "grantType": "refresh_token"}
    assert requests.post(twin.url + "/token", data=form, timeout=60).json()["error"] == "invalid_request"
    assert requests.post(twin.url + "/idp/token", json={"grant_type": "refresh_token"}, timeout=60).status_code == 400
    assert twin.ledger == []


@pytest.mark.parametrize(("start_url", "kind", "region"), [
    ("https://view.awsapps.com/start", "builder", "us-east-1"), ("https://acme.awsapps.com/start", "idc", "eu-west-1")])
def test_device_login(twin, start_url, kind, region):
    base = f"{twin.url}/@oidc.{region}.amazonaws.com"
    client = requests.post(base + "/client/register", json={"clientName": "kirogw", "clientType": "public"}, timeout=60).json()
    assert client["clientSecretExpiresAt"] - client["clientIdIssuedAt"] == 90 * 86400
    login = {name: client[name] for name in ("clientId", "clientSecret")}
    device = requests.post(base + "/device_authorization", json={**login, "startUrl": start_url}, timeout=60).json()
    assert {"deviceCode", "userCode", "verificationUri", "verificationUriComplete", "expiresIn", "interval"} == set(device)
    poll = {**login, "deviceCode": device["deviceCode"], "grantType": DEVICE}
    replies = [requests.post(base + "/token", json=poll, timeout=60).json() for _ in range(4)]
    assert [reply.get("error") for reply in replies] == ["authorization_pending"] * 2 + [None, "invalid_grant"]
    account, _ = twin.accounts.bearer(replies[2]["accessToken"])
    assert (account.kind, account.sso_region, account.start_url) == (kind, region, start_url)
    body = {**login, "refreshToken": replies[2]["refreshToken"], "grantType": "refresh_token"}
    assert requests.post(base + "/token", json=body, timeout=60).status_code == 200


@pytest.mark.parametrize(("answer", "error"), [("denied", "access_denied"), ("expired", "expired_token")])
def test_a_device_login_that_fails(twin, answer, error):
    client = twin.accounts.register("us-east-1")
    login = {"clientId": client.id, "clientSecret": client.secret}
    device = requests.post(twin.url + "/device_authorization", json={**login, "startUrl": "https://a"}, timeout=60).json()
    twin.auth.devices[device["deviceCode"]].answer = answer
    poll = {**login, "deviceCode": device["deviceCode"], "grantType": DEVICE}
    assert requests.post(twin.url + "/token", json=poll, timeout=60).json()["error"] == error


def test_a_device_login_that_nobody_answers_runs_out(twin):
    begin = {"clientId": "kiro-cli", "loginProvider": "Github"}
    device = requests.post(twin.url + "/oauth/device/authorization", json=begin, timeout=60).json()
    twin.auth.devices[device["deviceCode"]].ends = time.time() - 1
    poll = {"clientId": "kiro-cli", "deviceCode": device["deviceCode"]}
    assert requests.post(twin.url + "/oauth/device/poll", json=poll, timeout=60).json() == {"status": "expired_token"}


@pytest.mark.parametrize(("path", "body", "status", "error"), [
    ("/client/register", {"clientName": "a"}, 400, "invalid_request"),
    ("/device_authorization", {"clientId": "a", "clientSecret": "b", "startUrl": "c"}, 401, "invalid_client"),
    ("/oauth/device/authorization", {"loginProvider": "Gitlab"}, 400, None),
    ("/oauth/device/poll", {"deviceCode": "x"}, 400, "invalid_grant"),
])
def test_wrong_device_logins(twin, path, body, status, error):
    reply = requests.post(twin.url + path, json=body, timeout=60)
    assert (reply.status_code, reply.json().get("error")) == (status, error)


def test_a_device_login_needs_a_start_url(twin):
    client = twin.accounts.register("us-east-1")
    body = {"clientId": client.id, "clientSecret": client.secret}
    assert requests.post(twin.url + "/device_authorization", json=body, timeout=60).json()["error"] == "invalid_request"


def test_social_device_login(twin):
    begin = {"clientId": "kiro-cli", "loginProvider": "Google"}
    device = requests.post(twin.url + "/oauth/device/authorization", json=begin, timeout=60).json()
    assert (device["intervalInMilliseconds"], device["expiresInMilliseconds"]) == (1000, 300_000)
    poll = {"clientId": "kiro-cli", "deviceCode": device["deviceCode"]}
    replies = [requests.post(twin.url + "/oauth/device/poll", json=poll, timeout=60).json() for _ in range(3)]
    assert [reply.get("status") for reply in replies] == ["authorization_pending"] * 2 + [None]
    assert works(twin, SOCIAL, replies[2]["accessToken"])


def test_an_expired_registration(twin):
    idc = twin.accounts.all[OIDC]
    twin.accounts.clients[idc.client_id].expires = 0
    assert redeem(twin, OIDC)[1]["error"] == "invalid_client"


@pytest.mark.parametrize(("kind", "method", "names"), [
    (SOCIAL, "social", {"profileArn"}), (OIDC, "IdC", {"clientIdHash", "region"}), ("builder", "IdC", {"clientIdHash", "region"}),
    (IDP, "external_idp", {"clientId", "tokenEndpoint", "issuerUrl", "scopes", "profileArn"})])
def test_the_file_of_the_ide(twin, kind, method, names):
    file = as_ide_file(twin.accounts.all[kind], "2026-09-30T10:11:12.345Z")
    assert file["authMethod"] == method
    assert set(file) == {"accessToken", "refreshToken", "expiresAt", "authMethod", "provider"} | names


def test_unknown_kinds_and_members(twin):
    with pytest.raises(ValueError, match="no such kind"):
        twin.add_account("guest")
    with pytest.raises(ValueError, match="an API key has no file"):
        as_ide_file(twin.add_account("api_key"), "")
    with pytest.raises(ValueError, match="no such option: rotate"):
        Twin(rotate=True)
    with pytest.raises(ValueError, match="rotation is one of"):
        Twin(rotation="twice")
