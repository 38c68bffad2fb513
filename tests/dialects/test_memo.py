import pytest

from kirogw.conversation import Tool
from kirogw.dialects.memo import LARGEST, NAMES, ToolMemo


def test_an_equal_tool_is_known():
    memo = ToolMemo()
    assert memo.get(Tool("a", "b", {"c": 1})) is None
    assert memo.keep(Tool("a", "b", {"c": 1}), "kept") == "kept"
    assert memo.get(Tool("a", "b", {"c": 1})) == "kept"


@pytest.mark.parametrize("other", [Tool("a", "b", {"c": 2}), Tool("a", "x", {"c": 1}), Tool("x", "b", {"c": 1})])
def test_another_is_not(other):
    memo = ToolMemo()
    memo.keep(Tool("a", "b", {"c": 1}), "kept")
    assert memo.get(other) is None


def test_two_tools_of_one_name_are_kept_and_no_third():
    memo = ToolMemo()
    for n in range(3):
        memo.keep(Tool("a", schema={"n": n}), n)
    assert [memo.get(Tool("a", schema={"n": n})) for n in range(3)] == [None, 1, 2]


def test_old_names_make_room():
    memo = ToolMemo()
    for n in range(NAMES + 1):
        memo.keep(Tool(str(n)), n)
    assert memo.get(Tool("0")) is None
    assert memo.get(Tool(str(NAMES))) == NAMES
    assert sum(memo.get(Tool(str(n))) is not None for n in range(NAMES + 1)) > NAMES // 3


def test_what_is_too_large_is_not_kept():
    memo = ToolMemo()
    large = Tool("a", "d" * LARGEST)
    assert memo.keep(large, "value") == "value"
    assert memo.get(large) is None
