"""The Messages API (Anthropic)."""

from __future__ import annotations

from typing import Final

from kirogw.dialects.face import Face
from kirogw.dialects.messages.answer import AnswerWriter, whole
from kirogw.dialects.messages.errors import error
from kirogw.dialects.messages.request import read

FACE: Final = Face("messages", read, AnswerWriter, whole, error)
