"""The command line: `python kirogw.py [COMMAND] [options]`; without a command it serves.

What is small is here; each of `COMMANDS` is a module of `commands/` with `run(words) -> exit code`, loaded when it is
called. What they raise of `TOLD` is said in a line.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from kirogw import __version__, manual, serve
from kirogw.errors import GatewayError
from kirogw.logins.files import Unreadable
from kirogw.settings import FIELDS, Settings, WrongSetting, load
from kirogw.store import StoreFailed

TOLD: Final = (GatewayError, StoreFailed, Unreadable)
COMMANDS: Final[dict[str, str]] = {
    "login": "sign in to Kiro or ChatGPT: by a code, or in the browser",
    "keys": "make, list, change, rotate and revoke clients' API keys",
    "accounts": "list, add, import, export, test and change accounts",
    "codex-models": "write the list of models for Codex CLI",
    "doctor": "look at everything, and say what to mend",
    "status": "how accounts and gateways stand",
    "backup": "write everything to one file",
    "restore": "put a backup in the place of everything",
    "secret": "the key that seals secrets at rest: make, show, rotate",
}


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    command = words.pop(0) if words and (words[0] in COMMANDS or words[0] in OWN) else "serve"
    try:
        if command in OWN:
            return OWN[command](words)
        return int(importlib.import_module(f"kirogw.commands.{command.replace('-', '_')}").run(words))
    except (WrongSetting, *TOLD) as error:
        print(f"kirogw: {error}", file=sys.stderr)
        return 2 if isinstance(error, WrongSetting) else 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Each setting that has a flag; the others are listed at the end, by their names in the environment."""
    top = argparse.ArgumentParser(
        "kirogw.py", description="OpenAI- and Anthropic-speaking tools on the Kiro and ChatGPT accounts that you have.",
        epilog=manual.epilog(COMMANDS), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"kirogw {__version__}")
    for field in FIELDS:
        if flag := field.metadata["flag"]:
            name = field.name.upper()
            text = f"{field.metadata['help']} ({name})"
            if isinstance(field.default, bool):
                top.add_argument(flag, dest=name, action="store_const", const="true", help=text)
            else:
                top.add_argument(flag, dest=name, metavar=name.rpartition("_")[2], help=text)
    return top


def _options(words: Sequence[str]) -> Settings:
    """The settings in force. Flags are put into the environment, where workers and gunicorn.conf.py find them too."""
    given = {name: text for name, text in vars(parser().parse_args(words)).items() if text is not None}
    os.environ.update(given)
    return load()


def _serve(words: Sequence[str]) -> int:
    return serve.run(_options(words))


def _twin(words: Sequence[str]) -> int:
    return serve.run_twin(list(words))


def _settings(words: Sequence[str]) -> int:
    form = argparse.ArgumentParser("kirogw.py settings", description="Print all settings.")
    form.add_argument("--env", action="store_true", help="as .env.example")
    form.add_argument("--markdown", action="store_true", help="as docs/settings.md")
    args = form.parse_args(words)
    print(manual.env_example() if args.env else manual.markdown() if args.markdown else manual.listing(load()), end="")
    return 0


def _key(words: Sequence[str]) -> int:
    form = argparse.ArgumentParser("kirogw.py key", description="Print the key that clients must send.")
    form.add_argument("--admin", action="store_true", help="the key for administration in its place")
    print((serve.admin_key if form.parse_args(words).admin else serve.client_key)(load()))
    return 0


OWN: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "serve": _serve, "twin": _twin, "settings": _settings, "key": _key,
}  # fmt: skip
