import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.seals import mark, seal, unseal

MARKS = st.one_of(st.just(""), st.builds(mark, st.binary(min_size=1), st.text(alphabet="abc-0123")))


@given(st.sampled_from("sr"), st.text(), st.text(min_size=1), MARKS)
def test_what_was_sealed_comes_back_verbatim(kind, model, value, mark):
    assert unseal(seal(kind, model, value, mark)) == (kind, model, value, mark)


def test_an_account_can_not_be_told_by_its_mark():
    one, two = mark(b"secret", "key-0123abcd"), mark(b"secret", "key-0123abce")
    assert len({one, two, mark(b"another", "key-0123abcd")}) == 3
    assert one == mark(b"secret", "key-0123abcd") and len(one) == 8 and "0123" not in one


def test_the_form_is_what_clients_hold_already():
    assert seal("s", "claude-opus-4.8", "Eq:a==") == "kgw1:s:claude-opus-4.8:Eq:a=="


@pytest.mark.parametrize("text", [
    pytest.param("", id="none"),
    pytest.param("EqMBCkYIBxgC", id="another provider's signature"),
    pytest.param("kgw1:s:claude-opus-4.8:", id="nothing in it"),
    pytest.param("kgw1:s:claude-opus-4.8", id="cut off"),
    pytest.param("kgw1:x:claude-opus-4.8:abc", id="a kind from the future"),
    pytest.param("kgw2:s::claude-opus-4.8:abc", id="nobody's"),
    pytest.param("kgw2:s:claude-opus-4.8:abc", id="cut off in the middle"),
    pytest.param("kgw3:s:mark:claude-opus-4.8:abc", id="a form from the future"),
])
def test_what_is_not_ours_is_not_believed(text):
    assert unseal(text) is None
