"""What CLIRO's files mean that another's would not: its words for a Kiro login, and its settings.

Source: its accounts.json and config.json, as its own files show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kirogw.dialects.kiro.signin import BUILDER_URL
from kirogw.settings import ARN
from kirogw.wire import Json

MODES: Final = {"cache_first": "fill-first", "balance": "least-used", "performance": "round-robin"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Not an account: what the other gateway was set to, as our own setting, for its owner to take over."""

    name: str
    value: str
    secret: bool = False


def account(entry: Mapping[str, Any], members: Json) -> Json:
    """The `members` of a login, read from `entry`: its `provider` is whose gateway it is, its `accountId` the profile,
    and its idc always Builder ID.
    """
    members.pop("provider")
    arn = entry.get("accountId")
    if isinstance(arn, str) and ARN.fullmatch(arn):
        members.setdefault("profileArn", arn)
    if str(members.get("authMethod", "")).lower() == "idc":
        members |= {"provider": "BuilderId", "startUrl": BUILDER_URL}
        members.setdefault("region", "us-east-1")
    return members


def is_settings(value: Json) -> bool:
    return "schedulingMode" in value or "proxyPort" in value


def settings(value: Json) -> Iterator[Setting]:
    """Of config.json, or of the `state` of its backup, which repeats it."""
    state = value.get("state")
    value = state if isinstance(state, dict) else value
    if not is_settings(value):
        return
    if type(port := value.get("proxyPort")) is int and 0 < port < 65536:
        yield Setting("SERVER_PORT", str(port))
    if value.get("allowLan") is True:
        yield Setting("SERVER_HOST", "0.0.0.0")
    if key := _text(value, "proxyApiKey"):
        yield Setting("PROXY_API_KEY", key, secret=True)
    if mode := MODES.get(_text(value, "schedulingMode")):
        yield Setting("SCHEDULING_MODE", mode)
    aliases = value.get("modelAliases")
    pairs = [(a, m) for a, m in aliases.items() if isinstance(m, str)] if isinstance(aliases, dict) else []
    if pairs:
        yield Setting("MODEL_ALIASES", ",".join(f"{alias}={model}" for alias, model in pairs))


def _text(members: Json, name: str) -> str:
    value = members.get(name)
    return value.strip() if isinstance(value, str) else ""
