"""Anthropic's tools: the client's own, those that Anthropic defines and the client runs, those that Anthropic runs.

Tools with `defer_loading` are declared at once: at Anthropic the model finds them by a search that runs there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects.fields import compact, count, may, need, objects, pick, strings
from kirogw.dialects.messages.known import KNOWN
from kirogw.errors import BadRequest
from kirogw.wire import Json


@dataclass(slots=True)
class Offer:
    """What the client's tools come to."""

    tools: list[Tool] = field(default_factory=list)
    search: Search | None = None
    left_out: list[str] = field(default_factory=list)

    def add(self, tool: Json, at: str) -> None:
        kind = undated(may(tool, "type", str, "custom", at))
        if kind == "custom" or "input_schema" in tool:
            self.tools.append(_own(tool, at))
        elif kind in KNOWN:
            self.tools.append(KNOWN[kind](tool, may(tool, "name", str, kind, at)))
        elif kind == "web_search":
            self.search = _search(tool, at)
        else:
            self.leave_out(_server_name(tool, kind, at))

    def leave_out(self, name: str) -> None:
        if name not in self.left_out:
            self.left_out.append(name)


def read_tools(body: Json) -> Offer:
    """The tools as they are at the end of the conversation."""
    offer = Offer()
    for n, server in enumerate(objects(body, "mcp_servers")):
        offer.leave_out(f"mcp:{need(server, 'name', str, f'mcp_servers.{n}.')}")
    for n, tool in enumerate(objects(body, "tools")):
        offer.add(tool, f"tools.{n}.")
    for block, at in changes(body):
        _change(offer, block, at)
    return offer


def changes(body: Json) -> Iterator[tuple[Json, str]]:
    """Blocks that add or take away a tool in mid-conversation, with paths; a compaction keeps those of its range."""
    for n, message in enumerate(objects(body, "messages")):
        content = message.get("content")
        if content.__class__ is not list:
            continue
        for k, block in enumerate(content):  # a block that is no object is the reader of blocks' to refuse
            kind = block.get("type") if block.__class__ is dict else None
            if kind in ("tool_addition", "tool_removal"):
                yield block, f"messages.{n}.content.{k}."
            elif kind == "compaction":
                at = f"messages.{n}.content.{k}."
                yield from ((b, f"{at}tool_changes.{m}.") for m, b in enumerate(objects(block, "tool_changes", at)))


def _change(offer: Offer, block: Json, at: str) -> None:
    """A reference to a tool that `tools` declares changes nothing when it is added: all are declared from the start."""
    tool = need(block, "tool", dict, at)
    if need(block, "type", str, at) == "tool_removal":
        name = may(tool, "name", str, "", at + "tool.")
        offer.tools = [other for other in offer.tools if other.name != name]
    elif tool.get("definition") is not None:
        offer.add(need(tool, "definition", dict, at + "tool."), at + "tool.definition.")


def undated(kind: str) -> str:
    """`web_search_20250305` is `web_search`: the dates are versions of the same tool."""
    name, _, date = kind.rpartition("_")
    return name if len(date) == 8 and date.isdigit() else kind


def _own(tool: Json, at: str) -> Tool:
    description = may(tool, "description", str, "", at)
    if examples := may(tool, "input_examples", list, [], at):
        description = "\n\n".join((description, "Examples of its input:", *map(compact, examples))).lstrip()
    strict: bool | None = tool["strict"] if tool.get("strict").__class__ is bool else None
    return Tool(need(tool, "name", str, at), description, need(tool, "input_schema", dict, at), strict=strict)


def _search(tool: Json, at: str) -> Search:
    return Search(
        count(tool, "max_uses", at), strings(tool, "allowed_domains", at), strings(tool, "blocked_domains", at),
    )  # fmt: skip


def _server_name(tool: Json, kind: str, at: str) -> str:
    if kind == "mcp_toolset":
        return f"mcp:{need(tool, 'mcp_server_name', str, at)}"
    return may(tool, "name", str, kind, at)


Mode: TypeAlias = Literal["auto", "none", "any", "named"]

MODES: Final[dict[str, Mode]] = {"auto": "auto", "any": "any", "tool": "named", "none": "none"}


def read_choice(body: Json, offer: Offer) -> tuple[Choice, bool]:
    """The choice, and whether it forces the web search as the only tool: the gateway then needs no model for it."""
    given = may(body, "tool_choice", dict, {})
    if not given:
        return Choice(), False
    at = "tool_choice."
    mode = pick(given, "type", MODES, at)
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
    return Choice(mode, name, parallel), False


def _callable(offer: Offer) -> set[str]:
    return {tool.name for tool in offer.tools} | ({"web_search"} if offer.search else set())
