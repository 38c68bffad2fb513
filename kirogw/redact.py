"""Texts without what looks like a secret: for the log, for recordings, for error messages from elsewhere."""

from __future__ import annotations

import re
from typing import Final

_SECRETS: Final = re.compile(
    r"(?:ao[ar][A-Za-z0-9+/=_:.-]{8,}|ksk_[A-Za-z0-9_-]{4,}|kgw_[A-Za-z0-9_-]{4,}|sk-[A-Za-z0-9_-]{8,}"
    r"|ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=x-api-key: ))[^\s\"',]{4,})"
)
_MEMBERS: Final = re.compile(
    r"(?i)(\"?(?:access_?token|refresh_?token|client_?secret|id_?token|api_?key|authorization|x-api-key|device_?code"
    r"|code_?verifier)\"?\s*[:=]\s*\"?)(?!Bearer )[^\s\"',&}]+"
)


def clean(text: str) -> str:
    """`text` without anything that looks like a secret."""
    return _MEMBERS.sub(r"\1***", _SECRETS.sub("***", text))
