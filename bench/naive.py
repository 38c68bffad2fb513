"""What anyone writes in an hour: a Flask view, `requests.post(stream=True)`, `iter_content`, json a frame.

    gunicorn -k gevent -w 1 --worker-connections 5000 naive:app        KIRO_URL says where Kiro is

It is here to be compared with. It is right as far as the bench goes (both APIs, text, tools, 150 KB of history) and
knows nothing of keys, accounts, limits, retries, thinking, images, token counts, heartbeats or faults.
"""

from __future__ import annotations

import json
import os
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import requests
from flask import Flask, Response, request

KIRO_URL = os.environ.get("KIRO_URL", "http://127.0.0.1:8080/generateAssistantResponse")

app = Flask(__name__)
Json = dict[str, Any]


def text_of(content: str | list[Json] | None) -> str:
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content if block["type"] == "text")
    return content or ""


def user(model: str, content: str, context: Json | None = None) -> Json:
    message: Json = {"content": content, "modelId": model, "origin": "AI_EDITOR"}
    if context:
        message["userInputMessageContext"] = context
    return {"userInputMessage": message}


def result(call: str, content: Any) -> Json:
    return {"toolUseId": call, "status": "success", "content": [{"text": text_of(content)}]}


def assistant(content: str, uses: list[Json]) -> Json:
    message: Json = {"content": content}
    if uses:
        message["toolUses"] = uses
    return {"assistantResponseMessage": message}


def spec(name: str, description: str, schema: Json) -> Json:
    return {"toolSpecification": {"name": name, "description": description, "inputSchema": {"json": schema}}}


def messages_turns(body: Json) -> list[Json]:
    turns = []
    for message in body["messages"]:
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        if message["role"] == "assistant":
            uses = [{"toolUseId": b["id"], "name": b["name"], "input": b["input"]}
                    for b in blocks if b["type"] == "tool_use"]
            turns.append(assistant(text_of(content), uses))
        else:
            results = [result(b["tool_use_id"], b["content"]) for b in blocks if b["type"] == "tool_result"]
            turns.append(user(body["model"], text_of(content), {"toolResults": results} if results else None))
    return turns


def chat_turns(body: Json) -> list[Json]:
    turns = []
    for message in body["messages"]:
        if message["role"] == "assistant":
            uses = [{"toolUseId": c["id"], "name": c["function"]["name"],
                     "input": json.loads(c["function"]["arguments"])} for c in message.get("tool_calls", [])]
            turns.append(assistant(text_of(message["content"]), uses))
        elif message["role"] == "tool":
            results = [result(message["tool_call_id"], message["content"])]
            turns.append(user(body["model"], "", {"toolResults": results}))
        elif message["role"] == "user":
            turns.append(user(body["model"], text_of(message["content"])))
    return turns


def payload(system: str, turns: list[Json], tools: list[Json]) -> Json:
    if system:
        first = turns[0]["userInputMessage"]
        first["content"] = system + "\n\n" + first["content"]
    *history, current = turns
    if tools:
        current["userInputMessage"].setdefault("userInputMessageContext", {})["tools"] = tools
    state: Json = {"chatTriggerType": "MANUAL", "conversationId": str(uuid.uuid4()), "currentMessage": current}
    if history:
        state["history"] = history
    return {"conversationState": state}


def frames(answer: requests.Response) -> Iterator[tuple[str, Json]]:
    buffer = b""
    for chunk in answer.iter_content(chunk_size=4096):
        buffer += chunk
        while len(buffer) >= 12:
            total, size = struct.unpack(">II", buffer[:8])
            if len(buffer) < total:
                break
            headers, data, buffer = buffer[12:12 + size], buffer[12 + size:total - 4], buffer[total:]
            names = {}
            while headers:
                name = headers[1:1 + headers[0]]
                rest = headers[2 + headers[0]:]
                length = struct.unpack(">H", rest[:2])[0]
                names[name.decode()] = rest[2:2 + length].decode()
                headers = rest[2 + length:]
            yield names[":event-type"], json.loads(data)


def ask(system: str, turns: list[Json], tools: list[Json]) -> Iterator[tuple[str, Json]]:
    answer = requests.post(KIRO_URL, json=payload(system, turns, tools), stream=True, timeout=300,
                           headers={"Authorization": "Bearer bench"})
    answer.raise_for_status()
    return frames(answer)


def sse(event: Json) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def messages_stream(model: str, events: Iterator[tuple[str, Json]]) -> Iterator[str]:
    yield sse({"type": "message_start", "message": {
        "id": "msg_" + uuid.uuid4().hex, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0}}})
    index, kind, stop = -1, None, "end_turn"
    for name, event in events:
        if name == "assistantResponseEvent":
            opens, delta = "text", {"type": "text_delta", "text": event["content"]}
            block: Json = {"type": "text", "text": ""}
        elif name == "toolUseEvent":
            opens, delta = event["toolUseId"], {"type": "input_json_delta", "partial_json": event.get("input", "")}
            block = {"type": "tool_use", "id": event["toolUseId"], "name": event["name"], "input": {}}
            stop = "tool_use"
        else:
            continue
        if opens != kind:
            if kind is not None:
                yield sse({"type": "content_block_stop", "index": index})
            index, kind = index + 1, opens
            yield sse({"type": "content_block_start", "index": index, "content_block": block})
        yield sse({"type": "content_block_delta", "index": index, "delta": delta})
    if kind is not None:
        yield sse({"type": "content_block_stop", "index": index})
    yield sse({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
               "usage": {"output_tokens": 0}})
    yield sse({"type": "message_stop"})


def chat_stream(model: str, events: Iterator[tuple[str, Json]]) -> Iterator[str]:
    base = {"id": "chatcmpl-" + uuid.uuid4().hex, "object": "chat.completion.chunk", "created": 0, "model": model}
    calls: dict[str, int] = {}
    for name, event in events:
        delta: Json = {}
        if name == "assistantResponseEvent":
            delta = {"content": event["content"]}
        elif name == "toolUseEvent":
            new = event["toolUseId"] not in calls
            call: Json = {"index": calls.setdefault(event["toolUseId"], len(calls)),
                          "function": {"arguments": event.get("input", "")}}
            if new:
                call.update(id=event["toolUseId"], type="function")
                call["function"]["name"] = event["name"]
            delta = {"tool_calls": [call]}
        else:
            continue
        yield f"data: {json.dumps({**base, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': None}]})}\n\n"
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    yield f"data: {json.dumps({**base, 'choices': [end]})}\n\n"
    yield "data: [DONE]\n\n"


@app.post("/v1/messages")
def messages() -> Response:
    body = request.get_json()
    tools = [spec(t["name"], t["description"], t["input_schema"]) for t in body.get("tools", [])]
    events = ask(text_of(body.get("system")), messages_turns(body), tools)
    return Response(messages_stream(body["model"], events), mimetype="text/event-stream")


@app.post("/v1/chat/completions")
def chat() -> Response:
    body = request.get_json()
    functions = [tool["function"] for tool in body.get("tools", [])]
    tools = [spec(f["name"], f["description"], f["parameters"]) for f in functions]
    system = "\n".join(text_of(m["content"]) for m in body["messages"] if m["role"] == "system")
    events = ask(system, chat_turns(body), tools)
    return Response(chat_stream(body["model"], events), mimetype="text/event-stream")
