"""Texts made from the settings: `--help`, `.env.example`, docs/settings.md, and the words of the first start."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

from kirogw.settings import FIELDS, Settings, shown

GROUPS: Final = {
    "server": "Server", "accounts": "Accounts", "pool": "Many accounts",
    "network": "Network and waiting", "thinking": "Thinking and search",
    "models": "Models and attachments", "upstream": "The upstream's addresses and shapes",
}  # fmt: skip

OWN_COMMANDS: Final = {
    "serve": "the gateway itself; the default", "twin": "the upstream simulator alone",
    "settings": "the settings in force, or all there are", "key": "print the key that clients must send",
}  # fmt: skip


def _by_group() -> list[tuple[str, list[dataclasses.Field[Any]]]]:
    return [(group, list(fields)) for group, fields in groupby(FIELDS, key=lambda f: f.metadata["group"])]


def _help(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata["choices"]
    listed = all(choice in field.metadata["help"] for choice in choices)
    return str(field.metadata["help"]) + ("" if listed else f": {', '.join(choices)}")


def epilog(commands: Mapping[str, str] | None = None) -> str:
    """`commands`: name -> what it does."""
    lines = ["settings from the environment or a .env file (the command line wins, then the environment):"]
    for field in FIELDS:
        text = f"{_help(field)} [{shown(field.default)}]" if shown(field.default) else _help(field)
        lines.append(f"  {field.name.upper()}")
        lines += textwrap.wrap(text, 100, initial_indent="      ", subsequent_indent="      ")
    lines += ["", "commands (each has a --help of its own):"]
    lines += [f"  {name:<14}{text}" for name, text in {**OWN_COMMANDS, **(commands or {})}.items()]
    return "\n".join(lines)


def env_example() -> str:
    lines = ["# Copy to .env and take the # off what you want to change. The values are the defaults."]
    for group, fields in _by_group():
        lines += ["", f"# --- {GROUPS[group]}"]
        for field in fields:
            lines += [*textwrap.wrap(_help(field), 110, initial_indent="# ", subsequent_indent="# "),
                      f"#{field.name.upper()}={shown(field.default)}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def markdown() -> str:
    lines = ["# Settings", "", "Precedence: command line, environment, `.env`, default. A wrong value stops the start",
             "with one line that names the setting. Durations are in seconds, sizes in bytes."]  # fmt: skip
    for group, fields in _by_group():
        lines += ["", f"## {GROUPS[group]}", "", "| setting | flag | default | meaning |", "|---|---|---|---|"]
        for field in fields:
            flag = f"`{field.metadata['flag']}`" if field.metadata["flag"] else ""
            default = f"`{shown(field.default)}`" if shown(field.default) else ""
            lines.append(f"| `{field.name.upper()}` | {flag} | {default} | {_help(field)} |")
    return "\n".join(lines) + "\n"


def listing(settings: Settings) -> str:
    """What is in force; a secret only says whether it is set."""
    lines = []
    for field in FIELDS:
        value = shown(getattr(settings, field.name))
        if field.metadata["secret"]:
            value = "(set)" if value else ""
        lines.append(f"{field.name.upper()}={value}")
    return "\n".join(lines) + "\n"


def welcome(base: str, key: str, model: str) -> str:
    """Ready-to-paste set-up lines, printed once with a new key."""
    return f"""
This is your gateway's key, made just now. It is kept in KIROGW_HOME; `python kirogw.py key` prints it again.

    {key}

First answer:
    curl -N {base}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
      -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello"}}]}}'

Claude Code:
    export ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN={key}
    claude --model {model}

OpenCode (opencode.json):
    {{"provider": {{"kirogw": {{"npm": "@ai-sdk/anthropic", "options": {{"baseURL": "{base}/v1", "apiKey": "{key}"}},
      "models": {{"{model}": {{}}}}}}}}}}

Codex (~/.codex/config.toml, with KIROGW_KEY={key} in its environment; or see `kirogw.py codex-models`):
    model = "{model}"
    model_provider = "kirogw"
    [model_providers.kirogw]
    name = "kirogw"
    base_url = "{base}/v1"
    env_key = "KIROGW_KEY"
    wire_api = "responses"

SDKs:
    OPENAI_BASE_URL={base}/v1     OPENAI_API_KEY={key}
    ANTHROPIC_BASE_URL={base}     ANTHROPIC_API_KEY={key}
"""
