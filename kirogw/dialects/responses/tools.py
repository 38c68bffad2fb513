"""The tools of the Responses API, in both directions: functions, custom tools, namespaces, shell, search for tools.

They stand in `tools`, in items of Responses Lite (`additional_tools`) and in what a search for tools has found.
A tool that is more than a function keeps its definition in `Tool.native`; that of a tool in a namespace is the
namespace with this one tool in it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects import custom
from kirogw.dialects.fields import choice, flag, may, need, objects, pick, strings
from kirogw.dialects.openai_parts import MODES
from kirogw.dialects.responses.known import AS_FUNCTIONS, KNOWN
from kirogw.errors import BadRequest
from kirogw.wire import Json

DEFAULT: Final = "functions"
"""The namespace of Responses Lite for what is in none. Its tools are called without it as well."""

EMPTY: Final[Json] = {"type": "object", "properties": {}}


@dataclass(slots=True)
class Offer:
    """What the client's tools come to. `web`: the definition of the web search as it came."""

    tools: list[Tool] = field(default_factory=list)
    search: Search | None = None
    web: Json | None = None
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, name: str) -> None:
        if name not in self.left_out:
            self.left_out.append(name)


def flat(namespace: str, name: str) -> str:
    """The name that tells a tool from all others."""
    return name if namespace in ("", DEFAULT) else f"{namespace}__{name}"


def bare(namespace: str, name: str) -> str:
    """The name within the namespace, of a flat one."""
    return name.removeprefix(f"{namespace}__") if namespace else name


def read_tools(body: Json) -> Offer:
    """All tools that the request defines anywhere."""
    offer = Offer()
    _read(objects(body, "tools"), "tools.", offer)
    items = body.get("input")
    if items.__class__ is not list:
        return offer
    for n, item in enumerate(items):
        if item.__class__ is dict and item.get("type") in ("additional_tools", "tool_search_output"):
            more = Offer(search=offer.search, web=offer.web, left_out=offer.left_out)
            _read(objects(item, "tools", f"input.{n}."), f"input.{n}.tools.", more)
            known = {tool.name for tool in offer.tools}  # the same tools may be found again
            offer.tools += [tool for tool in more.tools if tool.name not in known]
            offer.search, offer.web = more.search, more.web
    return offer


def _read(tools: list[Json], at: str, offer: Offer) -> None:
    for n, tool in enumerate(tools):
        inside = f"{at}{n}."
        kind = need(tool, "type", str, inside)
        reader = READERS.get("web_search" if kind.startswith("web_search") else kind)
        if reader:
            reader(tool, inside, offer)
        else:
            offer.leave_out(kind)


def _own(tool: Json, at: str, offer: Offer) -> None:
    offer.tools.append(OWN[tool["type"]](tool, at, ""))


def _function(tool: Json, at: str, namespace: str) -> Tool:
    """Without `parameters` it takes none. Some clients write it as Chat Completions has it, in a member `function`."""
    native = tool if tool.keys() - PLAIN else None
    if tool.get("function").__class__ is dict and "name" not in tool:
        tool, at, native = tool["function"], at + "function.", None
    schema = may(tool, "parameters", dict, {}, at) or EMPTY
    name = flat(namespace, need(tool, "name", str, at))
    return Tool(name, may(tool, "description", str, "", at), schema, native=native, strict=flag(tool, "strict", at))


PLAIN: Final = frozenset({"type", "name", "description", "parameters", "strict"})
"""The members of a function for which a Tool has a word."""


def _custom(tool: Json, at: str, namespace: str) -> Tool:
    description, format_ = may(tool, "description", str, "", at), may(tool, "format", dict, {}, at)
    if format_.get("type") == "grammar":
        grammar, inside = format_, at + "format."
        if format_.get("grammar").__class__ is dict:  # as Chat Completions has it
            grammar, inside = format_["grammar"], inside + "grammar."
        syntax, rules = need(grammar, "syntax", str, inside), need(grammar, "definition", str, inside)
        description = custom.told(description, syntax, rules)
    return Tool(flat(namespace, need(tool, "name", str, at)), description, custom.SCHEMA, "custom", native=tool)


OWN: Final[dict[str, Callable[[Json, str, str], Tool]]] = {"function": _function, "custom": _custom}


def _namespace(tool: Json, at: str, offer: Offer) -> None:
    name = need(tool, "name", str, at)
    for n, inner in enumerate(objects(tool, "tools", at)):
        inside = f"{at}tools.{n}."
        found = pick(inner, "type", OWN, inside)(inner, inside, name)
        native = {**tool, "tools": [inner]}
        offer.tools.append(Tool(found.name, found.description, found.schema, found.kind, name, native, found.strict))


def _web_search(tool: Json, at: str, offer: Offer) -> None:
    filters = may(tool, "filters", dict, {}, at)
    blocked = strings(filters, "blocked_domains", at + "filters.")
    offer.search = Search(None, strings(filters, "allowed_domains", at + "filters."), blocked)
    offer.web = tool


def _mcp(tool: Json, at: str, offer: Offer) -> None:
    offer.leave_out(f"mcp:{need(tool, 'server_label', str, at)}")


def _known(tool: Json, at: str, offer: Offer) -> None:
    if found := KNOWN[tool["type"]](tool, at):
        offer.tools.append(found)
    elif tool["type"] != "tool_search":
        offer.leave_out(tool["type"])


READERS: Final[dict[str, Callable[[Json, str, Offer], None]]] = {
    "function": _own, "custom": _own, "namespace": _namespace, "web_search": _web_search, "mcp": _mcp,
    **dict.fromkeys(KNOWN, _known),
}  # fmt: skip


# what may be called

def read_choice(body: Json, offer: Offer) -> tuple[Choice, bool]:
    """The choice, and whether it forces the web search as the only tool."""
    parallel = may(body, "parallel_tool_calls", bool, True)
    given = body.get("tool_choice")
    if given is None:
        return Choice(parallel=parallel), False
    if given.__class__ is str:
        mode = pick(body, "tool_choice", MODES)
        if mode == "any" and not offer.tools:
            return Choice(parallel=parallel), offer.search is not None
        return Choice(mode, parallel=parallel), False
    wish = need(body, "tool_choice", dict)
    if need(wish, "type", str, "tool_choice.") == "allowed_tools":
        return _allowed(wish, offer, parallel)
    name = _named(wish, offer, "tool_choice.")
    if not name:  # a tool that is not here, which the answer tells; it is no reason for none
        return Choice(parallel=parallel), False
    if name == "web_search" and not offer.tools:
        return Choice(parallel=parallel), True
    return Choice("named", name, parallel), False


def _allowed(wish: Json, offer: Offer, parallel: bool) -> tuple[Choice, bool]:
    """Where only tools are allowed that are not here, none may be called. A web search that is not among them is not to
    be had, and beside one that is the only one nothing is.
    """
    at = "tool_choice."
    mode = MODES[choice(wish, "mode", ("auto", "required"), at)]
    names: list[str] = []
    searches = False
    for n, tool in enumerate(objects(wish, "tools", at)):
        if need(tool, "type", str, f"{at}tools.{n}.").startswith("web_search"):
            searches = offer.search is not None
        elif (name := _named(tool, offer, f"{at}tools.{n}.")) and name not in names:
            names.append(name)
    if not searches:
        offer.search = offer.web = None
    if names:
        return Choice(mode, parallel=parallel, allowed=tuple(names)), False
    if searches:
        offer.tools.clear()
        return Choice(parallel=parallel), mode == "any"
    return Choice("none", parallel=parallel), False


def _named(wish: Json, offer: Offer, at: str) -> str:
    """The flat name of the tool that is meant, "" for one of those that are left out."""
    kind = need(wish, "type", str, at)
    if kind.startswith("web_search"):
        return "web_search" if offer.search else ""
    if kind not in OWN:  # those of KNOWN are called by their kinds
        return kind if any(tool.name == kind for tool in offer.tools) else ""
    box, inside = wish, at
    if wish.get(kind).__class__ is dict and "name" not in wish:  # as Chat Completions has it
        box, inside = wish[kind], f"{at}{kind}."
    name, namespace = need(box, "name", str, inside), may(box, "namespace", str, "", inside)
    known = {} if namespace else {tool.bare: tool.name for tool in reversed(offer.tools)}
    known |= {tool.name: tool.name for tool in offer.tools}
    if (wanted := flat(namespace, name)) in known:
        return known[wanted]
    raise BadRequest("names a tool that the request does not offer", param=inside + "name")


# the other way

def written(tools: Iterable[Tool], without: Container[str] = ()) -> list[Json]:
    """The definitions, in order; tools of one namespace together, where its first one stands. `without`: names."""
    out: list[Json] = []
    places: dict[str, int] = {}
    for tool in tools:
        if tool.name in without:
            continue
        definition = one(tool)
        if not tool.namespace:
            out.append(definition)
        elif tool.namespace in places:
            out[places[tool.namespace]]["tools"].extend(definition["tools"])
        else:
            places[tool.namespace] = len(out)
            out.append({**definition, "tools": list(definition["tools"])})
    return out


def one(tool: Tool) -> Json:
    """The definition of a tool; of one in a namespace, the namespace with this tool in it."""
    if tool.native is not None and tool.native.get("type") not in AS_FUNCTIONS:
        return tool.native
    definition: Json = {"type": "function", "name": tool.bare, "description": tool.description,
                        "parameters": tool.schema, "strict": bool(tool.strict)}  # fmt: skip
    if not tool.namespace:
        return definition
    return {"type": "namespace", "name": tool.namespace, "description": "", "tools": [definition]}


def special(tools: Sequence[Tool]) -> dict[str, Tool]:
    """Those by name whose calls are no plain `function_call` items to the client. Of two of one name, the first."""
    unique = {tool.name: tool for tool in reversed(tools)}
    return {name: tool for name, tool in unique.items() if tool.namespace or form(tool) != "function"}


def form(tool: Tool) -> str:
    """What decides how a tool's calls look: the type of one that OpenAI defines, else function or custom."""
    type_ = str((tool.native or {}).get("type", ""))
    return type_ if type_ in KNOWN else tool.kind


def names(definitions: Any) -> Iterator[str]:
    """The flat names of definitions as they stand in an item."""
    for definition in definitions if definitions.__class__ is list else ():
        if definition.__class__ is not dict:
            continue
        if definition.get("type") == "namespace":
            inner = definition.get("tools")
            yield from (flat(str(definition.get("name", "")), name) for name in names(inner))
        elif (name := definition.get("name", definition.get("type"))).__class__ is str:
            yield name  # one without a name is called by its type
