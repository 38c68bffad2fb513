"""The front door of meaning: what each API's JSON says in our words, and how our words are said in it.

A face is an API that clients speak. To add one: a folder in `dialects/` and a line here.
"""

from __future__ import annotations

from typing import Final

from kirogw.dialects import chat, messages
from kirogw.dialects.dialect import Face

FACES: Final[dict[str, Face]] = {face.name: face for face in (chat.FACE, messages.FACE)}
