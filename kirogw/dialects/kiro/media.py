"""Rules about pictures and documents: what they are, how many there may be, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from kirogw.conversation import Conversation, Document, Image, Part, Result, Text, Turn
from kirogw.dialects import attached, touch
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.obey import concerns
from kirogw.dialects.pictures import SIDE
from kirogw.errors import BadRequest

PICTURES: Final = 10  # a request (kiro 3.6)
LIMITS: Final = attached.Limits("Kiro", 10_000_000, SIDE)
STEP: Final = 5  # so many old pictures go at once, so that the beginning of the conversation stays the same for a while
DOCUMENTS: Final = 5  # a conversation
DOCUMENT_BYTES: Final = 4_500_000  # Bedrock's limit

FORMATS: Final = {
    "text/csv": "csv", "application/msword": "doc", "text/html": "html", "text/markdown": "md",
    "application/pdf": "pdf", "text/plain": "txt", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
"""Documents that Kiro reads: media type to its word for the format (kiro 3.6)."""
_BY_ENDING: Final = {form: media for media, form in FORMATS.items()} | {"htm": "text/html", "markdown": "text/markdown"}


@concerns(Image)
def pictures_are_what_they_say(conversation: Conversation, terms: Terms) -> Conversation:
    """A format that does not match the bytes is refused, and clients often guess it: the bytes decide. (kiro 3.6)

    A picture that was not fetched, or that the model can not see, becomes text; one that Kiro can not read is an error.
    """
    return attached.each(conversation, lambda part, at: attached.picture(part, at, terms.model, LIMITS))


@concerns(Image)
def there_are_ten_pictures_at_most(conversation: Conversation, terms: Terms) -> Conversation:
    """More than ten pictures in a request are refused. The oldest make room, and say so. (kiro 3.6)

    Five at a time, so that not every new picture changes the beginning of the conversation, which is cached. More than
    ten in the last turn are an error: nobody can tell which of them matter.
    """
    count = sum(1 for turn in conversation.turns for _ in _pictures(turn))
    if count <= PICTURES:
        return conversation
    newest = list(_pictures(conversation.turns[-1]))
    if (last := len(newest)) > PICTURES:
        raise BadRequest(f"the last message holds {last} images; Kiro takes up to {PICTURES} a request",
                         param=newest[PICTURES].at or f"messages.{len(conversation.turns) - 1}.content")  # fmt: skip
    gone = min(-(-(count - PICTURES) // STEP) * STEP, count - last)
    seen = 0

    def change(part: Part, at: str) -> Part:
        nonlocal seen
        if type(part) is not Image:
            return part
        seen += 1
        return Text("[An image was here. It made room for newer ones.]") if seen <= gone else part

    return attached.each(conversation, change)


def _pictures(turn: Turn) -> Iterator[Image]:
    for part in turn.parts:
        if type(part) is Image:
            yield part
        elif type(part) is Result:
            yield from (inner for inner in part.parts if type(inner) is Image)


@concerns(Document)
def documents_are_files_or_text(conversation: Conversation, terms: Terms) -> Conversation:
    """A conversation that ever held a sixth document, or two of one name, is refused for good. (kiro 3.6)

    The first five that have bytes in a format that Kiro reads go as files; all others as their text. What has neither
    is an error.
    """
    taken: set[str] = set()
    return attached.each(conversation, lambda part, at: _document(part, at, terms, taken))


def _document(part: Part, at: str, terms: Terms, taken: set[str]) -> Part:
    if not isinstance(part, Document):
        return part
    media = part.media if part.media in FORMATS else _BY_ENDING.get(part.name.rpartition(".")[2].lower(), "")
    base, content = attached.decoded(part.data, "document", at) if part.data else ("", b"")
    if content and media and len(taken) < DOCUMENTS and len(content) <= DOCUMENT_BYTES and terms.model.images:
        name = _own_name(part.name, taken)
        taken.add(name)
        kept = (name, media, base) == (part.name, part.media, part.data)
        return part if kept else replace(part, name=name, media=media, data=base)
    if words := attached.in_words(part, content, terms.model):
        return words
    raise BadRequest(
        f"the document {part.name!r} ({part.media or 'of unknown type'}, {len(content):,} bytes) can not be sent:"
        f" Kiro takes {DOCUMENTS} a conversation, up to {DOCUMENT_BYTES:,} bytes each, of these formats:"
        f" {', '.join(FORMATS.values())}; send its text", param=at,
    )  # fmt: skip


def _own_name(name: str, taken: set[str]) -> str:
    """Models take letters, digits, blanks, hyphens and brackets in a name; the type is told elsewhere."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-()[]") else " " for c in name)
    start = " ".join(plain.split())[:150] or "document"
    own, n = start, 2
    while own in taken:
        own, n = f"{start} {n}", n + 1
    return own


@concerns(Image, Document)
def attachments_stand_beside_the_results(conversation: Conversation, terms: Terms) -> Conversation:
    """Pictures inside a result vanish without a word, so they move into the message. (kiro 3.6, 8.36)

    Nothing but their order ties them to their results: the result says which they are, and where there are several, a
    line of the message names each.
    """
    return touch.turns(conversation, lambda turn: _hoisted(turn) if turn.role == "user" and _nested(turn) else turn)


def _nested(turn: Turn) -> bool:
    return any(type(part) is Result and any(type(inner) is not Text for inner in part.parts) for part in turn.parts)


def _hoisted(turn: Turn) -> Turn:
    lines: list[str] = []
    results: list[Part] = []
    moved: list[Part] = []
    for part in turn.parts:
        if type(part) is Result:
            emptied, taken = _emptied(part, lines)
            results.append(emptied)
            moved += taken
    rest = [part for part in turn.parts if type(part) is not Result]
    count, own = len(lines), sum(1 for part in rest if type(part) is Image)
    lines += (f"{n}. from the user" for n in range(count + 1, count + own + 1))
    named = [Text("Images of this message:\n" + "\n".join(lines))] if len(lines) > 1 else []
    # the moved ones stand before the user's own, as counted
    return Turn("user", (*results, *named, *moved, *rest))


def _emptied(result: Result, lines: list[str]) -> tuple[Result, list[Part]]:
    """The result with words in the place of its images and documents, and these. `lines` gets one for each image."""
    inside: list[Part] = []
    taken: list[Part] = []
    for part in result.parts:
        words = ""
        if type(part) is Image:
            lines.append(f"{len(lines) + 1}. from the result of {result.call}")
            words = f"(image {len(lines)} of this message)"
        elif type(part) is Document:
            words = f'(the attached document "{part.name}")'
        inside.append(Text(words) if words else part)
        if words:
            taken.append(part)
    return Result(result.call, tuple(inside), result.failed), taken
