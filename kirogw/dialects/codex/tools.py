"""Rules about the declared tools: which there are, what they are called, and how they are described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from kirogw.conversation import Call, Choice, Conversation, Part, Tool
from kirogw.dialects import names, touch
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.memo import Changed
from kirogw.dialects.obey import concerns
from kirogw.dialects.responses import items
from kirogw.errors import BadRequest
from kirogw.wire import Json

SEARCH: Final = "web_search"
"""ChatGPT's own, where a choice names it."""
DEEPEST: Final = 100  # levels of schemas in schemas
_DROPPED: Final = frozenset({"$schema", "cache_control", "defer_loading"})
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies")
_INNER: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
                 "additionalItems", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_STRICT: Final = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "description", "title", "anyOf",
    "$ref", "$defs", "definitions", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "minLength", "maxLength",
})  # fmt: skip


def lite_has_no_web_search(conversation: Conversation, terms: Terms) -> Conversation:
    """Responses Lite knows none of OpenAI's own tools: the model hears that it has no search. (codex 6)"""
    if terms.form != "lite" or not conversation.search:
        return conversation
    choice = conversation.choice
    if choice.name == SEARCH or choice.allowed == (SEARCH,):
        choice = Choice()
    choice = replace(choice, allowed=tuple(name for name in choice.allowed if name != SEARCH))
    return replace(conversation, search=None, left_out=(*conversation.left_out, SEARCH), choice=choice)


def only_allowed_tools_are_declared(conversation: Conversation, terms: Terms) -> Conversation:
    """The classic form has a word for every choice of functions and custom tools; elsewhere, and for other tools, what
    must not be called is not declared. (codex 5.4, 6)
    """
    choice, tools = conversation.choice, conversation.tools
    if choice.mode == "none":
        return touch.with_tools(conversation, ()) if terms.form == "lite" else conversation
    if choice.mode in ("any", "named") and not tools and not conversation.search:
        raise BadRequest("tool_choice asks for a tool call, but the request declares no tools", param="tool_choice")
    wanted = {choice.name} if choice.mode == "named" else set(choice.allowed)
    if conversation.search:
        wanted.discard(SEARCH)
        if choice.mode == "named" and not wanted:
            return conversation if terms.form == "classic" else touch.with_tools(conversation, ())
    if missing := wanted - {tool.name for tool in tools}:
        raise BadRequest(f"tool_choice names a tool that is not declared: {min(missing)!r}", param="tool_choice")
    if not wanted or (terms.form == "classic" and all(map(_has_a_choice, (t for t in tools if t.name in wanted)))):
        return conversation
    left = Choice("any" if choice.mode in ("any", "named") else "auto", parallel=choice.parallel)
    return replace(conversation, tools=tuple(tool for tool in tools if tool.name in wanted), choice=left)


def _has_a_choice(tool: Tool) -> bool:
    return tool.kind in ("function", "custom") and not tool.namespace


@concerns(Tool)
def tools_are_unique(conversation: Conversation, terms: Terms) -> Conversation:
    """Two tools of one name: the last one stands, as it was declared with what came before in view."""
    return touch.with_tools(conversation, tuple({tool.name: tool for tool in conversation.tools}.values()))


@concerns(Tool, Call)
def tools_are_of_kinds_that_the_form_takes(conversation: Conversation, terms: Terms) -> Conversation:
    """By the newer forms there is no shell of OpenAI's, and by Sign in with ChatGPT no search for tools: they are plain
    functions there, and so are their calls. (codex 3, 6)
    """
    plain = {"classic": (), "lite": ("shell",), "shared": ("shell", "search")}[terms.form]
    if not plain:
        return conversation

    def change(part: Part) -> Part:
        return replace(part, kind="function") if type(part) is Call and part.kind in plain else part

    tools = [replace(tool, kind="function", native=None) if tool.kind in plain else tool for tool in conversation.tools]
    fresh = touch.turns(conversation, lambda turn: touch.parts(turn, change))
    return touch.with_tools(fresh, tools)


@concerns(Tool, Call)
def tool_names_fit(conversation: Conversation, terms: Terms) -> Conversation:
    """Names over 64 characters, or with others than letters, digits, `_` and `-`, are refused; MCP has such.

    They change in the history too. A tool whose name fits within its namespace is called by that; another leaves it.
    The answer's names are mapped back. (codex 5.3)
    """
    table = renamed(conversation)
    if not table:
        return conversation

    def change(part: Part) -> Part:
        return replace(part, name=table[part.name], namespace="") if type(part) is Call and part.name in table else part

    tools = [
        replace(tool, name=table[tool.name], namespace="", native=_renamed(tool, table[tool.name]))
        if tool.name in table else tool for tool in conversation.tools
    ]  # fmt: skip
    fresh = touch.turns(conversation, lambda turn: touch.parts(turn, change))
    return replace(fresh, tools=tuple(tools), choice=names.chosen(conversation.choice, table))


def renamed(conversation: Conversation) -> dict[str, str]:
    """The new name of every tool whose own does not fit."""
    called = dict(_called(conversation))
    strange = [name for name, said in called.items() if not all(map(names.fits, said))]
    return names.made(strange, called) if strange else {}


def _called(conversation: Conversation) -> Iterator[tuple[str, list[str]]]:
    """Every name, and the words that the upstream is to see of it."""
    named: list[Tool | Call] = list(conversation.tools)
    named += (part for turn in conversation.turns for part in turn.parts if isinstance(part, Call))
    for thing in named:
        namespace = thing.namespace
        yield thing.name, [namespace, thing.name.removeprefix(f"{namespace}__")] if namespace else [thing.name]


def _renamed(tool: Tool, name: str) -> Json | None:
    native = tool.native
    if native is not None and native.get("type") == "namespace":
        inner = native.get("tools")
        native = inner[0] if isinstance(inner, list) and inner and isinstance(inner[0], dict) else None
    return None if native is None or tool.kind == "search" else {**native, "name": name}


@concerns(Tool)
def schemas_are_acceptable(conversation: Conversation, terms: Terms) -> Conversation:
    """Objects must name their properties and arrays their items; some words of clients are refused. (codex 5.4)"""
    return touch.tools(conversation, _acceptable)


def _rewritten(tool: Tool) -> Tool:
    schema = rooted(clean_schema(tool.schema))
    native = None if tool.native is None else _cleaned(tool.native)
    strict = tool.strict is True and fits_strict(schema)
    if schema == tool.schema and native == tool.native and strict is bool(tool.strict):
        return tool
    return replace(tool, schema=schema, native=native, strict=strict)


_acceptable: Final = Changed(_rewritten)


def _cleaned(native: Json) -> Json:
    """A definition as the client wrote it, with good schemas in it."""
    fresh = {name: value for name, value in native.items() if name not in _DROPPED}
    if isinstance(inner := fresh.get("tools"), list):
        fresh["tools"] = [_cleaned(tool) if isinstance(tool, dict) else tool for tool in inner]
    if fresh.get("type") in ("function", "tool_search"):
        fresh["parameters"] = rooted(clean_schema(fresh.get("parameters")))
    if fresh.get("type") == "function":
        fresh["strict"] = fresh.get("strict") is True and fits_strict(fresh["parameters"])
    return fresh


def rooted(schema: Any) -> Json:
    root = schema if isinstance(schema, dict) else {}
    return root if root.get("type") == "object" and "properties" in root else {
        **root, "type": "object", "properties": root.get("properties") or {}}  # fmt: skip


def clean_schema(schema: Any, depth: int = 0) -> Any:
    if not isinstance(schema, dict):
        return schema
    if depth > DEEPEST:
        raise BadRequest(f"the schema of a tool is nested deeper than {DEEPEST} levels; flatten it")
    fresh: Json = {name: value for name, value in schema.items() if name not in _DROPPED}
    for word in _INNER:
        if isinstance(fresh.get(word), dict):
            fresh[word] = clean_schema(fresh[word], depth + 1)
    if isinstance(fresh.get("items"), list):  # drafts before 2020: a schema for each place
        fresh |= {"prefixItems": fresh["items"], "items": {}}
    for word in _LISTS:
        if isinstance(fresh.get(word), list):
            fresh[word] = [clean_schema(inner, depth + 1) for inner in fresh[word]]
    for word in _NAMED:
        if isinstance(fresh.get(word), dict):
            fresh[word] = {name: clean_schema(inner, depth + 1) for name, inner in fresh[word].items()}
    kind = fresh.get("type")
    if _is(kind, "object") and not isinstance(fresh.get("properties"), dict):
        fresh["properties"] = {}
    if _is(kind, "array") and not isinstance(fresh.get("items"), dict | bool):
        fresh["items"] = {}
    if "required" in fresh and not isinstance(fresh["required"], list):
        del fresh["required"]
    return fresh


def _is(kind: Any, name: str) -> bool:
    return kind == name or (isinstance(kind, list) and name in kind)


def fits_strict(schema: Any) -> bool:
    """Whether `strict` takes it: few words, and in every object all properties are required and there are no others.
    (codex 5.4)
    """
    if isinstance(schema, list):
        return all(map(fits_strict, schema))
    if not isinstance(schema, dict):
        return True
    if not schema.keys() <= _STRICT:
        return False
    properties = schema.get("properties")
    if _is(schema.get("type"), "object") or isinstance(properties, dict):
        required = schema.get("required") or []
        if schema.get("additionalProperties") is not False or set(properties or ()) != set(map(str, required)):
            return False
    inner = [value for word in _NAMED if isinstance(schema.get(word), dict) for value in schema[word].values()]
    return all(map(fits_strict, (*inner, schema.get("anyOf"), schema.get("items"))))


def declared(conversation: Conversation) -> tuple[Tool, ...]:
    """All tools but those that the results of searches carry."""
    found = items.found(conversation.turns)
    return tuple(tool for tool in conversation.tools if tool.name not in found) if found else conversation.tools
