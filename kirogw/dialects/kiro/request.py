"""A conversation becomes a request to Kiro: `prepare` once for all tries, `address` for each.

`prepare` makes all that does not depend on the account; `address` adds the login's headers and its profile, without
writing the payload anew. Source: kiro 2.2 to 2.4 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from kirogw.conversation import Call, Conversation, Document, Image, Result, Text, Thought, Tool, Turn
from kirogw.dialects import clean, names, provider
from kirogw.dialects.kiro import effort, media
from kirogw.dialects.kiro.login import bearer
from kirogw.dialects.kiro.models import SECRET, is_gpt
from kirogw.dialects.kiro.rules import RULES
from kirogw.dialects.kiro.shape import Shape, Terms
from kirogw.dialects.memo import ToolMemo
from kirogw.dialects.obey import obey
from kirogw.dialects.provider import Login, Prepared, Target
from kirogw.dialects.seals import unseal
from kirogw.errors import BadRequest, TooLong
from kirogw.wire import Json, Request

HISTORY: Final = 10_000  # entries (kiro 3.9)
RESULT: Final = 800_000  # characters of one tool result (kiro 3.9)
TRIES: Final = 3  # as first-party clients say in amz-sdk-request

# By KIRO_WIRE: path, content type, and whether the agent mode goes into the body (else into a header).
_WIRES: Final = {
    "rest": ("/generateAssistantResponse", "application/json", False),
    "target": ("/", "application/x-amz-json-1.0", True),
}


@dataclass(frozen=True, slots=True)
class Emulation:
    """What was put into words for the model, so that the answer side can undo it. `names`: Kiro's name for a tool to
    the client's, where they differ.
    """

    thinking_tags: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


def prepare(conversation: Conversation, target: Target, shape: Shape, terms: provider.Terms) -> Prepared:
    """Everything but the login; `state` is an Emulation. Raises BadRequest for what Kiro takes in no form, TooLong for
    what is surely too much.
    """
    model = target.model
    emulation = Emulation(
        thinking_tags=effort.emulated(conversation.thinking, model, shape),
        names={made: name for name, made in names.table(conversation).items()},
    )  # fmt: skip
    fields = None if terms.plain else effort.request_fields(conversation.thinking, model)
    obeyed, notes = obey(RULES, conversation, Terms(model, shape, terms.cut, terms.unsealed, terms.mark))
    payload: Json = {"conversationState": _state(obeyed, model.id, shape, terms.session, terms.turn)}
    if fields:
        payload["additionalModelRequestFields"] = fields
    return Prepared(_dumped(payload), emulation, notes)


def _dumped(payload: Json) -> bytes:
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError as error:
        raise BadRequest(f"the request can not be written as JSON ({error}); send plain JSON") from error


def _state(conversation: Conversation, model: str, shape: Shape, conversation_id: str, continuation_id: str) -> Json:
    *history, current = conversation.turns
    if len(history) > HISTORY:
        raise TooLong(f"the conversation has {len(history):,} messages; Kiro takes up to {HISTORY:,}")
    state: Json = {
        "chatTriggerType": "MANUAL", "agentTaskType": "vibe",
        "conversationId": conversation_id, "agentContinuationId": continuation_id,
    }  # fmt: skip
    if history:
        state["history"] = [
            _user(turn, model, shape) if turn.role == "user" else {"assistantResponseMessage": _assistant(turn, model)}
            for turn in history
        ]
    state["currentMessage"] = _user(current, model, shape, conversation.tools)
    return state


# Messages. Empty lists and nulls are left out; the members' order never changes, so equal turns are equal bytes.


def _user(turn: Turn, model: str, shape: Shape, tools: tuple[Tool, ...] = ()) -> Json:
    message: Json = {"content": _content(turn), "modelId": model, "origin": shape.origin}
    results: list[Json] = []
    for part in turn.parts:
        kind = type(part)
        if kind is Result:
            results.append(_result(part))  # type: ignore[arg-type]
        elif kind is not Text:
            _attach(message, part)
    context: Json = {"toolResults": results} if results else {}
    if tools:
        context["tools"] = list(map(_specification, tools))
    if context:
        message["userInputMessageContext"] = context
    return {"userInputMessage": message}


def _content(turn: Turn) -> str:
    """The texts of a turn, a blank line between them; a blank text alone stays."""
    texts = [part.text for part in turn.parts if type(part) is Text and part.text]
    if len(texts) > 1:
        texts = [text for text in texts if not text.isspace()]
    return "\n\n".join(texts)


def _attach(message: Json, part: Any) -> None:
    if type(part) is Image:
        image = {"format": part.media.removeprefix("image/"), "source": {"bytes": part.data}}
        message.setdefault("images", []).append(image)
    elif type(part) is Document:
        document = {"name": part.name, "format": media.FORMATS[part.media], "source": {"bytes": part.data}}
        message.setdefault("documents", []).append(document)


def _result(result: Result) -> Json:
    content = [{"text": part.text} for part in result.parts if type(part) is Text and part.text]
    if (length := sum(len(part["text"]) for part in content)) > RESULT:
        raise TooLong(f"a tool result has {length:,} characters; Kiro takes up to {RESULT:,}")
    return {"toolUseId": result.call, "content": content, "status": "error" if result.failed else "success"}


def _assistant(turn: Turn, model: str) -> Json:
    message: Json = {"content": _content(turn)}
    calls: list[Json] = []
    for part in turn.parts:
        kind = type(part)
        if kind is Call:
            calls.append({"toolUseId": part.id, "name": part.name, "input": part.input})  # type: ignore[union-attr]
        elif kind is Thought:
            message["reasoningContent"] = _reasoning(part, model)  # type: ignore[arg-type]
    if calls:
        message["toolUses"] = calls
    return message


def _reasoning(thought: Thought, model: str) -> Json:
    """GPT's thoughts are secret, and so goes back what came in place of them. (kiro 7.3)"""
    found = unseal(thought.seal)
    if found and found.kind == "r":
        return {"redactedContent": found.value}
    text = thought.text or (SECRET if is_gpt(model) else "")
    return {"reasoningText": {"text": text, "signature": found.value if found else ""}}


def _specification(tool: Tool) -> orjson.Fragment:
    """As bytes: clients send the same tools with every request, and they are most of many a payload."""
    known = _SPECIFICATIONS.get(tool)
    if known is not None:
        return known
    schema = {"json": tool.schema}
    specification = {"name": tool.name, "description": clean.text(tool.description), "inputSchema": schema}
    return _SPECIFICATIONS.keep(tool, orjson.Fragment(_dumped({"toolSpecification": specification})))


_SPECIFICATIONS: Final[ToolMemo[orjson.Fragment]] = ToolMemo()


# The address


def address(body: bytes, login: Login, base_url: str, shape: Shape, *, invocation_id: str, attempt: int = 1) -> Request:
    """One try of a prepared request. An API key sends no profile. `invocation_id` stays the same while tries fail and
    nothing is refused, `attempt` counts from 1.
    """
    path, content_type, mode_in_body = _WIRES[shape.wire]
    headers = {
        **bearer(login), "Content-Type": content_type, "Accept": "application/vnd.amazon.eventstream",
        **shape.agents(shape.user_agent, login.machine), "x-amzn-codewhisperer-optout": "true",
        "amz-sdk-invocation-id": invocation_id, "amz-sdk-request": f"attempt={attempt}; max={max(TRIES, attempt)}",
    }  # fmt: skip
    if mode_in_body:
        headers["x-amz-target"] = shape.target
        body = _with(body, b'"agentMode":', shape.agent_mode)
    else:
        headers["x-amzn-kiro-agent-mode"] = shape.agent_mode
    if login.profile and login.kind != "key":
        body = _with(body, b'"profileArn":', login.profile)
    return Request("POST", f"{base_url.rstrip('/')}{path}", headers, body)


def _with(body: bytes, name: bytes, value: str) -> bytes:
    """The JSON object with one member more."""
    return b"".join((memoryview(body)[:-1], b",", name, orjson.dumps(value), b"}"))
