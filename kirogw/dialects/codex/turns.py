"""Rules about turns: who says what, what goes into a part, and which thoughts go back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from kirogw.conversation import Call, Conversation, Document, Image, Native, Part, Result, Text, Thought, Turn
from kirogw.dialects import attached, billing, cuts, speakers, touch
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.obey import concerns
from kirogw.dialects.seals import unseal
from kirogw.errors import BadRequest

GO_ON: Final = "Continue"
"""What the user says where the client sent no word at all."""
LIMITS: Final = attached.Limits("ChatGPT", 20_000_000)
DETAILS: Final = ("low", "high", "auto", "original")
PDF: Final = "application/pdf"
DOCUMENT: Final = "document.pdf"
"""The name of a file that has none."""
_OF_THE_MODEL: Final = frozenset({Text, Thought, Call, Native})
_OF_OTHERS: Final = frozenset({Text, Image, Document, Result, Native})


def the_system_text_is_stable(conversation: Conversation, terms: Terms) -> Conversation:
    """Claude Code's billing line changes with each request. (see billing)"""
    return billing.without(conversation)


@concerns(Image)
def pictures_are_what_they_say(conversation: Conversation, terms: Terms) -> Conversation:
    """A format that does not match the bytes is refused, and clients often guess it: the bytes decide. (codex 5.3)

    A picture that was not fetched, or that the model can not see, becomes text; one that nobody can read is an error.
    """
    return attached.each(conversation, lambda part, at: attached.picture(part, at, terms.model, LIMITS))


@concerns(Image)
def pictures_have_the_detail_that_the_form_takes(conversation: Conversation, terms: Terms) -> Conversation:
    """How closely a picture is looked at, Responses Lite decides by itself; elsewhere OpenAI's words hold. (codex 6)"""
    known = () if terms.form == "lite" else DETAILS

    def change(part: Part, at: str) -> Part:
        if type(part) is Image and part.detail and part.detail not in known:
            return replace(part, detail="")
        return part

    return attached.each(conversation, change)


@concerns(Document)
def documents_are_files_or_text(conversation: Conversation, terms: Terms) -> Conversation:
    """A PDF goes as a file, with a name; all others as their text. What has neither is an error. (codex 5.3)"""
    return attached.each(conversation, lambda part, at: _document(part, at, terms))


def _document(part: Part, at: str, terms: Terms) -> Part:
    if not isinstance(part, Document):
        return part
    base, content = attached.decoded(part.data, "document", at) if part.data else ("", b"")
    if content.startswith(b"%PDF") and terms.model.images:
        kept = (part.name or DOCUMENT, PDF, base)
        whole = kept == (part.name, part.media, part.data)
        return part if whole else replace(part, name=kept[0], media=PDF, data=base)
    if words := attached.in_words(part, content, terms.model):
        return words
    kind = part.media or "of unknown type"
    raise BadRequest(f"the document {part.name!r} ({kind}, {len(content):,} bytes) can not be sent: ChatGPT takes"
                     " PDF files; send its text", param=at)  # fmt: skip


@concerns(Thought, Call, Image, Document, Result)
def parts_stand_with_who_may_say_them(conversation: Conversation, terms: Terms) -> Conversation:
    """The assistant's messages may not hold pictures and files, and nobody else can call a tool. (codex 5.3)"""
    return speakers.sorted_out(conversation, _OF_THE_MODEL, _OF_OTHERS)


def the_models_turns_are_whole(conversation: Conversation, terms: Terms) -> Conversation:
    """Neighbours of the model's become one turn: a thought may stand in one and what it made in the next."""
    return speakers.joined(conversation, "model")


@concerns(Thought, Native)
def thoughts_are_sealed_by_this_account(conversation: Conversation, terms: Terms) -> Conversation:
    """A thought goes back only with ChatGPT's own seal, to the account that thought it: else the request is refused
    with invalid_encrypted_content. (codex 5.5)

    It can not become text: models imitate what their turns say. The same holds for other items that are sealed, where
    ChatGPT did not believe one.
    """
    return touch.turns(conversation, lambda turn: touch.with_parts(turn, list(_believed(turn, terms))))


def _believed(turn: Turn, terms: Terms) -> Iterator[Part]:
    for part in turn.parts:
        if isinstance(part, Thought):
            found = None if terms.unsealed else unseal(part.seal)
            if found and found.kind == "c" and (not found.mark or not terms.mark or found.mark == terms.mark):
                yield part
        elif not (isinstance(part, Native) and terms.unsealed and "encrypted_content" in part.item):
            yield part


@concerns(Thought)
def thoughts_stand_before_what_they_made(conversation: Conversation, terms: Terms) -> Conversation:
    """A reasoning item without the item that it produced behind it is refused. (codex 5.3)"""
    return touch.turns(conversation, lambda turn: touch.with_parts(turn, _followed(turn.parts)))


def _followed(parts: tuple[Part, ...]) -> list[Part]:
    kept: list[Part] = []
    made = False  # what comes next was thought of
    for part in reversed(parts):
        if type(part) is not Thought:
            made = type(part) is not Native or str(part.item.get("type")).endswith("_call")
        if made or type(part) is not Thought:
            kept.append(part)
    return kept[::-1]


@concerns(Native)
def native_items_have_no_ids(conversation: Conversation, terms: Terms) -> Conversation:
    """Nothing is stored, so an id names nothing; and its form is checked. (codex 5.3)"""
    return touch.turns(conversation, lambda turn: touch.parts(turn, _nameless))


def _nameless(part: Part) -> Part:
    if type(part) is not Native or "id" not in part.item:
        return part
    return Native({name: value for name, value in part.item.items() if name != "id"})


def cut_answers_are_told(conversation: Conversation, terms: Terms) -> Conversation:
    """A model that does not hear that its answer was cut off does the same again. (see cuts)"""
    return cuts.told(conversation, terms.cut)


def no_part_is_empty(conversation: Conversation, terms: Terms) -> Conversation:
    """An empty text says nothing, and a turn of nothing else is none. Somebody must say something."""
    kept = []
    for turn in conversation.turns:
        fresh = touch.with_parts(turn, [part for part in turn.parts if type(part) is not Text or part.text])
        if fresh.parts:
            kept.append(fresh)
    return touch.with_turns(conversation, kept or [Turn("user", (Text(GO_ON),))])
