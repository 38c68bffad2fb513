"""Rules about the declared tools: which there are, what they are called, and how they are described."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kirogw.conversation import Call, Conversation, Part, Tool, Turn
from kirogw.dialects import clean, names, touch
from kirogw.dialects.fields import compact
from kirogw.dialects.kiro import schema
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.memo import Changed
from kirogw.dialects.obey import concerns
from kirogw.errors import BadRequest
from kirogw.wire import Json

LONGEST: Final = 10_000  # characters of a description (kiro 3.7; sources disagree, this is what the careful ones obey)
GLIMPSE: Final = 500  # characters of it that stay with the tool when it is longer
GONE: Final = "Was used earlier in this conversation and is not available now. Do not call it."
_EMPTY: Final[Json] = {"type": "object", "properties": {}}


def only_allowed_tools_are_declared(conversation: Conversation, terms: Terms) -> Conversation:
    """Kiro has no tool choice. What must not be called is not declared, which no model can overlook. (kiro 3.1)"""
    choice = conversation.choice
    if choice.mode == "none":
        return touch.with_tools(conversation, ())
    if choice.mode in ("any", "named") and not conversation.tools:
        raise BadRequest("tool_choice asks for a tool call, but the request declares no tools", param="tool_choice")
    allowed = {choice.name} if choice.mode == "named" else set(choice.allowed)
    if not allowed:
        return conversation
    declared = {tool.name for tool in conversation.tools}
    if missing := allowed - declared:
        raise BadRequest(f"tool_choice names a tool that is not declared: {min(missing)!r}", param="tool_choice")
    return touch.with_tools(conversation, [tool for tool in conversation.tools if tool.name in allowed])


@concerns(Tool)
def tools_are_unique(conversation: Conversation, terms: Terms) -> Conversation:
    """Two tools of one name are refused with TOOL_DUPLICATE. The first stays and says what the rest say. (kiro 3.7)"""
    tools = conversation.tools
    if len({tool.name for tool in tools}) == len(tools):
        return conversation
    unique: dict[str, Tool] = {}
    for tool in tools:
        first = unique.setdefault(tool.name, tool)
        if first != tool:
            also = f"Also declared as: {tool.description}\nInput: {compact(clean.json(tool.schema))}"
            unique[tool.name] = Tool(tool.name, f"{first.description}\n\n{also}".lstrip(), first.schema)
    return touch.with_tools(conversation, tuple(unique.values()))


@concerns(Call)
def tools_of_the_history_are_declared(conversation: Conversation, terms: Terms) -> Conversation:
    """A call in the history of a tool that the request does not declare is refused. (kiro 3.7, 3.8.7)

    Names are compared without case: another case of a declared name would be a duplicate to some.
    """
    declared = {tool.name.lower() for tool in conversation.tools}
    called = (part.name for turn in conversation.turns if turn.role == "model"
              for part in turn.parts if type(part) is Call)  # fmt: skip
    missing: dict[str, str] = {}
    for name in called:
        if name.lower() not in declared:
            missing.setdefault(name.lower(), name)
    if not missing:
        return conversation
    stubs = (Tool(name, GONE, _EMPTY) for name in missing.values())
    return touch.with_tools(conversation, (*conversation.tools, *stubs))


@concerns(Tool, Call)
def tool_names_fit(conversation: Conversation, terms: Terms) -> Conversation:
    """Names over 64 characters, or with others than letters, digits, `_` and `-`, are refused; MCP has such. (kiro 3.7)

    They change in the history too, where a call must name a declared tool. The answer's names are mapped back.
    """
    table = names.table(conversation)
    if not table:
        return conversation
    tools = tuple(replace(tool, name=table[tool.name]) if tool.name in table else tool for tool in conversation.tools)
    renamed = touch.turns(conversation, lambda turn: _renamed(turn, table))
    return replace(renamed, tools=tools, choice=names.chosen(conversation.choice, table))


def _renamed(turn: Turn, table: dict[str, str]) -> Turn:
    def change(part: Part) -> Part:
        if type(part) is Call and part.name in table:
            return Call(part.id, table[part.name], part.input, part.raw)
        return part

    return touch.parts(turn, change) if turn.role == "model" else turn


@concerns(Tool)
def schemas_are_acceptable(conversation: Conversation, terms: Terms) -> Conversation:
    """Kiro takes only a part of JSON Schema. The rest is told in descriptions. (kiro 3.7, 3.10; see schema)"""
    return touch.tools(conversation, _acceptable)


@concerns(Tool)
def every_tool_is_described(conversation: Conversation, terms: Terms) -> Conversation:
    """A tool without a description is refused. (kiro 3.7)"""
    return touch.tools(conversation, lambda tool: tool if tool.description.strip() else
                 Tool(tool.name, f"The tool {tool.name}.", tool.schema))  # fmt: skip


@concerns(Tool)
def long_descriptions_are_system_text(conversation: Conversation, terms: Terms) -> Conversation:
    """A description beyond 10,000 characters is refused by some versions, so it moves to the system text. (kiro 3.7)"""
    long = [tool for tool in conversation.tools if len(tool.description) > LONGEST]
    if not long:
        return conversation
    moved = tuple(f"# Tool: {tool.name}\n\n{tool.description}" for tool in long)
    return replace(touch.tools(conversation, _pointing), system=conversation.system + moved)


def _pointing(tool: Tool) -> Tool:
    if len(tool.description) <= LONGEST:
        return tool
    glimpse = tool.description[:GLIMPSE].rsplit(None, 1)[0]
    words = f'{glimpse} [...]\n\nThe whole description stands in the system text, under "Tool: {tool.name}".'
    return Tool(tool.name, words, tool.schema)


def _rewritten(tool: Tool) -> Tool:
    description = clean.text(tool.description)
    new, words = schema.acceptable(tool.schema)
    description = f"{description}\n\n{words}".strip() if words else description
    if new == tool.schema and description == tool.description:
        return tool
    return Tool(tool.name, description, new)


_acceptable: Final = Changed(_rewritten)
