"""Where logins lie, and how renewed tokens go back there: the IDE's file, the command line's database, the settings,
and what is found of Codex CLI (`codexfile.py`). Source: kiro 1.6-1.9.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from kirogw.dialects.credential import Credential, fingerprint
from kirogw.dialects.kiro import credential as kiro
from kirogw.dialects.kiro.credential import text
from kirogw.logins import files, places
from kirogw.logins.codexfile import CodexFile
from kirogw.logins.files import Missing, Unreadable
from kirogw.logins.source import Changed, OnDisk, Source, stamp_of
from kirogw.settings import Settings
from kirogw.wire import Json

T = TypeVar("T")

BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
CLOSED: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
BUSY_TRIES: Final = 100
BUSY_PAUSE: Final = 0.05  # seconds; with the tries, the five seconds that kiro-cli itself waits


@dataclass(frozen=True)
class IdeFile(OnDisk):
    """The Kiro IDE's token file, or a file in its form. An Identity Center login's client lies in a file beside it."""

    mend: str = "sign in again in the Kiro IDE"
    profiles: tuple[Path, ...] = ()

    def read(self) -> Credential:
        members = files.read_json(self.path)
        if not any(text(members, name) for name in ("accessToken", "refreshToken", "apiKey")):
            raise Missing(f"{self.path} holds no login (neither accessToken nor refreshToken)")
        return kiro.read(members, self._registration(members), self._profile())

    def _registration(self, members: Json) -> Json | None:
        name = text(members, "clientIdHash")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):  # it becomes a file's name
            return None
        try:
            return files.read_json(self.path.parent / f"{name}.json")
        except Missing:
            return None

    def _profile(self) -> str:
        """The one selected in the IDE; not worth an error."""
        for path in self.profiles:
            with contextlib.suppress(Unreadable):
                return text(files.read_json(path), "arn")
        return ""

    def _put_back(self, credential: Credential, before: str) -> None:
        members = files.read_json(self.path)
        if text(members, "refreshToken") != before:
            raise Changed
        files.replace_json(self.path, kiro.changed(members, credential))


@dataclass(frozen=True)
class Row:
    """A key of auth_kv that holds tokens; `client` is the one that holds the OIDC client's registration."""

    key: str
    method: str
    client: str = ""


ROWS: Final = (
    Row("kirocli:external-idp:token", "external_idp"),
    Row("kirocli:social:token", "social"),
    Row("kirocli:odic:token", "idc", "kirocli:odic:device-registration"),
    Row("codewhisperer:odic:token", "idc", "codewhisperer:odic:device-registration"),
)
PROFILE: Final = "api.codewhisperer.profile"
STATES: Final = {"startUrl": "auth.idc.start-url", "region": "auth.idc.region"}


@dataclass(frozen=True)
class Database(OnDisk):
    """kiro-cli's or amazon-q's SQLite file. Families of tokens are never mixed: what came of a row goes back there."""

    mend: str = "run `kiro-cli login`"

    def stamp(self) -> object:
        return super().stamp(), stamp_of(self.path.with_name(f"{self.path.name}-wal"))

    def read(self) -> Credential:
        try:
            there = self.path.is_file()
        except OSError as error:
            raise Unreadable(f"{self.path} can not be read: {error.strerror}") from None
        if not there:
            raise Missing(f"{self.path} does not exist")
        with self._errors():
            try:
                rows, states = self._patiently("mode=ro", _everything)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in CLOSED:
                    raise
                rows, states = self._patiently("immutable=1", _everything)  # in a folder that we may not write
        found = [(row, members) for row in ROWS if (members := self._members(row.key, rows.get(row.key))) is not None]
        found.sort(key=lambda pair: not text(pair[1], "refreshToken"))
        if not found:
            raise Missing(f"{self.path} holds no login")
        return self._credential(*found[0], rows, states)

    def _members(self, key: str, value: Any) -> Json | None:
        if value is None:
            return None
        members = _parsed(value)
        if not isinstance(members, dict):
            raise Unreadable(f"{self.path}: the row {key} holds no JSON object")
        return members if text(members, "accessToken") or text(members, "refreshToken") else None

    def _credential(self, row: Row, members: Json, rows: Json, states: Json) -> Credential:
        client = self._members_of_client(rows.get(row.client))
        profile = _parsed(states.get(PROFILE))
        defaults = {name: _parsed(states.get(key)) for name, key in STATES.items()} if row.method == "idc" else {}
        told = {name: value for name, value in defaults.items() if not text(members, name) and not text(client, name)}
        arn = text(profile, "arn") if isinstance(profile, dict) else ""
        return kiro.read({**members, **told, "authMethod": row.method}, client or None, arn)

    def _members_of_client(self, value: Any) -> Json:
        client = _parsed(value)
        return client if isinstance(client, dict) else {}

    def _put_back(self, credential: Credential, before: str) -> None:
        with self._errors():
            self._patiently("mode=rw", lambda database: _replace_tokens(database, credential, before))

    def _patiently(self, how: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` on the open database. Waits for a lock outside of SQLite, whose own wait stops all greenlets."""
        for _ in range(BUSY_TRIES):
            try:
                with contextlib.closing(_connect(self.path, how)) as database:
                    return work(database)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in BUSY:
                    raise
            time.sleep(BUSY_PAUSE)
        raise Unreadable(f"{self.path} has been locked by another program for {BUSY_TRIES * BUSY_PAUSE:.0f} seconds")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unreadable(f"{self.path} can not be used as a kiro-cli database: {error}") from None


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=0, isolation_level=None)


def _everything(database: sqlite3.Connection) -> tuple[Json, Json]:
    """What auth_kv and state hold, of one moment."""
    database.execute("BEGIN")
    rows = dict(database.execute("SELECT key, value FROM auth_kv"))
    has_state = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'state'").fetchone()
    wanted = (PROFILE, *STATES.values())
    states = dict(database.execute("SELECT key, value FROM state WHERE key IN (?, ?, ?)", wanted)) if has_state else {}
    database.execute("COMMIT")
    return rows, states


def _replace_tokens(database: sqlite3.Connection, credential: Credential, before: str) -> None:
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    for row in ROWS:
        held = database.execute("SELECT value FROM auth_kv WHERE key = ?", (row.key,)).fetchone()
        members = _parsed(held[0]) if held else None
        if isinstance(members, dict) and text(members, "refreshToken") == before:
            value = json.dumps(kiro.changed(members, credential), separators=(",", ":"), ensure_ascii=False)
            kept = value.encode() if isinstance(held[0], bytes) else value
            database.execute("UPDATE auth_kv SET value = ? WHERE key = ?", (kept, row.key))
            database.execute("COMMIT")
            return
    database.execute("ROLLBACK")
    raise Changed


def _parsed(value: Any) -> Any:
    """JSON in a cell, whether stored as text or as bytes; None when it is none."""
    if not isinstance(value, str | bytes):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Given:
    """A login from the settings. Nothing can be written back there, so what comes of it is kept in the store."""

    id: str
    credential: Credential
    place: str
    mend: str
    private = True

    def stamp(self) -> object:
        return 0

    def read(self) -> Credential:
        return self.credential

    def save(self, credential: Credential, before: str) -> bool:
        return False


def find(settings: Settings, home: Path, platform: str = sys.platform, machine: str = "") -> list[Source]:
    """The logins that the settings name, else those that lie where the tools of Kiro and Codex CLI put them. Reads none
    of them.

    `machine` is put into the ids of what lies on this machine only, where the accounts of several machines meet.
    """
    found = _named(settings, home, platform) or _lying_about(settings, home, platform)
    return [_of_machine(source, machine) for source in found] if machine else found


def _of_machine(source: Source, machine: str) -> Source:
    return replace(source, id=f"{source.id}-{machine}") if isinstance(source, OnDisk) else source


def named(settings: Settings) -> bool:
    """Whether the settings name any login."""
    names = (settings.kiro_creds_file, settings.kiro_cli_db_file, settings.refresh_token, settings.kiro_api_key,
             settings.codex_auth_file)  # fmt: skip
    return any(names)


def _named(settings: Settings, home: Path, platform: str) -> list[Source]:
    found: list[Source] = []
    if settings.kiro_creds_file:
        found.append(_file(Path(settings.kiro_creds_file).expanduser(), settings, home, platform))
    if settings.kiro_cli_db_file:
        found.append(_database(Path(settings.kiro_cli_db_file).expanduser(), settings, home, platform))
    found += [_token(part) for part in _parts(settings.refresh_token)]
    found += [_key(part, settings.kiro_region) for part in _parts(settings.kiro_api_key)]
    if settings.codex_auth_file:
        found.append(_codex(Path(settings.codex_auth_file).expanduser(), settings, home))
    return found


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _token(token: str) -> Given:
    """A lone refresh token is of a social login: others need a client registration too."""
    name = f"token-{fingerprint(token)[:8]}"
    return Given(name, Credential("social", refresh=token), "REFRESH_TOKEN", "put a new token into REFRESH_TOKEN")


def _key(secret: str, region: str) -> Given:
    key = kiro.key(secret, region)
    mend = "make a new key at app.kiro.dev/settings/api-keys and put it into KIRO_API_KEY"
    return Given(f"key-{fingerprint(key.access)[:8]}", key, "KIRO_API_KEY", mend)


def _lying_about(settings: Settings, home: Path, platform: str) -> list[Source]:
    """The first of each family; amazon-q's only without kiro-cli's."""
    found: list[Source] = []
    if files.is_file(file := places.ide_file(home)):
        found.append(_file(file, settings, home, platform))
    databases = (*places.cli_databases(home, platform), *places.amazon_q_databases(home, platform))
    found += [_database(path, settings, home, platform) for path in _existing(databases)[:1]]
    if files.is_file(file := places.codex_file(home, settings.codex_home)):
        found.append(_codex(file, settings, home))
    return found


def _existing(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if files.is_file(path)]


def _file(path: Path, settings: Settings, home: Path, platform: str) -> IdeFile:
    """The IDE's selected profile belongs to the IDE's own file only."""
    if path == places.ide_file(home):
        return IdeFile("kiro-ide", path, settings.write_back, profiles=places.ide_profiles(home, platform))
    return IdeFile(_of_path("file", path), path, settings.write_back, f"sign in again and renew {path}")


def _database(path: Path, settings: Settings, home: Path, platform: str) -> Database:
    if path in places.cli_databases(home, platform):
        return Database("kiro-cli", path, settings.write_back)
    if path in places.amazon_q_databases(home, platform):
        return Database("amazon-q", path, settings.write_back, "run `q login`, or install kiro-cli")
    return Database(_of_path("database", path), path, settings.write_back)


def _codex(path: Path, settings: Settings, home: Path) -> CodexFile:
    if path == places.codex_file(home, settings.codex_home):
        return CodexFile("codex-cli", path, settings.write_back)
    return CodexFile(_of_path("codex-file", path), path, settings.write_back, f"sign in again and renew {path}")


def _of_path(kind: str, path: Path) -> str:
    return f"{kind}-{fingerprint(str(path.absolute()))[:8]}"
