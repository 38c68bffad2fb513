"""The least that the service accepts, and the parts to build more from: used by the tests of the twin and by others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import requests
from botocore.eventstream import EventStreamBuffer

from kirogw.twin import Account, Twin

MODEL = "claude-sonnet-4.6"
AGENT = "aws-sdk-js/1.0.34 ua/2.1 os/linux lang/js api/codewhispererstreaming#1.0.34 m/E KiroIDE-1.1.70-" + "a" * 64
TARGET = "KiroRuntimeService.GenerateAssistantResponse"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def user(content: str = "hello", **members: Any) -> dict[str, Any]:
    return {"userInputMessage": {"content": content, "modelId": MODEL, "origin": "AI_EDITOR", **members}}


def assistant(content: str = "hi", **members: Any) -> dict[str, Any]:
    return {"assistantResponseMessage": {"content": content, **members}}


def tool(name: str = "read_file", description: str = "Read a file", schema: Any = None) -> dict[str, Any]:
    json_schema = SCHEMA if schema is None else schema
    return {"toolSpecification": {"name": name, "description": description, "inputSchema": {"json": json_schema}}}


def use(id: str = "tooluse_1", name: str = "read_file", **given: Any) -> dict[str, Any]:
    return {"toolUseId": id, "name": name, "input": given or {"path": "a.txt"}}


def result(id: str = "tooluse_1", text: str = "word: plover", status: str = "success") -> dict[str, Any]:
    return {"toolUseId": id, "content": [{"text": text}], "status": status}


def context(*results: Any, tools: Any = ()) -> dict[str, Any]:
    """The member `userInputMessageContext`, ready to be spread into `user`."""
    inner = {"toolResults": list(results), "tools": list(tools)}
    return {"userInputMessageContext": {name: value for name, value in inner.items() if value}}


def payload(current: Any = None, history: Any = (), **root: Any) -> dict[str, Any]:
    state: dict[str, Any] = {"chatTriggerType": "MANUAL", "conversationId": "5d0c2a1e-6f1c-4b57-9e0b-8d2a9b7c1f00"}
    if history:
        state["history"] = list(history)
    return {"conversationState": {**state, "currentMessage": current or user()}, **root}


def loop(**more: Any) -> dict[str, Any]:
    """A whole round with a tool: the call in the history, its result in the current message."""
    history = [user("read a.txt"), assistant("", toolUses=[use()])]
    return payload(user("", **context(result(), tools=[tool()])), history, **more)


def headers(account: Account, rest: bool = False) -> dict[str, str]:
    """Those that a first-party client sends with a generation request."""
    sent = {"authorization": f"Bearer {account.api_key or account.access_token}", "user-agent": AGENT,
            "content-type": "application/json" if rest else "application/x-amz-json-1.0"}
    if not rest:
        sent["x-amz-target"] = TARGET
    if account.kind in ("api_key", "external"):
        sent["tokentype"] = account.token_type
    return sent


def ask(twin: Twin, body: Any = None, account: Account | None = None, rest: bool = False,
        **options: Any) -> requests.Response:
    """Send a generation request. `body` may be bytes; a payload gets the account's profile if it has none."""
    account = account or twin.account
    body = payload() if body is None else body
    if isinstance(body, dict):
        if account.profile_arn:
            body = {"profileArn": account.profile_arn, **body}
        body = json.dumps(body).encode()
    url = twin.url + ("/generateAssistantResponse" if rest else "/")
    sent = {**headers(account, rest), **options.pop("headers", {})}
    return requests.post(url, data=body, headers=sent, timeout=options.pop("timeout", 30), **options)


def waited(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Whether `true()` becomes so in time: what the twin notes after its last byte may come after the client read it."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events of a whole stream, as botocore reads it: (event type, payload). Raises on any damage."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    names = (":event-type", ":exception-type", ":error-code")
    return [(next(message.headers[name] for name in names if name in message.headers),
             json.loads(message.payload) if message.payload else None) for message in buffer]


def said(found: list[tuple[str, Any]]) -> str:
    return "".join(data["content"] for kind, data in found if kind == "assistantResponseEvent")


def calls(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Names and arguments of the tool calls, in order."""
    whole: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for kind, data in found:
        if kind == "toolUseEvent":
            names[data["toolUseId"]] = data["name"]
            whole.setdefault(data["toolUseId"], []).append(data.get("input", ""))
    return [(names[id], json.loads("".join(parts) or "{}")) for id, parts in whole.items()]
