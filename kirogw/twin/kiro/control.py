"""The control plane: models, profiles, usage limits, preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kirogw.twin.ask import obj, text
from kirogw.twin.kiro import credits, replies
from kirogw.twin.kiro.accounts import Account
from kirogw.twin.state import Incoming
from kirogw.wire import Json, Reply

ORIGINS: Final = (
    "AI_EDITOR", "CHATBOT", "CLI", "CONSOLE", "DOCUMENTATION", "GITLAB", "IDE", "INLINE_CHAT", "KIRO_CLI", "KIRO_WEB",
    "MARKETING", "MD", "MD_CE", "MD_IDE", "MOBILE", "OPENSEARCH_DASHBOARD", "Q_DEV_BEXT", "SAGE_MAKER",
    "SERVICE_INTERNAL", "SM_AI_STUDIO_IDE", "UNIFIED_SEARCH", "UNKNOWN",
)  # fmt: skip
INVALID: Final = ("ValidationException", "Improperly formed request.", "REQUEST_BODY_INVALID")


def _asked(incoming: Incoming) -> Json:
    """Parameters may stand in the query, in the body, and in both."""
    return {**incoming.query, **incoming.members}


def models(incoming: Incoming, account: Account, catalogue: list[Json]) -> Reply:
    asked = _asked(incoming)
    if asked.get("origin") not in ORIGINS:
        return replies.fault(400, *INVALID)
    listed = [row for row in catalogue if not account.models or row["modelId"] in account.models]
    start = int(asked.get("nextToken") or 0)
    size = max(1, min(100, int(asked.get("maxResults") or 100)))
    more = str(start + size) if start + size < len(listed) else None
    page = {"models": listed[start : start + size], "defaultModel": {"modelId": "auto"}, "nextToken": more}
    return replies.served(page, incoming)


def profiles(incoming: Incoming, account: Account) -> Reply:
    listed = [{**_profile(account), "status": "ACTIVE", "profileType": "KIRO"}] if account.kind != "social" else []
    return replies.served({"profiles": listed, "nextToken": None}, incoming)


def profile(incoming: Incoming, account: Account) -> Reply:
    if _asked(incoming).get("profileArn", account.own_arn) != account.own_arn:
        return replies.fault(403, "AccessDeniedException", "User is not authorized to make this call.")
    return replies.served({"profile": _profile(account)}, incoming)


def _profile(account: Account) -> Json:
    features = {"mcpConfiguration": {"toggle": "ON"}}
    return {"arn": account.own_arn, "profileName": account.name, "optInFeatures": features}


def usage(incoming: Incoming, account: Account) -> Reply:
    return replies.served(credits.usage(account, _mail(incoming, account)), incoming)


def _mail(incoming: Incoming, account: Account) -> str | None:
    wanted: Any = _asked(incoming).get("isEmailRequired")
    return f"{account.name}@localhost" if wanted in (True, "true") else None


def preference(incoming: Incoming, account: Account) -> Reply:
    status = text(obj(_asked(incoming).get("overageConfiguration")).get("overageStatus"))
    if status not in ("ENABLED", "DISABLED"):
        return replies.fault(400, *INVALID)
    account.overage = status == "ENABLED"
    return replies.served({}, incoming)


def user(incoming: Incoming, account: Account) -> Reply:
    return replies.served({"email": f"{account.name}@localhost"}, incoming)


ACTS: Final[Mapping[str, Callable[[Incoming, Account], Reply]]] = {
    "profiles": profiles, "profile": profile, "usage": usage, "preference": preference, "user": user,
}  # fmt: skip
