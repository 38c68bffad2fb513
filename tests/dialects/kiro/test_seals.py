import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.dialects.kiro.seals import seal, unseal


@given(st.sampled_from("sr"), st.text(), st.text(min_size=1))
def test_what_was_sealed_comes_back_verbatim(kind, model, value):
    assert unseal(seal(kind, model, value)) == (kind, model, value)


def test_the_form_is_what_clients_hold_already():
    assert seal("s", "claude-opus-4.8", "Eq:a==") == "kgw1:s:claude-opus-4.8:Eq:a=="


@pytest.mark.parametrize("text", [
    pytest.param("", id="none"),
    pytest.param("EqMBCkYIBxgC", id="another provider's signature"),
    pytest.param("kgw1:s:claude-opus-4.8:", id="nothing in it"),
    pytest.param("kgw1:s:claude-opus-4.8", id="cut off"),
    pytest.param("kgw1:x:claude-opus-4.8:abc", id="a kind from the future"),
    pytest.param("kgw2:s:claude-opus-4.8:abc", id="a form from the future"),
])
def test_what_is_not_ours_is_not_believed(text):
    assert unseal(text) is None
