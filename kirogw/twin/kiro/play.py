"""An answer's steps become frames: texts in small pieces, arguments cut where the script says, the tail at the end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kirogw.twin.ask import estimate, obj, text
from kirogw.twin.kiro import frames
from kirogw.twin.kiro.ask import Ask
from kirogw.twin.kiro.state import Options
from kirogw.twin.script import cut
from kirogw.twin.server import Piece
from kirogw.wire import Json

SEAL: Final = b"the twin's own seal"
K_IN: Final = 1.6584e-5  # credits a token at rate 1, measured live
K_OUT: Final = 6.66 * K_IN


class Player:
    """Plays one answer to `ask`; afterwards `credits` tells what it cost."""

    def __init__(self, ask: Ask, options: Options) -> None:
        self.ask = ask
        self.options = options
        self.credits = 0.0
        self._written = 0  # characters of text, thinking and arguments
        self._called = False
        self._tail: Json = {}
        self._model = ask.model_id if ask.model_id != "auto" else "claude-sonnet-4.6"

    def play(self, steps: Iterable[Json]) -> Iterator[Piece]:
        """The frames of all steps, then the tail: metadataEvent, contextUsageEvent, meteringEvent."""
        conversation = text(self.ask.state.get("conversationId")) or secrets.token_hex(16)
        opening = {"conversationId": conversation, "utteranceId": secrets.token_hex(16)}
        yield Piece(frames.event("messageMetadataEvent", opening))
        for step in steps:
            yield from self._step(step)
        yield from self._ending()

    def _step(self, step: Json) -> Iterator[Piece]:
        wait = float(step.get("delay", 0.0))
        pace = float(step.get("pace", self.options.pace))
        done = False
        for name, make in MAKERS.items():
            if name in step:
                for frame in make(self, step):
                    yield Piece(frame, pace if done else wait)
                    done = True
        if wait and not done:
            yield Piece(b"", wait, 0)
        self._tail.update({name: step[name] for name in TAIL if name in step})

    def _texts(self, step: Json) -> Iterator[bytes]:
        for part in cut(step["text"], step.get("pieces")):
            self._written += len(part)
            yield frames.event("assistantResponseEvent", {"content": part, "modelId": self._model})

    def _thoughts(self, step: Json) -> Iterator[bytes]:
        whole = step["thinking"]
        self._written += len(whole)
        yield from (frames.event("reasoningContentEvent", {"text": part}) for part in cut(whole, step.get("pieces")))
        if step.get("sealed", True):
            yield frames.event("reasoningContentEvent", {"signature": seal(self.ask.model_id, whole)})

    def _redacted(self, step: Json) -> Iterator[bytes]:
        blob = base64.b64encode(str(step["redacted"]).encode()).decode()
        yield frames.event("reasoningContentEvent", {"redactedContent": blob})

    def _signature(self, step: Json) -> Iterator[bytes]:
        yield frames.event("reasoningContentEvent", {"signature": step["signature"]})

    def _call(self, step: Json) -> Iterator[bytes]:
        self._called = True
        call = {"toolUseId": step.get("id") or f"tooluse_{secrets.token_urlsafe(16)}", "name": step["tool"]}
        given = step.get("input", {})
        written = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        self._written += len(written)
        if step.get("whole"):  # the old form: the arguments as an object, in one frame
            yield frames.event("toolUseEvent", {**call, "input": given})
        else:
            yield frames.event("toolUseEvent", call)
            for part in cut(written, step.get("pieces", 16)):
                yield frames.event("toolUseEvent", {**call, "input": part})
        if step.get("finished", True):
            yield frames.event("toolUseEvent", {**call, "stop": True})

    def _raw(self, step: Json) -> Iterator[bytes]:
        raw = step["raw"]
        yield frames.event(raw["type"], obj(raw.get("payload")))

    def _exception(self, step: Json) -> Iterator[bytes]:
        fault = obj(step["exception"])
        body = {name: value for name, value in fault.items() if name != "type"}
        yield frames.exception(text(fault.get("type")) or "InternalServerException", body)

    def _error(self, step: Json) -> Iterator[bytes]:
        fault = obj(step["error"])
        yield frames.error(text(fault.get("code")) or "InternalError", text(fault.get("message")))

    def _ending(self) -> Iterator[Piece]:
        if self._tail.get("end") is False:
            return
        wrote = estimate(self._written)
        read, rate = self.ask.tokens, float(self.ask.model.get("rateMultiplier") or 1.0)
        metadata: Json = {}
        stop = self._tail.get("stop", "TOOL_USE" if self._called else "END_TURN")
        if stop is not None:
            metadata["stopReason"] = stop
        if usage := self._tail.get("usage") or (self.options.token_usage and _usage(read, wrote)):
            metadata["tokenUsage"] = usage
        if metadata and self.options.metadata:
            yield Piece(frames.event("metadataEvent", metadata))
        share = self._tail.get("context", round(100 * (read + wrote) / self.ask.window, 4))
        if share is not None:
            yield Piece(frames.event("contextUsageEvent", {"contextUsagePercentage": share}))
        self.credits = self._tail.get("credits", round(rate * (K_IN * read + K_OUT * wrote), 6)) or 0.0
        if self._tail.get("credits", 0) is not None:
            price = {"unit": "credit", "unitPlural": "credits", "usage": self.credits}
            yield Piece(frames.event("meteringEvent", price))


TAIL: Final = ("usage", "stop", "credits", "context", "end")
MAKERS: Final[dict[str, Any]] = {
    "thinking": Player._thoughts,
    "redacted": Player._redacted,
    "signature": Player._signature,
    "text": Player._texts,
    "tool": Player._call,
    "raw": Player._raw,
    "exception": Player._exception,
    "error": Player._error,
}


def _usage(read: int, wrote: int) -> Json:
    return {"uncachedInputTokens": read, "outputTokens": wrote, "totalTokens": read + wrote,
            "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}  # fmt: skip


def seal(model: str, thought: str) -> str:
    """The signature of a thought: good for this text from this model only, and the same in every run."""
    mac = hmac.new(SEAL, f"{model}\n{thought}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return "Ev0B" + base64.b64encode(mac.digest()).decode()
