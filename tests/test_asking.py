"""How an account is shown to clients. All else of asking is tested over the whole road: tests/system."""

import pytest

from kirogw.asking import shown
from kirogw.pool import Account


@pytest.mark.parametrize(("label", "told"), [
    ("", "key-1"), ("work", "work"), ("work, at home", "work, at home"),
    ("anna@example.com", "key-1"), ("büro", "key-1"), ("a\nb", "key-1"), ("a\x7f", "key-1"),
])  # fmt: skip
def test_an_account_is_shown_by_its_label_where_a_header_can_hold_it(label, told):
    assert shown(Account("key-1", label=label)) == told
