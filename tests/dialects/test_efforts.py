"""The one table between levels and budgets, and which of a client's wishes counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.conversation import Thinking
from kirogw.dialects.efforts import BUDGETS, LEVELS, budget_of, level_of, nearest, wished

EFFORTS = st.sampled_from(LEVELS)
SOME = st.lists(EFFORTS, max_size=6)


@pytest.mark.parametrize(("budget", "level"), [
    (None, ""), (0, "none"), (1, "low"), (4096, "low"), (6000, "low"), (6001, "medium"), (10_000, "medium"), (12_001, "high"),
    (16_384, "high"), (24_001, "xhigh"), (31_999, "xhigh"), (32_768, "xhigh"), (1_000_000, "xhigh"),
])  # fmt: skip
def test_the_level_of_a_budget(budget, level):
    assert level_of(budget) == level


@pytest.mark.parametrize(("level", "budget"), [
    ("minimal", 4096), ("low", 4096), ("medium", 10_000), ("high", 16_384), ("xhigh", 32_768), ("none", None), ("", None),
])  # fmt: skip
def test_the_budget_of_a_level(level, budget):
    assert budget_of(level) == budget


def test_a_budget_of_the_table_means_its_own_level():
    assert {level: level_of(budget) for level, budget in BUDGETS.items()} == {
        "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh",
    }  # fmt: skip


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_more_tokens_are_never_less_thinking(one, other):
    low, high = sorted((one, other))
    assert LEVELS.index(level_of(low)) <= LEVELS.index(level_of(high))


@given(EFFORTS, SOME)
def test_the_nearest_level_is_one_that_the_model_takes(wish, levels):
    found = nearest(wish, levels)
    assert found == wish if wish in levels else found in {*levels, ""} - {"none"}
    assert found or not set(levels) - {"none"}


@given(SOME, EFFORTS, EFFORTS)
def test_who_wishes_for_more_gets_no_less(levels, one, other):
    low, high = sorted((one, other), key=LEVELS.index)
    if nearest(low, levels) and nearest(high, levels):
        assert LEVELS.index(nearest(low, levels)) <= LEVELS.index(nearest(high, levels))


ROWS = [
    # what the body says, what the name says, what counts
    pytest.param(Thinking(), "", False, Thinking(), id="nothing"),
    pytest.param(Thinking(), "high", False, Thinking("adaptive", "high"), id="the name's level"),
    pytest.param(Thinking(), "none", False, Thinking("off", "none"), id="the name wants none"),
    pytest.param(Thinking(), "", True, Thinking("on"), id="-thinking"),
    pytest.param(Thinking("default", "low"), "high", True, Thinking("default", "low"), id="the body's level"),
    pytest.param(Thinking("off"), "high", True, Thinking("off"), id="the body wants none"),
    pytest.param(Thinking("on", budget=31_999), "low", False, Thinking("on", "low"), id="the name before a budget"),
    pytest.param(Thinking("on", budget=31_999), "", True, Thinking("on", budget=31_999), id="a budget, and -thinking"),
    pytest.param(Thinking("adaptive", shown=False), "max", False, Thinking("adaptive", "max", shown=False), id="the rest stays"),
]


@pytest.mark.parametrize(("thinking", "effort", "on", "counts"), ROWS)
def test_what_counts(thinking, effort, on, counts):
    assert wished(thinking, effort, on) == counts
