"""A conversation with the gateway in either API, streamed or not: what is sent, and the answer as one value."""

import json
from dataclasses import dataclass, field

from tests.system.talk import FACES, MODEL, PATHS, events

FORMS = [(face, stream) for face in FACES for stream in (True, False)]
IDS = [f"{face}-{'streamed' if stream else 'whole'}" for face, stream in FORMS]
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


@dataclass
class Said:
    """`back` is the message that a client keeps of it. Calls are (id, name, arguments), these as the text that came."""

    status: int
    text: str = ""
    thought: str = ""
    calls: list = field(default_factory=list)
    stop: str = ""
    usage: dict = field(default_factory=dict)
    error: dict | None = None
    back: dict | None = None
    body: dict = field(default_factory=dict)  # the whole answer, as it is when it is not streamed
    headers: dict = field(default_factory=dict)


def say(gateway, face, stream, text=None, headers=None, **body):
    """`text` is the only message, or else `messages` are given."""
    messages = {"messages": [{"role": "user", "content": text}]} if text is not None else {}
    more = {"stream_options": {"include_usage": True}} if face == "chat" and stream else {}
    asked = {"model": MODEL, "max_tokens": 1000, "stream": stream, **more, **messages, **body}
    return said(face, gateway.post(PATHS[face], asked, headers=headers))


def said(face, reply):
    """From a whole reply. A stream that ends with an error has what came before it, and the error."""
    if reply.status_code != 200:
        return Said(reply.status_code, error=reply.json()["error"], headers=reply.headers)
    error = None
    if reply.headers["Content-Type"].startswith("text/event-stream"):
        body, error = STREAMS[face](events(reply.content))
    else:
        body = reply.json()
    answer = WHOLES[face](body)
    answer.status, answer.error, answer.body, answer.headers = reply.status_code, error, body, reply.headers
    return answer


def _messages(body):
    content = body["content"]
    calls = [(b["id"], b["name"], b.get("text", json.dumps(b["input"]))) for b in content if b["type"] == "tool_use"]
    return Said(
        200, "".join(b["text"] for b in content if b["type"] == "text"),
        "".join(b["thinking"] for b in content if b["type"] == "thinking"), calls, body["stop_reason"] or "", body["usage"],
        back={"role": "assistant", "content": [{k: v for k, v in b.items() if (b["type"], k) != ("tool_use", "text")} for b in content]},
    )  # fmt: skip


def _chat(body):
    message, choice = body["choices"][0]["message"], body["choices"][0]
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()]
    return Said(
        200, message["content"] or "", message.get("reasoning_content", ""), calls, choice["finish_reason"] or "",
        body.get("usage") or {}, back=message,
    )  # fmt: skip


def _messages_stream(told):
    """(the body that the stream comes to, the error that ended it)."""
    body, texts = {}, {}
    for event in told:
        match event["type"]:
            case "message_start":
                body = event["message"]
            case "content_block_start":
                assert event["index"] == len(body["content"])
                body["content"].append(event["content_block"])
                texts[event["index"]] = ""
            case "content_block_delta":
                _add(body["content"][event["index"]], event["delta"], texts, event["index"])
            case "message_delta":
                body |= event["delta"]
                body["usage"] |= event["usage"]
    for index, text in texts.items():
        block = body["content"][index]
        if block["type"] in ("tool_use", "server_tool_use"):
            block["input"], block["text"] = _parsed(text or "{}"), text
    failed = [event["error"] for event in told if event["type"] == "error"]
    assert (told[-1]["type"] == "message_stop") != bool(failed)
    return body, failed[0] if failed else None


def _add(block, delta, texts, index):
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
        case "input_json_delta":
            texts[index] += delta["partial_json"]


def _parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return {"__unparsedToolInput": {"raw": text, "len": len(text)}}  # as Claude Code keeps it


def _chat_stream(told):
    message, body, calls = {"role": "assistant", "content": None}, {}, {}
    finish = None
    for chunk in (event for event in told if event != "[DONE]" and "choices" in event):
        body |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            for part in delta.get("tool_calls", ()):
                call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
                call |= {name: part[name] for name in ("id", "type") if name in part}
                call["function"]["name"] += part["function"].get("name") or ""
                call["function"]["arguments"] += part["function"].get("arguments") or ""
            message |= {"annotations": delta["annotations"]} if "annotations" in delta else {}
            finish = choice.get("finish_reason") or finish
    message |= {"tool_calls": list(calls.values())} if calls else {}
    failed = [event["error"] for event in told if event != "[DONE]" and "error" in event]
    assert (told[-1] == "[DONE]") != bool(failed)
    return {**body, "choices": [{"message": message, "finish_reason": finish}]}, failed[0] if failed else None


WHOLES = {"messages": _messages, "chat": _chat}
STREAMS = {"messages": _messages_stream, "chat": _chat_stream}


# What is sent


def tool(face, name, description="Does it.", schema=SCHEMA):
    if face == "messages":
        return {"name": name, "description": description, "input_schema": schema}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def results(face, *pairs):
    """The messages that answer calls: pairs of id and text."""
    if face == "messages":
        blocks = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in pairs]
        return [{"role": "user", "content": blocks}]
    return [{"role": "tool", "tool_call_id": id, "content": text} for id, text in pairs]


def user(text):
    return {"role": "user", "content": text}


# What the twin saw


def payloads(twin):
    return [seen.payload for seen in twin.seen()]


def current(payload):
    return payload["conversationState"]["currentMessage"]["userInputMessage"]


def history(payload):
    """The messages before the current one, without their envelopes."""
    entries = payload["conversationState"].get("history", [])
    return [entry.get("userInputMessage") or entry["assistantResponseMessage"] for entry in entries]


def declared(payload):
    """Tools by their names, as Kiro got them."""
    tools = current(payload).get("userInputMessageContext", {}).get("tools", [])
    return {one["toolSpecification"]["name"]: one["toolSpecification"] for one in tools}


def answered(payload):
    """Texts of the results in the current message, by the ids of their calls."""
    context = current(payload).get("userInputMessageContext", {})
    return {one["toolUseId"]: "\n".join(part["text"] for part in one["content"]) for one in context.get("toolResults", [])}
