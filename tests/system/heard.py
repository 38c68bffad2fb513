"""What a client got, whichever API it speaks: one value for a whole answer, a stream, or an error."""

import json
from dataclasses import dataclass, replace

from tests.system.talk import events

CLEAN = {"end_turn", "stop", "tool_use", "tool_calls", "completed"}  # how an answer ends that is all that was to be said


@dataclass(frozen=True)
class Heard:
    """`type`, `code` and `words` are the error's, in the body or inside the stream; `stop` is how the answer says that it
    ended, "" where it does not. `arguments` is the text of a call's arguments. `beats` counts signs of life.
    """

    face: str
    status: int
    headers: dict
    text: str = ""
    arguments: str = ""
    stop: str = ""
    type: str = ""
    code: str = ""
    words: str = ""
    error: dict | None = None
    beats: int = 0
    # what else is known of the request
    seconds: float = 0.0
    tries: int = 0
    rules: tuple = ()

    @property
    def failed(self):
        return self.error is not None

    @property
    def in_band(self):
        return self.failed and self.status == 200

    @property
    def clean(self):
        return not self.failed and self.stop in CLEAN

    @property
    def wait(self):
        return int(self.headers["Retry-After"]) if "Retry-After" in self.headers else None


def read(face, reply, data):
    """From a reply of `requests` and its body. Raises AssertionError for what no API sends."""
    seen = Heard(face, reply.status_code, dict(reply.headers))
    if reply.status_code != 200:
        assert reply.headers["Content-Type"] == "application/json"
        return _failed(seen, json.loads(data)["error"])
    if reply.headers["Content-Type"].startswith("text/event-stream"):
        return STREAMS[face](seen, data)
    return WHOLES[face](seen, json.loads(data))


def _failed(seen, error):
    return replace(seen, error=error, type=error["type"], code=error.get("code") or "", words=error["message"])


def _messages_stream(seen, data):
    told = events(data)
    kinds = [event["type"] for event in told]
    deltas = [event.get("delta", {}) for event in told]
    pings = kinds.count("ping") - ("content_block_start" in kinds)  # the real API sends one with the first block
    seen = replace(
        seen, beats=pings, text="".join(delta.get("text", "") for delta in deltas),
        arguments="".join(delta.get("partial_json", "") for delta in deltas),
        stop=next((delta["stop_reason"] for delta in deltas if delta.get("stop_reason")), ""),
    )  # fmt: skip
    failed = [event["error"] for event in told if event["type"] == "error"]
    assert len(failed) + kinds.count("message_stop") == 1, "a stream ends once: with message_stop or with an error"
    assert kinds[-1] in ("error", "message_stop")
    return _failed(seen, failed[0]) if failed else seen


def _chat_stream(seen, data):
    told = events(data)
    chunks = [event for event in told if "choices" in event]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    seen = replace(
        seen, beats=sum(event == {"type": "ping"} for event in told),
        text="".join(choice["delta"].get("content") or "" for choice in choices),
        arguments="".join(call["function"].get("arguments") or "" for call in calls),
        stop=next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), ""),
    )  # fmt: skip
    failed = [event["error"] for event in told if "error" in event]
    assert len(failed) + told.count("[DONE]") == 1, "a stream ends once: with [DONE] or with an error"
    assert told[-1] == "[DONE]" or "error" in told[-1]
    return _failed(seen, failed[0]) if failed else seen


def _messages_whole(seen, body):
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    calls = [block["input"] for block in body["content"] if block["type"] == "tool_use"]
    raw = [call["__unparsedToolInput"]["raw"] if "__unparsedToolInput" in call else json.dumps(call) for call in calls]
    return replace(seen, text="".join(texts), arguments="".join(raw), stop=body["stop_reason"])


def _chat_whole(seen, body):
    message = body["choices"][0]["message"]
    calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return replace(seen, text=message["content"] or "", arguments="".join(calls), stop=body["choices"][0]["finish_reason"])


ENDS = ("response.completed", "response.incomplete", "response.failed")


def _responses_stream(seen, data):
    told = events(data)
    kinds = [event["type"] for event in told]
    deltas = {kind: "".join(event["delta"] for event in told if event["type"] == kind) for kind in set(kinds) if kind.endswith(".delta")}
    seen = replace(
        seen, beats=kinds.count("keepalive"), text=deltas.get("response.output_text.delta", ""),
        arguments=deltas.get("response.function_call_arguments.delta", ""),
    )  # fmt: skip
    assert sum(kind in ENDS for kind in kinds) == 1, "a stream ends once"
    assert kinds[-1] in ENDS
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    last = told[-1]["response"]
    return _failed(seen, {"type": "", **last["error"]}) if kinds[-1] == "response.failed" else replace(seen, stop=_status(last))


def _status(response):
    return response["incomplete_details"]["reason"] if response["status"] == "incomplete" else response["status"]


def _responses_whole(seen, body):
    texts = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
    calls = [item["arguments"] for item in body["output"] if item["type"] == "function_call"]
    return replace(seen, text="".join(texts), arguments="".join(calls), stop=_status(body))


STREAMS = {"messages": _messages_stream, "chat": _chat_stream, "responses": _responses_stream}
WHOLES = {"messages": _messages_whole, "chat": _chat_whole, "responses": _responses_whole}
