"""Faults on demand for the Codex half: Kiro's machinery with ChatGPT's error shapes and server-sent events.

Beside the members of Kiro's `Fault`: `code` and `detail` say what the error's body is made of. `exception` is the error
of a `response.failed`, `error` the members of an `error` event; both take the place of the frame `frame`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kirogw.twin import faults, replies
from kirogw.twin.codex.play import sse
from kirogw.wire import Json, Reply

GROUPS: Mapping[str, tuple[str, ...]] = {
    "auth": ("token", "siwc_token", "usercode", "device_token", "revoke"),
    "control": ("models", "usage"),
}


@dataclass
class Fault(faults.Fault):
    """`operation` is one of generate, models, usage, token, siwc_token, usercode, device_token, ...; a group; *."""

    code: str | None = None  # error.code
    detail: Any = None  # the body is {"detail": this}

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = GROUPS

    def reply(self) -> Reply:
        if self.detail is not None:
            return replies.plain(self.status, {"detail": self.detail, **self.more}, self.headers)
        error = {"message": self.message, "type": self.type or "server_error", "param": None, "code": self.code}
        return replies.plain(self.status, {"error": _dated({**error, **self.more})}, self.headers)

    def failure(self) -> bytes:
        if self.exception is not None:
            response: Json = {"id": "resp_failed", "object": "response", "status": "failed",
                              "error": _dated(self.exception), "output": [], "usage": None}  # fmt: skip
            return sse("response.failed", {"type": "response.failed", "sequence_number": 0, "response": response})
        if self.error is not None:
            return sse("error", {"type": "error", "sequence_number": 0, **self.error})
        return b""

    def is_kind(self, frame: bytes, kind: str) -> bool:
        return frame.startswith(f"event: {kind}\n".encode())

    def spoilt(self, frame: bytes) -> bytes:
        """A frame with JSON that can not be read: the place `payload` of Kiro's, the only one that there is."""
        return frame.replace(b'{"type"', b'{"type', 1)


def _dated(error: Json) -> Json:
    """With the time at which what is used up comes back, where the seconds until then are told."""
    if "resets_in_seconds" in error and "resets_at" not in error:
        return {**error, "resets_at": int(time.time()) + error["resets_in_seconds"]}
    return error
