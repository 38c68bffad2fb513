"""OpenAI's tools: functions, custom tools with their free text, functions in the legacy form; what may be called."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects import custom
from kirogw.dialects.fields import choice, may, need, objects, pick
from kirogw.dialects.openai_parts import MODES
from kirogw.errors import BadRequest
from kirogw.wire import Json


@dataclass(slots=True)
class Offer:
    """What the client's tools come to. `custom`: the names of those whose calls go back as free text. `legacy`: they
    came as `functions`, and a call goes back as `function_call`."""

    tools: tuple[Tool, ...]
    custom: frozenset[str]
    search: Search | None
    left_out: tuple[str, ...]
    legacy: bool


def read_tools(body: Json) -> Offer:
    """Tools that OpenAI itself runs belong to another API of theirs; the model is told that they are not here."""
    tools: list[Tool] = []
    left_out = []
    search = Search() if body.get("web_search_options") is not None else None
    for n, tool in enumerate(objects(body, "tools")):
        at = f"tools.{n}."
        kind = need(tool, "type", str, at)
        if kind == "custom":
            tools.append(_custom(need(tool, "custom", dict, at), at + "custom."))
        elif kind == "function":
            flat = "function" not in tool and "name" in tool  # as OpenAI's other API has it, which some clients mix up
            box, inside = (tool, at) if flat else (need(tool, "function", dict, at), at + "function.")
            tools.append(_function(box, inside))
        elif kind.startswith("web_search"):
            search = Search()
        else:
            left_out.append(kind)
    functions = [_function(function, f"functions.{n}.") for n, function in enumerate(objects(body, "functions"))]
    legacy = bool(functions) and not tools
    free = frozenset(tool.name for tool in tools if tool.kind == "custom")
    return Offer((*tools, *functions), free, search, tuple(dict.fromkeys(left_out)), legacy)


def _function(function: Json, at: str) -> Tool:
    """Without `parameters` it takes none."""
    schema = may(function, "parameters", dict, {}, at) or {"type": "object", "properties": {}}
    name, description = need(function, "name", str, at), may(function, "description", str, "", at)
    strict: bool | None = function.get("strict")
    return Tool(name, description, schema, strict=strict if strict.__class__ is bool else None)


def _custom(tool: Json, at: str) -> Tool:
    """Only OpenAI holds a model to a grammar, by the definition as the Responses API writes it; others are told."""
    name, description = need(tool, "name", str, at), may(tool, "description", str, "", at)
    format_ = may(tool, "format", dict, {}, at)
    native: Json = {"type": "custom", "name": name, **({"description": description} if description else {})}
    if format_.get("type") == "grammar":
        grammar, inside = need(format_, "grammar", dict, at + "format."), at + "format.grammar."
        syntax, rules = need(grammar, "syntax", str, inside), need(grammar, "definition", str, inside)
        description = custom.told(description, syntax, rules)
        native["format"] = {"type": "grammar", "syntax": syntax, "definition": rules}
    return Tool(name, description, custom.SCHEMA, "custom", native=native)


def read_choice(body: Json, offer: Offer) -> Choice:
    """`function_call` is the legacy form of `tool_choice`; its answers hold one call, so it never runs several."""
    name = "function_call" if offer.legacy else "tool_choice"
    parallel = may(body, "parallel_tool_calls", bool, True) and not offer.legacy
    given = body.get(name)
    if given is None:
        return Choice(parallel=parallel)
    if given.__class__ is str:
        mode = pick(body, name, MODES)
        return Choice("auto" if mode == "any" and not offer.tools else mode, parallel=parallel)
    wish = need(body, name, dict)
    if offer.legacy:
        return Choice("named", _known(need(wish, "name", str, name + "."), offer, name + ".name"), parallel)
    return replace(_object(wish, offer), parallel=parallel)


def _object(wish: Json, offer: Offer) -> Choice:
    kind = choice(wish, "type", ("function", "custom", "allowed_tools"), "tool_choice.")
    inside = f"tool_choice.{kind}."
    box = need(wish, kind, dict, "tool_choice.")
    if kind != "allowed_tools":
        return Choice("named", _known(need(box, "name", str, inside), offer, inside + "name"))
    mode = MODES[choice(box, "mode", ("auto", "required"), inside)]
    return Choice(mode, allowed=tuple(_allowed(box, inside, offer)))


def _allowed(box: Json, at: str, offer: Offer) -> list[str]:
    names = []
    for n, tool in enumerate(objects(box, "tools", at)):
        inside = f"{at}tools.{n}."
        kind = choice(tool, "type", ("function", "custom"), inside)
        name = need(need(tool, kind, dict, inside), "name", str, f"{inside}{kind}.")
        names.append(_known(name, offer, f"{inside}{kind}.name"))
    return names


def _known(name: str, offer: Offer, param: str) -> str:
    if any(tool.name == name for tool in offer.tools):
        return name
    raise BadRequest("names a tool that the request does not offer", param=param)
