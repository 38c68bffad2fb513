"""Rules about the system text, which Kiro has no slot for: what goes in, what stays out, and where it stands.

What the gateway has to tell the model stands behind the client's own system text. It changes only with the client's
wishes, not from turn to turn, so the beginning of the conversation stays the same and upstream's cache keeps it.
"""

from __future__ import annotations

from dataclasses import replace

from kirogw.conversation import Choice, Conversation, Text, Thinking, Turn
from kirogw.dialects import billing, clean
from kirogw.dialects.fields import compact
from kirogw.dialects.kiro import effort
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.obey import saying


def the_system_text_is_stable(conversation: Conversation, terms: Terms) -> Conversation:
    """Claude Code begins its system text with a billing line that changes with each request: no cache outlives it, and
    no model needs it. (kiro 3.8.10)
    """
    return billing.without(conversation)


def the_choice_is_told(conversation: Conversation, terms: Terms) -> Conversation:
    """Kiro has neither tool choice nor a limit on parallel calls, so the model is asked. (kiro 3.1, 3.7)"""
    choice = conversation.choice
    words = []
    if choice.mode == "any":
        words.append("Your next answer must call at least one tool.")
    elif choice.mode == "named":
        words.append(f"Your next answer must call the tool {choice.name}.")
    elif choice.mode == "auto" and choice.allowed and {tool.name for tool in conversation.tools} - set(choice.allowed):
        words.append(f"Call no other tools than these: {', '.join(choice.allowed)}.")
    if not choice.parallel and conversation.tools:
        words.append("Call at most one tool in an answer, and wait for its result.")
    return saying(conversation, " ".join(words), choice=Choice()) if words else conversation


def the_format_is_told(conversation: Conversation, terms: Terms) -> Conversation:
    """Kiro has no structured output, so the model is asked for it; the answer is checked later. (kiro 3.1)"""
    form = conversation.format
    if form is None:
        return conversation
    if form.schema is None:
        what = "one JSON object"
    else:
        what = f"JSON that fits the JSON schema {compact(clean.json(form.schema))}"
    words = f"The text of your final answer must be {what} and nothing else: no words around it and no code fence."
    return saying(conversation, words, format=None)


def thinking_is_asked_for(conversation: Conversation, terms: Terms) -> Conversation:
    """A model that has no thinking of its own is asked, by tags in front of the system text, when the client wants it.
    (kiro 7.1)
    """
    thinking = conversation.thinking
    if not effort.emulated(thinking, terms.model, terms.shape):
        return conversation
    asked = effort.tags(thinking, terms.shape)
    return replace(conversation, system=(asked, *conversation.system), thinking=Thinking())


def the_system_text_begins_the_first_turn(conversation: Conversation, terms: Terms) -> Conversation:
    """There is no slot for it, `systemPrompt` is refused, and a made-up first exchange gets quoted back. (kiro 3.8.9)

    In the first turn it keeps its place for ever, whether that turn is the current one or history.
    """
    text = "\n\n".join(block for block in conversation.system if block and not block.isspace())
    first = conversation.turns[0]
    if not text:
        return replace(conversation, system=()) if conversation.system else conversation
    turns = (Turn(first.role, (Text(text), *first.parts)), *conversation.turns[1:])
    return replace(conversation, system=(), turns=turns)
