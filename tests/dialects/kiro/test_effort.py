import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.conversation import Thinking
from kirogw.dialects.kiro import effort
from kirogw.dialects.kiro.models import FALLBACK
from kirogw.dialects.provider import Model
from tests.dialects.kiro.talk import BLIND, GPT, HAIKU, OPUS, SHAPE

BY_ID = {model.id: model for model in FALLBACK}
ONLY_ADAPTIVE, NO_XHIGH = BY_ID["claude-opus-5.5"], BY_ID["claude-opus-4.6"]
BUDGET = {"type": "object", "properties": {"type": {"enum": ["enabled", "disabled"]}, "budget_tokens": {"minimum": 1024, "maximum": 9000}}}
OLD = Model("old", fields={"properties": {"thinking": BUDGET}})
EITHER = Model("either", fields={"properties": {"thinking": {"oneOf": [
    {"properties": {"type": {"const": "adaptive"}}}, {"properties": {"type": {"const": "disabled"}}}]}}})  # fmt: skip
SEEN = {"type": "adaptive", "display": "summarized"}
UNSEEN = {"type": "adaptive", "display": "omitted"}

ROWS = [
    # model, what the client wants, additionalModelRequestFields
    pytest.param(OPUS, Thinking(), None, id="nothing said"),
    pytest.param(OPUS, Thinking("on"), {"thinking": SEEN}, id="on"),
    pytest.param(OPUS, Thinking("adaptive", shown=False), {"thinking": UNSEEN}, id="not shown"),
    pytest.param(OPUS, Thinking("adaptive", "high"), {"thinking": SEEN, "output_config": {"effort": "high"}}, id="effort"),
    pytest.param(OPUS, Thinking("default", "low"), {"thinking": SEEN, "output_config": {"effort": "low"}}, id="effort alone"),
    pytest.param(OPUS, Thinking("on", "minimal"), {"thinking": SEEN, "output_config": {"effort": "low"}}, id="next higher"),
    pytest.param(NO_XHIGH, Thinking("on", "xhigh"), {"thinking": SEEN, "output_config": {"effort": "max"}}, id="a level it lacks"),
    pytest.param(OPUS, Thinking("on", "frantic"), {"thinking": SEEN}, id="a level that nobody knows"),
    pytest.param(OPUS, Thinking("on", budget=6000), {"thinking": SEEN, "output_config": {"effort": "low"}}, id="6,000 tokens"),
    pytest.param(OPUS, Thinking("on", budget=6001), {"thinking": SEEN, "output_config": {"effort": "medium"}}, id="more"),
    pytest.param(OPUS, Thinking("on", budget=31999), {"thinking": SEEN, "output_config": {"effort": "xhigh"}}, id="Claude Code's"),
    pytest.param(OPUS, Thinking("on", budget=64001), {"thinking": SEEN, "output_config": {"effort": "xhigh"}}, id="a lot"),
    pytest.param(OPUS, Thinking("on", "low", 64001), {"thinking": SEEN, "output_config": {"effort": "low"}}, id="effort over budget"),
    pytest.param(OPUS, Thinking("off"), {"thinking": {"type": "disabled"}}, id="off"),
    pytest.param(OPUS, Thinking("default", "none"), {"thinking": {"type": "disabled"}}, id="effort none"),
    pytest.param(ONLY_ADAPTIVE, Thinking("off"), {"output_config": {"effort": "low"}}, id="can not be off: as little as possible"),
    pytest.param(GPT, Thinking("on"), None, id="GPT: on"),
    pytest.param(GPT, Thinking("default", "high"), {"reasoning": {"effort": "high"}}, id="GPT: effort"),
    pytest.param(GPT, Thinking("default", "minimal"), {"reasoning": {"effort": "low"}}, id="GPT: minimal is not none"),
    pytest.param(GPT, Thinking("off"), {"reasoning": {"effort": "none"}}, id="GPT: off"),
    pytest.param(HAIKU, Thinking("on", "high", 9000), None, id="no schema: nothing"),
    pytest.param(OLD, Thinking("on", budget=500), {"thinking": {"type": "enabled", "budget_tokens": 1024}}, id="by budget, at least"),
    pytest.param(OLD, Thinking("on", budget=50000), {"thinking": {"type": "enabled", "budget_tokens": 9000}}, id="by budget, at most"),
    pytest.param(OLD, Thinking("on"), {"thinking": {"type": "enabled", "budget_tokens": 4096}}, id="by budget, unnamed"),
    pytest.param(OLD, Thinking("on", "low"), {"thinking": {"type": "enabled", "budget_tokens": 4096}}, id="by budget, from a level"),
    pytest.param(EITHER, Thinking("on"), {"thinking": {"type": "adaptive"}}, id="alternatives: on"),
    pytest.param(EITHER, Thinking("off"), {"thinking": {"type": "disabled"}}, id="alternatives: off"),
    pytest.param(Model("odd", fields={"properties": {"thinking": {"properties": 3}}}), Thinking("on"), None, id="nonsense"),
    pytest.param(Model("odd", fields={"properties": {"thinking": True, "reasoning": True}}), Thinking("on", "low"), None,
                 id="schemas that are true"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "thinking", "fields"), ROWS)
def test_request_fields(model, thinking, fields):
    assert effort.request_fields(thinking, model) == fields


WORDS = ["properties", "anyOf", "enum", "const", "minimum", "default", "type", "display", "effort", "budget_tokens"]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["enabled", "adaptive", "low"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3), max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["thinking", "output_config", "reasoning"]), ANY),
       st.sampled_from([Thinking("on", "low"), Thinking("on", budget=2000), Thinking("off")]))  # fmt: skip
def test_no_schema_of_a_model_breaks_the_reader(properties, thinking):
    fields = {"properties": properties}
    known, usual = effort.levels(fields)
    assert usual in ("", *known)
    assert effort.request_fields(thinking, Model("odd", fields=fields)) in (None, {}) or effort.native(Model("odd", fields=fields))


@pytest.mark.parametrize(("model", "thinking", "emulated"), [
    pytest.param(HAIKU, Thinking("on"), True, id="asked, and none of its own"),
    pytest.param(BLIND, Thinking("default", "low"), True, id="by effort"),
    pytest.param(HAIKU, Thinking("default", budget=2000), True, id="by budget"),
    pytest.param(HAIKU, Thinking(), False, id="not asked"),
    pytest.param(HAIKU, Thinking("off"), False, id="unwanted"),
    pytest.param(HAIKU, Thinking("on", "none"), False, id="no effort"),
    pytest.param(OPUS, Thinking("on"), False, id="by itself"),
    pytest.param(GPT, Thinking("on"), False, id="by itself, in secret"),
])  # fmt: skip
def test_emulated(model, thinking, emulated):
    assert effort.emulated(thinking, model, SHAPE) is emulated


@pytest.mark.parametrize(("thinking", "budget"), [
    pytest.param(Thinking("on"), 4000, id="the usual"),
    pytest.param(Thinking("on", budget=6000), 6000, id="the client's"),
    pytest.param(Thinking("on", budget=31999), 10000, id="up to the cap"),
    pytest.param(Thinking("on", "low"), 2000, id="low"),
    pytest.param(Thinking("on", "max"), 10000, id="max"),
])  # fmt: skip
def test_the_budget_of_the_tags(thinking, budget):
    words = effort.tags(thinking, SHAPE)
    assert words.startswith(
        f"<thinking_mode>enabled</thinking_mode>\n<max_thinking_length>{budget}</max_thinking_length>\n")
