"""The pages where a user signs in, and the code that comes of it: Kiro's web portal, the older page of the IDE, and the
page where a device's code is approved. What a user would click is a link, so a browser or one GET can do it.

PKCE, the state and the exact redirect URI are minded, since a client that gets them wrong is refused by the real one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from kirogw.twin import replies
from kirogw.twin.ask import text
from kirogw.twin.kiro.accounts import Account, Accounts
from kirogw.twin.kiro.auth import BUILDER_START, Auth
from kirogw.twin.state import Incoming, Seen
from kirogw.wire import Reply

SOCIAL: Final = ("google", "github")
CHOICES: Final = (*SOCIAL, "builderid", "awsidc")
APP_URI: Final = "kiro://kiro.kiroAgent/authenticate-success"
CODE_LIFE: Final = 300.0
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
ORGANISATION: Final = {"issuer_url": "https://acme.awsapps.com/start", "idc_region": "eu-west-1"}


@dataclass
class Code:
    """An authorisation that waits to be exchanged, once."""

    challenge: str
    uri: str
    provider: str
    ends: float


@dataclass
class Pages:
    accounts: Accounts
    auth: Auth
    codes: dict[str, Code] = field(default_factory=dict)

    # Kiro's portal

    def portal(self, incoming: Incoming, seen: Seen) -> Reply:
        """The ways to sign in, each a link; only one where the address asks for it."""
        asked = incoming.query
        if fault := _portal_fault(asked):
            return refused(fault)
        choices = [asked["login_option"]] if asked.get("login_option") else [*CHOICES, "deny"]
        links = [(f"signin/continue?{urlencode({**asked, 'choice': choice})}", choice) for choice in choices]
        return page("Sign in to Kiro", links)

    def portal_choice(self, incoming: Incoming, seen: Seen) -> Reply:
        """What the user clicked: back to where the client listens."""
        asked, choice = incoming.query, incoming.query.get("choice", "")
        if fault := _portal_fault(asked):
            return refused(fault)
        home, state = asked["redirect_uri"], {"state": asked["state"]}
        if choice == "deny":
            return to(f"{home}/oauth/callback?{urlencode({'error': 'access_denied', **state})}")
        if choice in SOCIAL:
            uri = f"{home}/oauth/callback?login_option={choice}"
            return to(f"{uri}&{urlencode({'code': self._code(asked, uri, choice), **state})}")
        chosen = ORGANISATION if choice == "awsidc" else {"issuer_url": BUILDER_START, "idc_region": "us-east-1"}
        return to(f"{home}/signin/callback?{urlencode({'login_option': choice, **chosen, **state})}")

    # the older page

    def app_login(self, incoming: Incoming, seen: Seen) -> Reply:
        """Goes back to the custom scheme at once, as for a user who is signed in to Google already."""
        asked = incoming.query
        if asked.get("idp") not in ("Google", "Github"):
            return refused("idp is Google or Github")
        if asked.get("redirect_uri") != APP_URI:
            return refused("redirect_uri is not registered")
        if fault := pkce_fault(asked):
            return refused(fault)
        code = self._code(asked, APP_URI, asked["idp"].lower())
        return to(f"{APP_URI}?{urlencode({'code': code, 'state': asked['state']})}")

    def _code(self, asked: Mapping[str, str], uri: str, provider: str) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(asked["code_challenge"], uri, provider, time.time() + CODE_LIFE)
        return code

    # the exchange

    def exchange(self, incoming: Incoming, seen: Seen) -> Reply:
        """snake_case in, camelCase out. A code is used up by the first try, whether that is right or wrong."""
        asked = incoming.members
        code = self.codes.pop(text(asked.get("code")), None)
        if code is None or code.ends < time.time():
            return _wrong_grant("the code is unknown, was used, or has run out")
        if text(asked.get("redirect_uri")) != code.uri:
            return _wrong_grant("redirect_uri is not the one of the authorization")
        digest = hashlib.sha256(text(asked.get("code_verifier")).encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
            return _wrong_grant("code_verifier does not fit the challenge")
        account = self.auth.signed_in("social")
        account.provider = code.provider
        return replies.plain(200, {**self._pair(account), "expiresIn": int(self.accounts.options.access_life)})

    def _pair(self, account: Account) -> dict[str, str]:
        return {"accessToken": account.access_token, "refreshToken": account.refresh_token,
                "profileArn": account.profile_arn}  # fmt: skip

    # a device's code

    def approval(self, incoming: Incoming, seen: Seen) -> Reply:
        """Shows the code, which the user compares, and the two links."""
        shown = incoming.query.get("user_code", "")
        if not any(device.user_code == shown for device in self.auth.devices.values()):
            return refused("there is no such code")
        links = [(f"device/decide?{urlencode({'user_code': shown, 'answer': answer})}", answer)
                 for answer in ("approved", "denied")]  # fmt: skip
        return page(f"Allow access? {shown}", links)

    def decide(self, incoming: Incoming, seen: Seen) -> Reply:
        for device in list(self.auth.devices.values()):
            if device.user_code == incoming.query.get("user_code"):
                device.answer = incoming.query.get("answer", "")
                return page(f"The request was {device.answer}", [])
        return refused("there is no such code")


def _portal_fault(asked: Mapping[str, str]) -> str:
    """What the portal does not like, "" for nothing. It goes back to this machine only; the port is the client's."""
    home = urlsplit(asked.get("redirect_uri", ""))
    if home.scheme != "http" or home.hostname != "localhost" or not home.port or home.path or home.query:
        return "redirect_uri is not registered"
    if asked.get("redirect_from") != "kirocli":
        return "redirect_from is missing"
    if asked.get("login_option", "google") not in CHOICES:
        return "login_option is unknown"
    return pkce_fault(asked)


def pkce_fault(asked: Mapping[str, str]) -> str:
    if asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        return "code_challenge must be S256"
    return "" if len(asked.get("state", "")) >= 16 else "state is missing or can be guessed"


def _wrong_grant(why: str) -> Reply:
    return replies.plain(400, {"error": "invalid_grant", "error_description": why})


def to(url: str) -> Reply:
    return Reply(302, {"location": url, "content-type": "text/plain"}, b"")


def refused(why: str) -> Reply:
    return replies.text(400, f"<!doctype html><title>Refused</title><p>{html.escape(why)}", "text/html; charset=utf-8")


def page(title: str, links: Iterable[tuple[str, str]]) -> Reply:
    """`id` of a link is its word."""
    rows = "".join(f'<p><a id="{html.escape(word)}" href="{html.escape(href)}">{html.escape(word)}</a>'
                   for href, word in links)  # fmt: skip
    body = f"<!doctype html><html><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1>{rows}"
    return replies.text(200, body, "text/html; charset=utf-8")
