"""Codex CLI's auth.json as a place of a login. Source: codex 2.8."""

from __future__ import annotations

from dataclasses import dataclass

from kirogw.dialects.codex import credential as codex
from kirogw.dialects.codex.login import text
from kirogw.dialects.credential import Credential
from kirogw.logins import files
from kirogw.logins.files import Missing
from kirogw.logins.source import Changed, OnDisk
from kirogw.wire import Json


@dataclass(frozen=True)
class CodexFile(OnDisk):
    mend: str = "run `codex login`, or sign in here: `kirogw.py login chatgpt`"

    def read(self) -> Credential:
        members = files.read_json(self.path)
        if why := codex.unfit(members):
            raise Missing(f"{self.path} holds {why}")
        return codex.read(members)

    def _put_back(self, credential: Credential, before: str) -> None:
        members = files.read_json(self.path)
        if text(_tokens(members), "refresh_token") != before:
            raise Changed
        files.replace_json(self.path, codex.changed(members, credential))


def _tokens(members: Json) -> Json:
    tokens = members.get("tokens")
    return tokens if isinstance(tokens, dict) else {}
