"""What a bench answer says: a script, the frames that carry it, and what a client must get to hear.

A script is a short text that passes unchanged through any gateway, inside the last user message:
`bench:frames=20,tools=40,pause=0.2;` asks for 20 text frames and 40 tool parts, one each 0.2 s (0: all at once).

Each text and each piece of arguments starts with a mark, `#000012:0000000123456789012;`: its number, counted from 0
over the whole answer, and when it was sent (CLOCK_MONOTONIC, nanoseconds; 0 where all frames leave at once). So one
pattern finds them in Kiro's frames and in both APIs' events alike, and a client knows that all came, in order, and how
late.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

MODEL: Final = "claude-sonnet-4.5"
MARK: Final = re.compile(rb"#(\d{6}):(\d{19});")
UNSENT: Final = "0" * 19
PARTS_PER_CALL: Final = 20  # the name, 18 pieces of arguments, the end

_ASKED: Final = re.compile(rb"bench:([a-z0-9=,.]+);")
# Pieces as models send them; some need escaping in JSON, some are not ASCII.
_PIECES: Final = (
    " The function reads", " the file and", ' prints "done"', " before it returns.\n", " Größe und Maß", "\tif x < 10:",
    " naïve café", " then the next line",
)


@dataclass(frozen=True, slots=True)
class Script:
    """`frames` text frames, `tools` tool parts (a multiple of PARTS_PER_CALL), `pause` seconds between any two."""

    frames: int
    tools: int = 0
    pause: float = 0.0

    def __str__(self) -> str:
        return f"bench:frames={self.frames},tools={self.tools},pause={self.pause:g};"

    @property
    def marks(self) -> int:
        """How many marks the answer carries. A call's name, opening, closing and end have none."""
        return self.frames + self.tools // PARTS_PER_CALL * (PARTS_PER_CALL - 4)


def asked(body: bytes) -> Script | None:
    """The script that a request's body names, wherever it stands."""
    found = _ASKED.search(body, max(body.rfind(b"bench:"), 0))
    if found is None:
        return None
    said = dict(pair.split("=", 1) for pair in found[1].decode().split(","))
    return Script(int(said["frames"]), int(said.get("tools", 0)), float(said.get("pause", 0)))


def marked(number: int) -> str:
    return f"#{number:06d}:{UNSENT};{_PIECES[number % len(_PIECES)]}"


def text(script: Script) -> str:
    """The whole text of the answer, as yet unsent (all times 0)."""
    return "".join(map(marked, range(script.frames)))


def pieces(call: int, script: Script) -> list[str]:
    """The arguments of one call, as the JSON text that Kiro sends piece by piece."""
    marks = PARTS_PER_CALL - 4
    first = script.frames + call * marks
    inside = [json.dumps(marked(number), ensure_ascii=False)[1:-1] for number in range(first, first + marks)]
    return ['{"path":"src/main.py","content":"', *inside, '"}']


def calls(script: Script) -> list[dict[str, Any]]:
    """The arguments of each call, whole and as yet unsent."""
    return [json.loads("".join(pieces(call, script))) for call in range(script.tools // PARTS_PER_CALL)]


def _call_payloads(call: int, script: Script) -> Iterator[dict[str, Any]]:
    this = {"toolUseId": f"tooluse_bench{call:04d}", "name": "write_file"}
    yield this
    for piece in pieces(call, script):
        yield {**this, "input": piece}
    yield {**this, "stop": True}


def _events(script: Script) -> Iterator[tuple[str, dict[str, Any]]]:
    """The frames between head and tail: one a script frame or tool part."""
    for number in range(script.frames):
        yield "assistantResponseEvent", {"content": marked(number), "modelId": MODEL}
    for call in range(script.tools // PARTS_PER_CALL):
        for payload in _call_payloads(call, script):
            yield "toolUseEvent", payload


def frame(event: str, payload: dict[str, Any]) -> bytes:
    """One AWS event-stream frame. (kiro 4.1)"""
    headers = b"".join(
        struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value
        for name, value in ((b":event-type", event.encode()), (b":content-type", b"application/json"),
                            (b":message-type", b"event"))
    )
    data = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    prelude = struct.pack(">II", len(headers) + len(data) + 16, len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + data
    return whole + struct.pack(">I", zlib.crc32(whole))


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Ready:
    """A frame in its HTTP chunk, encoded but for the time of its mark: a microsecond is left to do when it is sent."""

    __slots__ = ("_before", "_crc", "_rest", "_whole")

    def __init__(self, data: bytes) -> None:
        self._whole = chunk(data)
        mark = MARK.search(data)
        if mark is None:
            self._before = b""
            return
        self._before = b"%x\r\n" % len(data) + data[: mark.start(2)]
        self._crc = zlib.crc32(data[: mark.start(2)])
        self._rest = data[mark.end(2) : -4]

    def at(self, now: int) -> bytes:
        """The chunk as sent at `now`, nanoseconds; 0 is 'not said'."""
        if not (now and self._before):
            return self._whole
        digits = b"%019d" % now
        crc = zlib.crc32(self._rest, zlib.crc32(digits, self._crc))
        return b"%b%b%b%b\r\n" % (self._before, digits, self._rest, crc.to_bytes(4, "big"))


STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n"
    b"x-amzn-requestid: bench\r\n\r\n"
)
_HEAD: Final = chunk(frame("messageMetadataEvent", {"conversationId": "bench", "utteranceId": "bench"}))


def head(script: Script) -> bytes:
    """What begins every answer."""
    return _HEAD


@lru_cache(maxsize=64)
def ready(script: Script) -> tuple[Ready, ...]:
    return tuple(Ready(frame(event, payload)) for event, payload in _events(script))


@lru_cache(maxsize=64)
def tail(script: Script) -> bytes:
    """What ends the answer: reason, occupied window, price, and HTTP's last chunk. (kiro 4.2)"""
    ends: tuple[tuple[str, dict[str, Any]], ...] = (
        ("metadataEvent", {"stopReason": "TOOL_USE" if script.tools else "END_TURN"}),
        ("contextUsageEvent", {"contextUsagePercentage": 4.25}),
        ("meteringEvent", {"unit": "credit", "unitPlural": "credits", "usage": 0.0897}),
    )
    return b"".join(chunk(frame(event, payload)) for event, payload in ends) + b"0\r\n\r\n"


@lru_cache(maxsize=64)
def at_once(script: Script) -> bytes:
    """The whole body of an answer without pauses."""
    return _HEAD + b"".join(one.at(0) for one in ready(script)) + tail(script)
