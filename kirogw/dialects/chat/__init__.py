"""The Chat Completions API (OpenAI)."""

from __future__ import annotations

from typing import Final

from kirogw.dialects.chat.answer import AnswerWriter, whole
from kirogw.dialects.chat.request import read
from kirogw.dialects.face import Face
from kirogw.dialects.openai import error

FACE: Final = Face("chat", read, AnswerWriter, whole, error)
