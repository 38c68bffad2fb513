"""A request of the Chat Completions API to our words. docs/compatibility.md says what becomes of each field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kirogw.conversation import Choice, Conversation, Format, Search, Thinking, Tool
from kirogw.dialects.chat.messages import read_messages
from kirogw.dialects.clients import session_of
from kirogw.dialects.dialect import Ask
from kirogw.dialects.fields import choice, count, may, need, objects, stop_strings
from kirogw.errors import BadRequest
from kirogw.wire import Json

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MODES: Final = {"none": "none", "auto": "auto", "required": "any"}
FORMATS: Final = ("text", "json_object", "json_schema")

CUSTOM: Final[Json] = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""The schema of a custom tool: its free text as the one member of an object, as upstream tools take only objects."""


def read(body: Json, headers: Mapping[str, str]) -> Ask:
    _refuse_what_we_can_not_do(body)
    system, turns = read_messages(body)
    tools, custom = read_tools(body)
    legacy = "functions" in body and not body.get("tools")
    options = may(body, "stream_options", dict, {})
    return Ask(
        Conversation(
            model=need(body, "model", str),
            turns=turns,
            system=system,
            tools=tools,
            choice=read_choice(body, tools, legacy),
            stops=_stops(body),
            max_tokens=count(body, "max_completion_tokens") or count(body, "max_tokens"),
            thinking=read_thinking(body),
            format=read_format(body),
            search=Search() if body.get("web_search_options") is not None else None,
            session=session_of(headers) or _session(body),
        ),
        stream=may(body, "stream", bool, False),
        usage=may(options, "include_usage", bool, False, "stream_options."),
        echo=({"functions": True} if legacy else {}) | ({"custom": custom} if custom else {}),
    )


def read_tools(body: Json) -> tuple[tuple[Tool, ...], frozenset[str]]:
    """The tools, and the names of those that are custom: their calls go back as free text."""
    tools, custom = [], set()
    for n, tool in enumerate(objects(body, "tools")):
        at = f"tools.{n}."
        if choice(tool, "type", ("function", "custom"), at) == "custom":
            tools.append(_custom(need(tool, "custom", dict, at), at + "custom."))
            custom.add(tools[-1].name)
        else:
            tools.append(_function(need(tool, "function", dict, at), at + "function."))
    for n, function in enumerate(objects(body, "functions")):
        tools.append(_function(function, f"functions.{n}."))
    return tuple(tools), frozenset(custom)


def _function(function: Json, at: str) -> Tool:
    """Without `parameters` it takes none."""
    schema = may(function, "parameters", dict, {}, at) or {"type": "object", "properties": {}}
    return Tool(need(function, "name", str, at), may(function, "description", str, "", at), schema)


def _custom(tool: Json, at: str) -> Tool:
    """No upstream holds a model to a grammar: the model is told instead."""
    description, format_ = may(tool, "description", str, "", at), may(tool, "format", dict, {}, at)
    if format_.get("type") == "grammar":
        grammar, inside = need(format_, "grammar", dict, at + "format."), at + "format.grammar."
        syntax, rules = need(grammar, "syntax", str, inside), need(grammar, "definition", str, inside)
        description = f"{description}\n\n`input` must follow this {syntax} grammar:\n{rules}".lstrip()
    return Tool(need(tool, "name", str, at), description, CUSTOM)


def read_choice(body: Json, tools: tuple[Tool, ...], legacy: bool) -> Choice:
    """`function_call` is the legacy form of `tool_choice`; its answers hold one call, so it never runs several."""
    given = body.get("function_call" if legacy else "tool_choice")
    parallel = may(body, "parallel_tool_calls", bool, True) and not legacy
    if given is None:
        return Choice(parallel=parallel)
    name = "function_call" if legacy else "tool_choice"
    if given.__class__ is str:
        mode = MODES[choice(body, name, MODES)]
        return Choice("auto" if mode == "any" and not tools else mode, parallel=parallel)  # type: ignore[arg-type]
    wish = need(body, name, dict)
    if legacy:
        return Choice("named", _known(need(wish, "name", str, name + "."), tools, name + ".name"), parallel)
    return replace(_choice_object(wish, tools), parallel=parallel)


def _choice_object(wish: Json, tools: tuple[Tool, ...]) -> Choice:
    kind = choice(wish, "type", ("function", "custom", "allowed_tools"), "tool_choice.")
    inside = f"tool_choice.{kind}."
    box = need(wish, kind, dict, "tool_choice.")
    if kind != "allowed_tools":
        return Choice("named", _known(need(box, "name", str, inside), tools, inside + "name"))
    mode = MODES[choice(box, "mode", ("auto", "required"), inside)]
    return Choice(mode, allowed=tuple(_allowed(box, inside, tools)))  # type: ignore[arg-type]


def _allowed(box: Json, at: str, tools: tuple[Tool, ...]) -> list[str]:
    names = []
    for n, tool in enumerate(objects(box, "tools", at)):
        inside = f"{at}tools.{n}."
        kind = choice(tool, "type", ("function", "custom"), inside)
        name = need(need(tool, kind, dict, inside), "name", str, f"{inside}{kind}.")
        names.append(_known(name, tools, f"{inside}{kind}.name"))
    return names


def _known(name: str, tools: tuple[Tool, ...], param: str) -> str:
    if any(tool.name == name for tool in tools):
        return name
    raise BadRequest("names a tool that the request does not offer", param=param)


def read_thinking(body: Json) -> Thinking:
    if body.get("reasoning_effort") is None:
        return Thinking()
    effort = choice(body, "reasoning_effort", EFFORTS)
    return Thinking("off" if effort == "none" else "adaptive", effort)


def read_format(body: Json) -> Format | None:
    given, at = may(body, "response_format", dict, {}), "response_format."
    kind = choice(given, "type", FORMATS, at) if given else "text"
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    inside = need(given, "json_schema", dict, at)
    schema = may(inside, "schema", dict, {}, at + "json_schema.")
    return Format(schema or None, may(inside, "name", str, "", at + "json_schema."))


def _stops(body: Json) -> tuple[str, ...]:
    stop = body.get("stop")
    return stop_strings({"stop": [stop]} if stop.__class__ is str else body, "stop")


def _session(body: Json) -> str:
    """The cache key is made for this; the others at least tell users apart."""
    names = ("prompt_cache_key", "user", "safety_identifier")
    return next((key for name in names if (key := may(body, name, str, ""))), "")


def _refuse_what_we_can_not_do(body: Json) -> None:
    """Each of these would make the client wait for something that never comes."""
    for name, refuses in REFUSED.items():
        if (why := refuses(body.get(name))) is not None:
            raise BadRequest(why, param=name)


def _more_than_one(n: Any) -> str | None:
    return None if n in (None, 1) else "must be 1: there is one answer a request; send several requests"


def _wanted(why: str) -> Any:
    return lambda value: why if value else None


REFUSED: Final[dict[str, Any]] = {
    "n": _more_than_one,
    "logprobs": _wanted("can not be had: the models here give no probabilities"),
    "top_logprobs": _wanted("can not be had: the models here give no probabilities"),
    "modalities": lambda value: "must be [\"text\"]: no model here speaks" if value and value != ["text"] else None,
    "audio": _wanted("can not be had: no model here speaks"),
    "moderation": _wanted("can not be done here; call a moderation service yourself"),
}
