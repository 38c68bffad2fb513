"""The shapes of what /api/ takes and gives, in JSON Schema; and a reader that holds a request to its shape.

The same schemas stand in the OpenAPI document, so what it says and what is checked can not differ. Only the words that
are used here are understood: type, properties, required, additionalProperties, items, enum, minimum, maximum,
minLength, maxLength, maxItems and pattern.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from kirogw.errors import BadRequest
from kirogw.wire import Json

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
NAMED: Final = {
    "object": "an object", "array": "a list", "string": "a text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def record(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None, about: str = "") -> Json:
    """An object that has these members and no others."""
    made: Json = {"type": "object", "properties": {**required, **(optional or {})}, "additionalProperties": False}
    if required:
        made["required"] = list(required)
    return {**made, "description": about} if about else made


def text(about: str = "", **more: Any) -> Json:
    return _of("string", about, more)


def whole(about: str = "", **more: Any) -> Json:
    return _of("integer", about, more)


def number(about: str = "", **more: Any) -> Json:
    return _of("number", about, more)


def truth(about: str = "") -> Json:
    return _of("boolean", about, {})


def many(item: Json, about: str = "", **more: Any) -> Json:
    return _of("array", about, {"items": item, **more})


def by_name(value: Json, about: str = "") -> Json:
    """An object whose members may have any name."""
    return _of("object", about, {"additionalProperties": value})


def maybe(schema: Json) -> Json:
    """The same, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **choices}


def named(name: str) -> Json:
    """One of the document's own schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _of(kind: str, about: str, more: Mapping[str, Any]) -> Json:
    return {"type": kind, **({"description": about} if about else {}), **more}


def check(value: Any, schema: Json, at: str = "") -> None:
    """Raises BadRequest that names the first field at fault. A wrong value is never repeated: it may be a secret."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        raise _wrong(at, "must be " + " or ".join(NAMED[kind] for kind in kinds))
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(at, "must be one of " + ", ".join(str(choice) for choice in schema["enum"] if choice is not None))
    if isinstance(value, dict):
        _check_members(value, schema, at)
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", math.inf):
            raise _wrong(at, f"may have {schema['maxItems']} items at most")
        for n, item in enumerate(value):
            check(item, schema.get("items", {}), _joined(at, str(n)))
    elif isinstance(value, str):
        _check_text(value, schema, at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_size(value, schema, at)


def from_query(given: Mapping[str, str], schema: Json) -> Json:
    """The members of a query, each in the type that the schema says. Raises BadRequest."""
    found: Json = {}
    for name, value in given.items():
        if name not in schema["properties"]:
            raise _wrong(name, "is no parameter of this route; it takes " + (", ".join(schema["properties"]) or "none"))
        found[name] = _typed(name, value, schema["properties"][name]["type"])
    check(found, schema)
    return found


def _typed(name: str, value: str, kind: str) -> Any:
    try:
        if kind == "integer":
            return int(value) if len(value) <= 20 else _refuse()
        if kind == "number":
            found = float(value)
            return found if math.isfinite(found) else _refuse()
        return _TRUTHS[value.lower()] if kind == "boolean" else value
    except (ValueError, KeyError):
        raise _wrong(name, f"must be {NAMED[kind]}") from None


def _refuse() -> Any:
    raise ValueError


def _check_members(value: Json, schema: Json, at: str) -> None:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            raise _wrong(_joined(at, name), "is missing")
    for name, member in value.items():
        if name in known:
            check(member, known[name], _joined(at, name))
        elif others is False:
            raise _wrong(_joined(at, name), "is no member of this request; it takes " + (", ".join(known) or "none"))
        elif others is not True:
            check(member, others, _joined(at, name))


def _check_text(value: str, schema: Json, at: str) -> None:
    if len(value) < schema.get("minLength", 0):
        raise _wrong(at, "must not be empty" if schema["minLength"] == 1 else f"needs {schema['minLength']} characters")
    if len(value) > schema.get("maxLength", math.inf):
        raise _wrong(at, f"may have {schema['maxLength']} characters at most")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        raise _wrong(at, f"must look like {schema['pattern']}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _wrong(at, "holds half a character: a surrogate without its other half")


def _check_size(value: float, schema: Json, at: str) -> None:
    if value < schema.get("minimum", -math.inf):
        raise _wrong(at, f"must be at least {schema['minimum']}")
    if value > schema.get("maximum", math.inf):
        raise _wrong(at, f"must be at most {schema['maximum']}")


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (not isinstance(value, bool) or kind == "boolean")


def _joined(at: str, name: str) -> str:
    name = name[:100].encode("utf-8", "replace").decode()
    return f"{at}.{name}" if at else name


def _wrong(at: str, what: str) -> BadRequest:
    return BadRequest(f"{at or 'the body'} {what}", param=at)
