"""Files of a conversation made ready: what lies at a URL is fetched, text becomes text, a PDF that can not go as a file
becomes its text. Everything else passes as it is.

A client sends its whole history with each request. So a file in an earlier turn that is no longer to be had is no
error: it stays a URL, of which the rules make text; only what is new in this request must work.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from kirogw.conversation import Conversation, Document, Image, Part, Result, Text
from kirogw.dialects.pictures import kind_of
from kirogw.dialects.provider import Documents
from kirogw.errors import BadRequest
from kirogw.fetch import Fetched
from kirogw.pdf import Locked, pdf_text

URLS: Final = 20  # a request; only the newest are fetched
TEXTUAL: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/javascript"})
PDF: Final = "application/pdf"
VAGUE: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})  # says nothing of a file


class Source(Protocol):
    """What of a Fetcher is needed here."""

    @property
    def allowed(self) -> bool: ...

    def all(self, urls: Iterator[str]) -> dict[str, Fetched | BadRequest]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A part that needs something, and where it stands. `new`: no answer of the model comes after it."""

    part: Image | Document
    path: str
    new: bool


Change: TypeAlias = Callable[[Place], Part]


def resolve(conversation: Conversation, fetcher: Source, takes: Documents) -> Conversation:
    """The conversation with its files made ready for a provider that `takes` such; itself if it has none that need it.
    Raises BadRequest.
    """
    if not any(_needs(part) for turn in conversation.turns for part in turn.parts):
        return conversation
    urls = [part.url for turn in conversation.turns for part in _files(turn.parts) if _is_remote(part)]
    fetched = fetcher.all(iter(urls[-URLS:])) if urls and fetcher.allowed else {}
    conversation = _changed(conversation, lambda place: _loaded(place, fetched, fetcher.allowed))
    files = _Files(takes)
    return _changed(conversation, files.ready)


def _needs(part: Part) -> bool:
    kind = type(part)
    if kind is Image:
        return not part.data  # type: ignore[union-attr]
    if kind is Result:
        return any(map(_needs, part.parts))  # type: ignore[union-attr]
    return kind is Document


def _is_remote(part: Image | Document) -> bool:
    return not _is_here(part) and bool(part.url) and not _is_inline(part.url)


def _is_here(part: Image | Document) -> bool:
    return bool(part.data or (isinstance(part, Document) and part.text))


def _is_inline(url: str) -> bool:
    return url[:5].lower() == "data:"


def _files(parts: Iterable[Part]) -> Iterator[Image | Document]:
    for part in parts:
        if isinstance(part, Result):
            yield from _files(part.parts)
        elif isinstance(part, Image | Document):
            yield part


def _changed(conversation: Conversation, change: Change) -> Conversation:
    last_answer = max((n for n, turn in enumerate(conversation.turns[:-1]) if turn.role == "model"), default=-1)
    turns = [
        replace(turn, parts=tuple(_change(turn.parts, f"messages.{n}", n > last_answer, change)))
        if any(_needs(part) or isinstance(part, Image) for part in turn.parts) else turn
        for n, turn in enumerate(conversation.turns)
    ]  # fmt: skip
    return replace(conversation, turns=tuple(turns))


def _change(parts: tuple[Part, ...], path: str, new: bool, change: Change) -> Iterator[Part]:
    for m, part in enumerate(parts):
        at = f"{path}.content.{m}"
        if isinstance(part, Result):
            yield replace(part, parts=tuple(_change(part.parts, at, new, change)))
        elif isinstance(part, Image | Document):
            yield change(Place(part, part.at or at, new))
        else:
            yield part


# What lies at a URL


def _loaded(place: Place, fetched: dict[str, Fetched | BadRequest], allowed: bool) -> Part:
    part = place.part
    if _is_here(part) or not part.url:
        return part
    try:
        if _is_inline(part.url):
            return _with(part, _inline(part.url))
        if not allowed:
            raise BadRequest("this gateway does not fetch URLs (FETCH_IMAGE_URLS is off); send the file itself")
        got = fetched.get(part.url)
        if got is None:
            raise BadRequest(f"more than {URLS} URLs in one request are not fetched; send the files themselves")
        if isinstance(got, BadRequest):
            raise got
        return _with(part, got)
    except BadRequest as error:
        if place.new:
            raise BadRequest(str(error), param=place.path) from error
        return Text("[A file that could not be read.]") if _is_inline(part.url) else part


def _inline(url: str) -> Fetched:
    """A data: URL (RFC 2397)."""
    head, comma, body = url[5:].partition(",")
    media, *options = head.split(";")
    try:
        data = unquote_to_bytes(body)
        if "base64" in (option.strip().lower() for option in options):
            data = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("the data: URL is not valid; check its base64") from error
    if not comma or not data:
        raise BadRequest("the data: URL is not valid; it holds no data")
    return Fetched(data, media.strip().lower())


def _with(part: Image | Document, got: Fetched) -> Part:
    encoded = base64.b64encode(got.data).decode()
    if isinstance(part, Document):
        return replace(part, data=encoded, media=_media(part, got))
    kind = kind_of(got.data)
    if not kind:
        raise BadRequest(
            f"what lies at the image's URL is {got.media or 'of unknown type'}, neither PNG, JPEG, GIF nor WebP"
        )
    return replace(part, data=encoded, media=f"image/{kind}")


def _media(part: Document, got: Fetched) -> str:
    """The bytes decide, then the server, then the name."""
    if got.data.startswith(b"%PDF-"):
        return PDF
    return (got.media if got.media not in VAGUE else "") or _media_by_name(part) or part.media


def _media_by_name(part: Document) -> str | None:
    try:
        return mimetypes.guess_type(urlsplit(part.url).path)[0] or mimetypes.guess_type(part.name)[0]
    except ValueError:  # what begins like a URL and is none
        return None


# Documents


class _Files:
    """Decides, in the order of the conversation, which documents go as files and which as text."""

    def __init__(self, takes: Documents) -> None:
        self._takes = takes
        self._taken = 0

    def ready(self, place: Place) -> Part:
        part = place.part
        if not isinstance(part, Document) or part.text or not part.data:
            return part
        try:
            data = base64.b64decode(part.data)
        except (binascii.Error, ValueError):
            return part  # the rules say so, in better words
        media = PDF if data.startswith(b"%PDF-") else part.media
        if media.startswith("text/") or media in TEXTUAL:
            return _as_text(part, data)
        takes = self._takes
        fits = media in takes.media and len(data) <= takes.size and self._taken < takes.count
        if media == PDF and (not fits or b"/Encrypt" in data):
            return self._as_pdf_text(replace(part, media=media), data, place, fits)
        self._taken += fits
        return replace(part, media=media)

    def _as_pdf_text(self, part: Document, data: bytes, place: Place, fits: bool) -> Part:
        """What is locked is refused upstream; but often its password is empty, so that its text can be had."""
        try:
            return replace(part, data="", text=pdf_text(data))
        except Locked as locked:
            if fits and not locked.certain:
                self._taken += 1
                return part
            error: BadRequest = locked
        except BadRequest as broken:
            error = broken
        if place.new:
            raise BadRequest(f"{part.name}: {error}", param=place.path) from error
        return replace(part, data="", text=f"[The document could not be read: {error}]")


def _as_text(part: Document, data: bytes) -> Document:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # in which everything has a meaning
    return replace(part, data="", text=text.replace("\0", ""))
