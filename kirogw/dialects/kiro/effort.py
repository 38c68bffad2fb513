"""How much the model shall think: by each model's own schema, or by tags in the prompt where it has none.

Source: kiro 7.1 and 7.2. A member that a model's schema does not list is refused, so nothing is sent beyond it.
"""

from __future__ import annotations

from typing import Any, Final

from kirogw.conversation import Thinking
from kirogw.dialects.efforts import LEVELS, budget_of, level_of, nearest
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.provider import Model
from kirogw.dialects.replied import list_of, object_of
from kirogw.wire import Json

USUAL: Final = 4096  # tokens of thinking, where the client names neither level nor budget
SHARES: Final = {"minimal": 0.25, "low": 0.5, "medium": 1.0, "high": 1.5, "xhigh": 2.0, "max": 2.5}
"""Of the usual budget of emulated thinking, where the client names a level and no budget."""


def wanted(thinking: Thinking) -> bool:
    if thinking.mode == "default":
        return thinking.budget is not None or thinking.effort not in ("", "none")
    return thinking.mode != "off" and thinking.effort != "none"


def unwanted(thinking: Thinking) -> bool:
    """The client asked for no thinking, which is more than not asking for any."""
    return thinking.mode == "off" or thinking.effort == "none"


def native(model: Model) -> bool:
    return any(name in _properties(model.fields) for name in ("thinking", "output_config", "reasoning"))


def levels(fields: Json | None) -> tuple[tuple[str, ...], str]:
    """The levels that a model with this schema takes, the least first, and the one that it has by itself."""
    for name in ("output_config", "reasoning"):
        schema = object_of(_members(_properties(fields).get(name)).get("effort"))
        if known := [level for level in LEVELS if level in _enum(schema)]:
            usual = schema.get("default")
            return tuple(known), usual if usual in known else ""
    return (), ""


def emulated(thinking: Thinking, model: Model, shape: Shape) -> bool:
    return shape.fake_thinking and wanted(thinking) and not native(model)


# Native


def request_fields(thinking: Thinking, model: Model) -> Json | None:
    """`additionalModelRequestFields`, None when there is nothing to say. Where the client said nothing, neither do we.

    `max_tokens` is never sent: a small limit ends the answer in the middle of its thinking (kiro 7.2).
    """
    if not (wanted(thinking) or unwanted(thinking)):
        return None
    properties = _properties(model.fields)
    fields: Json = {}
    if mode := _mode(thinking, properties.get("thinking")):
        fields["thinking"] = mode
    silenced = mode.get("type") == "disabled"
    for name in ("output_config", "reasoning"):
        levels = [] if silenced else _options(properties.get(name), "effort")
        if level := _level(thinking, levels):
            fields[name] = {"effort": level}
    return fields or None


def _mode(thinking: Thinking, schema: Any) -> Json:
    kinds = _options(schema, "type")
    if unwanted(thinking):
        return {"type": "disabled"} if "disabled" in kinds else {}
    if "adaptive" in kinds:
        display = "summarized" if thinking.shown else "omitted"
        shown = {"display": display} if display in _options(schema, "display") else {}
        return {"type": "adaptive", **shown}
    if "enabled" in kinds and (budget := _members(schema).get("budget_tokens")):
        wish = thinking.budget or budget_of(thinking.effort) or USUAL
        return {"type": "enabled", "budget_tokens": _within(wish, budget)}
    return {}


def _within(value: int, schema: Any) -> int:
    low, high = object_of(schema).get("minimum"), object_of(schema).get("maximum")
    value = max(value, low) if isinstance(low, int) else value
    return min(value, high) if isinstance(high, int) else value


def _level(thinking: Thinking, levels: list[str]) -> str:
    """The nearest level that the model knows, "" when the client names none."""
    return nearest("none" if unwanted(thinking) else thinking.effort or level_of(thinking.budget), levels)


def _properties(schema: Any) -> Json:
    return object_of(object_of(schema).get("properties"))


def _members(schema: Any) -> Json:
    """The properties of an object, those of its alternatives included."""
    members: Json = {}
    branches = [branch for word in ("anyOf", "oneOf", "allOf") for branch in list_of(object_of(schema).get(word))]
    for branch in (schema, *branches):
        for name, inner in _properties(branch).items():
            both = [*_enum(members.get(name)), *_enum(inner)]
            members[name] = {**inner, "enum": both} if both else inner
    return members


def _options(schema: Any, name: str) -> list[str]:
    return _enum(_members(schema).get(name))


def _enum(schema: Any) -> list[str]:
    known = object_of(schema)
    return [*list_of(known.get("enum")), *([known["const"]] if "const" in known else ())]


# Emulated


def tags(thinking: Thinking, shape: Shape) -> str:
    """The words that make a model think inside <thinking> tags; some know the first two tags, all can read the rest."""
    return (
        "<thinking_mode>enabled</thinking_mode>\n"
        f"<max_thinking_length>{_budget(thinking, shape)}</max_thinking_length>\n"
        "The two tags above are set by whoever runs this session. Begin every answer, also one that calls a tool, with"
        " your reasoning between <thinking> and </thinking>, no longer than that many tokens, and answer after it."
    )


def _budget(thinking: Thinking, shape: Shape) -> int:
    wish = thinking.budget or int(shape.thinking_budget * SHARES.get(thinking.effort, 1.0))
    return max(1, min(wish, shape.thinking_cap))
