"""Codex CLI as a value, once for each way in which it lets a model use its tools: the model's name decides that.

A name that it does not know gets plain functions, and a patch goes through the shell; gpt-5.5 gets apply_patch as a tool
of free text; the newest get one tool that runs JavaScript, in a namespace and declared in the input ("Responses Lite").
https://learn.chatgpt.com/docs/codex: config.toml, custom model providers
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tests.clients.install import program
from tests.clients.programs import Call, Gate, Hands, Place, Program, Start, environment, lines

RESPONSES: Final = "/v1/responses"
CONFIG: Final = """
model = {model}
model_provider = "kirogw"

[model_providers.kirogw]
name = "kirogw"
base_url = {base}
env_key = "KIROGW_API_KEY"
wire_api = "responses"
"""
BUILT_IN: Final = """
model = {model}
openai_base_url = {base}
"""


def start(gate: Gate, place: Place, model: str, prompt: str) -> Start:
    """With a provider of its own in config.toml, as the README tells."""
    return _start(CONFIG, gate, place, model, prompt, KIROGW_API_KEY=gate.key)


def start_built_in(gate: Gate, place: Place, model: str, prompt: str) -> Start:
    """With OpenAI's provider, which tries a WebSocket first, at another address."""
    return _start(BUILT_IN, gate, place, model, prompt, CODEX_API_KEY=gate.key)


def _start(config: str, gate: Gate, place: Place, model: str, prompt: str, **more: str) -> Start:
    folder = home(place)
    filled = config.format(model=json.dumps(model), base=json.dumps(f"{gate.url}/v1"))
    (folder / "config.toml").write_text(filled)
    # without its own sandbox, which a container does not allow: the home and the folder are thrown away anyway
    argv = [str(program("codex")), "exec", "--json", "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox", "--cd", str(place.work), prompt]  # fmt: skip
    return Start(argv, environment(place, CODEX_HOME=str(folder), **more))


def home(place: Place) -> Any:
    folder = place.home / "codex"
    folder.mkdir(exist_ok=True)
    return folder


def said(output: str) -> str:
    """The last message, or the words that a failed turn ended with."""
    last = ""
    for line in lines(output):
        item = line.get("item", {})
        if line.get("type") == "item.completed" and item.get("type") == "agent_message":
            last = item["text"]
        elif line.get("type") == "turn.failed":
            last = line["error"]["message"]
    return last


# what the tools are called, and what a call of each says


def _filled(text: Any, around: str) -> Any:
    """`around` with `text` in place of its <>, where `text` may be a placeholder of the twin."""
    if isinstance(text, str):
        return around.replace("<>", text)
    return {**text, "format": around.replace("<>", text["format"]), "else": around.replace("<>", text["else"])}


def _patch(path: str) -> str:
    """A patch that adds a file of one line."""
    return f"*** Begin Patch\n*** Add File: {path}\n+<>*** End Patch\n"


def _command(command: Any) -> Call:
    return "exec_command", {"cmd": command}


def _script(name: str, **given: str) -> Call:
    """A call of one of Codex's own functions from JavaScript."""
    return _code(f"const done = await tools.{name}({json.dumps(given)}); text(done.output);")


def _code(written: Any) -> Call:
    return "exec", {"input": written}


def _quoted(text: Any) -> Any:
    """As it stands in a string of JavaScript."""
    if isinstance(text, str):
        return json.dumps(text)[1:-1]
    return {**text, "format": json.dumps(text["format"])[1:-1], "else": json.dumps(text["else"])[1:-1]}


def _code_write(path: str, content: Any) -> Call:
    around = f"text(await tools.apply_patch({json.dumps(_patch(path))})); text('The patch is applied.');"
    return _code(_filled(_quoted(content), around))


FUNCTIONS_HANDS: Final = Hands(
    read=lambda path: _command(f"cat '{path}'"),
    write=lambda path, content: _command(_filled(content, f"apply_patch <<'EOF'\n{_patch(path)}EOF\n")),
    run=_command,
    wrote="Success. Updated the following files",
)
FREEFORM_HANDS: Final = Hands(
    read=lambda path: _command(f"cat '{path}'"),
    write=lambda path, content: ("apply_patch", {"input": _filled(content, _patch(path))}),
    run=_command,
    wrote="Success. Updated the following files",
)
CODE_HANDS: Final = Hands(
    read=lambda path: _script("exec_command", cmd=f"cat '{path}'"),
    write=_code_write,
    run=lambda command: _script("exec_command", cmd=command),
    wrote="The patch is applied.",
)


def _program(name: str, model: str, hands: Hands, start: Callable[[Gate, Place, str, str], Start] = start) -> Program:
    return Program(f"codex-{name}", model, hands, start, said, RESPONSES)


UNKNOWN: Final = _program("functions", "claude-sonnet-4.6", FUNCTIONS_HANDS)
FREEFORM: Final = _program("freeform", "gpt-5.5", FREEFORM_HANDS)
LITE: Final = _program("code", "gpt-6.1-sol", CODE_HANDS)
BUILT_IN_PROVIDER: Final = _program("built-in", "claude-sonnet-4.6", FUNCTIONS_HANDS, start_built_in)
PROTOCOLS: Final = (UNKNOWN, FREEFORM, LITE)
