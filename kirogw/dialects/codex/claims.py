"""What the tokens of a ChatGPT login say of themselves. Nothing here is proven: it is for showing, for telling accounts
apart and for knowing when a token ends, never for letting somebody in.

Source: codex 2.7.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kirogw.dialects.credential import Credential, moment
from kirogw.wire import Json

AUTH: Final = "https://api.openai.com/auth"
PROFILE: Final = "https://api.openai.com/profile"
LONGEST: Final = 100_000  # characters of a token


def claims(token: str) -> Json:
    """The claims of a JWT, empty for what is none."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST:
        return {}
    try:
        value = json.loads(decoded(parts[1]))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def decoded(part: str) -> bytes:
    """A part of a JWT: base64url without padding. Raises ValueError."""
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def ends(access: str) -> float | None:
    """When an access token ends; None when it does not say. An ID token ends earlier, and is the wrong clock."""
    return moment(claims(access).get("exp"))


def fits_header(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def with_owner(credential: Credential, account: str = "") -> Credential:
    """The login with whose it is, as its ID token says, else its access token; what neither says stays as it was.
    `account`: the workspace where something else names it.
    """
    said, shown = claims(credential.id_token), claims(credential.access)
    inside = _object(shown, AUTH) | _object(said, AUTH)
    email = _text(shown | said, "email") or _text(_object(shown, PROFILE) | _object(said, PROFILE), "email")
    named = (_text(inside, "chatgpt_account_id"), account, credential.workspace)
    user = _text(inside, "chatgpt_user_id") or _text(inside, "user_id")
    return replace(
        credential,
        workspace=next(filter(fits_header, filter(None, named)), ""),
        user=user or credential.user or _text(said, "sub") or _text(shown, "sub"),
        email=email or credential.email,
        plan=_text(inside, "chatgpt_plan_type") or credential.plan,
    )


def _object(members: Mapping[str, Any], name: str) -> Json:
    value = members.get(name)
    return {key: each for key, each in value.items() if each} if isinstance(value, dict) else {}


def _text(members: Mapping[str, Any], name: str) -> str:
    """Printable text of a length that such a thing can have: it ends up in headers and in tables."""
    value = members.get(name)
    good = isinstance(value, str) and value.isprintable() and len(value) <= 256
    return str(value).strip() if good else ""
