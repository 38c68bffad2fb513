"""Signing in to Kiro: what to send, where to send the user, and what the answers mean. Does no I/O.

Three ways: the device flow of AWS SSO OIDC (Builder ID, Identity Center); the device flow of Kiro's own service
(Google, GitHub); and Kiro's web page, which comes back to a fixed port of the user's machine, either with a code or
with the word that the user wants Builder ID or Identity Center. An older page comes back to `kiro://`.

Source: kiro 1.3, 1.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from kirogw.dialects.credential import Credential, moment
from kirogw.dialects.kiro.credential import BUILDER_START, text
from kirogw.dialects.kiro.login import (
    BUILDER_REGION,
    asked_pause,
    at_region,
    error_code,
    json_bytes,
    life_of,
)
from kirogw.dialects.renewal import ALONE
from kirogw.dialects.replied import json_object
from kirogw.dialects.signin import (
    CODE,
    NO_ADDRESS,
    NO_CODE,
    NO_STATE,
    Callback,
    Device,
    NotACallback,
    Outcome,
    Unable,
    challenge,
    is_page,
    parameters,
    unable,
    words,
)
from kirogw.settings import ARN, REGION, Settings
from kirogw.wire import Json, Reply, Request

BUILDER_URL: Final = f"https://{BUILDER_START}"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SCOPES: Final = tuple(
    f"codewhisperer:{scope}" for scope in ("completions", "analysis", "conversations", "transformations", "taskassist")
)
CLIENT_NAME: Final = "Kiro CLI"
SOCIAL_CLIENT: Final = "kiro-cli"
SOCIAL: Final[Mapping[str, str]] = {"google": "Google", "github": "Github"}  # as asked for -> as the service spells it
PORT: Final = 3128  # where the web page sends the browser; it takes no other
APP_URI: Final = "kiro://kiro.kiroAgent/authenticate-success"
INTERVAL: Final = 5.0  # seconds between two polls, where the service names none
DEVICE_LIFE: Final = 300.0  # seconds, where the service names none
LONGEST_DEVICE_LIFE: Final = 1800.0
SOCIAL_LIFE: Final = 28800.0  # seconds: the device flow's answer does not say
MOST: Final = 1e9  # no number in an answer is larger


@dataclass(frozen=True, slots=True)
class Client:
    """A registration at AWS SSO OIDC. `ends`: epoch seconds; after that its logins can not be renewed."""

    id: str
    secret: str = field(repr=False)
    ends: float | None = None


# AWS SSO OIDC


def register_request(settings: Settings, region: str) -> Request:
    return _oidc(settings, region, "client/register", {
        "clientName": CLIENT_NAME, "clientType": "public", "scopes": list(SCOPES),
        "grantTypes": [DEVICE_GRANT, "refresh_token"],
    })  # fmt: skip


def device_request(settings: Settings, region: str, client: Client, start_url: str) -> Request:
    body = {"clientId": client.id, "clientSecret": client.secret, "startUrl": start_url}
    return _oidc(settings, region, "device_authorization", body)


def poll_request(settings: Settings, region: str, client: Client, code: str) -> Request:
    return _oidc(settings, region, "token", {
        "clientId": client.id, "clientSecret": client.secret, "deviceCode": code, "grantType": DEVICE_GRANT,
    })  # fmt: skip


def _oidc(settings: Settings, region: str, path: str, body: Json) -> Request:
    base = at_region(settings.aws_oidc_url, region).rstrip("/")
    return Request("POST", f"{base}/{path}", {"Content-Type": "application/json", "Accept": "*/*", **ALONE},
                   json_bytes(body))  # fmt: skip


def read_client(reply: Reply) -> Client | Unable:
    body = json_object(reply.body)
    name, secret = text(body, "clientId"), text(body, "clientSecret")
    if reply.status == 200 and name and secret:
        return Client(name, secret, moment(body.get("clientSecretExpiresAt")))
    return _unable(reply, body)


def aws_credential(client: Client, region: str, start_url: str, reply: Reply, now: float) -> Credential | Unable:
    """What a poll at AWS brought."""
    builder = is_builder(start_url)
    login = Credential(
        "builder" if builder else "idc", client_id=client.id, client_secret=client.secret, client_ends=client.ends,
        sso_region=region, client_region=region, start_url=start_url, provider="BuilderId" if builder else "Enterprise",
    )  # fmt: skip
    return _with_tokens(login, reply, now)


def is_builder(start_url: str) -> bool:
    return BUILDER_START in start_url


# Kiro's own service


def social_device_request(settings: Settings, provider: str) -> Request:
    body = {"clientId": SOCIAL_CLIENT, "loginProvider": SOCIAL[provider]}
    return _kiro(settings, "oauth/device/authorization", body)


def social_poll_request(settings: Settings, code: str) -> Request:
    return _kiro(settings, "oauth/device/poll", {"clientId": SOCIAL_CLIENT, "deviceCode": code})


def exchange_request(settings: Settings, code: str, verifier: str, uri: str) -> Request:
    """`uri`: the address that the browser was sent to, to the letter."""
    return _kiro(settings, "oauth/token", {"code": code, "code_verifier": verifier, "redirect_uri": uri})


def _kiro(settings: Settings, path: str, body: Json) -> Request:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/plain, */*", **ALONE}
    return Request("POST", f"{settings.kiro_auth_url.rstrip('/')}/{path}", headers, json_bytes(body))


def social_credential(provider: str, reply: Reply, now: float) -> Credential | Unable:
    """What a poll at Kiro, or an exchange, brought."""
    said = text(json_object(reply.body), "identityProvider")
    name = SOCIAL.get(said.lower()) or SOCIAL.get(provider, "")
    return _with_tokens(Credential("social", provider=name), reply, now)


# both


def read_device(reply: Reply) -> Device | Unable:
    body = json_object(reply.body)
    code, shown, uri = text(body, "deviceCode"), text(body, "userCode"), text(body, "verificationUri")
    link = text(body, "verificationUriComplete") or uri
    if reply.status != 200 or not (code and shown and link):
        return _unable(reply, body)
    if not (is_page(link) and is_page(uri or link) and shown.isprintable() and len(shown) < 64):
        return Unable("failed", "the service named a page that can not be opened")
    interval, life = _seconds(body, "interval", INTERVAL), _seconds(body, "expiresIn", DEVICE_LIFE)
    return Device(code, shown, uri or link, link, max(1.0, interval), min(life, LONGEST_DEVICE_LIFE))


def _seconds(body: Json, name: str, default: float) -> float:
    """AWS tells seconds, Kiro milliseconds."""
    for value, unit in ((body.get(f"{name.removesuffix('In')}InMilliseconds"), 0.001), (body.get(name), 1.0)):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST:
            return value * unit
    return default


def _with_tokens(login: Credential, reply: Reply, now: float) -> Credential | Unable:
    body = json_object(reply.body)
    access, arn = text(body, "accessToken"), text(body, "profileArn")
    if reply.status != 200 or not access:
        return _unable(reply, body)
    default = SOCIAL_LIFE if login.kind == "social" else 3600.0
    return Credential(
        login.kind, access=access, refresh=text(body, "refreshToken"), issued_at=now,
        expires_at=now + life_of(body.get("expiresIn"), default), profile=arn if ARN.fullmatch(arn) else "",
        client_id=login.client_id, client_secret=login.client_secret, client_ends=login.client_ends,
        sso_region=login.sso_region, client_region=login.client_region, start_url=login.start_url,
        provider=login.provider,
    )  # fmt: skip


CODES: Final[Mapping[str, tuple[Outcome, str]]] = {
    # error codes, in letters only
    "authorizationpending": ("pending", "the sign-in page still waits for its user"),
    "slowdown": ("slower", "the service wants to be asked less often"),
    "expiredtoken": ("expired", "the code ran out before anybody approved it; start the login again"),
    "accessdenied": ("denied", "the login was refused on the sign-in page"),
    "invalidgrant": ("failed", "the service does not know this code, or it was used already; start the login again"),
    "invalidclient": ("failed", "the service does not take the client registration; start the login again"),
    "unauthorizedclient": ("failed", "the service does not take the client registration; start the login again"),
    "invalidscope": ("failed", "the service does not grant what Kiro needs; the organisation may not have Kiro"),
    "invalidrequest": ("failed", "the service did not take the request; check start URL and region"),
    "throttling": ("later", "the service is asked too often"),
    "toomanyrequests": ("later", "the service is asked too often"),
    "internalserver": ("later", "the service failed"), "servererror": ("later", "the service failed"),
    "serviceunavailable": ("later", "the service failed"),
}  # fmt: skip
STATES: Final[Mapping[str, str]] = {
    # words of Kiro's own device flow, where they are not the codes of everybody else
    "pending": "authorizationpending", "expired": "expiredtoken", "denied": "accessdenied", "rejected": "accessdenied",
}  # fmt: skip


def _unable(reply: Reply, body: Json) -> Unable:
    state = "".join(letter for letter in text(body, "status").lower() if letter.isalpha())
    code = error_code(reply, body) or STATES.get(state, state)
    return unable(reply, code, CODES, asked_pause(reply, body))


# the web page


def portal_url(settings: Settings, state: str, verifier: str, provider: str = "", port: int = PORT) -> str:
    """Where the user signs in; without `provider` the page asks."""
    query = {
        "state": state, "code_challenge": challenge(verifier), "code_challenge_method": "S256",
        "redirect_uri": home_uri(port), "redirect_from": "kirocli",
    }  # fmt: skip
    query |= {"login_option": provider} if provider else {}
    return f"{settings.kiro_portal_url.rstrip('/')}/signin?{urlencode(query)}"


def app_url(settings: Settings, state: str, verifier: str, provider: str) -> str:
    """The older page, which comes back to an address that only an installed Kiro IDE would open."""
    query = {
        "idp": SOCIAL[provider], "redirect_uri": APP_URI, "code_challenge": challenge(verifier),
        "code_challenge_method": "S256", "state": state,
    }  # fmt: skip
    return f"{settings.kiro_auth_url.rstrip('/')}/login?{urlencode(query)}"


def home_uri(port: int) -> str:
    return f"http://localhost:{port}"


def read_callback(url: str, port: int = PORT) -> Callback:
    """The whole address that the browser ended at, pasted or as its path and query. Raises NotACallback."""
    try:
        parts = urlsplit(url.strip().strip("\"'<>"))
    except ValueError:
        raise NotACallback(NO_ADDRESS) from None
    query = parameters(parts.query)
    state = query.get("state", "")
    if not state:
        raise NotACallback(NO_STATE)
    if error := query.get("error"):
        return Callback(state, error=words(error))
    if query.get("login_option") in CHOICES:
        return _chosen(state, query)
    if not 0 < len(query.get("code", "")) <= CODE:
        raise NotACallback(NO_CODE)
    return Callback(state, code=query["code"], uri=_uri(parts.scheme, query, port),
                    provider=query.get("login_option", ""))  # fmt: skip


CHOICES: Final = ("builderid", "awsidc")


def _chosen(state: str, query: Mapping[str, str]) -> Callback:
    if query["login_option"] == "builderid":
        return Callback(state, start_url=BUILDER_URL, region=BUILDER_REGION)
    start, region = query.get("issuer_url", ""), query.get("idc_region", "")
    if fault := wrong_idc(start, region):
        raise NotACallback(f"the sign-in page named an organisation that can not be used: {fault}")
    return Callback(state, start_url=start, region=region)


def _uri(scheme: str, query: Mapping[str, str], port: int) -> str:
    """What the exchange must name: the address that was hit, without what the service added to it."""
    if scheme == "kiro":
        return APP_URI
    option = query.get("login_option", "")
    return f"{home_uri(port)}/oauth/callback" + (f"?{urlencode({'login_option': option})}" if option else "")


def wrong_idc(start_url: str, region: str) -> str:
    """What is wrong with an organisation's start URL or region, "" for nothing."""
    try:
        parts = urlsplit(start_url)
        good = parts.scheme == "https" and bool(parts.hostname) and not (parts.username or parts.password)
        good = good and not any(letter.isspace() or not letter.isprintable() for letter in start_url)
    except ValueError:
        good = False
    if not good or len(start_url) > 500:
        return "a start URL looks like https://d-1234567890.awsapps.com/start"
    return "" if REGION.fullmatch(region) else "a region looks like us-east-1"
