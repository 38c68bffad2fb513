"""The front door of meaning: what each API's JSON says in our words, and how our words are said in it.

A face is an API that clients speak, a provider an upstream. To add one: a folder in `dialects/` and a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kirogw.dialects import chat, completions, messages, responses
from kirogw.dialects.codex.provider import Codex
from kirogw.dialects.face import Face
from kirogw.dialects.kiro.provider import Kiro
from kirogw.dialects.provider import Provider
from kirogw.settings import Settings

FACES: Final[dict[str, Face]] = {
    face.name: face for face in (chat.FACE, messages.FACE, responses.FACE, completions.FACE)
}
PROVIDERS: Final[tuple[Callable[[Settings], Provider], ...]] = (Kiro, Codex)


class Providers:
    """All of them, as this installation talks to them."""

    def __init__(self, settings: Settings) -> None:
        made = [make(settings) for make in PROVIDERS]
        self.all = {provider.name: provider for provider in made}
        self._of = {kind: provider for provider in made for kind in provider.kinds}

    def of(self, kind: str) -> Provider:
        """The one that a login or an account of this kind is for; where nobody knows what it is, the first."""
        return self._of.get(kind) or next(iter(self.all.values()))
