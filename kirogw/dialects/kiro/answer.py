"""Kiro's answer: the bytes of its event stream to events (kiro 4.2 to 4.6, 7.3).

Frames are told apart by their `:event-type` and nothing else. Equal text that comes twice is text that comes twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kirogw.answer import Event, HiddenThought, Reason, Stop, TextDelta, ThoughtDelta, ThoughtSeal, Usage
from kirogw.dialects.kiro.calls import BrokenCall, Calls
from kirogw.dialects.kiro.faults import judge_exception, lost
from kirogw.dialects.kiro.models import SECRET, is_gpt
from kirogw.dialects.provider import Model, Refused, Verdict
from kirogw.dialects.replied import number_of, object_of
from kirogw.dialects.seals import seal
from kirogw.flow.eventstream import DamagedStream, Decoder, Message, StreamCut
from kirogw.flow.tally import fold
from kirogw.flow.thinking import Thinking
from kirogw.wire import Json

TEXT: Final = "assistantResponseEvent"
FULL: Final = 100.0

REASONS: Final[dict[str, Reason]] = {
    "END_TURN": "end", "STOP_SEQUENCE": "stop_sequence", "MAX_TOKENS": "max_tokens",
    "MODEL_CONTEXT_WINDOW_EXCEEDED": "window", "CONTENT_FILTERED": "refusal", "PAUSE_TURN": "pause",
    # A call was meant and none came: the model did not get to what it wanted.
    "TOOL_USE": "max_tokens", "MALFORMED_TOOL_USE": "max_tokens",
}  # fmt: skip


class Reader:
    """Reads one answer (see provider.Reader).

    `names`: Kiro's name of a tool to the client's, where they differ. `thinking_tags`: emulated thinking was asked for,
    and `handling` says what becomes of it (see flow.thinking). `count` gives the tokens of a text, `estimate` are those
    of the input as estimated. `learned`: this account has sent a metadataEvent before, so one that is missing tells of
    an answer that was cut. `mark`: of the account, for the seals of its thoughts.

    A failure before anything was given is raised at once, and takes what came with it in the same read along: so it can
    be tried again. Later what came before it is given first, and the next call raises.
    """

    __slots__ = (
        "_calls", "_count", "_decoder", "_ending", "_estimate", "_failure", "_flowing", "_kind", "_learned", "_mark",
        "_model", "_part", "_parts", "_signature", "_spoke", "_tags", "_texts", "_thoughts", "_trim", "cut_calls",
        "cut_text", "learned", "model_id", "visible", "whole",
    )  # fmt: skip

    def __init__(self, model: Model, *, names: Mapping[str, str], count: Callable[[str], int], estimate: int,
                 thinking_tags: bool = False, handling: str = "as_reasoning_content",
                 learned: bool = False, mark: str = "") -> None:  # fmt: skip
        self.visible = False  # an event has been given
        self.whole = False  # only the end of the bytes is the end
        self.learned = False  # it told how it ended, as it always will
        self.model_id = model.id  # the one that answers, once it has named itself
        self.cut_calls: list[str] = []  # ids of calls that broke off, after `close`
        self.cut_text = ""  # the text, if it broke off
        self._model, self._count, self._estimate, self._learned, self._mark = model, count, estimate, learned, mark
        self._decoder = Decoder()
        self._failure: Verdict | None = None
        self._tags = Thinking(handling) if thinking_tags else None
        self._parts = itertools.count()
        self._calls = Calls(names, self._parts)
        self._part = -1  # the text or thought that is open
        self._kind: type | None = None  # TextDelta or ThoughtDelta: what is open
        self._flowing = False  # the next text needs no more than its event
        self._trim = False  # line breaks that lead over from thinking to the text
        self._spoke = False  # there was text or thinking, visible or not
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._signature: list[str] = []
        self._ending = _Ending()

    def receive(self, data: bytes) -> list[Event]:
        if self._failure:
            raise Refused(self._failure)
        out: list[Event] = []
        failure: Verdict | None = None
        try:
            self._read(self._decoder.receive(data), out)
            fold(self._texts)
            fold(self._thoughts)
            if self._decoder.damage:
                failure = lost("damaged")
        except (DamagedStream, BrokenCall, orjson.JSONDecodeError):
            failure = lost("damaged")
        except Refused as refused:
            failure = refused.verdict
        if failure:
            self._failure = failure
            if not (self.visible and out):
                raise Refused(failure)
        if out:
            self.visible = True
        return out

    def close(self) -> list[Event]:
        if self._failure:
            raise Refused(self._failure)
        try:
            self._decoder.close()
        except StreamCut as error:
            raise Refused(lost("cut")) from error
        out: list[Event] = []
        self._close_tags(out)
        self._give_seal(out)
        stop = self._stop()
        return [*out, self.usage(), stop]

    def usage(self) -> Usage:
        """Kiro's own figures if it gave them; else the share of the window that is taken, less the output; else our
        own. May be asked at any time.
        """
        removed = self._tags.removed if self._tags else []
        thinking = self._count("".join([*self._thoughts, *removed])) if self._thoughts or removed else 0
        output = self._count("".join(self._texts) + "".join(self._calls.arguments)) + thinking
        return self._ending.usage(self._model.window, self._estimate, output, thinking)

    # ---- frames

    def _read(self, messages: list[Message], out: list[Event]) -> None:
        for message in messages:
            if self._flowing and message.type == TEXT and message.kind == "event":
                fields = orjson.loads(message.payload)
                if type(fields) is dict and type(text := fields.get("content")) is str and text:
                    out.append(TextDelta(self._part, text))
                    self._texts.append(text)
                    continue
            if message.kind == "event":
                self._event(message, out)
            elif message.kind:
                self._exception(message, out)

    def _event(self, message: Message, out: list[Event]) -> None:
        """Events that stand in neither table hold nothing for a client: citations, metrics, follow-up questions."""
        act = EVENTS.get(message.type)
        if act:
            fields = orjson.loads(message.payload or b"{}")
            if not isinstance(fields, dict):
                raise Refused(lost("damaged"))
            act(self, fields, out)
        elif message.type in FAILURES:
            raise Refused(judge_exception(FAILURES[message.type], message.payload, model=self.model_id))

    def _exception(self, message: Message, out: list[Event]) -> None:
        """An exception or an error. Of the length, after some of the answer, it is an end like that at max_tokens."""
        if message.type.endswith("ContentLengthExceededException") and (self.visible or out):
            self._ending.reason = "MAX_TOKENS"
            return
        payload = message.payload or str(message.headers.get(":error-message", "")).encode()
        raise Refused(judge_exception(message.type, payload, model=self.model_id))

    # ---- text and thinking

    def _text(self, fields: Json, out: list[Event]) -> None:
        if isinstance(name := fields.get("modelId"), str) and name:
            self.model_id = name
        text = _string(fields, "content")
        if not text:
            return
        self._spoke = True
        if self._tags is None or self._tags.done:
            self._say(text, out)
            return
        pieces = self._tags.feed(text)
        self._trim = self._trim or (bool(self._tags.removed) and not self._texts)
        for thought, piece in pieces:
            (self._think if thought else self._say)(piece, out)

    def _say(self, text: str, out: list[Event]) -> None:
        if self._trim:
            text = text.lstrip("\n")
            if not text:
                return
            self._trim = False
        self._give_seal(out)
        self._open(TextDelta)
        out.append(TextDelta(self._part, text))
        self._texts.append(text)
        self._flowing = self._tags is None or self._tags.done

    def _think(self, text: str, out: list[Event]) -> None:
        self._give_seal(out)
        self._open(ThoughtDelta)
        out.append(ThoughtDelta(self._part, text))
        self._thoughts.append(text)
        self._trim = not self._texts

    def _reasoning(self, fields: Json, out: list[Event]) -> None:
        """Thinking of the model's own: text, then a signature, which may come in pieces; or a secret (kiro 7.3)."""
        self._close_tags(out)
        self._spoke, self._flowing = True, False
        text = _string(fields, "text")
        if text and not (text == SECRET and is_gpt(self.model_id)):
            self._think(text, out)
        if signature := _string(fields, "signature"):
            self._signature.append(signature)
        if secret := _string(fields, "redactedContent"):
            self._give_seal(out)
            out.append(HiddenThought(self._take(), seal("r", self._model.id, secret, self._mark)))

    def _give_seal(self, out: list[Event]) -> None:
        """The signature is whole as soon as something else comes. A secret thought has one and no text."""
        if not self._signature:
            return
        made = seal("s", self._model.id, "".join(self._signature), self._mark)
        self._signature.clear()
        if self._kind is ThoughtDelta:
            out.append(ThoughtSeal(self._part, made))
            self._kind = None
        else:
            out.append((HiddenThought if is_gpt(self.model_id) else ThoughtSeal)(self._take(), made))

    def _tool(self, fields: Json, out: list[Event]) -> None:
        self._close_tags(out)
        self._give_seal(out)
        if self._calls.receive(fields, out):
            self._kind, self._flowing = None, False

    def _close_tags(self, out: list[Event]) -> None:
        """Emulated thinking ends where a call, the model's own thinking or the end of the answer comes."""
        if self._tags and not self._tags.done:
            for thought, piece in self._tags.finish():
                (self._think if thought else self._say)(piece, out)

    def _open(self, kind: type) -> None:
        if self._kind is not kind:
            self._part, self._kind = self._take(), kind

    def _take(self) -> int:
        """The number of a new part, which closes the one before it."""
        self._kind, self._flowing = None, False
        return next(self._parts)

    # ---- the end

    def _metadata(self, fields: Json, out: list[Event]) -> None:
        self.learned = True
        self._ending.read(fields)

    def _context(self, fields: Json, out: list[Event]) -> None:
        self._ending.filled(fields.get("contextUsagePercentage"))

    def _metering(self, fields: Json, out: list[Event]) -> None:
        self._ending.metered(fields.get("usage"))

    def _stop(self) -> Stop:
        """How the answer ended, by its content before anything that Kiro says of it (kiro 4.4). Raises Refused.

        An answer of nothing but thinking stays what it is: clients ask for more by themselves, and text made up here
        would go back to the model.
        """
        cut, ending = self._calls.cut(), self._ending
        if cut:
            if not all(call.is_stump() for call in cut):
                raise Refused(lost("cut"))  # a client would run what there is
            self.cut_calls = [call.id for call in cut]
            return Stop("max_tokens")
        if not (self._spoke or self._calls or ending.reason or ending.share >= FULL):
            raise Refused(lost("empty"))
        if not (self.learned or ending.seen or ending.reason):
            raise Refused(lost("cut"))
        if self._calls.any_whole():
            return Stop("calls")
        reason = REASONS.get(ending.reason, "end")
        if self._learned and not self.learned:
            reason = "max_tokens"
        if reason == "end" and ending.share >= FULL:
            reason = "window"
        if reason == "max_tokens" and ending.reason in ("MAX_TOKENS", ""):
            self.cut_text = "".join(self._texts)
        return Stop(reason, detail=ending.detail)


class _Ending:
    """What Kiro says at the end: why it stopped and what was used. `seen`: one of the marks of an answer's end."""

    __slots__ = ("_credits", "_tokens", "detail", "reason", "seen", "share")

    def __init__(self) -> None:
        self.reason = ""
        self.detail = ""
        self.share = 0.0  # of the window that is taken, in percent, the output included
        self.seen = False
        self._credits = 0.0
        self._tokens: Json = {}

    def read(self, fields: Json) -> None:
        if isinstance(reason := fields.get("stopReason"), str) and reason:
            self.reason = reason.upper()
        refusal = object_of(object_of(fields.get("stopDetails")).get("refusal"))
        self.detail = str(refusal.get("explanation") or refusal.get("category") or self.detail)
        self._tokens = object_of(fields.get("tokenUsage")) or self._tokens
        self.share = self.share or _number(self._tokens.get("contextUsagePercentage"))

    def filled(self, share: Any) -> None:
        self.seen = True
        self.share = _number(share) or self.share

    def metered(self, credits: Any) -> None:
        self.seen = True
        self._credits += _number(credits)

    def usage(self, window: int, estimate: int, output: int, thinking: int) -> Usage:
        given = self._tokens
        if "uncachedInputTokens" in given and "outputTokens" in given:
            fresh, read, write, out = (int(_number(given.get(name))) for name in (
                "uncachedInputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens",
            ))  # fmt: skip
            return Usage(fresh + read + write, out, read, write, min(thinking, out), self._credits, source="measured")
        total = round(self.share / 100 * window) if self.share <= FULL else 0
        if total > output:
            return Usage(total - output, output, thinking=thinking, credits=self._credits, source="derived")
        return Usage(estimate, output, thinking=thinking, credits=self._credits)


def _string(fields: Json, name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(lost("damaged"))
    return value or ""


def _number(value: Any) -> float:
    return number_of(value) or 0.0


EVENTS: Final[dict[str, Callable[[Reader, Json, list[Event]], None]]] = {
    TEXT: Reader._text, "codeEvent": Reader._text, "reasoningContentEvent": Reader._reasoning,
    "toolUseEvent": Reader._tool, "metadataEvent": Reader._metadata, "contextUsageEvent": Reader._context,
    "meteringEvent": Reader._metering,
}  # fmt: skip

FAILURES: Final = {
    "error": "InternalServerException", "invalidStateEvent": "invalidStateEvent",
    "modelTemporarilyUnavailableEvent": "modelTemporarilyUnavailableEvent",
    "modelUnavailableEvent": "modelUnavailableEvent",
}  # fmt: skip
