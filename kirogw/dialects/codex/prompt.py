"""Rules about what the model is told beside the conversation.

What the gateway has to tell stands behind the client's own system text, and changes only with the client's wishes: so
the beginning of the conversation stays the same, and ChatGPT's cache keeps it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kirogw.conversation import Choice, Conversation, Text, Turn
from kirogw.dialects import clean
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.codex.tools import clean_schema, rooted
from kirogw.dialects.fields import compact
from kirogw.dialects.obey import saying

JSON: Final = "Answer with one JSON object."
_NO_OBJECT: Final = frozenset({"type", "anyOf", "oneOf", "allOf", "not", "enum", "const", "$ref"})
"""Words by which a schema may mean something else than an object."""


def the_choice_is_told(conversation: Conversation, terms: Terms) -> Conversation:
    """Responses Lite takes no other choice than `auto`, so the model is asked. (codex 6)"""
    choice = conversation.choice
    if terms.form != "lite" or choice.mode == "auto":
        return conversation
    if choice.mode == "none":
        return replace(conversation, choice=Choice())
    return saying(conversation, "Your next answer must call at least one tool.", choice=Choice())


def blocked_pages_are_told(conversation: Conversation, terms: Terms) -> Conversation:
    """The web search has no list of pages that it must leave out."""
    search = conversation.search
    if search is None or not search.blocked_domains:
        return conversation
    words = f"Do not use pages of these sites: {', '.join(search.blocked_domains)}."
    return saying(conversation, words, search=replace(search, blocked_domains=()))


def json_is_spoken_of(conversation: Conversation, terms: Terms) -> Conversation:
    """A request for any JSON object is refused unless a message says the word. (codex 16.8)"""
    form = conversation.format
    if form is None or form.schema is not None:
        return conversation
    said = (part.text for turn in conversation.turns for part in turn.parts if type(part) is Text)
    if any("json" in text.lower() for text in said):
        return conversation
    return replace(conversation, turns=(Turn("system", (Text(JSON),)), *conversation.turns))


def the_format_is_an_object(conversation: Conversation, terms: Terms) -> Conversation:
    """A schema of anything else than an object is refused, so the model is asked for it. (codex 16.8)"""
    form = conversation.format
    if form is None or form.schema is None:
        return conversation
    schema = clean_schema(clean.json(form.schema))
    if schema.get("type") == "object" or not schema.keys() & _NO_OBJECT:
        fresh = rooted(schema)
        return conversation if fresh == form.schema else replace(conversation, format=replace(form, schema=fresh))
    words = f"The text of your final answer must be JSON that fits the JSON schema {compact(schema)} and nothing else."
    return saying(conversation, words, format=None)
