"""The Responses API by the openai SDK: each helper as anyone calls it."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.grid.words import Asked, Called, Json, Results, Said, User, agreeing

STOPS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def _input(asked: Asked) -> list[Any]:
    found: list[Any] = []
    for turn in asked.turns:
        if isinstance(turn, User):
            found.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            found += _outputs(turn)
        else:
            found += turn.back
    return found


def _content(turn: User) -> Any:
    return [{"type": "input_text", "text": turn.text}, _picture(turn.image)] if turn.image else turn.text


def _picture(image: str) -> Json:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{image}", "detail": "auto"}


def _outputs(turn: Results) -> list[Json]:
    found: list[Json] = []
    for call, text in turn.given:
        kind = "custom_tool_call_output" if isinstance(call.given, str) else "function_call_output"
        found.append({"type": kind, "call_id": call.id, "output": text})
    if turn.image:
        found[-1]["output"] = [{"type": "input_text", "text": found[-1]["output"]}, _picture(turn.image)]
    return found


def _tool(tool: Any) -> Json:
    if tool.schema is None:
        return {"type": "custom", "name": tool.name, "description": tool.description}
    return {"type": "function", "name": tool.name, "description": tool.description, "strict": True,
            "parameters": tool.schema}  # fmt: skip


def _body(asked: Asked, model: str) -> Json:
    """Where the last answer was kept, only what came after it is sent."""
    kept = [n for n, turn in enumerate(asked.turns) if isinstance(turn, Said) and turn.kept]
    if kept:
        last = asked.turns[kept[-1]]
        assert isinstance(last, Said)
        asked = Asked(asked.turns[kept[-1] + 1 :], asked.system, asked.tools, asked.thinking, asked.shape)
        chain: Json = {"previous_response_id": last.kept}
    else:
        chain = {}
    body: Json = {"model": model, "input": _input(asked), **chain}
    body |= {"instructions": asked.system} if asked.system else {}
    body |= {"tools": [_tool(tool) for tool in asked.tools]} if asked.tools else {}
    if asked.thinking:
        body |= {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    return body


def _written(asked: Asked) -> Json:
    if asked.shape is None:
        return {}
    return {"text": {"format": {"type": "json_schema", "name": "shape", "strict": True, "schema": asked.schema}}}


def _named(asked: Asked) -> Json:
    return {"text_format": asked.shape} if asked.shape else {}


def _said(response: Any, deltas: int = 0) -> Said:
    """`back` are the SDK's own items, as its documentation tells to send them back."""
    assert response.error is None, response.error
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    reason = response.incomplete_details.reason if response.incomplete_details else ""
    calls = [_called(item) for item in response.output if item.type in ("function_call", "custom_tool_call")]
    stop = STOPS.get(reason, reason) or ("tool_calls" if calls else "stop")
    assert response.status == ("incomplete" if reason else "completed"), response.status
    return Said(response.output_text, stop, response.usage.input_tokens, response.usage.output_tokens,
                "\n\n".join(thoughts), calls, getattr(response, "output_parsed", None), deltas,
                [_sent_back(item) for item in response.output])  # fmt: skip


def _sent_back(item: Any) -> Json:
    """As it came; what the SDK's parser added by itself is not the API's."""
    told = item.to_dict()
    told.pop("parsed_arguments", None)
    for part in told.get("content") or ():
        part.pop("parsed", None)
    return told


def _called(item: Any) -> Called:
    given = item.input if item.type == "custom_tool_call" else json.loads(item.arguments)
    return Called(item.call_id, item.name, given)


def create(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    return _said(client.responses.create(**_body(asked, model), **_written(asked), store=False))


def create_kept(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    """The gateway keeps the conversation: what follows names the answer before it."""
    response = client.responses.create(**_body(asked, model), **_written(asked))
    said = _said(response)
    said.kept = response.id
    return said


def create_streamed(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    """Each event looked at by hand."""
    told, numbers, final = [], [], None
    with client.responses.create(**_body(asked, model), **_written(asked), store=False, stream=True) as events:
        for event in events:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                told.append(event.delta)
            elif event.type in ("response.completed", "response.incomplete", "response.failed"):
                final = event.response
    assert numbers == list(range(len(numbers))), f"sequence numbers {numbers}"
    return agreeing(_said(final, len(told)), told)


def stream(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    with client.responses.stream(**_body(asked, model), **_named(asked), store=False) as events:
        told = [event.delta for event in events if event.type == "response.output_text.delta"]
        return agreeing(_said(events.get_final_response(), len(told)), told)


def parse(client: openai.OpenAI, asked: Asked, model: str) -> Said:
    return _said(client.responses.parse(**_body(asked, model), **_named(asked), store=False))


ROWS = {
    "responses.create": create,
    "responses.create, previous_response_id": create_kept,
    "responses.create(stream=True)": create_streamed,
    "responses.stream": stream,
    "responses.parse": parse,
}
