"""The answer where no script has one: it says that it is the demo, and does what can be done without a model.

It calls a tool when the user says "call the tool X", answers in JSON where the prompt shows a schema, and retells what
a tool gave back.
"""

from __future__ import annotations

import json
import re
from typing import Final

from kirogw.twin import tools
from kirogw.twin.ask import Ask, obj, text
from kirogw.wire import Json

NOTICE: Final = "This is the demo upstream of kirogw: no model has read this."
LONGEST: Final = 300  # characters of the user's text that come back
LAST_TAG: Final = re.compile(r"</([a-z_-]+)>$")
REMINDER: Final = re.compile(r"<([a-z_-]+)>.*?</\1>\s*", re.DOTALL)
NAME: Final = r"[`\"'“]?([A-Za-z0-9_-]{1,64})"
CALL: Final = (
    re.compile(rf"\b(?:call|use|invoke)\s+(?:only\s+)?(?:the\s+)?(?:tool|function)\s+(?:named\s+)?{NAME}", re.I),
    re.compile(rf"\b(?:call|use|invoke)\s+(?:only\s+)?(?:the\s+)?{NAME}[`\"'”]?\s+(?:tool|function)\b", re.I),
    re.compile(rf"\bcall\s+{NAME}", re.I),
)  # fmt: skip
MUST_CALL: Final = re.compile(rf"\bmust call (?:the (?:tool|function) {NAME}|(?:at least )?one tool)", re.I)
MUST_BE_JSON: Final = re.compile(r"\bmust be (?:one |a |valid )*JSON\b", re.I)
WANTS_JSON: Final = re.compile(r"\b(?:answer|respond|reply|return|output|valid|as|in|one)\b[^.\n]{0,60}\bJSON\b", re.I)
THOUGHT: Final = "The user gets an answer of the demo upstream, so there is little to think about."


def said(ask: Ask) -> list[Json]:
    """What is said or called, without any thinking."""
    return _json(ask) or _call(ask) or [{"text": _retold(ask) if ask.rounds else _spoken(ask)}]


def _spoken(ask: Ask) -> str:
    """What the user wrote last comes back, so that a newcomer sees that it arrived."""
    said = last_words(ask.current.content)
    if len(said) > LONGEST:
        said = said[:LONGEST] + "…"
    counted = f"{len(ask.history)} earlier messages, {len(ask.tools)} tools, {len(ask.current.images)} images"
    return (f"{NOTICE} You wrote: “{said}”. With it came {counted}; the model asked for was {ask.model_id}. "
            "Sign in to Kiro and start kirogw again, and a real model answers here.")  # fmt: skip


def _retold(ask: Ask) -> str:
    given = ask.current.result_text.strip()
    shown = given[:LONGEST] + ("…" if len(given) > LONGEST else "")
    return f"{NOTICE} The tool gave back: {shown or 'nothing'}"


def last_words(content: str) -> str:
    """The last paragraph that a person may have written: without the tagged blocks that agents put around it.

    They are cut off from the end, for a prompt may mention a tag that a later block closes.
    """
    rest = content.rstrip()
    while (end := LAST_TAG.search(rest)) and (start := rest.rfind(f"<{end[1]}>")) >= 0:
        rest = rest[:start].rstrip()
    return REMINDER.sub("", re.split(r"\n\s*\n", rest)[-1]).strip()


def _call(ask: Ask) -> list[Json]:
    """A call of the tool that the user names, or that the prompt demands, once a loop."""
    if ask.rounds or not ask.tools:
        return []
    said = last_words(ask.current.content)
    if (tool := _named(ask, said) or _demanded(ask)) is None:
        return []
    given = {**tools.arguments(tool, {}), **_object_in(said)}
    return [{"text": f"{NOTICE} As you say, I call {tool['name']}."}, {"tool": tool["name"], "input": given}]


def _named(ask: Ask, said: str) -> Json | None:
    names = {text(tool.get("name")).lower(): tool for tool in ask.tools}
    found = (name.lower() for pattern in CALL for name in pattern.findall(said))
    return next((names[name] for name in found if name in names), None)


def _demanded(ask: Ask) -> Json | None:
    """`tool_choice` has no place in a request: a gateway can only say "must call the tool X" in the prompt."""
    demand = MUST_CALL.search(ask.current.content) or MUST_CALL.search(ask.turns[0].content)
    return (ask.tool(demand.group(1).rstrip(".")) if demand.group(1) else ask.tools[0]) if demand else None


def _object_in(said: str) -> Json:
    """The first JSON object in a text, {} for none: arguments that the user spelt out."""
    for place, value in _values(said):
        if said[:place].lower().rstrip().endswith("with") and not _schema(value):
            return value
    return {}


def _json(ask: Ask) -> list[Json]:
    """An answer in JSON, where the conversation's prompt or the last message asks for it."""
    for content in (ask.current.content, ask.turns[0].content):
        for place, value in _values(content):
            if (schema := _schema(value)) and "json" in content[max(0, place - 400) : place].lower():
                return [{"text": json.dumps(tools.instance(schema))}]
    if WANTS_JSON.search(last_words(ask.current.content)) or any(
        MUST_BE_JSON.search(content) for content in (ask.current.content, ask.turns[0].content)
    ):
        return [{"text": json.dumps({"answer": NOTICE, "you_wrote": last_words(ask.current.content)[:LONGEST]})}]
    return []


def _values(content: str) -> list[tuple[int, Json]]:
    """The JSON objects in a text, with their places; those inside another are not looked at."""
    decoder, place = json.JSONDecoder(), 0
    found: list[tuple[int, Json]] = []
    while (place := content.find("{", place)) >= 0 and len(found) < 20:
        try:
            value, end = decoder.raw_decode(content, place)
        except (ValueError, RecursionError):
            end, value = place + 1, None
        if isinstance(value, dict):
            found.append((place, value))
        place = end
    return found


def _schema(value: Json) -> Json:
    """The schema that a JSON object is, bare or wrapped as OpenAI does, {} when it is none."""
    inner = obj(value.get("schema")) or value
    known = any(word in inner for word in ("properties", "$ref", "anyOf", "$schema"))
    return inner if known or inner == {"type": "object"} else {}
