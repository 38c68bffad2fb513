"""Renewing a Kiro login, and finding its profile: what to send, and what the answer means. Does no I/O.

Three services renew: Kiro's own (JSON, camelCase), AWS SSO OIDC (JSON, camelCase), an organisation's own identity
provider (a form, snake_case). Their answers are read by one function, since each tolerates the others' spelling.

Source: kiro 1.2, 1.4-1.6, 1.10, 1.11, 1.14, 2.2, 2.3.
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from kirogw.dialects.credential import Credential, Kind
from kirogw.dialects.kiro.credential import renewed, text
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.provider import Cause, Login, Refusal
from kirogw.dialects.renewal import ALONE, must_be_renewable, refusal
from kirogw.dialects.replied import json_object
from kirogw.dialects.said import seconds
from kirogw.errors import NeedsLogin
from kirogw.settings import ARN, Settings
from kirogw.wire import Json, Reply, Request

TOKEN_TYPES: Final[Mapping[Kind, str]] = {
    # what first-party clients send; a wrong value is worse than none
    "key": "API_KEY", "external": "EXTERNAL_IDP", "idc": "SSO_OIDC", "builder": "SSO_OIDC",
}  # fmt: skip
BUILDER_REGION: Final = "us-east-1"
API_REGIONS: Final = ("us-east-1", "eu-central-1")
GOV_REGIONS: Final = ("us-gov-west-1", "us-gov-east-1")
LIFE: Final = 3600.0  # seconds, when the answer does not say
LONGEST_LIFE: Final = 30 * 86400.0  # more than that was meant as milliseconds


# What to send


def refresh_requests(credential: Credential, settings: Settings, machine: str) -> tuple[Request, ...]:
    """The requests that may renew it, in order of trial: one for each region where the session may have been issued,
    the recorded one among them. Only when all have failed is the login dead. Raises NeedsLogin when there is none.
    """
    must_be_renewable(credential)
    writer = {"social": _social, "external": _external}.get(credential.kind, _oidc)
    return writer(credential, settings, machine)


def _social(credential: Credential, settings: Settings, machine: str) -> tuple[Request, ...]:
    headers = {
        "Content-Type": "application/json", "Accept": "application/json, text/plain, */*",
        "User-Agent": f"KiroIDE-{settings.kiro_version}-{machine}", **ALONE,
    }  # fmt: skip
    body = json_bytes({"refreshToken": credential.refresh})
    return (Request("POST", f"{settings.kiro_auth_url.rstrip('/')}/refreshToken", headers, body),)


def _oidc(credential: Credential, settings: Settings, machine: str) -> tuple[Request, ...]:
    if not (credential.client_id and credential.client_secret):
        raise NeedsLogin(
            "an Identity Center or Builder ID login can not be renewed without its client registration"
            " (clientId and clientSecret); sign in again, or bring the registration along"
        )
    body = json_bytes({
        "clientId": credential.client_id, "clientSecret": credential.client_secret,
        "refreshToken": credential.refresh, "grantType": "refresh_token",
    })  # fmt: skip
    headers = {"Content-Type": "application/json", "Accept": "*/*", **ALONE}
    bases = [at_region(settings.aws_oidc_url, region).rstrip("/") for region in sso_regions(credential, settings)]
    return tuple(Request("POST", f"{base}/token", headers, body) for base in bases)


def sso_regions(credential: Credential, settings: Settings) -> tuple[str, ...]:
    """Where the session may have been issued: as set, as recorded with the token, as recorded with its client."""
    known = (settings.kiro_sso_region, credential.sso_region, credential.client_region)
    return tuple(dict.fromkeys(region for region in known if region)) or (BUILDER_REGION,)


def _external(credential: Credential, settings: Settings, machine: str) -> tuple[Request, ...]:
    """The endpoint comes from a file and is sent a secret, so its host must be one that the owner trusts."""
    host = _trusted_host(credential.token_endpoint)
    if not any(fnmatch.fnmatchcase(host, pattern.lower()) for pattern in settings.idp_hosts if host):
        raise NeedsLogin(
            f"the login's token endpoint {_origin(credential.token_endpoint)} is not among IDP_HOSTS"
            " (or is no https URL); add its host there if you trust it"
        )
    form = {"grant_type": "refresh_token", "client_id": credential.client_id, "refresh_token": credential.refresh}
    form |= {"scope": " ".join(credential.scopes)} if credential.scopes else {}
    form |= {"audience": credential.audience} if credential.audience else {}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **ALONE}
    return (Request("POST", credential.token_endpoint, headers, urlencode(form).encode()),)


def _trusted_host(url: str) -> str:
    """The host of an https URL (http only to this machine), "" for anything else."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return ""
    local = host in ("127.0.0.1", "localhost", "::1")
    return host if parts.scheme == "https" or (parts.scheme == "http" and local) else ""


def _origin(url: str) -> str:
    """A URL without what may be secret in it."""
    return re.sub(r"//[^/@]*@", "//", url.split("?")[0])[:100] or "(none)"


def at_region(template: str, region: str) -> str:
    return template.replace("{region}", region)


def json_bytes(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# What came back


def read_refresh(credential: Credential, reply: Reply, now: float) -> Credential | Refusal:
    """The renewed login, or why there is none. A refresh token in the answer replaces the old one; none keeps it."""
    body = json_object(reply.body)
    access = text(body, "accessToken")
    if reply.status == 200 and access:
        life = life_of(body.get("expiresIn", body.get("expires_in")))
        return renewed(credential, access, text(body, "refreshToken"), life, now, text(body, "profileArn"))
    return _refusal(reply, body)


def life_of(value: Any, default: float = LIFE) -> float:
    """Seconds."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    if not math.isfinite(life) or life <= 0:
        return default
    return life / 1000 if life > LONGEST_LIFE else life


CAUSES: Final[Mapping[str, Cause]] = {
    # error codes, in letters only: `invalid_grant` and `InvalidGrantException` are one
    "invalidgrant": "dead", "expiredtoken": "dead", "accessdenied": "dead", "refreshtokenreused": "dead",
    "revoked": "dead", "revokedtoken": "dead", "refreshtokenrevoked": "dead",
    "invalidclient": "client", "unauthorizedclient": "client",
    "slowdown": "later", "authorizationpending": "later", "throttling": "later", "toomanyrequests": "later",
    "internalserver": "later", "serviceunavailable": "later", "servererror": "later", "temporarilyunavailable": "later",
}  # fmt: skip
WORDS: Final[tuple[tuple[str, Cause], ...]] = (
    ("invalid token provided", "region"),  # AWS: the session belongs to another region
    ("invalid refresh token provided", "dead"),
    ("invalid grant provided", "dead"),
)


def _refusal(reply: Reply, body: Json) -> Refusal:
    """The error code counts before its words, those before the status, since the status is not reliable."""
    code = error_code(reply, body)
    said = " ".join((text(body, "message"), text(body, "error_description"))).lower()
    by_words = next((cause for words, cause in WORDS if words in said), None)
    return refusal(reply, CAUSES.get(code) or by_words, code, asked_pause(reply, body))


def error_code(reply: Reply, body: Json) -> str:
    """What went wrong, in letters only: `invalid_grant` and `InvalidGrantException` are one. "" when it is not said."""
    raw = text(body, "error") or text(body, "__type") or reply.headers.get("x-amzn-errortype", "") or text(body, "code")
    return re.sub(r"[^a-z]", "", raw.rpartition("#")[2].split(":")[0].lower()).removesuffix("exception")


def asked_pause(reply: Reply, body: Json) -> float | None:
    """Seconds, from the body's `retryAfterMilliseconds` or the header."""
    pause = seconds(body.get("retryAfterMilliseconds"), 1000.0)
    return seconds(reply.headers.get("retry-after")) if pause is None else pause


# Profile and region


@dataclass(frozen=True, slots=True)
class Profile:
    """One of the account's profiles. `name` and `active` help to choose when there are several."""

    arn: str
    name: str = ""
    active: bool = True


def bearer(login: Login) -> dict[str, str]:
    """The headers that say who calls. In lower case, the spelling with which every reported client got through."""
    kind = TOKEN_TYPES.get(login.kind)
    return {"Authorization": f"Bearer {login.token}"} | ({"tokentype": kind} if kind else {})


def control_request(operation: str, login: Login, base: str, settings: Settings, body: Json) -> Request:
    """A call of the control plane, in its AWS-JSON form. `base` may hold {region}, which is `login.region`."""
    headers = {
        **bearer(login), "Content-Type": "application/x-amz-json-1.0", "Accept": "application/json",
        "x-amz-target": f"{settings.kiro_control_target}.{operation}", "amz-sdk-request": "attempt=1; max=1",
        **Shape.of(settings).agents(settings.kiro_control_user_agent, login.machine),
    }  # fmt: skip
    return Request("POST", f"{at_region(base, login.region).rstrip('/')}/", headers, json_bytes(body))


def profiles_request(login: Login, base: str, settings: Settings, after: str = "") -> Request:
    """ListAvailableProfiles; `after` is the `nextToken` of the page before. API keys and Builder ID are refused."""
    return control_request("ListAvailableProfiles", login, base, settings, {"nextToken": after} if after else {})


def profile_request(login: Login, base: str, settings: Settings) -> Request:
    """GetProfile: how an API key learns its own profile."""
    return control_request("GetProfile", login, base, settings, {})


def read_profiles(reply: Reply) -> tuple[list[Profile], str] | None:
    """One page and the mark of the next, "" for none. Nothing in a region, and 403 there, is an answer: no profiles.

    None for anything else: then nobody knows.
    """
    if reply.status == 403:
        return [], ""
    body = json_object(reply.body)
    rows = body.get("profiles")
    if reply.status != 200 or not isinstance(rows, list):
        return None
    profiles = [_profile(row) for row in rows if isinstance(row, dict) and ARN.fullmatch(text(row, "arn"))]
    return profiles, text(body, "nextToken")


def _profile(row: Json) -> Profile:
    return Profile(text(row, "arn"), text(row, "profileName"), text(row, "status") in ("", "ACTIVE"))


def read_profile(reply: Reply) -> str:
    """The ARN, "" when the answer has none."""
    profile = json_object(reply.body).get("profile")
    arn = text(profile, "arn") if reply.status == 200 and isinstance(profile, dict) else ""
    return arn if ARN.fullmatch(arn) else ""


def choice(profiles: list[Profile], region: str) -> str:
    """The profile to use: in the wanted region if there is one, active, first. "" when there is none."""
    ordered = sorted(profiles, key=lambda profile: (arn_region(profile.arn) != region, not profile.active))
    return ordered[0].arn if ordered else ""


def arn_region(arn: str) -> str:
    """The region that a profile lives in, "" for what is no profile ARN."""
    return arn.split(":")[3] if ARN.fullmatch(arn) else ""


def api_region(credential: Credential, profile: str, settings: Settings) -> str:
    """Where the API serves this login: its profile's region, since the service refuses another's; else as set; else the
    one nearest to where it signed in.
    """
    return arn_region(profile) or credential.region or settings.kiro_region or _nearest(credential.sso_region)


def probe_regions(credential: Credential, settings: Settings) -> tuple[str, ...]:
    """Where to look for profiles, the likeliest first."""
    gov = credential.sso_region.startswith("us-gov-")
    known = (credential.region, settings.kiro_region, _nearest(credential.sso_region))
    return tuple(dict.fromkeys((*filter(None, known), *(GOV_REGIONS if gov else API_REGIONS))))


def _nearest(region: str) -> str:
    """Regions that serve the API are few; a session may come from any."""
    if region in (*API_REGIONS, *GOV_REGIONS):
        return region
    return "eu-central-1" if region.startswith("eu-") else "us-east-1"


def ladder(credential: Credential, settings: Settings) -> tuple[str, ...]:
    """What a Builder ID may send as profile, in order of trial; "" is none at all. The rules changed four times within
    five months, so which of them works is remembered.
    """
    names = {"placeholder": settings.kiro_placeholder_arn, "none": ""}
    rungs = [names.get(rung, rung) for rung in settings.kiro_arn_ladder]
    return tuple(dict.fromkeys([credential.profile, *rungs] if credential.profile else rungs)) or ("",)
