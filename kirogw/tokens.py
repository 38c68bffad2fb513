"""How many tokens a text or a conversation has, as far as can be told without the model: an estimate, made locally.

The figures that an upstream reports are better; `learn` takes those, and the estimates for that model follow them from
then on. What was counted once is remembered by its hash, so a growing conversation costs only what is new in it.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from kirogw.bpe import Encoding
from kirogw.conversation import Call, Conversation, Document, Image, Native, Part, Result, Text, Thought, Tool
from kirogw.errors import BadRequest

DATA: Final = Path(__file__).parent / "data" / "cl100k_base.tiktoken"
SHA256: Final = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"  # by tiktoken_ext/openai_public.py
SHORT: Final = 64  # characters; what is shorter is counted again rather than remembered
REMEMBERED: Final = 8192  # texts, twice; each takes about 110 bytes
A_TURN: Final = 4  # tokens around each turn, as chat formats have them
A_TOOL: Final = 12
A_CALL: Final = 8
IMAGE_SIDE: Final = 1568  # pixels; a larger picture is scaled down first (Anthropic's vision guide)
IMAGE_MOST: Final = 1600  # tokens; also for a picture whose size can not be read
PIXELS: Final = 750  # a token
PAGE: Final = 2000  # tokens of a PDF page: 1,500 to 3,000 by Anthropic's PDF guide
PAGE_BYTES: Final = 50_000  # of a PDF that does not show its pages
PACKED: Final = 8  # bytes a token of an office file
HEADER: Final = 262_144  # bytes of a JPEG in which its size must stand, after EXIF and colour profiles
TEXTS: Final = ("text/", "application/json", "application/xml")
LEARNED: Final = 256  # models and families
LEAST: Final = 1000  # tokens; in less, the upstream's own additions weigh too much to learn from
LOWEST, HIGHEST = 0.5, 2.5


class _Memory:
    """The newest counts by key, in two generations: a full one becomes the old one, and the old one is dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def get(self, key: int) -> int | None:
        count = self._new.get(key)
        if count is None and (count := self._old.get(key)) is not None:
            self.put(key, count)
        return count

    def put(self, key: int, count: int) -> None:
        if len(self._new) >= self._size:
            self._new, self._old = {}, self._new
        self._new[key] = count


_memory: Final = _Memory(REMEMBERED)
_factors: Final[dict[str, float]] = {}


@functools.cache
def _encoding() -> Encoding:
    """Loaded at the first use, in 30 ms. Two threads may both load it then; one of the two is dropped. Raises
    GatewayError if it is damaged.
    """
    return Encoding(DATA, SHA256)


def count(text: str) -> int:
    """Tokens of a text by cl100k_base."""
    if len(text) < SHORT:
        return _encoding().count(text)
    key = hash(text)  # 64 bits, keyed by a secret of this process: nobody can make two texts meet
    known = _memory.get(key)
    if known is None:
        known = _encoding().count(text)
        _memory.put(key, known)
    return known


def count_conversation(conversation: Conversation) -> int:
    """Tokens of all that the model reads, in the terms of this model as far as they are known."""
    tokens = sum(count(block) + A_TURN for block in conversation.system)
    tokens += sum(_tool(tool) for tool in conversation.tools)
    for turn in conversation.turns:
        tokens += A_TURN
        for part in turn.parts:
            tokens += COUNTERS[type(part)](part)
    return max(1, round(tokens * _factor(conversation.model)))


def learn(model: str, estimated: int, reported: int) -> None:
    """The upstream counted `reported` input tokens where `count_conversation` had said `estimated` of the same
    conversation; `model` is that conversation's.

    The first figure is believed at once, later ones move the estimate by a third. A model of which nothing is known
    yet is taken to be like the last one of its family.
    """
    if estimated < LEAST or reported <= 0:
        return
    factor = _factor(model) * reported / estimated
    if (old := _factors.get(model)) is not None:
        factor = old + (factor - old) / 3
    elif len(_factors) >= LEARNED:
        _factors.clear()
    _factors[model] = _factors[_family(model)] = min(HIGHEST, max(LOWEST, factor))


def _factor(model: str) -> float:
    return _factors.get(model) or _factors.get(_family(model), 1.0)


def _family(model: str) -> str:
    """`claude-` of claude-opus-4-8: with the hyphen, so that it is no model's own name."""
    return f"{model.partition('-')[0]}-"


def forget() -> None:
    """As if nothing had been counted or learnt yet."""
    _memory.clear()
    _factors.clear()


def _tool(tool: Tool) -> int:
    return A_TOOL + count(tool.name) + count(tool.description) + _json(tool.schema)


def _json(value: Any) -> int:
    """Tokens of a value as compact JSON."""
    try:
        data = orjson.dumps(value)
    except TypeError:  # lone surrogates, more levels than orjson writes
        return count(_lenient(value))
    key = hash(data)
    known = _memory.get(key)
    if known is None:
        known = _encoding().count(data.decode())
        _memory.put(key, known)
    return known


def _lenient(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        raise BadRequest("the arguments or the schema of a tool are nested too deeply; flatten them") from None


def _thought(thought: Thought) -> int:
    """Thinking without its seal is not sent on, and a hidden thought has nothing but the seal."""
    if thought.hidden:
        return len(thought.seal) // PACKED
    return count(thought.text) if thought.seal else 0


def _call(call: Call) -> int:
    return A_CALL + count(call.name) + (_json(call.input) if call.raw is None else count(call.raw))


def _result(result: Result) -> int:
    return A_CALL + sum(COUNTERS[type(part)](part) for part in result.parts)


def _image(image: Image) -> int:
    width, height = image_size(image.data)
    if not width or not height:
        return IMAGE_MOST
    scale = min(1.0, IMAGE_SIDE / max(width, height))
    return min(IMAGE_MOST, max(1, int(width * scale) * int(height * scale) // PIXELS))


def _document(document: Document) -> int:
    name = count(document.name)
    if document.text or not document.data:
        return name + count(document.text)
    key = hash((len(document.data), document.data[:1024], document.data[-1024:]))
    known = _memory.get(key)
    if known is None:
        known = _file(document.media, _decoded(document.data))
        _memory.put(key, known)
    return name + known


def _file(media: str, data: bytes) -> int:
    if data.startswith(b"%PDF"):
        pages = data.count(b"/Type/Page") + data.count(b"/Type /Page")
        trees = data.count(b"/Type/Pages") + data.count(b"/Type /Pages")
        return PAGE * max(pages - trees, len(data) // PAGE_BYTES, 1)
    if media.startswith(TEXTS):
        return count(data.decode("utf-8", "replace"))
    return max(1, len(data) // PACKED)


COUNTERS: Final[Mapping[type[Part], Callable[[Any], int]]] = {
    Text: lambda part: count(part.text),
    Image: _image,
    Document: _document,
    Thought: _thought,
    Call: _call,
    Result: _result,
    Native: lambda part: count(_lenient(part.item)),
}


def image_size(data: str) -> tuple[int, int]:
    """Width and height in pixels of a picture in base64, from its header; (0, 0) if it does not tell."""
    head = _decoded(data[:64])
    for magic, size in SIZES.items():
        if head.startswith(magic):
            try:
                return size(head, data)
            except (struct.error, IndexError):
                break
    return 0, 0


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _png(head: bytes, data: str) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes, data: str) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _jpeg(head: bytes, data: str) -> tuple[int, int]:
    """The size stands in the frame header, SOF0 to SOF15 but for three, after any number of other segments."""
    whole, at = _decoded(data[: HEADER // 3 * 4]), 2
    while whole[at] == 0xFF:
        marker, length = struct.unpack_from(">BH", whole, at + 1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", whole, at + 5)
            return width, height
        at += 2 + length
    return 0, 0


def _webp(head: bytes, data: str) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


SIZES: Final[Mapping[bytes, Callable[[bytes, str], tuple[int, int]]]] = {
    b"\x89PNG": _png, b"GIF8": _gif, b"\xff\xd8\xff": _jpeg, b"RIFF": _webp,
}  # fmt: skip
