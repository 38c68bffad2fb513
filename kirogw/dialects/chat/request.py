"""A request of the Chat Completions API to our words. docs/compatibility.md says what becomes of each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kirogw.conversation import Conversation, Format, Thinking
from kirogw.dialects.chat.messages import read_messages
from kirogw.dialects.chat.tools import Offer, read_choice, read_tools
from kirogw.dialects.clients import session_in, session_of
from kirogw.dialects.efforts import LEVELS
from kirogw.dialects.face import Ask
from kirogw.dialects.fields import Refusal, choice, count, may, model_name, need, nothing, options, refuse
from kirogw.dialects.openai_parts import schema_format, stops
from kirogw.wire import Json

FORMATS: Final = ("text", "json_object", "json_schema")
OPTIONS: Final[dict[str, type]] = {
    "temperature": float, "top_p": float, "verbosity": str, "service_tier": str, "prompt_cache_key": str,
}  # fmt: skip
"""Wishes that some provider knows, and what they must be."""


def read(body: Json, headers: Mapping[str, str]) -> Ask:
    refuse(body, REFUSED)
    system, turns = read_messages(body)
    offer = read_tools(body)
    streaming = may(body, "stream_options", dict, {})
    return Ask(
        Conversation(
            model=model_name(body),
            turns=turns,
            system=system,
            tools=offer.tools,
            choice=read_choice(body, offer),
            stops=stops(body),
            max_tokens=count(body, "max_completion_tokens") or count(body, "max_tokens"),
            thinking=read_thinking(body),
            format=read_format(body),
            search=offer.search,
            session=session_of(headers) or session_in(body),
            left_out=offer.left_out,
            options=options(body, OPTIONS),
        ),
        stream=may(body, "stream", bool, False),
        usage=may(streaming, "include_usage", bool, False, "stream_options."),
        echo=_echo(offer),
    )


def _echo(offer: Offer) -> dict[str, Any]:
    """What the answer's writer must know of the tools."""
    echo: dict[str, Any] = {}
    if offer.custom:
        echo["custom"] = offer.custom
    if offer.legacy:
        echo["functions"] = True
    return echo


def read_thinking(body: Json) -> Thinking:
    if body.get("reasoning_effort") is None:
        return Thinking()
    effort = choice(body, "reasoning_effort", LEVELS)
    return Thinking("off" if effort == "none" else "adaptive", effort)


def read_format(body: Json) -> Format | None:
    given, at = may(body, "response_format", dict, {}), "response_format."
    kind = choice(given, "type", FORMATS, at) if given else "text"
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    return schema_format(need(given, "json_schema", dict, at), at + "json_schema.")


REFUSED: Final[dict[str, Refusal]] = {
    "n": (lambda n: bool(n == 1), "must be 1: a request has one answer; send several requests"),
    "logprobs": (nothing, "can not be had: the models here give no probabilities"),
    "top_logprobs": (nothing, "can not be had: the models here give no probabilities"),
    "modalities": (lambda kinds: kinds in ([], ["text"]), 'must be ["text"]: no model here speaks'),
    "audio": (nothing, "can not be had: no model here speaks"),
    "moderation": (nothing, "can not be done here; call a moderation service yourself"),
}
