"""The providers: a gateway with one account before the simulator of its service, and what that service got."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anthropic
import openai

from kirogw.logins.stored import packed
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin, as_codex_file
from kirogw.twin.codex import ask as codex_ask
from kirogw.twin.kiro import ask
from tests.grid.words import Json
from tests.system.running import GUNICORN, KEY, TOP, Running, environment, running
from tests.system.stand import credential


class Side(Protocol):
    """Where the answers come from. What it got is always what it got last."""

    title: str
    model: str

    def plays(self, answers: list[Any]) -> None: ...

    def got(self) -> str:
        """The whole request as text, in which quotes and line ends stand as they were written."""

    def tools(self) -> dict[str, Any]:
        """Name -> schema."""

    def pictures(self) -> list[str]:
        """In base64."""

    def thought_came_back(self, thought: str) -> bool: ...

    def complaints(self) -> list[Any]:
        """What it found malformed."""


def strings(value: Any) -> Iterator[str]:
    """All texts in a JSON value, and in the JSON that these texts are."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


class Service:
    """What is the same before either simulator."""

    def __init__(self, twin: Twin | CodexTwin, title: str, model: str) -> None:
        self.twin, self.title, self.model = twin, title, model

    def plays(self, answers: list[Any]) -> None:
        self.twin.reset()
        self.twin.script(answers)

    def _payload(self) -> Json:
        payload: Json = self.twin.seen()[-1].payload
        return payload

    def got(self) -> str:
        return "\n".join(strings(self._payload()))

    def complaints(self) -> list[Any]:
        return self.twin.refusals


class Kiro(Service):
    def _ask(self) -> ask.Ask:
        return ask.Ask(self._payload(), b"")

    def tools(self) -> dict[str, Any]:
        return {tool["name"]: tool["inputSchema"]["json"] for tool in self._ask().tools}

    def pictures(self) -> list[str]:
        return [image["source"]["bytes"] for turn in self._ask().turns for image in turn.images]

    def thought_came_back(self, thought: str) -> bool:
        said = [entry.get("assistantResponseMessage", {}) for entry in self._payload()["conversationState"]["history"]]
        return any(thought in json.dumps(one.get("reasoningContent"), ensure_ascii=False) for one in said)


class OpenAI(Service):
    def tools(self) -> dict[str, Any]:
        return {tool["name"]: tool["inputSchema"]["json"] for tool in codex_ask.Ask(self._payload(), b"").tools}

    def pictures(self) -> list[str]:
        told = [item.get("content") or item.get("output") for item in self._payload()["input"]]
        parts = [part for parts in told if isinstance(parts, list) for part in parts]
        return [part["image_url"].partition(",")[2] for part in parts if part["type"] == "input_image"]

    def thought_came_back(self, thought: str) -> bool:
        """Its text is nothing to the service; what it sealed is."""
        return any(item["type"] == "reasoning" and item.get("encrypted_content") for item in self._payload()["input"])


@dataclass
class Clients:
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic


@contextlib.contextmanager
def clients(gateway: Running) -> Iterator[Clients]:
    usual: Json = {"api_key": KEY, "max_retries": 0, "timeout": 30}
    one, other = openai.OpenAI(base_url=f"{gateway.url}/v1", **usual), anthropic.Anthropic(base_url=gateway.url, **usual)
    with one, other:
        yield Clients(one, other)


WORKERS = [*GUNICORN, "-b", "127.0.0.1:{port}", "kirogw:create_app()"]


@contextlib.contextmanager
def kiro() -> Iterator[tuple[Side, Clients]]:
    with Twin(accounts=["api_key"]) as twin, running(twin, command=WORKERS) as gateway, clients(gateway) as sdks:
        yield Kiro(twin, "Kiro account", "claude-sonnet-4.6"), sdks


@contextlib.contextmanager
def codex() -> Iterator[tuple[Side, Clients]]:
    with CodexTwin(accounts=["codex"]) as twin, tempfile.TemporaryDirectory() as folder:
        login = Path(folder) / "auth.json"
        login.write_text(json.dumps(as_codex_file(twin.account, datetime.datetime.now(datetime.UTC).isoformat())))
        settings = {**twin.settings(), "CODEX_AUTH_FILE": login}
        with running(None, command=WORKERS, **settings) as gateway, clients(gateway) as sdks:
            yield OpenAI(twin, "ChatGPT account, Codex client login", "gpt-6.1-sol"), sdks


@contextlib.contextmanager
def chatgpt() -> Iterator[tuple[Side, Clients]]:
    """Sign in with ChatGPT keeps its login in the gateway's store only: it is brought there by an export."""
    with CodexTwin(accounts=["siwc"]) as twin, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "accounts.json"
        file.write_text(json.dumps([{"credential": json.loads(packed(credential(twin.account)))}]))
        words = [sys.executable, str(TOP / "kirogw.py"), "accounts", "import", str(file)]
        env = environment(Path(folder), twin.settings())
        subprocess.run(words, env=env, check=True, capture_output=True, timeout=100)
        with running(None, command=WORKERS, home=folder, **twin.settings()) as gateway, clients(gateway) as sdks:
            yield OpenAI(twin, "ChatGPT account, Sign in with ChatGPT", "gpt-5.5"), sdks


SIDES = {"kiro": kiro, "codex": codex, "chatgpt": chatgpt}
