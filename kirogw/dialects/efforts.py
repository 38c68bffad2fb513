"""How much a model shall think: the one table between the three spellings, and what becomes of a client's wishes.

OpenAI's `reasoning.effort` and Anthropic's `output_config.effort` are levels, Anthropic's `thinking.budget_tokens` is a
count. (codex 16.5)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from kirogw.conversation import Thinking

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # the least first
BUDGETS: Final = {"minimal": 4096, "low": 4096, "medium": 10_000, "high": 16_384, "xhigh": 32_768, "max": 32_768}
UP_TO: Final = ((0, "none"), (6_000, "low"), (12_000, "medium"), (24_000, "high"))
"""Tokens up to which a budget means that level; each budget of the table means its own."""


def level_of(budget: int | None) -> str:
    """The level that a budget means, "" for none."""
    if budget is None:
        return ""
    return next((level for limit, level in UP_TO if budget <= limit), "xhigh")


def budget_of(level: str) -> int | None:
    """The tokens that a level means, None where it means no thinking, or nothing."""
    return BUDGETS.get(level)


def nearest(wish: str, levels: Collection[str]) -> str:
    """Of the levels that a model takes, the one for `wish`: the next higher, else the next lower. "" when it takes
    none, or nothing was wished for. `none` is only for who wishes for it.
    """
    if wish in levels:
        return wish
    known = [level for level in LEVELS if level in levels and level != "none"]
    if wish not in LEVELS or not known:
        return ""
    place = LEVELS.index(wish)
    return next((level for level in known if LEVELS.index(level) > place), known[-1])


def wished(thinking: Thinking, effort: str, on: bool) -> Thinking:
    """What the client wants after its model's name has had its word: an effort in the body counts first, then that of
    the name (`effort`, "" for none), then the body's budget. `on`: the name asks for thinking.
    """
    if thinking.effort or thinking.mode == "off":
        return thinking
    if effort == "none":
        return replace(thinking, mode="off", effort=effort, budget=None)
    if effort:
        mode = "adaptive" if thinking.mode == "default" else thinking.mode
        return replace(thinking, mode=mode, effort=effort, budget=None)
    return replace(thinking, mode="on") if on and thinking.mode == "default" else thinking
