"""Codex CLI as a value, once for each way in which it lets a model use its tools: the model's name decides that.

A name that it does not know gets plain functions, and a patch goes through the shell; gpt-5.5 gets apply_patch as a tool
of free text; the newest get one tool that runs JavaScript, in a namespace and declared in the input ("Responses Lite").
https://learn.chatgpt.com/docs/codex: config.toml, custom model providers
"""

from __future__ import annotations

import base64
import datetime
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.clients.install import program
from tests.clients.patches import adding, filled
from tests.clients.programs import (
    RESPONSES,
    Call,
    Gate,
    Hands,
    Json,
    Place,
    Program,
    Start,
    end_all,
    environment,
    lines,
)

CONFIG: Final = """
model = {model}
model_provider = "kirogw"

[model_providers.kirogw]
name = "kirogw"
base_url = {base}
env_key = "KIROGW_KEY"
wire_api = "responses"
"""
BUILT_IN: Final = """
model = {model}
openai_base_url = {base}
"""
# without its own sandbox, which a container does not allow: the home and the folder are thrown away anyway
USUAL: Final = ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")


def start(gate: Gate, place: Place, model: str, prompt: str) -> Start:
    """With a provider of its own in config.toml, as the README tells."""
    configure(place, filled_in(CONFIG, gate, model))
    return exec_(gate, place, "--cd", str(place.work), prompt)


def start_built_in(gate: Gate, place: Place, model: str, prompt: str) -> Start:
    """With OpenAI's provider, which tries a WebSocket first, at another address."""
    configure(place, filled_in(BUILT_IN, gate, model))
    return exec_(gate, place, "--cd", str(place.work), prompt)


def exec_(gate: Gate, place: Place, *words: str) -> Start:
    keys = {"KIROGW_KEY": gate.key, "CODEX_API_KEY": gate.key}
    return Start([str(program("codex")), *USUAL, *words], environment(place, CODEX_HOME=str(home(place)), **keys))


def filled_in(config: str, gate: Gate, model: str) -> str:
    return config.format(model=json.dumps(model), base=json.dumps(f"{gate.url}/v1"))


def configure(place: Place, config: str) -> None:
    (home(place) / "config.toml").write_text(config)


def home(place: Place) -> Path:
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
    around = f"text(await tools.apply_patch({json.dumps(adding(path))})); text('The patch is applied.');"
    return _code(filled(_quoted(content), around))


FUNCTIONS_HANDS: Final = Hands(
    read=lambda path: _command(f"cat '{path}'"),
    write=lambda path, content: _command(filled(content, f"apply_patch <<'EOF'\n{adding(path)}EOF\n")),
    run=_command,
    wrote="Success. Updated the following files",
)
FREEFORM_HANDS: Final = Hands(
    read=lambda path: _command(f"cat '{path}'"),
    write=lambda path, content: ("apply_patch", {"input": filled(content, adding(path))}),
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


def limits(gate: Gate, place: Place, service: str) -> Json:
    """What `/status` shows of the limits, asked of Codex's own server as its terminal does.

    It asks at `service` (chatgpt_base_url), and only who is signed in: so there is a login, with our key as its token.
    """
    configure(place, f"chatgpt_base_url = {json.dumps(service)}\n" + filled_in(CONFIG, gate, UNKNOWN.model))
    auth = {"https://api.openai.com/auth": {"chatgpt_account_id": "a", "chatgpt_plan_type": "plus"}, "exp": 4102444800}
    claims = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                      for part in ({"alg": "none"}, auth, "none"))  # fmt: skip
    tokens = {"id_token": claims, "access_token": gate.key, "refresh_token": "none", "account_id": "a"}
    login = {"auth_mode": "chatgpt", "tokens": tokens, "last_refresh": datetime.datetime.now(datetime.UTC).isoformat()}
    (home(place) / "auth.json").write_text(json.dumps(login))
    asked = [{"id": 0, "method": "initialize", "params": {"clientInfo": {"name": "test", "version": "1"}}},
             {"method": "initialized"}, {"id": 1, "method": "account/rateLimits/read"}]  # fmt: skip
    env = environment(place, CODEX_HOME=str(home(place)), KIROGW_KEY=gate.key)
    server = subprocess.Popen([str(program("codex")), "app-server"], env=env, cwd=place.work, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              start_new_session=True)  # fmt: skip
    ending = threading.Timer(30, server.kill)  # so that a server that says nothing is at an end, too
    ending.start()
    try:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write("".join(json.dumps(one) + "\n" for one in asked))
        server.stdin.flush()
        for line in server.stdout:
            if (told := json.loads(line)).get("id") == 1:
                return dict(told["result"])
        raise AssertionError("Codex's server said nothing of limits")
    finally:
        ending.cancel()
        end_all(server)
