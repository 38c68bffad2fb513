"""The catalogue, as each door shows it."""

import pytest
import requests

from kirogw.twin.codex import CodexTwin
from tests.twin.codex import payloads as p

REQUIRED = {
    "slug", "display_name", "description", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api",
    "priority", "upgrade", "base_instructions", "supports_reasoning_summaries", "support_verbosity", "default_verbosity",
    "apply_patch_tool_type", "truncation_policy", "supports_parallel_tool_calls", "experimental_supported_tools",
}  # fmt: skip


@pytest.fixture
def twin():
    with CodexTwin(accounts=["codex", "siwc"]) as running:
        yield running


def models(twin, account=None, version="0.169.0", **changed):
    account = account or twin.account
    return requests.get(f"{p.address(twin, account)}/models", params={"client_version": version} if version else {},
                        headers=p.headers(account, **changed), timeout=60)  # fmt: skip


def slugs(reply):
    return [entry["slug"] for entry in reply.json()["models"]]


def test_every_entry_is_whole(twin):
    for entry in models(twin).json()["models"]:
        assert set(entry) >= REQUIRED


@pytest.mark.parametrize(("version", "newest"), [
    ("0.169.0", "gpt-6.1-sol"), ("0.154.0", "gpt-6-astra"), ("0.150.0", "gpt-5.6-sol"), ("0.143.9", "gpt-5.5"), ("0.1.0", None),
    ("0.155.0-alpha.1", "gpt-6.1-sol"),
])  # fmt: skip
def test_an_old_client_sees_less(twin, version, newest):
    assert (slugs(models(twin, version=version)) or [None])[0] == newest


@pytest.mark.parametrize("version", ["", "latest", "1"])
def test_the_version_is_wanted(twin, version):
    assert models(twin, version=version).status_code == 400


def test_the_public_api_wants_none(twin):
    assert slugs(models(twin, twin.accounts.all["siwc-2"], "")) == [entry["slug"] for entry in twin.catalogue]


def test_an_account_may_have_few(twin):
    assert slugs(models(twin, twin.add_account("codex", models=("gpt-5.5",)))) == ["gpt-5.5"]


def test_a_copy_that_is_still_good(twin):
    tag = models(twin).headers["etag"]
    assert models(twin, **{"if-none-match": tag}).status_code == 304
    twin.catalogue.pop(0)
    assert models(twin, **{"if-none-match": tag}).status_code == 200


def test_it_needs_a_login(twin):
    assert models(twin, authorization="Bearer x").status_code == 401
