"""The legacy Completions API (OpenAI): a text goes in, its answer comes out. One file is enough for it.

The prompt is what the user says. The models here talk; none merely continues a text, so `suffix` can not be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kirogw.answer import Answer, Event, Stop, TextDelta, Usage
from kirogw.conversation import Conversation, Text, Turn
from kirogw.dialects import clean, openai
from kirogw.dialects.clients import session_of
from kirogw.dialects.face import Ask, Client, ErrorReply, Face, Heading
from kirogw.dialects.fields import Refusal, count, may, model_name, need, nothing, options, refuse, strings
from kirogw.dialects.openai_parts import stops
from kirogw.dialects.quoted import line, quoted
from kirogw.errors import BadRequest, BrokenAnswer, GatewayError
from kirogw.wire import Json

STOPS: Final = {"max_tokens": "length", "window": "length", "refusal": "content_filter"}  # all others: stop
PING: Final = b": ping\n\n"
DONE: Final = b"data: [DONE]\n\n"
OPTIONS: Final[dict[str, type]] = {"temperature": float, "top_p": float}


def read(body: Json, headers: Mapping[str, str]) -> Ask:
    refuse(body, REFUSED)
    prompt = read_prompt(body)
    streaming = may(body, "stream_options", dict, {})
    return Ask(
        Conversation(
            model=model_name(body),
            turns=(Turn("user", (Text(prompt),)),),
            stops=stops(body),
            max_tokens=count(body, "max_tokens"),
            session=session_of(headers) or may(body, "user", str, ""),
            options=options(body, OPTIONS),
        ),
        stream=may(body, "stream", bool, False),
        usage=may(streaming, "include_usage", bool, False, "stream_options."),
        echo={"prompt": clean.text(prompt)} if may(body, "echo", bool, False) else {},
    )


def read_prompt(body: Json) -> str:
    """A text, or a list with one: a request has one answer. Numbers are tokens of another model."""
    prompt = body.get("prompt")
    if prompt.__class__ is list:
        if prompt and all(item.__class__ in (int, list) for item in prompt):
            raise BadRequest("must be text: the numbers of tokens are those of another model", param="prompt")
        texts = strings(body, "prompt")
        if len(texts) != 1:
            raise BadRequest("must hold one text: a request has one answer; send several requests", param="prompt")
        return _said(texts[0], "prompt.0")
    return _said(need(body, "prompt", str), "prompt")


def _said(text: str, param: str) -> str:
    if not text:
        raise BadRequest("must not be empty", param=param)
    return text


REFUSED: Final[dict[str, Refusal]] = {
    "n": (lambda n: bool(n == 1), "must be 1: a request has one answer; send several requests"),
    "best_of": (lambda n: bool(n == 1), "must be 1: a request has one answer, and no other to compare it with"),
    "logprobs": (lambda n: False, "can not be had: the models here give no probabilities"),
    "suffix": (nothing, "can not be had: no model here fills in the middle of a text; ask for it in the prompt"),
}


class AnswerWriter:
    """Writes one streamed answer (see face.Writer)."""

    def __init__(self, heading: Heading, ask: Ask) -> None:
        self._heading, self._asked = heading, ask.usage
        self._prompt: str = ask.echo.get("prompt", "")
        self._part, self._said = -1, False
        self._stop: Stop | None = None
        self._usage = Usage(input=heading.input)
        head, tail = line(self._chunk([]))[:-1].split(b'"choices":[]')
        self._head = b"data: " + head + b'"choices":[{"text":'
        self._tail = b',"index":0,"logprobs":null,"finish_reason":null}]' + tail + b"}\n\n"

    def begin(self) -> bytes:
        return self._head + quoted(self._prompt) + self._tail

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            kind = type(event)
            if kind is TextDelta:
                self._text(event, out)  # type: ignore[arg-type]
            elif kind is Stop:
                self._stop = event  # type: ignore[assignment]
            elif kind is Usage:
                self._usage = event  # type: ignore[assignment]
        return b"".join(out)

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        """A blank line stands between texts that are parts of their own."""
        if event.part != self._part:
            if self._said:
                out += (self._head, b'"\\n\\n"', self._tail)
            self._part = event.part
        self._said = self._said or bool(event.text)
        out += (self._head, quoted(event.text), self._tail)

    def beat(self) -> bytes:
        return PING

    def end(self) -> bytes:
        if self._stop is None:  # never a clean finish for an answer that is none
            return self.fail(BrokenAnswer("the answer ended without a reason; try again in a moment"))
        last = b"data: " + line(self._chunk([_choice("", self._stop)])) + b"\n\n"
        if self._asked:
            last += b"data: " + line({**self._chunk([]), "usage": usage(self._usage)}) + b"\n\n"
        return last + DONE

    def fail(self, error: GatewayError) -> bytes:
        return b"data: " + line(openai.error_body(error, whole="prompt")) + b"\n\n"

    def _chunk(self, choices: list[Json]) -> Json:
        chunk = {**_completion(self._heading), "choices": choices}
        return {**chunk, "usage": None} if self._asked else chunk


def whole(answer: Answer, heading: Heading, ask: Ask) -> Json:
    """The answer that is not streamed: what the SDKs collect from the stream."""
    text = "\n\n".join(block.text for block in answer.blocks if block.kind == "text" and block.text)
    choice = _choice(ask.echo.get("prompt", "") + text, answer.stop)
    return {**_completion(heading), "choices": [choice], "usage": usage(answer.usage)}


def _choice(text: str, stop: Stop) -> Json:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": STOPS.get(stop.reason, "stop")}


def _completion(heading: Heading) -> Json:
    return {"id": "cmpl-" + heading.id, "object": "text_completion", "created": heading.created,
            "model": heading.model, "system_fingerprint": None}  # fmt: skip


def usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking},
    }


def error(error: GatewayError, client: Client, request_id: str) -> ErrorReply:
    return openai.error(error, client, request_id, "prompt")


FACE: Final = Face("completions", read, AnswerWriter, whole, error)
