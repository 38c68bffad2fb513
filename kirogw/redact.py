"""Texts without what looks like a secret: for the log, for recordings, for error messages from elsewhere."""

from __future__ import annotations

import re
from typing import Final

_SECRETS: Final = re.compile(
    r"(?:ao[ar][A-Za-z0-9+/=_:.-]{8,}|ksk_[A-Za-z0-9_-]{4,}|kgw_[A-Za-z0-9_-]{4,}|sk-[A-Za-z0-9_-]{8,}"
    r"|(?<![A-Za-z0-9])(?:rt|ac)_[A-Za-z0-9_.-]{20,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=x-api-key: ))[^\s\"',]{4,})"
)
_TOKENS: Final = re.compile(r"ey[A-Za-z0-9_-]{8,}+(\.[A-Za-z0-9_.-]{8,})?")
"""JSON web tokens. What only begins like one is matched too, so that no text is read again from each "ey" in it."""
_MEMBERS: Final = re.compile(
    r"(?i)(\"?(?:access_?token|refresh_?token|client_?secret|id_?token|api_?key|authorization|x-api-key|device_?code"
    r"|code_?verifier|authorization_?code|device_?auth_?id)\"?\s*[:=]\s*\"?)(?!Bearer )[^\s\"',&}]+"
)


def clean(text: str) -> str:
    """`text` without anything that looks like a secret."""
    text = _TOKENS.sub(lambda found: "***" if found[1] else found[0], _SECRETS.sub("***", text))
    return _MEMBERS.sub(r"\1***", text)
