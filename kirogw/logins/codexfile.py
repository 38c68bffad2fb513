"""Codex CLI's auth.json as a place of a login. It is read anew before it is written, keeps every member that is not
ours to change, and is left alone when Codex CLI has changed it since. Source: codex 2.8.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kirogw.dialects.codex import credential as codex
from kirogw.dialects.codex.login import text
from kirogw.dialects.credential import Credential
from kirogw.logins import files
from kirogw.logins.files import Missing
from kirogw.logins.source import Changed, stamp_of
from kirogw.wire import Json


@dataclass(frozen=True)
class CodexFile:
    id: str
    path: Path
    write_back: bool = True
    mend: str = "run `codex login`, or sign in here: `kirogw.py login chatgpt`"

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def private(self) -> bool:
        return not self.write_back

    def stamp(self) -> object:
        return stamp_of(self.path)

    def read(self) -> Credential:
        members = files.read_json(self.path)
        if why := codex.unfit(members):
            raise Missing(f"{self.path} holds {why}")
        return codex.read(members)

    def save(self, credential: Credential, before: str) -> bool:
        if not self.write_back:
            return False
        members = files.read_json(self.path)
        if text(_tokens(members), "refresh_token") != before:
            raise Changed
        data = json.dumps(codex.changed(members, credential), indent=2, ensure_ascii=False)
        files.replace(self.path, data.encode("utf-8", "surrogatepass"))
        return True


def _tokens(members: Json) -> Json:
    tokens = members.get("tokens")
    return tokens if isinstance(tokens, dict) else {}
