"""A Kiro login as it lies on a disk, in all its spellings. Does no I/O.

The IDE writes camelCase, kiro-cli and amazon-q snake_case, exports either; `read` takes both, `changed` keeps the one
that it finds. An access token is opaque (it is no JWT), so all that is known about it stands beside it.

Source: kiro 1.1, 1.7-1.9, 1.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from kirogw.dialects.credential import Credential, Kind, moment
from kirogw.dialects.replied import text_of
from kirogw.settings import ARN, REGION
from kirogw.wire import Json

METHODS: Final[Mapping[str, Kind]] = {
    "social": "social", "desktop": "social",
    "idc": "idc", "iam": "idc", "identitycenter": "idc", "awsidc": "idc",
    "builderid": "builder",
    "externalidp": "external",
    "apikey": "key",
}  # fmt: skip
BUILDER_START: Final = "view.awsapps.com/start"


def read(members: Mapping[str, Any], registration: Mapping[str, Any] | None = None, profile: str = "") -> Credential:
    """A login from the members of a file or row. `registration` is the OIDC client that lies beside it; `profile` the
    ARN that does, if the login has none. Members of a wrong type count as missing.
    """
    client = registration or members
    credential = Credential(
        kind=kind_of(members, registration),
        access=text(members, "accessToken") or text(members, "apiKey"),
        refresh=text(members, "refreshToken"),
        expires_at=moment(member(members, "expiresAt")),
        client_id=text(client, "clientId") or text(members, "clientId"),
        client_secret=text(client, "clientSecret") or text(members, "clientSecret"),
        client_ends=_client_ends(client, registration is not None),
        sso_region=_matching(REGION, text(members, "ssoRegion") or text(members, "region")),
        client_region=_matching(REGION, text(registration or {}, "region")),
        profile=_matching(ARN, text(members, "profileArn")) or _matching(ARN, profile),
        token_endpoint=text(members, "tokenEndpoint"),
        scopes=_words(member(members, "scopes")),
        audience=text(members, "audience"),
        start_url=text(members, "startUrl") or text(registration or {}, "startUrl"),
        provider=text(members, "provider"),
        email=text(members, "email"),
        machine=_machine(text(members, "machineId")),
    )
    return key(credential.access, credential.region) if credential.kind == "key" else credential


def key(secret: str, region: str = "") -> Credential:
    """An API key: a bearer token that never ends and is never renewed. `ksk_...|region` is how exports write it."""
    secret, _, after = secret.partition("|")
    return Credential("key", access=secret.strip(), region=_matching(REGION, after.strip()) or region)


def changed(members: Mapping[str, Any], credential: Credential) -> Json:
    """`members` with the tokens of `credential`, in the spelling that they have; all else stays, and stays in order."""
    new = dict(members)
    new[_spelled(members, "accessToken")] = credential.access
    new[_spelled(members, "refreshToken")] = credential.refresh
    expiry = _spelled(members, "expiresAt")
    if credential.expires_at is not None:
        new[expiry] = _written(members.get(expiry), credential.expires_at)
    if credential.profile and text(members, "profileArn"):
        new[_spelled(members, "profileArn")] = credential.profile
    return new


def kind_of(members: Mapping[str, Any], registration: Mapping[str, Any] | None = None) -> Kind:
    """By what it says of itself, else by what it has."""
    said = re.sub(r"[^a-z]", "", text(members, "authMethod").lower())
    kind = METHODS.get(said) or _kind_by_members(members, registration)
    return "builder" if kind == "idc" and _is_builder(members, registration) else kind


def _kind_by_members(members: Mapping[str, Any], registration: Mapping[str, Any] | None) -> Kind:
    if text(members, "accessToken").startswith("ksk_") or text(members, "apiKey").startswith("ksk_"):
        return "key"
    if text(members, "tokenEndpoint"):
        return "external"
    if registration or text(members, "clientIdHash") or (text(members, "clientId") and text(members, "clientSecret")):
        return "idc"
    return "social"


def _is_builder(members: Mapping[str, Any], registration: Mapping[str, Any] | None) -> bool:
    start = text(members, "startUrl") or text(registration or {}, "startUrl")
    return text(members, "provider").lower() == "builderid" or BUILDER_START in start


def member(members: Mapping[str, Any], name: str) -> Any:
    """The member `name` (in camelCase) under either spelling, None when there is none."""
    value = members.get(name)
    return members.get(_snake(name)) if value is None else value


def text(members: Mapping[str, Any], name: str) -> str:
    return text_of(member(members, name)).strip()


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)


def _spelled(members: Mapping[str, Any], name: str) -> str:
    """How this file spells the member, or would: as it spells the tokens."""
    snake = _snake(name)
    if name in members or snake in members:
        return name if name in members else snake
    return snake if {"access_token", "refresh_token"} & members.keys() else name


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _matching(shape: re.Pattern[str], value: str) -> str:
    """What ends up in a host name or a request must look as it should; else it counts as missing."""
    return value if shape.fullmatch(value) else ""


def _client_ends(client: Mapping[str, Any], own: bool) -> float | None:
    """The IDE's registration file calls it `expiresAt`; in the token's own members that word means the token."""
    return moment(member(client, "clientSecretExpiresAt") or (member(client, "expiresAt") if own else None))


def _machine(value: str) -> str:
    """64 hex digits. A UUID is taken twice, as other clients do. (kiro 1.12)"""
    digits = value.replace("-", "").lower()
    digits = digits * 2 if len(digits) == 32 else digits
    return digits if re.fullmatch(r"[0-9a-f]{64}", digits) else ""


def _written(before: Any, when: float) -> Any:
    """A time in the form that it had before: milliseconds, seconds, or RFC 3339."""
    if isinstance(before, int | float) and not isinstance(before, bool):
        number = when * 1000 if before > 1e11 else when
        return int(number) if isinstance(before, int) else number
    stamp = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def renewed(credential: Credential, access: str, refresh: str, life: float, now: float, profile: str) -> Credential:
    """The login after a renewal: what the answer left out stays as it was."""
    return replace(
        credential, access=access, refresh=refresh or credential.refresh, issued_at=now, expires_at=now + life,
        profile=_matching(ARN, profile) or credential.profile,
    )  # fmt: skip
