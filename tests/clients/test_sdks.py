"""The makers' own SDKs do a whole piece of work through the gateway: the loop is ours, as anyone writes it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.clients import loops
from tests.clients.programs import Gate, Hands, Place

pytestmark = pytest.mark.clients

MODEL = "claude-sonnet-4.6"
ROUNDS = 8
HANDS = Hands(
    read=lambda path: ("read_file", {"path": path}),
    write=lambda path, content: ("write_file", {"path": path, "content": content}),
    run=lambda command: ("run_command", {"command": command}),
    wrote="The file is written.",
)


def read_file(path: str) -> str:
    """Read a file."""
    return Path(path).read_text(encoding="utf-8")


def write_file(path: str, content: str) -> str:
    """Write a file."""
    Path(path).write_text(content, encoding="utf-8")
    return HANDS.wrote


def run_command(command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60).stdout


TOOLS: dict[str, Callable[..., str]] = {tool.__name__: tool for tool in (read_file, write_file, run_command)}
SCHEMAS = {
    "read_file": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "write_file": {"type": "object", "required": ["path", "content"], "additionalProperties": False,
                   "properties": {"path": {"type": "string"}, "content": {"type": "string"}}},
    "run_command": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Nothing of this machine's own configuration counts."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)


@pytest.fixture
def openai_sdk(gate: Gate):
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key=gate.key, max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture
def anthropic_sdk(gate: Gate):
    with anthropic.Anthropic(base_url=gate.url, api_key=gate.key, max_retries=0, timeout=120) as client:
        yield client


def chat_whole(client: openai.OpenAI, **asked: Any) -> Any:
    return client.chat.completions.create(**asked).choices[0].message


def chat_streamed(client: openai.OpenAI, **asked: Any) -> Any:
    with client.chat.completions.stream(**asked) as stream:
        return stream.get_final_completion().choices[0].message


@pytest.mark.parametrize("ask", [chat_whole, chat_streamed])
def test_openai(ask, openai_sdk, twin, place: Place):
    twin.script(loops.agent(HANDS, place))
    tools = [{"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": SCHEMAS[name]}}
             for name, tool in TOOLS.items()]  # fmt: skip
    messages: list[Any] = [{"role": "system", "content": "You are careful."}, {"role": "user", "content": loops.PROMPT}]
    for _ in range(ROUNDS):
        said = ask(openai_sdk, model=MODEL, messages=messages, tools=tools)
        if not said.tool_calls:
            break
        calls = [call.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}})
                 for call in said.tool_calls]  # fmt: skip
        messages.append({"role": "assistant", "content": said.content, "tool_calls": calls})
        for call in said.tool_calls:
            result = TOOLS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    loops.assert_done(place, said.content)
    assert len(twin.seen()) == 4


def messages_whole(client: anthropic.Anthropic, **asked: Any) -> Any:
    return client.messages.create(**asked)


def messages_streamed(client: anthropic.Anthropic, **asked: Any) -> Any:
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, None], ids=["thinking", "plain"])
@pytest.mark.parametrize("ask", [messages_whole, messages_streamed])
def test_anthropic(ask, thinking, anthropic_sdk, twin, place: Place):
    twin.script(loops.agent(HANDS, place))
    tools = [{"name": name, "description": tool.__doc__, "input_schema": SCHEMAS[name]} for name, tool in TOOLS.items()]
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 4096, "system": "You are careful.", "tools": tools}
    asked |= {"thinking": thinking} if thinking else {}
    messages: list[Any] = [{"role": "user", "content": loops.PROMPT}]
    for _ in range(ROUNDS):
        said = ask(anthropic_sdk, **asked, messages=messages)
        if said.stop_reason != "tool_use":
            break
        blocks = [block.model_dump(exclude_none=True) for block in said.content]
        messages.append({"role": "assistant", "content": blocks})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": block.id, "content": TOOLS[block.name](**block.input)}
            for block in said.content if block.type == "tool_use"
        ]})  # fmt: skip
    assert said.stop_reason == "end_turn"
    loops.assert_done(place, said.content[-1].text)
    assert len(twin.seen()) == 4


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_anthropic_tool_runner(stream, anthropic_sdk, twin, place: Place):
    """The runner asks for threads that the server holds, and goes on without when it is told that there are none."""
    twin.script(loops.agent(HANDS, place))
    tools = [anthropic.beta_tool(tool) for tool in TOOLS.values()]
    messages: list[Any] = [{"role": "user", "content": loops.PROMPT}]
    start = anthropic_sdk.beta.messages.tool_runner
    runner = start(model=MODEL, max_tokens=4096, tools=tools, messages=messages, stream=stream)
    last = [turn.get_final_message() if stream else turn for turn in runner][-1]
    loops.assert_done(place, last.content[-1].text)


def test_models_in_both_sdks(openai_sdk, anthropic_sdk):
    by_openai = {model.id for model in openai_sdk.models.list()}
    by_anthropic = {model.id for model in anthropic_sdk.models.list()}
    assert MODEL in by_openai
    assert by_openai == by_anthropic
    assert openai_sdk.models.retrieve(MODEL).id == anthropic_sdk.models.retrieve(MODEL).id == MODEL


def test_tokens_are_counted_beforehand(anthropic_sdk):
    """Within a tenth of what the answer then reports."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "How many words has this sentence? " * 40}]}
    counted = anthropic_sdk.messages.count_tokens(**asked).input_tokens
    used = anthropic_sdk.messages.create(**asked, max_tokens=100).usage.input_tokens
    assert counted == pytest.approx(used, rel=0.1)
