"""Which accounts a request may use."""

import pytest

from kirogw.errors import BadRequest, NotAllowed
from kirogw.pins import pinned, shown
from kirogw.pool import Account

ONE, TWO, THREE = Account("key-1", label="work"), Account("token-2", label="Büro"), Account("kiro-3")
ALL = [ONE, TWO, THREE]


@pytest.mark.parametrize(("name", "allowed", "ids"), [
    ("", (), None),
    ("key-1", (), {"key-1"}), ("work", (), {"key-1"}), ("Büro", (), {"token-2"}),
    ("Büro".encode().decode("latin-1"), (), {"token-2"}),  # as WSGI hands it down
    ("", {"work", "kiro-3"}, {"key-1", "kiro-3"}), ("", {"work", "gone"}, {"key-1"}), ("key-1", {"work", "kiro-3"}, {"key-1"}),
])  # fmt: skip
def test_the_accounts_that_may_serve(name, allowed, ids):
    assert pinned(name, allowed, ALL) == ids


@pytest.mark.parametrize(("name", "allowed", "error", "words"), [
    ("gone", (), BadRequest, "no account as the header x-kirogw-account names it"),
    ("token-2", {"work"}, NotAllowed, "does not cover"), ("gone", {"work"}, NotAllowed, "does not cover"),
    ("", {"gone"}, NotAllowed, "none of the accounts that this API key covers"),
])  # fmt: skip
def test_what_is_refused(name, allowed, error, words):
    with pytest.raises(error, match=words):
        pinned(name, allowed, ALL)


def test_two_accounts_of_one_label_are_both_meant():
    assert pinned("work", (), [ONE, Account("key-9", label="work")]) == {"key-1", "key-9"}


@pytest.mark.parametrize(("label", "told"), [
    ("", "key-1"), ("work", "work"), ("work, at home", "work, at home"),
    ("anna@example.com", "key-1"), ("büro", "key-1"), ("a\nb", "key-1"), ("a\x7f", "key-1"),
])  # fmt: skip
def test_an_account_is_shown_by_its_label_where_a_header_can_hold_it(label, told):
    assert shown(Account("key-1", label=label)) == told
