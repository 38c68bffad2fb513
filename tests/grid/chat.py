"""Chat Completions by the openai SDK: each helper as anyone calls it."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.grid.words import Asked, Called, Json, Refused, Results, Said, User, agreeing


def _messages(asked: Asked) -> list[Any]:
    found: list[Any] = [{"role": "system", "content": asked.system}] if asked.system else []
    for turn in asked.turns:
        if isinstance(turn, User):
            found.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            found += [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in turn.given]
        else:
            found += turn.back
    return found


def _content(turn: User) -> Any:
    if not turn.image:
        return turn.text
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{turn.image}"}}
    return [{"type": "text", "text": turn.text}, picture]


def _tool(tool: Any) -> Json:
    if tool.schema is None:
        return {"type": "custom", "custom": {"name": tool.name, "description": tool.description}}
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "strict": True,
                                             "parameters": tool.schema}}  # fmt: skip


def _body(asked: Asked, model: str) -> Json:
    body: Json = {"model": model, "messages": _messages(asked)}
    body |= {"tools": [_tool(tool) for tool in asked.tools]} if asked.tools else {}
    return body | ({"reasoning_effort": "high"} if asked.thinking else {})


def _written(asked: Asked) -> Json:
    """The shape as a caller of `create` writes it out."""
    if asked.shape is None:
        return {}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "shape", "strict": True, "schema": asked.schema}}}


def _named(asked: Asked) -> Json:
    return {"response_format": asked.shape} if asked.shape else {}


def _said(completion: Any, deltas: int = 0) -> Said:
    choice = completion.choices[0]
    message = choice.message
    calls = [_called(call) for call in message.tool_calls or ()]
    back = {"role": "assistant", "content": message.content}
    if message.tool_calls:
        back["tool_calls"] = [call.to_dict() for call in message.tool_calls]
    return Said(message.content or "", choice.finish_reason, completion.usage.prompt_tokens,
                completion.usage.completion_tokens, getattr(message, "reasoning_content", None) or "", calls,
                getattr(message, "parsed", None), deltas, [back])  # fmt: skip


def _called(call: Any) -> Called:
    if call.type == "custom":
        return Called(call.id, call.custom.name, call.custom.input)
    return Called(call.id, call.function.name, json.loads(call.function.arguments))


def create(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    return _said(client.chat.completions.create(**_body(asked, model), **_written(asked)))


def create_streamed(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    """Each chunk put together by hand, as programs do that do not use the helper."""
    text, thought, stop, deltas, usage = "", "", "", 0, None
    calls: dict[int, Json] = {}
    more = {**_written(asked), "stream": True, "stream_options": {"include_usage": True}}
    with client.chat.completions.create(**_body(asked, model), **more) as chunks:
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                delta = choice.delta
                text += delta.content or ""
                deltas += bool(delta.content)
                thought += getattr(delta, "reasoning_content", None) or ""
                stop = choice.finish_reason or stop
                for call in delta.tool_calls or ():
                    _grow(calls.setdefault(call.index, {}), call)
    assert usage is not None, "no usage in the stream"
    back: Json = {"role": "assistant", "content": text or None}
    back |= {"tool_calls": list(calls.values())} if calls else {}
    return Said(text, stop, usage.prompt_tokens, usage.completion_tokens, thought, [_by_hand(c) for c in calls.values()],
                deltas=deltas, back=[back])  # fmt: skip


def _grow(call: Json, delta: Any) -> None:
    told = delta.to_dict()
    call |= {name: told[name] for name in ("id", "type") if told.get(name)}
    for kind, member in (("function", "arguments"), ("custom", "input")):
        if given := told.get(kind):
            held = call.setdefault(kind, {"name": "", member: ""})
            held["name"] += given.get("name") or ""
            held[member] += given.get(member) or ""


def _by_hand(call: Json) -> Called:
    if call["type"] == "custom":
        return Called(call["id"], call["custom"]["name"], call["custom"]["input"])
    return Called(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def stream(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    _only_functions(asked)
    more = {**_named(asked), "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**_body(asked, model), **more) as events:
        told = [event.delta for event in events if event.type == "content.delta"]
        return agreeing(_said(events.get_final_completion(), len(told)), told)


def parse(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    _only_functions(asked)
    return _said(client.chat.completions.parse(**_body(asked, model), **_named(asked)))


def _only_functions(asked: Asked) -> None:
    if any(tool.schema is None for tool in asked.tools):
        raise Refused("the SDK's typed helpers of Chat take no custom tools")


ROWS = {
    "chat.completions.create": create,
    "chat.completions.create(stream=True)": create_streamed,
    "chat.completions.stream": stream,
    "chat.completions.parse": parse,
}
