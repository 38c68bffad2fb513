"""Patches as OpenAI's models write them, around a text that may be a placeholder of the twin."""

from __future__ import annotations

from typing import Any


def filled(text: Any, around: str) -> Any:
    """`around` with `text` in place of its <>."""
    if isinstance(text, str):
        return around.replace("<>", text)
    return {**text, "format": around.replace("<>", text["format"]), "else": around.replace("<>", text["else"])}


def adding(path: str, last: str = "") -> str:
    """A patch that adds a file whose one line is <>, with its end; `last` where a client wants that end as a line too."""
    return f"*** Begin Patch\n*** Add File: {path}\n+<>{last}*** End Patch\n"
