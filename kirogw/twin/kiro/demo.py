"""The demo as Kiro answers: it thinks where it is asked to, in reasoning or in tags, and minds max_tokens."""

from __future__ import annotations

import re
from typing import Any, Final

from kirogw.twin.ask import Ask, obj, text
from kirogw.twin.demo import THOUGHT, said
from kirogw.wire import Json

EMULATED: Final = re.compile(r"<thinking_mode>(?:enabled|adaptive)</thinking_mode>")


def steps(ask: Ask) -> list[Json]:
    """The whole answer, as the steps of a script."""
    thoughts = _thoughts(ask)
    words = said(ask)
    if EMULATED.search(ask.current.content) or EMULATED.search(ask.turns[0].content):
        words = _tagged(words)
    late = ask.model_id.startswith("gpt")  # these think aloud after they have spoken
    return _limited(ask, words + thoughts if late else thoughts + words)


def _thoughts(ask: Ask) -> list[Json]:
    fields = obj(ask.fields)
    effort = text(obj(fields.get("output_config")).get("effort")) or text(obj(fields.get("reasoning")).get("effort"))
    kind = text(obj(fields.get("thinking")).get("type"))
    if effort == "none" or kind == "disabled" or not (effort or kind):
        return []
    if ask.model_id.startswith("gpt"):
        return [{"thinking": "...", "sealed": False}, {"signature": ".KTR~~" + ask.model_id}]
    omitted = obj(fields.get("thinking")).get("display") == "omitted"
    return [{"thinking": "" if omitted else THOUGHT}]


def _tagged(said: list[Json]) -> list[Json]:
    """Thinking where it is emulated: tags at the start of the text."""
    thought = f"<thinking>{THOUGHT}</thinking>\n\n"
    if "text" in said[0]:
        return [{**said[0], "text": thought + said[0]["text"]}, *said[1:]]
    return [{"text": thought}, *said]


def _limited(ask: Ask, said: list[Json]) -> list[Json]:
    """Cut at max_tokens, where the request sets it, at four characters a token."""
    limit: Any = obj(ask.fields).get("max_tokens")
    if not isinstance(limit, int):
        return said
    left = 4 * limit
    for n, step in enumerate(said):
        name = "text" if "text" in step else "thinking"
        whole = text(step.get(name))
        if len(whole) > left:
            return [*said[:n], {**step, name: whole[:left], "stop": "MAX_TOKENS"}]
        left -= len(whole)
    return said
