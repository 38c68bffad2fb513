"""Emulated thinking: a block in tags at the very start of a text, cut out of the running text.

A model without thinking of its own was asked to write `<thinking>...</thinking>` before its answer. The block may only
open where nothing but white space came before, and there is one: the same tags later are prose or code. A block that is
never closed is thinking to its end, because what was only drafted in it must not be taken for the answer (kiro 7.1).
"""

from __future__ import annotations

from typing import Final, TypeAlias

Piece: TypeAlias = tuple[bool, str]
"""Whether it is thinking, and the text; never empty."""

TAGS: Final = ("<thinking>", "<think>", "<reasoning>", "<thought>")


class Thinking:
    """Takes the text in any cut. No tag is ever split between two pieces.

    `handling`: what becomes of the block. `as_reasoning_content`: its text is thinking; `remove`: it is dropped, and
    kept in `removed` only to be counted; `strip_tags`: it is text, without the tags; `pass`: nothing is looked for.
    Line breaks at the inner edges of the block go with the tags; those after it are left to the caller.
    `done`: the rest is plain text and need not come here.
    """

    def __init__(self, handling: str) -> None:
        self.done = handling == "pass"
        self.removed: list[str] = []
        self._handling = handling
        self._held = ""  # not given yet: white space, or what may be the beginning of a tag
        self._close = ""  # the tag that ends the block, once one is open
        self._trimming = False  # at the block's beginning

    def feed(self, text: str) -> list[Piece]:
        if self.done:
            return [(False, text)] if text else []
        text, self._held = self._held + text, ""
        return self._inside(text) if self._close else self._before(text)

    def finish(self) -> list[Piece]:
        """Call at the end of the text, and where a tool call begins: either closes the block."""
        thought, rest = bool(self._close), self._held
        self.done, self._held = True, ""
        return self._thought(rest) if thought else [(False, rest)] if rest else []

    def _before(self, text: str) -> list[Piece]:
        begun = text.lstrip()
        for tag in TAGS:
            if begun.startswith(tag):
                self._close, self._trimming = f"</{tag[1:]}", True
                return self._inside(begun[len(tag) :])
        if not begun or any(tag.startswith(begun) for tag in TAGS):
            self._held = text
            return []
        self.done = True
        return [(False, text)]

    def _inside(self, text: str) -> list[Piece]:
        if self._trimming:
            text = text.lstrip("\n")
            self._trimming = not text
        end = text.find(self._close)
        if end < 0:
            given = _without_tail(text, self._close)
            self._held = text[len(given) :]
            return self._thought(given)
        pieces = self._thought(text[:end].rstrip("\n"))
        self.done = True
        after = text[end + len(self._close) :]
        return [*pieces, (False, after)] if after else pieces

    def _thought(self, text: str) -> list[Piece]:
        if self._handling == "remove":
            self.removed.append(text)
            return []
        return [(self._handling == "as_reasoning_content", text)] if text else []


def _without_tail(text: str, close: str) -> str:
    """`text` up to what may be the beginning of `close`, and the line breaks before that."""
    for size in range(min(len(close) - 1, len(text)), 0, -1):
        if text.endswith(close[:size]):
            return text[:-size].rstrip("\n")
    return text.rstrip("\n")
