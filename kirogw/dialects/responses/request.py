"""A request of the Responses API to our words. docs/compatibility.md says what becomes of each field.

What refers to earlier responses and items (`previous_response_id`, `item_reference`) is put in their place before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from kirogw.conversation import Conversation, Format, Search, Text, Thinking, Turn
from kirogw.dialects import clean
from kirogw.dialects.clients import session_in, session_of
from kirogw.dialects.efforts import LEVELS
from kirogw.dialects.face import Ask
from kirogw.dialects.fields import (
    Refusal,
    choice,
    count,
    may,
    model_name,
    need,
    nothing,
    objects,
    options,
    refuse,
    strings,
)
from kirogw.dialects.openai_parts import schema_format
from kirogw.dialects.responses import items, tools
from kirogw.dialects.responses.chain import ENCRYPTED
from kirogw.errors import BadRequest
from kirogw.wire import Json

SUMMARIES: Final = ("auto", "concise", "detailed", "none")
FORMATS: Final = ("text", "json_object", "json_schema")
SOURCES: Final = "web_search_call.action.sources"
MODEL: Final = "auto"  # Codex leaves the name out in some follow-ups

OPTIONS: Final[dict[str, type]] = {
    "temperature": float, "top_p": float, "service_tier": str, "prompt_cache_key": str, "truncation": str,
}  # fmt: skip
"""Wishes that some provider knows, and what they must be."""

NUMBER: Final = (int, float)
REPEATED: Final[dict[str, tuple[Any, tuple[type, ...]]]] = {
    # the member of the request: what the response has where it is absent, and what it must be
    "background": (False, (bool,)), "instructions": (None, (str, list)), "max_output_tokens": (None, (int,)),
    "max_tool_calls": (None, (int,)), "metadata": ({}, (dict,)), "parallel_tool_calls": (True, (bool,)),
    "previous_response_id": (None, (str,)), "prompt_cache_key": (None, (str,)),
    "reasoning": ({"effort": None, "summary": None}, (dict,)), "safety_identifier": (None, (str,)),
    "service_tier": ("default", (str,)), "store": (True, (bool,)), "temperature": (None, NUMBER),
    "text": ({"format": {"type": "text"}}, (dict,)), "tool_choice": ("auto", (str, dict)), "tools": ([], (list,)),
    "top_logprobs": (0, (int,)), "top_p": (None, NUMBER), "truncation": ("disabled", (str,)), "user": (None, (str,)),
}  # fmt: skip
"""What the response object repeats of the request."""


def read(body: Json, headers: Mapping[str, str]) -> Ask:
    refuse(body, REFUSED)
    blocks, turns = _turns(body)
    offer = tools.read_tools(body)
    chosen, forced = tools.read_choice(body, offer)
    return Ask(
        Conversation(
            model=model_name(body) if body.get("model") is not None else MODEL,
            turns=turns,
            system=(*_instructions(body), *blocks),
            tools=tuple(offer.tools),
            choice=chosen,
            max_tokens=count(body, "max_output_tokens"),
            thinking=read_thinking(body),
            format=read_format(body),
            search=_search(body, offer.search, forced),
            session=session_of(headers) or session_in(body),
            left_out=tuple(offer.left_out),
            options=_options(body, offer),
        ),
        stream=may(body, "stream", bool, False),
        echo=_echo(body, offer),
    )


def _turns(body: Json) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    if body.get("input").__class__ is str:
        return items.read([{"role": "user", "content": body["input"]}])
    need(body, "input", list)
    blocks, turns = items.read(objects(body, "input"))
    if not turns:
        raise BadRequest("must hold something to answer", param="input")
    return blocks, turns


def _instructions(body: Json) -> tuple[str, ...]:
    """A string; a list of messages, as a response object may repeat it."""
    if body.get("instructions").__class__ is list:
        blocks, turns = items.read(objects(body, "instructions"), "instructions.")
        said = (part.text for turn in turns if turn.role == "system" for part in turn.parts if isinstance(part, Text))
        return (*blocks, *said)
    text = may(body, "instructions", str, "")
    return (text,) if text else ()


def read_thinking(body: Json) -> Thinking:
    """`generate_summary` is the older name of `summary`. No summary is asked for by "none" (Codex), or by nothing."""
    given, at = may(body, "reasoning", dict, {}), "reasoning."
    given = {**given, **_update(body, "reasoning")}
    name = "summary" if given.get("summary") is not None else "generate_summary"
    summary = choice(given, name, SUMMARIES, at) if given.get(name) is not None else ""
    if given.get("effort") is None:
        return Thinking(summary="" if summary == "none" else summary)
    effort = choice(given, "effort", LEVELS, at)
    return Thinking("off" if effort == "none" else "adaptive", effort, summary=summary or "none")


def read_format(body: Json) -> Format | None:
    text = {**may(body, "text", dict, {}), **_update(body, "text")}
    given, at = may(text, "format", dict, {}, "text."), "text.format."
    kind = choice(given, "type", FORMATS, at) if given else "text"
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    if given.get("json_schema").__class__ is dict and "schema" not in given:  # as Chat Completions has it
        given, at = given["json_schema"], at + "json_schema."
    return schema_format(given, at)


def _update(body: Json, name: str) -> Json:
    """What items in mid-conversation change of a member of the request."""
    found: Json = {}
    given = body.get("input")
    for n, item in enumerate(given if given.__class__ is list else ()):
        if item.get("type") == "configuration_update":
            found |= may(item, name, dict, {}, f"input.{n}.")
    return found


def _search(body: Json, search: Search | None, forced: bool) -> Search | None:
    """`max_tool_calls` counts calls of OpenAI's own tools, of which this is the only one here."""
    if search is None:
        return None
    return replace(search, max_uses=count(body, "max_tool_calls"), forced=forced)


def _options(body: Json, offer: tools.Offer) -> dict[str, Any]:
    """Under OpenAI's names; of `text` and `reasoning` their members. `web_search` is that tool as it was defined,
    `sources` whether its pages are to be told.
    """
    found = options(body, OPTIONS)
    if SOURCES in strings(body, "include"):
        found["sources"] = True
    if verbosity := may(may(body, "text", dict, {}), "verbosity", str, "", "text."):
        found["verbosity"] = verbosity
    if context := may(may(body, "reasoning", dict, {}), "context", str, "", "reasoning."):
        found["reasoning_context"] = context
    if offer.web is not None:
        found["web_search"] = offer.web
    return found


def _echo(body: Json, offer: tools.Offer) -> dict[str, Any]:
    """What the answer's writer must know: `response`, the members that it repeats; `tools`, those that are more than
    functions, by name; `seals` and `sources`, whether they were asked for.
    """
    include = strings(body, "include")
    repeated = {name: body[name] if body.get(name).__class__ in kinds else default
                for name, (default, kinds) in REPEATED.items()}  # fmt: skip
    if repeated["text"].get("format") is None:
        repeated["text"] = {**repeated["text"], **REPEATED["text"][0]}
    try:
        orjson.dumps(repeated)
    except TypeError:  # halves of surrogate pairs, which no answer can carry
        repeated = clean.json(repeated)
    return {
        "response": repeated, "tools": tools.special(offer.tools), "seals": ENCRYPTED in include,
        "sources": SOURCES in include, "store": may(body, "store", bool, True),
        "previous_response_id": may(body, "previous_response_id", str, "") or None,
    }  # fmt: skip


REFUSED: Final[dict[str, Refusal]] = {
    "background": (nothing, "can not be done here; stream the answer instead, which may take as long as it likes"),
    "conversation": (nothing, "names a conversation that OpenAI keeps; send its items, or previous_response_id"),
    "prompt": (nothing, "names a template that OpenAI keeps; send its text as instructions and input"),
    "moderation": (nothing, "can not be done here; call a moderation service yourself"),
    "top_logprobs": (nothing, "can not be had: the models here give no probabilities"),
}
