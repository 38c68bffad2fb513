"""What is refused in the declarations of tools, and in the choice among them."""

from __future__ import annotations

from typing import Final

from kirogw.twin.ask import obj, rows, text
from kirogw.twin.codex.case import Case, Row, error, incapable, missing, shaped, wrong_value
from kirogw.twin.codex.items import wrong_name
from kirogw.twin.schemas import parts
from kirogw.wire import Json

# type: the members that it needs and those that it may have
TOOLS: Final[dict[str, tuple[Json, Json]]] = {
    "function": ({"name": str}, {"description": str, "parameters": dict, "strict": bool}),
    "custom": ({"name": str}, {"description": str, "format": dict}),
    "namespace": ({"name": str, "tools": list}, {"description": str}),
    "local_shell": ({}, {}),
    "web_search": ({}, {"external_web_access": bool, "search_content_types": list, "filters": dict,
                        "user_location": dict, "search_context_size": str, "index_gated_web_access": bool}),
    "image_generation": ({}, {"output_format": str, "size": str, "quality": str, "background": str, "model": str}),
    "tool_search": ({}, {"execution": str, "description": str, "parameters": dict}),
}  # fmt: skip
OF_NAMESPACE: Final = ("function", "custom")
OF_LITE: Final = ("function", "custom", "namespace", "tool_search")
OF_SIWC: Final = ("namespace", "web_search")
FORBIDDEN: Final = ("$schema", "cache_control", "defer_loading")
CHOICES: Final = ("auto", "none", "required")
LITE_ONLY: Final = ("X-OpenAI-Internal-Codex-Responses-Lite only supports function tools, custom tools, and "
                    "client-executed tool search.")  # fmt: skip


def wrong_tool(case: Case) -> Json | None:
    looked = (_wrong(tool, at, tuple(TOOLS), holder == "tool_search_output")
              for at, holder, tool in case.ask.declared)  # fmt: skip
    return next(filter(None, looked), None)


def _wrong(tool: Json, at: str, known: tuple[str, ...], found: bool) -> Json | None:
    kind = text(tool.get("type"))
    if kind not in known:
        return wrong_value(at, kind, known)
    need, may = TOOLS[kind]
    deferred: Json = {"defer_loading": bool} if found else {}
    if wrong := shaped(tool, at, need, {**may, "type": str, **deferred}):
        return wrong
    if wrong := wrong_name(tool.get("name"), f"{at}.name"):
        return wrong
    if kind == "namespace":
        if not tool["tools"]:
            return missing(f"{at}.tools")
        inner = (_wrong(obj(one), f"{at}.tools[{n}]", OF_NAMESPACE, found) for n, one in enumerate(tool["tools"]))
        return next(filter(None, inner), None)
    return SHAPES[kind](tool, at) if kind in SHAPES else None


def _function(tool: Json, at: str) -> Json | None:
    """Objects tell their properties and arrays their items; what is strict is closed."""
    root = tool.get("parameters")
    wrong = "" if root is None else wrong_schema(root, bool(tool.get("strict")))
    return error(f"Invalid schema for function '{tool['name']}': {wrong}", f"{at}.parameters",
                 "invalid_function_parameters") if wrong else None  # fmt: skip


def wrong_schema(root: Json, strict: bool) -> str:
    """What is wrong with a schema of a function or of an answer, "" if nothing."""
    if root.get("type") != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{root.get('type')}\"'."
    for part in parts(root):
        if word := next((word for word in FORBIDDEN if word in part), ""):
            return f"In context=(), '{word}' is not permitted."
        if _is(part, "object") and not isinstance(part.get("properties"), dict):
            return "In context=(), object schema missing properties."
        if _is(part, "array") and "items" not in part and "prefixItems" not in part:
            return "In context=(), array schema missing items."
        if strict and (wrong := _open(part)):
            return wrong
    return ""


def _is(part: Json, kind: str) -> bool:
    """By its type, or by one of its types."""
    given = part.get("type")
    return kind in given if isinstance(given, list) else given == kind


def _open(part: Json) -> str:
    """What strict does not take, "" if nothing."""
    if not _is(part, "object"):
        return ""
    if part.get("additionalProperties") is not False:
        return "In context=(), 'additionalProperties' is required to be supplied and to be false."
    if left := set(obj(part.get("properties"))) - set(rows(part.get("required"))):
        return (f"In context=(), 'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{min(left)}'.")  # fmt: skip
    return ""


def _custom(tool: Json, at: str) -> Json | None:
    given = tool.get("format") or {"type": "text"}
    if given.get("type") not in ("text", "grammar"):
        return wrong_value(f"{at}.format.type", given.get("type"), ("text", "grammar"))
    if given["type"] == "grammar" and (given.get("syntax") not in ("lark", "regex") or not given.get("definition")):
        return wrong_value(f"{at}.format.syntax", given.get("syntax"), ("lark", "regex"))
    return None


SHAPES: Final = {"function": _function, "custom": _custom}


def wrong_choice(case: Case) -> Json | None:
    choice = case.body.get("tool_choice")
    if choice is None or (isinstance(choice, str) and choice in ("auto", "none")):
        return None
    if choice == "required":
        return None if case.ask.declared else error("Tool choice 'required' must be specified with 'tools' parameter.",
                                                    "tool_choice", "invalid_value")  # fmt: skip
    if not isinstance(choice, dict):
        return wrong_value("tool_choice", choice, CHOICES)
    kind = text(choice.get("type"))
    if kind == "allowed_tools":
        named = rows(choice.get("tools"))
        wrong_mode = choice.get("mode") not in ("auto", "required") or not named
        return wrong_value("tool_choice.mode", choice.get("mode"), ("auto", "required")) if wrong_mode else next(
            filter(None, (_not_declared(case, obj(one)) for one in named)), None)  # fmt: skip
    return _not_declared(case, choice)


def _not_declared(case: Case, choice: Json) -> Json | None:
    kind, name = text(choice.get("type")), text(choice.get("name"))
    if kind in ("function", "custom"):
        tool = case.ask.tool(name)
        there = tool is not None and tool["kind"] == kind
    else:
        there = any(given.tool.get("type") == kind for given in case.ask.declared)
    if there:
        return None
    return error(f"Tool choice '{name or kind}' not found in 'tools' parameter.", "tool_choice", "invalid_value")


# by door and form


def not_for_siwc(case: Case) -> Json | None:
    """Functions and custom tools come in namespaces or in an additional_tools item; most hosted tools not at all."""
    if not case.siwc:
        return None
    for _, holder, tool in case.ask.declared:
        if tool.get("type") not in ((*OF_SIWC, *OF_NAMESPACE) if holder else OF_SIWC):
            return incapable("tools")
    return None


def not_for_lite(case: Case) -> Json | None:
    if not case.lite:
        return None
    if any(given.tool.get("type") not in OF_LITE for given in case.ask.declared):
        return error(LITE_ONLY, "tools", "unsupported_value")
    return error(LITE_ONLY, "tools", "unsupported_value") if rows(case.body.get("tools")) else None


ROWS: Final = (
    Row("tool_for_siwc", not_for_siwc, "3"),
    Row("tool_for_lite", not_for_lite, "6"),
    Row("tool_shape", wrong_tool, "5.3, 5.4: types, members, names, schemas"),
    Row("tool_choice", wrong_choice, "5.4"),
)
