"""What a client hears when no account can serve."""

import re

import pytest

from kirogw.dialects.clients import ASKED_AGAIN
from kirogw.dialects.codex import faults as codex
from kirogw.dialects.kiro import faults as kiro
from kirogw.errors import Busy, Forbidden, NeedsLogin, Overloaded, QuotaUsed, UnknownModel, UpstreamFailed
from kirogw.nobody import ADVICE, NONE, PASSING, WORDS, nobody, span
from kirogw.pool import Nobody

NOW = 1000.0
NAMES = {"a": "work", "b": "home"}
SLOW, USED, LOCKED = ("cooling", "rate", NOW + 8), ("exhausted", "quota", NOW + 86_400 * 9), ("suspended", "suspended", NOW + 1800)
LOGIN, OFF, ODD = ("login", "token", NOW + 30), ("disabled", "", 0.0), ("cooling", "not authorized", NOW + 300)


def told(reasons, tried=None, error=None):
    found = Nobody(None, reasons, error)
    return nobody(found, tried or {}, NAMES, NOW)


@pytest.mark.parametrize(("reasons", "kind", "wait", "words"), [
    ({"a": SLOW, "b": USED}, Busy, 8, "work is limited (for 8 s), home has used up its plan (for 9 days). Try again in 8 s."),
    ({"a": LOCKED, "b": USED}, Overloaded, 1800, "work is locked by its provider (for 30 min), home has used up its plan (for 9 days). Try again in 30 min."),
    ({"a": USED, "b": LOGIN}, QuotaUsed, 86_400 * 9, "work has used up its plan (for 9 days), home needs a login. Wait for that, raise"),
    ({"a": LOGIN, "b": OFF}, NeedsLogin, None, "work needs a login, home is switched off. Somebody must sign in."),
    ({"a": ODD, "b": OFF}, Forbidden, None, "work was refused, home is switched off. The owner of the gateway must look at it."),
])  # fmt: skip
def test_the_account_that_can_serve_first_decides(reasons, kind, wait, words):
    error = told(reasons)
    assert (type(error), error.wait) == (kind, wait)
    assert str(error).startswith(f"No account can serve this just now: {words}")


def test_no_account_at_all():
    error = told({})
    assert (type(error), str(error)) == (NeedsLogin, NONE)


def test_an_only_account_speaks_for_itself():
    """Its own words say more; a lock is the exception, since it is looked at again soon."""
    used = QuotaUsed("The account's plan is used up. Wait for its reset.", wait=5.0)
    error = told({"a": USED}, error=used)
    assert error is not used and (type(error), str(error), error.wait) == (QuotaUsed, str(used), 5.0)
    assert type(told({"a": LOCKED}, error=Forbidden("locked"))) is Overloaded
    own = Forbidden("Kiro has locked this account")
    assert told({"a": LOCKED}, {"a": own}) is own


@pytest.mark.parametrize("failure", [UpstreamFailed("Kiro failed"), Overloaded("no room"), UnknownModel("no such model")])
def test_what_is_no_accounts_own_trouble_is_told_as_it_is(failure):
    assert told({"a": ("ready", "tried", 0.0), "b": USED}, {"a": failure}) is failure
    assert told({"a": ("ready", "tried", 0.0), "b": ("ready", "tried", 0.0)}, {"b": Busy("slow"), "a": failure}) is failure


def test_accounts_that_failed_in_their_own_ways_are_all_told():
    error = told({"a": SLOW, "b": ODD}, {"a": Busy("slow"), "b": Forbidden("refused")})
    assert (type(error), error.wait) == (Busy, 8.0)
    assert "work is limited (for 8 s), home was refused." in str(error)


@pytest.mark.parametrize("table", [codex, kiro], ids=["ChatGPT", "Kiro"])
def test_limits_of_each_provider_are_known_to_pass(table):
    """A row by another name would be taken for something that only a person can mend."""
    assert {row.name for row in table.TABLE if row.fate == "slow"} <= PASSING <= WORDS.keys()
    assert {row.name for row in table.TABLE if row.fate == "lacks"} <= WORDS.keys()


def test_many_accounts_are_not_all_named():
    names = {f"key-{n}": SLOW for n in range(12)}
    assert str(told(names)).count("key-") == 5
    assert ", and 7 more." in str(told(names))


def test_clients_that_go_by_words_are_not_misled():
    """Words that stand in every such error must not be those by which OpenCode asks again."""
    final = [*WORDS.values(), *(words for kind, words in ADVICE.items() if not kind.passes), NONE]
    assert [words for words in final if ASKED_AGAIN.search(words)] == []
    assert all(ASKED_AGAIN.search(words) for kind, words in ADVICE.items() if kind.passes)


@pytest.mark.parametrize(("seconds", "words"), [
    (0.2, "1 s"), (59.1, "60 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172_800, "2 days"), (9e5, "11 days"),
])  # fmt: skip
def test_times_are_told_in_round_figures(seconds, words):
    assert span(seconds) == words
    assert re.fullmatch(r"\d+ (s|min|h|days)", words)
