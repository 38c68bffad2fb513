"""The client programs as values: how each is pointed at a gateway, what its tools are called, what it said at its end.

Each runs in a throw-away home and writes nothing elsewhere. The settings that keep it from calling anybody but the
gateway are those that its makers document.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import requests

from tests.clients.install import program
from tests.clients.patches import adding, filled

Json = dict[str, Any]
Call = tuple[str, Json]
LIMIT: Final = 300.0  # seconds for one run of a client; a machine that is busy takes its time
ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Hands:
    """A client's own tools: name and arguments of the call that does it. Texts may be placeholders of the twin.

    `wrote` is in what the client tells the model after a file was written.
    """

    read: Callable[[str], Call]
    write: Callable[[str, Any], Call]
    run: Callable[[str], Call]
    wrote: str


@dataclass(frozen=True)
class Gate:
    """What a user of the gateway knows; `command` runs `kirogw.py WORDS...` beside it and gives what that prints."""

    url: str
    key: str
    command: Callable[..., str]

    def asked(self) -> int:
        """How many requests it has answered, by what it has written of that so far."""
        stats = requests.get(f"{self.url}/v1/stats", headers={"Authorization": f"Bearer {self.key}"}, timeout=60).json()
        return int(stats["today"]["requests"])


@dataclass(frozen=True)
class Place:
    """Where one client lives for one test."""

    home: Path
    work: Path


@dataclass(frozen=True)
class Start:
    argv: list[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Ran:
    """How a run ended. `said` is the last text that the client showed as the model's, or its error."""

    code: int
    said: str
    output: str
    seconds: float


@dataclass(frozen=True)
class Program:
    """One client over one API."""

    name: str
    model: str
    hands: Hands
    start: Callable[[Gate, Place, str, str], Start]
    said: Callable[[str], str]
    path: str  # of the API it speaks


class TooLong(AssertionError):
    """The client did not end in time; its output so far is the message."""


def run(client: Program, gate: Gate, place: Place, prompt: str) -> Ran:
    """Let the client work on `prompt` and wait for its end."""
    return execute(client.name, client.start(gate, place, client.model, prompt), place, client.said)


def execute(name: str, start: Start, place: Place, said: Callable[[str], str]) -> Ran:
    """Run a command of a client to its end. It and its children are gone afterwards."""
    log = place.home / "output"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(start.argv, env=start.env, cwd=place.work, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            so_far = log.read_text("utf-8", "replace")[-4000:]
            raise TooLong(f"{name} still ran after {LIMIT:.0f} s:\n{so_far}") from None
        finally:
            end_all(process)
    text = ANSI.sub("", log.read_text("utf-8", "replace"))
    return Ran(code, said(text), text, time.monotonic() - began)


def end_all(process: subprocess.Popen[Any]) -> None:
    """The client started a session of its own, so its process group is all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment(place: Place, **more: str) -> dict[str, str]:
    home = place.home
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "TERM": "dumb", "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(home / "config"), "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"), "XDG_STATE_HOME": str(home / "state"), **more,
    }  # fmt: skip


def lines(output: str) -> list[Json]:
    """The lines of the output that are JSON objects."""
    found = []
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


# Claude Code: https://code.claude.com/docs/en/settings (environment variables)


def _claude(gate: Gate, place: Place, model: str, prompt: str) -> Start:
    env = environment(
        place, CLAUDE_CONFIG_DIR=str(place.home / "claude"), ANTHROPIC_BASE_URL=gate.url, ANTHROPIC_AUTH_TOKEN=gate.key,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_AUTOUPDATER="1",
        IS_SANDBOX="1",  # root may skip the permission prompts only in a sandbox
    )  # fmt: skip
    argv = [str(program("claude")), "-p", prompt, "--model", model, "--output-format", "json",
            "--dangerously-skip-permissions"]  # fmt: skip
    return Start(argv, env)


def _claude_said(output: str) -> str:
    results = [line for line in lines(output) if line.get("type") == "result"]
    return str(results[-1].get("result", "")) if results else ""


CLAUDE_HANDS: Final = Hands(
    read=lambda path: ("Read", {"file_path": path}),
    write=lambda path, content: ("Write", {"file_path": path, "content": content}),
    run=lambda command: ("Bash", {"command": command, "description": "Run it"}),
    wrote="File created successfully",
)


# OpenCode: https://opencode.ai/docs/config and /docs/providers


def _opencode(package: str) -> Callable[[Gate, Place, str, str], Start]:
    def start(gate: Gate, place: Place, model: str, prompt: str) -> Start:
        config = {
            "$schema": "https://opencode.ai/config.json", "autoupdate": False, "share": "disabled",
            "provider": {"kirogw": {"npm": package, "name": "kirogw", "models": {model: {"name": model}},
                                    "options": {"baseURL": f"{gate.url}/v1", "apiKey": gate.key}}},
            "permission": {"read": "allow", "edit": "allow", "bash": "allow", "external_directory": "allow"},
        }  # fmt: skip
        path = place.home / "opencode.json"
        path.write_text(json.dumps(config))
        env = environment(
            place, OPENCODE_CONFIG=str(path), OPENCODE_DISABLE_AUTOUPDATE="1", OPENCODE_DISABLE_MODELS_FETCH="1",
            OPENCODE_DISABLE_LSP_DOWNLOAD="1", OPENCODE_DISABLE_DEFAULT_PLUGINS="1",
        )  # fmt: skip
        return Start([str(program("opencode")), "run", "--format", "json", "--model", f"kirogw/{model}", prompt], env)

    return start


def _opencode_said(output: str) -> str:
    """The last text, or the words of the error that ended the run."""
    said = ""
    for line in lines(output):
        if line.get("type") == "text":
            said = line["part"]["text"]
        elif line.get("type") == "error":
            said = json.dumps(line["error"])
    return said.strip()


OPENCODE_HANDS: Final = Hands(
    read=lambda path: ("read", {"filePath": path}),
    write=lambda path, content: ("write", {"filePath": path, "content": content}),
    run=lambda command: ("bash", {"command": command, "description": "Run it"}),
    wrote="Wrote file successfully",
)


# Cline: https://docs.cline.bot/cline-cli; a base URL for the Anthropic API goes into its providers.json only


def _cline(provider: str) -> Callable[[Gate, Place, str, str], Start]:
    def start(gate: Gate, place: Place, model: str, prompt: str) -> Start:
        data = place.home / "cline"
        settings = {"provider": provider, "apiKey": gate.key, "model": model, "baseUrl": f"{gate.url}/v1"}
        entry = {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
        file = data / "settings" / "providers.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"version": 1, "lastUsedProvider": provider, "providers": {provider: entry}}))
        argv = [str(program("cline")), "--provider", provider, "--model", model, "--json", "--auto-approve", "true",
                "--data-dir", str(data), "--cwd", str(place.work), prompt]  # fmt: skip
        return Start(argv, environment(place, CLINE_NO_AUTO_UPDATE="1"))

    return start


def _cline_said(output: str) -> str:
    said = ""
    for line in lines(output):
        if line.get("type") == "run_result":
            said = str(line.get("text", ""))
        elif line.get("type") == "error":
            said = str(line.get("message", line))
    return said


CLINE_HANDS: Final = Hands(
    read=lambda path: ("read_files", {"files": [{"path": path}]}),
    write=lambda path, content: ("editor", {"path": path, "new_text": content}),
    run=lambda command: ("run_commands", {"commands": [command]}),
    wrote="File created successfully",
)

# over the Responses API it takes every model for one of OpenAI's
CLINE_PATCHES: Final = replace(CLINE_HANDS, wrote="Successfully applied patch",
                               write=lambda path, content: ("apply_patch", {"input": filled(content, adding(path, "+\n"))}))

MESSAGES: Final = "/v1/messages"
CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
HYPHENS: Final = "claude-sonnet-4-6"
DOTTED: Final = "claude-sonnet-4.6"


def _over(name: str, package: str, path: str) -> Program:
    return Program(name, DOTTED, OPENCODE_HANDS, _opencode(package), _opencode_said, path)


CLAUDE: Final = Program("claude", HYPHENS, CLAUDE_HANDS, _claude, _claude_said, MESSAGES)
OPENCODE_MESSAGES: Final = _over("opencode-messages", "@ai-sdk/anthropic", MESSAGES)
OPENCODE_CHAT: Final = _over("opencode-chat", "@ai-sdk/openai-compatible", CHAT)
OPENCODE_RESPONSES: Final = _over("opencode-responses", "@ai-sdk/openai", RESPONSES)
CLINE_MESSAGES: Final = Program("cline-messages", HYPHENS, CLINE_HANDS, _cline("anthropic"), _cline_said, MESSAGES)
CLINE_CHAT: Final = Program("cline-chat", DOTTED, CLINE_HANDS, _cline("openai-compatible"), _cline_said, CHAT)
CLINE_RESPONSES: Final = Program("cline-responses", DOTTED, CLINE_PATCHES, _cline("openai-native"), _cline_said, RESPONSES)
PROGRAMS: Final = (CLAUDE, OPENCODE_MESSAGES, OPENCODE_CHAT, OPENCODE_RESPONSES, CLINE_MESSAGES, CLINE_CHAT,
                   CLINE_RESPONSES)  # fmt: skip
