"""Models, ChatGPT's events, and reading them, for the tests beside this file."""

import json

from kirogw.dialects.codex import answer
from kirogw.dialects.codex.models import FALLBACK
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.provider import Model, Reading
from tests.dialects.talk import heard, refusal

SOL = next(model for model in FALLBACK if model.id == "gpt-6.1-sol")
OLD = Model("gpt-5.5", efforts=("low", "medium", "high", "xhigh"))  # no Lite
BLIND = Model("gpt-5.3-codex-spark", images=False)
TERMS = Terms(OLD, "classic")


# ChatGPT's events


def sse(event):
    return f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode()


def said(kind, **members):
    return sse({"type": f"response.{kind}", "sequence_number": 7, **members})


def created():
    return said("created", response={"id": "resp_1", "status": "in_progress"})


def added(index, kind, **members):
    return said("output_item.added", output_index=index, item={"type": kind, "id": f"id_{index}", **members})


def done(index, kind, **members):
    return said("output_item.done", output_index=index, item={"type": kind, "id": f"id_{index}", **members})


def text(index, delta, content=0):
    return said("output_text.delta", output_index=index, content_index=content, delta=delta)


def message(*texts, **members):
    return {"content": [{"type": "output_text", "text": text, "annotations": []} for text in texts], **members}


def summary(index, delta, part=0):
    return said("reasoning_summary_text.delta", output_index=index, summary_index=part, delta=delta)


def thought(*parts, seal="gAAA"):
    return {"summary": [{"type": "summary_text", "text": part} for part in parts], "encrypted_content": seal}


def arguments(index, delta):
    return said("function_call_arguments.delta", output_index=index, delta=delta)


USAGE = {
    "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 120,
}  # fmt: skip


def completed(output=(), usage=USAGE):
    return said("completed", response={"id": "resp_1", "status": "completed", "output": list(output), "usage": usage})


def incomplete(reason):
    return said("incomplete", response={"id": "resp_1", "incomplete_details": {"reason": reason}, "usage": USAGE})


def failed(code, message="It failed.", **members):
    return said("failed", response={"status": "failed", "error": {"code": code, "message": message, **members}})


# Reading them


def new(names=None, model=SOL, mark=""):
    return answer.Reader(names or {}, Reading(model, len, 50, mark=mark))


def read(frames, reader=None, step=None):
    return heard(reader or new(), frames, step)


def refused(frames, reader=None):
    return refusal(reader or new(), frames)
