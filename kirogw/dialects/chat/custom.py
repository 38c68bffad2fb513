"""A custom tool's free text, which travels upstream as `{"input": "<text>"}`, taken out again as it comes."""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

HEAD: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
UNITS: Final = re.compile(
    r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F])|\\[^u])*+'  # the third is no escape, nor its half
)
ESCAPE: Final = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
HALF: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")


class Unwrapped:
    """Takes the JSON in any cut and gives the text that it completes. Other JSON comes out as it is, at the close."""

    def __init__(self) -> None:
        self._rest = ""  # what is not given out yet
        self._inside = False
        self._done = False

    def receive(self, fragment: str) -> str:
        self._rest += fragment
        if not self._inside:
            head = HEAD.match(self._rest)
            if head is None:
                return ""
            self._inside, self._rest = True, self._rest[head.end():]
        return "" if self._done else self._text()

    def close(self) -> str:
        """The rest, for JSON of another shape: its `input` if there is one, else the JSON itself."""
        if self._inside:
            return ""
        try:
            value = orjson.loads(self._rest)
        except orjson.JSONDecodeError:
            return self._rest
        text = value.get("input") if isinstance(value, dict) else None
        return text if isinstance(text, str) else self._rest

    def _text(self) -> str:
        match = UNITS.match(self._rest)
        end = match.end() if match else 0
        self._done = self._rest[end:end + 1] == '"'
        if not self._done and (half := HALF.search(self._rest, 0, end)):
            end = half.start()  # the first half of a surrogate pair waits for the second
        ready, self._rest = self._rest[:end], self._rest[end:]
        text = _unquoted(ready)
        return text.encode(errors="replace").decode()


def _unquoted(inside: str) -> str:
    """What stands in a JSON string. Models write bare line breaks there, and backslashes that begin no escape."""
    text: str
    try:
        text = json.loads(f'"{inside}"', strict=False)
    except ValueError:
        proper = ESCAPE.sub(lambda found: "\\\\" if found[0] == "\\" else found[0], inside)
        text = json.loads(f'"{proper}"', strict=False)
    return text


def unwrapped(text: str) -> str:
    whole = Unwrapped()
    return whole.receive(text) + whole.close()
