"""A custom tool's free text, which travels as the arguments `{"input": "<text>"}` of a function: put in and taken out,
as it comes.

OpenAI's custom tools take any text, perhaps held to a grammar; every other tool takes an object.
"""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

from kirogw.wire import Json

SCHEMA: Final[Json] = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}

HEAD: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
UNITS: Final = re.compile(
    r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F])|\\[^u])*+'  # the third is no escape, nor its half
)
ESCAPE: Final = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
HALF: Final = re.compile(r"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})$")  # its backslash is no escaped one


class Unwrapped:
    """Takes the JSON in any cut and gives the text that it completes. Other JSON comes out as it is, at the close.

    `done`: the text is whole.
    """

    def __init__(self) -> None:
        self._rest = ""  # what is not given out yet
        self._inside = False
        self.done = False

    def receive(self, fragment: str) -> str:
        self._rest += fragment
        if not self._inside:
            head = HEAD.match(self._rest)
            if head is None:
                return ""
            self._inside, self._rest = True, self._rest[head.end():]
        return "" if self.done else self._text()

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
        self.done = self._rest[end:end + 1] == '"'
        if not self.done and (half := HALF.search(self._rest, 0, end)):
            end = half.start(1)  # the first half of a surrogate pair waits for the second
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


class Wrapped:
    """Takes the free text in any cut and gives the JSON of the arguments, in as many pieces; `close` gives the last."""

    def __init__(self) -> None:
        self._begun = False

    def receive(self, text: str) -> str:
        inside = json.dumps(text)[1:-1]  # in ASCII: half of a surrogate pair meets its other half in the next piece
        if self._begun:
            return inside
        self._begun = True
        return '{"input": "' + inside

    def close(self) -> str:
        return '"}' if self._begun else '{"input": ""}'


def wrapped(text: str) -> str:
    whole = Wrapped()
    return whole.receive(text) + whole.close()


def told(description: str, syntax: str, rules: str) -> str:
    """The description with the grammar in it, for models that nobody holds to one."""
    return f"{description}\n\n`input` must follow this {syntax} grammar:\n{rules}".lstrip()
