"""Faults in the shapes of Kiro: its errors, and frames of an event stream."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from kirogw.twin import faults
from kirogw.twin.ask import text
from kirogw.twin.kiro import frames, replies
from kirogw.wire import Reply

TYPES: Final = {
    400: "ValidationException", 401: "UnauthorizedException", 402: "ServiceQuotaExceededException",
    403: "AccessDeniedException", 404: "ResourceNotFoundException", 409: "ConflictException",
    429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip


GROUPS: Final = {"auth": ("refresh", "token", "idp"), "control": ("models", "profiles", "profile", "usage")}


@dataclass
class Fault(faults.Fault):
    """`exception` is a modelled failure, with its `type`; `error` has a `code` and a `message`."""

    groups = GROUPS
    places = frames.PLACES

    def reply(self) -> Reply:
        return replies.fault(self.status, self.type or TYPES.get(self.status, "InternalServerException"), self.message,
                             self.reason, self.more, self.headers)  # fmt: skip

    def failure(self) -> bytes:
        if self.exception is not None:
            body = {name: value for name, value in self.exception.items() if name != "type"}
            return frames.exception(text(self.exception.get("type")) or "InternalServerException", body)
        if self.error is not None:
            return frames.error(text(self.error.get("code")) or "InternalError", text(self.error.get("message")))
        return b""

    def spoilt(self, frame: bytes) -> bytes:
        return frames.flip(frame, self.corrupt)

    def is_kind(self, frame: bytes, kind: str) -> bool:
        return b":event-type\x07" + struct.pack(">H", len(kind)) + kind.encode() in frame
