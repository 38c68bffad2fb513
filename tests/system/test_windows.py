"""ChatGPT accounts in a gateway that runs: what heads tell, when a window is full and empty again, who is not rotated."""

import time

import pytest
import requests

from tests.system import cases
from tests.system.cases_chatgpt import MODEL
from tests.system.raw import eventually
from tests.system.running import KEY
from tests.system.stand import PLACES, Verdicts, brought_in, standing


@pytest.fixture
def stand(request):
    """`param`: the accounts' kinds, the twin's options, the gateway's settings."""
    accounts, options, settings = request.param
    verdicts = Verdicts()
    with verdicts.listening(), standing(verdicts, accounts, options, brought_in, cases.set_to(**settings)) as stand:
        for twin in stand.twins:
            twin.script(cases.PLAIN)
        yield stand


def with_(accounts, options=None, **settings):
    return pytest.mark.parametrize("stand", [(tuple(accounts.split()), options or {}, settings)], indirect=True, ids=[""])


def asked(stand, times, **headers):
    """Which of the twin's accounts were asked, by their numbers."""
    before = len(stand.seen())
    names = list(stand.twin.accounts.all)
    for n in range(times):
        body = {"model": MODEL, "input": f"Count {n}.", "max_output_tokens": 100}
        reply = requests.post(stand.url + PLACES["responses"], json=body, headers={"x-api-key": KEY, **headers}, timeout=100)
        assert reply.status_code == 200, reply.text
    return [names.index(seen.account) + 1 for seen in stand.seen()[before:]]


@with_("codex codex", {"spend": 44.0}, SCHEDULING_MODE="fill-first")
def test_an_account_that_a_head_has_told_is_full_is_not_asked_in_vain(stand):
    for account in stand.twin.accounts.all.values():
        account.secondary["used"] = 1.0
    assert asked(stand, 4) == [1, 1, 2, 2]  # 12 % were used before
    first, _ = stand.state.pool.all()
    assert (first.state, first.health.told, first.health.evidence) == (
        "exhausted", True, "The account's plan is used up: all of 5 hours. Wait for its reset, raise its limit or add an account.")  # fmt: skip
    assert first.health.until == pytest.approx(stand.twin.account.primary["resets_at"], abs=60)
    assert stand.verdicts.met == {}


@with_("codex", {"spend": 100.0})
def test_a_window_is_open_again_at_its_reset(stand):
    window = stand.twin.account.primary
    window["resets_at"] = int(time.time()) + 8  # it is told in whole seconds
    assert asked(stand, 1) == [1]
    [account] = stand.state.pool.all()
    assert account.state == "exhausted"
    stand.twin.account.secondary.clear()
    eventually(lambda: not account.health.resting(time.time()))
    assert asked(stand, 1) == [1]
    assert stand.verdicts.met == {}


@with_("codex codex")
def test_what_a_head_tells_is_seen_by_people(stand):
    assert asked(stand, 1) == [1]
    row = requests.get(stand.url + "/v1/accounts/status", headers={"x-api-key": KEY}, timeout=100).json()["accounts"][0]
    quota = row["quota"]
    assert (row["provider"], row["plan"], quota["unit"], quota["left"]) == ("codex", "plus", "percent", 70.0)
    assert [(one["name"], one["left"], one["seconds"]) for one in quota["buckets"]] == [("5 hours", 88.0, 18_000.0), ("week", 70.0, 604_800.0)]
    assert stand.twin.seen("usage") == []
    [record] = eventually(stand.state.usage.requests)
    assert (record["provider"], record["model"], record["account"]) == ("codex", MODEL, row["id"])


@with_("siwc siwc", SCHEDULING_MODE="round-robin")
def test_logins_of_sign_in_with_chatgpt_are_not_rotated(stand):
    first, second = stand.state.pool.all()
    assert asked(stand, 4) == [1] * 4
    assert asked(stand, 2, **{"x-kirogw-account": second.id}) == [2, 2]
    stand.twin.faults.add("subscription_limit", count=None, account=stand.twin.account.name)
    assert asked(stand, 2) == [1, 2, 2]  # the first is used up, says its refusal
    assert (first.state, second.state) == ("exhausted", "ready")
    stand.twin.faults.clear()
    stand.state.pool.clear(first.id)
    assert asked(stand, 2) == [1, 1]
    stand.state.desk.change(first.id, {"enabled": False})
    assert asked(stand, 2) == [2, 2]


@with_("siwc siwc", CHATGPT_ROTATION="true", SCHEDULING_MODE="round-robin")
def test_unless_the_owner_wants_it_so(stand):
    assert asked(stand, 4) == [1, 2, 1, 2]


ADMIN = "kgw_for-the-owner-of-the-tests-0123456789"


@with_("siwc siwc api_key", SCHEDULING_MODE="round-robin", ADMIN_API_KEY=ADMIN)
def test_a_key_for_the_second_uses_the_second(stand):
    second = stand.state.pool.all()[1]
    reply = requests.post(stand.url + "/api/keys", json={"name": "second", "accounts": [second.id]}, headers={"x-api-key": ADMIN}, timeout=100)
    assert asked(stand, 3, **{"x-api-key": reply.json()["key"]}) == [2, 2, 2]
