"""Text as a JSON string, for the one line of a server-sent event."""

from __future__ import annotations

import json
from typing import Final

import orjson

_dumps: Final = orjson.dumps

BREAKS: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
"""Line ends that JSON leaves as they are, but at which Python's `splitlines` cuts: httpx's line reader, which litellm
uses for events, would break the JSON there."""


def quoted(text: str) -> bytes:
    data = _dumps(text)
    if len(data) - len(text) == 2 or text.isascii():
        return data
    if "\u2028" in text or "\u2029" in text or "\x85" in text:
        for end, escape in BREAKS:
            data = data.replace(end, escape)
    return data


def line(value: object) -> bytes:
    """Any value as JSON in one line."""
    try:
        data = _dumps(value)
    except TypeError:  # halves of surrogate pairs
        return json.dumps(value).encode()
    for end, escape in BREAKS:
        if end in data:
            data = data.replace(end, escape)
    return data
