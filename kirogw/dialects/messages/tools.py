"""Anthropic's tools: the client's own, those that Anthropic defines and the client runs, those that Anthropic runs.

Tools with `defer_loading` are declared at once: at Anthropic the model finds them by a search that runs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects.fields import choice, compact, count, may, need, objects, strings
from kirogw.dialects.messages.known import KNOWN
from kirogw.errors import BadRequest
from kirogw.wire import Json


@dataclass(slots=True)
class Offer:
    """What the client's tools come to."""

    tools: tuple[Tool, ...] = ()
    search: Search | None = None
    left_out: tuple[str, ...] = ()


def read_tools(body: Json) -> Offer:
    tools: list[Tool] = []
    search: Search | None = None
    left_out = [f"mcp:{need(server, 'name', str, f'mcp_servers.{n}.')}"
                for n, server in enumerate(objects(body, "mcp_servers"))]  # fmt: skip
    for n, tool in enumerate(objects(body, "tools")):
        at = f"tools.{n}."
        kind = undated(may(tool, "type", str, "custom", at))
        if kind == "custom" or "input_schema" in tool:
            tools.append(_own(tool, at))
        elif kind in KNOWN:
            tools.append(KNOWN[kind](tool, may(tool, "name", str, kind, at)))
        elif kind == "web_search":
            search = _search(tool, at)
        else:
            left_out.append(_server_name(tool, kind, at))
    return Offer(tuple(tools), search, tuple(dict.fromkeys(left_out)))


def undated(kind: str) -> str:
    """`web_search_20250305` is `web_search`: the dates are versions of the same tool."""
    name, _, date = kind.rpartition("_")
    return name if len(date) == 8 and date.isdigit() else kind


def _own(tool: Json, at: str) -> Tool:
    description = may(tool, "description", str, "", at)
    if examples := may(tool, "input_examples", list, [], at):
        description = "\n\n".join((description, "Examples of its input:", *map(compact, examples))).lstrip()
    return Tool(need(tool, "name", str, at), description, need(tool, "input_schema", dict, at))


def _search(tool: Json, at: str) -> Search:
    return Search(
        count(tool, "max_uses", at), strings(tool, "allowed_domains", at), strings(tool, "blocked_domains", at),
    )  # fmt: skip


def _server_name(tool: Json, kind: str, at: str) -> str:
    if kind == "mcp_toolset":
        return f"mcp:{need(tool, 'mcp_server_name', str, at)}"
    return may(tool, "name", str, kind, at)


MODES: Final = {"auto": "auto", "any": "any", "tool": "named", "none": "none"}


def read_choice(body: Json, offer: Offer) -> tuple[Choice, bool]:
    """The choice, and whether it forces the web search as the only tool: the gateway then needs no model for it."""
    given = may(body, "tool_choice", dict, {})
    if not given:
        return Choice(), False
    at = "tool_choice."
    mode = MODES[choice(given, "type", MODES, at)]
    parallel = not may(given, "disable_parallel_tool_use", bool, False, at)
    name = need(given, "name", str, at) if mode == "named" else ""
    if offer.search and not offer.tools and (mode == "any" or name == "web_search"):
        return Choice(parallel=parallel), True
    if mode == "named" and name not in _callable(offer):
        if name in offer.left_out:  # the tool is not there, which the answer tells; it is no reason for none
            return Choice(parallel=parallel), False
        raise BadRequest("names a tool that `tools` does not hold", param="tool_choice.name")
    if mode == "any" and not _callable(offer):
        mode = "auto"
    return Choice(mode, name, parallel), False  # type: ignore[arg-type]


def _callable(offer: Offer) -> set[str]:
    return {tool.name for tool in offer.tools} | ({"web_search"} if offer.search else set())
