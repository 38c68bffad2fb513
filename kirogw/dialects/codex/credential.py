"""A ChatGPT login as other programs keep it: Codex CLI's auth.json, and what exports of account managers call its
members. Does no I/O.

Source: codex 2.8; features 2, 17; CLIProxyAPI's and OpenCode's own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kirogw.dialects.codex.claims import ends, fits_header, with_owner
from kirogw.dialects.codex.login import text, token
from kirogw.dialects.credential import Credential, moment
from kirogw.wire import Json

MODES: Final[Mapping[str, str]] = {
    # `auth_mode` that is no ChatGPT login -> why not
    "apikey": "an API key of OpenAI's platform and no ChatGPT login",
    "agentidentity": "the identity of an agent and no ChatGPT login",
}  # fmt: skip


def is_auth_file(members: Mapping[str, Any]) -> bool:
    """Whether this is an auth.json, whatever is in it."""
    tokens = members.get("tokens")
    named = isinstance(tokens, dict) and bool({"id_token", "account_id"} & tokens.keys())
    return named or "OPENAI_API_KEY" in members or "auth_mode" in members


def unfit(members: Mapping[str, Any]) -> str:
    """Why an auth.json holds no ChatGPT login, "" when it does. As Codex CLI decides: what it says of itself, else a
    key that is there, else ChatGPT.
    """
    said = text(members, "auth_mode").lower().replace("_", "")
    mode = said or ("apikey" if text(members, "OPENAI_API_KEY") else "")
    if mode in MODES:
        return MODES[mode]
    tokens = members.get("tokens")
    tokens = tokens if isinstance(tokens, dict) else {}
    return "" if token(tokens, "access_token") or token(tokens, "refresh_token") else "no login"


def read(members: Mapping[str, Any]) -> Credential:
    """The login in an auth.json that is not `unfit`."""
    tokens: Json = members["tokens"]  # `unfit` has looked at them
    return made(token(tokens, "access_token"), token(tokens, "refresh_token"), token(tokens, "id_token"),
                text(tokens, "account_id"))  # fmt: skip


def made(access: str, refresh: str, id_token: str = "", account: str = "", email: str = "", plan: str = "",
         expires_at: float | None = None, client_id: str = "") -> Credential:  # fmt: skip
    """A login of the Codex client from its parts; what its tokens say of themselves goes first."""
    bare = Credential("codex", access=access, refresh=refresh, id_token=id_token, email=email, plan=plan,
                      client_id=client_id, expires_at=ends(access) or expires_at)  # fmt: skip
    return with_owner(bare, account)


def changed(members: Mapping[str, Any], credential: Credential) -> Json:
    """An auth.json with the tokens of `credential`; all else stays, and stays in order."""
    before = members.get("tokens")
    tokens = dict(before) if isinstance(before, dict) else {}
    tokens |= {"access_token": credential.access, "refresh_token": credential.refresh}
    tokens |= {"id_token": credential.id_token} if credential.id_token else {}
    if credential.workspace and not tokens.get("account_id"):
        tokens["account_id"] = credential.workspace
    new = {**members, "tokens": tokens}
    if credential.issued_at is not None:
        stamp = datetime.fromtimestamp(credential.issued_at, UTC).isoformat(timespec="microseconds")
        new["last_refresh"] = stamp.replace("+00:00", "Z")
    return new


def is_account(members: Mapping[str, Any]) -> bool:
    """Whether an account of some export is ChatGPT's."""
    said = {text(members, name).lower() for name in ("provider", "type", "platform")}
    return bool(said & NAMES) or is_auth_file(members) or _is_opencode(members)


NAMES: Final = frozenset({"codex", "chatgpt", "openai"})
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "access": ("access_token", "accessToken", "access"), "refresh": ("refresh_token", "refreshToken", "refresh"),
    "id": ("id_token", "idToken"), "email": ("email",), "plan": ("plan_type", "planType", "plan"),
    "account": ("account_id", "accountId", "chatgpt_account_id", "chatgptAccountId"),
    "ends": ("expired", "expires_at", "expiresAt", "expires"),
}  # fmt: skip


def _is_opencode(members: Mapping[str, Any]) -> bool:
    inner = members.get("openai")
    return isinstance(inner, dict) and bool(text(inner, "refresh") or text(inner, "access"))


def account(members: Mapping[str, Any]) -> tuple[Credential | None, str]:
    """The login of an account of an export, or None and why there is none."""
    if is_auth_file(members):
        why = unfit(members)
        return (None, f"it holds {why}") if why else (read(members), "")
    if _is_opencode(members):
        members = members["openai"]
    inner = members.get("credentials")
    members = {**members, **inner} if isinstance(inner, dict) else members
    found = {ours: next(filter(None, (text(members, name) for name in names)), "") for ours, names in ALIASES.items()}
    found |= {name: found[name] if fits_header(found[name]) else "" for name in ("access", "refresh", "id")}
    if not (found["access"] or found["refresh"]):
        return None, "it holds neither access token nor refresh token"
    expires_at = next(filter(None, (moment(members.get(name)) for name in ALIASES["ends"])), None)
    return made(found["access"], found["refresh"], found["id"], found["account"], found["email"], found["plan"],
                expires_at), ""  # fmt: skip
