"""Messages by the anthropic SDK: each helper as anyone calls it."""

from __future__ import annotations

import json
from typing import Any

import anthropic

from tests.grid.words import Asked, Called, Json, Refused, Results, Said, User, agreeing

STOPS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def _messages(asked: Asked) -> list[Any]:
    found: list[Any] = []
    for turn in asked.turns:
        if isinstance(turn, User):
            found.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            found.append({"role": "user", "content": _results(turn)})
        else:
            found.append({"role": "assistant", "content": turn.back})
    return found


def _content(turn: User) -> Any:
    return [{"type": "text", "text": turn.text}, _picture(turn.image)] if turn.image else turn.text


def _picture(image: str) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}


def _results(turn: Results) -> list[Json]:
    found: list[Json] = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in turn.given]
    if turn.image:
        found[-1]["content"] = [{"type": "text", "text": found[-1]["content"]}, _picture(turn.image)]
    return found


def _body(asked: Asked, model: str) -> Json:
    if any(tool.schema is None for tool in asked.tools):
        raise Refused("the API has no word for it")
    tools = [{"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in asked.tools]
    body: Json = {"model": model, "max_tokens": 8192, "messages": _messages(asked)}
    body |= {"system": asked.system} if asked.system else {}
    body |= {"tools": tools} if tools else {}
    return body | ({"thinking": {"type": "enabled", "budget_tokens": 4096}} if asked.thinking else {})


def _written(asked: Asked) -> Json:
    if asked.shape is None:
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": asked.schema}}}


def _named(asked: Asked) -> Json:
    return {"output_format": asked.shape} if asked.shape else {}


def _said(message: Any, deltas: int = 0) -> Said:
    text = "".join(block.text for block in message.content if block.type == "text")
    thought = "".join(block.thinking for block in message.content if block.type == "thinking")
    calls = [Called(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    read = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    back = [_sent_back(block) for block in message.content]
    return Said(text, STOPS[message.stop_reason], read, message.usage.output_tokens, thought, calls,
                getattr(message, "parsed_output", None), deltas, back)  # fmt: skip


def _sent_back(block: Any) -> Json:
    told = block.model_dump(exclude_none=True)
    told.pop("parsed_output", None)
    return told


def create(client: anthropic.Anthropic, asked: Asked, model: str) -> Said:
    return _said(client.messages.create(**_body(asked, model), **_written(asked)))


def create_streamed(client: anthropic.Anthropic, asked: Asked, model: str) -> Said:
    """Each event put together by hand."""
    blocks: list[Json] = []
    partial: dict[int, str] = {}
    stop, deltas, usage = "", 0, {}
    with client.messages.create(**_body(asked, model), **_written(asked), stream=True) as events:
        for event in events:
            if event.type == "message_start":
                usage |= event.message.usage.model_dump(exclude_none=True)
            elif event.type == "content_block_start":
                assert event.index == len(blocks), f"block {event.index} after {len(blocks)}"
                blocks.append(event.content_block.model_dump(exclude_none=True))
            elif event.type == "content_block_delta":
                deltas += event.delta.type == "text_delta"
                _grow(blocks[event.index], event.delta, partial, event.index)
            elif event.type == "message_delta":
                stop = event.delta.stop_reason
                usage |= event.usage.model_dump(exclude_none=True)
    for index, written in partial.items():
        blocks[index]["input"] = json.loads(written or "{}")
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thought = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    calls = [Called(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    read = usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
    return Said(text, STOPS[stop], read, usage["output_tokens"], thought, calls, deltas=deltas, back=blocks)


def _grow(block: Json, delta: Any, partial: dict[int, str], index: int) -> None:
    match delta.type:
        case "text_delta":
            block["text"] += delta.text
        case "thinking_delta":
            block["thinking"] += delta.thinking
        case "signature_delta":
            block["signature"] = delta.signature
        case "input_json_delta":
            partial[index] = partial.get(index, "") + delta.partial_json


def stream(client: anthropic.Anthropic, asked: Asked, model: str) -> Said:
    with client.messages.stream(**_body(asked, model), **_named(asked)) as events:
        told = list(events.text_stream)
        return agreeing(_said(events.get_final_message(), len(told)), told)


def parse(client: anthropic.Anthropic, asked: Asked, model: str) -> Said:
    return _said(client.messages.parse(**_body(asked, model), **_named(asked)))


ROWS = {
    "messages.create": create,
    "messages.create(stream=True)": create_streamed,
    "messages.stream": stream,
    "messages.parse": parse,
}
