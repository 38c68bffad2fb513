"""The Responses API (OpenAI)."""

from __future__ import annotations

from typing import Final

from kirogw.dialects.face import Face
from kirogw.dialects.responses.answer import AnswerWriter
from kirogw.dialects.responses.errors import error
from kirogw.dialects.responses.request import read
from kirogw.dialects.responses.whole import kept, whole

FACE: Final = Face("responses", read, AnswerWriter, whole, error)

__all__ = ["FACE", "kept"]
