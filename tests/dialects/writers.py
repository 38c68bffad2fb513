"""Requests of the three APIs, written from conversations: what a client would send that had held just this one. Only for
tests; the gateway itself writes requests of its providers alone."""

import orjson

from kirogw.conversation import Call, Document, Image, Native, Result, Text, Thought
from kirogw.dialects.responses import items, tools

ROLES = {"user": "user", "model": "assistant", "system": "system"}


def runs(parts, same):
    """`parts` in runs of neighbours for which `same` says the same."""
    out = []
    for part in parts:
        if out and same(out[-1][-1]) == same(part):
            out[-1].append(part)
        else:
            out.append([part])
    return out


def data_url(part):
    return f"data:{part.media};base64,{part.data}"


def given(call):
    return orjson.dumps(call.input).decode() if call.raw is None else call.raw


# Responses

def responses(conversation):
    body = {"model": conversation.model, "input": items.written(conversation.turns, conversation.tools)}
    first, *rest = conversation.system or ("",)
    if first:
        body["instructions"] = first
    body["input"][:0] = [{"role": "developer", "content": text} for text in rest]
    if conversation.tools:
        body["tools"] = tools.written(conversation.tools, items.found(conversation.turns))
    choice = conversation.choice
    known = {tool.name: tool for tool in conversation.tools}
    modes = {"auto": "auto", "none": "none", "any": "required"}
    body["tool_choice"] = named(known[choice.name]) if choice.mode == "named" else modes[choice.mode]
    if choice.allowed:
        body["tool_choice"] = {"type": "allowed_tools", "mode": modes[choice.mode],
                               "tools": [named(known[name]) for name in choice.allowed]}  # fmt: skip
    body["parallel_tool_calls"] = choice.parallel
    thinking, reasoning = conversation.thinking, {}
    if thinking.effort or thinking.mode == "off":
        reasoning["effort"] = thinking.effort or "none"
    if thinking.summary:
        reasoning["summary"] = thinking.summary
    body["reasoning"] = reasoning
    body |= {"max_output_tokens": conversation.max_tokens, "text": {"format": form(conversation.format)}}
    return body


def named(tool):
    if tool.kind in ("shell", "search"):
        return {"type": tool.name}
    return {"type": tool.kind, "name": tool.bare, **({"namespace": tool.namespace} if tool.namespace else {})}


def form(format_):
    if format_ is None:
        return None
    if format_.schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "name": format_.name, "schema": format_.schema, "strict": format_.strict}


# Chat Completions

def chat(conversation):
    messages = [{"role": "system", "content": text} for text in conversation.system]
    for turn in conversation.turns:
        messages += [chat_model(turn)] if turn.role == "model" else chat_others(turn)
    body = {"model": conversation.model, "messages": messages, "tools": [chat_tool(tool) for tool in conversation.tools]}
    kinds = {tool.name: "custom" if tool.kind == "custom" else "function" for tool in conversation.tools}
    choice, modes = conversation.choice, {"auto": "auto", "none": "none", "any": "required"}

    def one(name):
        return {"type": kinds[name], kinds[name]: {"name": name}}

    body["tool_choice"] = one(choice.name) if choice.mode == "named" else modes[choice.mode]
    if choice.allowed:
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {
            "mode": modes[choice.mode], "tools": [one(name) for name in choice.allowed]}}
    thinking = conversation.thinking
    format_ = form(conversation.format)
    if format_ and format_["type"] == "json_schema":
        format_ = {"type": "json_schema", "json_schema": {name: format_[name] for name in ("name", "schema", "strict")}}
    return {**body, "parallel_tool_calls": choice.parallel, "stop": list(conversation.stops) or None,
            "max_completion_tokens": conversation.max_tokens, "response_format": format_,
            "reasoning_effort": thinking.effort or ("none" if thinking.mode == "off" else None)}  # fmt: skip


def chat_model(turn):
    thought = "\n\n".join(part.text for part in turn.parts if isinstance(part, Thought) and part.text)
    calls = [chat_call(part) for part in turn.parts if isinstance(part, Call)]
    texts = [{"type": "text", "text": part.text} for part in turn.parts if isinstance(part, Text)]
    message = {"role": "assistant", "content": texts, **({"tool_calls": calls} if calls else {})}
    return {**message, "reasoning_content": thought} if thought else message


def chat_call(call):
    if call.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.input["input"]}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": given(call)}}


def chat_others(turn):
    out = []
    parts = [part for part in turn.parts if not isinstance(part, Native)]
    for run in runs(parts, lambda part: isinstance(part, Result)):
        if isinstance(run[0], Result):
            out += [{"role": "tool", "tool_call_id": part.call, "content": [chat_part(inner) for inner in part.parts]}
                    for part in run]  # fmt: skip
        else:
            out.append({"role": ROLES[turn.role], "content": [chat_part(part) for part in run]})
    return out


def chat_part(part):
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": data_url(part) if part.data else part.url, **detail}}
    if part.text:
        return {"type": "text", "text": f"Document: {part.name}\n\n{part.text}"}
    return {"type": "file", "file": {"filename": part.name, "file_data": data_url(part) if part.data else part.url}}


def chat_tool(tool):
    if tool.kind == "custom":
        return {"type": "custom", "custom": {"name": tool.name, "description": tool.description}}
    return {"type": "function", "function": {"name": tool.name, "description": tool.description,
                                             "parameters": tool.schema, "strict": tool.strict}}  # fmt: skip


# Messages

def messages(conversation):
    body = {
        "model": conversation.model, "max_tokens": conversation.max_tokens, "system": [
            {"type": "text", "text": text} for text in conversation.system],
        "messages": [{"role": ROLES[turn.role], "content": [block(part) for part in turn.parts if not isinstance(part, Native)]}
                     for turn in conversation.turns],
        "tools": [{"name": tool.name, "description": tool.description, "input_schema": tool.schema,
                   "strict": tool.strict}
                  for tool in conversation.tools],
        "stop_sequences": list(conversation.stops),
    }  # fmt: skip
    choice, modes = conversation.choice, {"auto": "auto", "none": "none", "any": "any", "named": "tool"}
    body["tool_choice"] = {"type": modes[choice.mode], "disable_parallel_tool_use": not choice.parallel}
    if choice.mode == "named":
        body["tool_choice"]["name"] = choice.name
    thinking, output = conversation.thinking, {}
    kinds = {"on": "enabled", "adaptive": "adaptive", "off": "disabled"}
    if thinking.mode != "default":
        body["thinking"] = {"type": kinds[thinking.mode], "budget_tokens": thinking.budget,
                            "display": "summarized" if thinking.shown else "omitted"}  # fmt: skip
    if thinking.effort:
        output["effort"] = thinking.effort
    if conversation.format and conversation.format.schema is not None:
        output["format"] = {"type": "json_schema", "schema": conversation.format.schema, "name": conversation.format.name}
    return {**body, "output_config": output}


def block(part):
    return BLOCKS[type(part)](part)


def thought(part):
    if part.hidden:
        return {"type": "redacted_thinking", "data": part.seal}
    return {"type": "thinking", "thinking": part.text, "signature": part.seal}


def call(part):
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input if part.raw is None else part.raw}


def result(part):
    return {"type": "tool_result", "tool_use_id": part.call, "content": [block(inner) for inner in part.parts],
            "is_error": part.failed}  # fmt: skip


def image(part):
    if part.data:
        return {"type": "image", "source": {"type": "base64", "media_type": part.media, "data": part.data}}
    return {"type": "image", "source": {"type": "url", "url": part.url}}


def document(part):
    kind, value = ("base64", part.data) if part.data else ("text", part.text) if part.text else ("url", part.url)
    return {"type": "document", "title": part.name, "source": {
        "type": kind, "media_type": part.media, "url" if kind == "url" else "data": value}}


BLOCKS = {
    Text: lambda part: {"type": "text", "text": part.text}, Thought: thought, Call: call, Result: result, Image: image,
    Document: document,
}  # fmt: skip
