"""The legacy Completions by the openai SDK: a prompt in, text out."""

from __future__ import annotations

from typing import Any

import openai

from tests.grid.words import Asked, Refused, Said, User


def _prompt(asked: Asked) -> str:
    if asked.tools or asked.shape or asked.thinking or any(isinstance(turn, User) and turn.image for turn in asked.turns):
        raise Refused("the API has no word for it")
    said = [turn.text for turn in asked.turns if isinstance(turn, (User, Said))]
    return "\n\n".join([asked.system, *said] if asked.system else said)


def _said(text: str, stop: str, usage: Any, deltas: int = 0) -> Said:
    return Said(text, stop, usage.prompt_tokens, usage.completion_tokens, deltas=deltas)


def create(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    completion = client.completions.create(model=model, prompt=_prompt(asked), max_tokens=1000)
    return _said(completion.choices[0].text, completion.choices[0].finish_reason, completion.usage)


def create_streamed(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    text, stop, deltas, usage = "", "", 0, None
    more: Any = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 1000}
    with client.completions.create(model=model, prompt=_prompt(asked), **more) as chunks:
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.text
                deltas += bool(choice.text)
                stop = choice.finish_reason or stop
    assert usage is not None, "no usage in the stream"
    return _said(text, stop, usage, deltas)


ROWS = {"completions.create": create, "completions.create(stream=True)": create_streamed}
