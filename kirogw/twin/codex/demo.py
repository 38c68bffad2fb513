"""The demo as ChatGPT answers: with what the Responses API itself can ask for."""

from __future__ import annotations

import json

from kirogw.twin import demo, tools
from kirogw.twin.ask import obj, text
from kirogw.twin.codex.ask import Ask
from kirogw.wire import Json


def steps(ask: Ask) -> list[Json]:
    """The whole answer, as the steps of a script."""
    thoughts: list[Json] = [{"thinking": demo.THOUGHT}] if ask.reasoning.get("effort") != "none" else []
    return thoughts + (_formatted(ask) or _chosen(ask) or demo.said(ask))


def _formatted(ask: Ask) -> list[Json]:
    wanted = obj(obj(ask.payload.get("text")).get("format"))
    if wanted.get("type") == "json_schema":
        return [{"text": json.dumps(tools.instance(wanted.get("schema")))}]
    if wanted.get("type") == "json_object":
        return [{"text": json.dumps({"answer": demo.NOTICE})}]
    return []


def _chosen(ask: Ask) -> list[Json]:
    """A call that `tool_choice` demands, once a loop."""
    choice = ask.payload.get("tool_choice")
    if ask.rounds or not ask.tools:
        return []
    tool = ask.tools[0] if choice == "required" else ask.tool(text(obj(choice).get("name")))
    return [{"tool": tool["name"], "input": tools.arguments(tool, {})}] if tool else []
