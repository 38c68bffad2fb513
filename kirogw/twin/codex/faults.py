"""Faults in the shapes of ChatGPT: its errors, and server-sent events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin import faults, replies
from kirogw.twin.codex.play import sse
from kirogw.wire import Json, Reply

GROUPS: Final = {"auth": ("token", "siwc_token", "usercode", "device_token", "revoke"), "control": ("models", "usage")}


@dataclass
class Fault(faults.Fault):
    """`exception` is the error of a `response.failed`, `error` the members of an `error` event."""

    code: str | None = None  # error.code
    detail: Any = None  # the body is {"detail": this}

    groups = GROUPS
    places = ("payload",)

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
        """With JSON that can not be read."""
        return frame.replace(b'{"type"', b'{"type', 1)


def _dated(error: Json) -> Json:
    """With the time at which what is used up comes back, where the seconds until then are told."""
    if "resets_in_seconds" in error and "resets_at" not in error:
        return {**error, "resets_at": int(time.time()) + error["resets_in_seconds"]}
    return error
