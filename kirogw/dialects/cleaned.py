"""The rule that a conversation's text is such that JSON can carry it."""

from __future__ import annotations

from dataclasses import replace

from kirogw.conversation import Call, Conversation, Document, Image, Part, Result, Text, Thought
from kirogw.dialects import clean, touch


def all_text_is_clean(conversation: Conversation, terms: object) -> Conversation:
    """NUL and half a surrogate pair are no JSON to Kiro, and no UTF-8 to anybody; it also refuses an empty key in
    arguments. (kiro 3.8.12, 13)

    A thought whose text had to be cleaned loses its seal, which was made over the text as it came.
    """
    system = tuple(map(clean.text, conversation.system))
    if system != conversation.system:
        conversation = replace(conversation, system=system)
    return touch.turns(conversation, lambda turn: touch.parts(turn, _cleaned))


def _cleaned(part: Part) -> Part:
    if isinstance(part, Text):
        text = clean.text(part.text)
        return part if text is part.text else replace(part, text=text)
    if isinstance(part, Result):
        return touch.within(part, _cleaned)
    if isinstance(part, Call):
        input_, raw = clean.json(part.input), part.raw and clean.text(part.raw)
        return part if input_ is part.input and raw is part.raw else replace(part, input=input_, raw=raw, text="")
    if isinstance(part, Thought):
        return part if clean.text(part.text) is part.text else Thought(clean.text(part.text))
    if isinstance(part, Image):
        return part if clean.text(part.url) is part.url else replace(part, url=clean.text(part.url))
    return _clean_document(part) if isinstance(part, Document) else part


def _clean_document(part: Document) -> Document:
    words = [clean.text(word) for word in (part.name, part.text, part.url)]
    if all(map(touch.same, words, (part.name, part.text, part.url))):
        return part
    return replace(part, name=words[0], text=words[1], url=words[2])
