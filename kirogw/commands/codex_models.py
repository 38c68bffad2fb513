"""`codex-models`: the list of models as Codex reads it from a file, and the lines of its settings that go with it."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from kirogw import serve
from kirogw.catalog import Catalog
from kirogw.commands.opened import opened
from kirogw.commands.tables import complain
from kirogw.convert import Providers
from kirogw.desk import Desk
from kirogw.dialects.catalogue import catalogue
from kirogw.dialects.listing import Listed
from kirogw.logins import files
from kirogw.router import Router
from kirogw.settings import Settings, load
from kirogw.transport import Transport
from kirogw.wire import Json

CONFIG: Final = """\
# in ~/.codex/config.toml; the key: export KIROGW_KEY="$(.venv/bin/python kirogw.py key)"
model = {model}
model_provider = "kirogw"
model_catalog_json = {file}

[model_providers.kirogw]
name = "kirogw"
base_url = {url}
env_key = "KIROGW_KEY"
wire_api = "responses"
"""


def run(words: Sequence[str]) -> int:
    args = form().parse_args(words)
    settings = load()
    try:
        with opened(settings) as desk:
            made = catalogue(models(desk, settings))
        written(made, args.write)
    except OSError as error:
        complain(f"{args.write} can not be written ({error.strerror}); is its folder there?")
        return 1
    names = [entry["slug"] for entry in made["models"]]
    if args.model and args.model not in names:
        complain(f"no model is called {args.model!r}; there are {', '.join(names)}")
        return 1
    url = args.url or f"{serve.address(settings.server_host, settings.server_port)}/v1"
    config = lines(url, args.write or Path("FILE"), args.model or names[0])
    print(config, end="", file=sys.stdout if args.write else sys.stderr)
    return 0


def form() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "kirogw.py codex-models",
        description="Write the list of models for Codex CLI, and say what belongs into its settings.",
    )
    top.add_argument("--write", type=Path, metavar="FILE", help="where to write it; without: to standard output")
    top.add_argument("--url", help="the gateway's address as Codex sees it, with /v1")
    top.add_argument("--model", help="the model that the settings name; the first of the list unless told otherwise")
    return top


def models(desk: Desk, settings: Settings) -> list[Listed]:
    """Of all accounts; asked for where no gateway has done that yet."""
    providers = Providers(settings)
    catalog = Catalog(settings, providers, Transport(settings).call, desk.sync)
    for account in desk.pool.all():
        if account.enabled:
            catalog.models(account.id, functools.partial(desk.logins.fresh, account.id), account.kind)
    return Router(settings, providers, catalog, desk.pool).listed(spellings=False)


def written(made: Json, to: Path | None) -> None:
    data = orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if to:
        files.replace(to.expanduser(), data)
    else:
        sys.stdout.buffer.write(data)


def lines(url: str, file: Path, model: str) -> str:
    """JSON's strings are TOML's too."""
    given = {"url": url, "file": str(file.expanduser().absolute()), "model": model}
    return CONFIG.format(**{name: orjson.dumps(text).decode() for name, text in given.items()})

