"""Whose turn it is, and what stays remembered of an account."""

from kirogw.dialects.dialect import Verdict
from kirogw.errors import Busy, Forbidden, QuotaUsed, UnknownModel
from kirogw.pool import ASKED_FOR, LACKS, Account, Pool

LACKING = Verdict(UnknownModel("no such model"), "model", elsewhere=True, fate="lacks")
SLOW = Verdict(Busy("slow down", wait=50.0), "rate", elsewhere=True, fate="slow")
USED_UP = Verdict(QuotaUsed("used up"), "quota", elsewhere=True, fate="exhausted")
LOCKED = Verdict(Forbidden("locked"), "suspended", elsewhere=True, fate="suspended")


def asked(seconds):
    return Verdict(Busy("slow down", wait=seconds), "rate", elsewhere=True, fate="slow", hint=seconds)


def test_the_first_that_is_ready_serves():
    one, two = Account("one"), Account("two")
    pool = Pool([one, two])
    assert pool.pick(set(), "m", 0.0) is one
    pool.failed(one, SLOW, "m", 0.0)
    assert pool.pick(set(), "m", 1.0) is two
    assert pool.pick({"two"}, "m", 1.0) is one  # a rate limit is no reason not to try
    assert pool.pick(set(), "m", 51.0) is one
    pool.failed(one, SLOW, "m", 60.0)
    pool.served(one)
    assert pool.pick(set(), "m", 61.0) is one


def test_an_account_is_left_alone_for_as_long_as_the_upstream_asked():
    account = Account("one")
    pool = Pool([account])
    pool.failed(account, asked(50.0), "m", 0.0)
    assert pool.pick(set(), "m", 49.0) is None
    assert pool.pick(set(), "m", 50.0) is account
    pool.failed(account, asked(5.0), "m", 100.0)  # the second time our own rest is longer, and that is a guess
    assert (pool.pick(set(), "m", 104.0), pool.pick(set(), "m", 106.0)) == (None, account)
    pool.failed(account, asked(50.0), "m", 200.0)
    pool.served(account)
    assert pool.pick(set(), "m", 201.0) is account


def test_a_long_hint_is_believed_for_a_while():
    account = Account("one")
    pool = Pool([account])
    pool.failed(account, asked(86_400.0), "m", 0.0)
    assert (pool.pick(set(), "m", ASKED_FOR - 1), pool.pick(set(), "m", ASKED_FOR)) == (None, account)


def test_what_passes_by_itself_is_told_first():
    one, two, three = Account("one"), Account("two"), Account("three")
    pool = Pool([one, two, three])
    assert pool.soonest(0.0) is None
    pool.failed(one, USED_UP, "m", 0.0)
    pool.failed(two, LOCKED, "m", 0.0)
    assert pool.soonest(1.0) is two
    pool.failed(three, asked(1000.0), "m", 0.0)
    assert pool.soonest(1.0) is three


def test_an_account_that_lacks_a_model_is_asked_last_for_it():
    one, two = Account("one"), Account("two")
    pool = Pool([one, two])
    pool.failed(one, LACKING, "m", 0.0)
    assert pool.pick(set(), "m", 1.0) is two
    assert pool.pick(set(), "other", 1.0) is one
    assert pool.pick({"two"}, "m", 1.0) is one
    assert pool.pick(set(), "m", LACKS) is one


def test_models_that_are_made_up_do_not_fill_the_memory():
    account = Account("one")
    pool = Pool([account])
    for n in range(1000):
        pool.failed(account, LACKING, f"m{n}", n * 60.0)
    assert len(account.lacks) <= LACKS / 60 + 1
