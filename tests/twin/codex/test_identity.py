"""Who is let in, and what the others hear."""

import pytest
import requests

from kirogw.twin.codex import CodexTwin, identity
from tests.twin.codex import payloads as p

ROWS = [
    # name, account's kind and members, headers, door, status, what stands in the body
    ("no_bearer", {}, {"authorization": None}, "", 401, '{"detail": "Unauthorized"}'),
    ("unknown_bearer", {}, {"authorization": "Bearer x"}, "", 401, "token_invalidated"),
    ("codex_at_siwc", {}, {}, "siwc", 401, "Missing scopes: api.responses.write"),
    ("siwc_at_codex", {"kind": "siwc"}, {}, "codex", 403, "subscription_sharing_route_not_supported"),
    ("no_consent", {"kind": "siwc", "scope": "openid"}, {}, "", 403, "chatpass_v2_scope_not_authorized"),
    ("account_deactivated", {"suspended": "account_deactivated"}, {}, "", 401, "account_deactivated"),
    ("deactivated_workspace", {"suspended": "deactivated_workspace"}, {}, "", 402, '{"detail": {"code": "deactivated_workspace"}}'),
    ("usage_not_included", {"suspended": "usage_not_included"}, {}, "", 429, "usage_not_included"),
    ("not_eligible", {"kind": "siwc", "suspended": "not_eligible"}, {}, "", 403, "subscription_sharing_user_not_eligible"),
    ("invalid_user", {"kind": "siwc", "suspended": "invalid_user"}, {}, "", 401, "subscription_sharing_invalid_user"),
    ("admission", {"kind": "siwc", "suspended": "admission"}, {}, "", 403, '{"detail": "This application'),
    ("foreign_workspace", {}, {"chatgpt-account-id": "other"}, "", 403, '{"detail": {"code": "invalid_workspace_selected"}}'),
    ("foreign_workspace", {}, {"chatgpt-account-id": None}, "", 403, "invalid_workspace_selected"),
]  # fmt: skip


@pytest.fixture
def twin():
    with CodexTwin() as running:
        yield running


@pytest.mark.parametrize(("name", "members", "changed", "door", "status", "told"), ROWS)
def test_who_is_denied(twin, name, members, changed, door, status, told):
    account = twin.add_account(**members)
    sent = {"content-type": "application/json", **p.headers(account, **changed)}
    base = {"siwc": f"{twin.url}/v1", "codex": f"{twin.url}/backend-api/codex"}.get(door) or p.address(twin, account)
    reply = requests.post(f"{base}/responses", json=p.body(), headers=sent, timeout=60)
    assert (reply.status_code, twin.denials[-1].row) == (status, name)
    assert told in reply.text


def test_a_token_that_ran_out(twin):
    """Whatever its own `exp` says: sessions are ended by the service."""
    twin.accounts.expire()
    assert p.ask(twin).json()["error"]["code"] == "token_expired"


def test_every_row_is_met():
    met = {row[0] for row in ROWS} | {"expired"}
    assert {row.name for row in identity.DENIALS} == met


def test_open_to_all(twin):
    twin.options.open = True
    assert p.ask(twin, authorization="Bearer whatever", **{"chatgpt-account-id": "x"}).status_code == 200
