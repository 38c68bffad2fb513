"""JSON schemas, walked by their keywords, so that a property which happens to be called `strict` is no keyword."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kirogw.twin.ask import obj, rows
from kirogw.wire import Json

NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
SINGLE: Final = ("items", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems",
                 "additionalProperties", "unevaluatedProperties", "unevaluatedItems")  # fmt: skip


def parts(schema: Any) -> Iterator[Json]:
    """The schema and every schema in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for word in NAMED:
        for inner in obj(schema.get(word)).values():
            yield from parts(inner)
    for word in LISTED:
        for inner in rows(schema.get(word)):
            yield from parts(inner)
    for word in SINGLE:
        yield from parts(schema.get(word))
