"""Accounts that people bring along: what other programs wrote, in whatever shape, and our own export.

`read` takes the text of such a file: a JSON array of accounts, `{"accounts": [...]}` (or an object by id), one account,
the settings of another gateway, or plain lines of keys and refresh tokens. An entry that can not be used is a Problem
that names the field; the others are not held up by it. Nothing is asked of any service.

Source: kiro 1.6-1.9, codex 2.8; the shapes of kiro-gateway's credentials.json, CLIRO's accounts.json and config.json,
CLIProxyAPI, OpenCode, kiro.rs and the account managers, as their own files show them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from kirogw.dialects.codex import credential as codex
from kirogw.dialects.codex.claims import fits_header
from kirogw.dialects.credential import KINDS, Credential
from kirogw.dialects.kiro import credential as kiro
from kirogw.logins import cliro, files
from kirogw.logins.cliro import Setting
from kirogw.logins.codexfile import CodexFile
from kirogw.logins.sources import Database, IdeFile
from kirogw.logins.stored import HEAVIEST, LONGEST_LABEL, packed, unpacked
from kirogw.settings import ARN, REGION
from kirogw.wire import Json

VERSION: Final = 1
MOST: Final = 10_000  # accounts in a file
SHORTEST: Final = 20  # characters of a token; the real ones have hundreds
STRANGE: Final = "spaces, line breaks or letters that no token has"
RENEWAL: Final = "without clientId and clientSecret a Builder ID or Identity Center login can not be renewed"
SQLITE: Final = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Imported:
    """A login, and what was set for it; None: the file does not say. `where` is its place in the file."""

    credential: Credential
    label: str = ""
    enabled: bool | None = None
    weight: float | None = None
    limit: int | None = None
    note: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that was left out. `where` is the field at fault, such as `accounts[2].refreshToken`."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


Row: TypeAlias = Imported | Problem | Setting
Disk: TypeAlias = Callable[[str, str], Credential]
"""`disk(type, path)`: the login in a file (type json) or a database (sqlite). Raises files.Unreadable."""


class _Wrong(Exception):
    """`field` is where, seen from the entry."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def read(text: str, disk: Disk | None = None) -> list[Row]:
    """All that `text` holds, in order. Files that it names are read by `disk`; without it they are problems."""
    text = _whole(text).lstrip("\ufeff").strip()
    if not text:
        return [Problem("", "there is nothing in it")]
    if text[0] not in "[{":
        return list(_lines(text))
    try:
        value = _whole(json.loads(text))
    except ValueError as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        return [Problem("", f"it is not valid JSON{place}")]
    except RecursionError:
        return [Problem("", "it is nested too deeply")]
    rows: list[Row] = list(cliro.settings(value)) if isinstance(value, dict) else []
    entries = _entries(value)
    if len(entries) > MOST:
        return [Problem("accounts", f"it holds {len(entries)} accounts; more than {MOST} are not taken at once")]
    rows += [_entry(entry, where, disk) for where, entry in entries]
    return rows or [Problem("", "it holds no account")]


def _whole(value: Any) -> Any:
    """Half of a surrogate pair, which JSON can hold, would stop every answer in which it is shown."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_whole(name): _whole(member) for name, member in value.items()}
    return [_whole(member) for member in value] if isinstance(value, list) else value


def read_file(path: Path) -> list[Row]:
    """What a file on this machine holds; those that it names are read too. A kiro-cli database is taken as well."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return [Problem(str(path), f"it can not be read: {error.strerror or type(error).__name__}")]
    if data.startswith(SQLITE):
        return [_entry({"type": "sqlite", "path": str(path)}, str(path), from_disk)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [Problem(str(path), "it is not text in UTF-8, and no kiro-cli database")]

    def beside(kind: str, name: str) -> Credential:
        return from_disk(kind, str(path.parent / Path(name).expanduser()))

    rows = read(text, beside)
    if len(rows) == 1 and isinstance(rows[0], Problem) and rows[0].where == "clientId":
        rows = [_entry({"type": "json", "path": str(path)}, str(path), from_disk)]  # its client lies beside it
    return rows


def from_disk(kind: str, path: str) -> Credential:
    """Raises files.Unreadable."""
    place = Path(path).expanduser()
    if kind == "sqlite":
        return Database("import", place).read()
    is_codex = codex.is_auth_file(files.read_json(place))
    return (CodexFile("import", place) if is_codex else IdeFile("import", place)).read()


def export(rows: Iterable[Imported], at: float) -> Json:
    """For another installation: `read` gives back the same. Holds every secret."""
    accounts = [
        {"label": row.label, "enabled": row.enabled is not False, "weight": row.weight, "limit": row.limit,
         "note": row.note, "credential": json.loads(packed(row.credential))} for row in rows
    ]  # fmt: skip
    return {"kirogw_accounts": VERSION, "exported_at": at, "count": len(accounts), "accounts": accounts}


# plain text


def _lines(text: str) -> Iterator[Row]:
    """A key or a refresh token a line; `ksk_...|region`; `rt_...` is of ChatGPT; `#` begins a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip().strip(",\"'")
        if word:
            yield _entry(word, f"line {number}", None)


# JSON


def _entries(value: Any) -> list[tuple[str, Any]]:
    """The accounts with their places."""
    if isinstance(value, list):
        return [(f"[{n}]", entry) for n, entry in enumerate(value)]
    listed = value.get("accounts")
    if isinstance(listed, list):
        return [(f"accounts[{n}]", entry) for n, entry in enumerate(listed)]
    if isinstance(listed, dict):
        return [(f"accounts.{name}", entry) for name, entry in listed.items()]
    return [("", value)] if not cliro.is_settings(value) else []


def _entry(entry: Any, where: str, disk: Disk | None) -> Row:
    try:
        return replace(_account(entry, disk), where=where)
    except _Wrong as error:
        return Problem(".".join(filter(None, (where, error.field))), str(error))


def _account(entry: Any, disk: Disk | None) -> Imported:
    if isinstance(entry, str):
        entry = _lone(entry)
    if not isinstance(entry, dict):
        raise _Wrong("", "an account must be an object")
    if isinstance(entry.get("credential"), dict):
        own = _terms(entry, _own(entry["credential"]))
        return replace(own, weight=_number(entry, "weight", HEAVIEST), limit=_limit(entry))
    if "path" in entry:
        return _terms(entry, _overridden(entry, _named(entry, disk)))
    if codex.is_account(entry):
        return _terms(entry, _chatgpt(entry))
    inner = entry.get("credentials")
    members = _spelled({**entry, **inner} if isinstance(inner, dict) else entry)
    _check(members)
    return _terms(entry, _read(members))


def _lone(token: str) -> Json:
    """Whose it is, its beginning says: a refresh token of ChatGPT is nothing to send to Kiro."""
    if token.startswith("rt_"):
        return {"provider": "codex", "refreshToken": token}
    return {"apiKey" if token.startswith("ksk_") else "refreshToken": token}


def _own(members: Json) -> Credential:
    """Of our own export."""
    try:
        found = unpacked(json.dumps(members).encode())
    except ValueError:
        raise _Wrong("credential.kind", f"must be one of {', '.join(KINDS)}") from None
    if not (found.refresh or found.access):
        raise _Wrong("credential.refresh", "is missing")
    return found


def _chatgpt(entry: Json) -> Credential:
    """Codex CLI's own file, or an account of an export."""
    found, why = codex.account(entry)
    if found is None:
        raise _Wrong("auth_mode" if codex.is_auth_file(entry) else "refreshToken", why)
    _check_whole("refreshToken", found.refresh)
    _check_whole("accessToken", found.access)
    return found


def _named(entry: Json, disk: Disk | None) -> Credential:
    """kiro-gateway's form: the login lies in another file."""
    kind, path = entry.get("type", "json"), entry["path"]
    if kind not in ("json", "sqlite"):
        raise _Wrong("type", "must be json, sqlite or refresh_token")
    if not isinstance(path, str) or not path.strip():
        raise _Wrong("path", "must be text")
    if disk is None:
        raise _Wrong("path", "names a file of the machine where this was written; import it there by the command line")
    try:
        found = disk(kind, path.strip())
    except files.Unreadable as error:
        raise _Wrong("path", str(error)) from None
    if found.refresh and found.kind in ("idc", "builder") and not (found.client_id and found.client_secret):
        raise _Wrong("path", f"{path.strip()} lacks the client registration: {RENEWAL}")
    _check_fits("path", found.refresh + found.access, f"{path.strip()} holds a token with {STRANGE}; sign in anew")
    return found


def _overridden(entry: Json, found: Credential) -> Credential:
    """What the list says of a login goes before what its file says."""
    members = _spelled(entry)
    _check_shapes(members)
    profile, region = kiro.text(members, "profileArn"), kiro.text(members, "region")
    return replace(found, profile=profile or found.profile, sso_region=region or found.sso_region)


# names of members: ours (as the IDE spells them) <- those of others, in lower case without `_` and `-`
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "accessToken": ("accesstoken",), "refreshToken": ("refreshtoken",), "profileArn": ("profilearn",),
    "apiKey": ("apikey", "kiroapikey"), "expiresAt": ("expiresat", "expire", "expiry", "expiresdate"),
    "clientId": ("clientid",), "clientSecret": ("clientsecret",), "clientIdHash": ("clientidhash",),
    "clientSecretExpiresAt": ("clientsecretexpiresat", "clientexpiresat"), "authMethod": ("authmethod", "authtype"),
    "provider": ("provider", "idp", "loginprovider"), "region": ("region", "ssoregion", "authregion", "idcregion"),
    "apiRegion": ("apiregion",), "startUrl": ("starturl", "issuerurl"), "tokenEndpoint": ("tokenendpoint",),
    "scopes": ("scopes", "scope"), "audience": ("audience",), "email": ("email", "useremail"),
    "machineId": ("machineid", "machineguid"),
}  # fmt: skip
KNOWN: Final = {alias: name for name, aliases in NAMES.items() for alias in aliases}
TEXTS: Final = (
    "accessToken", "refreshToken", "apiKey", "clientId", "clientSecret", "clientIdHash", "authMethod", "profileArn",
    "region", "apiRegion", "startUrl", "tokenEndpoint", "machineId",
)  # fmt: skip


def _spelled(entry: Mapping[str, Any]) -> Json:
    """The members that mean a login, as the IDE spells them. Of two that mean the same, the one that says something."""
    members: Json = {}
    for name, value in entry.items():
        ours = KNOWN.get(re.sub(r"[_-]", "", name).lower())
        if ours and value not in (None, "") and not members.get(ours):
            members[ours] = value
    return cliro.account(entry, members) if entry.get("provider") == "kiro" else members


def _check(members: Json) -> None:
    """Raises _Wrong for a login that could never work."""
    _check_shapes(members)
    for name in ("apiKey", "accessToken"):
        _check_fits(name, kiro.text(members, name))
    if members.get("apiKey") or str(members.get("accessToken", "")).startswith("ksk_"):
        return
    token = kiro.text(members, "refreshToken")
    if not token and not members.get("accessToken"):
        raise _Wrong("refreshToken", "is missing")
    _check_whole("refreshToken", token)
    kind = kiro.kind_of(members)
    if token and kind in ("idc", "builder") and not (members.get("clientId") and members.get("clientSecret")):
        raise _Wrong("clientId", f"is missing: {RENEWAL}")
    if token and kind == "external" and not members.get("tokenEndpoint"):
        raise _Wrong("tokenEndpoint", "is missing")


def _check_whole(field: str, token: str) -> None:
    """Raises _Wrong for a token that lost something when it was copied."""
    if "..." in token or "…" in token:
        raise _Wrong(field, "was cut short when it was copied (it holds dots); copy the whole token")
    if 0 < len(token) < SHORTEST:
        raise _Wrong(field, "is too short to be a whole one")
    _check_fits(field, token)


def _check_fits(field: str, token: str, reason: str = f"holds {STRANGE}; copy it once more, in one piece") -> None:
    """Raises _Wrong for a token that no header can hold: it was broken into lines, or is none."""
    if not fits_header(token):
        raise _Wrong(field, reason)


def _check_shapes(members: Json) -> None:
    for name in TEXTS:
        if name in members and not isinstance(members[name], str):
            raise _Wrong(name, "must be text")
    for name, shape, like in (("region", REGION, "us-east-1"), ("apiRegion", REGION, "us-east-1"),
                              ("profileArn", ARN, "arn:aws:codewhisperer:REGION:ACCOUNT:profile/ID")):  # fmt: skip
        if name in members and not shape.fullmatch(members[name].strip()):
            raise _Wrong(name, f"must look like {like}")


def _read(members: Json) -> Credential:
    key = kiro.text(members, "apiKey") or kiro.text(members, "accessToken")
    if members.get("apiKey") or key.startswith("ksk_"):
        region = kiro.text(members, "apiRegion") or kiro.text(members, "region")
        found = kiro.key(key, region)
        if len(found.access) < SHORTEST:
            raise _Wrong("apiKey", "is too short to be a whole one")
        return replace(found, email=kiro.text(members, "email"), machine=kiro.read(members).machine)
    return kiro.read(members)


def _terms(entry: Json, found: Credential) -> Imported:
    label = next((text for name in ("label", "nickname", "name", "alias") if (text := _text(entry, name))), "")
    note = next((text for name in ("note", "notes", "remark", "bannedReason") if (text := _text(entry, name))), "")
    return Imported(found, label[:LONGEST_LABEL], _enabled(entry), note=note[:500])


def _text(entry: Json, name: str) -> str:
    value = entry.get(name)
    return value.strip() if isinstance(value, str) else ""


def _enabled(entry: Json) -> bool | None:
    """None when it is not said. What was banned there is not switched on here."""
    if entry.get("banned") is True or entry.get("disabled") is True:
        return False
    for name in ("enabled", "isEnabled"):
        if isinstance(entry.get(name), bool):
            return bool(entry[name])
    return None


def _number(entry: Json, name: str, most: float) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _Wrong(name, f"must be a number from 0 to {most:g}")
    return float(value)


def _limit(entry: Json) -> int | None:
    value = entry.get("limit")
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise _Wrong("limit", "must be a whole number of answers at once")
    return value
