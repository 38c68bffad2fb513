import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.conversation import Tool
from kirogw.dialects.names import call_id, renamed, table
from tests.dialects.talk import call, model, talk, user

LONG = "mcp__my-stub_server__create_or_update_a_very_long_tool_name_for_testing_limits"
ROWS = [
    # the client's name, Kiro's up to its ten digits
    pytest.param("read", None, id="fits"),
    pytest.param("mcp__a-b__c9", None, id="fits too"),
    pytest.param("x" * 64, None, id="just fits"),
    pytest.param(LONG, "mcp__my-stub_server__create_or_update_a_very_long_too_#", id="long"),
    pytest.param("server.tool", "server_tool_#", id="a dot"),
    pytest.param("my tool", "my_tool_#", id="a blank"),
    pytest.param("1st", "tool_1st_#", id="a digit first"),
    pytest.param("_x", "tool__x_#", id="a line first"),
    pytest.param("", "tool_#", id="no name"),
    pytest.param("é", "tool_#", id="no letter of these"),
    pytest.param("\ud800", "tool_#", id="half a pair"),
]
DIGITS = re.compile(r"[0-9a-f]{10}$")


@pytest.mark.parametrize(("name", "made"), ROWS)
def test_table(name, made):
    got = table(talk(tools=(Tool(name),)))
    if made is None:
        assert got == {}
    else:
        assert list(got) == [name]
        assert DIGITS.sub("#", got[name]) == made


def test_a_made_name_is_the_same_for_ever():
    assert table(talk(tools=(Tool("server.tool"),))) == {"server.tool": "server_tool_ea6df6d311"}


def test_a_made_name_meets_no_other():
    made = table(talk(tools=(Tool("a.b"),)))["a.b"]
    got = table(talk(tools=(Tool("a.b"), Tool("a b"), Tool(made))))
    assert set(got) == {"a.b", "a b"}
    assert len({made, *got.values()}) == 3


def test_names_of_the_history_count():
    got = table(talk(user("a"), model(call(name="old tool")), tools=(Tool("new"),)))
    assert list(got) == ["old tool"]


@given(st.lists(st.text(max_size=80)))
def test_made_names_fit_and_differ(names):
    got = table(talk(tools=tuple(map(Tool, names))))
    final = {got.get(name, name) for name in names}
    assert len(final) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) for name in final)


@given(st.text(max_size=80), st.text(max_size=80))
def test_call_ids_fit_and_differ(one, other):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call_id(one))
    assert (call_id(one) == call_id(other)) == (one == other)
    assert call_id(call_id(one)) == call_id(one)


def test_renamed():
    assert renamed("a", {"a"}) == "a_2"
    assert renamed("a", {"a", "a_2"}) == "a_3"
    assert renamed("x" * 64, ()) == "x" * 58 + "_2"
