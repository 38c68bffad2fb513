"""Whose turn it is, and what stays remembered of an account."""

from kirogw.dialects.dialect import Verdict
from kirogw.errors import Busy, UnknownModel
from kirogw.pool import LACKS, Account, Pool

LACKING = Verdict(UnknownModel("no such model"), "model", elsewhere=True, fate="lacks")
SLOW = Verdict(Busy("slow down", wait=50.0), "rate", elsewhere=True, fate="slow")


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
