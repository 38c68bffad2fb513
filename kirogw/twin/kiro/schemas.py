"""JSON schemas: those of the tools, which may not hold everything, and that of a model's request fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kirogw.twin.ask import obj, rows
from kirogw.twin.kiro.ask import Ask
from kirogw.twin.schemas import parts
from kirogw.wire import Json

REFUSED: Final = ("$schema", "$id", "$ref", "$defs", "definitions", "strict")


def _roots(ask: Ask) -> Iterator[Any]:
    return (obj(tool.get("inputSchema")).get("json") for tool in ask.tools)


def _all(ask: Ask) -> Iterator[Json]:
    return (part for root in _roots(ask) for part in parts(root))


def cache_point(ask: Ask) -> bool:
    return any("cachePoint" in obj(tool) for tool in rows(ask.current.context.get("tools")))


def no_specification(ask: Ask) -> bool:
    return any(not isinstance(obj(tool).get("toolSpecification"), dict) or len(tool) != 1
               for tool in rows(ask.current.context.get("tools")))  # fmt: skip


def root_is_no_object(ask: Ask) -> bool:
    return any(obj(root).get("type") != "object" for root in _roots(ask))


def bad_required(ask: Ask) -> bool:
    return any("required" in part and not rows(part["required"]) for part in _all(ask))


def bad_properties(ask: Ask) -> bool:
    return any("properties" in part and not isinstance(part["properties"], dict) for part in _all(ask))


def has_additional(ask: Ask) -> bool:
    return any("additionalProperties" in part for part in _all(ask))


def has_keyword(ask: Ask) -> bool:
    return any(word in part for part in _all(ask) for word in REFUSED)


def fields_schema(ask: Ask) -> Json:
    return obj(ask.model.get("additionalModelRequestFieldsSchema"))


def wrong_field(ask: Ask) -> str:
    """What is wrong with additionalModelRequestFields by the model's schema, in the service's words; "" if nothing."""
    return "" if ask.fields is None else _wrong(ask.fields, fields_schema(ask), "")


def _wrong(value: Any, schema: Json, name: str) -> str:
    kind = schema.get("type")
    if kind in KINDS and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return f"property '{name}' is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"property '{name}' must be one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"property '{name}' is out of range"
    if not isinstance(value, dict):
        return ""
    known = obj(schema.get("properties"))
    if schema.get("additionalProperties") is False and (strange := [key for key in value if key not in known]):
        return f"property '{strange[0]}' is not defined in the schema"
    return next((wrong for key, inner in value.items() if (wrong := _wrong(inner, obj(known.get(key)), key))), "")


KINDS: Final[dict[Any, Any]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
}  # fmt: skip
