"""ChatGPT logins, kept fresh before the twin: Codex CLI's file, the store, both doors, and every refusal."""

import json
import time
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl

import pytest

from kirogw import log
from kirogw.dialects.codex import credential as codex
from kirogw.dialects.codex.claims import claims
from kirogw.errors import NeedsLogin, UpstreamFailed
from kirogw.logins import sources
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.logins import support

DAY = 86400.0


@pytest.fixture
def twin():
    with CodexTwin(accounts=[{"name": "ada", "kind": "codex"}]) as twin:
        yield twin


class House:
    """Codex CLI's home with a login in it, and gateways; the clock is ours."""

    def __init__(self, twin, folder, **settings):
        self.twin, self.folder, self.clock, self.more = twin, folder, time.time(), settings
        self.file = folder / "user" / ".codex" / "auth.json"
        self.sign_in()
        self.logins, self.network = self.gateway()

    def sign_in(self, **more):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        members = {**as_codex_file(self.twin.account, "2026-11-20T10:00:00.000000Z"), "kept": {"of": "another"}, **more}
        self.file.write_text(json.dumps(members))

    def gateway(self):
        return support.logins(self.twin, self.folder, clock=lambda: self.clock, **self.more)

    def on_disk(self):
        return json.loads(self.file.read_text())

    @property
    def account(self):
        (account,) = self.logins.accounts()
        return account


@pytest.fixture
def house(twin, tmp_path):
    return House(twin, tmp_path)


# Codex CLI's file


def test_the_file_of_codex_cli_is_found_and_followed(house):
    account, ada = house.account, house.twin.account
    assert (account.id, account.kind, account.provider, account.state) == ("codex-cli", "codex", "codex", "ready")
    assert account.name == "ChatGPT (Codex), ad***@localhost" and account.source == str(house.file)
    assert account.expires_at == claims(ada.access_token)["exp"]
    login = house.logins.fresh("codex-cli")
    assert (login.kind, login.token, login.workspace, login.profile) == ("codex", ada.access_token, ada.workspace, "")
    assert house.logins.profile("codex-cli") == "" and house.logins.next_rung("codex-cli") is None
    assert house.network.sent == [], "nothing of Kiro is asked for"
    ada.access_token = house.twin.accounts.issue(ada, None).access.token
    house.sign_in()
    house.clock += 5
    assert house.logins.fresh("codex-cli").token == ada.access_token


@pytest.mark.parametrize("named", [False, True])
def test_codex_logout_ends_the_account(twin, tmp_path, named):
    """One that was found is no account any more; one that the settings name says what is wrong."""
    place = tmp_path / "user" / ".codex" / "auth.json"
    house = House(twin, tmp_path, **({"codex_auth_file": place} if named else {}))
    house.logins.fresh(house.account.id)
    house.file.unlink()
    for _ in range(2):
        house.clock += 5
        left = house.logins.accounts()
    why = [f"{place} does not exist; run `codex login`, or sign in here: `kirogw.py login chatgpt`"]
    assert [(account.state, account.reason) for account in left] == [("login", line) for line in why if named]
    house.sign_in()
    assert house.account.state == "ready"


@pytest.mark.parametrize("where", ["named", "home of its own"])
def test_where_else_it_may_lie(twin, tmp_path, where):
    place = tmp_path / "elsewhere" / "auth.json"
    place.parent.mkdir()
    place.write_text(json.dumps(as_codex_file(twin.account, "x")))
    more = {"codex_auth_file": place} if where == "named" else {"codex_home": place.parent}
    logins, _ = support.logins(twin, tmp_path, **more)
    (account,) = logins.accounts()
    assert account.source == str(place) and account.id.startswith("codex-file-" if where == "named" else "codex-cli")
    assert logins.fresh(account.id).token == twin.account.access_token


def test_a_renewed_login_goes_back_there(house):
    before, members = house.twin.account.refresh_token, list(house.on_disk())
    house.clock += 10 * DAY - 300
    login, ada, now = house.logins.fresh("codex-cli"), house.twin.account, house.on_disk()
    assert login.token == ada.access_token and house.twin.ledger.redeemed == 1
    assert now["tokens"] == {"id_token": ada.id_token, "access_token": ada.access_token,
                             "refresh_token": ada.refresh_token, "account_id": ada.workspace}  # fmt: skip
    assert list(now) == members and now["kept"] == {"of": "another"} and now["OPENAI_API_KEY"] is None
    assert datetime.fromisoformat(now["last_refresh"]).timestamp() == pytest.approx(house.clock) and now["last_refresh"].endswith("Z")
    assert house.file.stat().st_mode & 0o777 == 0o600
    (sent,) = house.network.sent
    assert sent.url == f"{house.twin.url}/oauth/token" and sent.headers["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {"client_id": ada.client_id, "grant_type": "refresh_token", "refresh_token": before}


def test_a_file_that_is_not_ours_to_write(twin, tmp_path):
    """What is renewed is kept in the store, sealed, with whose it is; a restart finds it."""
    house = House(twin, tmp_path, write_back="false")
    before = house.file.read_bytes()
    house.clock += 11 * DAY
    token = house.logins.fresh("codex-cli").token
    assert token == twin.account.access_token and house.file.read_bytes() == before
    again, network = house.gateway()
    assert again.fresh("codex-cli").token == token and network.sent == []
    held = again.credential("codex-cli")
    assert (held.id_token, held.workspace, held.user) == (twin.account.id_token, twin.account.workspace, twin.account.user)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert token.encode() not in everything and twin.account.refresh_token.encode() not in everything


def test_the_id_token_is_no_clock(house):
    assert claims(house.twin.account.id_token)["exp"] < house.clock + 2 * 3600
    house.clock += 9 * DAY
    assert house.logins.fresh("codex-cli").token == house.twin.account.access_token and house.network.sent == []


def test_what_codex_cli_has_renewed_meanwhile_is_taken(house):
    """It was quicker: the token that we know is refused, and its file has another one by then."""
    house.logins.fresh("codex-cli")
    spent, post = house.logins.fresh("codex-cli").token, house.network.__call__

    def raced(request):
        house.logins._keepers["codex-cli"]._redeemer._post = post
        grant = house.twin.accounts.redeem(house.twin.account.refresh_token, ("codex",), house.twin.account.client_id)
        house.sign_in()
        assert grant.access
        return post(request)

    house.logins._keepers["codex-cli"]._redeemer._post = raced
    assert house.logins.renew("codex-cli", spent).token == house.twin.account.access_token != spent
    assert [entry.outcome for entry in house.twin.ledger] == ["reused"] and house.account.state == "ready"


def test_no_token_is_sent_that_codex_cli_has_redeemed_before(house, monkeypatch):
    """It was quicker by more: its file has another one when the note that ours leaves has been written."""
    spent, keeper = house.logins.fresh("codex-cli").token, house.logins._keepers["codex-cli"]
    mark = keeper._mark_sent

    def slow(view, fingerprint):
        hanging = mark(view, fingerprint)
        monkeypatch.undo()
        assert house.twin.accounts.redeem(house.twin.account.refresh_token, ("codex",), house.twin.account.client_id).access
        house.sign_in()
        return hanging

    monkeypatch.setattr(keeper, "_mark_sent", slow)
    assert house.logins.renew("codex-cli", spent).token == house.twin.account.access_token != spent
    assert house.network.sent == [] and house.account.state == "ready"


MODES = [
    pytest.param({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-proj-1"}, "an API key of OpenAI's platform and no ChatGPT login", id="key"),
    pytest.param({"auth_mode": None, "OPENAI_API_KEY": "sk-proj-1"}, "an API key of OpenAI's platform", id="a key that is there wins"),
    pytest.param({"auth_mode": "agentIdentity", "agent_identity": {}}, "the identity of an agent", id="agent"),
    pytest.param({"tokens": None}, "holds no login", id="signed out"),
    pytest.param({"tokens": {"access_token": "", "refresh_token": ""}}, "holds no login", id="empty"),
]


@pytest.mark.parametrize(("members", "said"), MODES)
def test_a_file_without_a_chatgpt_login_says_so(house, members, said):
    house.sign_in(**members)
    logins, _ = house.gateway()
    assert logins.accounts() == [], "found by itself, it is no account"
    house.more = {"codex_auth_file": house.file}
    logins, _ = house.gateway()
    (account,) = logins.accounts()
    assert account.state == "login" and said in account.reason and "sk-proj" not in account.reason


@pytest.mark.parametrize("mode", ["chatgpt", "chatgptAuthTokens", None])
def test_a_mode_that_is_chatgpt(house, mode):
    house.sign_in(auth_mode=mode)
    logins, _ = house.gateway()
    assert logins.fresh("codex-cli").token == house.twin.account.access_token


def test_logins_that_the_settings_name_are_all_there_are(house, tmp_path):
    file = tmp_path / "kiro.json"
    file.write_text('{"accessToken": "x", "refreshToken": "y"}')
    settings = support.settings(house.twin, tmp_path / "home", kiro_creds_file=file)
    assert [type(source).__name__ for source in sources.find(settings, tmp_path / "user")] == ["IdeFile"]


# what an answer leaves out


@pytest.mark.parametrize("gives", ["access", "access refresh", "id access", "id access refresh"])
@pytest.mark.parametrize("told", [True, False])
def test_what_an_answer_leaves_out_stays(house, gives, told):
    house.twin.options.change({"refresh_gives": gives, "expires_in": told})
    before = replace(house.logins.credential("codex-cli"))
    house.clock += 11 * DAY
    house.twin.accounts.options.access_life = 11 * DAY + 5 * 3600
    house.logins.fresh("codex-cli")
    held, ada = house.logins.credential("codex-cli"), house.twin.account
    assert held.access == ada.access_token and held.expires_at == claims(ada.access_token)["exp"] > house.clock
    assert held.id_token == (ada.id_token if "id" in gives else before.id_token)
    assert (held.refresh == before.refresh) is ("refresh" not in gives)
    assert (held.workspace, held.user, held.email) == (before.workspace, before.user, before.email)
    assert house.on_disk()["tokens"]["refresh_token"] == held.refresh


def test_a_new_refresh_token_alone_is_kept_and_is_no_login(house):
    """Else the only token that lives would be lost."""
    house.twin.options.change({"refresh_gives": "refresh"})
    house.clock += 11 * DAY
    with pytest.raises(UpstreamFailed, match="no new access token"):
        house.logins.fresh("codex-cli")
    assert house.on_disk()["tokens"]["refresh_token"] == house.twin.account.refresh_token
    with pytest.raises(UpstreamFailed):
        house.logins.fresh("codex-cli")
    assert house.twin.ledger.redeemed == 1, "not at once again"
    house.twin.options.change({"refresh_gives": "id access refresh"})
    house.twin.accounts.options.access_life = 12 * DAY
    house.clock += 10
    assert house.logins.fresh("codex-cli").token == house.twin.account.access_token and not house.twin.ledger.reuses


def test_a_token_that_lives_goes_on_serving_meanwhile(house):
    house.twin.options.change({"refresh_gives": "refresh"})
    house.clock += 10 * DAY - 300
    token = house.on_disk()["tokens"]["access_token"]
    assert house.logins.fresh("codex-cli").token == token
    house.clock += 60
    assert house.logins.fresh("codex-cli").token == token and house.twin.ledger.redeemed == 1


def test_an_answer_without_anything(house):
    house.twin.faults.add(operation="token", status=200, body="{}", count=None)
    house.clock += 11 * DAY
    with pytest.raises(UpstreamFailed, match="an answer without tokens"):
        house.logins.fresh("codex-cli")
    house.twin.faults.clear()
    house.clock += 60
    house.twin.accounts.options.access_life = 12 * DAY
    assert house.logins.fresh("codex-cli").token == house.twin.account.access_token


# refusals


def refusal(code, shape):
    return json.dumps({"nested": {"error": {"code": code, "message": "m"}}, "string": {"error": code}, "top": {"code": code}}[shape])


DEAD = ["refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated", "invalid_grant", "token_revoked",
        "account_deactivated", "deactivated_workspace"]  # fmt: skip


@pytest.mark.parametrize("shape", ["nested", "string", "top"])
@pytest.mark.parametrize("code", DEAD)
def test_what_needs_a_login(house, code, shape):
    house.twin.faults.add(operation="token", status=400, body=refusal(code, shape), count=None)
    house.clock += 11 * DAY
    with pytest.raises(NeedsLogin, match=code):
        house.logins.fresh("codex-cli")
    assert house.account.state == "login" and code in house.account.reason and "codex login" in house.account.reason
    with pytest.raises(NeedsLogin):
        house.logins.fresh("codex-cli")
    assert len(house.network.sent) == 1, "a token that is dead is not sent again"


@pytest.mark.parametrize("body", ["{}", '{"error": {"message": "no"}}', '{"detail": "Unauthorized"}', ""])
def test_every_401_needs_a_login(house, body):
    house.twin.faults.add(operation="token", status=401, body=body, count=None)
    house.clock += 11 * DAY
    with pytest.raises(NeedsLogin):
        house.logins.fresh("codex-cli")


PASSING = [
    pytest.param({"status": 500, "body": "{}"}, 3, id="500"), pytest.param({"status": 503, "body": "<html>"}, 3, id="503 in HTML"),
    pytest.param({"status": 429, "body": '{"error": {"message": "slow"}}', "headers": {"retry-after": "9"}}, 1, id="429"),
    pytest.param({"status": 200, "body": "<html>captive"}, 1, id="200 of a captive portal"),
    pytest.param({"status": 401, "body": "<html>proxy"}, 1, id="401 of a proxy"), pytest.param({"status": 403, "body": "<html>"}, 1, id="Cloudflare"),
    pytest.param({"status": 400, "body": '{"error": {"message": "who knows"}}'}, 1, id="400 without a code"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "sent"), PASSING)
def test_what_passes_costs_no_login(house, fault, sent):
    house.twin.faults.add(operation="token", count=None, **fault)
    house.clock += 11 * DAY
    with pytest.raises(UpstreamFailed):
        house.logins.fresh("codex-cli")
    assert house.account.state == "waiting" and len(house.network.sent) == sent
    house.twin.faults.clear()
    house.clock += 600
    house.twin.accounts.options.access_life = 12 * DAY
    assert house.logins.fresh("codex-cli").token == house.twin.account.access_token and house.account.state == "ready"


@pytest.mark.parametrize("shape", ["nested", "string", "top"])
def test_the_twins_own_refusals(house, shape):
    house.twin.options.change({"auth_errors": shape})
    house.twin.accounts.redeem(house.twin.account.refresh_token, ("codex",), house.twin.account.client_id)
    house.clock += 11 * DAY
    with pytest.raises(NeedsLogin, match="refresh_token_reused: somebody else has used it already"):
        house.logins.fresh("codex-cli")


def test_nothing_secret_is_said(house):
    said, level = [], log.logger.level
    handler = type("Ear", (log.logging.Handler,), {"emit": lambda self, record: said.append(record.getMessage())})()
    log.logger.addHandler(handler)
    log.logger.setLevel("DEBUG")
    try:
        house.clock += 11 * DAY
        house.twin.faults.add(operation="token", status=401, body=refusal("refresh_token_reused", "nested"), count=1)
        with pytest.raises(NeedsLogin) as caught:
            house.logins.fresh("codex-cli")
        house.logins.refresh("codex-cli")
    finally:
        log.logger.removeHandler(handler)
        log.logger.setLevel(level)
    text = "\n".join([*said, str(caught.value), repr(house.logins.credential("codex-cli")), repr(house.account)])
    ada = house.twin.account
    tokens = [request for request in house.network.sent for request in [json.loads(request.body)["refresh_token"]]]
    assert said and not any(secret in text for secret in (*tokens, ada.refresh_token, ada.access_token, ada.id_token, ada.email))


# in the store


def login_of(account, **more):
    made = codex.made(account.access_token, account.refresh_token, account.id_token)
    return replace(made, kind=account.kind, client_id=account.client_id if account.kind == "siwc" else "", **more)


def test_sign_in_with_chatgpt_is_renewed_as_its_own_client(tmp_path):
    with CodexTwin(accounts=["siwc"]) as twin:
        clock = time.time()
        logins, network = support.logins(twin, tmp_path, clock=lambda: clock)
        id = logins.add(login_of(twin.account))
        before, (account,) = twin.account.refresh_token, logins.accounts()
        assert (account.kind, account.provider, account.stored, account.name) == ("siwc", "codex", True, "ChatGPT, si***@localhost")
        assert logins.fresh(id).workspace == twin.account.workspace and network.sent == []
        clock += 3400
        assert logins.fresh(id).token == twin.account.access_token and twin.ledger.redeemed == 1
        (sent,) = network.sent
        assert dict(parse_qsl(sent.body.decode())) == {
            "grant_type": "refresh_token", "client_id": twin.account.client_id, "refresh_token": before,
            "resource": "https://api.openai.com/v1"}  # fmt: skip
        assert sent.url == f"{twin.url}/api/accounts/oauth/token"
        twin.accounts.revoke(twin.account.name)
        with pytest.raises(NeedsLogin, match="login chatgpt"):
            logins.renew(id, logins.fresh(id).token)


def test_removing_it_signs_it_out(tmp_path):
    with CodexTwin(accounts=["siwc", "codex"]) as twin:
        logins, network = support.logins(twin, tmp_path)
        siwc, codex_ = twin.accounts.all.values()
        for account in (siwc, codex_):
            logins.remove(logins.add(login_of(account)))
        assert logins.accounts() == [] and twin.accounts.living(siwc.name) == []
        assert twin.accounts.living(codex_.name) == [codex_.refresh_token]
        assert [request.url.rpartition("/")[2] for request in network.sent] == ["openid-configuration", "revoke"]


def test_a_service_that_is_away_keeps_no_account(tmp_path):
    with CodexTwin(accounts=["siwc"]) as twin:
        logins, _ = support.logins(twin, tmp_path)
        id = logins.add(login_of(twin.account))
        twin.faults.add(operation="discovery", status=503, body="{}", count=None)
        logins.remove(id)
        assert logins.accounts() == []


PEOPLE = [
    # who signs in after ada (workspace, user, email, kind), and how many accounts there are then
    pytest.param({}, 1, id="ada again"),
    pytest.param({"user": "user-b", "email": "bob@localhost"}, 2, id="a colleague in the same workspace"),
    pytest.param({"user": "user-b", "email": "ada@localhost"}, 2, id="another user with the same address"),
    pytest.param({"workspace": "ws-2"}, 2, id="ada in another workspace"),
    pytest.param({"kind": "siwc"}, 2, id="ada by the other door"),
]


@pytest.mark.parametrize(("members", "count"), PEOPLE)
def test_whose_it_is(twin, tmp_path, members, count):
    ada = twin.account
    logins, _ = support.logins(twin, tmp_path)
    first = logins.add(login_of(ada), label="first")
    same = {"kind": "codex", "workspace": ada.workspace, "user": ada.user, "email": ada.email, **members}
    second = logins.add(login_of(twin.accounts.add(**same)))
    assert len(logins.accounts()) == count and (first == second) is (count == 1)


def test_who_has_no_user_id_is_known_by_the_address(twin, tmp_path):
    logins, _ = support.logins(twin, tmp_path)
    ada = login_of(twin.account)
    first = logins.add(ada)
    assert logins.add(replace(ada, user="", email="ADA@localhost", refresh="rt_" + "z" * 40, id_token="")) == first


def test_a_login_that_lies_in_two_places_is_one(house):
    """The store's: what lies in the file is spent, or will be."""
    id = house.logins.add(login_of(house.twin.account))
    (account,) = house.logins.accounts()
    assert account.id == id and account.stored
    house.clock += 11 * DAY
    house.logins.background()
    assert house.twin.ledger.redeemed == 1 and not house.twin.ledger.reuses
