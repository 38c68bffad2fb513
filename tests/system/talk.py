"""What tests say to the gateway in either API, and how they read what comes back."""

import json

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions"}
FACES = tuple(PATHS)
EVERY = {**PATHS, "responses": "/v1/responses", "completions": "/v1/completions"}  # all that generate
MODEL = "claude-sonnet-4.6"
LAST = {"messages": b'data: {"type":"message_stop"}\n\n', "chat": b"data: [DONE]\n\n"}
LASTS = {
    **{face: (last,) for face, last in LAST.items()}, "completions": (LAST["chat"],),
    "responses": (b"event: response.completed\n", b"event: response.incomplete\n"),
}
PING = {"messages": b"event: ping\n", "chat": b": ping\n"}


def ask(text="Hello.", **more):
    """A body that both APIs take."""
    return {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **more}


def every_ask(face, text="Hello.", **more):
    """A body for any of EVERY."""
    if face in PATHS:
        return ask(text, **more)
    return {"model": MODEL, {"responses": "input", "completions": "prompt"}[face]: text, **more}


def events(data):
    """The JSON of each event of a stream, in order; pings and [DONE] too, as {"type": "ping"} and "[DONE]"."""
    found = []
    for block in data.decode().split("\n\n"):
        lines = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
        if lines:
            found.append(lines[0] if lines[0] == "[DONE]" else json.loads("\n".join(lines)))
        elif block.startswith(":"):
            found.append({"type": "ping"})
    return found


def text(face, data):
    """All text of a streamed answer."""
    return "".join(map(TEXTS[face], (event for event in events(data) if event != "[DONE]")))


def _messages_text(event):
    return event.get("delta", {}).get("text", "")


def _chat_text(event):
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


TEXTS = {"messages": _messages_text, "chat": _chat_text}


def whole_text(face, body):
    """The text of an answer that is not streamed."""
    if face == "messages":
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    return body["choices"][0]["message"]["content"]


def failure(data):
    """The error event of a stream, None when it has none."""
    told = [event.get("response", event) for event in events(data) if event != "[DONE]"]
    return next((event["error"] for event in told if event.get("error")), None)


def finished(face, data):
    """Whether a stream looks like a whole answer to a client."""
    return any(last in data for last in LASTS[face])
