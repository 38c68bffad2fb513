"""The schema of a tool's input, made such that Kiro takes it and the model reads the same in it.

Kiro wants `{"type": "object"}` at the root, and refuses `$schema`, `$id`, `$ref`, `$defs`, `definitions`, `strict`,
`additionalProperties`, `required` that is empty or null and `properties` that is null (kiro 3.7, 3.10). Unions and
intersections pass anywhere but at the root. Rare words (`not`, `if`, `patternProperties`...) are refused by some models
behind it. What has to go and means something becomes words in the description of its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import orjson

from kirogw.dialects import clean
from kirogw.errors import BadRequest
from kirogw.wire import Json

DEEPEST: Final = 60  # levels of schemas in schemas; what lies deeper is told in words
MOST: Final = 4_000  # schemas in one tool, with all references written out: a small schema can name itself in many ways

_DROPPED: Final = frozenset({
    "$schema", "$id", "$defs", "definitions", "strict", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor",
    "$dynamicRef", "$recursiveRef", "$recursiveAnchor",
})  # fmt: skip
_TOLD: Final = {
    "not": "Must not fit", "if": "Where it fits", "then": "it must also fit", "else": "and otherwise",
    "patternProperties": "Members by the pattern of their name", "propertyNames": "Names of members must fit",
    "dependentRequired": "Members that need others", "dependentSchemas": "What holds once a member is there",
    "dependencies": "Members that need others", "contains": "Some item must fit",
    "prefixItems": "The first items, in order", "additionalItems": "Further items",
    "unevaluatedItems": "Further items", "additionalProperties": "Further members",
    "unevaluatedProperties": "Further members",
}  # fmt: skip
_SAY_NOTHING: Final[tuple[Any, ...]] = ({}, True, False, None, [], {"type": "string"})
"""Values of the words above that are not worth telling: `false` only forbids what nobody has declared."""
_PLAIN: Final = frozenset({"type", "properties", "required", "title", "description"})


def acceptable(schema: Any) -> tuple[Json, str]:
    """The schema as Kiro takes it, and words for the tool's description ("" for none). Leaves `schema` as it is.

    An acceptable schema comes back equal to itself.
    """
    walk = _Walk(clean.json(schema))
    words: list[str] = []
    root = _rooted(walk.schema(walk.root, 0, ()), words)
    for word in ("allOf", "anyOf", "oneOf"):
        if word in root:
            root = _levelled(root, word, words)
    return {**root, "properties": root.get("properties", {})}, "\n".join(words)


class _Walk:
    """Rewrites one schema. Counts, so that references which multiply come to an end."""

    def __init__(self, root: Any) -> None:
        self.root: Json = root if isinstance(root, dict) else {}
        self._left = MOST

    def schema(self, value: Any, depth: int, open_: tuple[str, ...]) -> Json:
        """`open_` are the references that are being written out around this place."""
        self._left -= 1
        if not isinstance(value, dict):
            return {"description": "Not allowed."} if value is False else {}
        if isinstance(ref := value.get("$ref"), str):
            return self._referred(ref, value, depth, open_)
        if depth > DEEPEST or self._left < 0:
            return _told({}, [f"Must fit the JSON schema {_json(value)}."])
        fresh: Json = {}
        words: list[str] = []
        for name, inner in value.items():
            if name in _TOLD:
                if inner not in _SAY_NOTHING:
                    words.append(f"{_TOLD[name]}: {_json(self._inside(name, inner, depth + 1, open_))}.")
            elif name not in _DROPPED and (new := self._member(name, inner, depth + 1, open_)) is not None:
                fresh[name] = new
        if "const" in value and value["const"] is None:
            fresh["type"] = "null"
        return _told(fresh, words)

    def _member(self, name: str, inner: Any, depth: int, open_: tuple[str, ...]) -> Any:
        """The new value of a keyword, None to leave it out."""
        rewrite = _REWRITTEN.get(name)
        return inner if rewrite is None else rewrite(self, inner, depth, open_)

    def _inside(self, name: str, inner: Any, depth: int, open_: tuple[str, ...]) -> Any:
        """The value of a keyword that is told, without references."""
        if name == "dependentRequired":
            return inner
        if isinstance(inner, list):
            return [self.schema(value, depth, open_) for value in inner]
        if isinstance(inner, dict) and name in ("patternProperties", "dependentSchemas", "dependencies"):
            return {key: value if isinstance(value, list) else self.schema(value, depth, open_)
                    for key, value in inner.items()}  # fmt: skip
        return self.schema(inner, depth, open_)

    def _referred(self, ref: str, value: Json, depth: int, open_: tuple[str, ...]) -> Json:
        """What `$ref` names, with the members beside it put over it; its name where it would never end."""
        beside = {name: inner for name, inner in value.items() if name != "$ref"}
        target = self._at(ref)
        if target is None:
            return self.schema(_told(beside, [f"Must fit the schema {ref}."]), depth, open_)
        if ref in open_ or self._left < 0 or depth > DEEPEST:
            name = ref.rsplit("/", 1)[-1].lstrip("#") or "the whole"
            kind = {"type": target["type"]} if isinstance(target.get("type"), str) else {}
            return self.schema(_told({**kind, **beside}, [f"Built like {name} around it."]), depth, open_)
        return self.schema({**target, **beside}, depth + 1, (*open_, ref))

    def _at(self, ref: str) -> Json | None:
        """The schema that a pointer into this one names; None for any other reference."""
        if not ref.startswith("#"):
            return None
        place: Any = self.root
        for step in filter(None, ref[1:].split("/")):
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(place, list):
                place = place[int(step)] if step.isdecimal() and int(step) < len(place) else None
            else:
                place = place.get(step) if isinstance(place, dict) else None
        return place if isinstance(place, dict) else None

    # What the words that hold further schemas become

    def properties(self, inner: Any, depth: int, open_: tuple[str, ...]) -> Json:
        named = inner if isinstance(inner, dict) else {}
        return {name: self.schema(value, depth, open_) for name, value in named.items()}

    def required(self, inner: Any, depth: int, open_: tuple[str, ...]) -> list[str] | None:
        names = inner if isinstance(inner, list) else []
        return list(dict.fromkeys(name for name in names if isinstance(name, str))) or None

    def items(self, inner: Any, depth: int, open_: tuple[str, ...]) -> Json | None:
        if isinstance(inner, list):  # drafts before 2020: a schema for each place
            return _told({}, [f"In order: {_json(self._inside('items', inner, depth, open_))}."])
        return None if inner is None else self.schema(inner, depth, open_)

    def branches(self, inner: Any, depth: int, open_: tuple[str, ...]) -> list[Json] | None:
        values = inner if isinstance(inner, list) else []
        return [self.schema(value, depth, open_) for value in values] or None


_REWRITTEN: Final[dict[str, Callable[[_Walk, Any, int, tuple[str, ...]], Any]]] = {
    "properties": _Walk.properties, "required": _Walk.required, "items": _Walk.items,
    "anyOf": _Walk.branches, "oneOf": _Walk.branches, "allOf": _Walk.branches,
}  # fmt: skip


def _rooted(root: Json, words: list[str]) -> Json:
    """The root as an object. A tool's input always is one; a schema that denies it is told to the model."""
    kind = root.get("type")
    if kind is None or kind == "object" or (isinstance(kind, list) and "object" in kind):
        return {**root, "type": "object"}
    words.append(f"The input must fit the JSON schema {_json(root)}.")
    return {"type": "object", "properties": {}}


def _levelled(root: Json, word: str, words: list[str]) -> Json:
    """The root without `word`: its branches' properties become the root's, and what else they demand is told.

    Models refuse unions at the root.
    """
    branches = root[word]
    whole = {name: inner for name, inner in root.items() if name != word}
    properties = dict(whole.get("properties", {}))
    for branch in branches:
        for name, inner in branch.get("properties", {}).items():
            properties[name] = _both(properties[name], inner, word) if name in properties else inner
    needed = [branch.get("required", []) for branch in branches]
    common = set(needed[0]).union(*needed) if word == "allOf" else set(needed[0]).intersection(*needed)
    ordered = [name for names in needed for name in names if name in common]
    required = list(dict.fromkeys([*whole.get("required", []), *ordered]))
    if word != "allOf" or any(set(branch) - _PLAIN for branch in branches):
        quantity = {"allOf": "all of", "anyOf": "at least one of", "oneOf": "exactly one of"}[word]
        words.append(f"The input must fit {quantity} these JSON schemas: {_json(branches)}.")
    return {**whole, "properties": properties, **({"required": required} if required else {})}


def _both(one: Json, other: Json, word: str) -> Json:
    if one == other:
        return one
    joined = "allOf" if word == "allOf" else "anyOf"
    known = one[joined] if set(one) == {joined} else [one]
    return one if other in known else {joined: [*known, other]}


def _told(schema: Json, words: list[str]) -> Json:
    if not words:
        return schema
    described = schema.get("description")
    before = [described] if isinstance(described, str) and described else []
    return {**schema, "description": " ".join([*before, *words])}


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:  # references written out may nest deeper than any of their own levels
        raise BadRequest("the schema of a tool is nested too deeply; flatten it") from error
